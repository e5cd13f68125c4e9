// SPDX-License-Identifier: Apache-2.0 OR MIT
// A minifloat whose largest values float does not have.
// expect-error: nibble: all values of a minifloat must be normal numbers in float
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::minifloat<7, 3, 63, nibble::float_kind::fn>;
#else
using wanted = nibble::minifloat<8, 3, 63, nibble::float_kind::fn>;
#endif

constexpr float largest = wanted::max;
static_assert(largest > 0);
