// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a format loses of a model, from `nibble_compare --json` (SQNR of the weights) or
// `tinylm eval --csv` (bits per byte of text).
#ifndef NIBBLE_BENCH_REPORT_LOSS_H_
#define NIBBLE_BENCH_REPORT_LOSS_H_

#include <map>
#include <string>

#include "report/measured.h"

namespace report {

struct loss_table {
  std::string file;
  std::string title;  ///< "SQNR of the weights, dB"
  bool more_is_better = true;
  bool logarithmic = false;
  std::map<std::string, double> of;  ///< by format; what lost nothing is not here
};

/// @throws bad_input
loss_table read_loss(const std::string& path);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_LOSS_H_
