// SPDX-License-Identifier: Apache-2.0 OR MIT
// Importances of columns for scale_rule::weighted: which are taken, and how huge and tiny ones are
// brought where the searches can multiply them.
//
// A search multiplies three weights, its own sums and squares of values. Multiplying all weights by
// one power of two changes no byte unless something overflows or vanishes, so importances whose
// largest lies outside [2^-40, 2^40] are: their largest comes to lie in [2^30, 2^31).
#ifndef NIBBLE_FORMAT_IMPORTANCE_H_
#define NIBBLE_FORMAT_IMPORTANCE_H_

#include <cmath>
#include <memory>
#include <new>
#include <span>

#include "nibble/core/errors.h"
#include "nibble/format/scale_range.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// The largest importance, or NaN if one is negative, infinite or NaN.
inline float largest_importance(std::span<const float> importance) noexcept {
  float largest = 0;
  bool valid = true;
  for (const float v : importance) {
    valid = valid && v >= 0 && v <= float_max;
    largest = v > largest ? v : largest;
  }
  return valid ? largest : float_of(f32_inf | f32_quiet);
}

/// The power of two that importances are multiplied by; 1 for nearly all.
inline double importance_factor(float largest) noexcept {
  if (largest == 0 || (largest >= 0x1p-40f && largest <= 0x1p40f)) return 1;
  return std::ldexp(1.0, 30 - std::ilogb(largest));
}

inline void scale_importance(std::span<const float> from, double factor, float* to) noexcept {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = static_cast<float>(from[i] * factor);
}

/// Checks importances and, where they are huge or tiny, replaces them by a scaled copy in `copy`.
inline errc prepare_importance(std::span<const float>& importance,
                               std::unique_ptr<float[]>& copy) noexcept {
  const float largest = largest_importance(importance);
  if (is_nan(largest)) return errc::invalid_argument;
  const double factor = importance_factor(largest);
  if (factor == 1) return errc::ok;
  copy.reset(new (std::nothrow) float[importance.size()]);
  if (copy == nullptr) return errc::out_of_memory;
  scale_importance(importance, factor, copy.get());
  importance = {copy.get(), importance.size()};
  return errc::ok;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_IMPORTANCE_H_
