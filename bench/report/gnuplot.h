// SPDX-License-Identifier: Apache-2.0 OR MIT
// One plot as SVG, drawn by gnuplot: a script is put together, gnuplot reads it from its standard
// input, and the SVG is made fit to stand among others inside an HTML page.
//
// Text from files: labels lose every character that gnuplot or SVG might take for more than text;
// tips (shown under the mouse) never pass through gnuplot at all, which gets their numbers.
#ifndef NIBBLE_BENCH_REPORT_GNUPLOT_H_
#define NIBBLE_BENCH_REPORT_GNUPLOT_H_

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace report {

/// gnuplot is not there, or did not like what it got.
struct gnuplot_failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Runs `program` with `script` as its standard input; what it prints. @throws gnuplot_failed
std::string run_gnuplot(const std::string& program, const std::string& script);

/// In gnuplot's single quotes, whatever the text.
std::string quoted(std::string_view text);

/// Colours of middle brightness, for light and dark pages. Text has the page's own.
inline constexpr const char* text_color = "#010203";  ///< replaced by currentColor
inline constexpr const char* grey = "#80868b";

/// A colour and a point of gnuplot's: never the same of both for two series of a plot.
struct look {
  const char* color;
  int point;
};

/// What a plot shows: blocks of numbers first, then settings, then one plot command.
class drawing {
 public:
  /// @param title  for readers who cannot see it
  drawing(std::size_t width, std::size_t height, std::string title);

  /// A line of the script.
  void set(std::string_view line);

  /// One series. `what` follows the name of the block: "using 1:2 with lines".
  void plot(const std::vector<std::array<double, 4>>& numbers, std::string_view what);

  /// A line through points; with a title it is explained under the plot.
  void plot_line(const std::vector<std::array<double, 4>>& points, const char* color, double line,
                 bool dashed, std::string_view title = {});

  /// Points with tips: numbers[i] begins with x and y, tips[i] is shown at it.
  void plot_points(const std::vector<std::array<double, 4>>& numbers,
                   const std::vector<std::string>& tips, const look& as, double size,
                   std::string_view title);

  /// Explains a bar of this colour under the plot.
  void explain_bar(const char* color, std::string_view title);

  /// The plot as SVG whose ids begin with `prefix`, and an HTML list of what its marks mean, which
  /// uses its shapes. @throws gnuplot_failed
  [[nodiscard]] std::string html(const std::string& gnuplot, const std::string& prefix) const;

 private:
  struct legend_entry {
    enum { point, line, dashes, bar } kind;
    look as;
    std::string title;
  };
  std::string block(const std::vector<std::array<double, 4>>& numbers,
                    const std::vector<std::string>& words);
  void add_command(const std::string& command);
  [[nodiscard]] std::string legend(const std::string& prefix) const;

  std::string title_;
  std::string script_;
  std::string commands_;
  std::size_t num_blocks_ = 0;
  std::vector<std::string> tips_;
  std::vector<legend_entry> legend_;
};

/// &, <, >, " and ' as HTML and XML want them; control characters as '?'.
std::string escaped(std::string_view text);

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_GNUPLOT_H_
