// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble_roofline: what this machine can do at most, and how near packed products come, for formats
// x rows of x x threads, beside other libraries in the same run. bench/README.md says how to read
// it.
#ifdef _OPENMP
#include <omp.h>
#endif

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <limits>
#include <map>
#include <memory>

#include "nibble/target.h"
#include "peers/peer.h"
#include "roofline/bounds.h"
#include "roofline/our_weights.h"
#include "roofline/peer_formats.h"
#include "roofline/reasons.h"
#include "support/machine.h"
#include "support/names.h"
#include "support/paths.h"
#include "support/random_floats.h"
#include "support/rows.h"
#include "support/slow_cases.h"
#include "support/stopwatch.h"

namespace {

using bench::instructions;
using bench::instructions_of;
using bench::limit;
using bench::peak_of;

struct options {
  bool quick = false;
  bool full = false;
  bool limits_only = false;
  bool peers = true;
  std::vector<std::string> formats;
  std::vector<std::size_t> m;
  std::size_t n = 4096;
  std::size_t k = 4096;
  std::vector<int> threads;
  std::vector<std::string> paths = {nibble::name_of(nibble::compute_path::automatic)};
  std::vector<std::string> targets;
  std::string json;
  double seconds = 0;  // per format, m and number of threads
};

const std::vector<std::size_t> usual_m = {1, 4, 32, 128, 512};

// One or more of each kind of codec and of each extent; what --full is not asked for.
constexpr const char* usual_formats[] = {"f32",
                                         "int8_channel_f32",
                                         "int8_g32_f16",
                                         "int6_g32_f16",
                                         "int5_g32_f16",
                                         "int4_channel_f32",
                                         "int4_g32_f16",
                                         "int4_g128_f16",
                                         "uint4_g32_f16_z",
                                         "int3_g32_f16",
                                         "int2_g32_f16",
                                         "ternary_g64_f16",
                                         "fp8_e4m3fn_channel_f32",
                                         "mxfp4",
                                         "nvfp4",
                                         "nf4_g64_f32",
                                         "q8_0",
                                         "q4_0",
                                         "q5_1",
                                         "q2_K",
                                         "q3_K",
                                         "q4_K",
                                         "q5_K",
                                         "q6_K",
                                         "iq4_nl"};
constexpr const char* quick_formats[] = {
    "f32", "int8_channel_f32", "int4_g32_f16", "int4_g128_f16", "mxfp4", "nf4_g64_f32", "q4_K"};

// ---- Data and checks ------------------------------------------------------------------------

// Relative error of y against double precision, over some rows and about 600 columns; infinite if
// anything in y was not written.
double error_of(const std::vector<float>& x, const float* w, const float* y, std::size_t m,
                std::size_t n, std::size_t k) {
  for (std::size_t i = 0; i < m * n; ++i) {
    if (!std::isfinite(y[i])) return std::numeric_limits<double>::infinity();
  }
  double wrong = 0;
  double right = 0;
  const std::size_t column_step = std::max<std::size_t>(1, n / 600) | 1;
  for (const std::size_t i : {std::size_t{0}, m / 2, m - 1}) {
    for (std::size_t j = i % column_step; j < n; j += column_step) {
      double sum = 0;
      for (std::size_t l = 0; l < k; ++l) {
        sum += static_cast<double>(x[i * k + l]) * static_cast<double>(w[j * k + l]);
      }
      const double off = static_cast<double>(y[i * n + j]) - sum;
      wrong += off * off;
      right += sum * sum;
    }
  }
  return std::sqrt(wrong / right);
}

// int8 activations cost up to 0.8 %; anything near this is a mistake.
constexpr double largest_error = 0.04;

// ---- Measuring ------------------------------------------------------------------------------

struct machine {
  std::vector<bench::machine_limits> limits;  // as options::threads
  bench::machine_info info;
};

// A peer that has prepared a format, and the weights it multiplies by.
struct ready_peer {
  bench::peer* library;
  std::vector<float> weights;
};

// What all rows come to, for each m and number of threads.
class summary {
 public:
  void add(const bench::row& r) {
    if (r.library != "nibble") return;
    group& g = groups_[{r.m, r.threads}];
    g.fractions.push_back(r.time.fraction);
    if (r.ratio > 0) g.ratios.push_back(r.ratio);
  }
  void print() const {
    std::printf("\n%5s%3s%9s%12s%9s%20s%9s%9s\n", "m", "t", "rows", "of limit", "worst",
                "faster than peers", "median", "worst");
    for (const auto& [key, g] : groups_) {
      const auto faster =
          std::count_if(g.ratios.begin(), g.ratios.end(), [](double ratio) { return ratio > 1; });
      std::printf("%5zu %2d %8zu %11.2f %8.2f %10d of %5zu %8.2f %8.2f\n", key.first, key.second,
                  g.fractions.size(), examples::median(g.fractions), least(g.fractions),
                  static_cast<int>(faster), g.ratios.size(), examples::median(g.ratios),
                  least(g.ratios));
    }
  }

 private:
  struct group {
    std::vector<double> fractions, ratios;
  };
  static double least(const std::vector<double>& v) {
    return v.empty() ? 0 : *std::min_element(v.begin(), v.end());
  }
  std::map<std::pair<std::size_t, int>, group> groups_;
};

class output {
 public:
  /// `json`: the file for lines of JSON; empty: none. Throws CLI::FileError.
  explicit output(const std::string& json) {
    if (json.empty()) return;
    json_.open(json);
    if (!json_) throw CLI::FileError(json + ": cannot be written");
  }
  void add(const bench::row& r) {
    std::fputs(bench::to_line(r).c_str(), stdout);
    std::fflush(stdout);
    if (!r.wrong) summary_.add(r);
    add_json(bench::to_json_line(r));
  }
  void print_summary() const { summary_.print(); }
  void add_json(const std::string& line) {
    if (json_.is_open()) json_ << line << std::flush;
  }

 private:
  std::ofstream json_;
  summary summary_;
};

class runner {
 public:
  runner(const options& o, const machine& on, bench::peer_list& peers, output& out)
      : options_(o), machine_(on), peers_(peers), out_(out) {
    w_.resize(o.n * o.k);
    back_.resize(o.n * o.k);
    const std::size_t rows = *std::max_element(o.m.begin(), o.m.end());
    x_.resize(rows * o.k + 64);  // XNNPACK reads a little more
    y_.resize(rows * o.n);
    bench::fill_random(w_.data(), w_.size(), 0.02f, 1);
    bench::fill_random(x_.data(), x_.size(), 1.0f, 2);
  }

  void run(const bench::our_format& format) {
    cache_bytes_ = 4 * std::max<std::size_t>(examples::last_level_cache(), std::size_t{8} << 20);
    ours_ = format.make();
    if (!ours_->prepare({w_.data(), options_.n, options_.k}, {back_.data(), options_.n, options_.k},
                        cache_bytes_)) {
      std::printf("%s: could not be packed\n", format.name.data());
      return;
    }
    prepare_peers(format.name);
    for (std::size_t t = 0; t < options_.threads.size(); ++t) {
      for (const std::size_t m : options_.m) run(format, m, t);
    }
    for (const ready_peer& p : ready_) p.library->release();
    ready_.clear();
  }

 private:
  void prepare_peers(std::string_view ours) {
    for (const auto& p : peers_) {
      for (const std::string& name : bench::peer_formats(ours)) {
        // Sizes of one copy are known only to those who made one.
        if (!p->prepare(name, options_.n, options_.k, w_.data(), 1)) continue;
        const std::size_t copies = cache_bytes_ / p->weight_bytes() + 1;
        if (!p->prepare(name, options_.n, options_.k, w_.data(), copies)) continue;
        ready_.push_back({p.get(), std::vector<float>(w_.size())});
        p->weights(ready_.back().weights.data());
        break;
      }
    }
  }

  struct entry {
    bench::candidate timed;
    bench::row row;
    instructions set;
    bench::circumstances known = {};
  };

  // Rows of one name may be slow together: a library's format, or one of our paths on a target.
  static std::string whose(const bench::row& r) {
    return r.library + "/" + r.format + "/" + r.path + "/" + r.target;
  }

  // Says that a call would take too long, by what it took with fewer rows; false: it is not known
  // to.
  bool is_left_out(const bench::row& r) {
    const auto slow = slow_.too_slow(whose(r), r.m);
    if (!slow) return false;
    std::printf("%-22s%-26s%5zu%3d  not run: %.2g s with m = %zu\n", r.format.c_str(),
                r.library.c_str(), r.m, r.threads, slow->seconds, slow->m);
    out_.add_json(bench::to_json_line(r, *slow));
    return true;
  }

  bench::row new_row(const bench::our_format& format, std::size_t m, int threads) const {
    bench::row r;
    r.op = "gemm";
    r.format = format.name;
    r.m = m;
    r.n = options_.n;
    r.k = options_.k;
    r.threads = threads;
    return r;
  }

  // Runs once on a poisoned y and checks the result; a wrong one is printed and forgotten. One that
  // is far slower than `fastest_s`, the shortest of these calls so far, is not timed again.
  void check_and_add(entry e, const float* w, std::vector<entry>& entries, double& fastest_s) {
    const std::size_t m = e.row.m;
    std::fill(y_.begin(), y_.begin() + static_cast<std::ptrdiff_t>(m * options_.n),
              std::numeric_limits<float>::quiet_NaN());
    double shortest = std::numeric_limits<double>::infinity();
    const std::optional<double> once =
        slow_.time_if_slow(whose(e.row), m, fastest_s, [&e, &shortest] {
          const double seconds = examples::seconds_of(e.timed.run) / e.timed.products;
          shortest = std::min(shortest, seconds);
          return seconds;
        });
    fastest_s = fastest_s > 0 ? std::min(fastest_s, shortest) : shortest;
    if (once) {
      e.row.timed_once = true;
      e.row.time.median_s = e.row.time.best_s = *once;
      e.row.time.rounds = 1;
      e.row.note = "over 50 times slower: timed once";
    }
    e.row.error = error_of(x_, w, y_.data(), m, options_.n, options_.k);
    if (e.row.error < largest_error) {
      entries.push_back(std::move(e));
    } else {
      e.row.wrong = true;
      out_.add(e.row);
    }
  }

  void run(const bench::our_format& format, std::size_t m, std::size_t which_threads) {
    const int threads = options_.threads[which_threads];
    const bench::machine_limits& limits = machine_.limits[which_threads];
    const double ops = 2.0 * static_cast<double>(m) * static_cast<double>(options_.n * options_.k);
    nibble::context& with = context_for(threads);
    std::vector<entry> entries;
    double fastest_s = 0;
    const bool integer = ours_->supports(nibble::compute_path::integer);
    for (const std::string& target : options_.targets) {
      nibble::force_target(target.c_str());
      for (const std::string& path : options_.paths) {
        nibble::gemm_options how;
        how.path = bench::named_paths().at(path);
        if (!ours_->supports(how.path)) continue;
        const nibble::call_plan plan = ours_->explain({x_.data(), m, options_.k}, with, how);
        entry e;
        e.row = new_row(format, m, threads);
        e.row.library = "nibble";
        e.row.path = nibble::name_of(plan.path);
        e.row.kernel = plan.kernel;
        e.row.target = target;
        e.row.bits = format.bits;
        e.set = instructions_of(target);
        e.known.num_tasks = plan.num_tasks;
        e.known.scale_cols = ours_->scale_cols();
        e.known.f32_peak = limits[peak_of("exact", false, e.set, limits)];
        e.known.moved_s =
            1e-9 * static_cast<double>(plan.x_bytes + plan.y_bytes) / limits[limit::read];
        set_bound(e.timed, static_cast<double>(ours_->weight_bytes()), ops,
                  peak_of(format.name == "f32" ? "exact" : path, integer, e.set, limits), limits);
        e.timed.run = [this, m, target, how, &with] {
          nibble::force_target(target.c_str());
          static_cast<void>(
              ours_->run({x_.data(), m, options_.k}, {y_.data(), m, options_.n}, with, how));
        };
        if (!is_left_out(e.row)) check_and_add(std::move(e), back_.data(), entries, fastest_s);
      }
    }
    for (const ready_peer& p : ready_) {
      entry e;
      e.row = new_row(format, m, threads);
      e.row.library = p.library->name();
      e.row.bits = 8.0 * static_cast<double>(p.library->weight_bytes()) /
                   static_cast<double>(options_.n * options_.k);
      const bool avx2 = e.row.library.find("haswell") != std::string::npos;
      e.set = avx2 ? instructions::avx2 : instructions::avx512;
      set_bound(e.timed, static_cast<double>(p.library->weight_bytes()), ops,
                peak_of("automatic", true, e.set, limits), limits);
      e.timed.products = static_cast<double>(p.library->products_per_run(m));
      e.timed.run = [this, m, threads, &p] {
        static_cast<void>(p.library->run(x_.data(), m, y_.data(), threads));
      };
      // How slow one row is says whether many can be waited for.
      if (m > 1 && slow_.is_new(whose(e.row))) {
        const double from_memory_s =
            1e-9 * static_cast<double>(p.library->weight_bytes()) / limits[limit::read];
        slow_.time_if_slow(whose(e.row), 1,
                           std::max(fastest_s / static_cast<double>(m), from_memory_s), [&] {
                             const auto one_row = [&] {
                               static_cast<void>(p.library->run(x_.data(), 1, y_.data(), threads));
                             };
                             return examples::seconds_of(one_row) /
                                    static_cast<double>(p.library->products_per_run(1));
                           });
      }
      if (!is_left_out(e.row)) {
        check_and_add(std::move(e), p.weights.data(), entries, fastest_s);
      }
    }
    time_and_print(entries, ops, limits);
  }

  void time_and_print(std::vector<entry>& entries, double ops,
                      const bench::machine_limits& limits) {
    std::vector<bench::candidate> candidates;
    for (const entry& e : entries) {
      if (!e.row.timed_once) candidates.push_back(e.timed);
    }
    const std::vector<bench::timing> times =
        bench::time_in_turns(candidates, limits.threads, limits.read_streams, options_.seconds);
    auto next = times.begin();
    for (entry& e : entries) {
      bench::row& r = e.row;
      r.bound = e.timed.bound;
      if (r.timed_once) {
        r.time.limit_rate = limits[r.bound];
        r.time.fraction = e.timed.work / (r.time.median_s * r.time.limit_rate);
      } else {
        r.time = *next++;
      }
      r.gops = 1e-9 * ops / r.time.median_s;
      r.gbps = 1e-9 * r.bits / 8 * static_cast<double>(r.n * r.k) / r.time.median_s;
    }
    for (entry& e : entries) {
      if (e.row.library == "nibble") {
        compare_with_peers(e, entries);
        compare_with_earlier(e);
        if (!e.row.timed_once) e.row.note = bench::reasons(e.row, e.known, limits).text();
      }
      out_.add(e.row);
    }
  }

  // The same product on one thread, and of f32 weights.
  void compare_with_earlier(entry& e) {
    bench::row& r = e.row;
    const std::string shape = r.target + "/" + std::to_string(r.m) + "/";
    double& alone = one_thread_s_[shape + r.format + r.path];
    e.known.one_thread_s = alone;
    if (r.threads == 1) alone = r.time.median_s;
    double& f32 = f32_s_[shape + std::to_string(r.threads)];
    if (r.format == "f32") {
      f32 = r.time.median_s;
    } else if (f32 > 0) {
      r.f32_ratio = f32 / r.time.median_s;
    }
  }

  // The fastest peer that uses no more than our instructions.
  static void compare_with_peers(entry& ours, const std::vector<entry>& all) {
    const entry* best = nullptr;
    for (const entry& e : all) {
      if (e.row.library == "nibble" || e.set > ours.set) continue;
      if (best == nullptr || e.row.time.median_s < best->row.time.median_s) best = &e;
    }
    if (best == nullptr) return;
    ours.row.peer = best->row.library;
    ours.row.ratio = best->row.time.median_s / ours.row.time.median_s;
  }

  nibble::context& context_for(int threads) {
    std::unique_ptr<nibble::context>& c = contexts_[threads];
    if (c == nullptr) {
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
      bench::pin_this_thread(omp_get_thread_num());
      c = std::make_unique<nibble::context>(
          nibble::parallel::openmp(static_cast<std::size_t>(threads)));
#else
      c = std::make_unique<nibble::context>(nibble::parallel::serial());
#endif
    }
    return *c;
  }

  const options& options_;
  const machine& machine_;
  bench::peer_list& peers_;
  output& out_;
  std::size_t cache_bytes_ = 0;
  std::vector<float> w_, back_, x_, y_;
  std::unique_ptr<bench::our_weights> ours_;
  std::vector<ready_peer> ready_;
  std::map<int, std::unique_ptr<nibble::context>> contexts_;
  bench::slow_cases slow_;
  std::map<std::string, double> one_thread_s_;  // median times by target, m, format and path
  std::map<std::string, double> f32_s_;         // by target, m and threads
};

// ---- The command line -----------------------------------------------------------------------

bool wanted(const options& o, std::string_view name) {
  const auto any_of = [name](const auto& patterns) {
    return std::any_of(std::begin(patterns), std::end(patterns),
                       [name](const auto& p) { return examples::matches(p, name); });
  };
  if (!o.formats.empty()) return any_of(o.formats);
  return o.full || (o.quick ? any_of(quick_formats) : any_of(usual_formats));
}

// Programs that wanted a CPU in the last minute, besides this one.
double other_load() {
  std::ifstream file("/proc/loadavg");
  double load = 0;
  file >> load;
  return load;
}

std::string now() {
  const std::time_t t = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&t));
  return text;
}

int most_threads() {
#ifdef _OPENMP
  return bench::num_cpus();
#else
  return 1;
#endif
}

// What options leave open. Throws CLI::ValidationError for what none of them can have checked.
void complete(options& o) {
  const std::vector<bench::our_format> ours = bench::our_formats();
  for (const std::string& pattern : o.formats) {
    if (std::none_of(ours.begin(), ours.end(), [&pattern](const bench::our_format& f) {
          return examples::matches(pattern, f.name);
        })) {
      throw CLI::ValidationError("--formats", "no format of this program matches " + pattern);
    }
  }
  if (o.m.empty()) o.m = o.quick ? std::vector<std::size_t>{1, 32, 512} : usual_m;
  if (o.seconds == 0) o.seconds = o.quick ? 0.25 : 0.6;
  if (o.threads.empty()) {
    o.threads.push_back(1);
    if (most_threads() > 1) o.threads.push_back(most_threads());
  }
  if (o.targets.empty()) o.targets.emplace_back(nibble::current_target());
  if (std::find(o.paths.begin(), o.paths.end(), "all") != o.paths.end()) {
    o.paths.clear();
    for (const auto p : bench::all_paths) {
      if (p != nibble::compute_path::automatic) o.paths.emplace_back(nibble::name_of(p));
    }
  }
}

// The whole run, of options that are complete.
void measure(const options& o) {
  output out(o.json);
  if (const double load = other_load(); load > 0.5) {
    std::printf("Other programs use about %.1f CPUs: figures will be low and scatter.\n\n", load);
  }
  machine on;
  on.info = {examples::cpu_name(), examples::compiler_name(), now(), examples::is_emulated()};
  if (on.info.emulated) {
    std::printf(
        "EMULATED: this program runs on %s by way of an emulator. Its results are right, its "
        "times mean nothing.\n\n",
        on.info.cpu.c_str());
  }
  for (const int t : o.threads) on.limits.push_back(bench::measure_limits(t, o.quick ? 1 : 3));
  std::printf("%s, %s, %s\n\n%s\n", on.info.cpu.c_str(), on.info.compiler.c_str(),
              on.info.date.c_str(), bench::to_table(on.limits).c_str());
  for (const bench::machine_limits& l : on.limits) out.add_json(bench::to_json_line(l, on.info));
  if (o.limits_only) return;

  bench::peer_list peers;
  if (o.peers) peers = bench::all_peers();
  runner all(o, on, peers, out);
  std::fputs(bench::row_heading().c_str(), stdout);
  for (const bench::our_format& f : bench::our_formats()) {
    if (wanted(o, f.name)) all.run(f);
  }
  out.print_summary();
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app(
      "Measures this machine's limits, then how near packed products come to them: formats x rows\n"
      "of x (m) x threads, weights from memory. Fractions are of the limit measured beside each "
      "run.");
  std::vector<std::string> paths = {"all"};
  for (const auto p : bench::all_paths) paths.emplace_back(nibble::name_of(p));
  app.add_flag("--quick", o.quick, "seven formats, m = 1, 32, 512: under a minute");
  app.add_flag("--full", o.full, "every format of the catalogue");
  app.add_flag("--limits", o.limits_only, "only the limits");
  app.add_flag("--peers,!--no-peers", o.peers, "other libraries, where built in (default)");
  app.add_option("--formats", o.formats, "names, * and ? as in a shell")->delimiter(',');
  app.add_option("--m", o.m, "rows of x (default: 1,4,32,128,512)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--n", o.n, "rows of w")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--k", o.k, "columns of w")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "numbers of threads (default: 1 and all)")
      ->delimiter(',')
      ->check(CLI::Range(1, most_threads()));
  app.add_option("--path", o.paths, "how to compute (default: automatic)")
      ->delimiter(',')
      ->check(CLI::IsMember(paths));
  app.add_option("--target", o.targets, "AVX3_DL, AVX2, ... (default: the best)")
      ->delimiter(',')
      ->check(CLI::IsMember(examples::target_names()));
  app.add_option("--seconds", o.seconds, "for each format, m and number of threads (default: 0.6)")
      ->check(CLI::PositiveNumber);
  app.add_option("--json", o.json, "write JSON lines to this file");
  try {
    app.parse(argc, argv);
    complete(o);
    measure(o);
  } catch (const CLI::Error& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return 0;
}
