// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tables for a terminal: columns that stand apart whatever the numbers in them.
#ifndef NIBBLE_EXAMPLES_SUPPORT_COLUMNS_H_
#define NIBBLE_EXAMPLES_SUPPORT_COLUMNS_H_

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace examples {

/// Digits behind the point; NaN has no sign.
inline std::string fixed_text(double value, int digits) {
  return std::isnan(value) ? "nan" : fmt::format("{:.{}f}", value, digits);
}

/// Digits in all, with an exponent where that is shorter; NaN has no sign.
inline std::string short_text(double value, int digits) {
  return std::isnan(value) ? "nan" : fmt::format("{:.{}g}", value, digits);
}

/// Lines of cells. Columns of text come first and begin at the left, numbers end at the right. A
/// column has its usual width, spaces before it or (text) behind it included, and more where a
/// cell with one space needs more.
class columns {
 public:
  columns(std::vector<std::size_t> usual_widths, std::size_t num_text)
      : widths_(std::move(usual_widths)), num_text_(num_text) {}

  /// As many cells as columns.
  void add(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      // The first column of numbers is kept apart by the space behind the text.
      const std::size_t space = i == num_text_ && i > 0 ? 0 : 1;
      widths_[i] = std::max(widths_[i], cells[i].size() + space);
    }
    lines_.push_back(std::move(cells));
  }
  /// A line of dashes that begins with a title.
  void add_title(std::string title) { lines_.push_back({std::move(title)}); }

  [[nodiscard]] std::string text() const {
    std::size_t width = 0;
    for (const std::size_t w : widths_) width += w;
    std::string out;
    for (const std::vector<std::string>& line : lines_) {
      if (line.size() == 1 && widths_.size() > 1)
        out += fmt::format("{:-<{}}", line[0] + " ", width);
      for (std::size_t i = 0; i < line.size() && line.size() == widths_.size(); ++i) {
        out += i < num_text_ ? fmt::format("{:<{}}", line[i], widths_[i])
                             : fmt::format("{:>{}}", line[i], widths_[i]);
      }
      out += '\n';
    }
    return out;
  }

 private:
  std::vector<std::size_t> widths_;
  std::size_t num_text_;
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_COLUMNS_H_
