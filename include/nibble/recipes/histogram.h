// SPDX-License-Identifier: Apache-2.0 OR MIT
// A histogram whose counts do not depend on the order of values, and the ranges found from it.
//
//   -2^e                 0                  2^e     2048 bins a side, each 2^(e - 11) wide:
//    |----|----|----|----|----|----|----|----|      bin i holds i <= |x| / width < i + 1
//
// 2^e is the least power of two above every magnitude seen, 2^-138 at least (then the width is
// 2^-149, the smallest float). When a larger value comes, e grows and neighbouring pairs of bins
// are joined, which is exact: floor(floor(a) / 2) = floor(a / 2). So the counts are those of
// counting all values at the end, whatever the batches, and merging adds integers.
#ifndef NIBBLE_RECIPES_HISTOGRAM_H_
#define NIBBLE_RECIPES_HISTOGRAM_H_

#include "nibble/core/errors.h"
#include "nibble/recipes/detail/threshold_search.h"
#include "nibble/recipes/statistics.h"

namespace nibble::inline NIBBLE_ABI {

/// Counts per bin of one slot, 32 KiB; besides, least and greatest value. The ranges lie within
/// those. They need up to 16 KiB of stack; percentiles take microseconds, the others milliseconds.
class histogram : public min_max {
 public:
  static constexpr std::size_t num_bins = 2048;  ///< for each sign

  [[nodiscard]] double bin_width() const noexcept { return std::ldexp(1.0, exponent_ - 11); }
  /// Counts of all 4096 bins, the most negative first: bin i of x >= 0 (-0 too) is at 2048 + i, of
  /// x < 0 at 2047 - i.
  [[nodiscard]] std::span<const std::uint64_t> counts() const noexcept { return counts_; }

  /// Values up to the magnitude that `percent` percent do not exceed, to within a bin, all values
  /// below the first bin's end included. invalid_argument: percent is not in [0, 100].
  [[nodiscard]] result<value_range> percentile(double percent = 99.99) const noexcept {
    if (!(percent >= 0 && percent <= 100)) return errc::invalid_argument;
    const magnitudes m(*this);
    return limited(detail::percentile_threshold(m.used(), percent));
  }

  /// Values up to the magnitude with the least squared error of symmetric codes of `bits` bits.
  /// invalid_argument: bits is not in [2, 8].
  [[nodiscard]] result<value_range> mse(int bits = 8) const noexcept {
    if (bits < 2 || bits > 8) return errc::invalid_argument;
    const magnitudes m(*this);
    return limited(detail::mse_threshold(m.used(), (1 << (bits - 1)) - 1));
  }

  /// Values up to the magnitude whose symmetric codes of `bits` bits have the least divergence from
  /// the values (Kullback-Leibler; TensorRT). invalid_argument: bits is not in [2, 8].
  [[nodiscard]] result<value_range> entropy(int bits = 8) const noexcept {
    if (bits < 2 || bits > 8) return errc::invalid_argument;
    const magnitudes m(*this);
    return limited(detail::entropy_threshold(m.used(), std::size_t{1} << (bits - 1)));
  }

  /// The window, its ends found separately, with a small squared error of 256 codes (PyTorch
  /// HistogramObserver's search): for affine scales.
  [[nodiscard]] value_range window() const noexcept {
    std::size_t begin = 0;
    std::size_t end = 2 * num_bins;
    while (begin < end && counts_[begin] == 0) ++begin;
    while (end > begin && counts_[end - 1] == 0) --end;
    if (begin == end) return {};
    const detail::bin_counts used(counts_ + begin, end - begin);
    const detail::bin_window w = detail::search_window(used, 256);
    const value_range seen = range();
    const float low = at_edge(static_cast<double>(begin + w.begin) - num_bins);
    const float high = at_edge(static_cast<double>(begin + w.end) - num_bins);
    return {low > seen.min ? low : seen.min, high < seen.max ? high : seen.max};
  }

  void add(std::span<const float> values) noexcept {
    min_max::add(values);
    for (const float v : values) {
      if (detail::has_finite_bits(v)) place(std::bit_cast<std::uint32_t>(v));
    }
  }
  void merge(const histogram& other) noexcept {
    min_max::merge(other);
    widen(other.exponent_);
    const int joins = exponent_ - other.exponent_;
    for (std::size_t i = 0; i < num_bins; ++i) {
      const std::size_t to = joined(i, joins);
      counts_[num_bins + to] += other.counts_[num_bins + i];
      counts_[num_bins - 1 - to] += other.counts_[num_bins - 1 - i];
    }
  }

 private:
  /// Both signs together, up to the last bin that is not empty.
  struct magnitudes {
    std::uint64_t count[num_bins];
    std::size_t num_used = 0;

    explicit magnitudes(const histogram& h) noexcept {
      for (std::size_t i = 0; i < num_bins; ++i) {
        count[i] = h.counts_[num_bins + i] + h.counts_[num_bins - 1 - i];
        if (count[i] != 0) num_used = i + 1;
      }
    }
    [[nodiscard]] detail::bin_counts used() const noexcept { return {count, num_used}; }
  };

  /// The bin that bin i is part of after `joins` joins of pairs. Eleven leave one bin.
  [[nodiscard]] static constexpr std::size_t joined(std::size_t i, int joins) noexcept {
    return i >> (joins < 11 ? joins : 11);
  }

  /// An edge as a float; at 2^128, the largest float.
  [[nodiscard]] float at_edge(double bins) const noexcept {
    const double v = bins * bin_width();
    constexpr double largest = std::numeric_limits<float>::max();
    return static_cast<float>(v > largest ? largest : v < -largest ? -largest : v);
  }

  [[nodiscard]] value_range limited(double threshold) const noexcept {
    return range().within(at_edge(threshold));
  }

  /// A magnitude is m * 2^(e - 150), m < 2^24, so its bin is m >> (exponent_ + 139 - e), and 2^(e -
  /// 126) is above it. 12 bits are shifted out at least of m >= 2^23, none of a subnormal's m in
  /// the narrowest bins.
  void place(std::uint32_t bits) noexcept {
    const bool subnormal = (bits & 0x7F800000) == 0;
    const int e = subnormal ? 1 : static_cast<int>((bits >> 23) & 0xFF);
    const std::uint32_t m = (bits & 0x7FFFFF) | (subnormal ? 0u : 0x800000u);
    const int above = subnormal ? static_cast<int>(std::bit_width(m)) - 149 : e - 126;
    if (above > exponent_) widen(above);
    const int shift = exponent_ + 139 - e;
    const std::size_t i = shift < 32 ? m >> shift : 0;
    const bool negative = (bits >> 31) != 0 && m != 0;
    ++counts_[negative ? num_bins - 1 - i : num_bins + i];
  }

  void widen(int exponent) noexcept {
    if (exponent <= exponent_) return;
    const int joins = exponent - exponent_;
    exponent_ = exponent;
    for (std::size_t i = 1; i < num_bins; ++i) {  // bin 0 stays; no bin moves up
      const std::size_t to = joined(i, joins);
      move_count(num_bins + i, num_bins + to);
      move_count(num_bins - 1 - i, num_bins - 1 - to);
    }
  }
  void move_count(std::size_t from, std::size_t to) noexcept {
    const std::uint64_t n = counts_[from];
    counts_[from] = 0;
    counts_[to] += n;
  }

  std::uint64_t counts_[2 * num_bins] = {};
  int exponent_ = -138;
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_RECIPES_HISTOGRAM_H_
