// SPDX-License-Identifier: Apache-2.0 OR MIT
// Where to clip: searches over a histogram. All lengths are in bins, so widths play no part.
//
// The first three look at magnitudes: counts[i] values with i <= |x| < i + 1, the last count not
// zero. They are TensorRT's calibrators as NVIDIA's Model Optimizer has them
// (modelopt/torch/quantization/calib/histogram.py). The last looks at both signs.
#ifndef NIBBLE_RECIPES_DETAIL_THRESHOLD_SEARCH_H_
#define NIBBLE_RECIPES_DETAIL_THRESHOLD_SEARCH_H_

#include <cmath>
#include <limits>
#include <span>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

using bin_counts = std::span<const std::uint64_t>;

/// Thresholds below so many bins are not tried.
inline constexpr std::size_t least_threshold = 128;

[[nodiscard]] constexpr double sum_of(bin_counts counts) noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : counts) sum += n;
  return static_cast<double>(sum);
}

/// The lower edge of the first bin by whose end `percent` of all values have been seen. Of the
/// first bin it is the upper edge: a threshold of 0 would clip everything.
[[nodiscard]] constexpr double percentile_threshold(bin_counts counts, double percent) noexcept {
  const double wanted = percent / 100 * sum_of(counts);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i];
    if (static_cast<double>(seen) >= wanted) return i == 0 ? 1 : static_cast<double>(i);
  }
  return static_cast<double>(counts.size());
}

/// sum of counts[j] * error(j)^2, where the bins' centres j + 1/2 are rounded to multiples of
/// (i + 1/2) / levels and clamped to i + 1/2.
///
/// In whole numbers: error * 2 levels = e = q (2 i + 1) - levels (2 j + 1), where q is the multiple
/// nearest to centre j. From j to j + 1 it loses 2 levels, and gains 2 i + 1 when q moves on. There
/// are no ties: 2 e is even, 2 i + 1 odd.
[[nodiscard]] constexpr double squared_error(bin_counts counts, std::size_t i,
                                             int levels) noexcept {
  const std::int64_t step = 2 * static_cast<std::int64_t>(i) + 1;
  std::int64_t e = -levels;
  int q = 0;
  double sum = 0;
  for (const std::uint64_t n : counts) {
    for (; q < levels && 2 * e < -step; ++q) e += step;
    if (n != 0) sum += static_cast<double>(n) * static_cast<double>(e * e);
    e -= 2 * levels;
  }
  return sum;
}

/// The centre of a bin, from bin 128 on, that loses least when rounded to `levels` steps; the
/// smallest of equals. The end of the last bin if there are no more than 128.
[[nodiscard]] constexpr double mse_threshold(bin_counts counts, int levels) noexcept {
  double best = static_cast<double>(counts.size());
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = least_threshold; i < counts.size(); ++i) {
    const double error = squared_error(counts, i, levels);
    if (error < least) {
      least = error;
      best = static_cast<double>(i) + 0.5;
    }
  }
  return best;
}

/// Count of bin j as the entropy search sees it: bin 0 gets what bin 1 has, which drops the spike
/// of exact zeros.
[[nodiscard]] constexpr std::uint64_t without_spike(bin_counts counts, std::size_t j) noexcept {
  return j == 0 ? counts.size() > 1 ? counts[1] : 0 : counts[j];
}

[[nodiscard]] inline double x_log_x(double x) noexcept { return x > 0 ? x * std::log(x) : 0; }

/// sum over ranges of s ln(s / n), where bins [0, i) are split into `ranges` ranges of i / ranges
/// bins, s is the sum of the counts of a range and n the number of its bins that are not empty.
/// `last` is s / n of the last range.
[[nodiscard]] inline double range_logs(bin_counts counts, std::size_t i, std::size_t ranges,
                                       double& last) noexcept {
  double sum = 0;
  last = 0;
  for (std::size_t r = 0, j = 0; r < ranges; ++r) {
    std::uint64_t s = 0;
    std::uint64_t n = 0;
    for (; j < i && j * ranges < (r + 1) * i; ++j) {
      const std::uint64_t count = without_spike(counts, j);
      s += count;
      n += count != 0 ? 1 : 0;
    }
    last = n == 0 ? 0 : static_cast<double>(s) / static_cast<double>(n);
    if (n != 0) sum += static_cast<double>(s) * std::log(last);
  }
  return sum;
}

/// The edge i, from 128 on, with the smallest divergence D = sum P ln(P / Q); the largest of
/// equals. P: bins [0, i), all later counts added to bin i - 1. Q: the counts of each range of
/// bins, spread evenly over its bins that are not empty. Both normalised.
///
/// With counts p, q, their totals T and S, and Q constant within a range, D T is
///   sum p ln p - sum over ranges of s ln(s / n) - beyond ln(q of bin i - 1) + T ln(S / T),
/// which needs one logarithm per range instead of two per bin. The first sum grows with i. If bin
/// i - 1 is empty and values lie beyond it, Q is zero where P is not: D is infinite.
[[nodiscard]] inline double entropy_threshold(bin_counts counts, std::size_t ranges) noexcept {
  const std::size_t size = counts.size();
  double best = static_cast<double>(size);
  double least = std::numeric_limits<double>::infinity();
  std::uint64_t all = 0;
  for (std::size_t j = 0; j < size; ++j) all += without_spike(counts, j);
  const double total = static_cast<double>(all);
  std::uint64_t within = 0;  // [0, i)
  double inner = 0;          // sum of p ln p over [0, i - 1)
  for (std::size_t i = 1; i <= size; ++i) {
    const std::uint64_t edge = without_spike(counts, i - 1);
    within += edge;
    const std::uint64_t beyond = all - within;
    if (i >= least_threshold && within != 0 && (edge != 0 || beyond == 0)) {
      double q = 0;
      double d = inner + x_log_x(static_cast<double>(edge + beyond));
      d -= range_logs(counts, i, ranges, q);
      if (beyond != 0) d -= static_cast<double>(beyond) * std::log(q);
      d += total * std::log(static_cast<double>(within) / total);
      if (d <= least) {
        least = d;
        best = static_cast<double>(i);
      }
    }
    inner += x_log_x(static_cast<double>(edge));
  }
  return best;
}

/// Bins [begin, end).
struct bin_window {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Integral of the squared distance from 0 to t, t in bins from the window's start, to the centres
/// of `levels` steps of width d, the nearest of them.
[[nodiscard]] inline double error_integral(double t, double d, int levels) noexcept {
  double k = std::floor(t / d);
  k = k < 0 ? 0 : k > levels - 1 ? levels - 1 : k;
  const double to_end = t - (k + 0.5) * d;
  return k * (d * d * d) / 12 + (to_end * to_end * to_end + d * d * d / 8) / 3;
}

/// What is lost when values spread evenly within each bin are rounded to `levels` steps of a
/// window.
[[nodiscard]] inline double window_error(bin_counts counts, bin_window w, int levels) noexcept {
  const double d = static_cast<double>(w.end - w.begin) / levels;
  double sum = 0;
  for (std::size_t j = 0; j < counts.size(); ++j) {
    if (counts[j] == 0) continue;
    const double t = static_cast<double>(j) - static_cast<double>(w.begin);
    const double part = error_integral(t + 1, d, levels) - error_integral(t, d, levels);
    sum += static_cast<double>(counts[j]) * part;
  }
  return sum;
}

/// PyTorch HistogramObserver (`_non_linear_param_search`): from all bins, the window's ends move
/// inwards by quantiles of 1e-5, the one that skips more bins first, as long as the error does not
/// grow. The first step is always taken.
[[nodiscard]] inline bin_window search_window(bin_counts counts, int levels) noexcept {
  const double total = sum_of(counts);
  if (total == 0) return {0, counts.size()};
  std::size_t first = 0;
  std::size_t last = counts.size() - 1;
  double to_first = static_cast<double>(counts[first]);  // values in bins [0, first]
  double to_last = total;                                // values in bins [0, last]
  double least = std::numeric_limits<double>::infinity();
  for (double alpha = 0, beta = 1; alpha < beta;) {
    const double next_alpha = alpha + 1e-5;
    const double next_beta = beta - 1e-5;
    std::size_t l = first;
    std::size_t r = last;
    double to_l = to_first;
    double to_r = to_last;
    while (l < last && to_l < next_alpha * total) to_l += static_cast<double>(counts[++l]);
    while (r > first && to_r > next_beta * total) to_r -= static_cast<double>(counts[r--]);
    const bool from_left = l - first > last - r;
    (from_left ? alpha : beta) = from_left ? next_alpha : next_beta;
    if (from_left ? l == first : r == last) continue;
    const bin_window next{from_left ? l : first, (from_left ? last : r) + 1};
    const double error = window_error(counts, next, levels);
    if (error > least) break;
    least = error;
    if (from_left) first = l, to_first = to_l;
    if (!from_left) last = r, to_last = to_r;
  }
  return {first, last + 1};
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_RECIPES_DETAIL_THRESHOLD_SEARCH_H_
