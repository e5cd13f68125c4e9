// SPDX-License-Identifier: Apache-2.0 OR MIT
// tinylm: a small language model on nibble. `generate` writes, `eval` says what a format costs,
// `pack` makes a file to start both from.
//
// Read on in this order: config.h, checkpoint.h, formats.h, model.h (what is packed), layers.h,
// engine.h (what is computed), sampler.h, generate.h, evaluate.h.
#include <CLI/CLI.hpp>

#include <map>

#include "generate.h"
#include "nibble/io/tensor_format.h"
#include "report.h"
#include "support/progress_bar.h"
#include "threads.h"

namespace {

using namespace tinylm;

constexpr char exit_codes_text[] =
    "Exit codes: 0 success, 1 failure while running (memory, writing), 2 wrong usage,\n"
    "3 a file is missing or cannot be read, 4 a file is damaged or no such model.";

const std::map<std::string, nibble::compute_path> paths = {
    {"automatic", nibble::compute_path::automatic},
    {"integer", nibble::compute_path::integer},
    {"bf16", nibble::compute_path::bf16},
    {"exact", nibble::compute_path::exact}};

const std::map<std::string, pool_kind> pools = {
    {"nibble", pool_kind::nibble},
#ifdef _OPENMP
    {"openmp", pool_kind::openmp},
#endif
};

struct options {
  // All commands.
  std::string folder;
  std::string packed;
  std::vector<std::string> exceptions;
  double outliers = 0;
  float outlier_threshold = 0;
  std::string x_scales = "automatic";
  // generate and pack
  std::string out;
  std::string format = "int4_g32_f16";
  std::string path = "automatic";
  std::size_t threads = 0;
  std::string pool = "nibble";
  std::string prompt = "def main(";
  std::size_t tokens = 200;
  double temperature = 0;
  double top_p = 1;
  std::uint64_t seed = 0;
  bool quiet = false;
  // eval
  std::vector<std::string> formats;
  std::vector<std::string> paths = {"automatic"};
  std::vector<std::size_t> speed_threads = {1, 2};
  std::string text;
  std::size_t limit = std::numeric_limits<std::size_t>::max();
  bool quick = false;
  bool no_speed = false;
  bool no_progress = false;
  std::string json, csv;
};

template <class Value>
std::vector<std::string> names_of(const std::map<std::string, Value>& values) {
  std::vector<std::string> names;
  for (const auto& [name, value] : values) names.push_back(name);
  return names;
}

void declare_model_options(CLI::App& app, options& o) {
  app.add_option("-m,--model", o.folder,
                 "folder of config.json and model.safetensors (the one\nshipped with nibble)")
      ->type_name("DIR");
  app.add_option("--format-for", o.exceptions,
                 "formats of single matrices: 'lm_head=int8_channel_f32,\n*.down_proj=q6_K'; the "
                 "first pattern that matches counts")
      ->type_name("PATTERN=FORMAT,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--outliers", o.outliers,
                 "share of the largest weights of every row to keep\napart: 0.005")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
}

void declare_threshold(CLI::App& app, options& o) {
  app.add_option("--outlier-threshold", o.outlier_threshold,
                 "LLM.int8: activations from here on are not quantized\n(integer path): 6")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber);
}

void declare_pool(CLI::App& app, options& o) {
  app.add_option("--pool", o.pool, "whose threads: nibble's own pool or OpenMP's (nibble)")
      ->type_name("POOL")
      ->check(CLI::IsMember(names_of(pools)));
}

void declare_x_scales(CLI::App& app, options& o) {
  std::vector<std::string> names;
  for (const auto& scale : nibble::named_activation_scales) names.push_back(scale.name);
  app.add_option("--x-scales", o.x_scales,
                 "activations that share a scale (integer path):\nper_row, per_block or per_128")
      ->type_name("SHARE")
      ->check(CLI::IsMember(names));
}

void declare_packed(CLI::App& app, options& o) {
  app.add_option("--packed", o.packed, "start from a file that `tinylm pack` wrote")
      ->type_name("FILE")
      ->excludes("--format-for")
      ->excludes("--outliers");
}

void declare_pack(CLI::App& app, options& o) {
  declare_model_options(app, o);
  app.add_option("-f,--format", o.format, "format of the weights (int4_g32_f16)")
      ->type_name("NAME");
  app.add_option("OUT", o.out, "file to write")->type_name("")->required();
}

void declare_generate(CLI::App& app, options& o) {
  declare_model_options(app, o);
  declare_threshold(app, o);
  declare_x_scales(app, o);
  declare_packed(app, o);
  app.add_option("-f,--format", o.format, "format of the weights (int4_g32_f16)")
      ->type_name("NAME")
      ->excludes("--packed");
  app.add_option("--path", o.path, "how products are computed (automatic)")
      ->type_name("PATH")
      ->check(CLI::IsMember(names_of(paths)));
  app.add_option("-t,--threads", o.threads, "0: all (0)")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  declare_pool(app, o);
  app.add_option("-p,--prompt", o.prompt, "text to go on from")->type_name("TEXT");
  app.add_option("-n,--tokens", o.tokens, "bytes to write (200)")->type_name("N");
  app.add_option("--temperature", o.temperature, "0: always the likeliest byte (0)")
      ->type_name("T")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", o.top_p, "draw from the likeliest bytes of this share (1)")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", o.seed, "of the random draw (0)")->type_name("N");
  app.add_flag("-q,--quiet", o.quiet, "only the text: no speeds after it");
}

void declare_eval(CLI::App& app, options& o) {
  declare_model_options(app, o);
  declare_threshold(app, o);
  declare_x_scales(app, o);
  declare_packed(app, o);
  app.add_option("-f,--formats", o.formats,
                 "formats, with commas between them; * and ? are\nwildcards: 'int4_*,q4_?' (all)")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes("--packed");
  app.add_option("--paths", o.paths, "paths to compute by (automatic)")
      ->type_name("PATHS")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(names_of(paths)));
  app.add_option("-t,--threads", o.speed_threads, "thread counts to measure speed with (1,2)")
      ->type_name("N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1024));
  declare_pool(app, o);
  app.add_option("--text", o.text, "text to predict (eval.txt of the shipped model)")
      ->type_name("FILE");
  app.add_option("--limit", o.limit, "windows of the text at most")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::numeric_limits<std::size_t>::max()));
  app.add_flag("--quick", o.quick, "32 windows, and no speeds");
  app.add_flag("--no-speed", o.no_speed, "measure no speeds");
  app.add_option("-j,--json", o.json,
                 "write all that was measured; -: to standard output,\nno table")
      ->type_name("FILE");
  app.add_option("--csv", o.csv, "the same as comma-separated values")->type_name("FILE");
  app.add_flag("--no-progress", o.no_progress, "no progress bar");
}

std::shared_ptr<const checkpoint> open_checkpoint(const options& o) {
  return std::make_shared<const checkpoint>(o.folder.empty() ? examples::example_data("tinylm")
                                                             : std::filesystem::path(o.folder));
}

nibble::gemm_options product_options(const options& o, const std::string& path) {
  nibble::gemm_options g;
  g.path = paths.at(path);
  g.outlier_threshold = o.outlier_threshold;
  for (const auto& scale : nibble::named_activation_scales) {
    if (o.x_scales == scale.name) g.scale = scale.value;
  }
  return g;
}

/// The model of `generate` and `pack`.
model make_model(const options& o, nibble::context& with) {
  if (!o.packed.empty()) return open_model(o.packed);
  packing how;
  how.format = &format_named(o.format);
  how.exceptions = parse_exceptions(o.exceptions);
  how.outliers = o.outliers;
  return pack_model(open_checkpoint(o), how, with);
}

int run_pack(const options& o) {
  thread_team team(1);
  const model m = make_model(o, team.with());
  save_model(m, o.out);
  fmt::print(
      "{}: {:.2f} MB, {:.2f} bits per weight\n", o.out,
      1e-6 * static_cast<double>(std::filesystem::file_size(o.out)),
      8.0 * static_cast<double>(m.size().all_bytes) / static_cast<double>(m.size().all_weights));
  return success;
}

int run_generate(const options& o) {
  thread_team team(o.threads, pools.at(o.pool));
  model m;
  const double seconds = examples::seconds_of([&] { m = make_model(o, team.with()); });
  engine e(m, team.with(), product_options(o, o.path));
  sampler choose(o.temperature, o.top_p, o.seed);
  bool written = true;
  const auto put = [&written](std::uint8_t byte) {
    written = std::fputc(byte, stdout) != EOF && std::fflush(stdout) == 0 && written;
  };
  const generation g = generate(e, m.config, o.prompt, o.tokens, choose, put);
  if (!written) throw failure{run_failed, "cannot write to standard output"};
  if (g.context_full) {
    fmt::print(stderr, "\n[stopped after {} of {} bytes: the context of {} bytes is full]",
               g.num_tokens, o.tokens, m.config.max_positions);
  }
  if (!o.quiet && g.num_tokens > 1) {
    fmt::print(
        stderr, "\n[loaded in {:.1f} ms; {} bytes of prompt: {:.0f}/s; {} written: {:.0f}/s]",
        1e3 * seconds, o.prompt.size(), static_cast<double>(o.prompt.size()) / g.prefill_seconds,
        g.num_tokens, static_cast<double>(g.num_tokens - 1) / g.decode_seconds);
  }
  fmt::print(stderr, "\n");
  return success;
}

/// Evaluates models one after another against the first.
class evaluation {
 public:
  explicit evaluation(const options& o, eval_report& report)
      : o_(o),
        report_(report),
        source_(open_checkpoint(o)),
        text_(read_text(o.text.empty() ? examples::example_data("tinylm/eval.txt")
                                       : std::filesystem::path(o.text))),
        windows_(text_, source_->config(), o.quick ? std::min<std::size_t>(o.limit, 32) : o.limit),
        all_(0, pools.at(o.pool)) {
    if (windows_.count == 0) {
      throw failure{wrong_usage, fmt::format("the text is shorter than one window: {} bytes",
                                             windows_.length + 1)};
    }
    if (!o.quick && !o.no_speed) report.threads = o.speed_threads;
    report.model = o.folder.empty() ? "tinylm" : o.folder;
    report.text = o.text.empty() ? "eval.txt" : o.text;
    report.windows = windows_.count;
    report.window_bytes = windows_.length;
  }

  void run() {
    packing how;
    how.exceptions = parse_exceptions(o_.exceptions);
    how.outliers = o_.outliers;
    const std::vector<job> jobs = jobs_of_options();
    const std::size_t steps = (windows_.count + 7) / 8;
    examples::progress_bar bar((jobs.size() + 1) * steps, !o_.no_progress);

    packing plain;
    plain.format = &source_format();
    report_.reference =
        fmt::format("weights as in the file ({}), f32 arithmetic", plain.format->name);
    const auto from_file = [this] { return open_model(o_.packed); };
    const auto packed = [this](const packing& p) {
      return [this, &p] { return pack_model(source_, p, all_.with()); };
    };
    nibble::gemm_options exact;
    exact.path = nibble::compute_path::exact;
    add_row(plain.format->name, "exact", exact, packed(plain), bar);
    for (const job& j : jobs) {
      how.format = j.format;
      const nibble::gemm_options g = product_options(o_, j.path);
      if (j.format == nullptr) {
        add_row("packed file", j.path, g, from_file, bar);
      } else {
        add_row(j.format->name, j.path, g, packed(how), bar);
      }
    }
  }

  [[nodiscard]] const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  struct job {
    const nibble::any_format* format;  ///< null: the packed file, as it is
    std::string path;
  };

  std::vector<job> jobs_of_options() {
    std::vector<job> jobs;
    if (!o_.packed.empty()) {
      for (const std::string& path : o_.paths) jobs.push_back({nullptr, path});
      return jobs;
    }
    for (const std::string& pattern : o_.formats) {
      for (const std::string_view name : formats_not_built(pattern)) {
        skipped_.push_back(fmt::format("{} is not in this build", name));
      }
    }
    for (const nibble::any_format* f : formats_like(o_.formats)) {
      for (const std::string& path : o_.paths) {
        if (f->supports(paths.at(path))) {
          jobs.push_back({f, path});
        } else {
          skipped_.push_back(fmt::format("{} has no {} path", f->name, path));
        }
      }
    }
    return jobs;
  }

  // The format that keeps the weights of the file in every bit.
  const nibble::any_format& source_format() const {
    return format_named(std::string(nibble::format_name_of(source_->matrix_type())));
  }

  template <class Load>
  void add_row(std::string_view name, const std::string& path, const nibble::gemm_options& g,
               Load load, examples::progress_bar& bar) {
    const bool is_reference = reference_.empty();
    eval_row row;
    row.format = name;
    row.path = path;
    model m;
    row.load_seconds = examples::seconds_of([&] { m = load(); });
    row.size = m.size();
    engine e(m, all_.with(), g);
    const auto progress = [&] { bar.step(is_reference ? "reference" : row.format, path); };
    row.found = measure_quality(e, m.config, all_.with(), windows_, reference_, progress);
    for (const std::size_t t : report_.threads) {
      thread_team team(t, pools.at(o_.pool));
      engine timed(m, team.with(), g);
      row.speeds.push_back(measure_speed(timed, m.config, text_, t, 5));
    }
    report_.rows.push_back(std::move(row));
  }

  const options& o_;
  eval_report& report_;
  std::shared_ptr<const checkpoint> source_;
  std::string text_;
  windows windows_;
  thread_team all_;
  log_probabilities reference_;
  std::vector<std::string> skipped_;
};

void write_file(const std::string& path, const std::string& text) {
  bool written = false;
  if (path == "-") {
    written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  } else {
    std::ofstream file(path, std::ios::binary);
    written = static_cast<bool>(file << text << std::flush);
  }
  if (!written) {
    throw failure{run_failed, fmt::format("cannot write '{}'", examples::printable(path))};
  }
}

int run_eval(const options& o) {
  eval_report report;
  evaluation all(o, report);
  all.run();
  for (const std::string& s : all.skipped()) fmt::print(stderr, "left out: {}\n", s);
  if (o.json != "-" && o.csv != "-") print_table(stdout, report);
  if (!o.json.empty()) write_file(o.json, to_json(report).dump(1) + '\n');
  if (!o.csv.empty()) write_file(o.csv, to_csv(report));
  if (std::fflush(stdout) != 0) throw failure{run_failed, "cannot write to standard output"};
  return success;
}

}  // namespace

int main(int argc, char** argv) try {
  options o;
  CLI::App app(
      "A small language model on nibble: what quantized weights write, and what they cost.",
      "tinylm");
  app.set_version_flag("--version", NIBBLE_VERSION_STRING);
  app.footer(exit_codes_text);
  app.get_formatter()->column_width(30);
  app.require_subcommand(1);
  CLI::App* const packing_ = app.add_subcommand("pack", "packs a model into one file");
  CLI::App* const generating = app.add_subcommand("generate", "writes on from a prompt");
  CLI::App* const evaluating = app.add_subcommand("eval", "size, quality and speed of formats");
  declare_pack(*packing_, o);
  declare_generate(*generating, o);
  declare_eval(*evaluating, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? success : wrong_usage;
  }
  if (packing_->parsed()) return run_pack(o);
  return generating->parsed() ? run_generate(o) : run_eval(o);
} catch (const failure& f) {
  fmt::print(stderr, "tinylm: {}\n", f.text);
  return f.code;
} catch (const std::exception& e) {
  fmt::print(stderr, "tinylm: {}\n", e.what());
  return run_failed;
}
