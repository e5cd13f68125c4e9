// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packing and packed products for every format of the catalogue x path x target x rows of x x
// threads, weights from memory (cold) or the same ones again (warm). bench/README.md says how to
// run and read it; nibble_roofline says what the figures mean.
#include <list>
#include <map>
#include <memory>

#include "nibble/any.h"
#include "nibble/thread_pool.h"
#include "support/any_format.h"
#include "support/bench_options.h"
#include "support/paths.h"
#include "support/random_floats.h"
#include "support/weights.h"

namespace {

using nibble::any_format;
using nibble::compute_path;
using nibble::matrix_view;

constexpr const char* usual_formats[] = {
    "int8_channel_f32", "int4_g32_f16", "int4_g128_f16", "q4_K", "mxfp4", "nf4_g64_f32", "bf16"};

struct product_options : bench::options {
  std::size_t n = 4096;
  std::size_t k = 4096;
  std::vector<std::size_t> m = {1, 4, 32, 512};
  std::vector<int> threads = {1};
  std::vector<compute_path> paths = {compute_path::automatic};
  std::vector<std::string> caches = {"cold"};

  product_options() {
    if (bench::num_cpus() > 1) threads.push_back(bench::num_cpus());
    names.clear();
    more = [this](CLI::App& app) {
      const auto list = [&](const char* name, auto& to, const char* text) {
        return app.add_option(name, to, text)->delimiter(',');
      };
      list("--nibble_m", m, "rows of x")->check(CLI::PositiveNumber)->capture_default_str();
      app.add_option("--nibble_n", n, "rows of w")
          ->check(CLI::PositiveNumber)
          ->capture_default_str();
      app.add_option("--nibble_k", k, "columns of w")
          ->check(CLI::PositiveNumber)
          ->capture_default_str();
      list("--nibble_threads", threads, "numbers of threads (default: 1 and all CPUs)")
          ->check(CLI::PositiveNumber);
      list("--nibble_path", paths, "automatic (default), integer, bf16, exact")
          ->transform(CLI::CheckedTransformer(bench::named_paths()));
      list("--nibble_cache", caches, "cold: weights in turn, from memory (default); warm: the same")
          ->check(CLI::IsMember({"cold", "warm"}));
    };
  }
};

/// Packed weights in enough copies to come from memory; those used last are kept, up to 4 GiB.
class weights {
 public:
  using copies = std::vector<nibble::any_packed_matrix>;

  weights(std::size_t n, std::size_t k) : n_(n), k_(k), floats_(bench::random_floats(n * k, 1)) {}

  [[nodiscard]] matrix_view<const float> floats() const { return {floats_.data(), n_, k_}; }

  const copies& of(const any_format& f, bool cold) {
    const auto is_it = [&](const entry& e) { return e.format == &f && e.cold == cold; };
    auto found = std::find_if(kept_.begin(), kept_.end(), is_it);
    if (found == kept_.end()) {
      const std::size_t once = f.quantized_bytes(n_, k_);
      const std::size_t count = cold ? 4 * examples::last_level_cache() / once + 2 : 1;
      for (bytes_ += once * count; bytes_ > most_bytes && !kept_.empty(); kept_.pop_back()) {
        bytes_ -= kept_.back().bytes;
      }
      kept_.push_front({&f, cold, once * count, {}});
      nibble::context with;
      for (std::size_t i = 0; i < count; ++i) {
        auto packed = nibble::pack(f, floats(), with);
        if (!packed) return kept_.front().all;  // incomplete: the benchmark says so
        kept_.front().all.push_back(std::move(*packed));
      }
    } else {
      kept_.splice(kept_.begin(), kept_, found);
    }
    return kept_.front().all;
  }

 private:
  struct entry {
    const any_format* format;
    bool cold;
    std::size_t bytes;
    copies all;
  };
  static constexpr std::size_t most_bytes = std::size_t{4} << 30;
  std::size_t n_, k_;
  std::vector<float> floats_;
  std::list<entry> kept_;
  std::size_t bytes_ = 0;
};

/// A context of so many threads, made once.
nibble::context& context_of(int threads, bool pin) {
  struct owner {
    nibble::thread_pool pool;
    nibble::context with;
    owner(int count, const std::function<void(std::size_t)>& on_start)
        : pool(static_cast<std::size_t>(count), on_start), with(pool.threads()) {}
  };
  static std::map<int, std::unique_ptr<owner>> made;
  std::unique_ptr<owner>& one = made[threads];
  if (one == nullptr) {
    std::function<void(std::size_t)> on_start;
    if (pin)
      on_start = [](std::size_t thread) { bench::pin_this_thread(static_cast<int>(thread)); };
    one = std::make_unique<owner>(threads, on_start);
  }
  return one->with;
}

struct setting {
  const product_options& options;
  weights& data;
  const any_format& format;
  compute_path path;
  std::string target;
  std::size_t m;
  int threads;
  bool cold;

  [[nodiscard]] double weight_bytes() const {
    return static_cast<double>(format.quantized_bytes(options.n, options.k));
  }
};

/// Per second: 10^9 bytes of weights as the format stores them, and 10^9 operations.
void count(benchmark::State& state, double bytes, double operations) {
  const auto rate = [](double per_run) {
    return benchmark::Counter(1e-9 * per_run, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["GB/s"] = rate(bytes);
  if (operations > 0) state.counters["Gop/s"] = rate(operations);
}

void multiply(benchmark::State& state, const setting& s) {
  nibble::force_target(s.target.c_str());
  const weights::copies& w = s.data.of(s.format, s.cold);
  if (w.empty()) return state.SkipWithError("out of memory for the weights");
  const std::size_t n = s.options.n;
  const std::size_t k = s.options.k;
  const std::vector<float> x = bench::random_floats(s.m * k, 2);
  std::vector<float> y(s.m * n);
  nibble::context& with = context_of(s.threads, s.options.pin);
  nibble::gemm_options how;
  how.path = s.path;
  const matrix_view<const float> x_view(x.data(), s.m, k);
  const nibble::call_plan plan = nibble::explain(w.front(), x_view, with, how);
  state.SetLabel(std::string(nibble::name_of(plan.path)) + ", " + plan.kernel);
  std::size_t next = 0;
  for (auto _ : state) {
    const auto& one = w[next++ % w.size()];
    const nibble::errc e =
        s.m == 1 ? nibble::gemv(one, x, y, with, {}, how)
                 : nibble::gemm(one, x_view, matrix_view<float>(y.data(), s.m, n), with, {}, how);
    if (e != nibble::errc::ok) return state.SkipWithError(nibble::message(e));
    benchmark::ClobberMemory();
  }
  count(state, s.weight_bytes(), 2.0 * static_cast<double>(s.m * n * k));
}

/// From quantized rows.
void pack(benchmark::State& state, const setting& s) {
  nibble::force_target(s.target.c_str());
  const std::size_t n = s.options.n;
  const std::size_t k = s.options.k;
  const std::vector<examples::any_format> formats = examples::catalogue();
  const auto f = std::find_if(formats.begin(), formats.end(),
                              [&](const auto& one) { return one.name == s.format.name; });
  examples::aligned_buffer<std::uint8_t> bytes;
  std::uint8_t* const quantized = bytes.resize(f->buffer_bytes(n, k));
  if (f->quantize(s.data.floats(), quantized, {}) != nibble::errc::ok) {
    return state.SkipWithError("could not be quantized");
  }
  nibble::context& with = context_of(s.threads, s.options.pin);
  const std::span<const std::byte> from(reinterpret_cast<const std::byte*>(quantized),
                                        s.format.quantized_bytes(n, k));
  for (auto _ : state) {
    const auto packed = nibble::pack(s.format, from, n, k, with);
    if (!packed) return state.SkipWithError(nibble::message(packed.error()));
    benchmark::ClobberMemory();
  }
  count(state, s.weight_bytes(), 0);
}

/// The limits themselves, so that they are in the same file and turns as what they limit.
void register_limits(const product_options& o) {
  for (std::size_t i = 0; i < bench::num_limits; ++i) {
    const auto l = static_cast<bench::limit>(i);
    if (!bench::available(l)) continue;
    for (const int threads : o.threads) {
      std::string name = std::string("limit/") + bench::name_of(l) + "/t" + std::to_string(threads);
      std::replace(name.begin(), name.end(), ' ', '_');
      benchmark::RegisterBenchmark(name.c_str(),
                                   [l, threads](benchmark::State& state) {
                                     for (auto _ : state) {
                                       const double rate = bench::limit_probe(l, threads, 0.02);
                                       state.counters[bench::unit_of(l)] = rate;
                                       state.SetIterationTime(1 / rate);  // of 10^9 units
                                     }
                                   })
          ->UseManualTime()
          ->Iterations(5);
    }
  }
}

void add(const std::string& name, void (*fn)(benchmark::State&, const setting&), const setting& s) {
  auto* const b = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
                    fn(state, s);
                  })->Unit(benchmark::kMicrosecond);
  if (s.threads > 1) b->MeasureProcessCPUTime()->UseRealTime();
}

void register_format(const product_options& o, weights& data, const any_format& f) {
  const std::string shape = "n" + std::to_string(o.n) + "/k" + std::to_string(o.k);
  for (const std::string& target : o.targets) {
    for (const int threads : o.threads) {
      const std::string who = std::string(f.name) + "/";
      const std::string end = "/t" + std::to_string(threads);
      setting s{o, data, f, compute_path::automatic, target, 1, threads, false};
      // Packing moves bytes on the CPU's own instructions, whatever the target.
      if (target == o.targets.front()) add("pack/" + who + shape + end, pack, s);
      for (const compute_path path : o.paths) {
        if (!f.supports(path)) continue;
        s.path = path;
        for (const std::size_t m : o.m) {
          s.m = m;
          for (const std::string& cache : o.caches) {
            s.cold = cache == "cold";
            add((m == 1 ? "gemv/" : "gemm/") + who + nibble::name_of(path) + "/" + target + "/m" +
                    std::to_string(m) + "/" + shape + end + "/" + cache,
                multiply, s);
          }
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  product_options o;
  std::unique_ptr<weights> data;
  return bench::run_benchmarks(argc, argv, o, [&] {
    data = std::make_unique<weights>(o.n, o.k);
    register_limits(o);
    for (const any_format& f : nibble::catalogue()) {
      const auto is_it = [&](const char* usual) { return f.name == usual; };
      const bool wanted =
          o.names.empty() ? std::any_of(std::begin(usual_formats), std::end(usual_formats), is_it)
                          : examples::matches(o.names, f.name);
      if (wanted) register_format(o, *data, f);
    }
  });
}
