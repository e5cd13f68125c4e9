// SPDX-License-Identifier: Apache-2.0 OR MIT
// Two sets of runs: what became faster or slower by more than noise.
//
// Which figure decides:
//   fraction  of the limit, measured beside each sample. On one CPU it cancels what the machine did
//             meanwhile: clocks that change, a shared host. It says nothing where the limits
//             differ.
//   time      what users wait for; the only figure between two CPUs, and for Google Benchmark.
// Rows without a fraction of the same limit and the same bytes are judged by time in either case.
//
// Noise of a row, as a part of 1, is the largest of
//   the threshold;
//   the sum of both sides' spreads: two ranges of median +- spread that touch are no change;
//   what nine in ten rows of the peers stay within, where there are 8 of them with as many threads:
//   their code did not change, so whatever they show is the machine.
// A ratio counts above 1 + noise or below 1 / (1 + noise). A row whose samples scatter by more than
// a fifth, or that was disturbed, says nothing either way.
#ifndef NIBBLE_BENCH_REPORT_COMPARE_H_
#define NIBBLE_BENCH_REPORT_COMPARE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/measured.h"

namespace report {

enum class figure { fraction, time };
enum class verdict { slower, faster, same, unsure, wrong, repaired };

struct change {
  row before;
  row after;
  figure by = figure::time;
  double ratio = 1;       ///< how many times as slow, in that figure
  double time_ratio = 1;  ///< how many times as long
  double noise = 0;       ///< what the ratio has to exceed, less 1
  verdict is = verdict::same;
};

struct comparison {
  figure by = figure::time;
  std::string why;               ///< that figure
  std::vector<change> ours;      ///< the slowest first
  std::vector<change> peers;     ///< they did not change: a check of the machine
  std::map<int, double> noise;   ///< that the peers show, by number of threads
  std::vector<row> only_before;  ///< ours
  std::vector<row> only_after;

  [[nodiscard]] std::size_t count(verdict v) const;
  /// Something of ours is slower, or wrong.
  [[nodiscard]] bool worse() const { return count(verdict::slower) + count(verdict::wrong) != 0; }
};

/// @param threshold  0.05: changes of less than 5 % do not count
/// @param by         empty: by fraction, unless the sets name different CPUs
/// @throws bad_input if no row of ours is in both
comparison compare(const run& before, const run& after, double threshold, std::optional<figure> by);

/// For a terminal.
std::string to_text(const comparison& c);

const char* name_of(verdict v);

/// "int4_g32_f16, m = 1, 2 threads, integer, AVX3_DL"; what both have in common.
std::string name_of(const change& c);

/// "0.731 ms, .67 of read"
std::string speed_of(const row& r);

/// The ratio in the figure that decides: "1.23 x as slow".
std::string words_of(const change& c);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_COMPARE_H_
