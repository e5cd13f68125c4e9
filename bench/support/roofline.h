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
#include "support/bench_options.h"
#include "support/machine.h"
#include "support/memory_roof.h"
#include "support/names.h"
#include "support/random_floats.h"
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

  /// The input; made once.
  const float* input(const area& a) {
    if (num_made_ < a.size()) {
      num_made_ = a.size();
      fill_random(x.resize(num_made_), num_made_, 0.02f, 1);
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
      std::printf("%-57s %7.2f %7.2f %8.2f\n", name.c_str(), counter("GB/s"), counter("of_copy"),
                  counter("of_roof"));
      std::fflush(stdout);
    }
  }
};

/// Options of benchmarks that run beside roofs.
struct roof_options : options {
  std::string where;  ///< name of an area, or empty: all
  bool table = false;

  roof_options() {
    more = [this](CLI::App& app) {
      std::vector<std::string> known;
      for (const area& a : areas) known.emplace_back(a.name);
      app.add_option("--nibble_area", where, "only the matrix in memory, or only the one in cache")
          ->check(CLI::IsMember(known));
      app.add_flag("--nibble_table", table, "one line per benchmark: GB/s and two fractions");
    };
  }
  [[nodiscard]] bool wants(const area& a) const { return where.empty() || where == a.name; }
};

/// The main() of benchmarks that run beside roofs: register_area(options, area) adds what it
/// measures there.
template <class Register>
int roof_main(int argc, char** argv, Register&& register_area) {
  roof_options o;
  table_reporter table;
  const auto register_all = [&] {
    for (const area& a : areas) {
      if (o.wants(a)) register_roofs(a);
    }
    for (const area& a : areas) {
      if (o.wants(a)) register_area(o, a);
    }
  };
  return run_benchmarks(argc, argv, o, register_all, [&]() -> benchmark::BenchmarkReporter* {
    return o.table ? &table : nullptr;
  });
}

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_ROOFLINE_H_
