// SPDX-License-Identifier: Apache-2.0 OR MIT
// Matching rows of two sets, judging them, and the text of it.
#include "report/compare.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <set>

#include "support/names.h"

namespace report {

namespace {

std::set<std::string> cpus_of(const run& r) {
  std::set<std::string> names;
  for (const row& one : r.rows) names.insert(one.cpu);
  return names;
}

// Rows that name the same work: first with all that says how it is done, then without the path that
// the library chose, then without the target, which another CPU may lack.
using key_of = std::function<std::string(const row&)>;
const key_of& key_at(int level) {
  static const auto what = [](const row& r) {
    return fmt::format("{}\n{}\n{}\n{} {} {} {}", r.op, r.format, r.library, r.m, r.n, r.k,
                       r.threads);
  };
  static const std::vector<key_of> keys = {
      [](const row& r) { return what(r) + "\n" + r.target + "\n" + r.path; },
      [](const row& r) { return what(r) + "\n" + r.target; },
      [](const row& r) { return what(r); },
  };
  return keys.at(static_cast<std::size_t>(level));
}
constexpr int num_levels = 3;

// Takes from both sides what only one row of each side is called by.
void match(const key_of& key, std::vector<row>& before, std::vector<row>& after,
           std::vector<change>& pairs) {
  struct place {
    std::vector<std::size_t> before, after;
  };
  std::map<std::string, place> places;
  for (std::size_t i = 0; i < before.size(); ++i) places[key(before[i])].before.push_back(i);
  for (std::size_t i = 0; i < after.size(); ++i) places[key(after[i])].after.push_back(i);
  std::set<std::size_t> taken_before;
  std::set<std::size_t> taken_after;
  for (const auto& [name, at] : places) {
    if (at.before.size() != 1 || at.after.size() != 1) continue;
    taken_before.insert(at.before[0]);
    taken_after.insert(at.after[0]);
    change& c = pairs.emplace_back();
    c.before = before[at.before[0]];
    c.after = after[at.after[0]];
  }
  const auto remove = [](std::vector<row>& rows, const std::set<std::size_t>& taken) {
    std::vector<row> rest;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!taken.contains(i)) rest.push_back(std::move(rows[i]));
    }
    rows = std::move(rest);
  };
  remove(before, taken_before);
  remove(after, taken_after);
}

bool fractions_compare(const row& a, const row& b) {
  return !a.limit.empty() && a.limit == b.limit && std::abs(a.bits - b.bits) < 1e-6 * a.bits;
}

constexpr double largest_spread = 0.2;  // as nibble_roofline calls a row disturbed
constexpr std::size_t fewest_peers = 8;

bool disturbed(const row& r) { return r.disturbed || r.spread > largest_spread; }

// The ratio, and the noise that the two rows know of.
void measure(change& c, figure by) {
  const row& a = c.before;
  const row& b = c.after;
  if (a.wrong || b.wrong) return;
  c.time_ratio = b.median_s / a.median_s;
  c.by = by == figure::fraction && fractions_compare(a, b) ? figure::fraction : figure::time;
  const bool by_fraction = c.by == figure::fraction;
  c.ratio = by_fraction ? a.fraction / b.fraction : c.time_ratio;
  c.noise = by_fraction ? a.fraction_spread + b.fraction_spread : a.spread + b.spread;
}

// What nine in ten undisturbed rows of the peers stay within, by number of threads.
std::map<int, double> noise_of(const std::vector<change>& peers) {
  std::map<int, std::vector<double>> distances;
  for (const change& c : peers) {
    if (c.before.wrong || c.after.wrong || disturbed(c.before) || disturbed(c.after)) continue;
    distances[c.before.threads].push_back(std::max(c.ratio, 1 / c.ratio) - 1);
  }
  std::map<int, double> noise;
  for (auto& [threads, all] : distances) {
    if (all.size() < fewest_peers) continue;
    std::sort(all.begin(), all.end());
    noise[threads] = all[(9 * all.size()) / 10];
  }
  return noise;
}

void judge(change& c) {
  const row& a = c.before;
  const row& b = c.after;
  if (a.wrong || b.wrong) {
    c.is = !b.wrong ? verdict::repaired : a.wrong ? verdict::same : verdict::wrong;
    return;
  }
  const bool slower = c.ratio > 1 + c.noise;
  const bool faster = c.ratio < 1 / (1 + c.noise);
  if (disturbed(a) || disturbed(b)) {
    c.is = verdict::unsure;
  } else if (slower || faster) {
    c.is = slower ? verdict::slower : verdict::faster;
  }
}

std::string percent(double part) { return fmt::format("{:.1f} %", 100 * part); }

std::string medians_of(const std::vector<change>& changes) {
  std::vector<double> times;
  std::vector<double> ratios;
  for (const change& c : changes) {
    if (c.before.wrong || c.after.wrong) continue;
    times.push_back(c.time_ratio);
    if (c.by == figure::fraction) ratios.push_back(c.ratio);
  }
  std::string text = fmt::format("{} rows, time x {:.3f}", times.size(), median_of(times));
  if (!ratios.empty()) text += fmt::format(", beside the limit x {:.3f}", median_of(ratios));
  return text;
}

std::string list(const comparison& c, verdict v, const char* title) {
  std::string text;
  for (const change& one : c.ours) {
    if (one.is != v) continue;
    if (text.empty()) text = fmt::format("\n{} ({}):\n", title, c.count(v));
    text += fmt::format("  {}: {} -> {}", name_of(one), speed_of(one.before), speed_of(one.after));
    if (!one.before.wrong && !one.after.wrong) {
      text += fmt::format("; {}, noise {}", words_of(one), percent(one.noise));
    }
    text += '\n';
  }
  return text;
}

std::string list(const std::vector<row>& rows, const char* title) {
  if (rows.empty()) return "";
  std::string text = fmt::format("\n{} ({}):\n", title, rows.size());
  for (const row& r : rows) {
    change alone;
    alone.before = alone.after = r;
    text += fmt::format("  {}: {}\n", name_of(alone), speed_of(r));
  }
  return text;
}

}  // namespace

std::size_t comparison::count(verdict v) const {
  return static_cast<std::size_t>(
      std::count_if(ours.begin(), ours.end(), [v](const change& c) { return c.is == v; }));
}

comparison compare(const run& before, const run& after, double threshold,
                   std::optional<figure> by) {
  comparison c;
  if (by) {
    c.by = *by;
    c.why = "as asked for";
  } else if (cpus_of(before) == cpus_of(after)) {
    c.by = figure::fraction;
    c.why = "one CPU: what the machine did meanwhile cancels";
  } else {
    c.by = figure::time;
    c.why = "the CPUs differ";
  }
  std::vector<row> rest_before = before.rows;
  std::vector<row> rest_after = after.rows;
  std::vector<change> pairs;
  for (int level = 0; level < num_levels; ++level) {
    match(key_at(level), rest_before, rest_after, pairs);
  }
  for (change& one : pairs) {
    measure(one, c.by);
    (one.before.ours() ? c.ours : c.peers).push_back(std::move(one));
  }
  c.noise = noise_of(c.peers);
  for (change& one : c.ours) {
    const auto of_peers = c.noise.find(one.before.threads);
    one.noise = std::max(one.noise, threshold);
    if (of_peers != c.noise.end()) one.noise = std::max(one.noise, of_peers->second);
    judge(one);
  }
  if (c.ours.empty()) throw bad_input("nothing to compare: no row of nibble is in both");
  std::sort(c.ours.begin(), c.ours.end(), [](const change& a, const change& b) {
    return std::tuple(b.ratio, a.before.key()) < std::tuple(a.ratio, b.before.key());
  });
  const auto keep_ours = [](std::vector<row> rows) {
    std::erase_if(rows, [](const row& r) { return !r.ours(); });
    return rows;
  };
  c.only_before = keep_ours(std::move(rest_before));
  c.only_after = keep_ours(std::move(rest_after));
  const bool some_fractions = std::any_of(
      c.ours.begin(), c.ours.end(), [](const change& one) { return one.by == figure::fraction; });
  if (c.by == figure::fraction && !some_fractions) {
    c.by = figure::time;
    c.why = "no fractions of the same limits";
  }
  return c;
}

const char* name_of(verdict v) {
  switch (v) {
    case verdict::slower: return "slower";
    case verdict::faster: return "faster";
    case verdict::same: return "same";
    case verdict::unsure: return "disturbed";
    case verdict::wrong: return "WRONG";
    case verdict::repaired: return "repaired";
  }
  return "";
}

std::string name_of(const change& c) {
  const row& a = c.before;
  const row& b = c.after;
  std::string text = examples::printable(a.format);
  if (a.op == "benchmark") return text;
  text += fmt::format(", m = {}, {} thread{}", a.m, a.threads, a.threads == 1 ? "" : "s");
  if (!a.ours()) text += ", " + examples::printable(a.library);
  const auto add = [&text](const std::string& x, const std::string& y) {
    if (x.empty() && y.empty()) return;
    text += ", " + examples::printable(x == y ? x : x + " -> " + y);
  };
  add(a.path, b.path);
  add(a.target, b.target);
  return text;
}

std::string speed_of(const row& r) {
  if (r.wrong) return fmt::format("WRONG, error {:.2g}", r.error);
  std::string text = fmt::format("{:.4g} ms", 1e3 * r.median_s);
  if (!r.limit.empty()) {
    text += fmt::format(" ({:.2f} of {})", r.fraction, examples::printable(r.limit));
  }
  return text;
}

std::string words_of(const change& c) {
  const char* figure = c.by == figure::fraction ? " beside the limit" : "";
  return c.ratio >= 1 ? fmt::format("{:.2f} x as slow{}", c.ratio, figure)
                      : fmt::format("{:.2f} x as fast{}", 1 / c.ratio, figure);
}

std::string to_text(const comparison& c) {
  std::string text =
      fmt::format("By {}: {}.\n", c.by == figure::fraction ? "fraction" : "time", c.why);
  text += fmt::format("nibble: {} (medians)\n", medians_of(c.ours));
  if (!c.peers.empty()) {
    text += fmt::format("peers, a check of the machine: {} (medians)\n", medians_of(c.peers));
  }
  for (const auto& [threads, noise] : c.noise) {
    text += fmt::format("their rows of {} thread{} differ by up to {}: less is noise\n", threads,
                        threads == 1 ? "" : "s", percent(noise));
  }
  text += list(c, verdict::wrong, "wrong, and was not");
  text += list(c, verdict::slower, "slower than noise explains");
  text += list(c, verdict::faster, "faster than noise explains");
  text += list(c, verdict::repaired, "no longer wrong");
  text += list(c, verdict::unsure, "too disturbed to say");
  text += list(c.only_before, "only before");
  text += list(c.only_after, "only after");
  text += fmt::format("\n{} slower, {} faster, {} the same, {} wrong, {} disturbed\n",
                      c.count(verdict::slower), c.count(verdict::faster), c.count(verdict::same),
                      c.count(verdict::wrong), c.count(verdict::unsure));
  return text;
}

}  // namespace report
