// SPDX-License-Identifier: Apache-2.0 OR MIT
// The plots of a report. Each is wide enough for a phone and not wider: a page puts several beside
// one another.
#ifndef NIBBLE_BENCH_REPORT_FIGURES_H_
#define NIBBLE_BENCH_REPORT_FIGURES_H_

#include <string>
#include <vector>

#include "report/compare.h"
#include "report/gnuplot.h"
#include "report/loss.h"
#include "report/measured.h"

namespace report {

/// Rows that one plot may hold: one machine, one number of threads, one shape of weights.
struct view {
  std::string cpu;
  int threads = 1;
  std::size_t n = 0;
  std::size_t k = 0;
  limits machine;  ///< best over files; without rates, if no file has them
  std::vector<row> rows;
};

/// In the order of the files.
std::vector<view> views_of(const run& all);

/// What a view's rows are called: "nibble", with target and path where these are not the same for
/// all; or the peer.
std::string who(const view& v, const row& r);

std::vector<std::size_t> m_of(const view& v);        ///< ascending
std::vector<std::string> formats_of(const view& v);  ///< most bits first
std::vector<const row*> timed(const view& v, std::string_view format, std::size_t m);

/// Of rows of one format and m, ours: the fastest; none: null.
const row* our_best(const std::vector<const row*>& rows);

/// A caption and a drawing.
struct figure_on_page {
  std::string title;
  std::string caption;  ///< HTML
  drawing what;
};

figure_on_page roofline_figure(const view& v);
figure_on_page bars_figure(const view& v, std::size_t m);
figure_on_page sweep_figure(const view& v, const std::string& format);

/// Bits per weight beside speed for this m; with a table of losses, speed and bits beside loss.
figure_on_page size_figure(const view& v, std::size_t m);
figure_on_page loss_figure(const view& v, const loss_table& loss);
figure_on_page loss_speed_figure(const view& v, const loss_table& loss, std::size_t m);

figure_on_page change_figure(const comparison& c);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_FIGURES_H_
