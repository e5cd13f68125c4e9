// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of recipes/histogram.h: counts against counting all values at the end, and every search
// against a slow one written from its definition on explicit arrays.
#include "nibble/recipes/histogram.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "support/cases.h"
#include "support/catch.h"

using nibble::errc;
using nibble::histogram;
using nibble::value_range;
using nibble_test::fill;
using nibble_test::infinity;
using nibble_test::make_values;
using nibble_test::quiet_nan;

namespace {

histogram of(const std::vector<float>& values) {
  histogram h;
  h.add(values);
  return h;
}

/// Counting at the end: the range is known, so no bin is ever joined.
struct slow_histogram {
  double width = 0x1p-149;
  std::vector<std::uint64_t> counts = std::vector<std::uint64_t>(4096);

  explicit slow_histogram(const std::vector<float>& values) {
    double amax = 0;
    for (const float v : values) {
      if (std::isfinite(v)) amax = std::max(amax, std::fabs(double{v}));
    }
    while (amax >= 2048 * width) width *= 2;
    for (const float v : values) {
      if (!std::isfinite(v)) continue;
      const auto bin = static_cast<std::size_t>(std::floor(std::fabs(double{v}) / width));
      ++counts[v < 0 ? 2047 - bin : 2048 + bin];
    }
  }

  /// Counts of magnitudes, up to the last bin with any.
  std::vector<double> magnitudes() const {
    std::vector<double> sums;
    for (std::size_t i = 0; i < 2048; ++i) {
      sums.push_back(static_cast<double>(counts[2048 + i] + counts[2047 - i]));
    }
    while (!sums.empty() && sums.back() == 0) sums.pop_back();
    return sums;
  }
};

/// [-limit, limit] and the range of the values, what they share.
value_range limited(const std::vector<float>& values, double limit) {
  nibble::min_max all;
  all.add(values);
  const float most = static_cast<float>(std::min(limit, 3.4028234663852886e38));
  return {std::clamp(all.range().min, -most, most), std::clamp(all.range().max, -most, most)};
}

/// The bin of the value that so many percent of the values do not exceed, found by sorting.
value_range slow_percentile(const std::vector<float>& values, double percent) {
  std::vector<double> sorted;
  for (const float v : values) {
    if (std::isfinite(v)) sorted.push_back(std::fabs(double{v}));
  }
  if (sorted.empty()) return {};
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  const double at = rank < 1 ? 0 : sorted[static_cast<std::size_t>(rank) - 1];
  const double width = slow_histogram(values).width;
  return limited(values, std::max(std::floor(at / width), 1.0) * width);
}

/// Centres quantized to multiples of limit / levels, as they come; widths of 1.
double slow_error(const std::vector<double>& counts, double limit, int levels) {
  const double scale = limit / levels;
  double sum = 0;
  for (std::size_t j = 0; j < counts.size(); ++j) {
    const double centre = static_cast<double>(j) + 0.5;
    const double code = std::min(std::nearbyint(centre / scale), double(levels));
    sum += counts[j] * (code * scale - centre) * (code * scale - centre);
  }
  return sum;
}

/// Divergence of the first i bins as they are, the rest in the last of them, from `ranges` levels.
double slow_divergence(std::vector<double> counts, std::size_t i, std::size_t ranges) {
  counts[0] = counts.size() > 1 ? counts[1] : 0;
  std::vector<double> p(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(i));
  std::vector<double> level(ranges);
  std::vector<double> not_empty(ranges);
  for (std::size_t j = 0; j < i; ++j) {
    level[j * ranges / i] += p[j];
    not_empty[j * ranges / i] += p[j] != 0 ? 1 : 0;
  }
  std::vector<double> q(i);
  for (std::size_t j = 0; j < i; ++j) {
    if (p[j] != 0) q[j] = level[j * ranges / i] / not_empty[j * ranges / i];
  }
  for (std::size_t j = i; j < counts.size(); ++j) p[i - 1] += counts[j];
  double sum_p = 0;
  double sum_q = 0;
  for (const double v : p) sum_p += v;
  for (const double v : q) sum_q += v;
  if (sum_q == 0) return double{infinity};
  double d = 0;
  for (std::size_t j = 0; j < i; ++j) {
    if (p[j] == 0) continue;
    if (q[j] == 0) return double{infinity};
    d += p[j] / sum_p * std::log((p[j] / sum_p) / (q[j] / sum_q));
  }
  return d;
}

/// Squared error of values spread evenly in [begin, end) when rounded to the centres of `levels`
/// steps from `low` to `high`, step by step.
double slow_spread_error(double begin, double end, double low, double high, int levels) {
  const double step = (high - low) / levels;
  double sum = 0;
  for (int k = 0; k < levels; ++k) {
    const double from = k == 0 ? begin : std::max(begin, low + k * step);
    const double to = k == levels - 1 ? end : std::min(end, low + (k + 1) * step);
    const double centre = low + (k + 0.5) * step;
    if (to > from) sum += (std::pow(to - centre, 3) - std::pow(from - centre, 3)) / 3;
  }
  return sum;
}

double slow_window_error(const std::vector<double>& counts, std::size_t first, std::size_t last) {
  double sum = 0;
  for (std::size_t j = 0; j < counts.size(); ++j) {
    const double at = static_cast<double>(j);
    if (counts[j] == 0) continue;
    sum += counts[j] * slow_spread_error(at, at + 1, static_cast<double>(first),
                                         static_cast<double>(last + 1), 256);
  }
  return sum;
}

/// PyTorch's search with its array of cumulated counts: first and last bin of the window.
std::pair<std::size_t, std::size_t> slow_window(const std::vector<double>& counts) {
  std::vector<double> cumulated;
  double total = 0;
  for (const double n : counts) cumulated.push_back(total += n);
  std::size_t start = 0;
  std::size_t end = counts.size() - 1;
  double alpha = 0;
  double beta = 1;
  double least = double{infinity};
  while (alpha < beta) {
    const double next_alpha = alpha + 1e-5;
    const double next_beta = beta - 1e-5;
    std::size_t l = start;
    std::size_t r = end;
    while (l < end && cumulated[l] < next_alpha * total) ++l;
    while (r > start && cumulated[r] > next_beta * total) --r;
    std::size_t next_start = start;
    std::size_t next_end = end;
    if (l - start > end - r) {
      next_start = l;
      alpha = next_alpha;
    } else {
      next_end = r;
      beta = next_beta;
    }
    if (next_start == start && next_end == end) continue;
    const double error = slow_window_error(counts, next_start, next_end);
    if (error > least * (1 + 1e-12)) break;
    least = error;
    start = next_start;
    end = next_end;
  }
  return {start, end};
}

/// A value in every bin: `counts[i]` of them in bin i of 2048 in [0, 2048).
std::vector<float> values_of(const std::vector<int>& counts) {
  std::vector<float> values;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    values.insert(values.end(), static_cast<std::size_t>(counts[i]), static_cast<float>(i) + 0.5f);
  }
  return values;
}

std::vector<std::vector<float>> all_inputs(std::size_t count) {
  std::vector<std::vector<float>> inputs;
  for (int f = 0; f <= static_cast<int>(fill::last); ++f) {
    inputs.push_back(make_values(static_cast<fill>(f), count, static_cast<std::uint64_t>(f) + 1));
  }
  return inputs;
}

bool same(const histogram& a, const histogram& b) {
  return std::equal(a.counts().begin(), a.counts().end(), b.counts().begin()) &&
         a.bin_width() == b.bin_width() && a.range() == b.range() && a.count() == b.count() &&
         a.non_finite() == b.non_finite();
}

}  // namespace

TEST_CASE("histogram: five values, by hand") {
  // 5 is below 8 = 2^3: bins of 8 / 2048 = 1 / 256.
  const histogram h = of({5, -1, 0.00390625f, -0.0f, -0.0039f});
  CHECK(h.bin_width() == 1 / 256.0);
  std::vector<std::uint64_t> expected(4096);
  expected[2048 + 1280] = 1;  // 5
  expected[2047 - 256] = 1;   // -1: magnitudes from 256 to 257 widths
  expected[2048 + 1] = 1;     // 1 / 256, the lower edge of bin 1
  expected[2048] = 1;         // -0
  expected[2047] = 1;         // -0.0039, in the first bin below zero
  CHECK(std::equal(expected.begin(), expected.end(), h.counts().begin()));
  CHECK(h.range() == value_range{-1, 5});
  CHECK(h.count() == 5);
}

TEST_CASE("histogram: widths, from the smallest float to the largest") {
  CHECK(of({}).bin_width() == 0x1p-149);
  CHECK(of({0}).bin_width() == 0x1p-149);
  CHECK(of({0x1p-149f}).bin_width() == 0x1p-149);
  CHECK(of({2047 * 0x1p-149f}).counts()[4095] == 1);
  CHECK(of({2048 * 0x1p-149f}).bin_width() == 0x1p-148);
  CHECK(of({1}).bin_width() == 0x1p-10);  // 1 is not below 2^0
  CHECK(of({std::nextafter(1.0f, 0.0f)}).bin_width() == 0x1p-11);
  CHECK(of({std::numeric_limits<float>::max()}).bin_width() == 0x1p117);
  CHECK(of({std::numeric_limits<float>::lowest()}).counts()[0] == 1);
}

TEST_CASE("histogram: every exponent, alone and after a small value, against counting at the end") {
  for (int e = -149; e < 128; ++e) {
    for (const float m : {1.0f, 0x1.5p0f, 0x1.fffffep0f}) {
      const std::vector<float> values{0x1p-149f, -3e-39f,          1e-20f,
                                      -1e-20f,   std::ldexp(m, e), -std::ldexp(m, e - 3)};
      const slow_histogram slow(values);
      const histogram h = of(values);
      INFO(e);
      REQUIRE(h.bin_width() == slow.width);
      REQUIRE(std::equal(slow.counts.begin(), slow.counts.end(), h.counts().begin()));
    }
  }
}

TEST_CASE("histogram: counts are those of counting at the end, for all kinds of values") {
  for (const std::vector<float>& values : all_inputs(5000)) {
    const slow_histogram slow(values);
    const histogram h = of(values);
    REQUIRE(h.bin_width() == slow.width);
    REQUIRE(std::equal(slow.counts.begin(), slow.counts.end(), h.counts().begin()));
    std::uint64_t sum = 0;
    for (const std::uint64_t n : h.counts()) sum += n;
    REQUIRE(sum == h.count());
    REQUIRE(h.count() + h.non_finite() == values.size());
  }
}

TEST_CASE("histogram: any order, split and grouping of merges gives the same bits") {
  nibble_test::random_bits random(4);
  for (const std::vector<float>& values : all_inputs(600)) {
    const histogram whole = of(values);
    for (int round = 0; round < 5; ++round) {
      std::vector<float> shuffled = values;
      for (std::size_t i = shuffled.size(); i > 1; --i) {
        std::swap(shuffled[i - 1], shuffled[random.below(i)]);
      }
      std::vector<histogram> parts(1 + random.below(6));
      for (const float v : shuffled) parts[random.below(parts.size())].add({&v, 1});
      while (parts.size() > 1) {  // two of them become one
        const std::size_t at = random.below(parts.size() - 1);
        parts[at].merge(parts.back());
        parts.pop_back();
      }
      REQUIRE(same(parts[0], whole));
    }
  }
}

TEST_CASE("histogram: merged with itself and with nothing") {
  const std::vector<float> values = make_values(fill::normal, 100, 5);
  histogram h = of(values);
  h.merge(histogram());
  CHECK(same(h, of(values)));
  histogram none;
  none.merge(h);
  CHECK(same(none, h));
  h.merge(h);
  std::vector<float> twice = values;
  twice.insert(twice.end(), values.begin(), values.end());
  CHECK(same(h, of(twice)));
}

TEST_CASE("histogram: percentiles of 1 .. 100, by hand") {
  std::vector<float> values;
  for (int i = 1; i <= 100; ++i) values.push_back(static_cast<float>(i % 2 == 0 ? i : -i));
  const histogram h = of(values);  // bins of 1 / 16: every value is the lower edge of its bin
  CHECK(*h.percentile(50) == value_range{-50, 50});
  CHECK(*h.percentile(50.5) == value_range{-51, 51});
  CHECK(*h.percentile(99) == value_range{-99, 99});
  CHECK(*h.percentile(100) == value_range{-99, 100});
  CHECK(*h.percentile(0) == value_range{-0.0625f, 0.0625f});
  std::vector<float> zeros(1000);
  zeros.push_back(8);
  CHECK(*of(zeros).percentile(50) == value_range{0, 0x1p-7f});
}

TEST_CASE("histogram: percentiles against sorting") {
  for (const std::vector<float>& values : all_inputs(3001)) {
    const histogram h = of(values);
    for (const double p : {0.0, 0.01, 1.0, 33.3, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
      INFO(p);
      CHECK(*h.percentile(p) == slow_percentile(values, p));
    }
  }
}

TEST_CASE("histogram: mse against quantizing the centres") {
  for (const std::vector<float>& values : all_inputs(3000)) {
    const histogram h = of(values);
    const slow_histogram slow(values);
    const std::vector<double> counts = slow.magnitudes();
    for (const int bits : {2, 4, 8}) {
      const int levels = (1 << (bits - 1)) - 1;
      double best = static_cast<double>(counts.size());
      double least = double{infinity};
      for (std::size_t i = 128; i < counts.size(); ++i) {
        const double error = slow_error(counts, static_cast<double>(i) + 0.5, levels);
        if (error >= least * (1 - 1e-12)) continue;
        least = error;
        best = static_cast<double>(i) + 0.5;
      }
      INFO(bits);
      CHECK(*h.mse(bits) == limited(values, best * slow.width));
    }
  }
}

TEST_CASE("histogram: mse keeps what is exact and cuts what is rare, by hand") {
  // A single magnitude: its own bin is the only one without error, and nothing is clipped.
  CHECK(*of({3, -3, 3}).mse() == value_range{-3, 3});
  // 2 bits have the codes -1, 0, 1. A thousand values at 150.5 and one at 1500.5: clipping the
  // one costs 1350^2, keeping it costs 1000 times 150.5^2.
  std::vector<float> values(1000, 150.5f);
  values.push_back(1500.5f);
  CHECK(*of(values).mse(2) == value_range{150.5f, 151.5f});
  // 1350.5 and 1351.5 both cost 150^2 + 151^2; the smaller is taken.
  CHECK(*of({1200.5f, 1501.5f}).mse(2) == value_range{1200.5f, 1350.5f});
}

TEST_CASE("histogram: entropy against explicit distributions") {
  for (const std::vector<float>& values : all_inputs(3000)) {
    const slow_histogram slow(values);
    const std::vector<double> counts = slow.magnitudes();
    for (const int bits : {2, 5, 8}) {
      const std::size_t ranges = std::size_t{1} << (bits - 1);
      double best = static_cast<double>(counts.size());
      double least = double{infinity};
      for (std::size_t i = 128; i <= counts.size(); ++i) {
        const double d = slow_divergence(counts, i, ranges);
        if (!(d <= least + 1e-12) || std::isinf(d)) continue;
        least = std::min(d, least);
        best = static_cast<double>(i);
      }
      INFO(bits);
      CHECK(*of(values).entropy(bits) == limited(values, best * slow.width));
    }
  }
}

TEST_CASE("histogram: entropy drops an outlier beyond 128 bins of detail, by hand") {
  // 128 bins are 128 ranges: Q differs from P by the outlier only. Thresholds in the gap put it
  // into an empty bin, where Q is zero; at 1501 a range has eleven bins, and 1 and 9 look alike.
  std::vector<int> counts(2048);
  for (std::size_t i = 0; i < 128; ++i) counts[i] = i % 2 == 0 ? 10 : 90;
  counts[1500] = 1;
  CHECK(*of(values_of(counts)).entropy() == value_range{0.5f, 128});
  // Without detail the outlier costs nothing: alone in its range, it is exact.
  for (std::size_t i = 0; i < 128; ++i) counts[i] = 50;
  CHECK(*of(values_of(counts)).entropy() == value_range{0.5f, 1500.5f});
}

TEST_CASE("histogram: entropy does not see the spike of zeros") {
  std::vector<float> values = make_values(fill::heavy_tailed, 3000, 6);
  const value_range r = *of(values).entropy(4);
  const slow_histogram slow(values);
  values.insert(values.end(), 100000, 0.0f);
  CHECK(*of(values).entropy(4) == r);
}

TEST_CASE("histogram: window against PyTorch's search on explicit arrays") {
  for (const std::vector<float>& values : all_inputs(2000)) {
    const slow_histogram slow(values);
    std::size_t begin = 0;
    std::size_t end = 4096;
    while (slow.counts[begin] == 0) ++begin;
    while (slow.counts[end - 1] == 0) --end;
    std::vector<double> counts;
    for (std::size_t i = begin; i < end; ++i) counts.push_back(static_cast<double>(slow.counts[i]));
    const auto [first, last] = slow_window(counts);
    const double low = (static_cast<double>(begin + first) - 2048) * slow.width;
    const double high = (static_cast<double>(begin + last + 1) - 2048) * slow.width;
    const value_range all = of(values).range();
    const value_range r = of(values).window();
    CHECK(double{r.min} == std::max(low, double{all.min}));
    CHECK(double{r.max} == std::min(high, double{all.max}));
  }
}

TEST_CASE("histogram: window leaves a far outlier out, at the side where it is") {
  std::vector<float> values;
  for (int i = 0; i < 200000; ++i) values.push_back(static_cast<float>(i - 60000) / 100000);
  values.push_back(100);  // bins of 1 / 16
  const value_range r = of(values).window();
  CHECK(r.min == -0.6f);
  CHECK(r.max > 1.3f);
  CHECK(r.max < 1.5f);
}

TEST_CASE("histogram: no values and nothing but zeros") {
  for (const histogram& h : {of({}), of({quiet_nan}), of({0, -0.0f, 0})}) {
    CHECK(h.range() == value_range{0, 0});
    CHECK(*h.percentile() == value_range{0, 0});
    CHECK(*h.mse() == value_range{0, 0});
    CHECK(*h.entropy() == value_range{0, 0});
    CHECK(h.window() == value_range{0, 0});
  }
  CHECK(of({quiet_nan, infinity}).non_finite() == 2);
}

TEST_CASE("histogram: one value, and few bins") {
  for (const float v : {1.0f, -0.75f, 0x1p-149f, 100 * 0x1p-149f, 3.4e38f, -3.4e38f}) {
    const histogram h = of({v, v});
    CHECK(*h.mse() == value_range{v, v});
    CHECK(*h.entropy() == value_range{v, v});
    const float p = h.percentile()->amax();
    CHECK(double{p} > double{std::fabs(v)} - h.bin_width());
    CHECK(p <= std::fabs(v));
    CHECK(h.window().amax() <= std::fabs(v));
  }
}

TEST_CASE("histogram: arguments outside their range") {
  const histogram h = of({1, 2});
  for (const double p : {-1e-9, 100.0001, double{infinity}, -double{infinity}, double{quiet_nan}}) {
    CHECK(h.percentile(p).error() == errc::invalid_argument);
  }
  for (const int bits : {-1, 0, 1, 9, 32}) {
    CHECK(h.mse(bits).error() == errc::invalid_argument);
    CHECK(h.entropy(bits).error() == errc::invalid_argument);
  }
}
