// SPDX-License-Identifier: Apache-2.0 OR MIT
// Putting the page together. Whatever comes from files passes through escaped().
#include "report/page.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>

#include "report/figures.h"
#include "report/style.h"

namespace report {

namespace {

// Figures are numbered: ids of one SVG must not be those of another.
class page {
 public:
  page(const page_options& o, const std::string& title) : gnuplot_(o.gnuplot) {
    text_ = fmt::format("{}<title>{}</title>\n{}</head>\n<body>\n<h1>{}</h1>\n", page_head,
                        escaped(title), page_style, escaped(title));
  }

  void add(std::string_view html) { text_ += html; }

  void add(const figure_on_page& f) {
    text_ += fmt::format("<figure><h3>{}</h3>\n{}", escaped(f.title),
                         f.what.html(gnuplot_, fmt::format("f{}-", ++num_figures_)));
    if (!f.caption.empty()) text_ += "<figcaption>" + f.caption + "</figcaption>";
    text_ += "</figure>\n";
  }

  std::string finish() { return std::move(text_ += "</body>\n</html>\n"); }

 private:
  std::string gnuplot_;
  std::string text_;
  std::size_t num_figures_ = 0;
};

std::string escaped_list(const std::vector<std::string>& words) {
  std::vector<std::string> safe;
  for (const std::string& word : words) safe.push_back(escaped(word));
  return fmt::format("{}", fmt::join(safe, ", "));
}

std::string threads_words(int threads) {
  return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

std::string title_of(const view& v) {
  return fmt::format("{}, {}, {} \u00d7 {}", v.cpu.empty() ? "unnamed CPU" : v.cpu,
                     threads_words(v.threads), v.n, v.k);
}

// "3.2 ms \u00b14 %"
std::string time_words(const row& r) {
  return fmt::format("{:.4g} ms <small>\u00b1 {:.1f} %</small>", 1e3 * r.median_s, 100 * r.spread);
}

// A background between red and green, and the number itself: colour alone says nothing to some.
std::string shade(double part) {
  const double strength = 0.45 * std::min(1.0, std::abs(2 * part - 1)) + 0.04;
  return fmt::format("background: rgba(var(--{}), {:.2f})", part >= 0.5 ? "good" : "bad", strength);
}

// ---- Head -----------------------------------------------------------------------------------

std::string head_of(const run& all, const std::vector<loss_table>& losses) {
  std::vector<std::string> cpus;
  std::vector<std::string> dates;
  std::vector<std::string> compilers;
  const auto add = [](std::vector<std::string>& to, const std::string& word) {
    if (!word.empty() && std::find(to.begin(), to.end(), word) == to.end()) to.push_back(word);
  };
  for (const row& r : all.rows) add(cpus, r.cpu);
  for (const limits& l : all.machines) {
    add(dates, l.date);
    add(compilers, l.compiler);
  }
  std::string text =
      "<p>Packed products y = x w<sup>T</sup> of nibble beside this machine's limits";
  const bool peers =
      std::any_of(all.rows.begin(), all.rows.end(), [](const row& r) { return !r.ours(); });
  text += peers ? " and beside other libraries, in the same runs.</p>\n" : ".</p>\n";
  text += fmt::format("<p class=\"soft small\">CPU: {}. ",
                      cpus.empty() ? "not named in the files" : escaped_list(cpus));
  if (!compilers.empty()) text += "Compiler: " + escaped_list(compilers) + ". ";
  if (!dates.empty()) text += "Measured: " + escaped_list(dates) + ". ";
  text += fmt::format("{} rows from {}", all.rows.size(), escaped_list(all.files));
  for (const loss_table& l : losses) text += "; losses from " + escaped(l.file);
  text += ". Weights come from memory; times include quantizing x and starting threads.</p>\n";
  const bool emulated = std::any_of(all.machines.begin(), all.machines.end(),
                                    [](const limits& l) { return l.emulated; });
  if (emulated) text += "<p class=\"wrong\">On an emulated CPU: these times say nothing.</p>\n";
  return text;
}

std::string limits_of(const view& v) {
  if (v.machine.rates.empty()) return "";
  std::string text =
      "<div class=\"card\"><h3>What the machine can do at most</h3>\n<ul class=\"facts\">";
  for (const bool memory : {true, false}) {
    for (const limit_rate& r : v.machine.rates) {
      if ((r.unit == "GB/s") != memory) continue;
      text +=
          fmt::format("<li>{} <b>{:.0f} {}</b></li>\n", escaped(r.name), r.best, escaped(r.unit));
    }
  }
  return text + fmt::format(
                    "</ul>\n<p class=\"small soft\">With {}, the best of several rounds. "
                    "Each row's own limit is measured again beside its runs.</p></div>\n",
                    threads_words(v.threads));
}

// ---- What it comes to -----------------------------------------------------------------------

std::string summary_of(const view& v) {
  std::string text =
      "<div class=\"card\"><h3>What it comes to</h3>\n<div class=\"scroll\"><table><tr><th>m</th>"
      "<th>of limit</th><th>worst</th><th>wins</th><th>\u00d7 peer</th><th>\u00d7 f32</th></tr>\n";
  for (const std::size_t m : m_of(v)) {
    std::vector<double> fractions;
    std::vector<double> ratios;
    std::vector<double> f32_ratios;
    for (const row& r : v.rows) {
      if (!r.ours() || !r.timed() || r.m != m) continue;
      fractions.push_back(r.fraction);
      if (r.ratio > 0) ratios.push_back(r.ratio);
      if (r.f32_ratio > 0) f32_ratios.push_back(r.f32_ratio);
    }
    if (fractions.empty()) continue;
    const auto faster = std::count_if(ratios.begin(), ratios.end(), [](double x) { return x > 1; });
    const auto median_words = [](const std::vector<double>& values) {
      return values.empty() ? std::string("\u2013") : fmt::format("{:.2f}", median_of(values));
    };
    text += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{:.2f}</td><td>{}</td><td>{}</td><td>{}</td>"
        "</tr>\n",
        m, median_words(fractions), *std::min_element(fractions.begin(), fractions.end()),
        ratios.empty() ? std::string("\u2013") : fmt::format("{} of {}", faster, ratios.size()),
        median_words(ratios), median_words(f32_ratios));
  }
  text +=
      "</table></div>\n<p class=\"small soft\">Medians over the formats. Wins: formats that are "
      "faster than every other library. \u00d7: the fastest other library's time over ours, and "
      "that of a product with f32 weights.</p>\n";
  const auto wrong =
      std::count_if(v.rows.begin(), v.rows.end(), [](const row& r) { return r.wrong; });
  if (wrong != 0) {
    text += fmt::format(
        "<p class=\"wrong small\">{} result{} WRONG and not timed: see all rows "
        "below.</p>\n",
        wrong, wrong == 1 ? " was" : "s were");
  }
  return text + "</div>\n";
}

// Formats by m: the fraction, coloured, and the ratio to the best peer.
std::string fractions_table(const view& v) {
  const std::vector<std::size_t> ms = m_of(v);
  std::string text =
      "<div class=\"card\"><h3>Fraction of the limit</h3>\n<div class=\"scroll tall\"><table><tr>"
      "<th>format</th>";
  for (const std::size_t m : ms) text += fmt::format("<th>{}{}</th>", m == ms[0] ? "m = " : "", m);
  text += "</tr>\n";
  bool ratios = false;
  for (const std::string& format : formats_of(v)) {
    std::string cells;
    double bits = 0;
    for (const std::size_t m : ms) {
      const row* best = our_best(timed(v, format, m));
      if (best == nullptr) {
        cells += "<td></td>";
        continue;
      }
      bits = best->bits;
      cells += fmt::format("<td class=\"cell\" style=\"{}\">{:.2f}", shade(best->fraction),
                           best->fraction);
      if (best->ratio > 0) cells += fmt::format("<small>\u00d7 {:.2f}</small>", best->ratio);
      ratios |= best->ratio > 0;
      cells += "</td>";
    }
    if (bits > 0) {
      text += fmt::format("<tr><td>{}<small>{:.4g} bits</small></td>{}</tr>\n", escaped(format),
                          bits, cells);
    }
  }
  text +=
      "</table></div>\n<p class=\"small soft\">1 is what the machine allows: reading the weights, "
      "or the best multiplying instructions of the path.";
  if (ratios) text += " Below it the fastest peer's time over ours: above 1 we are faster.";
  return text + "</p></div>\n";
}

// ---- Plots ----------------------------------------------------------------------------------

void add_sweeps(page& to, const view& v) {
  if (m_of(v).size() < 3) return;
  to.add(
      "<h3>Speed over rows of x</h3>\n<p class=\"small soft\">One plot per format, both axes "
      "logarithmic. The dashed line is what nibble's limit allows. A slope means that memory or "
      "unpacking serves every row of x at once; level is the speed of multiplying.</p>\n");
  constexpr std::size_t open = 6;
  std::size_t number = 0;
  to.add("<div class=\"cards\">\n");
  const std::vector<std::string> formats = formats_of(v);
  for (const std::string& format : formats) {
    std::set<std::size_t> ms;
    for (const row& r : v.rows) {
      if (r.timed() && r.format == format) ms.insert(r.m);
    }
    if (ms.size() < 2) continue;
    if (number++ == open) {
      to.add(
          "</div>\n<details><summary><b>The other formats</b></summary>\n<div "
          "class=\"cards\">\n");
    }
    to.add(sweep_figure(v, format));
  }
  to.add(number > open ? "</div></details>\n" : "</div>\n");
}

void add_plots(page& to, const view& v, const std::vector<loss_table>& losses) {
  const std::vector<std::size_t> ms = m_of(v);
  if (ms.empty()) return;
  to.add("<div class=\"cards\">\n");
  to.add(roofline_figure(v));
  const std::set<std::size_t> ends = {ms.front(), ms.back()};
  for (const loss_table& loss : losses) {
    to.add(loss_figure(v, loss));
    for (const std::size_t m : ends) to.add(loss_speed_figure(v, loss, m));
  }
  for (const std::size_t m : ends) to.add(size_figure(v, m));
  // As tall as there are formats: beside one another.
  to.add("</div>\n<div class=\"cards\">\n");
  for (const std::size_t m : ends) to.add(bars_figure(v, m));
  to.add("</div>\n");
  add_sweeps(to, v);
}

// ---- All rows -------------------------------------------------------------------------------

std::string limit_words(const row& r) {
  return r.limit_unit == "GB/s" ? fmt::format("reading the weights: {:.1f} GB/s", r.limit_value)
                                : fmt::format("multiplying, {}: {:.0f} {}", escaped(r.limit),
                                              r.limit_value, escaped(r.limit_unit));
}

std::string note_words(const row& r) {
  std::vector<std::string> parts;
  if (r.ratio > 0) parts.push_back(fmt::format("{:.2f} \u00d7 {}", r.ratio, escaped(r.peer)));
  if (r.f32_ratio > 0) parts.push_back(fmt::format("{:.2f} \u00d7 f32", r.f32_ratio));
  if (!r.note.empty()) parts.push_back(escaped(r.note));
  if (r.disturbed && r.note.find("disturbed") == std::string::npos) parts.emplace_back("disturbed");
  if (r.runs > 1) parts.push_back(fmt::format("median of {} runs", r.runs));
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string row_html(const view& v, const row& r) {
  std::string how = r.path;
  if (!r.target.empty()) how += (how.empty() ? "" : ", ") + r.target;
  const std::string name = r.ours() ? r.library : who(v, r);
  std::string text =
      fmt::format("<tr{}><td>{}{}</td><td>{}</td>", r.ours() ? " class=\"ours\"" : "",
                  escaped(name), how.empty() ? "" : "<small>" + escaped(how) + "</small>", r.m);
  const std::string error = std::isnan(r.error) ? "\u2013" : fmt::format("{:.2g}", r.error);
  if (r.wrong) {
    return text + fmt::format(
                      "<td class=\"wrong left\" colspan=\"4\">WRONG, not timed</td>"
                      "<td></td><td class=\"wrong\">{}</td><td class=\"note\">{}</td></tr>\n",
                      std::isnan(r.error) ? "\u221e" : error, escaped(r.note));
  }
  return text + fmt::format(
                    "<td>{}</td><td>{:.2f}</td><td>{:.4g}</td><td>{:.2f}</td><td "
                    "class=\"left\"><small>{}</small></td><td>{}</td><td "
                    "class=\"note\">{}</td></tr>\n",
                    time_words(r), r.gbps, r.gops, r.fraction, limit_words(r), error,
                    note_words(r));
}

std::string rows_table(const view& v) {
  std::string text =
      "<h3>All rows</h3>\n<p class=\"small soft\">GB/s counts the weights as stored, Gop/s 2 m n "
      "k. "
      "The error is relative, against double precision with the same quantized weights. \u00d7 "
      "NAME: we "
      "take that much less time than the fastest peer.</p>\n";
  for (const std::string& format : formats_of(v)) {
    std::string rows;
    std::string wrong;
    for (const row& r : v.rows) {
      if (r.format != format) continue;
      rows += row_html(v, r);
      if (r.wrong) wrong = " <span class=\"wrong\">WRONG rows</span>";
    }
    text += fmt::format(
        "<details><summary><b>{}</b>{}</summary><div class=\"scroll\"><table><tr>"
        "<th>library</th><th>m</th><th>time</th><th>GB/s</th><th>Gop/s</th><th>of "
        "limit</th><th class=\"left\">what limits it</th><th>error</th><th "
        "class=\"left\">note</th></tr>\n{}</table></div></details>\n",
        escaped(format), wrong, rows);
  }
  return text;
}

// ---- Changes --------------------------------------------------------------------------------

std::string changes_table(const comparison& c) {
  std::string text =
      "<div class=\"scroll\"><table><tr><th>row</th><th>verdict</th><th class=\"left\">before</th>"
      "<th class=\"left\">after</th><th>change</th><th>noise</th></tr>\n";
  for (const change& one : c.ours) {
    const bool timed = !one.before.wrong && !one.after.wrong;
    text += fmt::format(
        "<tr><td>{}</td><td class=\"{}\">{}</td><td class=\"left\">{}</td><td "
        "class=\"left\">{}</td><td>{}</td><td>{}</td></tr>\n",
        escaped(name_of(one)), name_of(one.is), name_of(one.is), escaped(speed_of(one.before)),
        escaped(speed_of(one.after)), timed ? words_of(one) : "",
        timed ? fmt::format("{:.1f} %", 100 * one.noise) : "");
  }
  return text + "</table></div>\n";
}

}  // namespace

std::string page_of(const run& all, const std::vector<loss_table>& losses, const page_options& o) {
  for (const row& r : all.rows) {
    if (r.op == "benchmark") {
      throw bad_input(
          "results of Google Benchmark can be compared (--compare), not drawn: they "
          "name no limits");
    }
  }
  const std::vector<view> views = views_of(all);
  page to(o, o.title.empty() ? "nibble: packed products beside their limits" : o.title);
  to.add(head_of(all, losses));
  if (views.size() > 1) {
    to.add("<nav>");
    for (std::size_t i = 0; i < views.size(); ++i) {
      to.add(fmt::format("<a href=\"#v{}\">{}</a>", i, escaped(title_of(views[i]))));
    }
    to.add("</nav>\n");
  }
  for (std::size_t i = 0; i < views.size(); ++i) {
    const view& v = views[i];
    to.add(fmt::format("<h2 id=\"v{}\">{}</h2>\n<div class=\"cards\">\n", i, escaped(title_of(v))));
    to.add("<div>");
    to.add(summary_of(v));
    to.add(limits_of(v));
    to.add("</div>\n");
    to.add(fractions_table(v));
    to.add("</div>\n");
    add_plots(to, v, losses);
    to.add(rows_table(v));
  }
  return to.finish();
}

std::string page_of(const comparison& c, const run& before, const run& after,
                    const page_options& o) {
  page to(o, o.title.empty() ? "nibble: before and after" : o.title);
  to.add(fmt::format("<p class=\"small soft\">Before: {}. After: {}. Judged by {}: {}.</p>\n",
                     escaped_list(before.files), escaped_list(after.files),
                     c.by == figure::fraction ? "the fraction of the limit" : "time", c.why));
  to.add(
      fmt::format("<p><span class=\"slower\">{} slower</span>, <span class=\"faster\">{} "
                  "faster</span>, {} the same, {} wrong, {} disturbed.</p>\n",
                  c.count(verdict::slower), c.count(verdict::faster), c.count(verdict::same),
                  c.count(verdict::wrong), c.count(verdict::unsure)));
  to.add("<div class=\"cards\">\n");
  to.add(change_figure(c));
  to.add("<div class=\"card\"><h3>In words</h3><pre class=\"scroll small\">" + [&c] {
    std::string lines;
    // escaped() would join the lines.
    for (const char letter : to_text(c)) lines += letter == '\n' ? "\n" : escaped({&letter, 1});
    return lines;
  }() + "</pre></div>\n</div>\n");
  to.add(changes_table(c));
  return to.finish();
}

}  // namespace report
