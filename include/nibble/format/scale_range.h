// SPDX-License-Identifier: Apache-2.0 OR MIT
// Scales at the ends of their type's range: how they are stored, and which of them count as lost.
//
//   value of a block   0      max|x| that a scale of one unit reaches             max|x| that fits
//   -------------------|------------------|----------------------------------------------|--------
//   stored as          0      raised      |  nearest; the next larger one where the      clamped
//                             to one unit |  nearest would clip by more than half a step
//   report                    underflow                                                  overflow
//
// GGML's bytes are a contract: its scales do become 0 and infinity ("raw"), and are counted.
#ifndef NIBBLE_FORMAT_SCALE_RANGE_H_
#define NIBBLE_FORMAT_SCALE_RANGE_H_

#include <cstddef>

#include "nibble/core/arith.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/block.h"

namespace nibble::inline NIBBLE_ABI {

/// What quantize() met on its way. A scale that has a scale itself (nvfp4, K-quants) counts where
/// it becomes zero, and the scale above it counts on its own.
struct quantize_report {
  std::size_t non_finite = 0;  ///< blocks that held NaN or an infinity
  /// Scales, minimums and offsets that were clamped to their type's largest value or became
  /// infinite, and scales that could not be computed for their values.
  std::size_t scale_overflow = 0;
  /// Scales of values other than zero that were raised, that became zero or are too small to divide
  /// by, and those of GGML that rounding moves by more than half a step of the largest value.
  std::size_t scale_underflow = 0;

  /// Counts of other rows are added.
  constexpr quantize_report& operator+=(const quantize_report& other) noexcept {
    non_finite += other.non_finite;
    scale_overflow += other.scale_overflow;
    scale_underflow += other.scale_underflow;
    return *this;
  }
};

namespace detail {

inline constexpr float float_max = 3.40282347e+38f;

constexpr bool is_finite(float x) noexcept { return x <= float_max && x >= -float_max; }
constexpr float magnitude_of(float x) noexcept { return x < 0 ? -x : x; }

/// 1 / s, and 0 where that is not finite.
constexpr float inverse_or_zero(float s) noexcept {
  const float inverse = s != 0 ? 1.0f / s : 0.0f;
  return is_finite(inverse) ? inverse : 0.0f;
}

// --- half a step -----------------------------------------------------------

/// The distance from the largest level of an element to the next smaller one, over the largest.
template <class E>
consteval float top_step() {
  if constexpr (integer_element<E>) {
    return 1.0f / E::max;
  } else {
    constexpr float sign = E::max > -E::lowest ? 1.0f : -1.0f;
    constexpr float top = sign > 0 ? E::max : -E::lowest;
    float next = -top;
    for (unsigned c = 0; c < 1u << E::bits; ++c) {
      const float value = E::decode(static_cast<typename E::code>(c));
      if (!is_finite(value)) continue;
      const float level = sign * value;
      if (level < top && level > next) next = level;
    }
    return (top - next) / top;
  }
}

/// A scale may be smaller than the one asked for by this part of itself: then the largest value of
/// a block is off by half a step. With a range, its two ends together.
template <class F>
inline constexpr float scale_slack = [] {
  using E = typename F::element;
  if constexpr (F::has_shift && F::shift_type::kind != shift_kind::center) {
    return 0.5f / (E::max - E::lowest);
  } else {
    return 0.5f * top_step<E>();
  }
}();

/// Is `kept` too small for a scale of that size?
constexpr bool clips(float size, float kept, float slack) noexcept {
  return size > mul_then_add(kept, slack, kept);
}

// --- storing ---------------------------------------------------------------

/// Minifloats: code 1 is the smallest magnitude.
template <class S>
inline constexpr bool keeps_nonzero = requires {
  S::exponent_bits;
  S::mantissa_bits;
};

/// The largest code of a type whose next code is the next larger magnitude, without the sign; 0 for
/// other types.
template <class S>
inline constexpr std::uint32_t largest_scale_code = 0;
template <class S>
requires keeps_nonzero<S>
inline constexpr std::uint32_t largest_scale_code<S> = S::max_code;
template <>
inline constexpr std::uint32_t largest_scale_code<e8m0> = 0xFE;
template <>
inline constexpr std::uint32_t largest_scale_code<e8m0_half> = 0xFF;

/// Only magnitudes below this code can stand for a scale too small: where half the distance to the
/// next code is more than `slack` of the code's value. Few subnormals, in a type with mantissa bits
/// enough for the codes; else all.
template <class S>
constexpr std::uint32_t num_scales_to_check(float slack) noexcept {
  if constexpr (keeps_nonzero<S>) {
    constexpr float normal = exp2i(-S::mantissa_bits - 1);
    if (slack < normal) return largest_scale_code<S> + 1;
    return static_cast<std::uint32_t>(0.5f / slack) + 1;
  } else {
    return largest_scale_code<S> != 0 && slack < 0.5f ? largest_scale_code<S> + 1 : 0;
  }
}

/// Encodes one scale in element S: nearest, clamped to the largest value; one larger where the
/// nearest is zero, so that a block keeps some of its values rather than none, or so small that the
/// block's largest value would clip by more than half a step. `raw` does neither, as GGML.
template <class S>
constexpr typename S::code encode_scale(float s, bool raw, float slack) noexcept {
  if (raw) return S::encode(s, {.over = overflow::to_special});
  typename S::code c = S::encode(s, {});
  if constexpr (largest_scale_code<S> != 0) {
    std::uint32_t size = c;
    if constexpr (keeps_nonzero<S>) size &= S::sign_mask - 1;
    const bool small = clips(magnitude_of(s), magnitude_of(S::decode(c)), slack);
    if (small && size < largest_scale_code<S>) c = static_cast<typename S::code>(c + 1u);
  }
  return c;
}

/// A scale as it will be read back, where that is known without its neighbours.
template <class S>
constexpr float round_scale(float s, float slack) noexcept {
  if constexpr (element<S>) {
    return S::decode(encode_scale<S>(s, false, slack));
  } else {
    return s;
  }
}

// --- counting --------------------------------------------------------------

/// A scale and what became of it.
struct stored_scale {
  float computed = 0;
  float stored = 0;
  int beyond = 0;      ///< -1, 1: the scale should be smaller, larger than `computed` can be
  bool finite = true;  ///< all values of the block are numbers
};

/// Counts a scale of element S that did not survive. True if it did not.
template <element S>
constexpr bool count_element_scale(const stored_scale& s, float slack, bool raw,
                                   quantize_report& report) noexcept {
  const float size = magnitude_of(s.computed);
  const float kept = magnitude_of(s.stored);
  if (size > S::max && s.stored != s.computed) {
    ++report.scale_overflow;
    return true;
  }
  bool lost = kept == 0 ||
              (raw ? magnitude_of(size - kept) > rounded(slack * kept) : clips(size, kept, slack));
  if constexpr (largest_scale_code<S> != 0) {
    const float least = S::decode(static_cast<typename S::code>(keeps_nonzero<S> ? 1 : 0));
    lost = lost || (kept == least && size < kept);  // raised
  }
  if (lost) ++report.scale_underflow;
  return lost;
}

/// Counts the scale of a block of format F that did not survive. True if it did not.
template <class F>
constexpr bool count_scale(const stored_scale& s, bool raw, quantize_report& report) noexcept {
  using S = typename F::scale_format;
  const bool is_number = is_finite(s.computed) && is_finite(s.stored);
  if (s.beyond > 0 || !is_number) {
    ++report.scale_overflow;
    return true;
  }
  if (s.beyond < 0) {
    ++report.scale_underflow;
    return true;
  }
  if (s.computed == 0) return false;
  constexpr bool power_of_two = F::rule.how == quantizer_rule::fit::power_of_two;
  if (!power_of_two && s.stored != 0 && inverse_or_zero(s.stored) == 0) {  // all codes are zero
    ++report.scale_underflow;
    return true;
  }
  if constexpr (element<S>) {
    return count_element_scale<S>(s, scale_slack<F>, raw, report);
  } else {
    if (s.stored == 0) ++report.scale_underflow;
    return s.stored == 0;
  }
}

/// Counts the shift of a block that did not survive, where the scale did. An integer zero point
/// fits if the scale does.
/// @return whether it did not
template <class F>
constexpr bool count_shift(float computed, float stored, float scale,
                           quantize_report& report) noexcept {
  using Z = typename F::shift_format;
  if constexpr (element<Z> && !integer_element<Z>) {
    if (magnitude_of(computed) > Z::max && stored != computed) {
      ++report.scale_overflow;
      return true;
    }
    const bool is_all = F::shift_type::kind == shift_kind::offset && scale == 0;
    if (is_all && computed != 0 && stored == 0) {
      ++report.scale_underflow;
      return true;
    }
  }
  return false;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_SCALE_RANGE_H_
