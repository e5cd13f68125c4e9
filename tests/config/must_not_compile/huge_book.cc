// SPDX-License-Identifier: Apache-2.0 OR MIT
// A codebook whose values no f16 scale brings to 1.
// expect-error: nibble: the largest code's value is too large or too small for the type of the scales
#include "nibble/formats.h"

struct my_book {
  static constexpr std::string_view name = "my_book";
#ifdef CONTROL
  static constexpr std::array<float, 4> values{-1000, 0, 500, 1000};
#else
  static constexpr std::array<float, 4> values{-1e30f, 0, 5e29f, 1e30f};
#endif
};
using wanted = nibble::block<nibble::codebook<my_book>, 32, nibble::scale<nibble::f16>>;

nibble::quantized_view<wanted> view;
