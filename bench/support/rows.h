// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows of a benchmark's result: candidates timed in turns beside the machine's limits, printed as a
// table and as JSON lines.
#ifndef NIBBLE_BENCH_SUPPORT_ROWS_H_
#define NIBBLE_BENCH_SUPPORT_ROWS_H_

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "support/machine_limits.h"
#include "support/slow_cases.h"

namespace bench {

/// One thing that does the work, ours or a peer's.
struct candidate {
  std::function<void()> run;
  double products = 1;        ///< that one run makes
  limit bound = limit::read;  ///< what one product cannot be faster than ...
  double work = 0;  ///< ... and how much of it one product needs: 10^9 bytes or operations
};

/// Times of one product.
struct timing {
  double median_s = 0;
  double best_s = 0;
  double spread = 0;       ///< distance between the quartiles, as a part of the median
  double fraction = 0;     ///< of the limit that was measured beside each run; a median
  double limit_rate = 0;   ///< that limit: GB/s or Gop/s, a median
  std::size_t rounds = 0;  ///< that count
  bool disturbed = false;  ///< the limit kept changing: nothing here is worth much
};

/// Runs all candidates in turns, each right after a probe of its limit and an untimed run of its
/// own, for about `seconds` (at least 3 rounds). Rounds whose probe is below 0.85 of the best one
/// do not count; up to four times as long where that leaves fewer than 3.
std::vector<timing> time_in_turns(const std::vector<candidate>& candidates, int threads,
                                  int read_streams, double seconds);

/// One line of the result.
struct row {
  std::string op;  ///< "gemm"
  std::string format;
  std::string library;  ///< "nibble", or a peer
  std::string path;     ///< that was taken: "integer", ...; empty for peers
  std::string target;   ///< "AVX3_DL", ...; empty for peers
  std::string kernel;   ///< the instruction that multiplies; empty for peers
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
  int threads = 1;
  timing time;
  double gops = 0;  ///< 2 m n k / time
  double gbps = 0;  ///< bytes of the weights / time
  double bits = 0;  ///< per weight, as stored
  limit bound = limit::read;
  double error = 0;         ///< of the product, relative, against double precision
  std::string peer;         ///< ours: the fastest peer of this format, if any ...
  double ratio = 0;         ///< ... and its time / our time
  double f32_ratio = 0;     ///< ours: time of f32 weights in this run / our time; 0: not measured
  std::string note;         ///< why it is slow, or what is wrong
  bool wrong = false;       ///< not timed
  bool timed_once = false;  ///< far slower than another: one call
};

/// Headings of to_line().
std::string row_heading();
std::string to_line(const row& r);

/// One JSON object in one line.
std::string to_json_line(const row& r);

/// The same for a row that was not run: "op" is "not_run".
std::string to_json_line(const row& r, const slow_cases::known& slow);

/// What a run was made on. Times of an emulated CPU say nothing about any other.
struct machine_info {
  std::string cpu;
  std::string compiler;
  std::string date;  ///< "2026-11-21T12:00:00Z"
  bool emulated = false;
};
std::string to_json_line(const machine_limits& limits, const machine_info& on);

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_ROWS_H_
