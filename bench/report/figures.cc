// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the plots show, and how to read them.
#include "report/figures.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <set>

#include "report/figure_parts.h"

namespace report {

namespace {

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

constexpr frame roofline_frame = {390, 0.13, 0.97, 0.15, 0.97};

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
  const double decade_x = roofline_frame.pixels_x() / std::log10(x.high / x.low);
  const double decade_y = roofline_frame.pixels_y() / std::log10(y.high / y.low);
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

// ---- Plots ----------------------------------------------------------------------------------

figure_on_page roofline_figure(const view& v) {
  drawing d(width, roofline_frame.height,
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
  roofline_frame.set(d);
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
