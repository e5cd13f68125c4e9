// SPDX-License-Identifier: Apache-2.0 OR MIT
// Formats as points: size, speed and loss, two at a time.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include "report/figure_parts.h"

namespace report {

namespace {

struct place {
  double x;
  double y;
  std::string format;
};

// Nothing else is as good in both.
std::vector<place> best_of(const std::vector<place>& all, bool less_x, bool more_y) {
  std::vector<place> best;
  for (const place& p : all) {
    const bool beaten = std::any_of(all.begin(), all.end(), [&](const place& q) {
      const double x = (less_x ? p.x - q.x : q.x - p.x) / std::abs(p.x);
      const double y = (more_y ? q.y - p.y : p.y - q.y) / std::abs(p.y);
      return x > -1e-9 && y > -1e-9 && (x > 1e-9 || y > 1e-9);
    });
    if (!beaten) best.push_back(p);
  }
  std::sort(best.begin(), best.end(), [](const place& a, const place& b) { return a.x < b.x; });
  return best;
}

struct axis {
  const char* label;
  bool less_is_better;
  bool logarithmic;
};

range plain_axis(drawing& d, char name, const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double room = std::max(0.08 * (*most - *least), 0.02 * std::abs(*most) + 1e-9);
  const range shown = {*least - room, *most + 1.6 * room};
  d.set(fmt::format("set {}range [{:.5g}:{:.5g}]", name, shown.low, shown.high));
  return shown;
}

range set_axis(drawing& d, char name, const axis& a, const std::vector<double>& values) {
  return a.logarithmic ? log_axis(d, name, values) : plain_axis(d, name, values);
}

// ---- Names beside points --------------------------------------------------------------------

// A rectangle of the picture, in pixels from the lower left corner of the frame.
struct box {
  double left;
  double bottom;
  double right;
  double top;
  [[nodiscard]] bool meets(const box& o) const {
    return left < o.right && o.left < right && bottom < o.top && o.bottom < top;
  }
};

// Puts names where they cover no point and no other name; what finds no such place stays unnamed.
class name_places {
 public:
  name_places(drawing& to, const frame& in, const axis& x, const range& xs, const axis& y,
              const range& ys)
      : to_(to), in_(in), x_(x), xs_(xs), y_(y), ys_(ys) {}

  void keep_free(const place& p) {
    const auto [px, py] = pixels(p);
    taken_.push_back({px - 4, py - 4, px + 4, py + 4});
  }

  void add(const place& p, const char* color) {
    constexpr double letter = 5.6;  // of a font of 10
    constexpr double half = 6;      // of a line
    const double length = letter * static_cast<double>(p.format.size());
    const auto [px, py] = pixels(p);
    // Right and left of the point, level, higher and lower; then above and below.
    for (const double up : {0.0, 9.0, -9.0, 14.0, -14.0}) {
      for (const double left : {px + 7, px - 7 - length, px - length / 2}) {
        const box b = {left, py + up - half, left + length, py + up + half};
        const bool inside = b.left > 0 && b.right < in_.pixels_x() + 8 && b.bottom > 0 &&
                            b.top < in_.pixels_y() + 8;
        if (!inside ||
            std::any_of(taken_.begin(), taken_.end(), [&b](const box& o) { return b.meets(o); })) {
          continue;
        }
        taken_.push_back(b);
        to_.set(
            fmt::format("set label {} at graph {:.4f},{:.4f} center font 'sans-serif,10' "
                        "textcolor rgb '{}'",
                        quoted(p.format), (left + length / 2) / in_.pixels_x(),
                        (py + up) / in_.pixels_y(), color));
        return;
      }
    }
  }

 private:
  static double part(double value, const axis& a, const range& r) {
    return a.logarithmic ? std::log(value / r.low) / std::log(r.high / r.low)
                         : (value - r.low) / (r.high - r.low);
  }
  [[nodiscard]] std::pair<double, double> pixels(const place& p) const {
    return {part(p.x, x_, xs_) * in_.pixels_x(), part(p.y, y_, ys_) * in_.pixels_y()};
  }

  drawing& to_;
  const frame& in_;
  const axis& x_;
  range xs_;
  const axis& y_;
  range ys_;
  std::vector<box> taken_;
};

// Formats as points, a line through those that nothing beats, with their names.
drawing scatter(const std::vector<place>& all, const axis& x, const axis& y,
                const std::string& title) {
  const frame in = {360};
  drawing d(width, in.height, title);
  in.set(d);
  std::vector<double> xs;
  std::vector<double> ys;
  series kinds[std::size(kind_looks)];
  for (const place& p : all) {
    xs.push_back(p.x);
    ys.push_back(p.y);
    kinds[kind_of(p.format)].add(
        p.x, p.y, fmt::format("{}: {} {:.4g}, {} {:.4g}", p.format, x.label, p.x, y.label, p.y));
  }
  const range shown_x = set_axis(d, 'x', x, xs);
  const range shown_y = set_axis(d, 'y', y, ys);
  name_places names(d, in, x, shown_x, y, shown_y);
  d.set(fmt::format("set xlabel {} offset 0,0.4", quoted(x.label)));
  d.set(fmt::format("set ylabel {} offset 1,0", quoted(y.label)));
  const std::vector<place> best = best_of(all, x.less_is_better, !y.less_is_better);
  std::vector<point4> line;
  for (const place& p : best) line.push_back({p.x, p.y, 0, 0});
  d.plot_line(line, grey, 1.2, true, "none is better in both");
  for (std::size_t i = 0; i < std::size(kind_looks); ++i) {
    d.plot_points(kinds[i].points, kinds[i].tips, kind_looks[i], 0.6, kind_names[i]);
  }
  for (const place& p : all) names.keep_free(p);
  for (const place& p : best) names.add(p, text_color);
  for (const place& p : all) {
    const bool named = std::any_of(best.begin(), best.end(),
                                   [&p](const place& q) { return q.format == p.format; });
    if (!named) names.add(p, grey);
  }
  return d;
}

std::string names_on_line(const std::vector<place>& best) {
  std::string text;
  for (const place& p : best) text += (text.empty() ? "" : ", ") + escaped(p.format);
  return text;
}

// Our best row of each format at m, as places.
template <class Fn>
std::vector<place> places_of(const view& v, std::size_t m, Fn&& place_of) {
  std::vector<place> all;
  for (const std::string& format : formats_of(v)) {
    const row* best = our_best(timed(v, format, m));
    if (best != nullptr) place_of(*best, all);
  }
  return all;
}

}  // namespace

figure_on_page size_figure(const view& v, std::size_t m) {
  const std::vector<place> all = places_of(v, m, [](const row& r, std::vector<place>& to) {
    to.push_back({r.bits, r.gops, r.format});
  });
  const axis x = {"bits per weight", true, false};
  const axis y = {"Gop/s", false, false};
  const std::string title = fmt::format("Size and speed, m = {}", m);
  return {title,
          "To the left smaller, upwards faster. No format is both smaller and faster than one on "
          "the line: " +
              names_on_line(best_of(all, true, true)) + ".",
          scatter(all, x, y, title)};
}

figure_on_page loss_figure(const view& v, const loss_table& loss) {
  std::set<std::string> seen;
  std::vector<place> all;
  for (const row& r : v.rows) {
    const auto at = loss.of.find(r.format);
    if (!r.ours() || at == loss.of.end() || !seen.insert(r.format).second) continue;
    all.push_back({r.bits, at->second, r.format});
  }
  if (all.empty()) throw bad_input(loss.file + ": no format of it was measured");
  const axis x = {"bits per weight", true, false};
  const axis y = {loss.title.c_str(), !loss.more_is_better, loss.logarithmic};
  return {"Size and accuracy",
          fmt::format("To the left smaller, {} more accurate. The losses are those of {}. Worth "
                      "their bits: {}.",
                      loss.more_is_better ? "upwards" : "downwards", escaped(loss.file),
                      names_on_line(best_of(all, true, loss.more_is_better))),
          scatter(all, x, y, "Size and accuracy")};
}

figure_on_page loss_speed_figure(const view& v, const loss_table& loss, std::size_t m) {
  const std::vector<place> all = places_of(v, m, [&loss](const row& r, std::vector<place>& to) {
    const auto at = loss.of.find(r.format);
    if (at != loss.of.end()) to.push_back({r.gops, at->second, r.format});
  });
  if (all.empty()) throw bad_input(loss.file + ": no format of it was measured");
  const axis x = {"Gop/s", false, false};
  const axis y = {loss.title.c_str(), !loss.more_is_better, loss.logarithmic};
  const std::string title = fmt::format("Speed and accuracy, m = {}", m);
  return {title,
          fmt::format("To the right faster, {} more accurate. The best choices for m = {}: {}.",
                      loss.more_is_better ? "upwards" : "downwards", m,
                      names_on_line(best_of(all, false, loss.more_is_better))),
          scatter(all, x, y, title)};
}

}  // namespace report
