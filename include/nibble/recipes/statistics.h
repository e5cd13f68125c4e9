// SPDX-License-Identifier: Apache-2.0 OR MIT
// What observers keep of the values of one slot: range, averaged range, second moment.
//
// A statistic has add(values), end_batch(constant) and merge(later), and a range(). NaN and
// infinities are passed over and counted. What is kept, but for averages, is made of integers,
// minima and maxima: it does not depend on the order of values or on how they are split.
#ifndef NIBBLE_RECIPES_STATISTICS_H_
#define NIBBLE_RECIPES_STATISTICS_H_

#include <bit>
#include <limits>
#include <span>

#include "nibble/recipes/detail/exact_sum.h"
#include "nibble/recipes/static_scale.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Told by the bits, so it holds under -ffast-math too.
constexpr bool has_finite_bits(float x) noexcept {
  return (std::bit_cast<std::uint32_t>(x) & 0x7F800000) != 0x7F800000;
}

}  // namespace detail

/// Least and greatest value, exact in any order. Part of every other statistic.
class min_max {
 public:
  /// {0, 0} before the first finite value. -0 counts as 0.
  [[nodiscard]] constexpr value_range range() const noexcept {
    if (count_ == 0) return {};
    return {min_ + 0.0f, max_ + 0.0f};
  }
  [[nodiscard]] constexpr std::uint64_t count() const noexcept { return count_; }  ///< finite ones
  [[nodiscard]] constexpr std::uint64_t non_finite() const noexcept { return non_finite_; }

  constexpr void add(std::span<const float> values) noexcept {
    float low = min_;
    float high = max_;
    std::uint64_t skipped = 0;
    for (const float v : values) {
      if (!detail::has_finite_bits(v)) {
        ++skipped;
        continue;
      }
      low = v < low ? v : low;
      high = v > high ? v : high;
    }
    min_ = low;
    max_ = high;
    non_finite_ += skipped;
    count_ += values.size() - skipped;
  }
  constexpr void end_batch(double) noexcept {}
  constexpr void merge(const min_max& other) noexcept {
    min_ = other.min_ < min_ ? other.min_ : min_;
    max_ = other.max_ > max_ ? other.max_ : max_;
    count_ += other.count_;
    non_finite_ += other.non_finite_;
  }

 private:
  float min_ = std::numeric_limits<float>::max();
  float max_ = std::numeric_limits<float>::lowest();
  std::uint64_t count_ = 0;
  std::uint64_t non_finite_ = 0;
};

/// Moving average of the batches' ranges: the first batch sets it, then
/// min += constant * (batch_min - min), and max alike (PyTorch MovingAverageMinMaxObserver).
///
/// Averaging batches 1 .. n is an affine map of what was there before them, v -> keep * v + sum
/// with keep = (1 - constant)^n, and applied to the first batch's own range it gives the average of
/// these batches alone. Maps compose, so averages merge: earlier.merge(later) is the average over
/// both runs. In double, associative up to its rounding; rounded to float by range().
class moving_average : public min_max {
 public:
  [[nodiscard]] constexpr value_range range() const noexcept {
    if (batches_ == 0) return {};
    return {static_cast<float>(keep_ * double{first_.min} + min_sum_),
            static_cast<float>(keep_ * double{first_.max} + max_sum_)};
  }
  /// Batches with at least one finite value; others leave the average as it is.
  [[nodiscard]] constexpr std::uint64_t batches() const noexcept { return batches_; }

  constexpr void add(std::span<const float> values) noexcept { batch_.add(values); }
  constexpr void end_batch(double constant) noexcept {
    min_max::merge(batch_);
    const bool any = batch_.count() != 0;
    const value_range r = batch_.range();
    batch_ = {};
    if (any) append(r, 1, 1 - constant, constant * double{r.min}, constant * double{r.max});
  }
  constexpr void merge(const moving_average& later) noexcept {
    min_max::merge(later);
    if (later.batches_ == 0) return;
    append(later.first_, later.batches_, later.keep_, later.min_sum_, later.max_sum_);
  }

 private:
  constexpr void append(value_range first, std::uint64_t batches, double keep, double min_sum,
                        double max_sum) noexcept {
    if (batches_ == 0) first_ = first;
    batches_ += batches;
    min_sum_ = keep * min_sum_ + min_sum;
    max_sum_ = keep * max_sum_ + max_sum;
    keep_ *= keep;
  }

  min_max batch_;
  value_range first_;
  std::uint64_t batches_ = 0;
  double keep_ = 1;
  double min_sum_ = 0;
  double max_sum_ = 0;
};

/// Sum of x^2: of a channel, its importance (llama.cpp's imatrix; diagonal of GPTQ's Hessian, up to
/// a factor). The sum is exact in any order and rounded once, when asked for.
class second_moment : public min_max {
 public:
  [[nodiscard]] double sum_squares() const noexcept { return squares_.value(); }
  /// sum_squares() / count(); 0 for no values.
  [[nodiscard]] double mean_square() const noexcept {
    return count() == 0 ? 0 : squares_.value() / static_cast<double>(count());
  }

  constexpr void add(std::span<const float> values) noexcept {
    min_max::add(values);
    for (const float v : values) {
      if (detail::has_finite_bits(v)) squares_.add(v);
    }
  }
  constexpr void merge(const second_moment& other) noexcept {
    min_max::merge(other);
    squares_.merge(other.squares_);
  }

 private:
  detail::exact_square_sum squares_;
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_RECIPES_STATISTICS_H_
