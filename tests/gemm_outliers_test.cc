// SPDX-License-Identifier: Apache-2.0 OR MIT
// Products with outliers: of w, single weights and whole columns; of x, by a threshold (LLM.int8);
// and activations quantized by scales that were found beforehand. Every format, path and target
// against the reference.
#include "support/gemm_checks.h"
#include "support/guarded.h"
#include "support/pool.h"

using namespace nibble_test;

namespace {

using nibble::number_type;
using nibble::outlier_data;
using nibble::outlier_statistics;
using nibble::packed_outliers;

constexpr number_type value_types[] = {number_type::bf16, number_type::f16, number_type::f32};

void store(number_type type, void* to, std::size_t i, float v) {
  nibble::detail::store_number({}, v, i, to, type);
}

/// Random outliers: about `density` of all weights, and `num_columns` columns.
packed_outliers some_outliers(std::size_t n, std::size_t k, double density, std::size_t num_columns,
                              random_bits& random) {
  std::vector<std::uint32_t> columns;
  for (std::size_t c = 0; c < k && columns.size() < num_columns; ++c) {
    if (random.below(k - c) < num_columns - columns.size()) {
      columns.push_back(static_cast<std::uint32_t>(c));
    }
  }
  const std::size_t spans = nibble::num_outlier_spans(k);
  std::vector<std::uint32_t> begin{0};
  std::vector<std::uint16_t> cols;
  for (std::size_t i = 0; i < n * spans; ++i) {
    const std::size_t first = i % spans * nibble::outlier_span;
    const auto limit = static_cast<std::uint64_t>(density * 4294967296.0);
    for (std::size_t c = first; c < std::min(k, first + nibble::outlier_span); ++c) {
      if (random.below(std::uint64_t{1} << 32) < limit) {
        cols.push_back(static_cast<std::uint16_t>(c - first));
      }
    }
    begin.push_back(static_cast<std::uint32_t>(cols.size()));
  }
  outlier_data sizes;
  sizes.num_values = cols.size();
  sizes.num_columns = columns.size();
  sizes.value_type = value_types[random.below(3)];
  sizes.column_type = value_types[random.below(3)];
  auto made = packed_outliers::create(n, k, sizes);
  REQUIRE(made.has_value());
  packed_outliers o = std::move(*made);
  if (!cols.empty()) {
    std::memcpy(o.array(0), begin.data(), begin.size() * 4);
    std::memcpy(o.array(1), cols.data(), cols.size() * 2);
    const auto v = make_values(fill::outlier, cols.size(), random.next());
    for (std::size_t i = 0; i < v.size(); ++i) store(sizes.value_type, o.array(2), i, 20 * v[i]);
  }
  if (!columns.empty()) {
    std::memcpy(o.array(3), columns.data(), columns.size() * 4);
    const std::size_t count = (n + 15) / 16 * 16 * columns.size();
    const auto v = make_values(fill::normal, count, random.next());
    for (std::size_t i = 0; i < count; ++i) store(sizes.column_type, o.array(4), i, 5 * v[i]);
  }
  CHECK(nibble::detail::outliers_are_sound(o.view(), n, k));
  return o;
}

/// What one case is made of.
struct options_of_case {
  float threshold = 0;
  bool fixed_scale = false;
  bool zero_point = false;
  bool ordered = false;
};

struct one_case {
  weights w;
  std::vector<float> values;
  std::vector<std::uint32_t> order;
  std::vector<float> scales;
  std::int32_t zero = 0;
  activations x;
  float threshold;

  one_case(const erased_gemm& g, shape size, std::size_t m, random_bits& random,
           const options_of_case& o)
      : w(g, size.rows, size.cols, random.next()), threshold(o.threshold) {
    const std::size_t k = size.cols;
    values = make_values(fill::normal, m * k, random.next());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (random.below(40) == 0) values[i] *= 12;
    }
    x = as_activations(values, m, k);
    if (o.fixed_scale) {
      zero = o.zero_point ? static_cast<std::int32_t>(random.below(256)) - 128 : 0;
      scales.assign(1, 0.02f);
      x = x.quantized_by(scales.data(), &zero);
      const std::size_t block = w.apart.shape.block;
      if (k != 0 && block >= 32 && block < k && random.below(2) == 0) {
        const auto more = make_values(fill::positive, k / block + 1, random.next());
        scales.assign(more.begin(), more.end());
        for (float& s : scales) s = 0.01f + 0.01f * s;
        x = x.quantized_by(scales.data(), block, &zero);
      }
    } else if (o.ordered) {
      for (std::size_t c = 0; c < k; ++c) order.push_back(static_cast<std::uint32_t>(c));
      for (std::size_t c = k; c > 1; --c) std::swap(order[c - 1], order[random.below(c)]);
      x.order = order.data();
    }
  }
};

gemm_options with_threshold(gemm_options o, float threshold) {
  o.outlier_threshold = threshold;
  return o;
}

/// All paths and targets of a case; then fewer rows, which must get the same bits.
void check(const one_case& c, closeness& close) {
  const expectation want(c.w, c.x, nibble::activation_scale::automatic, c.threshold);
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    for (const compute_path path : all_paths) {
      if (!can(c.w.ops, path)) continue;
      INFO(c.w.ops.name << " " << c.x.rows << " x " << c.w.n << " x " << c.w.k << ", "
                        << name_of(path) << " on " << target);
      const auto options = with_threshold(options_of(path), c.threshold);
      const auto y = multiply(c.w, c.x, with, options);
      // Static scales clip, which no bound knows.
      const bool bounded = c.scales.empty() || path != compute_path::integer;
      CHECK((bounded ? disagreement(y, want, path, close) : difference(y, want.integer)) == "");
      const auto plain = multiply(
          c.w, c.x, with, with_threshold(options_of(path, nibble::extension::none), c.threshold));
      if (path == compute_path::integer) CHECK(difference(plain, want.integer) == "");
      for (const std::size_t m : {1u, 3u, 4u, 5u, 17u}) {
        if (m >= c.x.rows) continue;
        const auto fewer = multiply(c.w, first_rows(c.x, m), with, options);
        CHECK(difference(fewer, std::span(y).first(fewer.size())) == "");
      }
    }
  });
}

shape small_shape(random_bits& random) {
  constexpr std::size_t some_n[] = {1, 15, 16, 17, 40, 64, 65, 130};
  constexpr std::size_t some_k[] = {1, 5, 31, 32, 33, 64, 100, 255, 256, 300};
  return {some_n[random.below(8)], some_k[random.below(10)]};
}

constexpr const char* sorts[] = {"int8_channel_f32",
                                 "uint8_g32_f16_z",
                                 "int4_g32_f16",
                                 "uint4_g128_f16_zf",
                                 "fp8_e4m3fn_t128_f32",
                                 "mxfp4",
                                 "nvfp4",
                                 "nf4_g64_dq",
                                 "q4_K",
                                 "q6_K",
                                 "bf16"};

}  // namespace

TEST_CASE("products with outliers agree with the reference, for every format") {
  closeness close;
  for (const erased_gemm& g : gemm_catalogue()) {
    random_bits random(seed_of(g.name));
    for (std::size_t i = 0; i < (heavy() ? 60u : 12u); ++i) {
      const shape size = small_shape(random);
      one_case c(g, size, i % 2 == 0 ? 18 : 3, random,
                 {i % 3 == 0 ? 4.0f : 0.0f, false, false, i % 4 == 1});
      const std::size_t columns = i % 3 != 2 ? random.below(size.cols + 1) : 0;
      c.w.attach(some_outliers(size.rows, size.cols, i % 6 == 0 ? 0.0 : 0.05, columns, random));
      check(c, close);
    }
  }
  close.print("with outliers");
}

TEST_CASE("large activations are multiplied as they are") {
  closeness close;
  for (const erased_gemm& g : gemm_catalogue()) {
    if (!g.has_levels) continue;
    random_bits random(seed_of(g.name, 1));
    for (const float threshold : {6.0f, 0.5f, 1e-30f}) {
      for (const bool ordered : {false, true}) {
        check(one_case(g, small_shape(random), 9, random, {threshold, false, false, ordered}),
              close);
      }
    }
  }
  close.print("large activations apart");
  CHECK(close.ratio[0] > 0.1);
}

TEST_CASE("static scales and zero points of activations") {
  closeness close;
  for (const erased_gemm& g : gemm_catalogue()) {
    random_bits random(seed_of(g.name, 2));
    for (const bool zero_point : {false, true}) {
      one_case c(g, small_shape(random), 9, random, {0, true, zero_point, false});
      if (zero_point) c.w.attach(some_outliers(c.w.n, c.w.k, 0.02, 1, random));
      check(c, close);
    }
  }
  close.print("static scales");
}

TEST_CASE("a static scale that is none, and activations that are not finite, show") {
  const weights w(gemm_named("int8_channel_f32"), 20, 64, 1);
  context with(parallel::serial());
  constexpr float inf = std::numeric_limits<float>::infinity();
  for_each_target([&](const char* target) {
    INFO(target);
    std::vector<float> values(2 * 64, 1.0f);
    for (const float scale : {0.0f, -1.0f, quiet_nan, inf, 1e-45f}) {
      const auto y = multiply(w, as_activations(values, 2, 64).quantized_by(&scale), with,
                              options_of(compute_path::integer));
      for (const float v : y) CHECK(std::isnan(v));
    }
    const float scale = 1;
    for (const float bad : {quiet_nan, inf, -inf}) {
      values.assign(2 * 64, 1.0f);
      values[63] = bad;
      const auto y = multiply(w, as_activations(values, 2, 64).quantized_by(&scale), with,
                              options_of(compute_path::integer));
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (i >= 20) {
          CHECK(std::isfinite(y[i]));
          continue;
        }
        const float exact = bad * w.apart.value[i * 64 + 63];  // an infinity keeps its sign
        CHECK((y[i] == exact || (std::isnan(y[i]) && std::isnan(exact))));
      }
    }
  });
}

TEST_CASE("thresholds that are none, and what was found") {
  constexpr std::size_t k = 300;
  const weights w(gemm_named("int8_channel_f32"), 33, k, 1);
  context with(parallel::serial());
  auto values = make_values(fill::normal, 5 * k, 3);
  values[7] = 50;
  values[k + 7] = -80;
  values[4 * k + 299] = 70;
  const activations x = as_activations(values, 5, k);
  for_each_target([&](const char* target) {
    INFO(target);
    const gemm_options plain = options_of(compute_path::integer);
    const auto y = multiply(w, x, with, plain);
    for (const float none : {0.0f, -1.0f, quiet_nan}) {
      CHECK(difference(multiply(w, x, with, with_threshold(plain, none)), y) == "");
    }
    outlier_statistics found{9, 9, 9};
    gemm_options o = with_threshold(plain, std::numeric_limits<float>::infinity());
    o.outliers_found = &found;
    CHECK(difference(multiply(w, x, with, o), y) == "");
    CHECK(found.num_columns == 0);
    CHECK(found.num_values == 0);
    CHECK(found.largest == 0);
    o.outlier_threshold = nibble::llm_int8_threshold;
    const auto split = multiply(w, x, with, o);
    CHECK(found.num_columns == 2);
    CHECK(found.num_values == 3);
    CHECK(found.largest == 80);
    // Rows without outliers are what they were; the others come nearer.
    CHECK(difference(std::span(split).subspan(2 * 33, 2 * 33),
                     std::span(y).subspan(2 * 33, 2 * 33)) == "");
    const auto exact = gemm_exact(w.apart, x);
    for (const std::size_t m : {0u, 1u, 4u}) {
      double before = 0;
      double after = 0;
      for (std::size_t i = m * 33; i < (m + 1) * 33; ++i) {
        before += std::fabs(static_cast<double>(y[i]) - exact[i]);
        after += std::fabs(static_cast<double>(split[i]) - exact[i]);
      }
      CHECK(after < before / 4);
    }
    o.outlier_threshold = 50;  // belongs to them
    CHECK(difference(multiply(w, x, with, o),
                     gemm_integer(w.apart, x, nibble::activation_scale::automatic, 50)) == "");
    CHECK(found.num_values == 3);
    o.path = compute_path::exact;  // nothing is quantized, so nothing is looked for
    static_cast<void>(multiply(w, x, with, o));
    CHECK(found.num_values == 0);
  });
}

TEST_CASE("outliers with every type of x, several matrices, routed rows, threads") {
  sharing_pool pool(3);
  closeness close;
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    random_bits random(seed_of(name, 3));
    constexpr std::size_t n = 150;
    constexpr std::size_t k = 192;
    constexpr std::size_t m = 70;
    weights w(g, n, k, random.next());
    w.attach(some_outliers(n, k, 0.01, 3, random));
    std::vector<std::int8_t> codes(m * k);
    for (auto& c : codes) c = static_cast<std::int8_t>(random.below(256));
    const std::vector<float> scales(m, 0.01f);
    std::vector<std::int32_t> zeros;
    for (std::size_t r = 0; r < m; ++r) zeros.push_back(static_cast<std::int32_t>(r) - 40);
    const auto values = make_values(fill::normal, m * k, random.next());
    const std::size_t gap = 3;
    std::vector<std::uint16_t> halves(m * (k + gap), 0x7E00);  // NaN in both
    std::vector<std::uint16_t> more = halves;
    for (std::size_t i = 0; i < m * k; ++i) {
      const std::size_t at = i / k * (k + gap) + i % k;
      store(number_type::bf16, halves.data(), at, values[i]);
      store(number_type::f16, more.data(), at, values[i]);
    }
    const activations x_of_codes(matrix_view<const std::int8_t>(codes.data(), m, k), scales.data());
    activations with_zeros = x_of_codes;
    with_zeros.zero_points = zeros.data();
    const activations some_x[] = {
        as_activations(values, m, k),
        x_of_codes,
        with_zeros,
        {matrix_view<const std::uint16_t>(halves.data(), m, k, k + gap), number_type::bf16},
        {matrix_view<const std::uint16_t>(more.data(), m, k, k + gap), number_type::f16}};
    for (const activations& x : some_x) {
      const expectation want(w, x, nibble::activation_scale::automatic, 3.0f);
      for_each_target([&](const char* target) {
        for (const compute_path path : all_paths) {
          if (!can(g, path)) continue;
          INFO(name << ", " << name_of(path) << " on " << target);
          const auto options = with_threshold(options_of(path), 3.0f);
          context with(pool.threads());
          const auto y = multiply(w, x, with, options);
          CHECK(disagreement(y, want, path, close) == "");
          // The same matrix twice in a call: all rows, and every third.
          std::vector<std::uint32_t> third;
          for (std::uint32_t r = 0; r < m; r += 3) third.push_back(r);
          std::vector<float> all(m * n, quiet_nan);
          std::vector<float> some(m * n, quiet_nan);
          const any_product products[] = {
              {w.packed.data, matrix_view<float>(all.data(), m, n), {}, nullptr, nullptr, 0},
              {w.packed.data,
               matrix_view<float>(some.data(), m, n),
               {},
               third.data(),
               nullptr,
               third.size()}};
          REQUIRE(g.gemm_many(std::span(products), x, with, options) == nibble::errc::ok);
          CHECK(difference(all, y) == "");
          for (std::size_t r = 0; r < m; r += 3) {
            CHECK(difference(std::span(some).subspan(r * n, n), std::span(y).subspan(r * n, n)) ==
                  "");
          }
        }
      });
    }
  }
}

TEST_CASE("a gated pair, each with its outliers") {
  const erased_gemm& g = gemm_named("int4_g32_f16");
  random_bits random(5);
  constexpr std::size_t n = 70;
  constexpr std::size_t k = 128;
  weights gate(g, n, k, 1);
  weights up(g, n, k, 2);
  gate.attach(some_outliers(n, k, 0.02, 0, random));
  up.attach(some_outliers(n, k, 0.03, 0, random));
  for (const std::size_t m : {std::size_t{1}, std::size_t{20}}) {
    const auto values = make_values(fill::normal, m * k, 3);
    const activations x = as_activations(values, m, k);
    context with(parallel::serial());
    const auto options = options_of(compute_path::integer);
    epilogue post;
    post.act = nibble::activation::silu;
    const auto a = gemm_integer(gate.apart, x);
    const auto b = gemm_integer(up.apart, x);
    std::vector<float> want(m * n);
    nibble::reference::apply_epilogue(a, matrix_view<float>(want.data(), m, n), post, &b);
    std::vector<float> y(m * n, quiet_nan);
    REQUIRE(g.gemm_gated(gate.packed.data, up.packed.data, x, matrix_view<float>(y.data(), m, n),
                         with, post, {}, options) == nibble::errc::ok);
    CHECK(difference(y, want) == "");
  }
}

TEST_CASE("nothing is read outside of outliers and activations") {
  constexpr std::size_t n = 37;
  for (const side where : {side::begin, side::end}) {
    for (const std::size_t k : {std::size_t{61}, std::size_t{300}}) {
      random_bits random(k);
      weights w(gemm_named("int8_channel_f32"), n, k, 1);
      w.attach(some_outliers(n, k, 0.05, 5, random));
      const outlier_data from = w.outliers.view();
      const auto sizes = nibble::detail::outlier_sizes_of(from, n, k);
      std::vector<guarded_array<std::uint8_t>> arrays;
      const void* const pointers[] = {from.row_begin, from.cols, from.values, from.columns,
                                      from.column_values};
      for (std::size_t i = 0; i < 5; ++i) {
        arrays.emplace_back(sizes.bytes[i], where);
        std::memcpy(arrays[i].data(), pointers[i], sizes.bytes[i]);
        arrays[i].make_read_only();
      }
      outlier_data& o = w.packed.data.outliers;
      o.row_begin = reinterpret_cast<const std::uint32_t*>(arrays[0].data());
      o.cols = reinterpret_cast<const std::uint16_t*>(arrays[1].data());
      o.values = arrays[2].data();
      o.columns = reinterpret_cast<const std::uint32_t*>(arrays[3].data());
      o.column_values = arrays[4].data();
      for (const std::size_t m : {1u, 3u, 4u, 17u, 33u}) {
        const guarded_array<float> x(m * k, where);
        const auto values = make_values(fill::normal, m * k, m);
        std::memcpy(x.data(), values.data(), m * k * sizeof(float));
        x.make_read_only();
        const activations guarded = matrix_view<const float>(x.data(), m, k);
        const auto want = gemm_integer(w.apart, as_activations(values, m, k),
                                       nibble::activation_scale::automatic, 1.5f);
        for_each_target([&](const char* target) {
          INFO(m << " rows of " << k << " on " << target);
          context with(parallel::serial());
          const auto options = with_threshold(options_of(compute_path::integer), 1.5f);
          CHECK(difference(multiply(w, guarded, with, options), want) == "");
          static_cast<void>(multiply(w, guarded, with, options_of(compute_path::exact)));
        });
      }
    }
  }
}

TEST_CASE("rows of several spans of columns") {
  closeness close;
  for (const char* name : {"int8_channel_f32", "int4_g128_f16"}) {
    random_bits random(seed_of(name, 4));
    for (const std::size_t k : {std::size_t{65536}, std::size_t{65600}, std::size_t{140001}}) {
      one_case c(gemm_named(name), {3, k}, 5, random, {});
      c.w.attach(some_outliers(3, k, 0.001, 2, random));
      check(c, close);
    }
  }
}

// Whoever computes on the integer path, on whatever CPU, gets these bits.
TEST_CASE("the integer path with outliers has one result: its hash") {
  constexpr std::size_t k = 288;
  for_each_target([&](const char* target) {
    std::uint64_t hash = 0;
    for (const char* name : {"int8_channel_f32", "uint4_g128_f16_zf", "mxfp4", "q4_K"}) {
      random_bits random(7);
      one_case c(gemm_named(name), {40, k}, 5, random, {3.0f, false, false, false});
      c.w.attach(some_outliers(40, k, 0.02, 4, random));
      context with(parallel::serial());
      for (const float v :
           multiply(c.w, c.x, with, with_threshold(options_of(compute_path::integer), 3.0f))) {
        hash = seed_of("", hash, std::bit_cast<std::uint32_t>(v));
      }
    }
    INFO(target);
    CHECK(hash == 0xF2EC34102E897B59);
  });
}
