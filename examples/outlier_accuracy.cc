// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble_outliers: what outliers cost a product, and what keeping them apart wins back.
//
// Products of normal matrices with outliers, of every format kept and multiplied in every way; the
// weights of the bundled model; and how many int8 codes a narrow accumulator would have to keep
// apart. docs/outliers.md has the tables and what follows from them.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "nibble/target.h"
#include "support/outlier_report.h"
#include "support/progress_bar.h"
#include "support/weights.h"

namespace {

using namespace examples;

enum exit_code : int { success = 0, run_failed = 1, wrong_usage = 2, file_unreadable = 3 };

constexpr char exit_codes_text[] =
    "Exit codes: 0 success, 1 failure while running (memory, writing), 2 wrong usage,\n"
    "3 the bundled model cannot be read.";

/// Ends the program with a message.
struct failure {
  exit_code code;
  std::string text;
};

struct options {
  std::vector<std::string> formats;
  std::string csv;
  std::string json;
  std::string target;
  bool quick = false;
  bool all = false;
  bool no_progress = false;

  [[nodiscard]] product_shape shape() const {
    return quick ? product_shape{16, 64, 512} : product_shape{64, 256, 2048};
  }
  [[nodiscard]] std::uint64_t num_seeds() const { return quick ? 1 : 3; }
};

void declare_options(CLI::App& app, options& o) {
  app.set_version_flag("--version", NIBBLE_VERSION_STRING);
  app.footer(exit_codes_text);
  app.get_formatter()->column_width(24);
  app.add_option("-f,--formats", o.formats,
                 "only these of the formats, with commas between them;\n* and ? are wildcards")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--csv", o.csv, "write all that was measured to this file")->type_name("FILE");
  app.add_option("-j,--json", o.json, "the same as JSON")->type_name("FILE");
  app.add_option("--target", o.target, "take this instruction set, not the best one")
      ->type_name("NAME");
  app.add_flag("-a,--all", o.all, "print all cases, not only the telling ones");
  app.add_flag("-q,--quick", o.quick, "small matrices, few cases, one seed: a test");
  app.add_flag("--no-progress", o.no_progress, "no progress bar");
}

std::vector<compared_format> select_formats(const std::vector<std::string>& patterns) {
  std::vector<std::string_view> names;
  for (const compared_format& f : compared_formats) names.push_back(f.name);
  for (const std::string& p : patterns) {
    const bool found = std::any_of(names.begin(), names.end(),
                                   [&](std::string_view name) { return matches(p, name); });
    if (!found) {
      throw failure{wrong_usage, fmt::format("no format here is called '{}'; there are: {}",
                                             printable(p), fmt::join(names, ", "))};
    }
  }
  std::vector<compared_format> chosen;
  for (const compared_format& f : compared_formats) {
    if (patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                        [&](const auto& p) { return matches(p, f.name); })) {
      chosen.push_back(f);
    }
  }
  return chosen;
}

std::vector<outlier_case> cases_of(const options& o) {
  std::vector<outlier_case> cases(1);
  const std::vector<double> percents = o.quick ? std::vector{0.5} : std::vector{0.1, 0.5, 1.0};
  const std::vector<int> factors = o.quick ? std::vector{30} : std::vector{10, 30, 100};
  for (const outlier_place p :
       {outlier_place::x_columns, outlier_place::w_columns, outlier_place::w_values}) {
    for (const double percent : percents) {
      for (const int factor : factors) cases.push_back({p, percent, factor});
    }
  }
  return cases;
}

// --- measuring ---

void measure_products(const options& o, const std::vector<compared_format>& formats,
                      std::vector<row>& rows, nibble::context& with) {
  const std::vector<outlier_case> cases = cases_of(o);
  for (const outlier_case& c : cases) {
    for (const compared_format& f : formats) rows.push_back({c, false, measured_format(f)});
  }
  progress_bar bar(cases.size() * formats.size() * o.num_seeds(), !o.no_progress);
  for (std::uint64_t seed = 1; seed <= o.num_seeds(); ++seed) {
    const outlier_matrices normal = normal_matrices(o.shape(), seed);
    for (std::size_t c = 0; c < cases.size(); ++c) {
      outlier_matrices a = normal;
      add_outliers(cases[c], seed, a);
      const observed seen(a.seen, a.w);
      const std::vector<double> exact = multiply<double>(a.x, a.w);
      for (std::size_t f = 0; f < formats.size(); ++f) {
        bar.step(formats[f].name, cases[c].text());
        rows[c * formats.size() + f].format.add(a, seen, exact, with);
      }
    }
  }
}

void measure_model(const options& o, const std::vector<compared_format>& formats,
                   std::vector<row>& rows, code_counts& codes, nibble::context& with) {
  const std::string path = example_data("tinylm/model.safetensors").string();
  const auto file = nibble::open_tensors(path.c_str());
  if (!file) {
    throw failure{file_unreadable,
                  fmt::format("{}: {}", printable(path), nibble::message(file.error()))};
  }
  std::vector<weight> weights;
  std::vector<skipped_tensor> skipped;
  find_weights(*file, 0, {}, "*", weights, skipped);
  const std::size_t first = rows.size();
  for (const compared_format& f : formats) rows.push_back({{}, true, measured_format(f)});
  if (o.quick) weights.resize(std::min<std::size_t>(weights.size(), 4));
  progress_bar bar(weights.size(), !o.no_progress);
  weight_loader loader;
  for (const weight& t : weights) {
    bar.step("tinylm", t.name);
    const auto floats = loader.load(t);
    if (!floats) throw failure{file_unreadable, printable(path) + ": cannot decode " + t.name};
    dense_matrix w(floats->rows, floats->cols);
    std::copy_n(floats->data, w.values.size(), w.values.begin());
    codes.add(w);
    for (std::size_t f = 0; f < formats.size(); ++f) rows[first + f].format.add_weights(w, with);
  }
}

// --- files ---

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << text << std::flush)) {
    throw failure{run_failed, fmt::format("cannot write '{}'", printable(path))};
  }
}

int run(const options& o) {
  const std::vector<compared_format> formats = select_formats(o.formats);
  if (!o.target.empty() && !nibble::force_target(o.target.c_str())) {
    throw failure{wrong_usage, fmt::format("no target '{}' here; there are: {}",
                                           printable(o.target), fmt::join(target_names(), ", "))};
  }
  for (const std::string& path : {o.csv, o.json}) {
    if (!path.empty()) write_file(path, "");  // a wrong name shows before a minute is spent
  }
  nibble::context with;
  std::vector<row> rows;
  measure_products(o, formats, rows, with);

  std::vector<code_counts> codes(2);
  const product_shape s = o.shape();
  codes[0].of = fmt::format("normal weights, k = {}", s.k);
  codes[0].add(normal_matrix(s.n, s.k, 4));
  codes[1].of = "weights of tinylm";
  measure_model(o, formats, rows, codes[1], with);

  fmt::print(
      "y [{} x {}] = x w^T, k = {}, {} {}; dB: power of the exact y over that of the error\n\n",
      s.m, s.n, s.k, o.num_seeds(), o.num_seeds() == 1 ? "seed" : "seeds");
  for (const compared_format& f : formats) print_products(rows, f, o.all);
  fmt::print(
      "dB won, exact path: the best way to keep 0.5 % apart against blocks half as long\n\n");
  print_halved(rows, formats, o.all);
  print_codes(codes);

  if (!o.csv.empty()) write_file(o.csv, csv_of(rows));
  if (!o.json.empty()) write_file(o.json, json_of(s, o.num_seeds(), rows, codes).dump(1) + '\n');
  if (std::fflush(stdout) != 0) throw failure{run_failed, "cannot write to standard output"};
  return success;
}

}  // namespace

int main(int argc, char** argv) try {
  options o;
  CLI::App app("Measures what outliers cost a product, and what keeping them apart wins back.",
               "nibble_outliers");
  declare_options(app, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? success : wrong_usage;
  }
  return run(o);
} catch (const failure& f) {
  std::fprintf(stderr, "nibble_outliers: %s\n", f.text.c_str());
  return f.code;
} catch (const std::bad_alloc&) {
  std::fprintf(stderr, "nibble_outliers: out of memory\n");
  return run_failed;
} catch (const std::exception& e) {
  std::fprintf(stderr, "nibble_outliers: %s\n", e.what());
  return run_failed;
}
