// SPDX-License-Identifier: Apache-2.0 OR MIT
// What was measured, as read from files: JSON lines of nibble_roofline (keys: bench/README.md), or
// the JSON of a Google Benchmark program. Unknown keys are passed over; a missing or impossible one
// is a bad_input that names file and line.
#ifndef NIBBLE_BENCH_REPORT_MEASURED_H_
#define NIBBLE_BENCH_REPORT_MEASURED_H_

#include <cstddef>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace report {

/// A file that cannot be understood; what() says which line and why.
struct bad_input : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One limit of a machine with some number of threads: "read", "VNNI int8", ...
struct limit_rate {
  std::string name;
  std::string unit;  ///< "GB/s" or "Gop/s"
  double best = 0;
  double median = 0;
};

struct limits {
  std::string cpu;
  std::string date;  ///< this and the next are empty, if the file does not say
  std::string compiler;
  bool emulated = false;  ///< times are not those of a machine
  int threads = 1;
  std::vector<limit_rate> rates;
};

/// One product of one library, or one benchmark of a Google Benchmark program.
struct row {
  std::string cpu;     ///< that of the limits above it in the file
  std::string op;      ///< "gemm"; "benchmark" for Google Benchmark's
  std::string format;  ///< or the benchmark's whole name
  std::string library;
  std::string path;
  std::string target;
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
  int threads = 1;
  double bits = 0;   ///< per weight
  double error = 0;  ///< NaN: infinite or not stated
  bool wrong = false;
  std::string note;
  // The rest is 0 where `wrong`.
  double median_s = 0;
  double spread = 0;  ///< between quartiles, as a part of the median; of merged runs: see merge()
  double gops = 0;
  double gbps = 0;
  std::string limit;  ///< empty for Google Benchmark's
  std::string limit_unit;
  double limit_value = 0;
  double fraction = 0;
  double fraction_spread = 0;
  bool disturbed = false;
  std::string peer;
  double ratio = 0;
  double f32_ratio = 0;  ///< time of the product with f32 weights / this time
  std::size_t runs = 1;  ///< files that this row was in

  [[nodiscard]] bool ours() const { return library == "nibble"; }
  [[nodiscard]] bool timed() const { return !wrong; }
  /// Operations per byte of weights: 2 m n k / (n k bits / 8).
  [[nodiscard]] double intensity() const { return 16.0 * static_cast<double>(m) / bits; }
  /// Rows of the same key measure the same thing.
  [[nodiscard]] auto key() const {
    return std::tie(op, format, library, m, n, k, threads, target, path);
  }
};

struct run {
  std::vector<std::string> files;
  std::vector<limits> machines;
  std::vector<row> rows;
};

/// @throws bad_input
run read_run(const std::string& path);

/// All runs as one. Of rows measured several times, the run in the middle stays, its fraction the
/// median, its spreads no less than half the distance between the fastest and the slowest run.
run merge(const std::vector<run>& runs);

double median_of(std::vector<double> values);

/// The whole file. @throws bad_input
std::string read_file(const std::string& path);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_MEASURED_H_
