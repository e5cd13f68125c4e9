// SPDX-License-Identifier: Apache-2.0 OR MIT
// A range of values, and the scale and zero point that quantize it to int8.
//
// For x quantized as code = clamp(RNE(x * fl(1 / scale)) + zero_point, -128, 127), which stands for
// (code - zero_point) * scale. Everything is float32, one rounding per operation.
#ifndef NIBBLE_RECIPES_STATIC_SCALE_H_
#define NIBBLE_RECIPES_STATIC_SCALE_H_

#include <limits>
#include <span>

#include "nibble/core/arith.h"
#include "nibble/core/errors.h"

namespace nibble::inline NIBBLE_ABI {

/// Values from min to max, both finite, min <= max. {0, 0} where nothing was seen.
struct value_range {
  float min = 0;
  float max = 0;

  /// The largest magnitude.
  [[nodiscard]] constexpr float amax() const noexcept { return -min > max ? -min : max; }

  /// Both ends clamped to [-limit, limit].
  [[nodiscard]] constexpr value_range within(float limit) const noexcept {
    NIBBLE_ASSERT(limit >= 0, "a limit of magnitudes is not negative");
    const auto clamp = [limit](float v) { return v > limit ? limit : v < -limit ? -limit : v; };
    return {clamp(min), clamp(max)};
  }

  [[nodiscard]] friend constexpr bool operator==(value_range, value_range) noexcept = default;
};

/// What x is divided by, and the code of x = 0.
struct static_scale {
  float scale = 1;  ///< positive, with a finite reciprocal
  std::int32_t zero_point = 0;

  [[nodiscard]] friend constexpr bool operator==(static_scale, static_scale) noexcept = default;
};

/// How a range becomes a scale. The defaults are nibble's; PyTorch's observers use the other two.
struct scale_options {
  float divisor = 127;            ///< symmetric: scale = amax / divisor, divisor >= 1
  float least_scale = 0x1p-126f;  ///< smaller scales become this one; at least 2^-126
};
inline constexpr float torch_divisor = 127.5f;
inline constexpr float torch_least_scale = 0x1p-23f;

namespace detail {

/// A finite range, and options of their kind.
constexpr bool are_scale_arguments(value_range r, scale_options o) noexcept {
  constexpr float largest = std::numeric_limits<float>::max();
  return -largest <= r.min && r.min <= r.max && r.max <= largest &&  //
         1 <= o.divisor && o.divisor <= 0x1p23f &&                   //
         0x1p-126f <= o.least_scale && o.least_scale <= 0x1p100f;
}
/// Results by this scale are NaN.
inline constexpr static_scale no_scale{std::numeric_limits<float>::quiet_NaN(), 0};

}  // namespace detail

/// Scale of a range around zero: max(amax / divisor, least_scale), zero point 0.
///
/// A range of nothing but zero, or an empty one, has scale 1: zeros stay zeros, and a value that
/// comes against expectation is rounded to a whole number rather than lost. A range that is not
/// finite and ordered, or an option outside its range, has scale NaN, which products hand on.
[[nodiscard]] constexpr static_scale symmetric_scale(value_range r, scale_options o = {}) noexcept {
  if (!detail::are_scale_arguments(r, o)) return detail::no_scale;
  const float amax = r.amax();
  if (amax == 0) return {};
  const float scale = amax / o.divisor;
  return {scale < o.least_scale ? o.least_scale : scale, 0};
}

/// Scale and zero point of any range, widened to contain zero, for all 256 codes:
///
///   scale = max((max - min) / 255, least_scale),  zero_point = -128 - RNE(min / scale), clamped
///
/// as PyTorch's observers compute them (`_calculate_qparams`; their least scale is 2^-23). Where
/// max - min overflows, scale = max / 255 - min / 255. {0, 0} has scale 1 and zero point 0.
/// `divisor` is not used. Wrong arguments: as for symmetric_scale().
[[nodiscard]] constexpr static_scale affine_scale(value_range r, scale_options o = {}) noexcept {
  if (!detail::are_scale_arguments(r, o)) return detail::no_scale;
  const float low = r.min < 0 ? r.min : 0;
  const float high = r.max > 0 ? r.max : 0;
  if (low == high) return {};
  const float span = high - low;
  const bool fits = span <= std::numeric_limits<float>::max();
  float scale = fits ? span / 255 : high / 255 - low / 255;
  if (scale < o.least_scale) scale = o.least_scale;
  const auto below_zero = static_cast<std::int32_t>(detail::nearest_integer(low / scale));
  const std::int32_t zero_point = -128 - below_zero;
  return {scale, zero_point > 127 ? 127 : zero_point};  // low <= 0, so it is at least -128
}

/// Symmetric scales of many ranges, one each: of channels, tokens or groups. shape_mismatch: their
/// numbers differ.
[[nodiscard]] constexpr errc symmetric_scales(std::span<const value_range> ranges,
                                              std::span<float> scales,
                                              scale_options o = {}) noexcept {
  if (ranges.size() != scales.size()) return errc::shape_mismatch;
  for (std::size_t i = 0; i < ranges.size(); ++i) scales[i] = symmetric_scale(ranges[i], o).scale;
  return errc::ok;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_RECIPES_STATIC_SCALE_H_
