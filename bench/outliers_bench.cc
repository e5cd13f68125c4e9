// SPDX-License-Identifier: Apache-2.0 OR MIT
// What outliers cost: products with and without them in turns, on one machine in one run. `ratio`
// is the median time with outliers over the median time without. bench/README.md says how to run
// and read it.
#include <random>

#include "nibble/any.h"
#include "nibble/thread_pool.h"
#include "support/machine_limits.h"
#include "support/roofline.h"

namespace {

using nibble::any_format;
using nibble::matrix_view;
using nibble::outlier_rule;

constexpr std::size_t n = 4096;
constexpr std::size_t k = 4096;
constexpr double fraction = 0.005;
constexpr const char* usual_formats[] = {
    "int8_channel_f32", "int4_g32_f16",           "int4_g128_f16", "q4_K",
    "nf4_g64_f32",      "fp8_e4m3fn_channel_f32", "mxfp4"};

std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> v(count);
  for (float& f : v) {
    float sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(random() >> 8) * 0x1p-24f;
    f = sum;
  }
  return v;
}

/// Columns of x that are large, as a model has them: one in 200.
constexpr bool is_large(std::size_t column) { return column % 200 == 77; }

/// One matrix as often as it takes to come from memory, and its outliers.
struct weights {
  std::vector<nibble::any_packed_matrix> copies;

  weights(const any_format& f, const outlier_rule* rule, std::size_t m) {
    static const std::vector<float> w = normal(n * k, 1);
    const matrix_view<const float> view(w.data(), n, k);
    nibble::context with;
    const std::size_t bytes = f.quantized_bytes(n, k);
    const std::size_t count = m < 32 ? 4 * examples::last_level_cache() / bytes + 1 : 2;
    for (std::size_t i = 0; i < count; ++i) {
      auto packed = rule == nullptr ? nibble::pack(f, view, with)
                                    : nibble::pack_with_outliers(f, view, *rule, with, {},
                                                                 nibble::outlier_type::bf16);
      if (!packed) std::abort();
      copies.push_back(std::move(*packed));
    }
  }
};

struct kind {
  const char* name;
  const outlier_rule* rule;
  float threshold;
};

void compare(benchmark::State& state, const any_format& f, const kind& what, std::size_t m,
             int threads, const std::string& target) {
  nibble::force_target(target.c_str());
  std::vector<float> x = normal(m * k, 2);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (is_large(i % k)) x[i] *= 20;
  }
  std::vector<float> y(m * n);
  nibble::thread_pool pool(static_cast<std::size_t>(threads));
  nibble::context with(threads == 1 ? nibble::parallel::serial() : pool.threads());
  const weights plain(f, nullptr, m);
  const weights split(f, what.rule, m);
  nibble::gemm_options options;
  std::size_t round = 0;
  const auto seconds = [&](const weights& w, float threshold) {
    options.outlier_threshold = threshold;
    const auto& one = w.copies[round % w.copies.size()];
    const double start = bench::seconds_now(threads);
    if (nibble::gemm(one, matrix_view<const float>(x.data(), m, k),
                     matrix_view<float>(y.data(), m, n), with, {}, options) != nibble::errc::ok) {
      std::abort();
    }
    return bench::seconds_now(threads) - start;
  };
  for (auto _ : state) {
    std::vector<double> without, with_outliers;
    double spent = 0;
    for (; round < 9 || (spent < 1.5 && round < 400); ++round) {
      without.push_back(seconds(plain, 0));
      with_outliers.push_back(seconds(split, what.threshold));
      spent += without.back() + with_outliers.back();
    }
    const double a = examples::median(without);
    const double b = examples::median(with_outliers);
    state.SetIterationTime(b);
    state.counters["ratio"] = b / a;
    state.counters["without_us"] = 1e6 * a;
    state.counters["bits"] =
        8.0 * static_cast<double>(split.copies[0].bytes()) / static_cast<double>(n * k);
  }
}

void register_all(const bench::options& o) {
  static std::vector<float> amax(k, 1.0f);
  for (std::size_t c = 0; c < k; ++c) amax[c] = is_large(c) ? 20.0f : 1.0f;
  static const outlier_rule single = outlier_rule::largest(fraction);
  static const outlier_rule columns = outlier_rule::columns_largest(amax, fraction);
  static const kind kinds[] = {{"single", &single, 0},
                               {"columns", &columns, 0},
                               {"llm_int8", nullptr, nibble::llm_int8_threshold}};
  const bool all = o.names == "*";
  for (const any_format& f : nibble::catalogue()) {
    const bool usual = std::find(std::begin(usual_formats), std::end(usual_formats), f.name) !=
                       std::end(usual_formats);
    if (all ? !usual : !examples::matches(o.names, f.name)) continue;
    for (const kind& what : kinds) {
      if (what.threshold != 0 && !f.supports(nibble::compute_path::integer)) continue;
      for (const std::size_t m : {1u, 4u, 32u, 512u}) {
        for (const int threads : {1, 2}) {
          const std::string& target = o.targets.front();
          const std::string name = std::string("outliers/") + std::string(f.name) + "/" +
                                   what.name + "/m" + std::to_string(m) + "/t" +
                                   std::to_string(threads) + "/" + target;
          benchmark::RegisterBenchmark(
              name.c_str(),
              [=, &f, &what](benchmark::State& s) { compare(s, f, what, m, threads, target); })
              ->UseManualTime()
              ->Iterations(1)
              ->Unit(benchmark::kMicrosecond);
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::options o;
  return bench::run_benchmarks(argc, argv, o, [&] { register_all(o); });
}
