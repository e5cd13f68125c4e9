// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which weights are outliers.
//
// A score for every weight or column, and a cut through the scores: that is all six rules. Scores
// are doubles of no sign, whose bits grow with them.
#ifndef NIBBLE_FORMAT_OUTLIER_RULE_H_
#define NIBBLE_FORMAT_OUTLIER_RULE_H_

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "nibble/core/errors.h"
#include "nibble/element/element.h"

namespace nibble::inline NIBBLE_ABI {

/// What a fraction is a fraction of.
enum class outlier_scope : std::uint8_t { row, tensor };

enum class outlier_kind : std::uint8_t {
  above,
  largest,
  sensitive,
  columns,
  columns_above,
  columns_largest
};

/// Type of outliers. automatic: the narrowest of bf16, f16 and f32 that holds all exactly.
enum class outlier_type : std::uint8_t { automatic, bf16, f16, f32 };

/// Which weights of an [n x k] matrix are outliers: single ones, or whole columns. Made by the
/// functions below; points to the arrays it is given. A weight of zero is never a single outlier.
struct outlier_rule {
  outlier_kind kind = outlier_kind::above;
  outlier_scope scope = outlier_scope::row;
  float threshold = std::numeric_limits<float>::infinity();
  double fraction = 0;
  std::span<const float> statistic;     ///< [k]
  std::span<const std::uint32_t> list;  ///< columns, in any order

  /// Weights with |w| >= threshold. 0: all but zeros; infinity: none.
  [[nodiscard]] static constexpr outlier_rule above(float threshold) noexcept {
    outlier_rule r;
    r.threshold = threshold;
    return r;
  }

  /// The largest magnitudes: fraction * k of every row or fraction * n * k of the matrix, to the
  /// nearest whole number (half: one more). Of equal ones those in lower rows and columns.
  [[nodiscard]] static constexpr outlier_rule largest(
      double fraction, outlier_scope scope = outlier_scope::row) noexcept {
    outlier_rule r;
    r.kind = outlier_kind::largest;
    r.scope = scope;
    r.fraction = fraction;
    return r;
  }

  /// As largest(), but by w^2 * second_moments[k]: what a product's squared error is expected to
  /// grow by if the weight becomes zero (inputs that do not correlate).
  ///
  /// @param second_moments  [k], means of x^2, at least 0
  [[nodiscard]] static constexpr outlier_rule sensitive(
      double fraction, std::span<const float> second_moments,
      outlier_scope scope = outlier_scope::row) noexcept {
    outlier_rule r = largest(fraction, scope);
    r.kind = outlier_kind::sensitive;
    r.statistic = second_moments;
    return r;
  }

  /// Whole columns, in any order; one may occur twice.
  [[nodiscard]] static constexpr outlier_rule columns(
      std::span<const std::uint32_t> list) noexcept {
    outlier_rule r;
    r.kind = outlier_kind::columns;
    r.list = list;
    return r;
  }

  /// Columns whose statistic, say the largest activation, is threshold at least. Infinity: none.
  ///
  /// @param statistic  [k], at least 0
  [[nodiscard]] static constexpr outlier_rule columns_above(std::span<const float> statistic,
                                                            float threshold) noexcept {
    outlier_rule r = above(threshold);
    r.kind = outlier_kind::columns_above;
    r.statistic = statistic;
    return r;
  }

  /// The fraction of columns whose statistics are largest; counted and chosen as by largest().
  [[nodiscard]] static constexpr outlier_rule columns_largest(std::span<const float> statistic,
                                                              double fraction) noexcept {
    outlier_rule r = largest(fraction);
    r.kind = outlier_kind::columns_largest;
    r.statistic = statistic;
    return r;
  }
};

namespace detail {

constexpr bool picks_columns(const outlier_rule& r) noexcept {
  return r.kind >= outlier_kind::columns;
}

/// ok, invalid_argument or shape_mismatch.
inline errc check_rule(const outlier_rule& r, std::size_t cols) noexcept {
  const auto is_number = [](float v) { return !is_nan(v) && v >= 0; };
  if (r.kind > outlier_kind::columns_largest || r.scope > outlier_scope::tensor) {
    return errc::invalid_argument;
  }
  if (!is_number(r.threshold)) return errc::invalid_argument;
  if (!(r.fraction >= 0 && r.fraction <= 1)) return errc::invalid_argument;
  const bool has_statistic = r.kind == outlier_kind::sensitive ||
                             r.kind == outlier_kind::columns_above ||
                             r.kind == outlier_kind::columns_largest;
  if (has_statistic && r.statistic.size() != cols) return errc::shape_mismatch;
  for (const float v : r.statistic) {
    if (!is_number(v)) return errc::invalid_argument;
  }
  if (!r.list.empty() && r.list.data() == nullptr) return errc::invalid_argument;
  for (const std::uint32_t c : r.list) {
    if (c >= cols) return errc::invalid_argument;
  }
  return errc::ok;
}

constexpr std::uint64_t score_bits(double score) noexcept {
  return std::bit_cast<std::uint64_t>(score);
}

/// Takes scores above `key`, and the first `num_equal` that are equal to it.
struct outlier_cut {
  std::uint64_t key = 0;
  std::size_t num_equal = std::numeric_limits<std::size_t>::max();

  constexpr bool takes(std::uint64_t score) noexcept {
    if (score != key) return score > key;
    if (num_equal == 0) return false;
    --num_equal;
    return true;
  }
};

inline std::size_t count_of(double fraction, std::size_t size) noexcept {
  const auto count = static_cast<std::size_t>(std::llround(fraction * static_cast<double>(size)));
  return count < size ? count : size;
}

/// The cut that takes the `count` largest of the scores that for_each(fn) calls fn with, or all.
/// Finds its key a byte at a time, from the top, by counting: 8 passes, no memory.
template <class ForEach>
inline outlier_cut cut_of_largest(std::size_t count, ForEach&& for_each) noexcept {
  outlier_cut cut;
  if (count == 0) return {std::numeric_limits<std::uint64_t>::max(), 0};
  for (int shift = 56; shift >= 0; shift -= 8) {
    std::array<std::size_t, 256> seen{};
    for_each([&](std::uint64_t score) {
      if (shift == 56 || score >> (shift + 8) == cut.key >> (shift + 8))
        ++seen[score >> shift & 255];
    });
    std::size_t byte = 256;
    while (byte != 0 && seen[byte - 1] < count) count -= seen[--byte];
    if (byte == 0) return {};  // there are not as many: all
    cut.key |= std::uint64_t{byte - 1} << shift;
  }
  cut.num_equal = count;
  return cut;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_OUTLIER_RULE_H_
