// SPDX-License-Identifier: Apache-2.0 OR MIT
// Products where the program has changed the floating-point environment: flushed subnormals (FTZ,
// DAZ; FZ on Arm) and other rounding modes. What holds then, and that no call changes the setting
// of any thread, is written in docs/numerics.md.
#include "support/environment.h"
#include "support/gemm_checks.h"
#include "support/pool.h"

#if NIBBLE_TEST_ENVIRONMENT
#include <atomic>

using namespace nibble_test;

namespace {

using nibble::number_type;

constexpr std::size_t m = 5;
constexpr std::size_t n = 35;
constexpr std::size_t k = 200;

constexpr nibble::extension some_extensions[] = {nibble::extension::any, nibble::extension::none};

/// One call under a setting, which is the same afterwards.
std::vector<float> multiply_under(const setting& in, const weights& w, const activations& x,
                                  context& with, const gemm_options& o) {
  const environment e(in);
  const std::uint64_t before = control_register();
  std::vector<float> y = multiply(w, x, with, o);
  CHECK(control_register() == before);
  return y;
}

/// Runs fn(path, options, text) for what a format can do on every target.
template <class Fn>
void for_each_way(const erased_gemm& g, Fn&& fn) {
  for_each_target([&](const char* target) {
    for (const compute_path path : all_paths) {
      if (!can(g, path)) continue;
      for (const nibble::extension extensions : some_extensions) {
        INFO(g.name << ", " << name_of(path) << " on " << target << ", "
                    << (extensions == nibble::extension::none ? "no" : "all") << " extensions");
        fn(path, options_of(path, extensions));
      }
    }
  });
}

}  // namespace

TEST_CASE("flushed subnormals do not change a bit of a product in which none occurs") {
  for (const erased_gemm& g : gemm_catalogue()) {
    const weights w(g, n, k, seed_of(g.name));
    context with(parallel::serial());
    for (const fill kind : {fill::normal, fill::heavy_tailed, fill::positive, fill::zeros}) {
      const auto values = make_values(kind, m * k, seed_of(g.name, 1));
      const activations x = as_activations(values, m, k);
      for_each_way(g, [&](compute_path, const gemm_options& o) {
        INFO(name_of(kind));
        const auto want = multiply(w, x, with, o);
        CHECK(difference(multiply_under(flush, w, x, with, o), want) == "");
      });
    }
  }
}

TEST_CASE("flushed subnormals do not change a byte of a packed matrix in which none occurs") {
  for (const erased_gemm& g : gemm_catalogue()) {
    const weights w(g, n, k, seed_of(g.name));
    context with(parallel::serial());
    for_each_target([&](const char* target) {
      INFO(g.name << " on " << target);
      const environment e(flush);
      const packed_any p = g.pack(w.parts.readable(), n, k, with);
      REQUIRE(p.bytes == w.packed.bytes);
      CHECK(std::equal(p.buffer, p.buffer + p.bytes, w.packed.buffer));
    });
  }
}

TEST_CASE("flushed subnormals do not change results of f16, bf16 and int8 made of normal sums") {
  constexpr number_type types[] = {number_type::f32, number_type::f16, number_type::bf16,
                                   number_type::int8};
  const erased_gemm& g = gemm_named("int4_g32_f16");
  const weights w(g, n, k, 1);
  const auto values = make_values(fill::normal, m * k, 2);
  const activations x = as_activations(values, m, k);
  const float one_step = 0x1p-6f;
  // Sums near 2^-10; scaled by 2^-12, most are subnormal as f16.
  const std::vector<float> small(n, 0x1p-12f);
  const auto residual = make_values(fill::positive, m * n, 3);
  context with(parallel::serial());
  for_each_way(g, [&](compute_path, const gemm_options& o) {
    for (const number_type type : types) {
      for (const auto act : {nibble::activation::none, nibble::activation::gelu,
                             nibble::activation::gelu_tanh, nibble::activation::silu}) {
        for (const bool has_residual : {false, true}) {
          epilogue post;
          post.channel_scale = small.data();
          post.act = act;
          if (has_residual) {
            post.residual = residual.data();
            post.residual_stride = n;
          }
          post.requantize.scale = &one_step;
          const auto run = [&](const setting& in) {
            std::vector<std::uint8_t> bytes(m * n * size_of(type), 0xFF);
            results y;
            y.data = bytes.data();
            y.type = type;
            y.rows = m;
            y.cols = n;
            y.stride = n;
            const environment e(in);
            CHECK(g.gemm(w.packed.data, x, y, with, post, o) == errc::ok);
            return bytes;
          };
          INFO(name_of(type) << ", activation " << static_cast<int>(act));
          CHECK(difference(run(flush), run(default_setting)) == "");
        }
      }
    }
  });
}

namespace {

/// Twice the bound, as directed rounding errs by twice as much, and 8 u for weights that are
/// dequantized with another rounding: P of docs/numerics.md, part 10. Double-quantized scales are
/// sums of two numbers that may nearly cancel: their weights are off by an ulp of the largest.
struct directed_expectation {
  std::vector<double> exact;
  std::vector<double> allowed[3];

  directed_expectation(const weights& w, const activations& x) : exact(gemm_exact(w.apart, x)) {
    const expectation nearest(w, x);
    double sum_ulp = 0;
    if (w.ops.name.ends_with("_dq")) {
      for (const float v : w.apart.value) {
        sum_ulp = std::max(sum_ulp, std::fabs(static_cast<double>(v)) * 0x1p-22);
      }
    }
    for (std::size_t r = 0; r < x.rows; ++r) {
      const auto q = quantize_row(w.apart, x, r, nibble::activation_scale::automatic);
      double sum_x = 0;
      for (std::size_t c = 0; c < w.k; ++c)
        sum_x += std::fabs(nibble::reference::exact_of(x, r, c));
      for (std::size_t c = 0; c < w.n; ++c) {
        const product_sums s = sums_of(w.apart, q, x, r, c);
        for (std::size_t p = 0; p < 3; ++p) {
          allowed[p].push_back(2 * nearest.bounds[p][r * w.n + c] + 0x1p-21 * s.parts_x +
                               sum_ulp * sum_x);
        }
      }
    }
  }
};

}  // namespace

TEST_CASE("rounding modes: no product errs by more than twice its bound, nearly") {
  double largest[3] = {};
  for (const erased_gemm& g : gemm_catalogue()) {
    context with(parallel::serial());
    for (const std::size_t cols : {std::size_t{1}, std::size_t{33}, k}) {
      const weights w(g, n, cols, seed_of(g.name));
      for (const fill kind : {fill::normal, fill::positive, fill::ties}) {
        const auto values = make_values(kind, m * cols, seed_of(g.name, 1));
        const activations x = as_activations(values, m, cols);
        const directed_expectation want(w, x);
        for_each_way(g, [&](compute_path path, const gemm_options& o) {
          const std::size_t p = static_cast<std::size_t>(path) - 1;
          for (const setting& mode : other_roundings) {
            const auto y = multiply_under(mode, w, x, with, o);
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < y.size(); ++i) {
              const double error = std::fabs(static_cast<double>(y[i]) - want.exact[i]);
              if (!(error <= want.allowed[p][i])) ++wrong;
              if (error > 0) largest[p] = std::max(largest[p], error / want.allowed[p][i]);
            }
            INFO("rounding " << mode.name << ", " << name_of(kind) << ", k " << cols);
            CHECK(wrong == 0);
          }
        });
      }
    }
  }
  std::printf("rounding modes: largest error / allowed: integer %.2f, bf16 %.2f, exact %.2f\n",
              largest[0], largest[1], largest[2]);
  for (const double ratio : largest) CHECK(ratio > 0.3);
}

namespace {

/// Threads that look at their control registers before and after every task.
class watched_pool {
 public:
  explicit watched_pool(std::size_t threads) : pool_(threads), inner_(pool_.threads()) {}
  [[nodiscard]] parallel threads() {
    parallel p;
    p.num_threads = inner_.num_threads;
    p.pool = this;
    p.run = [](void* self, std::size_t num_tasks, nibble::task_function fn, void* tasks) {
      job j{static_cast<watched_pool*>(self), fn, tasks};
      j.pool->inner_.run(j.pool->inner_.pool, num_tasks, &watched, &j);
    };
    return p;
  }
  [[nodiscard]] std::size_t num_tasks() const { return num_tasks_; }
  [[nodiscard]] std::size_t num_changed() const { return num_changed_; }

 private:
  struct job {
    watched_pool* pool;
    nibble::task_function fn;
    void* tasks;
  };
  static void watched(void* of, std::size_t index, std::size_t worker) {
    const job& j = *static_cast<const job*>(of);
    const std::uint64_t before = control_register();
    j.fn(j.tasks, index, worker);
    ++j.pool->num_tasks_;
    if (control_register() != before) ++j.pool->num_changed_;
  }

  sharing_pool pool_;
  parallel inner_;
  std::atomic<std::size_t> num_tasks_{0};
  std::atomic<std::size_t> num_changed_{0};
};

}  // namespace

TEST_CASE("no thread's setting is changed, and threads of one setting give its bits") {
  constexpr std::size_t many = 300;
  const setting settings[] = {default_setting, flush, other_roundings[0], other_roundings[1],
                              other_roundings[2]};
  for (const setting& s : settings) {
    const environment e(s);  // threads inherit it
    watched_pool pool(3);
    context with(pool.threads());
    context alone(parallel::serial());
    for (const char* name : {"int8_channel_f32", "int4_g32_f16", "uint4_g128_f16_zf", "mxfp4",
                             "nf4_g64_dq", "q4_K", "f16", "fp8_e4m3fn_t128_f32"}) {
      const erased_gemm& g = gemm_named(name);
      const weights w(g, many, k, 1);
      for (const std::size_t rows : {std::size_t{1}, std::size_t{70}}) {
        const auto values = make_values(fill::normal, rows * k, 2);
        const activations x = as_activations(values, rows, k);
        for_each_way(g, [&](compute_path, const gemm_options& o) {
          INFO(s.name << ", " << rows << " rows");
          const std::uint64_t before = control_register();
          const auto y = multiply(w, x, with, o);
          CHECK(control_register() == before);
          CHECK(difference(y, multiply(w, x, alone, o)) == "");
        });
      }
    }
    CHECK(pool.num_tasks() > 0);
    CHECK(pool.num_changed() == 0);
  }
}

TEST_CASE("threads that do not share the caller's setting give the same bits without subnormals") {
  sharing_pool pool(3);  // as usual
  context with(pool.threads());
  const auto values = make_values(fill::normal, 70 * k, 2);
  const activations x = as_activations(values, 70, k);
  for (const char* name : {"int4_g32_f16", "mxfp4", "f16"}) {
    const erased_gemm& g = gemm_named(name);
    const weights w(g, 300, k, 1);
    for_each_way(g, [&](compute_path, const gemm_options& o) {
      const auto want = multiply(w, x, with, o);
      CHECK(difference(multiply_under(flush, w, x, with, o), want) == "");
    });
  }
}

#endif  // NIBBLE_TEST_ENVIRONMENT
