// SPDX-License-Identifier: Apache-2.0 OR MIT
// epilogue: what gemv() and gemm() do with a sum before they write it.
#ifndef NIBBLE_EPILOGUE_H_
#define NIBBLE_EPILOGUE_H_

#include "nibble/format/epilogue.h"  // IWYU pragma: export

#endif  // NIBBLE_EPILOGUE_H_
