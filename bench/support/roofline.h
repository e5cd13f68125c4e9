// SPDX-License-Identifier: Apache-2.0 OR MIT
// Timing beside the limits of memory: each run of an operation stands between a copy and a plain
// read or write of the same floats, so that fractions hold also on a host whose speed changes.
#ifndef NIBBLE_BENCH_SUPPORT_ROOFLINE_H_
#define NIBBLE_BENCH_SUPPORT_ROOFLINE_H_

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "support/any_format.h"
#include "support/machine.h"
#include "support/memory_roof.h"
#include "support/names.h"
#include "support/stopwatch.h"
#include "support/weights.h"

namespace bench {

/// A matrix of floats in memory, or one that stays in the second-level cache.
struct area {
  const char* name;
  std::size_t rows;
  std::size_t cols;
  bool in_memory;
  [[nodiscard]] std::size_t size() const { return rows * cols; }
};

/// 128 MiB and 512 KiB of floats. Memory: 4 times the 32 MiB of a last-level cache that is common.
inline constexpr area areas[] = {{"memory", 8192, 4096, true}, {"cache", 32, 4096, false}};

/// What all benchmarks share: one input, normally distributed like weights, and one output.
struct buffers {
  examples::aligned_buffer<float> x;
  examples::aligned_buffer<float> y;
  examples::aligned_buffer<std::uint8_t> w;

  static buffers& get() {
    static buffers all;
    return all;
  }

  /// The input; made once. Sums of four uniform numbers are normal enough.
  const float* input(const area& a) {
    if (num_made_ < a.size()) {
      num_made_ = a.size();
      float* to = x.resize(num_made_);
      std::uint32_t state = 1;
      const auto uniform = [&state] {
        state = state * 1664525u + 1013904223u;
        return static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
      };
      for (std::size_t i = 0; i < num_made_; ++i) {
        const float a0 = uniform() + uniform();
        to[i] = 0.02f * (a0 + uniform() + uniform());
      }
      std::memset(y.resize(num_made_), 0, num_made_ * sizeof(float));
    }
    return x.resize(num_made_);
  }
  float* output(const area& a) { return y.resize(a.size()); }

 private:
  std::size_t num_made_ = 0;
};

inline double gbps(std::size_t floats, double seconds) {
  return 4e-9 * static_cast<double>(floats) / seconds;
}

enum class roof { read, write };

/// Times fn and the roofs in turns and reports medians: GB/s of floats, and the fractions of a copy
/// and of a plain read or write that took place beside each run.
template <class Fn>
void run_beside_roofs(benchmark::State& state, const area& a, roof limit, Fn&& fn) {
  const float* const x = buffers::get().input(a);
  float* const y = buffers::get().output(a);
  const std::size_t n = a.size();
  const auto roof_seconds = [&] {
    return examples::seconds_of([&] {
      if (limit == roof::read) {
        benchmark::DoNotOptimize(examples::roof_read(x, n));
      } else if (a.in_memory) {
        examples::roof_write(y, n);
      } else {
        std::memset(y, 0, n * sizeof(float));  // streaming would push y out of the cache
      }
      benchmark::ClobberMemory();
    });
  };
  const auto copy_seconds = [&] {
    return examples::seconds_of([&] {
      examples::roof_copy(x, y, n);
      benchmark::ClobberMemory();
    });
  };
  for (auto _ : state) {
    const double warm_up = examples::seconds_of(fn);
    const int runs = warm_up > 0.4 ? 1 : a.in_memory ? 11 : 301;
    std::vector<double> op, of_copy, of_roof;
    for (int i = 0; i < runs; ++i) {
      const double copy = copy_seconds();
      const double limit_before = roof_seconds();
      op.push_back(examples::seconds_of(fn));
      of_copy.push_back(copy / op.back());
      of_roof.push_back(limit_before / op.back());
    }
    const double seconds = examples::median(op);
    state.SetIterationTime(seconds);
    state.counters["GB/s"] = gbps(n, seconds);
    state.counters["of_copy"] = examples::median(of_copy);
    state.counters["of_roof"] = examples::median(of_roof);
  }
}

/// Registers the limits themselves: what the fractions are fractions of.
inline void register_roofs(const area& a) {
  const auto add = [&a](const char* name, auto fn) {
    benchmark::RegisterBenchmark((std::string("roof/") + name + "/" + a.name).c_str(),
                                 [&a, fn](benchmark::State& state) {
                                   run_beside_roofs(state, a, roof::write, [&] {
                                     fn(buffers::get().input(a), buffers::get().output(a),
                                        a.size());
                                     benchmark::ClobberMemory();
                                   });
                                 })
        ->UseManualTime()
        ->Iterations(1);
  };
  add("read", [](const float* x, float* y, std::size_t n) { *y = examples::roof_read(x, n); });
  add("copy", [](const float* x, float* y, std::size_t n) { examples::roof_copy(x, y, n); });
  add("stream_write", [](const float*, float* y, std::size_t n) { examples::roof_write(y, n); });
  add("stream_copy",
      [](const float* x, float* y, std::size_t n) { examples::roof_stream_copy(x, y, n); });
}

/// One line per benchmark: what the counters say, and nothing else.
class table_reporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override {
    std::printf(
        "GB/s of float32; fractions of a copy, and of a read (quantize, encode) or a streaming\n"
        "write (the rest) of the same floats, measured in turns with the operation\n"
        "%-58s%8s%8s%9s\n",
        "", "GB/s", "of copy", "of limit");
    return true;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const auto counter = [&run](const char* name) {
        const auto found = run.counters.find(name);
        return found == run.counters.end() ? 0.0 : static_cast<double>(found->second);
      };
      std::string name = run.run_name.function_name;
      std::printf("%-58s%8.2f%8.2f%9.2f\n", name.c_str(), counter("GB/s"), counter("of_copy"),
                  counter("of_roof"));
      std::fflush(stdout);
    }
  }
};

/// Options of nibble's own, taken out of argv before Google Benchmark reads the rest.
struct options {
  std::vector<std::string> targets = examples::target_names();
  std::string names = "*";  ///< of formats or elements
  std::vector<area> in{std::begin(areas), std::end(areas)};
  bool table = false;

  /// False: something was wrong, and a message says what.
  bool parse(int& argc, char** argv) {
    int kept = 1;
    for (int i = 1; i < argc; ++i) {
      const std::string_view arg = argv[i];
      if (const auto v = value_of(arg, "--nibble_target="); !v.empty()) {
        if (!nibble::force_target(std::string(v).c_str())) return complain("no target", v);
        targets.assign(1, std::string(v));
      } else if (const auto name = value_of(arg, "--nibble_names="); !name.empty()) {
        names = name;
      } else if (const auto where = value_of(arg, "--nibble_area="); !where.empty()) {
        std::erase_if(in, [where](const area& a) { return a.name != where; });
        if (in.empty()) return complain("no area", where);
      } else if (arg == "--nibble_table") {
        table = true;
      } else {
        argv[kept++] = argv[i];
      }
    }
    argc = kept;
    return true;
  }

 private:
  static std::string_view value_of(std::string_view arg, std::string_view prefix) {
    return arg.starts_with(prefix) ? arg.substr(prefix.size()) : std::string_view();
  }
  static bool complain(const char* what, std::string_view name) {
    std::fprintf(stderr, "%s '%.*s'\n", what, static_cast<int>(name.size()), name.data());
    return false;
  }
};

/// The main() of every benchmark: register_all(options) adds what it measures.
template <class Register>
int run_benchmarks(int argc, char** argv, Register&& register_all) {
  options o;
  if (!o.parse(argc, argv)) return 2;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const area& a : areas) {
    for (const area& wanted : o.in) {
      if (wanted.name == a.name) register_roofs(a);
    }
  }
  register_all(o);
  table_reporter table;
  if (o.table) {
    benchmark::RunSpecifiedBenchmarks(&table);
  } else {
    benchmark::RunSpecifiedBenchmarks();
  }
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_ROOFLINE_H_
