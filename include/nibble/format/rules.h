// SPDX-License-Identifier: Apache-2.0 OR MIT
// From a block of values to its scale: the options of quantize() and the scalar arithmetic that the
// reference and the kernels share, so that both round alike. docs/numerics.md gives the reasons.
#ifndef NIBBLE_FORMAT_RULES_H_
#define NIBBLE_FORMAT_RULES_H_

#include <array>
#include <span>

#include "nibble/core/arith.h"
#include "nibble/core/errors.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/scale_range.h"
#include "nibble/format/wire.h"

namespace nibble::inline NIBBLE_ABI {

/// How quantize() chooses the scale of a block.
enum class scale_rule : std::uint8_t {
  standard,  ///< the format's own: absmax, min_max where there is a shift, the original's for GGUF
  absmax,    ///< max|x|; formats with a shift get the range [-max|x|, max|x|]
  min_max,   ///< [min, max]; without a shift the scale that clips neither end
  percentile,  ///< like the standard, of the values left when the largest (and least) are cut off
  mse,         ///< searches around the standard for the least squared error
  weighted,    ///< mse with the squared errors weighted by the importance of their column
};

/// How an e8m0 scale is made from max|x| and the element's largest value (FORMATS: OCP MX and what
/// others do). floor is the specification; round_up never clips.
enum class mx_scale : std::uint8_t { floor, ceil, even, round_up };

struct quantize_options {
  scale_rule rule = scale_rule::standard;
  float percentile = 99.9f;           ///< for scale_rule::percentile, in (50, 100]
  std::span<const float> importance;  ///< for scale_rule::weighted: finite, >= 0, one per column
  mx_scale mx = mx_scale::floor;      ///< for formats with e8m0 scales
  bool divide = false;                ///< x / scale (ONNX, GPTQ) instead of x * (1 / scale)
  bool reject_non_finite = false;     ///< stop with errc::non_finite at NaN or infinity
  quantize_report* report = nullptr;  ///< filled if given
};

namespace detail {

/// What the fit of one block found.
struct block_fit {
  float scale = 0;
  float inverse = 0;  ///< what x is multiplied by when codes come from the computed scale
  float low = 0;      ///< the range, where the format has one
  float high = 0;
  int beyond = 0;  ///< -1, 1: the scale should be smaller, larger than `scale` can be
};

/// Statistics of one block, taken over its finite values; others count as zero.
struct block_stats {
  float amax = 0;     ///< max|x|
  float extreme = 0;  ///< the value of largest magnitude, the first one of equals
  float low = 0;
  float high = 0;
  float mean_abs = 0;
  bool finite = true;
  bool minus_zero = false;  ///< low is 0, and the first zero is -0
};

/// x to a whole number, beyond 2^23 as it is; NaN stays.
constexpr float round_to_integer(float x, rounding round) noexcept {
  const float_parts p(x);
  if (p.magnitude >= bits_of(8388608.0f)) return x;
  const float size =
      static_cast<float>(shift_right_rounded(p.significand, 150 - p.exponent, round, p.negative));
  return p.negative ? -size : size;
}

/// 2^exponent, clamped to what e8m0 and e8m0_half can hold: [-128, 127].
constexpr float power_of_two(int exponent) noexcept {
  if (exponent < -126) return float_of(exponent == -127 ? 0x00400000u : 0x00200000u);
  return exp2i(exponent > 127 ? 127 : exponent);
}

/// floor(log2 a) read off the exponent field; subnormals count as 2^-127.
constexpr int exponent_of(float a) noexcept {
  return static_cast<int>((bits_of(a) >> 23) & 0xFF) - 127;
}
constexpr bool is_subnormal(float a) noexcept { return a != 0 && exponent_of(a) == -127; }
/// floor(log2 a) of any a > 0.
constexpr int floor_log2(float a) noexcept {
  const float_parts p(a);
  return p.exponent - 151 + static_cast<int>(std::bit_width(p.significand));
}
constexpr bool is_power_of_two(float a) noexcept {
  return std::has_single_bit(float_parts(a).significand);
}

/// Explicit mantissa bits of an element's largest binade.
template <class E>
consteval int mantissa_bits() {
  if constexpr (requires { E::mantissa_bits; }) {
    return E::mantissa_bits;
  } else {
    return E::bits <= 4 ? 1 : E::bits - 2;
  }
}

/// amax and half an ulp of the element's mantissa, with carry into the exponent.
template <class E>
constexpr float raised_half_ulp(float amax) noexcept {
  return float_of(bits_of(amax) + (1u << (22 - mantissa_bits<E>())));
}

/// The power-of-two scale of a block with max|x| = amax.
template <class E>
constexpr float mx_scale_of(float amax, float divisor, mx_scale how) noexcept {
  const int emax = static_cast<int>(divisor);
  if (amax == 0) return 0;
  switch (how) {
    case mx_scale::floor: return power_of_two(exponent_of(amax) - emax);
    case mx_scale::ceil: {
      const bool exact = (bits_of(amax) & 0x7FFFFFu) == 0;
      return power_of_two(exponent_of(amax) - emax + (exact ? 0 : 1));
    }
    case mx_scale::even: return power_of_two(exponent_of(raised_half_ulp<E>(amax)) - emax);
    case mx_scale::round_up:
      return e8m0::decode(e8m0::encode(amax * (1.0f / E::max), {rounding::away_from_zero}));
  }
  return 0;
}

/// -1 or 1 where that scale lies below or above the powers of two that its type has.
template <class E>
constexpr int mx_beyond(float amax, float divisor, mx_scale how, int lowest) noexcept {
  if (amax == 0) return 0;
  const bool by_value = how == mx_scale::round_up;
  const float a = by_value ? amax * (1.0f / E::max) : amax;
  if (a == 0) return -1;
  int exponent = floor_log2(a) - (by_value ? 0 : static_cast<int>(divisor));
  if (how == mx_scale::ceil || by_value) {
    exponent += is_power_of_two(a) ? 0 : 1;
  } else if (how == mx_scale::even && !is_subnormal(a)) {
    exponent += exponent_of(raised_half_ulp<E>(a)) - exponent_of(a);
  }
  return exponent < lowest ? -1 : exponent > 127 ? 1 : 0;
}

/// x - center, clamped to what a float holds.
constexpr float distance(float x, float center) noexcept {
  const float d = x - center;
  return d > float_max ? float_max : d < -float_max ? -float_max : d;
}

/// The range [low, high] of values that codes have to span.
constexpr float range_scale(float low, float high, float divisor) noexcept {
  const float width = high - low;
  return width <= float_max ? width / divisor : high / divisor - low / divisor;
}

/// Applies the rule of F (or the one asked for) to the statistics of a block.
template <class F>
constexpr block_fit fit_from_stats(const block_stats& stats, const quantizer_rule& rule,
                                   scale_rule asked, mx_scale mx) noexcept {
  using fit = quantizer_rule::fit;
  using E = typename F::element;
  block_fit f;
  if constexpr (F::has_shift && F::shift_type::kind != shift_kind::center) {
    f.low = asked == scale_rule::absmax ? -stats.amax : stats.low;
    f.high = asked == scale_rule::absmax ? stats.amax : stats.high;
    if (rule.range_includes_zero) {
      f.low = f.low < 0 ? f.low : 0.0f;
      f.high = f.high > 0 ? f.high : 0.0f;
    }
    f.scale = range_scale(f.low, f.high, rule.divisor);
    f.inverse = inverse_or_zero(f.scale);
    if (f.scale == 0 && f.low != f.high) f.beyond = -1;
    if constexpr (F::shift_type::kind == shift_kind::offset) {
      // GGML stores the sign of the least value, zeros included.
      if (rule.raw_scale && stats.minus_zero) f.low = -0.0f;
    }
    return f;
  }
  if (rule.how == fit::power_of_two) {
    f.scale = mx_scale_of<E>(stats.amax, rule.divisor, mx);
    const int lowest = std::is_same_v<typename F::scale_format, e8m0> ? -127 : -128;
    f.beyond = mx_beyond<E>(stats.amax, rule.divisor, mx, lowest);
    if constexpr (std::is_same_v<typename F::scale_format, e8m0>) {
      if (!stats.finite) f.scale = e8m0::decode(0xFF);
    }
    f.inverse = inverse_or_zero(f.scale);
    return f;
  }
  if (asked == scale_rule::min_max && E::lowest < 0) {
    const float up = stats.high > 0 ? stats.high / E::max : 0.0f;
    const float down = stats.low < 0 ? stats.low / E::lowest : 0.0f;
    f.scale = up > down ? up : down;
  } else if (rule.how == fit::signed_absmax && asked == scale_rule::standard) {
    if (rule.inverse_first) {
      f.inverse = stats.extreme != 0 ? rule.divisor / stats.extreme : 0.0f;
      if (!is_finite(f.inverse)) f.inverse = 0;
      f.scale = f.inverse != 0 ? 1.0f / f.inverse : 0.0f;
      if (f.scale == 0 && stats.amax != 0) f.beyond = -1;
      return f;
    }
    f.scale = stats.extreme / rule.divisor;
  } else if (rule.how == fit::mean_abs &&
             (asked == scale_rule::standard || asked == scale_rule::mse ||
              asked == scale_rule::weighted)) {
    f.scale = stats.mean_abs;  // searches start at the standard
  } else {
    f.scale = stats.amax / largest_magnitude<E>();
    if (rule.how == fit::absmax) f.scale = stats.amax / rule.divisor;
  }
  if (f.scale == 0 && stats.amax != 0) f.beyond = -1;
  if (f.scale > float_max) {  // a sum of magnitudes, or levels below 1
    f.beyond = 1;
    if (!rule.raw_scale) f.scale = float_max;
  }
  f.inverse = inverse_or_zero(f.scale);
  return f;
}

/// The shift of a block from the least value of its range and its scale as stored.
template <class F>
constexpr float shift_of(float low, float scale) noexcept {
  using E = typename F::element;
  if constexpr (F::shift_type::kind == shift_kind::zero) {
    return E::lowest - rounded(low * inverse_or_zero(scale));
  } else if constexpr (F::shift_type::kind == shift_kind::offset) {
    return E::lowest == 0 ? low : low - rounded(E::lowest * scale);
  } else if constexpr (F::shift_type::kind == shift_kind::minimum) {
    return E::lowest == 0 ? -low : mul_then_sub(E::lowest, scale, low);
  } else {
    return low;
  }
}

/// A value from its code: the formulas at the head of block.h.
template <class F>
constexpr float value_of(float level, float scale, float shift) noexcept {
  if constexpr (F::shift_type::kind == shift_kind::none) {
    return scale * level;
  } else if constexpr (F::shift_type::kind == shift_kind::zero) {
    return (level - shift) * scale;
  } else if constexpr (F::shift_type::kind == shift_kind::minimum) {
    return mul_then_sub(scale, level, shift);
  } else {
    return mul_then_add(scale, level, shift);
  }
}

/// What the codes of one block are made with.
struct code_params {
  float scale = 0;    ///< as stored
  float inverse = 0;  ///< of the stored or the computed scale
  float shift = 0;
  bool divide = false;
};

/// One bit that says only whether x is negative: the scale does not matter, and x times its
/// reciprocal could vanish.
template <class E>
inline constexpr bool is_sign = E::bits == 1 && E::max == -E::lowest;

/// The code of x. NaN becomes the NaN of the element, or zero; infinities clamp.
template <class F>
constexpr typename F::element::code code_of(float x, const code_params& p,
                                            const quantizer_rule& rule) noexcept {
  using E = typename F::element;
  using kind = shift_kind;
  constexpr kind shift = F::shift_type::kind;
  if (x != x && !E::has_nan) x = 0;
  if (x > float_max) x = float_max;
  if (x < -float_max) x = -float_max;

  if (rule.codes == quantizer_rule::code::nearest_product) {
    if constexpr (table_element<E>) {
      unsigned best = 0;
      float least = 0;
      for (unsigned c = 0; c < E::table.size(); ++c) {
        const float distance = magnitude_of(rounded(E::table[c] * p.scale) - x);
        if (c != 0 && !(distance < least)) continue;
        least = distance;
        best = c;
      }
      return static_cast<typename E::code>(best);
    }
  }
  if constexpr (is_sign<E>) return E::encode(x, {.round = rule.round});
  float y = x;
  if constexpr (shift == kind::offset || shift == kind::center) y = x - p.shift;
  if constexpr (shift == kind::minimum) y = x + p.shift;
  y = p.divide && p.scale != 0 ? y / p.scale : rounded(y * p.inverse);
  if constexpr (shift == kind::zero) {
    if constexpr (integer_element<typename F::shift_format>) {
      // The zero point is added to the rounded value.
      y = round_to_integer(y, rule.round) + p.shift;
    } else {
      y = y + p.shift;
    }
  }
  if constexpr (integer_element<E>) {
    if (rule.codes == quantizer_rule::code::add_half) {
      const float t = y + (static_cast<float>(E::bias) + 0.5f);
      const float top = static_cast<float>((1 << E::bits) - 1);
      return static_cast<typename E::code>(t > 0 ? (t < top ? t : top) : 0.0f);
    }
  }
  return E::encode(y, {.round = rule.round});
}

/// The scales that mse and weighted try, as factors of the standard one. Candidate 0 is the
/// standard.
template <class F>
struct search_grid {
  static constexpr bool exponent = is_exponent_scale<typename F::scale_format>;
  /// Two's complement reaches one step further down than up: a negative scale may use that.
  static constexpr bool both_signs = !F::has_shift && !exponent &&
                                     integer_element<typename F::element> &&
                                     F::element::lowest < -F::element::max;
  static constexpr int num_factors = exponent ? 3 : 64;
  static constexpr int size = num_factors * (both_signs ? 2 : 1);

  static constexpr float factor(int i) noexcept {
    const bool negative = i >= num_factors;
    const int j = negative ? i - num_factors : i;
    if constexpr (exponent) {
      return j == 0 ? 1.0f : j == 1 ? 2.0f : 0.5f;
    }
    // 1, then 80/64 down to 17/64 without 1.
    const float f = j == 0 ? 1.0f : static_cast<float>(j <= 16 ? 81 - j : 80 - j) / 64.0f;
    return negative ? -f : f;
  }
};

/// Candidate i of the search around `base`.
template <class F>
constexpr block_fit search_candidate(const block_fit& base, int i) noexcept {
  const float factor = search_grid<F>::factor(i);
  block_fit f;
  f.low = base.low * factor;
  f.high = base.high * factor;
  if constexpr (F::has_shift && F::shift_type::kind != shift_kind::center) {
    f.scale = range_scale(f.low, f.high, F::rule.divisor);
  } else {
    f.scale = base.scale * factor;
  }
  f.beyond = f.scale == 0 && base.scale != 0 ? -1 : base.beyond;
  f.inverse = inverse_or_zero(f.scale);
  return f;
}

/// A power of two so small that its reciprocal is not a float: x / scale is exact, x * 0 is not.
template <class F>
constexpr bool needs_division(float scale) noexcept {
  return F::rule.how == quantizer_rule::fit::power_of_two && scale > 0 &&
         inverse_or_zero(scale) == 0;
}

/// Counts scale and shift of a block that did not survive: lost on the way to their types, or so
/// large that the codes at the ends decode to infinity (zero points are rounded).
/// @param shift  as computed; `stored_shift` if there is no range
template <class F>
constexpr void count_block(const stored_scale& s, float shift, float stored_shift, bool raw,
                           quantize_report& report) noexcept {
  using E = typename F::element;
  if (s.stored != s.stored && !s.finite) return;  // MX: NaN on purpose
  if (count_scale<F>(s, raw, report)) return;
  constexpr bool range = F::has_shift && F::shift_type::kind != shift_kind::center;
  if constexpr (range) {
    if (count_shift<F>(shift, stored_shift, s.stored, report)) return;
  }
  constexpr float top = range ? E::max : largest_magnitude<E>();
  constexpr float bottom = range ? E::lowest : -top;
  const bool fits = is_finite(value_of<F>(top, s.stored, stored_shift)) &&
                    is_finite(value_of<F>(bottom, s.stored, stored_shift));
  if (!fits) ++report.scale_overflow;
}

/// What codes are made with under a candidate: its scale and shift as they will be stored, where
/// that is known without their neighbours.
template <class F>
constexpr code_params candidate_params(const block_fit& f, bool divide) noexcept {
  code_params p;
  p.scale = round_scale<typename F::scale_format>(f.scale, scale_slack<F>);
  p.inverse = inverse_or_zero(p.scale);
  p.divide = divide || needs_division<F>(p.scale);
  if constexpr (F::has_shift && F::shift_type::kind != shift_kind::center) {
    p.shift = shift_of<F>(f.low, p.scale);
    if constexpr (element<typename F::shift_format>) {
      p.shift = F::shift_format::decode(F::shift_format::encode(p.shift, {}));
    }
  }
  return p;
}

/// The 16 partial sums of a block as one: halves are added to halves.
constexpr float sum_of_parts(std::array<float, 16> part) noexcept {
  for (std::size_t step = 8; step > 0; step /= 2) {
    for (std::size_t i = 0; i < step; ++i) part[i] += part[i + step];
  }
  return part[0];
}

/// Nearest rank of a percentile among n values: from 1 to n.
constexpr std::size_t percentile_rank(float percent, std::size_t n) noexcept {
  const double exact = static_cast<double>(percent) * static_cast<double>(n) / 100.0;
  std::size_t k = static_cast<std::size_t>(exact);
  if (static_cast<double>(k) < exact) ++k;
  return k < 1 ? 1 : k > n ? n : k;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_RULES_H_
