// SPDX-License-Identifier: Apache-2.0 OR MIT
// An integer element of 9 bits.
// expect-error: nibble: integer elements have 1 to 8 bits
#include "nibble/formats.h"

#ifdef CONTROL
constexpr int bits = 8;
#else
constexpr int bits = 9;
#endif

using wanted = nibble::integer_base<bits, 0, 0, 0, 255>;
static_assert(wanted::max > 0);
