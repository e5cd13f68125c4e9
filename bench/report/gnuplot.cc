// SPDX-License-Identifier: Apache-2.0 OR MIT
// Running gnuplot, and its SVG made part of a page.
#include "report/gnuplot.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/names.h"

extern char** environ;

namespace report {

namespace {

// Files without names: no pipe can fill up while the other side waits.
using temporary = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

temporary new_temporary() {
  temporary file(std::tmpfile(), &std::fclose);
  if (file == nullptr) {
    throw gnuplot_failed(fmt::format("no temporary file: {}", std::strerror(errno)));
  }
  return file;
}

std::string all_of(std::FILE* file) {
  std::rewind(file);
  std::string text;
  char part[1 << 14];
  for (std::size_t got; (got = std::fread(part, 1, sizeof part, file)) != 0;) {
    text.append(part, got);
  }
  return text;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Removes or replaces each stretch from `begin` to `end`: what stands between says by what.
template <class Fn>
void replace_between(std::string& text, std::string_view begin, std::string_view end, Fn&& fn) {
  for (std::size_t at = 0; (at = text.find(begin, at)) != std::string::npos;) {
    const std::size_t inner = at + begin.size();
    const std::size_t stop = text.find(end, inner);
    if (stop == std::string::npos) return;
    const std::string by = fn(std::string_view(text).substr(inner, stop - inner));
    text.replace(at, stop + end.size() - at, by);
    at += by.size();
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string to;
  for (const char c : examples::printable(text)) {
    switch (c) {
      case '&': to += "&amp;"; break;
      case '<': to += "&lt;"; break;
      case '>': to += "&gt;"; break;
      case '"': to += "&quot;"; break;
      case '\'': to += "&#39;"; break;
      default: to += c;
    }
  }
  return to;
}

namespace {

// What gnuplot and SVG take for nothing but text.
std::string plain(std::string_view text) {
  constexpr std::size_t enough = 60;
  std::string to;
  for (const char c : examples::printable(text.substr(0, enough))) {
    // Quotes end strings, the others mean something to gnuplot or in an attribute of SVG.
    to += std::strchr("'\"`\\@$#{}&<>", c) != nullptr ? '?' : c;
  }
  if (text.size() > enough) {  // no half of a UTF-8 character
    while (!to.empty() && (to.back() & 0xC0) == 0x80) to.pop_back();
    if (!to.empty() && (to.back() & 0xC0) == 0xC0) to.pop_back();
    to += "...";
  }
  return to;
}

}  // namespace

std::string quoted(std::string_view text) { return fmt::format("'{}'", plain(text)); }

std::string run_gnuplot(const std::string& program, const std::string& script) {
  const temporary in = new_temporary();
  const temporary out = new_temporary();
  const temporary errors = new_temporary();
  if (std::fwrite(script.data(), 1, script.size(), in.get()) != script.size() ||
      std::fflush(in.get()) != 0) {
    throw gnuplot_failed("cannot write a temporary file");
  }
  std::rewind(in.get());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(in.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(out.get()), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(errors.get()), STDERR_FILENO);
  std::string name = program;
  std::string defaults = "-d";  // no settings of the user's own
  char* arguments[] = {name.data(), defaults.data(), nullptr};
  pid_t child = 0;
  const int failed = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    throw gnuplot_failed(fmt::format(
        "cannot run '{}' ({}): plots are drawn by gnuplot; install it (Debian: apt-get install "
        "gnuplot-nox), or say where it is with --gnuplot",
        examples::printable(program), std::strerror(failed)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::string svg = all_of(out.get());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || svg.find("</svg>") == std::string::npos) {
    throw gnuplot_failed(fmt::format("'{}' failed: {}", examples::printable(program),
                                     examples::printable(all_of(errors.get()))));
  }
  return svg;
}

drawing::drawing(std::size_t width, std::size_t height, std::string title)
    : title_(std::move(title)) {
  script_ = fmt::format(
      "set terminal svg size {},{} dynamic noenhanced font 'sans-serif,13' linewidth 1\n"
      "set encoding utf8\n"
      "set border 3 linecolor rgb '{grey}'\n"
      "set grid linecolor rgb '{grey}' dashtype 3 linewidth 0.4\n"
      "set tics nomirror textcolor rgb '{text}' scale 0.6\n"
      "unset key\n"
      "set xlabel textcolor rgb '{text}'\n"
      "set ylabel textcolor rgb '{text}'\n"
      "set datafile missing NaN\n",
      width, height, fmt::arg("grey", grey), fmt::arg("text", text_color));
}

void drawing::set(std::string_view line) { (script_ += line) += '\n'; }

std::string drawing::block(const std::vector<std::array<double, 4>>& numbers,
                           const std::vector<std::string>& words) {
  const std::string name = fmt::format("$block{}", ++num_blocks_);
  script_ += name + " << END_OF_BLOCK\n";
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    for (const double v : numbers[i]) script_ += fmt::format("{:.7g} ", v);
    if (!words.empty()) script_ += fmt::format("\"{}\"", plain(words[i]));
    script_ += '\n';
  }
  script_ += "END_OF_BLOCK\n";
  return name;
}

void drawing::add_command(const std::string& command) {
  commands_ += (commands_.empty() ? "plot " : ", \\\n    ") + command;
}

void drawing::plot(const std::vector<std::array<double, 4>>& numbers, std::string_view what) {
  if (!numbers.empty()) add_command(fmt::format("{} {}", block(numbers, {}), what));
}

void drawing::plot_line(const std::vector<std::array<double, 4>>& points, const char* color,
                        double line, bool dashed, std::string_view title) {
  plot(points, fmt::format("using 1:2 with lines linewidth {} dashtype {} linecolor rgb '{}'", line,
                           dashed ? 2 : 1, color));
  if (points.empty() || title.empty()) return;
  legend_.push_back(
      {dashed ? legend_entry::dashes : legend_entry::line, {color, 0}, std::string(title)});
}

void drawing::plot_points(const std::vector<std::array<double, 4>>& numbers,
                          const std::vector<std::string>& tips, const look& as, double size,
                          std::string_view title) {
  if (numbers.empty()) return;
  std::vector<std::string> places;
  for (const std::string& tip : tips) {
    places.push_back(fmt::format("tip{}", tips_.size()));
    tips_.push_back(tip);
  }
  add_command(
      fmt::format("{} using 1:2:5 with labels hypertext point pointtype {} pointsize {} "
                  "linecolor rgb '{}' linewidth 1.4",
                  block(numbers, places), as.point, size, as.color));
  if (!title.empty()) legend_.push_back({legend_entry::point, as, std::string(title)});
}

void drawing::explain_bar(const char* color, std::string_view title) {
  legend_.push_back({legend_entry::bar, {color, 0}, std::string(title)});
}

std::string drawing::legend(const std::string& prefix) const {
  std::string text;
  for (const legend_entry& e : legend_) {
    std::string mark;
    switch (e.kind) {
      case legend_entry::point:
        mark = fmt::format("<use href=\"#{}gpPt{}\" transform=\"translate(10,7) scale(4)\"/>",
                           prefix, e.as.point - 1);
        break;
      case legend_entry::line:
      case legend_entry::dashes:
        mark = fmt::format("<path d=\"M1,7 H19\" stroke=\"currentColor\" stroke-width=\"2\"{}/>",
                           e.kind == legend_entry::dashes ? " stroke-dasharray=\"4,3\"" : "");
        break;
      case legend_entry::bar:
        mark = "<path d=\"M1,3 H19 V11 H1 Z\" fill=\"currentColor\" fill-opacity=\"0.55\"/>";
        break;
    }
    text += fmt::format(
        "<li><svg width=\"20\" height=\"14\" viewBox=\"0 0 20 14\" "
        "aria-hidden=\"true\" fill=\"none\" style=\"color:{}\">{}</svg> {}</li>",
        e.as.color, mark, escaped(e.title));
  }
  return text.empty() ? text : "<ul class=\"legend\">" + text + "</ul>\n";
}

std::string drawing::html(const std::string& gnuplot, const std::string& prefix) const {
  std::string text = run_gnuplot(gnuplot, script_ + commands_ + "\n");
  text.erase(0, text.find("<svg"));
  // Text and lines of the page's colour.
  for (const char* spelled : {"rgb(1,2,3)", "rgb(  1,   2,   3)"}) {
    replace_all(text, spelled, "currentColor");
  }
  replace_all(text, "fill=\"black\"", "fill=\"currentColor\"");
  replace_all(text, " color=\"black\"", "");  // each group would have a currentColor of its own
  // Every title is gnuplot's: the file's, then one per series. Tips come back as titles below.
  replace_between(text, "<title>", "</title>", [](std::string_view) { return std::string(); });
  replace_between(text, "<desc>", "</desc>", [](std::string_view) { return std::string(); });
  replace_between(text, "<g onmousemove=\"gnuplot_svg.showHypertext(evt,'tip", "\">",
                  [this](std::string_view rest) {
                    std::size_t number = tips_.size();
                    std::from_chars(rest.data(), rest.data() + rest.size(), number);
                    return "<g><title>" + escaped(tips_.at(number)) + "</title>";
                  });
  for (const char* before : {"id='", "id=\"", "href='#", "href=\"#", "url(#"}) {
    replace_all(text, before, before + prefix);
  }
  const std::string head =
      fmt::format("<svg class=\"plot\" role=\"img\" aria-label=\"{}\"", escaped(title_));
  return text.replace(0, 4, head) + legend(prefix);
}

}  // namespace report
