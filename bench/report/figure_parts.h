// SPDX-License-Identifier: Apache-2.0 OR MIT
// What several plots share: looks, axes, and points with tips.
#ifndef NIBBLE_BENCH_REPORT_FIGURE_PARTS_H_
#define NIBBLE_BENCH_REPORT_FIGURE_PARTS_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "report/figures.h"

namespace report {

inline constexpr std::size_t width = 450;
using point4 = std::array<double, 4>;

inline constexpr look our_look = {"#388bfd", 7};
inline constexpr look peer_looks[] = {{"#e5534b", 9},  {"#2da44e", 5},  {"#d29922", 11},
                                      {"#a371f7", 13}, {"#e5534b", 8},  {"#2da44e", 4},
                                      {"#d29922", 10}, {"#a371f7", 12}, {grey, 6},
                                      {"#388bfd", 15}, {"#e5534b", 1},  {"#2da44e", 2}};
inline constexpr look kind_looks[] = {
    {"#388bfd", 7}, {"#2da44e", 5}, {"#e5534b", 9}, {"#d29922", 13}};
inline constexpr const char* kind_names[] = {"integers", "GGUF", "FP, NF, MX", "16-bit floats"};

/// Which of kind_looks and kind_names.
std::size_t kind_of(std::string_view format);

struct range {
  double low;
  double high;
};

/// A logarithmic axis that shows all values, from least / below to most * above.
range log_axis(drawing& d, char axis, const std::vector<double>& values, double below = 1.4,
               double above = 1.6);

/// Where gnuplot draws, as parts of the picture: places in pixels follow from it.
struct frame {
  std::size_t height;
  double left = 0.14;
  double right = 0.97;
  double bottom = 0.16;
  double top = 0.96;
  void set(drawing& d) const;
  [[nodiscard]] double pixels_x() const { return width * (right - left); }
  [[nodiscard]] double pixels_y() const { return static_cast<double>(height) * (top - bottom); }
};

/// Points of one look.
struct series {
  std::vector<point4> points;
  std::vector<std::string> tips;
  void add(double x, double y, std::string tip) {
    points.push_back({x, y, 0, 0});
    tips.push_back(std::move(tip));
  }
};

/// All about a row, in one line.
std::string tip_of(const view& v, const row& r);

/// "1 row", "2 rows"
std::string plural(std::size_t count, const char* word);

const limit_rate* find(const limits& l, std::string_view name);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_FIGURE_PARTS_H_
