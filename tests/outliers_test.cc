// SPDX-License-Identifier: Apache-2.0 OR MIT
// Outlier splitting: every rule takes what it says, and nothing is lost, not even the sign of zero.
#include "nibble/outliers.h"

#include <cstring>

#include "support/cases.h"
#include "support/catch.h"
#include "support/environment.h"
#include "support/guarded.h"
#include "support/print.h"

namespace {

using namespace nibble;
using nibble_test::fill;
using nibble_test::infinity;
using nibble_test::quiet_nan;

using places = std::vector<std::pair<std::size_t, std::size_t>>;

matrix_view<const float> as_matrix(const std::vector<float>& w, std::size_t n, std::size_t k) {
  return {w.data(), n, k};
}

/// Rest with the part.
std::vector<float> whole(const outlier_split& s) {
  const matrix_view<const float> rest = s.rest();
  std::vector<float> w;
  for (std::size_t r = 0; r < rest.rows; ++r) {
    w.insert(w.end(), rest.row_data(r), rest.row_data(r) + rest.cols);
  }
  REQUIRE(add_outliers(s.part.view(), {w.data(), rest.rows, rest.cols}) == errc::ok);
  return w;
}

std::string difference_bits(const std::vector<float>& got, const std::vector<float>& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (detail::bits_of(got[i]) != detail::bits_of(want[i])) {
      return "value " + std::to_string(i) + " is " + nibble_test::show(got[i]) + ", expected " +
             nibble_test::show(want[i]);
    }
  }
  return got.size() == want.size() ? "" : "sizes differ";
}

outlier_split split(const std::vector<float>& w, std::size_t n, std::size_t k,
                    const outlier_rule& rule, outlier_type type = outlier_type::automatic) {
  auto s = split_outliers(as_matrix(w, n, k), rule, type);
  INFO(message(s.error()));
  REQUIRE(s.has_value());
  CHECK(detail::outliers_are_sound(s->part.view(), n, k));
  CHECK(difference_bits(whole(*s), w) == "");
  return std::move(*s);
}

places singles_of(const outlier_split& s) {
  places p;
  outlier_data o = s.part.view();
  o.num_columns = 0;
  for_each_outlier(o, s.part.rows(), s.part.cols(), [&](std::size_t r, std::size_t c, float v) {
    CHECK(v != 0);
    p.emplace_back(r, c);
  });
  return p;
}

std::vector<std::uint32_t> columns_of(const outlier_split& s) {
  const outlier_data& o = s.part.view();
  return {o.columns, o.columns + o.num_columns};
}

// 3 x 4, with equal magnitudes and both zeros.
const std::vector<float> small = {1,     -4, 0.5f, 2,  //
                                  -0.0f, 3,  -3,   0,  //
                                  8,     -1, 1,    4};
places singles(const outlier_rule& rule) { return singles_of(split(small, 3, 4, rule)); }

}  // namespace

TEST_CASE("outliers above a threshold, which belongs to them", "[outliers]") {
  CHECK(singles(outlier_rule::above(4)) == places{{0, 1}, {2, 0}, {2, 3}});
  CHECK(singles(outlier_rule::above(8.5f)).empty());
  CHECK(singles(outlier_rule::above(infinity)).empty());
  CHECK(singles(outlier_rule::above(0)).size() == 10);  // zeros are none
  CHECK(singles(outlier_rule::above(-0.0f)).size() == 10);
  CHECK(singles(outlier_rule()).empty());
  const auto s = split(small, 3, 4, outlier_rule::above(4));
  CHECK(s.part.view().value_type == number_type::bf16);
  CHECK(s.rest()(0, 1) == 0);
  CHECK(s.rest()(0, 3) == 2);
}

TEST_CASE("the largest of every row, lower columns first", "[outliers]") {
  CHECK(singles(outlier_rule::largest(0.25)) == places{{0, 1}, {1, 1}, {2, 0}});
  CHECK(singles(outlier_rule::largest(0.5)) ==
        places{{0, 1}, {0, 3}, {1, 1}, {1, 2}, {2, 0}, {2, 3}});
  CHECK(singles(outlier_rule::largest(0.75)).size() == 8);  // row 1 has two that are not zero
  CHECK(singles(outlier_rule::largest(0)).empty());
  CHECK(singles(outlier_rule::largest(1)).size() == 10);
  CHECK(singles(outlier_rule::largest(0.12)).empty());       // 0.48 of a weight
  CHECK(singles(outlier_rule::largest(0.125)).size() == 3);  // half of one: one
}

TEST_CASE("the largest of a matrix, lower rows first", "[outliers]") {
  const auto largest = [](std::size_t count) {
    return singles(outlier_rule::largest(static_cast<double>(count) / 12, outlier_scope::tensor));
  };
  CHECK(largest(1) == places{{2, 0}});
  CHECK(largest(2) == places{{0, 1}, {2, 0}});
  CHECK(largest(3) == places{{0, 1}, {2, 0}, {2, 3}});
  CHECK(largest(4) == places{{0, 1}, {1, 1}, {2, 0}, {2, 3}});
  CHECK(largest(7) == places{{0, 0}, {0, 1}, {0, 3}, {1, 1}, {1, 2}, {2, 0}, {2, 3}});
  CHECK(largest(0).empty());
  CHECK(largest(12).size() == 10);
}

TEST_CASE("sensitive weights: squares times second moments", "[outliers]") {
  const float moments[] = {1, 0, 100, 4};  // squares: 1 0 25 16 | 0 0 900 0 | 64 0 100 64
  CHECK(singles(outlier_rule::sensitive(0.25, moments)) == places{{0, 2}, {1, 2}, {2, 2}});
  CHECK(singles(outlier_rule::sensitive(0.5, moments)) ==
        places{{0, 2}, {0, 3}, {1, 1}, {1, 2}, {2, 0}, {2, 2}});
  CHECK(singles(outlier_rule::sensitive(3.0 / 12, moments, outlier_scope::tensor)) ==
        places{{1, 2}, {2, 0}, {2, 2}});
  CHECK(singles(outlier_rule::sensitive(1, moments)).size() == 10);
  const float large[] = {infinity, 3e38f, 1e-45f, 0};
  CHECK(singles(outlier_rule::sensitive(0.25, large)) == places{{0, 0}, {1, 1}, {2, 0}});
}

TEST_CASE("whole columns: listed, or by a statistic", "[outliers]") {
  const auto columns = [](const outlier_rule& rule) {
    const auto s = split(small, 3, 4, rule);
    CHECK(s.part.view().num_values == 0);
    for (const std::uint32_t c : columns_of(s)) {
      for (std::size_t r = 0; r < 3; ++r) CHECK(detail::bits_of(s.rest()(r, c)) == 0);
    }
    return columns_of(s);
  };
  using list = std::vector<std::uint32_t>;
  CHECK(columns(outlier_rule::columns(list{3, 1, 3})) == list{1, 3});
  CHECK(columns(outlier_rule::columns({})).empty());
  const float amax[] = {6, 0, 5.5f, infinity};
  CHECK(columns(outlier_rule::columns_above(amax, 6)) == list{0, 3});
  CHECK(columns(outlier_rule::columns_above(amax, 0)) == list{0, 1, 2, 3});
  CHECK(columns(outlier_rule::columns_above(amax, infinity)).empty());
  CHECK(columns(outlier_rule::columns_largest(amax, 0.25)) == list{3});
  CHECK(columns(outlier_rule::columns_largest(amax, 0.75)) == list{0, 2, 3});
  CHECK(columns(outlier_rule::columns_largest(amax, 0)).empty());
  CHECK(columns(outlier_rule::columns_largest(amax, 1)) == list{0, 1, 2, 3});
  const float same[] = {2, 2, 2, 2};
  CHECK(columns(outlier_rule::columns_largest(same, 0.5)) == list{0, 1});
}

TEST_CASE("columns lie as panels of 16 rows, filled up with zeros", "[outliers]") {
  std::vector<float> w(17 * 3);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i);
  const std::uint32_t list[] = {2, 0};
  const auto s = split(w, 17, 3, outlier_rule::columns(list));
  const outlier_data& o = s.part.view();
  CHECK(o.column_type == number_type::bf16);
  const auto at = [&](std::size_t i) {
    return detail::load_number(o.column_type, o.column_values, i);
  };
  CHECK(at(5) == 15);       // row 5, column 0
  CHECK(at(16 + 5) == 17);  // row 5, column 2
  CHECK(at(32) == 48);      // row 16, column 0
  CHECK(at(48) == 50);      // row 16, column 2
  CHECK(at(33) == 0);
  CHECK(at(63) == 0);
}

TEST_CASE("the type of outliers is the narrowest that holds all", "[outliers]") {
  const auto type = [](std::vector<float> w, outlier_type asked = outlier_type::automatic) {
    const std::uint32_t both[] = {0, 1};
    const auto columns = split(w, 1, 2, outlier_rule::columns(both), asked);
    const auto s = split(w, 1, 2, outlier_rule::above(0), asked);
    if (asked == outlier_type::automatic) {
      CHECK(s.part.view().value_type == columns.part.view().column_type);
    } else {
      CHECK(static_cast<int>(s.part.view().value_type) == (asked == outlier_type::bf16  ? 1
                                                           : asked == outlier_type::f16 ? 2
                                                                                        : 0));
    }
    return columns.part.view().column_type;
  };
  CHECK(type({1.0f, 0x1p100f}) == number_type::bf16);
  CHECK(type({1.0f, 0x1p-133f}) == number_type::bf16);  // a subnormal of bf16
  CHECK(type({1.0f, 1 + 0x1p-10f}) == number_type::f16);
  CHECK(type({65504.0f, 0x1p-24f}) == number_type::f16);
  CHECK(type({1 + 0x1p-10f, 0x1p100f}) == number_type::f32);
  CHECK(type({1.0f, 1 + 0x1p-11f}) == number_type::f32);
  // Columns have no rest to keep what rounding takes.
  CHECK(type({1.0f, 1 + 0x1p-10f}, outlier_type::bf16) == number_type::f32);
  CHECK(type({1.0f, 1 + 0x1p-10f}, outlier_type::f16) == number_type::f16);
  CHECK(type({1.0f, 1 + 0x1p-11f}, outlier_type::f16) == number_type::f32);
  CHECK(type({1.0f, 2.0f}, outlier_type::f32) == number_type::f32);
  const auto none = split({0.0f, -0.0f}, 1, 2, outlier_rule::above(0));
  CHECK(none.part.bytes() == 0);
  CHECK(none.part.view().value_type == number_type::f32);
}

TEST_CASE("rounded outliers leave what they lose in the rest", "[outliers]") {
  const auto s = split({1 + 0x1p-9f, 0.25f, -(3 + 0x1p-22f)}, 1, 3, outlier_rule::above(1),
                       outlier_type::bf16);
  CHECK(singles_of(s) == places{{0, 0}, {0, 2}});
  CHECK(s.rest()(0, 0) == 0x1p-9f);
  CHECK(s.rest()(0, 1) == 0.25f);
  CHECK(s.rest()(0, 2) == -0x1p-22f);
  // Below half of f16's smallest number nothing is left of a weight: it stays whole.
  const auto tiny = split({0x1p-25f, 0x1.2p-25f, 0x1p-24f, 1e-45f}, 1, 4, outlier_rule::above(0),
                          outlier_type::f16);
  CHECK(singles_of(tiny) == places{{0, 1}, {0, 2}});
  CHECK(tiny.rest()(0, 0) == 0x1p-25f);
}

TEST_CASE("rest and part are the input in every bit", "[outliers]") {
  const std::size_t shapes[][2] = {{0, 0},   {0, 5},     {4, 0},     {1, 1},     {16, 32},
                                   {33, 70}, {3, 65536}, {2, 65537}, {2, 140000}};
  for (const auto& [n, k] : shapes) {
    nibble_test::random_bits random(nibble_test::seed_of("outliers", n, k));
    std::vector<float> moments(k);
    std::vector<std::uint32_t> list;
    for (float& m : moments) m = std::fabs(random.normal());
    for (std::size_t i = 0; i < k / 10; ++i)
      list.push_back(static_cast<std::uint32_t>(random.below(k)));
    const outlier_rule rules[] = {outlier_rule::above(0),
                                  outlier_rule::above(1.5f),
                                  outlier_rule::largest(0.01),
                                  outlier_rule::largest(0.3, outlier_scope::tensor),
                                  outlier_rule::largest(1),
                                  outlier_rule::sensitive(0.05, moments),
                                  outlier_rule::sensitive(0.05, moments, outlier_scope::tensor),
                                  outlier_rule::columns(list),
                                  outlier_rule::columns_above(moments, 1.0f),
                                  outlier_rule::columns_largest(moments, 0.02)};
    for (const fill kind : {fill::normal, fill::heavy_tailed, fill::ties, fill::zeros,
                            fill::denormals, fill::any_bits}) {
      if (k > 1000 && kind != fill::heavy_tailed && kind != fill::any_bits) continue;
      std::vector<float> w = nibble_test::make_values(kind, n * k, nibble_test::seed_of("w", n, k));
      for (const outlier_rule& rule : rules) {
        for (const outlier_type type :
             {outlier_type::automatic, outlier_type::bf16, outlier_type::f16, outlier_type::f32}) {
          INFO(n << " x " << k << ", values " << int(kind) << ", rule " << int(rule.kind)
                 << ", type " << int(type));
          auto s = split_outliers(as_matrix(w, n, k), rule, type);
          if (s.error() == errc::overflow) {
            CHECK((kind == fill::any_bits &&
                   (type == outlier_type::f16 || type == outlier_type::bf16)));
            continue;
          }
          REQUIRE(s.has_value());
          REQUIRE(detail::outliers_are_sound(s->part.view(), n, k));
          REQUIRE(difference_bits(whole(*s), w) == "");
        }
      }
    }
  }
}

TEST_CASE("the number of outliers is the fraction's, whatever the values", "[outliers]") {
  for (const fill kind : {fill::normal, fill::ties, fill::any_bits}) {
    std::vector<float> w = nibble_test::make_values(kind, 40 * 300, 5);
    for (float& v : w) v = v == 0 ? 1.0f : v;
    for (const double fraction : {0.001, 0.005, 0.0051, 0.37, 0.99}) {
      const auto count = [&](const outlier_rule& rule) {
        return split(w, 40, 300, rule).part.view().num_values;
      };
      CHECK(count(outlier_rule::largest(fraction)) ==
            static_cast<std::size_t>(std::llround(fraction * 300)) * 40);
      CHECK(count(outlier_rule::largest(fraction, outlier_scope::tensor)) ==
            static_cast<std::size_t>(std::llround(fraction * 12000)));
    }
  }
}

TEST_CASE("a stride is followed", "[outliers]") {
  const std::vector<float> w = {1, 5, quiet_nan, 7, 2, quiet_nan};
  const auto s = split_outliers({w.data(), 2, 2, 3}, outlier_rule::largest(0.5));
  REQUIRE(s.has_value());
  CHECK(singles_of(*s) == places{{0, 1}, {1, 0}});
  CHECK(whole(*s) == std::vector<float>{1, 5, 7, 2});
}

TEST_CASE("nothing is touched outside weights, statistics and rows that get outliers back") {
  using nibble_test::guarded_array;
  using nibble_test::side;
  nibble_test::random_bits random(4);
  for (const side where : {side::begin, side::end}) {
    for (int repeat = 0; repeat < 40; ++repeat) {
      const std::size_t n = 1 + random.below(40);
      const std::size_t k = 2 + random.below(300);
      const std::vector<float> values = nibble_test::make_values(fill::heavy_tailed, n * k, n);
      const guarded_array<float> w(n * k, where);
      const guarded_array<float> moments(k, where);
      const guarded_array<std::uint32_t> list(2, where);
      std::memcpy(w.data(), values.data(), n * k * sizeof(float));
      for (std::size_t i = 0; i < k; ++i) moments[i] = std::fabs(values[i]);
      list[0] = static_cast<std::uint32_t>(k - 1);
      list[1] = 0;
      w.make_read_only();
      moments.make_read_only();
      list.make_read_only();
      const std::span<const float> statistic(moments.data(), k);
      for (const outlier_rule& rule :
           {outlier_rule::above(1.5f), outlier_rule::largest(0.1),
            outlier_rule::largest(0.1, outlier_scope::tensor),
            outlier_rule::sensitive(0.1, statistic),
            outlier_rule::columns(std::span<const std::uint32_t>(list.data(), 2)),
            outlier_rule::columns_above(statistic, 1.0f)}) {
        for (const outlier_type type : {outlier_type::bf16, outlier_type::f16, outlier_type::f32}) {
          const auto s = split_outliers({w.data(), n, k}, rule, type);
          REQUIRE(s.has_value());
          const guarded_array<float> back(n * k, where);
          for (std::size_t r = 0; r < n; ++r) {
            std::memcpy(back.data() + r * k, s->rest().row_data(r), k * sizeof(float));
          }
          REQUIRE(add_outliers(s->part.view(), {back.data(), n, k}) == errc::ok);
          REQUIRE(back.check_margin());
          REQUIRE(std::memcmp(back.data(), values.data(), n * k * sizeof(float)) == 0);
        }
      }
    }
  }
}

TEST_CASE("no outliers take no time, however many rows a file claims", "[outliers]") {
  const std::size_t rows = std::size_t{1} << 48;
  for_each_outlier({}, rows, 0, [](auto...) { FAIL("there is none"); });
  CHECK(detail::outliers_are_sound({}, rows, 0));
}

TEST_CASE("bad rules and bad weights are errors", "[outliers]") {
  const auto error = [](const outlier_rule& rule) {
    return split_outliers(as_matrix(small, 3, 4), rule).error();
  };
  const auto both = [&](const outlier_rule& rule) {
    const errc e = error(rule);
    CHECK(split_outliers({small.data(), 0, 4}, rule).error() == e);  // also for no rows
    return e;
  };
  const float four[] = {1, 2, 3, 4};
  for (const float bad : {quiet_nan, -1.0f, -infinity}) {
    CHECK(both(outlier_rule::above(bad)) == errc::invalid_argument);
    CHECK(both(outlier_rule::columns_above(four, bad)) == errc::invalid_argument);
    const float statistic[] = {1, 2, bad, 4};
    CHECK(both(outlier_rule::sensitive(0.5, statistic)) == errc::invalid_argument);
    CHECK(both(outlier_rule::columns_above(statistic, 1)) == errc::invalid_argument);
    CHECK(both(outlier_rule::columns_largest(statistic, 0.5)) == errc::invalid_argument);
  }
  for (const double bad : {std::nan(""), -1e-9, 1.0000001, 1e300, -HUGE_VAL, HUGE_VAL}) {
    CHECK(both(outlier_rule::largest(bad)) == errc::invalid_argument);
    CHECK(both(outlier_rule::largest(bad, outlier_scope::tensor)) == errc::invalid_argument);
    CHECK(both(outlier_rule::sensitive(bad, four)) == errc::invalid_argument);
    CHECK(both(outlier_rule::columns_largest(four, bad)) == errc::invalid_argument);
  }
  const std::uint32_t list[] = {0, 4};
  CHECK(both(outlier_rule::columns(list)) == errc::invalid_argument);
  const std::span<const float> three(four, 3);
  CHECK(both(outlier_rule::sensitive(0.5, three)) == errc::shape_mismatch);
  CHECK(both(outlier_rule::columns_above(three, 1)) == errc::shape_mismatch);
  CHECK(both(outlier_rule::columns_largest({}, 1)) == errc::shape_mismatch);

  const outlier_rule rules[] = {outlier_rule::above(100), outlier_rule::largest(0),
                                outlier_rule::columns({})};
  for (const outlier_rule& rule : rules) {
    for (const float bad : {quiet_nan, infinity, -infinity}) {
      std::vector<float> w = small;
      w[7] = bad;
      CHECK(split_outliers(as_matrix(w, 3, 4), rule).error() == errc::non_finite);
    }
  }
}

TEST_CASE("what a forced type cannot hold is an error, not an infinity", "[outliers]") {
  const auto error = [](float v, outlier_type type) {
    return split_outliers(as_matrix({v}, 1, 1), outlier_rule::above(1), type).error();
  };
  CHECK(error(65519.996f, outlier_type::f16) == errc::ok);
  CHECK(error(-65520.0f, outlier_type::f16) == errc::overflow);
  CHECK(error(3.38e38f, outlier_type::bf16) == errc::ok);
  CHECK(error(std::numeric_limits<float>::max(), outlier_type::bf16) == errc::overflow);
  CHECK(error(std::numeric_limits<float>::max(), outlier_type::automatic) == errc::ok);
}

TEST_CASE("more outliers than an index can count are refused", "[outliers]") {
  const auto error = [](const outlier_rule& rule, std::size_t most) {
    return detail::outlier_splitter(as_matrix(small, 3, 4), rule, outlier_type::automatic, most)
        .split()
        .error();
  };
  CHECK(error(outlier_rule::above(0), 10) == errc::ok);
  CHECK(error(outlier_rule::above(0), 9) == errc::limit_exceeded);
  CHECK(error(outlier_rule::largest(1), 9) == errc::limit_exceeded);
  outlier_data many;
  many.num_values = std::size_t{1} << 32;
  CHECK(packed_outliers::create(1 << 16, 1 << 16, many).error() == errc::limit_exceeded);
}

TEST_CASE("a packed matrix carries its outliers", "[outliers]") {
  const std::size_t n = 20;
  const std::size_t k = 96;
  std::vector<float> w = nibble_test::make_values(fill::normal, n * k, 3);
  for (std::size_t i = 0; i < w.size(); i += 97) w[i] = 50;
  context with(parallel::serial());
  const auto plain = pack_with_outliers<int4_g32_f16>(as_matrix(w, n, k), outlier_rule(), with);
  const auto m =
      pack_with_outliers<int4_g32_f16>(as_matrix(w, n, k), outlier_rule::above(50), with);
  REQUIRE(plain.has_value());
  REQUIRE(m.has_value());
  CHECK(m->data().outliers.num_values == 20);
  CHECK(m->view().data.outliers.values != nullptr);
  CHECK(m->bytes() == plain->bytes() + 128 + 64 + 64);  // 21 begins, 20 columns, 20 values

  auto rest = quantized_matrix<int4_g32_f16>::create(n, k);
  REQUIRE(rest.has_value());
  REQUIRE(unpack(*m, rest->view()) == errc::ok);
  std::vector<float> y(n * k);
  REQUIRE(dequantize(*rest, matrix_view<float>(y.data(), n, k)) == errc::ok);
  REQUIRE(add_outliers(m->data().outliers, {y.data(), n, k}) == errc::ok);
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (i % 97 == 0) CHECK(y[i] == 50);
    CHECK(std::fabs(y[i] - w[i]) < 0.5f);
  }

  std::vector<float> bad = w;
  bad[5] = quiet_nan;
  CHECK(pack_with_outliers<int4_g32_f16>(as_matrix(bad, n, k), outlier_rule(), with).error() ==
        errc::non_finite);
}

#if NIBBLE_TEST_ENVIRONMENT
// Flushed subnormals (FTZ, DAZ) and other modes of rounding while splitting.
TEST_CASE("nothing is lost in any floating-point environment", "[outliers]") {
  for (const fill kind : {fill::normal, fill::denormals}) {
    std::vector<float> w = nibble_test::make_values(kind, 20 * 50, 9);
    for (std::size_t i = 0; i < w.size(); i += 3) w[i] = 0x1.010102p-126f;  // rest: a subnormal
    for (const auto& setting :
         {nibble_test::flush, nibble_test::flush_results, nibble_test::other_roundings[0],
          nibble_test::other_roundings[1], nibble_test::other_roundings[2]}) {
      for (const outlier_type type : {outlier_type::automatic, outlier_type::bf16}) {
        for (const outlier_rule& rule : {outlier_rule::above(0), outlier_rule::largest(0.5)}) {
          const auto s = [&] {
            const nibble_test::environment e(setting);
            return split_outliers(as_matrix(w, 20, 50), rule, type);
          }();
          INFO(setting.name);
          REQUIRE(s.has_value());
          CHECK((s->part.view().num_values != 0 || kind == fill::denormals));
          CHECK(difference_bits(whole(*s), w) == "");
        }
      }
    }
  }
}
#endif
