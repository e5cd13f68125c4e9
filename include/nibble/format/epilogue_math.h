// SPDX-License-Identifier: Apache-2.0 OR MIT
// What an epilogue computes, one value at a time: the definition that kernels equal in every bit.
//
// The smooth activations are one subtraction and one tail, which is positive and has full relative
// precision down to the subnormals:
//
//   act(v) = max(v, 0) - tail(|v|)   x                                  tail(a)
//     silu                           a                                  a e^-x / (1 + e^-x)
//     gelu_tanh                      2 sqrt(2/pi) (a + 0.044715 a^3)    the same
//     gelu                           a^2 / 2                            a e^-x R(a)
//
// with R(a) = Phi(-a) e^(a^2 / 2), a ratio of polynomials. Measured errors: docs/numerics.md,
// part 9.
#ifndef NIBBLE_FORMAT_EPILOGUE_MATH_H_
#define NIBBLE_FORMAT_EPILOGUE_MATH_H_

#include <algorithm>
#include <limits>

#include "nibble/core/arith.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/epilogue.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

// -------------------------------------------------------------- activations

/// e^r = 1 + r + r^2 q(r) for |r| <= ln(2) / 2, within 2^-28 (Remez). Highest power first.
inline constexpr float exp_terms[] = {1.38131441e-3f, 8.36941884e-3f, 4.16684568e-2f, 0.166665148f,
                                      0.499999931f};
/// ln 2 in two parts; the first has 15 bits, so that its product with a whole number is exact.
inline constexpr float ln2_high = 0.693145751953125f;
inline constexpr float ln2_low = 1.42860682e-6f;
inline constexpr float log2_e = 1.44269504f;

/// R(a) = d(a) / (slope a d(a) + n(a)) within 2^-27 for 0 <= a <= 14.5, fitted by reweighted least
/// squares. All terms are positive, and where d is large its rounding errors cancel. The common
/// factor 0.859375 keeps both polynomials below a power of two where they start, which rounds less.
inline constexpr float gelu_slope = 2.50659776f;  // sqrt(2 pi), nearly
inline constexpr float gelu_d[] = {0.00700833648f, 0.0694092703f, 0.313694226f, 0.751695561f,
                                   0.859375f};
inline constexpr float gelu_n[] = {1.35663791e-05f, 0.0173124036f, 0.177530973f, 0.720648387f,
                                   1.71875f};

/// 2 sqrt(2 / pi), and that times 0.044715.
inline constexpr float gelu_tanh_linear = 1.59576912f;
inline constexpr float gelu_tanh_cubic = 0.0713548163f;

/// Beyond these |v| the tail is less than half the smallest subnormal.
inline constexpr float silu_end = 110.0f;
inline constexpr float gelu_end = 14.5f;
inline constexpr float gelu_tanh_end = 11.0f;

/// Leaves the upper 12 bits of a significand: the square of that is exact.
inline constexpr std::uint32_t upper_half_mask = 0xFFFFF000;

/// 1.5 * 2^23: adding it rounds to a whole number, which then is the low bits.
inline constexpr float whole_number_magic = 12582912.0f;

template <std::size_t N>
constexpr float polynomial(const float (&terms)[N], float x) noexcept {
  float p = terms[0];
  for (std::size_t i = 1; i < N; ++i) p = mul_then_add(p, x, terms[i]);
  return p;
}

/// e^-(high + low) = mantissa * scale1 * scale2. Two scales reach below the smallest normal float,
/// and only the last multiplication rounds. high in [0, 170], low small.
struct split_exp {
  float mantissa;
  float scale1;
  float scale2;
};
constexpr split_exp exp_of_minus(float high, float low) noexcept {
  const float sum = rounded(mul_then_add(high, log2_e, whole_number_magic));
  const float n = sum - whole_number_magic;
  const float r = rounded(rounded(n * ln2_high) - high) + mul_then_sub(n, ln2_low, low);
  const float q = polynomial(exp_terms, r);
  const float mantissa = 1.0f + mul_then_add(rounded(r * r), q, r);
  const std::uint32_t k = bits_of(sum) - bits_of(whole_number_magic);
  const std::uint32_t k1 = k >> 1;
  return {mantissa, float_of((127 - k1) << 23), float_of((127 - (k - k1)) << 23)};
}
constexpr float scaled(float v, const split_exp& e) noexcept {
  return rounded(rounded(v * e.scale1) * e.scale2);
}

/// min(|v|, end); NaN stays.
constexpr float size_up_to(float v, float end) noexcept {
  const float a = float_of(bits_of(v) & ~f32_sign);
  return a > end ? end : a;
}
/// max(v, 0); NaN and -0 stay.
constexpr float relu(float v) noexcept { return v < 0 ? 0.0f : v; }

/// a / (1 + e^x), from a and x.
constexpr float logistic_tail(float a, float x) noexcept {
  const split_exp e = exp_of_minus(x, 0.0f);
  const float under = 1.0f + scaled(e.mantissa, e);
  return scaled(rounded(a * e.mantissa) / under, e);
}

constexpr float silu(float v) noexcept {
  const float a = size_up_to(v, silu_end);
  return relu(v) - logistic_tail(a, a);
}

constexpr float gelu_tanh(float v) noexcept {
  const float a = size_up_to(v, gelu_tanh_end);
  const float slope = mul_then_add(rounded(a * a), gelu_tanh_cubic, gelu_tanh_linear);
  return relu(v) - logistic_tail(a, rounded(a * slope));
}

constexpr float gelu(float v) noexcept {
  const float a = size_up_to(v, gelu_end);
  const float upper = float_of(bits_of(a) & upper_half_mask);
  const float lower = rounded((a - upper) * (a + upper));  // a^2 = upper^2 + lower
  const split_exp e = exp_of_minus(0.5f * rounded(upper * upper), rounded(0.5f * lower));
  const float d = polynomial(gelu_d, a);
  const float under = mul_then_add(rounded(gelu_slope * a), d, polynomial(gelu_n, a));
  return relu(v) - scaled(rounded(d * rounded(a * e.mantissa)) / under, e);
}

constexpr float activate(activation act, float v) noexcept {
  switch (act) {
    case activation::relu: return relu(v);
    case activation::gelu: return gelu(v);
    case activation::gelu_tanh: return gelu_tanh(v);
    case activation::silu: return silu(v);
    default: return v;
  }
}

// ------------------------------------------------------------ requantization

inline constexpr std::int32_t int32_max = std::numeric_limits<std::int32_t>::max();
inline constexpr std::int32_t int32_min = std::numeric_limits<std::int32_t>::min();

/// Nearest int32, ties to even, saturating; NaN is 0.
constexpr std::int32_t to_int32(float v) noexcept {
  if (is_nan(v)) return 0;
  if (v >= 2147483648.0f) return int32_max;
  if (v <= -2147483648.0f) return int32_min;
  const float size = float_of(bits_of(v) & ~f32_sign);
  // At 2^23 and above every float is whole; below, adding 2^23 rounds.
  const float whole = size < 8388608.0f ? rounded(size + 8388608.0f) - 8388608.0f : size;
  return static_cast<std::int32_t>(v < 0 ? -whole : whole);
}

/// a * b / 2^31 rounded to nearest, ties toward +infinity; (-2^31)^2 saturates. gemmlowp's
/// SaturatingRoundingDoublingHighMul.
constexpr std::int32_t doubling_high_multiply(std::int32_t a, std::int32_t b) noexcept {
  if (a == int32_min && b == int32_min) return int32_max;
  const std::int64_t product = std::int64_t{a} * b;
  return static_cast<std::int32_t>((product + (std::int64_t{1} << 30)) >> 31);
}

/// x / 2^shift rounded to nearest, ties away from zero; shift in [0, 31]. gemmlowp's
/// RoundingDivideByPOT.
constexpr std::int32_t rounding_shift_right(std::int32_t x, std::int32_t shift) noexcept {
  const std::int32_t mask = static_cast<std::int32_t>((std::uint32_t{1} << shift) - 1);
  const std::int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> shift) + ((x & mask) > threshold ? 1 : 0);
}

/// x * 2^shift; what does not fit saturates. shift in [0, 30].
constexpr std::int32_t saturating_shift_left(std::int32_t x, std::int32_t shift) noexcept {
  const std::int64_t wide = std::int64_t{x} * (std::int64_t{1} << shift);
  return static_cast<std::int32_t>(
      std::clamp(wide, std::int64_t{int32_min}, std::int64_t{int32_max}));
}

/// x * multiplier * 2^(shift - 31), rounded twice.
constexpr std::int32_t multiply_fixed_double(std::int32_t x, std::int32_t multiplier,
                                             std::int32_t shift) noexcept {
  const std::int32_t left = shift > 0 ? shift : 0;
  const std::int32_t right = shift > 0 ? 0 : -shift;
  return rounding_shift_right(doubling_high_multiply(saturating_shift_left(x, left), multiplier),
                              right);
}

/// x * multiplier * 2^(shift - 31), rounded once, ties toward +infinity, saturating.
constexpr std::int32_t multiply_fixed_single(std::int32_t x, std::int32_t multiplier,
                                             std::int32_t shift) noexcept {
  const std::int32_t right = 31 - shift;
  const std::int64_t half = std::int64_t{1} << (right - 1);
  const std::int64_t wide = (std::int64_t{x} * multiplier + half) >> right;
  return static_cast<std::int32_t>(
      std::clamp(wide, std::int64_t{int32_min}, std::int64_t{int32_max}));
}

/// A sum as an integer in [q.low, q.high] by a fixed-point rule; `col` picks the channel.
///
/// Clamping comes before the zero point is added: nothing overflows, and the result is the same.
constexpr std::int32_t requantize_sum(const requantization& q, std::int32_t sum,
                                      std::size_t col) noexcept {
  const std::size_t i = q.per_channel ? col : 0;
  const std::int32_t low = q.low - q.zero_point;
  const std::int32_t high = q.high - q.zero_point;
  const std::int32_t t = q.rule == requantize_rule::fixed_double
                             ? multiply_fixed_double(sum, q.multiplier[i], q.shift[i])
                             : multiply_fixed_single(sum, q.multiplier[i], q.shift[i]);
  return std::clamp(t, low, high) + q.zero_point;
}

/// The same of v, by every rule.
constexpr std::int32_t requantize(const requantization& q, float v, std::size_t col) noexcept {
  if (is_fixed(q.rule)) return requantize_sum(q, to_int32(v), col);
  const float scale = q.scale[q.per_channel ? col : 0];
  float t = q.rule == requantize_rule::float_scale ? v / scale : rounded(v * scale);
  if (is_nan(t)) t = 0;
  t = std::clamp(t, static_cast<float>(q.low - q.zero_point),
                 static_cast<float>(q.high - q.zero_point));
  return static_cast<std::int32_t>(nearest_integer(t)) + q.zero_point;
}

// ------------------------------------------------------------------- values

constexpr float channel_value(const float* scale, const float* bias, float v,
                              std::size_t col) noexcept {
  if (scale != nullptr) v = rounded(v * scale[col]);
  if (bias != nullptr) v = v + bias[col];
  return v;
}

/// The float that becomes y[row, col]. `second` is the sum of the second matrix, or null.
inline float epilogue_value(const epilogue& e, float sum, const float* second, std::size_t row,
                            std::size_t col, const second_channels& channels = {}) noexcept {
  float v = activate(e.act, channel_value(e.channel_scale, e.bias, sum, col));
  if (second != nullptr) {
    v = rounded(v * channel_value(channels.channel_scale, channels.bias, *second, col));
  }
  if (e.residual != nullptr) {
    v = v + load_number(e.residual_type, e.residual, row * e.residual_stride + col);
  }
  if (v < e.low) v = e.low;
  if (v > e.high) v = e.high;
  return v;
}

/// Does the epilogue leave sums as they are, up to the type of y?
constexpr bool leaves_sums(const epilogue& e) noexcept {
  constexpr float inf = std::numeric_limits<float>::infinity();
  return e.channel_scale == nullptr && e.bias == nullptr && e.act == activation::none &&
         e.residual == nullptr && e.low == -inf && e.high == inf;
}

/// Is it the requantization of integer sums alone?
constexpr bool takes_int32(const epilogue& e, number_type y_type) noexcept {
  return is_code(y_type) && e.requantize.rule != requantize_rule::float_scale && leaves_sums(e);
}

inline void store_code_of(std::int32_t code, std::size_t col, void* y_row,
                          number_type y_type) noexcept {
  if (y_type == number_type::int8) {
    static_cast<std::int8_t*>(y_row)[col] =
        static_cast<std::int8_t>(std::clamp(code, std::int32_t{-128}, std::int32_t{127}));
  } else {
    static_cast<std::uint8_t*>(y_row)[col] =
        static_cast<std::uint8_t>(std::clamp(code, std::int32_t{0}, std::int32_t{255}));
  }
}

/// Writes v as element `col` of a row of y.
inline void store_number(const epilogue& e, float v, std::size_t col, void* y_row,
                         number_type y_type) noexcept {
  constexpr encode_policy ieee{rounding::nearest_even, overflow::to_special};
  switch (y_type) {
    case number_type::f32: static_cast<float*>(y_row)[col] = v; break;
    case number_type::bf16: static_cast<std::uint16_t*>(y_row)[col] = bf16::encode(v, ieee); break;
    case number_type::f16: static_cast<std::uint16_t*>(y_row)[col] = f16::encode(v, ieee); break;
    default: store_code_of(requantize(e.requantize, v, col), col, y_row, y_type);
  }
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_EPILOGUE_MATH_H_
