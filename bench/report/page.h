// SPDX-License-Identifier: Apache-2.0 OR MIT
// The report as one HTML page that needs nothing but itself.
#ifndef NIBBLE_BENCH_REPORT_PAGE_H_
#define NIBBLE_BENCH_REPORT_PAGE_H_

#include <optional>
#include <string>
#include <vector>

#include "report/compare.h"
#include "report/loss.h"
#include "report/measured.h"

namespace report {

struct page_options {
  std::string title;
  std::string gnuplot = "gnuplot";
};

/// @throws gnuplot_failed, bad_input
std::string page_of(const run& all, const std::vector<loss_table>& losses, const page_options& o);

std::string page_of(const comparison& c, const run& before, const run& after,
                    const page_options& o);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_PAGE_H_
