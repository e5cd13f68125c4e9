// SPDX-License-Identifier: Apache-2.0 OR MIT
// A codebook with an infinity among its values.
// expect-error: nibble: a codebook's values are finite
#include <array>
#include <limits>

#include "nibble/formats.h"

struct book {
  static constexpr std::string_view name = "book";
#ifdef CONTROL
  static constexpr std::array<float, 4> values{-1.0f, -0.5f, 0.5f, 1.0f};
#else
  static constexpr std::array<float, 4> values{-1.0f, -0.5f, 0.5f,
                                               std::numeric_limits<float>::infinity()};
#endif
};

constexpr float largest = nibble::codebook<book>::max;
static_assert(largest > 0);
