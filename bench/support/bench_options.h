// SPDX-License-Identifier: Apache-2.0 OR MIT
// The command line that all nibble_bench_* programs share: options of nibble's own are taken out of
// argv, Google Benchmark reads the rest.
#ifndef NIBBLE_BENCH_SUPPORT_BENCH_OPTIONS_H_
#define NIBBLE_BENCH_SUPPORT_BENCH_OPTIONS_H_

#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "nibble/target.h"
#include "support/machine.h"
#include "support/machine_limits.h"
#include "support/names.h"

namespace bench {

struct options {
  std::vector<std::string> targets = examples::target_names();
  std::string names = "*";  ///< of formats or elements
  bool pin = false;         ///< thread i to CPU i

  /// Options of one program, added before parsing.
  std::function<void(CLI::App&)> more;

  /// Reads and removes what is ours. False: something was wrong, and a message says what.
  bool parse(int& argc, char** argv) {
    CLI::App app("Options of nibble's own, besides those of Google Benchmark:");
    app.set_help_flag("");
    app.allow_extras();
    bool help = false;
    app.add_flag("--help", help, "print these and Google Benchmark's options");
    app.add_option("--nibble_target", targets, "AVX3_DL, AVX2, ... (default: all of this CPU)")
        ->delimiter(',')
        ->check(CLI::IsMember(examples::target_names()));
    app.add_option("--nibble_names", names, "only formats or elements of matching names");
    app.add_flag("--nibble_pin", pin, "keep each thread on a CPU of its own");
    if (more) more(app);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      app.exit(e);
      return false;
    }
    if (help) std::fputs((app.help() + "\nGoogle Benchmark:\n").c_str(), stdout);
    keep(app.remaining(), argc, argv);
    if (help) keep({"--help"}, argc, argv);
    if (pin) pin_this_thread(0);
    return true;
  }

 private:
  // What remains are arguments as they were: each is found in argv again.
  static void keep(const std::vector<std::string>& wanted, int& argc, char** argv) {
    int kept = 1;
    for (int i = 1; i < argc; ++i) {
      if (std::find(wanted.begin(), wanted.end(), argv[i]) != wanted.end()) argv[kept++] = argv[i];
    }
    argc = kept;
  }
};

/// The main() of every benchmark: o.parse(), then register_all(), then run with `reporter` (null:
/// Google Benchmark's own, which is asked after parsing).
inline int run_benchmarks(int argc, char** argv, options& o,
                          const std::function<void()>& register_all,
                          const std::function<benchmark::BenchmarkReporter*()>& reporter = {}) {
  if (!o.parse(argc, argv)) return 2;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  register_all();
  benchmark::BenchmarkReporter* const own = reporter ? reporter() : nullptr;
  const std::size_t run =
      own != nullptr ? benchmark::RunSpecifiedBenchmarks(own) : benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  if (run == 0) std::fputs("no benchmark has such a name, target and shape\n", stderr);
  return run == 0 ? 1 : 0;
}

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_BENCH_OPTIONS_H_
