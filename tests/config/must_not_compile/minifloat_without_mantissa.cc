// SPDX-License-Identifier: Apache-2.0 OR MIT
// A minifloat without mantissa bits.
// expect-error: nibble: a minifloat has an exponent bit, a mantissa bit
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::minifloat<3, 1, 3, nibble::float_kind::ieee>;
#else
using wanted = nibble::minifloat<3, 0, 3, nibble::float_kind::ieee>;
#endif

constexpr int bits = wanted::bits;
static_assert(bits > 0);
