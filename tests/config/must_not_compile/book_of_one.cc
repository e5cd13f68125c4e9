// SPDX-License-Identifier: Apache-2.0 OR MIT
// A codebook with one value, stored twice.
// expect-error: nibble: a codebook has at least two different values
#include <array>

#include "nibble/formats.h"

struct book {
  static constexpr std::string_view name = "book";
#ifdef CONTROL
  static constexpr std::array<float, 2> values{0.0f, 1.0f};
#else
  static constexpr std::array<float, 2> values{1.0f, 1.0f};
#endif
};

constexpr float largest = nibble::codebook<book>::max;
static_assert(largest > 0);
