// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed products as calls: threads, memory, several products at once, epilogues and types of
// results. The same bits however the work is divided.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "support/gemm_checks.h"
#include "support/pool.h"

namespace {
std::atomic<std::size_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) noexcept {
  ++allocations;
  return std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
}
}  // namespace

// Every allocation of this program is counted.
void* operator new(std::size_t n) {
  if (void* p = counted(n, 16)) return p;
  std::abort();
}
void* operator new(std::size_t n, std::align_val_t a) {
  if (void* p = counted(n, static_cast<std::size_t>(a))) return p;
  std::abort();
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted(n, 16); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return counted(n, static_cast<std::size_t>(a));
}
// Not inlined: GCC takes a free() that it sees beside a `new` that it does not for a mismatch.
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

using namespace nibble_test;

namespace {

using nibble::number_type;
using nibble::requantize_rule;

constexpr const char* sorts[] = {"int8_channel_f32",
                                 "uint8_g32_f16_z",
                                 "int4_g32_f16",
                                 "uint4_g128_f16_zf",
                                 "uint3_g32_f16_z",
                                 "fp8_e4m3fn_t128_f32",
                                 "mxfp4",
                                 "nvfp4",
                                 "nf4_g64_dq",
                                 "q4_K",
                                 "q6_K",
                                 "f16"};

/// y of some type with NaN or marks in it.
struct typed_results {
  std::vector<std::uint8_t> bytes;
  results y;
  typed_results(number_type type, std::size_t m, std::size_t n, std::size_t gap = 0)
      : bytes((m * (n + gap) + 1) * size_of(type), 0xFF) {
    y.data = bytes.data();
    y.type = type;
    y.rows = m;
    y.cols = n;
    y.stride = n + gap;
  }
};

/// A single weight and a column.
nibble::packed_outliers one_outlier(std::size_t n, std::size_t k) {
  nibble::outlier_data sizes;
  sizes.num_values = 1;
  sizes.num_columns = 1;
  auto o = nibble::packed_outliers::create(n, k, sizes);
  REQUIRE(o.has_value());
  for (std::size_t i = 0; i < 5; ++i) {
    const auto bytes = nibble::detail::outlier_sizes_of(sizes, n, k).bytes[i];
    std::memset(o->array(i), 0, bytes);
  }
  for (std::size_t r = 1; r <= n; ++r) o->array(0)[4 * r] = 1;  // of row 0
  return std::move(*o);
}

}  // namespace

TEST_CASE("any number of threads gives the same bits") {
  sharing_pool two(2);
  sharing_pool three(3);
  std::vector<parallel> ways{two.threads(), three.threads()};
#ifdef _OPENMP
  ways.push_back(sharing_pool::shared(parallel::openmp(2)));
  ways.push_back(sharing_pool::shared(parallel::openmp(3)));
#endif
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    for (const shape size : {shape{300, 200}, shape{17, 64}}) {
      const weights w(g, size.rows, size.cols, seed_of(name));
      for (const std::size_t m : {std::size_t{1}, std::size_t{70}}) {
        const auto values = make_values(fill::normal, m * size.cols, 1);
        const activations x = as_activations(values, m, size.cols);
        for_each_target([&](const char* target) {
          for (const compute_path path : all_paths) {
            if (!can(g, path)) continue;
            context serial(parallel::serial());
            const auto want = multiply(w, x, serial, options_of(path));
            for (const parallel& way : ways) {
              INFO(name << ", " << name_of(path) << " on " << target << ", " << m << " rows, "
                        << way.num_threads << " threads");
              context with(way);
              CHECK(difference(multiply(w, x, with, options_of(path)), want) == "");
            }
          }
        });
      }
    }
  }
}

TEST_CASE("thousands of rows: each gets the bits it gets alone") {
  sharing_pool pool(2);
  constexpr std::size_t m = 1100;
  constexpr std::size_t n = 70;
  constexpr std::size_t k = 96;
  const auto values = make_values(fill::normal, m * k, 1);
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    const weights w(g, n, k, seed_of(name));
    context with(pool.threads());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        INFO(name << ", " << name_of(path) << " on " << target);
        const auto all = multiply(w, as_activations(values, m, k), with, options_of(path));
        for (std::size_t r = 0; r < m; r += 37) {
          const activations one = matrix_view<const float>(values.data() + r * k, 1, k);
          CHECK(difference(multiply(w, one, with, options_of(path)),
                           std::span(all).subspan(r * n, n)) == "");
        }
      }
    });
  }
}

TEST_CASE("nothing is allocated once a context is warm") {
  sharing_pool pool(2);
  for (const parallel& way : {parallel::serial(), pool.threads()}) {
    context with(way);
    for (const char* name : sorts) {
      const erased_gemm& g = gemm_named(name);
      weights w(g, 200, 300, 1);
      w.attach(one_outlier(200, 300));
      const auto values = make_values(fill::normal, 40 * 300, 1);
      std::vector<float> y(40 * 200);
      const auto call = [&](std::size_t m, compute_path path) {
        gemm_options o = options_of(path);
        o.outlier_threshold = 2;
        return g.gemm(w.packed.data, matrix_view<const float>(values.data(), m, 300),
                      matrix_view<float>(y.data(), m, 200), with, {}, o);
      };
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        for (int twice = 0; twice < 2; ++twice) REQUIRE(call(40, path) == errc::ok);
      }
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        for (const std::size_t m : {40u, 1u, 7u, 40u}) {
          const std::size_t before = allocations;
          const errc error = call(m, path);
          const std::size_t after = allocations;
          INFO(name << ", " << name_of(path) << ", " << m << " rows");
          CHECK(error == errc::ok);
          CHECK(after == before);
        }
      }
    }
  }
}

TEST_CASE("calls of several threads with one context do not disturb each other") {
  sharing_pool pool(2);
  context with(pool.threads());
  constexpr std::size_t callers = 4;
  constexpr std::size_t n = 130;
  constexpr std::size_t k = 160;
  std::vector<weights> w;
  std::vector<std::vector<float>> x;
  std::vector<std::vector<float>> want;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < callers; ++i) {
    const erased_gemm& g = gemm_named(sorts[2 * i]);
    w.emplace_back(g, n, k, i);
    rows.push_back(1 + 9 * i);
    x.push_back(make_values(fill::normal, rows[i] * k, i));
    context alone(parallel::serial());
    want.push_back(multiply(w[i], as_activations(x[i], rows[i], k), alone, {}));
  }
  std::vector<std::size_t> wrong(callers);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] {
      std::vector<float> y(rows[i] * n);
      for (int repeat = 0; repeat < 50; ++repeat) {
        std::fill(y.begin(), y.end(), quiet_nan);
        const errc error = w[i].ops.gemm(w[i].packed.data, as_activations(x[i], rows[i], k),
                                         matrix_view<float>(y.data(), rows[i], n), with, {}, {});
        wrong[i] += error != errc::ok || !difference(y, want[i]).empty();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<std::size_t>(callers));
}

TEST_CASE("results of every type are the epilogue of the reference's sums") {
  constexpr std::size_t m = 7;
  constexpr std::size_t n = 75;
  constexpr std::size_t k = 96;
  random_bits random(1);
  std::vector<float> channel(n);
  std::vector<float> bias(n);
  std::vector<float> scale(n);
  std::vector<std::int32_t> multiplier(n);
  std::vector<std::int32_t> shift(n);
  for (std::size_t i = 0; i < n; ++i) {
    channel[i] = 0.5f + random.uniform();
    bias[i] = random.normal();
    scale[i] = 0.01f + random.uniform() * 0.1f;
    multiplier[i] = static_cast<std::int32_t>(random.bits32() >> 1);
    shift[i] = static_cast<std::int32_t>(random.below(9)) - 4;
  }
  const auto values = make_values(fill::normal, m * k, 2);
  const auto residual = make_values(fill::normal, m * n, 3);
  std::vector<float> big = values;
  for (float& v : big) v *= 1000;
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    if (!g.has_levels) continue;
    const weights w(g, n, k, seed_of(name));
    const activations x = as_activations(big, m, k);
    const auto sums = gemm_integer(w.apart, x);
    context with(parallel::serial());
    for (const number_type type : {number_type::f32, number_type::bf16, number_type::f16,
                                   number_type::int8, number_type::uint8}) {
      for (const auto rule : {requantize_rule::float_scale, requantize_rule::fixed_double,
                              requantize_rule::fixed_single}) {
        if (size_of(type) != 1 && rule != requantize_rule::float_scale) continue;
        for (const auto act :
             {nibble::activation::none, nibble::activation::gelu, nibble::activation::silu}) {
          epilogue post;
          post.channel_scale = channel.data();
          post.bias = bias.data();
          post.act = act;
          post.residual = residual.data();
          post.residual_stride = n;
          post.low = -50;
          post.high = 60;
          post.requantize = {rule,
                             true,
                             scale.data(),
                             multiplier.data(),
                             shift.data(),
                             3,
                             type == number_type::int8 ? -128 : 0,
                             type == number_type::int8 ? 127 : 255};
          typed_results want(type, m, n, 3);
          nibble::reference::apply_epilogue(sums, want.y, post);
          for_each_target([&](const char* target) {
            INFO(name << " to " << name_of(type) << " on " << target);
            typed_results got(type, m, n, 3);
            REQUIRE(g.gemm(w.packed.data, x, got.y, with, post,
                           options_of(compute_path::integer)) == errc::ok);
            CHECK(difference(got.bytes, want.bytes) == "");
          });
        }
      }
    }
  }
}

TEST_CASE("the residual may be y itself") {
  const erased_gemm& g = gemm_named("int4_g32_f16");
  const weights w(g, 70, 64, 1);
  const auto values = make_values(fill::normal, 9 * 64, 2);
  const activations x = as_activations(values, 9, 64);
  const auto sums = gemm_integer(w.apart, x);
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    INFO(target);
    std::vector<float> y = make_values(fill::normal, 9 * 70, 3);
    std::vector<float> want = y;
    for (std::size_t i = 0; i < y.size(); ++i) want[i] = sums[i] + want[i];
    epilogue post;
    post.residual = y.data();
    post.residual_stride = 70;
    REQUIRE(g.gemm(w.packed.data, x, matrix_view<float>(y.data(), 9, 70), with, post,
                   options_of(compute_path::integer)) == errc::ok);
    CHECK(difference(y, want) == "");
  });
}

TEST_CASE("gated pairs: act(gate) times up, each with its own channels") {
  constexpr std::size_t m = 9;
  constexpr std::size_t n = 83;
  constexpr std::size_t k = 128;
  const auto values = make_values(fill::normal, m * k, 2);
  const activations x = as_activations(values, m, k);
  const auto channels = make_values(fill::positive, 4 * n, 3);
  epilogue post;
  post.act = nibble::activation::silu;
  post.channel_scale = channels.data();
  post.bias = channels.data() + n;
  const nibble::second_channels second{channels.data() + 2 * n, channels.data() + 3 * n};
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    const weights gate(g, n, k, 1);
    const weights up(g, n, k, 2);
    context with(parallel::serial());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        INFO(name << ", " << name_of(path) << " on " << target);
        const auto a = multiply(gate, x, with, options_of(path));
        const auto b = multiply(up, x, with, options_of(path));
        std::vector<float> want(m * n);
        nibble::reference::apply_epilogue(a, matrix_view<float>(want.data(), m, n), post, &b,
                                          second);
        std::vector<float> y(m * n, quiet_nan);
        REQUIRE(g.gemm_gated(gate.packed.data, up.packed.data, x,
                             matrix_view<float>(y.data(), m, n), with, post, second,
                             options_of(path)) == errc::ok);
        CHECK(difference(y, want) == "");
      }
    });
  }
}

TEST_CASE("several products of one x, of different heights") {
  constexpr std::size_t m = 11;
  constexpr std::size_t k = 160;
  const auto values = make_values(fill::normal, m * k, 2);
  const activations x = as_activations(values, m, k);
  sharing_pool pool(2);
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    std::vector<weights> w;
    for (const std::size_t n : {96u, 17u, 1u, 64u, 0u}) w.emplace_back(g, n, k, n + 1);
    const auto bias = make_values(fill::normal, 96, 4);
    context with(pool.threads());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        INFO(name << ", " << name_of(path) << " on " << target);
        std::vector<std::vector<float>> y;
        std::vector<any_product> products;
        for (const weights& one : w) {
          y.emplace_back(m * one.n, quiet_nan);
          any_product p;
          p.w = one.packed.data;
          p.y = matrix_view<float>(y.back().data(), m, one.n);
          if (one.n == 17) p.post.bias = bias.data();
          products.push_back(p);
        }
        REQUIRE(g.gemm_many(products, x, with, options_of(path)) == errc::ok);
        for (std::size_t i = 0; i < w.size(); ++i) {
          const auto want = multiply(w[i], x, with, options_of(path), products[i].post);
          CHECK(difference(y[i], want) == "");
        }
        CHECK(g.gemm_many({}, x, with, options_of(path)) == errc::ok);
      }
    });
  }
}

TEST_CASE("experts: each multiplies the rows that are routed to it") {
  const std::size_t m = GENERATE(std::size_t{23}, std::size_t{150});  // one task, several
  constexpr std::size_t k = 96;
  constexpr std::size_t n = 50;
  constexpr std::size_t experts = 5;
  const auto values = make_values(fill::normal, m * k, 2);
  const activations x = as_activations(values, m, k);
  // Two experts per row, never the third; slot[row * 2 + i] is the row of y.
  random_bits random(3);
  std::vector<std::vector<std::uint32_t>> from(experts);
  std::vector<std::vector<std::uint32_t>> to(experts);
  for (std::uint32_t r = 0; r < m; ++r) {
    const std::size_t first = random.below(2);
    const std::size_t other = 3 + random.below(2);
    from[first].push_back(r);
    to[first].push_back(2 * r);
    from[other].push_back(r);
    to[other].push_back(2 * r + 1);
  }
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    std::vector<weights> w;
    for (std::size_t e = 0; e < experts; ++e) w.emplace_back(g, n, k, e + 1);
    sharing_pool pool(7);
    context with(pool.threads());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        INFO(name << ", " << name_of(path) << " on " << target);
        std::vector<float> y(2 * m * n, quiet_nan);
        std::vector<float> want(2 * m * n, quiet_nan);
        std::vector<any_product> products;
        for (std::size_t e = 0; e < experts; ++e) {
          any_product p;
          p.w = w[e].packed.data;
          p.y = matrix_view<float>(y.data(), 2 * m, n);
          static constexpr std::uint32_t none = 0;
          p.x_rows = from[e].empty() ? &none : from[e].data();
          p.y_rows = to[e].empty() ? &none : to[e].data();
          p.num_rows = from[e].size();
          products.push_back(p);
          const auto all = multiply(w[e], x, with, options_of(path));
          for (std::size_t i = 0; i < from[e].size(); ++i) {
            std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(from[e][i] * n), n,
                        want.begin() + static_cast<std::ptrdiff_t>(to[e][i] * n));
          }
        }
        REQUIRE(g.gemm_many(products, x, with, options_of(path)) == errc::ok);
        CHECK(difference(y, want) == "");
      }
    });
  }
}

TEST_CASE("packed under one target, run under another: the same bytes and bits") {
  constexpr std::size_t n = 40;
  constexpr std::size_t k = 200;
  const auto values = make_values(fill::normal, 3 * k, 2);
  const activations x = as_activations(values, 3, k);
  for (const erased_gemm& g : gemm_catalogue()) {
    std::vector<weights> made;
    for_each_target([&](const char*) { made.emplace_back(g, n, k, 1); });
    const auto want = g.has_levels ? gemm_integer(made[0].apart, x) : std::vector<float>();
    context with(parallel::serial());
    for (const weights& w : made) {
      CHECK(w.packed.bytes == made[0].packed.bytes);
      CHECK(std::memcmp(w.packed.buffer, made[0].packed.buffer, w.packed.bytes) == 0);
      for_each_target([&](const char* target) {
        if (!g.has_levels) return;
        INFO(g.name << " on " << target);
        CHECK(difference(multiply(w, x, with, options_of(compute_path::integer)), want) == "");
      });
    }
  }
}
