// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble_compare: what every format costs and keeps on the weights of a model.
//
// For each tensor: read as floats, quantize into each format, dequantize, add up the errors. Then
// each format's speed on one large matrix of the model's own weights. One tensor is in memory at a
// time.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "nibble/target.h"
#include "support/any_format.h"
#include "support/machine.h"
#include "support/measure.h"
#include "support/names.h"
#include "support/progress_bar.h"
#include "support/report.h"
#include "support/weights.h"

namespace {

using namespace examples;

enum exit_code : int {
  success = 0,
  run_failed = 1,
  wrong_usage = 2,
  file_unreadable = 3,
  file_malformed = 4,
  nothing_to_do = 5,
};

constexpr char exit_codes_text[] =
    "Exit codes: 0 success, 1 failure while running (memory, writing), 2 wrong usage,\n"
    "3 a file is missing or cannot be read, 4 a file is damaged or of no known kind,\n"
    "5 no weights to quantize in the files.";

/// Ends the program with a message.
struct failure {
  exit_code code;
  std::string text;
};

struct options {
  std::vector<std::string> files;
  std::vector<std::string> formats;
  std::string tensors = "*";
  std::string rule = "standard";
  float percentile = 99.9f;
  std::string importance;
  std::string mx = "floor";
  std::string target;
  std::string json;
  std::string sort = "bits";
  std::size_t speed_mib = 0;
  bool list = false;
  bool verbose = false;
  bool no_progress = false;
};

const std::map<std::string, nibble::scale_rule> scale_rules = {
    {"standard", nibble::scale_rule::standard}, {"absmax", nibble::scale_rule::absmax},
    {"min_max", nibble::scale_rule::min_max},   {"percentile", nibble::scale_rule::percentile},
    {"mse", nibble::scale_rule::mse},           {"weighted", nibble::scale_rule::weighted}};

const std::map<std::string, nibble::mx_scale> mx_scales = {
    {"floor", nibble::mx_scale::floor},
    {"ceil", nibble::mx_scale::ceil},
    {"even", nibble::mx_scale::even},
    {"round_up", nibble::mx_scale::round_up}};

const std::vector<std::string> sort_keys = {"bits", "catalogue", "name",
                                            "sqnr", "quantize",  "dequantize"};

template <class Value>
std::vector<std::string> keys_of(const std::map<std::string, Value>& values) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : values) keys.push_back(key);
  return keys;
}

void declare_options(CLI::App& app, options& o) {
  app.set_version_flag("--version", NIBBLE_VERSION_STRING);
  app.footer(exit_codes_text);
  app.get_formatter()->column_width(24);
  app.add_option("FILE", o.files,
                 ".safetensors, .npy or .gguf; without any, the model\nshipped with nibble")
      ->type_name("");
  app.add_option("-f,--formats", o.formats,
                 "formats to compare, with commas between them; * and\n? are wildcards: "
                 "'int4_*,q4_?'")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("-t,--tensors", o.tensors, "only tensors of matching names: '*mlp*'")
      ->type_name("NAME");
  app.add_flag("-l,--list", o.list, "list the formats with their bits per weight");
  app.add_option("-r,--rule", o.rule, "how scales are chosen (standard)")
      ->type_name("RULE")
      ->check(CLI::IsMember(keys_of(scale_rules)));
  app.add_option("--percentile", o.percentile, "for percentile: above 50, up to 100 (99.9)")
      ->type_name("P")
      ->check(CLI::Range(50.001, 100.0));
  app.add_option("--importance", o.importance,
                 "for weighted: a file that has for each tensor one of\nthe same name with a "
                 "number per column, or one array\nfor all")
      ->type_name("FILE");
  app.add_option("--mx-scale", o.mx, "rounding of power-of-two scales (floor)")
      ->type_name("HOW")
      ->check(CLI::IsMember(keys_of(mx_scales)));
  app.add_option("--target", o.target, "take this instruction set, not the best one")
      ->type_name("NAME");
  app.add_option("-s,--sort", o.sort, "order of the rows (bits)")
      ->type_name("KEY")
      ->check(CLI::IsMember(sort_keys));
  app.add_option("-j,--json", o.json,
                 "write all that was measured to this file; -: to\nstandard output, and no table")
      ->type_name("FILE");
  app.add_option(
         "--speed-mib", o.speed_mib,
         "measure speed on so many MiB of floats (4 times the\nlast-level cache); 0: do not")
      ->type_name("N")
      ->check(CLI::Range(0, 16384));
  app.add_flag("-v,--verbose", o.verbose, "name each tensor that is left out");
  app.add_flag("--no-progress", o.no_progress, "no progress bar");
}

std::string joined(const std::vector<std::string_view>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The formats that match any of the patterns, in the order of the catalogue.
std::vector<const any_format*> select_formats(const std::vector<any_format>& all,
                                              const std::vector<std::string>& patterns) {
  std::vector<bool> chosen(all.size(), patterns.empty());
  for (const std::string& pattern : patterns) {
    bool found = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!matches(pattern, all[i].name)) continue;
      chosen[i] = found = true;
    }
    if (!found) {
      std::vector<std::string_view> names;
      for (const any_format& f : all) names.push_back(f.name);
      throw failure{wrong_usage,
                    fmt::format("no format is called '{}'; near it: {} (--list shows all)",
                                printable(pattern), joined(nearest(pattern, std::move(names))))};
    }
  }
  std::vector<const any_format*> formats;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (chosen[i]) formats.push_back(&all[i]);
  }
  return formats;
}

void choose_target(const std::string& name) {
  if (name.empty() || nibble::force_target(name.c_str())) return;
  throw failure{wrong_usage, fmt::format("no target '{}' here; there are: {}", printable(name),
                                         fmt::join(target_names(), ", "))};
}

nibble::tensor_file open_file(const std::string& path) {
  nibble::error_note note;
  nibble::result<nibble::tensor_file> file = nibble::open_tensors(path.c_str(), &note);
  if (file) return std::move(file).value();
  const nibble::errc e = file.error();
  exit_code code = file_malformed;
  if (e == nibble::errc::not_found || e == nibble::errc::io) code = file_unreadable;
  if (e == nibble::errc::out_of_memory) code = run_failed;
  std::string text = printable(path) + ": " + nibble::message(e);
  if (note.text[0] != '\0') text += std::string(": ") + note.text;
  throw failure{code, text};
}

/// Importance of the columns, for --rule weighted.
class importance_file {
 public:
  explicit importance_file(const std::string& path) : path_(path), file_(open_file(path)) {}

  /// The weights for this tensor, valid until the next call.
  std::span<const float> of(const weight& w) {
    const nibble::tensor_info* t = file_.find(w.tensor->name);
    if (t == nullptr) t = file_.find("");
    if (t == nullptr) {
      throw failure{nothing_to_do, fmt::format("{}: no importance for tensor '{}'", path_, w.name)};
    }
    values_.resize(w.cols());
    if (t->num_values() != w.cols() ||
        nibble::read_rows_f32(*t, 0, {values_.data(), t->rows(), t->cols()}) != nibble::errc::ok) {
      throw failure{file_malformed,
                    fmt::format("{}: tensor '{}' needs {} importances, one a column", path_, w.name,
                                w.cols())};
    }
    for (const float v : values_) {
      if (!(v >= 0) || std::isinf(v)) {
        throw failure{file_malformed,
                      fmt::format("{}: tensor '{}' has an importance that is negative or no number",
                                  path_, w.name)};
      }
    }
    return values_;
  }

 private:
  std::string path_;
  nibble::tensor_file file_;
  std::vector<float> values_;
};

nibble::quantize_options quantize_options_of(const options& o) {
  nibble::quantize_options q;
  q.rule = scale_rules.at(o.rule);
  q.percentile = o.percentile;
  q.mx = mx_scales.at(o.mx);
  return q;
}

/// Leaves out weights that hold NaN or infinities: their errors would be no numbers.
bool is_finite(const weight& w, nibble::matrix_view<const float> x, run_info& run) {
  const std::size_t bad = count_non_finite(x);
  if (bad == 0) return true;
  run.skipped.push_back({w.file, w.name, fmt::format("{} NaN or infinite values", bad)});
  return false;
}

/// Errors of every format on every weight. Returns the weight to measure speed on: the largest.
void measure_errors(const options& o, run_info& run, std::vector<format_row>& rows,
                    workspace& space) {
  std::optional<importance_file> importance;
  if (o.rule == "weighted") importance.emplace(o.importance);
  std::vector<weight> candidates = std::move(run.weights);
  run.weights.clear();
  progress_bar bar(candidates.size() * rows.size(), !o.no_progress);
  weight_loader loader;
  for (weight& w : candidates) {
    const auto x = loader.load(w);
    if (!x)
      throw failure{run_failed, fmt::format("{}: cannot decode '{}'", run.files[w.file], w.name)};
    if (!is_finite(w, *x, run)) continue;
    nibble::quantize_options q = quantize_options_of(o);
    if (importance) q.importance = importance->of(w);
    for (format_row& row : rows) {
      bar.step(row.format->name, "error");
      const nibble::errc e = add_errors(*x, run.weights.size(), q, space, row);
      if (e != nibble::errc::ok) {
        throw failure{run_failed, fmt::format("{}: tensor '{}' as {}: {}", run.files[w.file],
                                              w.name, row.format->name, nibble::message(e))};
      }
    }
    run.weights.push_back(std::move(w));
  }
}

/// Speed of every format on one large matrix: the rows of the largest weight, repeated.
void measure_speeds(const options& o, run_info& run, std::vector<format_row>& rows,
                    workspace& space) {
  if (o.speed_mib == 0) return;
  const auto largest =
      std::max_element(run.weights.begin(), run.weights.end(),
                       [](const weight& a, const weight& b) { return a.size() < b.size(); });
  aligned_buffer<float> buffer;
  nibble::matrix_view<const float> x;
  std::vector<float> importance;
  {
    weight_loader loader;  // its floats go before the large buffers come
    x = repeat_rows(*loader.load(*largest), o.speed_mib << 20, buffer);
  }
  run.speed_bytes = x.size() * sizeof(float);
  run.memory = measure_memory(x, space);
  nibble::quantize_options q = quantize_options_of(o);
  if (o.rule == "weighted") {
    importance.assign(x.cols, 1.0f);
    q.importance = importance;
  }
  progress_bar bar(rows.size(), !o.no_progress);
  for (format_row& row : rows) {
    bar.step(row.format->name, "speed");
    measure_speed(x, q, space, row);
  }
}

void sort_rows(std::vector<format_row>& rows, const std::string& key) {
  const auto by = [&rows](auto less) { std::stable_sort(rows.begin(), rows.end(), less); };
  const auto sqnr = [](const format_row& r) { return r.errors.sqnr(); };
  using row = const format_row&;
  if (key == "bits") {
    by([&](row a, row b) {
      const int group_a = detail::bits_group(a.bits());
      const int group_b = detail::bits_group(b.bits());
      return group_a != group_b ? group_a > group_b : sqnr(a) > sqnr(b);
    });
  } else if (key == "name") {
    by([](row a, row b) { return a.format->name < b.format->name; });
  } else if (key == "sqnr") {
    by([&](row a, row b) { return sqnr(a) > sqnr(b); });
  } else if (key == "quantize") {
    by([](row a, row b) { return a.quantize_gbps > b.quantize_gbps; });
  } else if (key == "dequantize") {
    by([](row a, row b) { return a.dequantize_gbps > b.dequantize_gbps; });
  }
}

void write_json(const std::string& path, const nlohmann::ordered_json& j) {
  const std::string text =
      j.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
  bool written = false;
  if (path == "-") {
    written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  } else {
    std::ofstream file(path, std::ios::binary);
    written = static_cast<bool>(file << text << std::flush);
  }
  if (!written) throw failure{run_failed, fmt::format("cannot write '{}'", printable(path))};
}

void list_formats(const std::vector<const any_format*>& formats) {
  fmt::print("{:<25} bits per weight of a [4096 x 4096] matrix\n", "format");
  for (const any_format* f : formats) fmt::print("{:<25} {:>8.4f}\n", f->name, f->typical_bits());
}

void check_weights(const run_info& run) {
  if (!run.weights.empty()) return;
  std::string text = "no weights to quantize";
  if (!run.skipped.empty()) text += "; left out: " + detail::reasons_of(run.skipped);
  throw failure{nothing_to_do, text};
}

int run(options o) {
  const std::vector<any_format> all = catalogue();
  const std::vector<const any_format*> formats = select_formats(all, o.formats);
  if (o.list) return list_formats(formats), success;
  choose_target(o.target);

  run_info info;
  info.cpu = cpu_name();
  info.target = nibble::current_target();
  info.targets = target_names();
  info.rule = o.rule;
  info.cache_bytes = last_level_cache();
  if (o.files.empty()) o.files.push_back(example_data("tinylm/model.safetensors").string());
  std::vector<nibble::tensor_file> files;
  files.reserve(o.files.size());
  for (const std::string& path : o.files) {
    info.files.push_back(printable(path));
    files.push_back(open_file(path));
    find_weights(files.back(), files.size() - 1, all, o.tensors, info.weights, info.skipped);
  }
  check_weights(info);

  std::vector<format_row> rows(formats.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].format = formats[i];
  workspace space;
  measure_errors(o, info, rows, space);
  check_weights(info);
  measure_speeds(o, info, rows, space);
  sort_rows(rows, o.sort);

  if (o.verbose) {
    for (const skipped_tensor& s : info.skipped) {
      fmt::print(stderr, "left out: {}: {} ({})\n", info.files[s.file], s.name, s.reason);
    }
  }
  if (o.json != "-") print_table(stdout, info, rows, o.sort == "bits");
  if (!o.json.empty()) write_json(o.json, to_json(info, rows));
  if (std::fflush(stdout) != 0) throw failure{run_failed, "cannot write to standard output"};
  return success;
}

}  // namespace

int main(int argc, char** argv) try {
  options o;
  o.speed_mib = std::clamp<std::size_t>(4 * last_level_cache() >> 20, 64, 1024);
  CLI::App app(
      "Quantizes the weights of a model into every format and says what each one costs and keeps.",
      "nibble_compare");
  declare_options(app, o);
  try {
    app.parse(argc, argv);
    if ((o.rule == "weighted") != !o.importance.empty()) {
      throw CLI::ValidationError("--rule weighted", "goes together with --importance FILE");
    }
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? success : wrong_usage;
  }
  return run(std::move(o));
} catch (const failure& f) {
  std::fprintf(stderr, "nibble_compare: %s\n", f.text.c_str());
  return f.code;
} catch (const std::bad_alloc&) {
  std::fprintf(stderr, "nibble_compare: out of memory\n");
  return run_failed;
} catch (const std::exception& e) {
  std::fprintf(stderr, "nibble_compare: %s\n", e.what());
  return run_failed;
}
