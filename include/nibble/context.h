// SPDX-License-Identifier: Apache-2.0 OR MIT
// context: the threads and scratch memory that a caller gives to pack(), gemv() and gemm().
#ifndef NIBBLE_CONTEXT_H_
#define NIBBLE_CONTEXT_H_

#include "nibble/core/context.h"  // IWYU pragma: export

#endif  // NIBBLE_CONTEXT_H_
