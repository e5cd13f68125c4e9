// SPDX-License-Identifier: Apache-2.0 OR MIT
// Elements that exist only to read and write GGUF's FP4 blocks byte for byte.
//
// GGML stores the E2M1 table doubled and halves the scale instead, so that the table is whole
// numbers. Values and scales here are its own: their product is what GGML dequantizes.
#ifndef NIBBLE_ELEMENT_GGML_H_
#define NIBBLE_ELEMENT_GGML_H_

#include "nibble/element/codebook.h"
#include "nibble/element/exponent.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

// Code 8 is a second +0, never made; ties go to the smaller magnitude (ggml takes the first of the
// sixteen values with the smallest distance).
struct fp4_e2m1_x2_book {
  static constexpr std::string_view name = "fp4_e2m1_x2";
  static constexpr book_ties ties = book_ties::toward_zero;
  static constexpr std::array<float, 16> values{0, 1,  2,  3,  4,  6,  8,  12,
                                                0, -1, -2, -3, -4, -6, -8, -12};
};

}  // namespace detail

struct fp4_e2m1_x2 : codebook<detail::fp4_e2m1_x2_book> {};

/// GGML's UE4M3 (NVFP4 block scale), value halved. Its rounding, whatever the policy, is its own:
/// ties up; magnitudes that reach 2^8 (before halving) become 448; subnormals never round up to the
/// smallest normal. NaN, zero and negative values give 0. Decoding reads 0x7F as 0 and, of the
/// codes with bit 7, 0x80 as 0 and 0xFF as 480 / 2, the others as without the bit.
struct ue4m3_ggml {
  using code = std::uint8_t;
  static constexpr std::string_view name = "ue4m3_ggml";
  static constexpr int bits = 8;
  static constexpr float max = 224.0f;
  static constexpr float lowest = 0.0f;
  static constexpr bool has_nan = false;
  static constexpr bool has_inf = false;
  static constexpr code zero_code = 0;

  static constexpr float decode(code c) noexcept {
    if (c == 0x7F) return 0.0f;
    const int exponent = (c >> 3) & 15;
    const int mantissa = c & 7;
    if (exponent == 0) return static_cast<float>(mantissa) * detail::exp2i(-10);
    return static_cast<float>(8 + mantissa) * detail::exp2i(exponent - 11);
  }

  static constexpr code encode(float x, encode_policy = {}) noexcept {
    if (detail::is_nan(x) || x <= 0.0f) return 0;
    if (x >= 124.0f) return 0x7E;  // 248 before halving rounds up into the exponent of 256
    if (x < detail::exp2i(-7)) {
      // The float sum is part of the definition: it rounds 0.49999997 + 0.5 to 1.
      const int m = static_cast<int>(x * 1024.0f + 0.5f);
      return static_cast<code>(m > 7 ? 7 : m);
    }
    // One rounding bit below three mantissa bits; the carry runs into the exponent field.
    const std::uint32_t kept = (detail::bits_of(x) >> 19) + 1;
    return static_cast<code>((kept >> 1) - (119u << 3));
  }
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_GGML_H_
