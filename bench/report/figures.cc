// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the plots show, and how to read them.
#include "report/figures.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <set>

namespace report {

namespace {

constexpr std::size_t width = 450;
using point4 = std::array<double, 4>;

// ---- Looks ----------------------------------------------------------------------------------

constexpr look our_look = {"#388bfd", 7};
constexpr look peer_looks[] = {{"#e5534b", 9}, {"#2da44e", 5},  {"#d29922", 11}, {"#a371f7", 13},
                               {"#e5534b", 8}, {"#2da44e", 4},  {"#d29922", 10}, {"#a371f7", 12},
                               {grey, 6},      {"#388bfd", 15}, {"#e5534b", 1},  {"#2da44e", 2}};
constexpr look kind_looks[] = {{"#388bfd", 7}, {"#2da44e", 5}, {"#e5534b", 9}, {"#d29922", 13}};
constexpr const char* kind_names[] = {"integers", "GGUF", "FP, NF, MX", "16-bit floats"};

std::size_t kind_of(std::string_view format) {
  const auto begins = [format](std::initializer_list<std::string_view> heads) {
    return std::any_of(heads.begin(), heads.end(),
                       [format](std::string_view head) { return format.starts_with(head); });
  };
  if (format == "f16" || format == "bf16" || format == "f32") return 3;
  if (begins({"int", "uint", "ternary", "binary"})) return 0;
  if (begins({"q", "iq", "tq"}) || format.ends_with("_gguf")) return 1;
  return 2;
}

// ---- Axes -----------------------------------------------------------------------------------

struct range {
  double low;
  double high;
};

range log_axis(drawing& d, char axis, const std::vector<double>& values, double below = 1.4,
               double above = 1.6) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const range shown = {*least / below, *most * above};
  d.set(fmt::format("set logscale {0}\nset format {0} '%g'\nset {0}range [{1:.5g}:{2:.5g}]", axis,
                    shown.low, shown.high));
  // Less than two decades have too few powers of ten to read anything by.
  if (shown.high < 150 * shown.low) {
    const double decade = std::pow(10.0, std::floor(std::log10(shown.low)));
    std::string tics;
    for (double power = decade; power < shown.high; power *= 10) {
      for (const int digit : {1, 2, 5}) {
        tics += fmt::format("{}{:.6g}", tics.empty() ? "" : ", ", power * digit);
      }
    }
    d.set(fmt::format("set {}tics ({})", axis, tics));
  }
  return shown;
}

std::string plural(std::size_t count, const char* word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

std::string tip_of(const view& v, const row& r) {
  return fmt::format("{}, {}, m = {}: {:.4g} Gop/s, {:.3g} GB/s, {:.2f} of {}", r.format, who(v, r),
                     r.m, r.gops, r.gbps, r.fraction, r.limit);
}

// ---- Points of one series -------------------------------------------------------------------

struct series {
  std::vector<point4> points;
  std::vector<std::string> tips;
  void add(double x, double y, std::string tip) {
    points.push_back({x, y, 0, 0});
    tips.push_back(std::move(tip));
  }
};

const limit_rate* find(const limits& l, std::string_view name) {
  const auto at = std::find_if(l.rates.begin(), l.rates.end(),
                               [name](const limit_rate& r) { return r.name == name; });
  return at == l.rates.end() ? nullptr : &*at;
}

// The limits of multiplying that rows of ours have, the highest first.
std::vector<limit_rate> roofs_of(const view& v) {
  std::set<std::string> names;
  for (const row& r : v.rows) {
    if (r.ours() && r.timed() && r.limit_unit == "Gop/s") names.insert(r.limit);
  }
  std::vector<limit_rate> roofs;
  for (const std::string& name : names) {
    if (const limit_rate* l = find(v.machine, name)) roofs.push_back(*l);
  }
  std::sort(roofs.begin(), roofs.end(),
            [](const limit_rate& a, const limit_rate& b) { return a.best > b.best; });
  return roofs;
}

// The part of the drawing that the axes of a roofline enclose.
constexpr double plot_left = 0.13;
constexpr double plot_right = 0.97;
constexpr double plot_bottom = 0.15;
constexpr double plot_top = 0.97;
constexpr std::size_t roofline_height = 390;

void draw_roofs(drawing& d, const view& v, const range& x, const range& y) {
  const limit_rate* read = find(v.machine, "read");
  const std::vector<limit_rate> roofs = roofs_of(v);
  if (read == nullptr) return;
  const double top = roofs.empty() ? read->best * x.high : roofs.front().best;
  const double ridge = std::min(x.high, top / read->best);
  d.plot_line({{x.low, read->best * x.low, 0, 0}, {ridge, top, 0, 0}, {x.high, top, 0, 0}}, grey, 2,
              false, "limits");
  const std::string font = fmt::format("font 'sans-serif,12' textcolor rgb '{}'", grey);
  // Along the slope, which is one decade by one decade.
  const double decade_x = width * (plot_right - plot_left) / std::log10(x.high / x.low);
  const double decade_y = roofline_height * (plot_top - plot_bottom) / std::log10(y.high / y.low);
  const double middle = std::sqrt(std::max(x.low, y.low / read->best) * ridge);
  d.set(fmt::format("set label 'reading {:.0f} GB/s' at {:.5g},{:.5g} center rotate by {:.1f} {}",
                    read->best, middle, 1.25 * read->best * middle,
                    std::atan2(decade_y, decade_x) * 57.29578, font));
  double last = 0;
  for (const limit_rate& roof : roofs) {
    if (last != 0) {
      d.plot_line({{roof.best / read->best, roof.best, 0, 0}, {x.high, roof.best, 0, 0}}, grey, 1.2,
                  true);
    }
    // A label has room where the roof above is not too near.
    if (last != 0 && roof.best > 0.72 * last) continue;
    last = roof.best;
    d.set(fmt::format("set label {} at {:.5g},{:.5g} right offset 0,0.5 {}",
                      quoted(fmt::format("{}: {:.0f}", roof.name, roof.best)), x.high, roof.best,
                      font));
  }
}

std::string roofline_caption(const view& v) {
  std::size_t memory = 0;
  std::vector<double> of_memory;
  std::vector<double> of_multiplying;
  for (const row& r : v.rows) {
    if (!r.timed() || !r.ours()) continue;
    memory += r.limit_unit == "GB/s";
    (r.limit_unit == "GB/s" ? of_memory : of_multiplying).push_back(r.fraction);
  }
  std::string text =
      "Each dot is one product: to the right, more operations for each byte of weights that is "
      "read; upwards, faster. Nothing can be above the lines: on the slope memory is the limit, "
      "under the level lines the instructions that multiply. Hollow dots are other libraries.";
  if (!of_memory.empty()) {
    text += fmt::format(" Here {} of ours {} limited by memory and reach{} {:.0f} % of it (median)",
                        plural(memory, "row"), memory == 1 ? "is" : "are", memory == 1 ? "es" : "",
                        100 * median_of(of_memory));
  }
  if (!of_multiplying.empty()) {
    text += fmt::format("{} {} by multiplying: {:.0f} %.", of_memory.empty() ? "" : ";",
                        of_multiplying.size(), 100 * median_of(of_multiplying));
  } else if (!of_memory.empty()) {
    text += '.';
  }
  return text;
}

// Of rows of one format and m, ours: the fastest.
const row* our_best(const std::vector<const row*>& rows) {
  const row* best = nullptr;
  for (const row* r : rows) {
    if (r->ours() && (best == nullptr || r->median_s < best->median_s)) best = r;
  }
  return best;
}

// Peers of a view, each with a look of its own in every plot.
std::map<std::string, look> looks_of(const view& v) {
  std::map<std::string, look> looks;
  std::size_t next = 0;
  for (const row& r : v.rows) {
    if (r.timed() && !r.ours()) looks.try_emplace(r.library, our_look);
  }
  for (auto& [name, as] : looks) as = peer_looks[next++ % std::size(peer_looks)];
  return looks;
}

}  // namespace

// ---- Views ----------------------------------------------------------------------------------

std::vector<view> views_of(const run& all) {
  std::vector<view> views;
  for (const row& r : all.rows) {
    auto at = std::find_if(views.begin(), views.end(), [&r](const view& v) {
      return v.cpu == r.cpu && v.threads == r.threads && v.n == r.n && v.k == r.k;
    });
    if (at == views.end()) at = views.insert(views.end(), {r.cpu, r.threads, r.n, r.k, {}, {}});
    at->rows.push_back(r);
  }
  for (view& v : views) {
    for (const limits& l : all.machines) {
      if (l.cpu != v.cpu || l.threads != v.threads) continue;
      if (v.machine.rates.empty()) {
        v.machine = l;
        continue;
      }
      for (limit_rate& rate : v.machine.rates) {
        if (const limit_rate* other = find(l, rate.name))
          rate.best = std::max(rate.best, other->best);
      }
    }
  }
  return views;
}

std::string who(const view& v, const row& r) {
  if (!r.ours()) return r.library;
  std::string name = r.library;
  bool targets = false;
  bool paths = false;
  for (const row& other : v.rows) {
    if (!other.ours()) continue;
    targets |= other.target != r.target;
    paths |= other.path != r.path && other.target == r.target && other.format == r.format &&
             other.m == r.m;
  }
  if (targets) name += " " + r.target;
  if (paths) name += " " + r.path;
  return name;
}

std::vector<std::size_t> m_of(const view& v) {
  std::set<std::size_t> all;
  for (const row& r : v.rows) {
    if (r.timed()) all.insert(r.m);
  }
  return {all.begin(), all.end()};
}

std::vector<std::string> formats_of(const view& v) {
  std::map<std::string, std::pair<double, std::size_t>> formats;  // bits, position
  for (const row& r : v.rows) {
    const auto at = formats.try_emplace(r.format, r.bits, formats.size()).first;
    if (r.ours()) at->second.first = r.bits;
  }
  std::vector<std::tuple<long, std::size_t, std::string>> order;
  for (const auto& [name, of] : formats) {
    order.emplace_back(-std::lround(2 * of.first), of.second, name);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> names;
  for (const auto& one : order) names.push_back(std::get<std::string>(one));
  return names;
}

std::vector<const row*> timed(const view& v, std::string_view format, std::size_t m) {
  std::vector<const row*> found;
  for (const row& r : v.rows) {
    if (r.timed() && r.format == format && r.m == m) found.push_back(&r);
  }
  return found;
}

// ---- Plots ----------------------------------------------------------------------------------

figure_on_page roofline_figure(const view& v) {
  drawing d(width, roofline_height,
            "Roofline: operations per byte of weights and operations per second");
  series ours[std::size(kind_looks)];
  series peers;
  std::vector<double> xs;
  std::vector<double> ys;
  for (const row& r : v.rows) {
    if (!r.timed()) continue;
    xs.push_back(r.intensity());
    ys.push_back(r.gops);
    (r.ours() ? ours[kind_of(r.format)] : peers).add(r.intensity(), r.gops, tip_of(v, r));
  }
  for (const limit_rate& roof : roofs_of(v)) ys.push_back(roof.best);
  const range x = log_axis(d, 'x', xs);
  const range y = log_axis(d, 'y', ys, 1.6, 1.8);
  d.set("set xlabel 'operations per byte of weights' offset 0,0.4");
  d.set("set ylabel 'Gop/s' offset 1,0");
  d.set(
      fmt::format("set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\n"
                  "set tmargin at screen {}",
                  plot_left, plot_right, plot_bottom, plot_top));
  draw_roofs(d, v, x, y);
  d.plot_points(peers.points, peers.tips, {grey, 6}, 0.45, "other libraries");
  for (std::size_t i = 0; i < std::size(kind_looks); ++i) {
    d.plot_points(ours[i].points, ours[i].tips, kind_looks[i], 0.6, kind_names[i]);
  }
  return {"Roofline", roofline_caption(v), std::move(d)};
}

figure_on_page bars_figure(const view& v, std::size_t m) {
  std::vector<point4> bars;
  std::vector<std::string> names;
  std::vector<std::string> ratios;  // labels
  std::map<std::string, series> peers;
  double most = 0;
  std::size_t faster = 0;
  for (const std::string& format : formats_of(v)) {
    const std::vector<const row*> rows = timed(v, format, m);
    const row* best = our_best(rows);
    if (best == nullptr) continue;
    const double y = static_cast<double>(names.size());
    names.push_back(format);
    bars.push_back({best->gops / 2, y, best->gops / 2, 0.36});
    for (const row* r : rows) {
      most = std::max(most, r->gops);
      if (!r->ours()) peers[r->library].add(r->gops, y, tip_of(v, *r));
    }
    if (best->ratio > 0) {
      ratios.push_back(
          fmt::format("set label '{:.2f}' at graph 1.02,first {} left font "
                      "'sans-serif,12' textcolor rgb '{}'",
                      best->ratio, y, text_color));
      faster += best->ratio > 1;
    }
  }
  const std::size_t height = 80 + 23 * names.size();
  drawing d(width, height, fmt::format("Gop/s of each format for m = {}", m));
  std::string tics;
  for (std::size_t i = 0; i < names.size(); ++i) {
    tics += fmt::format("{}{} {}", i == 0 ? "" : ", ", quoted(names[i]), i);
  }
  d.set("set ytics (" + tics + ") font 'sans-serif,12'");
  d.set(fmt::format("set yrange [{}:-0.7]", static_cast<double>(names.size()) - 0.3));
  d.set(fmt::format("set xrange [0:{:.5g}]", most * 1.04));
  d.set("set grid noytics\nset style fill solid 0.55 noborder");
  d.set("set xlabel 'Gop/s' offset 0,0.4");
  d.set(
      fmt::format("set lmargin at screen 0.37\nset rmargin at screen 0.88\nset tmargin at screen "
                  "{}\nset bmargin at screen {}",
                  1 - 26.0 / static_cast<double>(height), 54.0 / static_cast<double>(height)));
  if (!ratios.empty()) {
    d.set(
        fmt::format("set label 'x peer' at graph 1.02,graph 1.0 left offset 0,0.4 font "
                    "'sans-serif,11' textcolor rgb '{}'",
                    grey));
    for (const std::string& label : ratios) d.set(label);
  }
  d.plot(bars, fmt::format("using 1:2:3:4 with boxxyerror linecolor rgb '{}'", our_look.color));
  d.explain_bar(our_look.color, "nibble");
  const std::map<std::string, look> looks = looks_of(v);
  for (const auto& [library, s] : peers) {
    d.plot_points(s.points, s.tips, looks.at(library), 0.62, library);
  }
  std::string caption = fmt::format(
      "Longer is faster. Bars are nibble, marks other libraries on "
      "their nearest format, in the same run.");
  if (!ratios.empty()) {
    caption += fmt::format(
        " On the right the time of the fastest one over ours: above 1 we are "
        "faster, here in {} of {}.",
        faster, plural(ratios.size(), "format"));
  }
  return {fmt::format("Speed for m = {}", m), caption, std::move(d)};
}

figure_on_page sweep_figure(const view& v, const std::string& format) {
  drawing d(width, 300, "Gop/s over rows of x for " + format);
  std::map<std::string, series> lines;
  std::map<std::string, std::string> library_of;
  std::vector<point4> limit;
  std::vector<double> xs;
  std::vector<double> ys;
  for (const std::size_t m : m_of(v)) {
    const std::vector<const row*> rows = timed(v, format, m);
    for (const row* r : rows) {
      const std::string name = who(v, *r);
      lines[name].add(static_cast<double>(m), r->gops, tip_of(v, *r));
      library_of[name] = r->library;
      xs.push_back(static_cast<double>(m));
      ys.push_back(r->gops);
    }
    if (const row* best = our_best(rows)) {
      limit.push_back({static_cast<double>(m), best->gops / best->fraction, 0, 0});
      ys.push_back(limit.back()[1]);
    }
  }
  log_axis(d, 'x', xs, 1.15, 1.15);
  log_axis(d, 'y', ys, 1.3, 1.3);
  std::string tics;
  for (const std::size_t m : m_of(v)) tics += fmt::format("{}{}", tics.empty() ? "" : ", ", m);
  d.set("set xtics (" + tics + ")");
  d.set("set xlabel 'rows of x (m)' offset 0,0.4\nset ylabel 'Gop/s' offset 1,0");
  d.plot_line(limit, grey, 1.2, true, "our limit");
  const std::map<std::string, look> looks = looks_of(v);
  std::size_t next = 0;
  for (const auto& [name, s] : lines) {
    const bool ours = library_of[name] == "nibble";
    look as = ours ? our_look : looks.at(library_of[name]);
    if (ours && next != 0) as = peer_looks[(next + 7) % std::size(peer_looks)];
    next += ours;
    d.plot_line(s.points, as.color, ours ? 2.4 : 1.0, false);
    d.plot_points(s.points, s.tips, as, 0.6, name);
  }
  return {format, "", std::move(d)};
}

// ---- Scatter plots: size, speed, loss -------------------------------------------------------

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

void plain_axis(drawing& d, char name, const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double room = std::max(0.08 * (*most - *least), 0.02 * std::abs(*most) + 1e-9);
  d.set(fmt::format("set {}range [{:.5g}:{:.5g}]", name, *least - room, *most + 1.6 * room));
}

void set_axis(drawing& d, char name, const axis& a, const std::vector<double>& values) {
  if (a.logarithmic) {
    log_axis(d, name, values);
  } else {
    plain_axis(d, name, values);
  }
}

// Names on alternate sides of the points, at most ten.
void add_names(drawing& d, const std::vector<place>& of, const char* color) {
  const std::size_t step = of.size() / 10 + 1;
  for (std::size_t side = 0; side < 2; ++side) {
    std::vector<point4> places;
    std::vector<std::string> words;
    for (std::size_t i = side * step; i < of.size(); i += 2 * step) {
      places.push_back({of[i].x, of[i].y, 0, 0});
      words.push_back(of[i].format);
    }
    d.plot_labels(places, words,
                  fmt::format("{} font 'sans-serif,10' textcolor rgb '{}'",
                              side == 0 ? "left offset 0.6,0.5" : "right offset -0.6,-0.5", color));
  }
}

// Formats as points, a line through those that nothing beats, with their names.
drawing scatter(const std::vector<place>& all, const axis& x, const axis& y,
                const std::string& title) {
  drawing d(width, 360, title);
  std::vector<double> xs;
  std::vector<double> ys;
  series kinds[std::size(kind_looks)];
  for (const place& p : all) {
    xs.push_back(p.x);
    ys.push_back(p.y);
    kinds[kind_of(p.format)].add(
        p.x, p.y, fmt::format("{}: {} {:.4g}, {} {:.4g}", p.format, x.label, p.x, y.label, p.y));
  }
  set_axis(d, 'x', x, xs);
  set_axis(d, 'y', y, ys);
  d.set(fmt::format("set xlabel {} offset 0,0.4", quoted(x.label)));
  d.set(fmt::format("set ylabel {} offset 1,0", quoted(y.label)));
  const std::vector<place> best = best_of(all, x.less_is_better, !y.less_is_better);
  std::vector<point4> line;
  for (const place& p : best) line.push_back({p.x, p.y, 0, 0});
  d.plot_line(line, grey, 1.2, true, "none is better in both");
  for (std::size_t i = 0; i < std::size(kind_looks); ++i) {
    d.plot_points(kinds[i].points, kinds[i].tips, kind_looks[i], 0.6, kind_names[i]);
  }
  add_names(d, best, text_color);
  constexpr std::size_t few = 14;
  if (all.size() > few) return d;
  std::vector<place> others;
  for (const place& p : all) {
    const bool named = std::any_of(best.begin(), best.end(),
                                   [&p](const place& q) { return q.format == p.format; });
    if (!named) others.push_back(p);
  }
  add_names(d, others, grey);
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

figure_on_page change_figure(const comparison& c) {
  drawing d(width, 400, "Before and after");
  const bool by_fraction = c.by == figure::fraction;
  std::map<verdict, series> groups;
  std::vector<double> values;
  for (const change& one : c.ours) {
    if (one.before.wrong || one.after.wrong || (by_fraction && one.by != c.by)) continue;
    const double x = by_fraction ? one.before.fraction : 1e3 * one.before.median_s;
    const double y = by_fraction ? one.after.fraction : 1e3 * one.after.median_s;
    values.insert(values.end(), {x, y});
    groups[one.is].add(x, y, name_of(one) + ": " + words_of(one));
  }
  if (values.empty()) values = {1};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  log_axis(d, 'x', values, 1.15, 1.15);
  log_axis(d, 'y', values, 1.15, 1.15);
  const char* what = by_fraction ? "fraction of the limit" : "ms";
  d.set(fmt::format("set xlabel 'before: {0}' offset 0,0.4\nset ylabel 'after: {0}' offset 1,0",
                    what));
  d.plot_line({{*least / 1.1, *least / 1.1, 0, 0}, {*most * 1.1, *most * 1.1, 0, 0}}, grey, 1.2,
              true, "no change");
  const std::map<verdict, look> looks = {{verdict::slower, {"#e5534b", 11}},
                                         {verdict::faster, {"#2da44e", 9}},
                                         {verdict::same, {grey, 6}},
                                         {verdict::unsure, {"#d29922", 12}}};
  for (const auto& [is, as] : looks) {
    d.plot_points(groups[is].points, groups[is].tips, as, 0.7, name_of(is));
  }
  return {"Before and after",
          fmt::format("Each mark is one row of nibble. {} the line it became faster.",
                      by_fraction ? "Above" : "Below"),
          std::move(d)};
}

}  // namespace report
