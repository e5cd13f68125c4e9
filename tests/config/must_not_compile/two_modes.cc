// SPDX-License-Identifier: Apache-2.0 OR MIT
// Two modes in one unit.
// expect-error: NIBBLE_COMPILED and NIBBLE_STATIC_DISPATCH exclude each other; define one
#ifndef CONTROL
#define NIBBLE_COMPILED
#endif
#define NIBBLE_STATIC_DISPATCH
#include "nibble/config.h"
