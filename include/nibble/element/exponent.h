// SPDX-License-Identifier: Apache-2.0 OR MIT
// Scales that are powers of two: one byte of exponent, no sign, no mantissa, no zero.
//
// code c is 2^(c - Bias). In a float that is the exponent field itself, except at the bottom, where
// the value is a float subnormal:
//
//                e8m0 (OCP MX, bias 127)   e8m0_half (GGUF MXFP4, bias 128)
//   code 0       2^-127  0x00400000        2^-128  0x00200000
//   code 1       2^-126  0x00800000        2^-127  0x00400000
//   code 254     2^127                     2^126
//   code 255     NaN                       2^127
//
// Encoders elsewhere disagree with each other (docs/numerics.md). Here the rounding is that of the
// *value* between its two neighbours, also right above code 0; zero and all below the smallest
// value become code 0, so that a block of zeros has a valid scale.
#ifndef NIBBLE_ELEMENT_EXPONENT_H_
#define NIBBLE_ELEMENT_EXPONENT_H_

#include "nibble/element/element.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Rounds a positive finite float to 2^(c - bias), c >= 0. Not clamped at the top: c <= 128 + bias.
constexpr int encode_exponent(std::uint32_t magnitude, int bias, rounding round) noexcept {
  if (magnitude == 0) return 0;
  // Normalise: magnitude = 2^e * (1 + fraction / 2^23).
  int e = static_cast<int>(magnitude >> 23) - 127;
  std::uint32_t fraction = magnitude & 0x007FFFFF;
  if (magnitude < 0x00800000) {
    const int up = std::countl_zero(fraction) - 8;
    e = -126 - up;
    fraction = (fraction << up) & 0x007FFFFF;
  }
  const int c = e + bias;
  if (c < 0) return 0;
  // The value lies in [2^e, 2^(e+1)): half way is fraction 2^22; "even" is the code.
  constexpr std::uint32_t half = 0x00400000;
  bool up = false;
  switch (round) {
    case rounding::nearest_even: up = fraction > half || (fraction == half && (c & 1) != 0); break;
    case rounding::nearest_away:
    case rounding::nearest_up: up = fraction >= half; break;
    case rounding::nearest_down_magnitude: up = fraction > half; break;
    case rounding::toward_zero: break;
    case rounding::away_from_zero: up = fraction != 0; break;
  }
  return c + (up ? 1 : 0);
}

}  // namespace detail

/// OCP MX scale (E8M0FNU). NaN and negative values become NaN (0xFF); zero becomes code 0.
struct e8m0 {
  using code = std::uint8_t;
  static constexpr std::string_view name = "e8m0";
  static constexpr int bits = 8;
  static constexpr int exponent_bias = 127;
  static constexpr float max = detail::exp2i(127);
  static constexpr float lowest = detail::float_of(0x00400000);
  static constexpr bool has_nan = true;
  static constexpr bool has_inf = false;
  static constexpr code zero_code = 0;
  static constexpr code nan_code = 0xFF;

  static constexpr float decode(code c) noexcept {
    // 0 is a subnormal and 255 a quiet NaN: the same bit makes both.
    const std::uint32_t extra = c == 0 || c == 0xFF ? 0x00400000 : 0;
    return detail::float_of(static_cast<std::uint32_t>(c) << 23 | extra);
  }

  static constexpr code encode(float x, encode_policy policy = {}) noexcept {
    const std::uint32_t b = detail::bits_of(x);
    const std::uint32_t magnitude = b & ~detail::f32_sign;
    if (magnitude > detail::f32_inf || (b != magnitude && magnitude != 0)) return nan_code;
    if (magnitude == detail::f32_inf) return policy.over == overflow::saturate ? 0xFE : nan_code;
    const int c = detail::encode_exponent(magnitude, exponent_bias, policy.round);
    if (c > 0xFE) return policy.over == overflow::to_special ? nan_code : 0xFE;
    return static_cast<code>(c);
  }
};

/// GGUF's MXFP4 scale beside doubled elements: half of e8m0, and 255 is a number. What has no code
/// clamps: NaN and negative values to code 0, infinity to 255.
struct e8m0_half {
  using code = std::uint8_t;
  static constexpr std::string_view name = "e8m0_half";
  static constexpr int bits = 8;
  static constexpr int exponent_bias = 128;
  static constexpr float max = detail::exp2i(127);
  static constexpr float lowest = detail::float_of(0x00200000);
  static constexpr bool has_nan = false;
  static constexpr bool has_inf = false;
  static constexpr code zero_code = 0;

  static constexpr float decode(code c) noexcept {
    return detail::float_of(c < 2 ? 0x00200000u << c : static_cast<std::uint32_t>(c - 1) << 23);
  }

  static constexpr code encode(float x, encode_policy policy = {}) noexcept {
    const std::uint32_t b = detail::bits_of(x);
    if (b > detail::f32_inf) return 0;  // negative or NaN
    if (b == detail::f32_inf) return 0xFF;
    const int c = detail::encode_exponent(b, exponent_bias, policy.round);
    return static_cast<code>(c > 0xFF ? 0xFF : c);
  }
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_EXPONENT_H_
