// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of recipes/statistics.h: minima and maxima, averages against PyTorch's step, exact sums.
#include "nibble/recipes/statistics.h"

#include <vector>

#include "support/cases.h"
#include "support/catch.h"

using nibble::min_max;
using nibble::moving_average;
using nibble::second_moment;
using nibble::value_range;
using nibble_test::infinity;
using nibble_test::quiet_nan;

namespace {

template <class S>
S of(const std::vector<float>& values) {
  S s;
  s.add(values);
  return s;
}

/// Batches of one average, one after another.
moving_average averaged(const std::vector<value_range>& batches, double constant) {
  moving_average s;
  for (const value_range r : batches) {
    s.add(std::vector<float>{r.min, r.max});
    s.end_batch(constant);
  }
  return s;
}

double sum_of_squares(const std::vector<float>& values) {
  return of<second_moment>(values).sum_squares();
}

}  // namespace

TEST_CASE("min_max: by hand") {
  const min_max s = of<min_max>({3, -1, 2});
  CHECK(s.range() == value_range{-1, 3});
  CHECK(s.count() == 3);
  CHECK(s.non_finite() == 0);
  CHECK(of<min_max>({}).range() == value_range{0, 0});
  CHECK(of<min_max>({5}).range() == value_range{5, 5});
  CHECK(of<min_max>({-5}).range() == value_range{-5, -5});
  CHECK(of<min_max>({-0x1p-149f, 0x1p-149f}).range() == value_range{-0x1p-149f, 0x1p-149f});
}

TEST_CASE("min_max: the zero of a range is +0, whichever zeros came") {
  for (const auto& zeros : {std::vector<float>{-0.0f}, {-0.0f, 0.0f}, {0.0f, -0.0f}}) {
    const value_range r = of<min_max>(zeros).range();
    CHECK_FALSE(std::signbit(r.min));
    CHECK_FALSE(std::signbit(r.max));
  }
}

TEST_CASE("min_max: NaN and infinities are passed over and counted") {
  const min_max s = of<min_max>({quiet_nan, 1, infinity, -2, -infinity, -quiet_nan});
  CHECK(s.range() == value_range{-2, 1});
  CHECK(s.count() == 2);
  CHECK(s.non_finite() == 4);
  const min_max none = of<min_max>({quiet_nan, infinity});
  CHECK(none.range() == value_range{0, 0});
  CHECK(none.count() == 0);
  CHECK(none.non_finite() == 2);
}

TEST_CASE("moving_average: three batches, by hand") {
  // min: -1, -1 + (0 - -1) / 2 = -0.5, -0.5 + (-3 - -0.5) / 2 = -1.75. max: 1, 2.5, 2.25.
  const moving_average s = averaged({{-1, 1}, {0, 4}, {-3, 2}}, 0.5);
  CHECK(s.range() == value_range{-1.75f, 2.25f});
  CHECK(s.batches() == 3);
  CHECK(s.count() == 6);
  CHECK(s.min_max::range() == value_range{-3, 4});
}

TEST_CASE("moving_average: the first batch sets it, whatever the constant") {
  for (const double constant : {1e-6, 0.01, 0.3, 1.0}) {
    CHECK(averaged({{-0.3f, 0.7f}}, constant).range() == value_range{-0.3f, 0.7f});
    CHECK(averaged({{-3e38f, 3e38f}}, constant).range() == value_range{-3e38f, 3e38f});
    CHECK(averaged({{0, 0x1p-149f}}, constant).range() == value_range{0, 0x1p-149f});
  }
  CHECK(averaged({{1, 2}, {3, 4}}, 1).range() == value_range{3, 4});
}

TEST_CASE("moving_average: batches without finite values leave it as it is") {
  moving_average s;
  s.end_batch(0.5);
  CHECK(s.range() == value_range{0, 0});
  s.add(std::vector<float>{quiet_nan});
  s.end_batch(0.5);
  CHECK(s.batches() == 0);
  s.add(std::vector<float>{2, 4});
  s.end_batch(0.5);
  s.add(std::vector<float>{infinity});
  s.end_batch(0.5);
  CHECK(s.range() == value_range{2, 4});
  CHECK(s.batches() == 1);
  CHECK(s.count() == 2);
  CHECK(s.non_finite() == 2);
}

TEST_CASE("moving_average: PyTorch's step, and runs that are merged in any grouping") {
  nibble_test::random_bits random(2);
  double worst = 0;
  for (const double constant : {0.01, 0.1, 0.9}) {
    std::vector<value_range> batches(200);
    for (value_range& r : batches) r = {-random.uniform(), random.uniform()};
    double min = double{batches[0].min};
    double max = double{batches[0].max};
    for (std::size_t i = 1; i < batches.size(); ++i) {
      min += constant * (double{batches[i].min} - min);
      max += constant * (double{batches[i].max} - max);
    }
    const auto run = [&](std::size_t from, std::size_t to) {
      return averaged({batches.begin() + static_cast<std::ptrdiff_t>(from),
                       batches.begin() + static_cast<std::ptrdiff_t>(to)},
                      constant);
    };
    for (const std::size_t i : {0u, 1u, 70u, 199u, 200u}) {
      const std::size_t j = i + (200 - i) / 3;
      moving_average left = run(0, i);
      moving_average right = run(i, j);
      const moving_average tail = run(j, 200);
      moving_average a_b = left;  // (a b) c
      a_b.merge(right);
      a_b.merge(tail);
      right.merge(tail);  // a (b c)
      left.merge(right);
      for (const moving_average& s : {a_b, left, run(0, 200)}) {
        CHECK(s.batches() == 200);
        const double off = std::fabs(double{s.range().min} - min) / std::fabs(min);
        worst = off > worst ? off : worst;
        CHECK(std::fabs(double{s.range().max} - max) <= (0x1p-24 + 1e-13) * max);
      }
    }
  }
  CHECK(worst <= 0x1p-24 + 1e-13);  // one rounding to float; those in double do not show
}

TEST_CASE("second_moment: by hand") {
  const second_moment s = of<second_moment>({3, -4, 0, -0.0f, quiet_nan, infinity});
  CHECK(s.sum_squares() == 25);
  CHECK(s.mean_square() == 6.25);
  CHECK(s.range().amax() == 4);
  CHECK(s.count() == 4);
  CHECK(s.non_finite() == 2);
  CHECK(of<second_moment>({}).sum_squares() == 0);
  CHECK(of<second_moment>({}).mean_square() == 0);
}

TEST_CASE("second_moment: the smallest and the largest squares, exactly") {
  constexpr float largest = std::numeric_limits<float>::max();
  CHECK(sum_of_squares({0x1p-149f}) == 0x1p-298);
  CHECK(sum_of_squares({0x1p-149f, -0x1p-149f, 0x1p-149f}) == 3 * 0x1p-298);
  CHECK(sum_of_squares({0x1.fffffcp-127f}) == 0x1.fffffcp-127 * 0x1.fffffcp-127);
  CHECK(sum_of_squares({largest}) == double{largest} * double{largest});
  CHECK(sum_of_squares({largest, largest, -largest, largest}) ==
        4 * double{largest} * double{largest});
  CHECK(of<second_moment>({largest, largest}).mean_square() == double{largest} * double{largest});
}

TEST_CASE("second_moment: every power of two, alone") {
  for (int e = -149; e < 128; ++e) {
    CHECK(sum_of_squares({std::ldexp(1.0f, e)}) == std::ldexp(1.0, 2 * e));
    const float odd = std::ldexp(0x1.fffffep0f, e);
    CHECK(sum_of_squares({odd}) == double{odd} * double{odd});
  }
}

TEST_CASE("second_moment: the sum is rounded once, to nearest even") {
  // Doubles from 2^54 on are 4 apart.
  const float big = 0x1p27f;
  CHECK(sum_of_squares({big, 1}) == 0x1p54);
  CHECK(sum_of_squares({big, 1, 1}) == 0x1p54);  // a tie, to even
  CHECK(sum_of_squares({big, 1, 1, 0x1p-149f}) == 0x1p54 + 4);
  CHECK(sum_of_squares({0x1p-149f, 1, big, 1}) == 0x1p54 + 4);
  CHECK(sum_of_squares({big, 1, 1, 1}) == 0x1p54 + 4);
  CHECK(sum_of_squares({big, 2, 1, 1}) == 0x1p54 + 8);  // 4 + 2: a tie, to even
}

TEST_CASE("second_moment: carries run through all words") {
  // 2^256 - 2^-298 is all ones; one more unit carries to the top.
  std::vector<float> ones;
  for (int e = -149; e < 128; ++e) {
    const float p = std::ldexp(1.0f, e);
    ones.insert(ones.end(), {p, p, p});  // 3 * 4^e: two bits
  }
  CHECK(sum_of_squares(ones) == 0x1p256);
  second_moment s = of<second_moment>(ones);
  s.merge(of<second_moment>({0x1p-149f}));
  CHECK(s.sum_squares() == 0x1p256);
  s.merge(of<second_moment>({0x1p-149f}));
  s.merge(s);  // itself
  CHECK(s.sum_squares() == 0x1p257);
  CHECK(s.count() == 2 * (ones.size() + 2));
}

TEST_CASE("second_moment: whole numbers against a sum of integers") {
  nibble_test::random_bits random(3);
  std::vector<float> values(10000);
  std::uint64_t sum = 0;
  for (float& v : values) {
    const auto whole = static_cast<std::int64_t>(random.below(2000001)) - 1000000;
    v = static_cast<float>(whole);
    sum += static_cast<std::uint64_t>(whole * whole);
  }
  CHECK(sum_of_squares(values) == static_cast<double>(sum));
}
