// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of recipes/observers.h: layouts by hand, policies, and that batches, splits and merges do
// not show in what was observed.
#include "nibble/recipes/observers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "nibble/format/values.h"  // part of every product: both in one file compile
#include "support/cases.h"
#include "support/catch.h"

using nibble::errc;
using nibble::histogram_observer;
using nibble::matrix_view;
using nibble::min_max_observer;
using nibble::moving_average_observer;
using nibble::observer_options;
using nibble::second_moment_observer;
using nibble::slot_layout;
using nibble::value_range;
using nibble_test::fill;
using nibble_test::infinity;
using nibble_test::make_values;
using nibble_test::quiet_nan;

namespace {

constexpr observer_options rejecting{.reject_non_finite = true};

template <class O>
O make(slot_layout layout, observer_options options = {}) {
  auto made = O::create(layout, options);
  REQUIRE(made.has_value());
  return std::move(made).value();
}

/// An observer of one batch.
template <class O>
O of(slot_layout layout, matrix_view<const float> x) {
  O o = make<O>(layout);
  REQUIRE(o.observe(x) == errc::ok);
  return o;
}

template <class O>
std::vector<value_range> ranges(const O& o) {
  std::vector<value_range> out(o.num_slots(), {quiet_nan, quiet_nan});
  REQUIRE(o.copy_ranges(out) == nibble::errc::ok);
  return out;
}

/// Everything that can be asked of it.
template <class O>
std::vector<double> state(const O& o) {
  std::vector<double> all;
  const auto keep = [&all](auto v) { all.push_back(static_cast<double>(v)); };
  for (const auto& s : o.slots()) {
    keep(s.count());
    keep(s.non_finite());
    keep(s.range().min);
    keep(s.range().max);
    if constexpr (requires { s.sum_squares(); }) keep(s.sum_squares());
    if constexpr (requires { s.counts(); }) {
      keep(s.bin_width());
      for (const std::uint64_t n : s.counts()) keep(n);
    }
  }
  return all;
}

// 1  -2   3 | -4   5
// 0   7  -8 |  0 1/2      and one more column that is none of it
const std::vector<float> example{1, -2, 3, -4, 5, quiet_nan, 0, 7, -8, -0.0f, 0.5f, quiet_nan};
const matrix_view<const float> x(example.data(), 2, 5, 6);

std::vector<slot_layout> layouts(std::size_t rows, std::size_t cols) {
  return {slot_layout::per_tensor(),       slot_layout::per_channel(cols),
          slot_layout::per_token(rows),    slot_layout::per_group(cols, 2),
          slot_layout::per_group(cols, 3), slot_layout::per_group(cols, cols + 7)};
}

}  // namespace

TEST_CASE("observers: every layout of a 2 x 5 matrix, by hand; gaps of strides are not read") {
  using slots = std::vector<value_range>;
  const auto seen = [](slot_layout l) { return ranges(of<min_max_observer>(l, x)); };
  CHECK(seen(slot_layout::per_tensor()) == slots{{-8, 7}});
  CHECK(seen(slot_layout::per_channel(5)) == slots{{0, 1}, {-2, 7}, {-8, 3}, {-4, 0}, {0.5f, 5}});
  CHECK(seen(slot_layout::per_token(2)) == slots{{-4, 5}, {-8, 7}});
  CHECK(seen(slot_layout::per_group(5, 1)) == seen(slot_layout::per_channel(5)));
  CHECK(seen(slot_layout::per_group(5, 2)) == slots{{-2, 7}, {-8, 3}, {0.5f, 5}});
  CHECK(seen(slot_layout::per_group(5, 3)) == slots{{-8, 7}, {-4, 5}});
  CHECK(seen(slot_layout::per_group(5, 5)) == slots{{-8, 7}});
  CHECK(seen(slot_layout::per_group(5, SIZE_MAX)) == slots{{-8, 7}});
}

TEST_CASE("observers: largest magnitudes and second moments of channels") {
  const auto o = of<second_moment_observer>(slot_layout::per_channel(5), x);
  std::vector<float> amax(5, quiet_nan);
  std::vector<float> mean(5, quiet_nan);
  REQUIRE(o.copy_amax(amax) == nibble::errc::ok);
  REQUIRE(o.copy_mean_squares(mean) == nibble::errc::ok);
  CHECK(amax == std::vector<float>{1, 7, 8, 4, 5});
  CHECK(mean == std::vector<float>{0.5f, 26.5f, 36.5f, 8, 12.625f});
  CHECK(o[1].sum_squares() == 53);
  CHECK(o[1].count() == 2);
}

TEST_CASE("observers: means of squares above the largest float are the largest float") {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> huge{1, 1.8e19f, 3e19f, 1e30f, -largest};
  const auto o = of<second_moment_observer>(slot_layout::per_channel(5), {huge.data(), 1, 5});
  std::vector<float> mean(5, quiet_nan);
  REQUIRE(o.copy_mean_squares(mean) == nibble::errc::ok);
  CHECK(mean == std::vector<float>{1, static_cast<float>(double{1.8e19f} * double{1.8e19f}),
                                   largest, largest, largest});
}

TEST_CASE("observers: counts of every slot") {
  const auto o = of<min_max_observer>(slot_layout::per_group(5, 2), x);
  CHECK(o.num_slots() == 3);
  CHECK(o[0].count() == 4);
  CHECK(o[2].count() == 2);
  CHECK(o.layout() == slot_layout::per_group(5, 2));
}

TEST_CASE("observers: tokens of several batches meet by their row") {
  auto o = of<min_max_observer>(slot_layout::per_token(2), x);
  const std::vector<float> more{9, 9, -9, 1};
  REQUIRE(o.observe({more.data(), 2, 2}) == errc::ok);  // another number of columns is fine
  CHECK(ranges(o) == std::vector<value_range>{{-4, 9}, {-9, 7}});
  CHECK(o[1].count() == 7);
  CHECK(o.observe({more.data(), 1, 4}) == errc::shape_mismatch);
}

TEST_CASE("observers: one call is one batch of the moving average, in every slot") {
  auto o = make<moving_average_observer>(slot_layout::per_channel(2), {.averaging_constant = 0.5});
  const std::vector<float> batches{1, -4, 3, -8, 5, 0, quiet_nan, 2};
  REQUIRE(o.observe({batches.data(), 2, 2}) == errc::ok);
  CHECK(ranges(o) == std::vector<value_range>{{1, 3}, {-8, -4}});
  REQUIRE(o.observe({batches.data() + 4, 2, 2}) == errc::ok);
  CHECK(ranges(o) == std::vector<value_range>{{3, 4}, {-4, -1}});
  CHECK(o[0].batches() == 2);
}

TEST_CASE("observers: averages of merged runs are those of one run") {
  constexpr std::size_t cols = 3;
  const std::vector<float> values = make_values(fill::normal, 90 * cols, 1);
  const auto run = [&](std::size_t from, std::size_t to) {
    auto o = make<moving_average_observer>(slot_layout::per_channel(cols));
    for (std::size_t r = from; r < to; r += 3) {
      REQUIRE(o.observe({values.data() + r * cols, 3, cols}) == errc::ok);
    }
    return o;
  };
  const auto whole = ranges(run(0, 90));
  for (const std::size_t at : {0u, 3u, 45u, 90u}) {
    auto o = run(0, at);
    REQUIRE(o.merge(run(at, 90)) == errc::ok);
    const auto merged = ranges(o);
    for (std::size_t i = 0; i < cols; ++i) {
      // Rounded to float from doubles that agree to 1e-14: at most neighbours.
      CHECK(std::fabs(merged[i].min - whole[i].min) <= 0x1p-23f * std::fabs(whole[i].min));
      CHECK(std::fabs(merged[i].max - whole[i].max) <= 0x1p-23f * std::fabs(whole[i].max));
      CHECK(o[i].batches() == 30);
    }
  }
}

TEMPLATE_TEST_CASE("observers: no split into batches and observers shows in any bit", "",
                   min_max_observer, second_moment_observer, histogram_observer) {
  nibble_test::random_bits random(7);
  constexpr std::size_t rows = 60;
  constexpr std::size_t cols = 7;
  for (const fill f : {fill::normal, fill::any_bits, fill::non_finite, fill::zeros}) {
    const std::vector<float> values = make_values(f, rows * cols, 8);
    for (const slot_layout layout : {slot_layout::per_tensor(), slot_layout::per_channel(cols),
                                     slot_layout::per_group(cols, 3)}) {
      const auto whole = of<TestType>(layout, {values.data(), rows, cols});
      std::vector<TestType> parts;
      for (std::size_t i = 0; i <= random.below(4); ++i) parts.push_back(make<TestType>(layout));
      for (std::size_t r = 0; r < rows;) {
        const std::size_t count = std::min(1 + random.below(9), rows - r);
        TestType& part = parts[random.below(parts.size())];
        REQUIRE(part.observe({values.data() + r * cols, count, cols}) == errc::ok);
        r += count;
      }
      while (parts.size() > 1) {
        REQUIRE(parts[random.below(parts.size() - 1)].merge(parts.back()) == errc::ok);
        parts.pop_back();
      }
      REQUIRE(state(parts[0]) == state(whole));
    }
  }
}

TEST_CASE("observers: a thread each, merged at the end") {
  constexpr std::size_t rows = 64;
  constexpr std::size_t cols = 33;
  const std::vector<float> values = make_values(fill::heavy_tailed, rows * cols, 9);
  const slot_layout layout = slot_layout::per_group(cols, 16);
  std::vector<histogram_observer> each;
  for (int i = 0; i < 4; ++i) each.push_back(make<histogram_observer>(layout));
  std::vector<std::thread> threads;
  std::vector<errc> errors(4, errc::io);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      errors[t] = each[t].observe({values.data() + t * 16 * cols, 16, cols});
    });
  }
  for (std::thread& t : threads) t.join();
  for (std::size_t t = 1; t < 4; ++t) REQUIRE(each[0].merge(each[t]) == errc::ok);
  CHECK(errors == std::vector<errc>(4, errc::ok));
  CHECK(state(each[0]) == state(of<histogram_observer>(layout, {values.data(), rows, cols})));
}

TEMPLATE_TEST_CASE("observers: NaN and infinities are counted where they are", "", min_max_observer,
                   second_moment_observer, histogram_observer, moving_average_observer) {
  const std::vector<float> values{1, quiet_nan, infinity, 2, -3, -infinity};
  const auto o = of<TestType>(slot_layout::per_channel(3), {values.data(), 2, 3});
  CHECK(ranges(o) == std::vector<value_range>{{1, 2}, {-3, -3}, {0, 0}});
  CHECK(o[0].non_finite() == 0);
  CHECK(o[1].non_finite() == 1);
  CHECK(o[2].non_finite() == 2);
  CHECK(o[2].count() == 0);
}

TEMPLATE_TEST_CASE("observers: a batch that is refused leaves no trace", "", min_max_observer,
                   second_moment_observer, histogram_observer, moving_average_observer) {
  std::vector<float> values{1, -2, 3, 4, 5, -6};
  const matrix_view<const float> all(values.data(), 2, 3);
  for (const slot_layout layout : layouts(2, 3)) {
    auto o = make<TestType>(layout, rejecting);
    REQUIRE(o.observe(all) == errc::ok);
    const auto before = state(o);
    for (const float bad : {quiet_nan, -quiet_nan, infinity, -infinity}) {
      for (float& v : values) {
        const float good = std::exchange(v, bad);
        CHECK(o.observe(all) == errc::non_finite);
        CHECK(state(o) == before);
        v = good;
      }
    }
    CHECK(o.observe(all) == errc::ok);
    CHECK(o[0].count() % 2 == 0);
  }
}

TEMPLATE_TEST_CASE("observers: shapes that do not fit", "", min_max_observer,
                   second_moment_observer, histogram_observer, moving_average_observer) {
  const std::vector<float> values(12, 1.0f);
  const auto none = state(make<TestType>(slot_layout::per_channel(3)));
  auto channels = make<TestType>(slot_layout::per_channel(3));
  CHECK(channels.observe({values.data(), 3, 4}) == errc::shape_mismatch);
  CHECK(channels.observe({values.data(), 3, 2}) == errc::shape_mismatch);
  CHECK(channels.observe({}) == errc::shape_mismatch);
  CHECK(state(channels) == none);
  CHECK(make<TestType>(slot_layout::per_group(3, 2)).observe({values.data(), 3, 4}) ==
        errc::shape_mismatch);
  CHECK(make<TestType>(slot_layout::per_token(3)).observe({values.data(), 4, 3}) ==
        errc::shape_mismatch);
}

TEMPLATE_TEST_CASE("observers: merging what differs is refused", "", min_max_observer,
                   second_moment_observer, histogram_observer, moving_average_observer) {
  const std::vector<slot_layout> all = layouts(4, 4);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < all.size(); ++j) {
      auto o = make<TestType>(all[i]);
      CHECK(o.merge(make<TestType>(all[j])) == (i == j ? errc::ok : errc::shape_mismatch));
    }
    auto o = make<TestType>(all[i]);
    CHECK(o.merge(make<TestType>(all[i], rejecting)) == errc::invalid_argument);
    CHECK(o.merge(make<TestType>(all[i], {.averaging_constant = 0.5})) == errc::invalid_argument);
  }
}

TEMPLATE_TEST_CASE("observers: matrices and layouts without values", "", min_max_observer,
                   second_moment_observer, histogram_observer, moving_average_observer) {
  for (const slot_layout layout : layouts(2, 5)) {
    auto o = make<TestType>(layout);
    REQUIRE(o.observe(x) == errc::ok);
    const auto before = state(o);
    const bool tokens = layout == slot_layout::per_token(2);
    REQUIRE(o.observe({nullptr, tokens ? 2u : 0u, tokens ? 0u : 5u}) == errc::ok);
    CHECK(state(o) == before);
    if constexpr (std::is_same_v<TestType, moving_average_observer>) CHECK(o[0].batches() == 1);
  }
  for (const slot_layout layout :
       {slot_layout::per_channel(0), slot_layout::per_token(0), slot_layout::per_group(0, 4)}) {
    auto o = make<TestType>(layout);
    CHECK(o.num_slots() == 0);
    CHECK(o.observe({}) == errc::ok);
    CHECK(o.merge(make<TestType>(layout)) == errc::ok);
    REQUIRE(o.copy_ranges({}) == nibble::errc::ok);
    REQUIRE(o.copy_amax({}) == nibble::errc::ok);
  }
  CHECK(ranges(make<TestType>(slot_layout::per_channel(2))) == std::vector<value_range>(2));
  auto tensor = make<TestType>(slot_layout::per_tensor());
  CHECK(tensor.observe({}) == errc::ok);
  CHECK(tensor[0].count() == 0);
}

TEMPLATE_TEST_CASE("observers: arguments outside their range, and more memory than there is", "",
                   min_max_observer, second_moment_observer, histogram_observer,
                   moving_average_observer) {
  const slot_layout tensor = slot_layout::per_tensor();
  CHECK(TestType::create(slot_layout::per_group(4, 0)).error() == errc::invalid_argument);
  for (const double c : {0.0, -0.1, 1.001, double{infinity}, double{quiet_nan}}) {
    CHECK(TestType::create(tensor, {.averaging_constant = c}).error() == errc::invalid_argument);
  }
  CHECK(TestType::create(tensor, {.averaging_constant = 1}).has_value());
  CHECK(TestType::create(slot_layout::per_channel(SIZE_MAX)).error() == errc::out_of_memory);
  CHECK(TestType::create(slot_layout::per_token(SIZE_MAX / 32)).error() == errc::out_of_memory);
}

TEST_CASE("observers: moved, not copied; merged with themselves they count twice") {
  static_assert(!std::is_copy_constructible_v<min_max_observer>);
  static_assert(std::is_nothrow_move_constructible_v<histogram_observer>);
  auto a = of<second_moment_observer>(slot_layout::per_channel(5), x);
  auto b = std::move(a);
  CHECK(b[1].sum_squares() == 53);
  a = std::move(b);
  REQUIRE(a.merge(a) == errc::ok);
  CHECK(a[1].sum_squares() == 106);
  CHECK(a[1].count() == 4);
}

TEST_CASE("observers: from batches to scales, as docs/observers.md shows it") {
  const std::vector<float> values = make_values(fill::outlier, 64 * 64, 10);
  auto o = make<histogram_observer>(slot_layout::per_group(64, 32));
  for (std::size_t r = 0; r < 64; r += 16) {
    REQUIRE(o.observe({values.data() + r * 64, 16, 64}) == errc::ok);
  }
  std::vector<value_range> found;
  for (const nibble::histogram& h : o.slots()) found.push_back(*h.percentile(95));
  std::vector<float> scales(2);
  REQUIRE(nibble::symmetric_scales(found, scales) == nibble::errc::ok);
  std::vector<float> amax(2);
  REQUIRE(o.copy_amax(amax) == nibble::errc::ok);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(amax[i] > 100);     // one value in 32
    CHECK(scales[i] < 1.0f);  // is cut, to within a bin of the others
    CHECK(scales[i] > 0.0f);
  }
}
