// SPDX-License-Identifier: Apache-2.0 OR MIT
// A plain C++ type is no element.
// expect-error: no matching function for call to
#define NIBBLE_STATIC_DISPATCH  // one pass is enough
#include "nibble/elements.h"

#ifdef CONTROL
using wanted = nibble::int8;
#else
using wanted = int;
#endif

void f(std::span<const signed char> codes, std::span<float> values);
void f(std::span<const signed char>, std::span<float> values) {
  nibble::decode_values<wanted>(std::span<const unsigned char>(), values);
}
