// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble_report: runs of nibble_roofline as one HTML page, and two sets of runs compared.
// docs/report.md says how to use and read it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <optional>

#include "report/compare.h"
#include "report/gnuplot.h"
#include "report/loss.h"
#include "report/measured.h"
#include "report/page.h"
#include "support/names.h"

namespace {

enum exit_code : int {
  success = 0,
  something_slower = 1,
  wrong_input = 2,
  run_failed = 3,
};

constexpr char exit_codes_text[] =
    "Exit codes: 0 success, and with --compare nothing slower beyond noise; 1 something\n"
    "slower, or wrong; 2 wrong usage or input; 3 gnuplot cannot be run or a file written.";

struct options {
  std::vector<std::string> files;
  std::string output;
  std::vector<std::string> losses;
  std::vector<std::string> compare;
  std::string by;
  double threshold = 5;
  report::page_options page;
};

struct failure {
  exit_code code;
  std::string text;
};

const std::map<std::string, report::figure> figures = {{"fraction", report::figure::fraction},
                                                       {"time", report::figure::time}};

void declare_options(CLI::App& app, options& o) {
  app.footer(exit_codes_text);
  app.get_formatter()->column_width(28);
  app.add_option("FILE", o.files, "runs: JSON lines of nibble_roofline --json, one page of all")
      ->type_name("");
  app.add_option("-o,--output,--html", o.output, "write the page here; -: standard output")
      ->type_name("FILE");
  app.add_option("--loss", o.losses,
                 "what formats lose: JSON of nibble_compare --json, or\nCSV of tinylm eval --csv")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--compare", o.compare,
                 "two runs, or two sets with commas between their\nfiles, also of Google "
                 "Benchmark (--benchmark_format=json)")
      ->type_name("BEFORE AFTER")
      ->expected(2);
  app.add_option("--threshold", o.threshold, "changes that count at all, in percent (5)")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 1000.0));
  app.add_option("--by", o.by,
                 "what decides: fraction (of the limit; default on one\nCPU) or time (default "
                 "between two)")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"fraction", "time"}));
  app.add_option("--title", o.page.title, "the page's")->type_name("TEXT");
  app.add_option("--gnuplot", o.page.gnuplot, "the program that draws (gnuplot)")
      ->type_name("PROGRAM");
}

void check(const options& o) {
  if (o.compare.empty() == o.files.empty()) {
    throw CLI::ValidationError("FILE", "either files to show, or --compare BEFORE AFTER");
  }
  if (o.compare.empty() && o.output.empty()) {
    throw CLI::ValidationError("--output", "where to write the page: -o FILE");
  }
  if (!o.compare.empty() && !o.losses.empty()) {
    throw CLI::ValidationError("--loss", "does not go together with --compare");
  }
  if (o.compare.empty() && !o.by.empty()) {
    throw CLI::ValidationError("--by", "goes together with --compare");
  }
}

report::run read_all(const std::vector<std::string>& files) {
  std::vector<report::run> runs;
  for (const std::string& file : files) runs.push_back(report::read_run(file));
  return report::merge(runs);
}

void write(const std::string& path, const std::string& text) {
  bool written = false;
  if (path == "-") {
    written =
        std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  } else {
    std::ofstream file(path, std::ios::binary);
    written = static_cast<bool>(file << text << std::flush);
  }
  if (!written) {
    throw failure{run_failed, fmt::format("cannot write '{}'", examples::printable(path))};
  }
}

int compare(const options& o) {
  const report::run before = read_all(CLI::detail::split(o.compare[0], ','));
  const report::run after = read_all(CLI::detail::split(o.compare[1], ','));
  std::optional<report::figure> by;
  if (!o.by.empty()) by = figures.at(o.by);
  const report::comparison result = report::compare(before, after, o.threshold / 100, by);
  if (o.output != "-") write("-", report::to_text(result));
  if (!o.output.empty()) write(o.output, report::page_of(result, before, after, o.page));
  return result.worse() ? something_slower : success;
}

int run(const options& o) {
  if (!o.compare.empty()) return compare(o);
  const report::run all = read_all(o.files);
  std::vector<report::loss_table> losses;
  for (const std::string& file : o.losses) losses.push_back(report::read_loss(file));
  write(o.output, report::page_of(all, losses, o.page));
  return success;
}

}  // namespace

int main(int argc, char** argv) try {
  options o;
  CLI::App app(
      "Shows runs of nibble_roofline as one HTML page: limits, plots beside other libraries, all\n"
      "rows; or says what became faster or slower between two of them.",
      "nibble_report");
  declare_options(app, o);
  try {
    app.parse(argc, argv);
    check(o);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? success : wrong_input;
  }
  return run(o);
} catch (const failure& f) {
  fmt::print(stderr, "nibble_report: {}\n", f.text);
  return f.code;
} catch (const report::bad_input& e) {
  fmt::print(stderr, "nibble_report: {}\n", e.what());
  return wrong_input;
} catch (const report::gnuplot_failed& e) {
  fmt::print(stderr, "nibble_report: {}\n", e.what());
  return run_failed;
} catch (const std::exception& e) {
  fmt::print(stderr, "nibble_report: {}\n", e.what());
  return run_failed;
}
