// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reading and merging runs.
#include "report/measured.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "report/fields.h"
#include "support/names.h"

namespace report {

namespace {

using nlohmann::json;

// A parser's message without its own prefix, which names exceptions and nothing of ours.
std::string reason_of(const json::exception& e) {
  std::string text = examples::printable(e.what());
  if (const std::size_t end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
  constexpr std::size_t enough = 160;  // it may quote the file
  return text.size() > enough ? text.substr(0, enough) + "..." : text;
}

limits read_limits(const json& j, const std::string& where) {
  const fields in(j, where);
  limits to;
  to.cpu = in.text("cpu");
  to.date = in.text_or_empty("date");
  to.compiler = in.text_or_empty("compiler");
  to.emulated = in.flag("emulated");
  to.threads = static_cast<int>(in.count("threads"));
  if (!in.has("limits")) in.fail("'limits' is missing");
  if (!j["limits"].is_object()) in.fail("'limits' is not an object");
  for (const auto& [name, values] : j["limits"].items()) {
    const fields one(values, fmt::format("{}: limit '{}'", where, examples::printable(name)));
    to.rates.push_back({name, one.text("unit"), one.positive("best"), one.positive("median")});
  }
  return to;
}

row read_row(const json& j, const std::string& where) {
  const fields in(j, where);
  row r;
  r.op = in.text("op");
  r.format = in.text("format");
  r.library = in.text("library");
  r.path = in.text_or_empty("path");
  r.target = in.text_or_empty("target");
  r.m = in.count("m");
  r.n = in.count("n");
  r.k = in.count("k");
  r.threads = static_cast<int>(in.count("threads"));
  r.bits = in.positive("bits");
  r.error = in.number_or("error", 0, std::numeric_limits<double>::quiet_NaN());
  r.wrong = in.flag("wrong");
  r.note = in.text_or_empty("note");
  if (r.wrong) return r;
  r.median_s = in.positive("median_s");
  r.spread = r.fraction_spread = in.number("spread", 0);
  r.gops = in.positive("gops");
  r.gbps = in.positive("gbps");
  r.limit = in.text("limit");
  r.limit_value = in.positive("limit_value");
  r.limit_unit = in.has("limit_unit") ? in.text("limit_unit")
                 : r.limit == "read"  ? "GB/s"
                                      : "Gop/s";
  r.fraction = in.positive("fraction");
  r.disturbed = in.flag("disturbed");
  r.peer = in.text_or_empty("peer");
  r.ratio = in.number_or("ratio", 0, 0);
  r.f32_ratio = in.number_or("f32_ratio", 0, 0);
  return r;
}

run read_lines(const std::string& text, const std::string& path) {
  run to;
  to.files.push_back(path);
  std::istringstream lines(text);
  std::string cpu;
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    json j;
    try {
      j = json::parse(line);
    } catch (const json::exception& e) {
      throw bad_input(fmt::format("{}: not a line of JSON: {}", where, reason_of(e)));
    }
    const std::string op = fields(j, where).text("op");
    if (op == "not_run") continue;  // too slow beside the others
    if (op == "limits") {
      to.machines.push_back(read_limits(j, where));
      cpu = to.machines.back().cpu;
    } else {
      to.rows.push_back(read_row(j, where));
      to.rows.back().cpu = cpu;
    }
  }
  return to;
}

// ---- Google Benchmark -----------------------------------------------------------------------

double seconds_per_unit(const fields& in) {
  const std::string unit = in.has("time_unit") ? in.text("time_unit") : "ns";
  for (const auto& [name, seconds] :
       {std::pair{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1.0}}) {
    if (unit == name) return seconds;
  }
  in.fail("'time_unit' is '" + examples::printable(unit) + "'");
}

// Times of one benchmark: its repetitions, or the aggregates of them.
struct repetitions {
  std::vector<double> seconds;
  double median_s = 0;
  double stddev_s = 0;
};

row to_row(const std::string& name, const repetitions& of, const std::string& cpu) {
  row r;
  r.op = "benchmark";
  r.format = name;
  r.library = "nibble";
  r.cpu = cpu;
  r.median_s = of.median_s;
  double quartiles = 1.35 * of.stddev_s;  // of a normal distribution
  if (!of.seconds.empty()) {
    std::vector<double> sorted = of.seconds;
    std::sort(sorted.begin(), sorted.end());
    r.median_s = median_of(sorted);
    quartiles = sorted[(3 * sorted.size() - 1) / 4] - sorted[sorted.size() / 4];
  }
  r.spread = quartiles / r.median_s;
  return r;
}

run read_google_benchmark(const json& j, const std::string& path) {
  if (!j["benchmarks"].is_array()) throw bad_input(path + ": 'benchmarks' is not an array");
  std::string cpu;
  if (j.contains("context")) {
    const fields context(j["context"], path + ": context");
    cpu = fmt::format("{:.0f} CPUs of {:.0f} MHz", context.number_or("num_cpus", 0, 0),
                      context.number_or("mhz_per_cpu", 0, 0));
  }
  std::vector<std::string> order;
  std::map<std::string, repetitions> all;
  std::size_t number = 0;
  for (const json& one : j["benchmarks"]) {
    const fields in(one, fmt::format("{}: benchmark {}", path, ++number));
    if (in.flag("error_occurred")) continue;
    const std::string name = in.has("run_name") ? in.text("run_name") : in.text("name");
    if (!all.contains(name)) order.push_back(name);
    repetitions& to = all[name];
    // The time that the benchmark itself asked for.
    const bool real = name.find("/manual_time") != std::string::npos ||
                      name.find("/real_time") != std::string::npos;
    const std::string aggregate = in.text_or_empty("aggregate_name");
    if (!aggregate.empty() && aggregate != "median" && aggregate != "stddev") continue;
    const char* key = real ? "real_time" : "cpu_time";
    const double seconds =
        (aggregate == "stddev" ? in.number(key, 0) : in.positive(key)) * seconds_per_unit(in);
    if (aggregate.empty()) to.seconds.push_back(seconds);
    if (aggregate == "median") to.median_s = seconds;
    if (aggregate == "stddev") to.stddev_s = seconds;
  }
  run to;
  to.files.push_back(path);
  for (const std::string& name : order) {
    const repetitions& of = all[name];
    if (of.median_s > 0 || !of.seconds.empty()) to.rows.push_back(to_row(name, of, cpu));
  }
  return to;
}

// ---- Merging --------------------------------------------------------------------------------

double half_range(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return 0.5 * (*most - *least);
}

row middle_of(std::vector<const row*> same) {
  std::sort(same.begin(), same.end(),
            [](const row* a, const row* b) { return a->median_s < b->median_s; });
  row middle = *same[same.size() / 2];
  std::vector<double> times;
  std::vector<double> fractions;
  for (const row* r : same) {
    if (r->wrong) return *r;  // wrong once is wrong
    times.push_back(r->median_s);
    if (r->limit == middle.limit) fractions.push_back(r->fraction);
  }
  middle.runs = same.size();
  middle.spread = std::max(middle.spread, half_range(times) / middle.median_s);
  if (middle.limit.empty()) return middle;
  middle.fraction = median_of(fractions);
  middle.fraction_spread =
      std::max(middle.fraction_spread, half_range(fractions) / middle.fraction);
  return middle;
}

}  // namespace

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  // A folder opens and then fails to be read.
  if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(text << file.rdbuf())) ||
      file.bad()) {
    throw bad_input(fmt::format("{}: cannot be read", examples::printable(path)));
  }
  if (text.view().empty()) {
    throw bad_input(fmt::format("{}: the file is empty", examples::printable(path)));
  }
  return text.str();
}

run read_run(const std::string& path) {
  const std::string text = read_file(path);
  const std::string name = examples::printable(path);
  // One JSON text for the whole file is Google Benchmark's; of lines there are several.
  const json whole = json::parse(text, nullptr, false);
  const bool google = whole.is_object() && whole.contains("benchmarks");
  run to = google ? read_google_benchmark(whole, name) : read_lines(text, name);
  if (to.rows.empty()) {
    throw bad_input(fmt::format("{}: no rows of results{}", name,
                                to.machines.empty() ? "" : ", only limits of the machine"));
  }
  return to;
}

run merge(const std::vector<run>& runs) {
  run all;
  std::vector<std::vector<const row*>> groups;
  std::map<std::tuple<std::string, decltype(std::declval<const row&>().key())>, std::size_t> place;
  for (const run& one : runs) {
    all.files.insert(all.files.end(), one.files.begin(), one.files.end());
    all.machines.insert(all.machines.end(), one.machines.begin(), one.machines.end());
    for (const row& r : one.rows) {
      const auto [at, is_new] = place.try_emplace({r.cpu, r.key()}, groups.size());
      if (is_new) groups.emplace_back();
      groups[at->second].push_back(&r);
    }
  }
  for (const auto& same : groups) all.rows.push_back(middle_of(same));
  return all;
}

}  // namespace report
