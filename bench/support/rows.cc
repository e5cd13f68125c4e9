// SPDX-License-Identifier: Apache-2.0 OR MIT
// Timing in turns, and the two ways of printing rows.
#include "support/rows.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

namespace bench {

namespace {

double quantile(std::vector<double> values, double at) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(at * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace

std::vector<timing> time_in_turns(const std::vector<candidate>& candidates, int threads,
                                  int read_streams, double seconds) {
  constexpr double shortest_sample = 0.003;
  constexpr double probe_seconds = 0.004;
  struct sample {
    double seconds;
    double rate;  // of the limit, just before
  };
  std::vector<std::vector<sample>> samples(candidates.size());
  const auto seconds_of = [threads](const auto& fn) {
    const double before = seconds_now(threads);
    fn();
    return seconds_now(threads) - before;
  };
  std::vector<int> calls;
  if (candidates.empty()) return {};
  for (const candidate& c : candidates) {
    c.run();  // prepares what the first call of a kind has to
    const double once = seconds_of(c.run);
    calls.push_back(std::max(1, static_cast<int>(std::ceil(shortest_sample / once))));
  }

  // Samples of a disturbed moment do not count: the limit was well below its best there.
  std::map<limit, double> best_rate;
  const auto is_quiet = [&](std::size_t i, const sample& s) {
    return s.rate > 0.85 * best_rate[candidates[i].bound];
  };
  const auto num_quiet = [&](std::size_t i) {
    return std::count_if(samples[i].begin(), samples[i].end(),
                         [&](const sample& s) { return is_quiet(i, s); });
  };
  const auto all_have = [&](std::ptrdiff_t quiet) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (num_quiet(i) < quiet) return false;
    }
    return true;
  };

  const auto start = std::chrono::steady_clock::now();
  for (int round = 1;; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const candidate& c = candidates[i];
      // The first probe outlasts threads of the last candidate that still wait actively for work.
      static_cast<void>(limit_probe(c.bound, threads, 0.25 * probe_seconds, read_streams));
      const double rate = limit_probe(c.bound, threads, probe_seconds, read_streams);
      best_rate[c.bound] = std::max(best_rate[c.bound], rate);
      c.run();
      const double spent = seconds_of([&] {
        for (int call = 0; call < calls[i]; ++call) c.run();
      });
      samples[i].push_back({spent / calls[i] / c.products, rate});
    }
    const double spent =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round < 3) continue;
    if (round >= 25 || spent > 4 * seconds || (spent > seconds && all_have(3))) break;
  }

  std::vector<timing> all(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const bool some_quiet = num_quiet(i) >= 3;
    std::vector<double> times, fractions, rates;
    for (const sample& s : samples[i]) {
      if (some_quiet && !is_quiet(i, s)) continue;
      times.push_back(s.seconds);
      rates.push_back(s.rate);
      fractions.push_back(candidates[i].work / (s.seconds * s.rate));
    }
    timing& t = all[i];
    t.median_s = quantile(times, 0.5);
    t.best_s = quantile(times, 0);
    t.spread = (quantile(times, 0.75) - quantile(times, 0.25)) / t.median_s;
    t.fraction = quantile(fractions, 0.5);
    t.limit_rate = quantile(rates, 0.5);
    t.rounds = times.size();
    t.disturbed = !some_quiet;
  }
  return all;
}

std::string row_heading() {
  char line[200];
  std::snprintf(line, sizeof line, "%-22s%-26s%5s%3s%10s%6s%8s%8s  %-14s%9s%7s  %s\n", "format",
                "library", "m", "t", "ms", "+-%", "GB/s", "Gop/s", "limit", "of limit", "error",
                "beside the best peer and f32");
  return line;
}

std::string to_line(const row& r) {
  std::string who = r.library;
  if (!r.path.empty()) who += " " + r.path;
  if (!r.target.empty()) who += " " + r.target;
  char line[256];
  if (r.wrong) {
    std::snprintf(line, sizeof line, "%-21s %-25s %4zu %2d  WRONG, error %.2g  ", r.format.c_str(),
                  who.c_str(), r.m, r.threads, std::fabs(r.error));  // NaN without a sign
    return line + r.note + "\n";
  }
  std::snprintf(line, sizeof line,
                "%-21s %-25s %4zu %2d %9.3f %5.1f %7.2f %7.0f  %-14s %8.2f %6.4f  ",
                r.format.c_str(), who.c_str(), r.m, r.threads, 1e3 * r.time.median_s,
                100 * r.time.spread, r.gbps, r.gops, name_of(r.bound), r.time.fraction, r.error);
  std::string text = line;
  if (r.ratio > 0) {
    std::snprintf(line, sizeof line, "%.2f x %s", r.ratio, r.peer.c_str());
    text += line;
  }
  if (r.f32_ratio > 0) {
    std::snprintf(line, sizeof line, "%s%.2f x f32", r.ratio > 0 ? ", " : "", r.f32_ratio);
    text += line;
  }
  if (!r.note.empty()) text += (r.ratio > 0 || r.f32_ratio > 0 ? "; " : "") + r.note;
  while (text.back() == ' ') text.pop_back();
  return text + "\n";
}

std::string to_json_line(const row& r) {
  nlohmann::json j = {{"op", r.op},
                      {"format", r.format},
                      {"library", r.library},
                      {"path", r.path},
                      {"target", r.target},
                      {"m", r.m},
                      {"n", r.n},
                      {"k", r.k},
                      {"threads", r.threads},
                      {"bits", r.bits},
                      {"error", r.error},
                      {"wrong", r.wrong},
                      {"limit", name_of(r.bound)}};
  if (!r.note.empty()) j["note"] = r.note;
  if (!r.kernel.empty()) j["kernel"] = r.kernel;
  if (!r.wrong) {
    j["median_s"] = r.time.median_s;
    j["best_s"] = r.time.best_s;
    j["disturbed"] = r.time.disturbed;
    j["spread"] = r.time.spread;
    j["rounds"] = r.time.rounds;
    if (r.timed_once) j["timed_once"] = true;
    j["gops"] = r.gops;
    j["gbps"] = r.gbps;
    j["limit_value"] = r.time.limit_rate;
    j["limit_unit"] = unit_of(r.bound);
    j["fraction"] = r.time.fraction;
    if (r.ratio > 0) {
      j["peer"] = r.peer;
      j["ratio"] = r.ratio;
    }
    if (r.f32_ratio > 0) j["f32_ratio"] = r.f32_ratio;
  }
  return j.dump() + "\n";
}

std::string to_json_line(const row& r, const slow_cases::known& slow) {
  const nlohmann::json j = {{"op", "not_run"},
                            {"format", r.format},
                            {"library", r.library},
                            {"path", r.path},
                            {"target", r.target},
                            {"m", r.m},
                            {"n", r.n},
                            {"k", r.k},
                            {"threads", r.threads},
                            {"slow_m", slow.m},
                            {"slow_s", slow.seconds}};
  return j.dump() + "\n";
}

std::string to_json_line(const machine_limits& limits, const machine_info& on) {
  nlohmann::json j = {{"op", "limits"},
                      {"cpu", on.cpu},
                      {"compiler", on.compiler},
                      {"date", on.date},
                      {"emulated", on.emulated},
                      {"threads", limits.threads},
                      {"read_streams", limits.read_streams}};
  for (std::size_t i = 0; i < 4; ++i) {
    j["read_by_streams"][std::to_string(stream_counts[i])] = limits.read_by_streams[i];
  }
  for (std::size_t i = 0; i < num_limits; ++i) {
    if (!available(static_cast<limit>(i))) continue;
    j["limits"][name_of(static_cast<limit>(i))] = {{"best", limits.best[i]},
                                                   {"median", limits.median[i]},
                                                   {"unit", unit_of(static_cast<limit>(i))}};
  }
  return j.dump() + "\n";
}

}  // namespace bench
