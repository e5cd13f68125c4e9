// SPDX-License-Identifier: Apache-2.0 OR MIT
// Views of a run, and the parts that plots share.
#include "report/figure_parts.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <set>
#include <tuple>

namespace report {

// ---- Views ----------------------------------------------------------------------------------

std::vector<view> views_of(const run& all) {
  std::vector<view> views;
  for (const row& r : all.rows) {
    auto at = std::find_if(views.begin(), views.end(), [&r](const view& v) {
      return v.cpu == r.cpu && v.threads == r.threads && v.n == r.n && v.k == r.k;
    });
    if (at == views.end()) at = views.insert(views.end(), {r.cpu, r.threads, r.n, r.k, {}, {}});
    at->rows.push_back(r);
  }
  for (view& v : views) {
    for (const limits& l : all.machines) {
      if (l.cpu != v.cpu || l.threads != v.threads) continue;
      if (v.machine.rates.empty()) {
        v.machine = l;
        continue;
      }
      for (limit_rate& rate : v.machine.rates) {
        if (const limit_rate* other = find(l, rate.name))
          rate.best = std::max(rate.best, other->best);
      }
    }
  }
  return views;
}

std::string who(const view& v, const row& r) {
  if (!r.ours()) return r.library;
  std::string name = r.library;
  bool targets = false;
  bool paths = false;
  for (const row& other : v.rows) {
    if (!other.ours()) continue;
    targets |= other.target != r.target;
    paths |= other.path != r.path && other.target == r.target && other.format == r.format &&
             other.m == r.m;
  }
  if (targets) name += " " + r.target;
  if (paths) name += " " + r.path;
  return name;
}

std::vector<std::size_t> m_of(const view& v) {
  std::set<std::size_t> all;
  for (const row& r : v.rows) {
    if (r.timed()) all.insert(r.m);
  }
  return {all.begin(), all.end()};
}

std::vector<std::string> formats_of(const view& v) {
  std::map<std::string, std::pair<double, std::size_t>> formats;  // bits, position
  for (const row& r : v.rows) {
    const auto at = formats.try_emplace(r.format, r.bits, formats.size()).first;
    if (r.ours()) at->second.first = r.bits;
  }
  std::vector<std::tuple<long, std::size_t, std::string>> order;
  for (const auto& [name, of] : formats) {
    order.emplace_back(-std::lround(2 * of.first), of.second, name);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> names;
  for (const auto& one : order) names.push_back(std::get<std::string>(one));
  return names;
}

std::vector<const row*> timed(const view& v, std::string_view format, std::size_t m) {
  std::vector<const row*> found;
  for (const row& r : v.rows) {
    if (r.timed() && r.format == format && r.m == m) found.push_back(&r);
  }
  return found;
}

// ---- Parts of plots -------------------------------------------------------------------------

std::size_t kind_of(std::string_view format) {
  const auto begins = [format](std::initializer_list<std::string_view> heads) {
    return std::any_of(heads.begin(), heads.end(),
                       [format](std::string_view head) { return format.starts_with(head); });
  };
  if (format == "f16" || format == "bf16" || format == "f32") return 3;
  if (begins({"int", "uint", "ternary", "binary"})) return 0;
  if (begins({"q", "iq", "tq"}) || format.ends_with("_gguf")) return 1;
  return 2;
}

range log_axis(drawing& d, char axis, const std::vector<double>& values, double below,
               double above) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const range shown = {*least / below, *most * above};
  d.set(fmt::format("set logscale {0}\nset format {0} '%g'\nset {0}range [{1:.5g}:{2:.5g}]", axis,
                    shown.low, shown.high));
  // Less than two decades have too few powers of ten to read anything by.
  if (shown.high < 150 * shown.low) {
    const double decade = std::pow(10.0, std::floor(std::log10(shown.low)));
    std::string tics;
    for (double power = decade; power < shown.high; power *= 10) {
      for (const int digit : {1, 2, 5}) {
        tics += fmt::format("{}{:.6g}", tics.empty() ? "" : ", ", power * digit);
      }
    }
    d.set(fmt::format("set {}tics ({})", axis, tics));
  }
  return shown;
}

void frame::set(drawing& d) const {
  d.set(
      fmt::format("set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\n"
                  "set tmargin at screen {}",
                  left, right, bottom, top));
}

std::string tip_of(const view& v, const row& r) {
  return fmt::format("{}, {}, m = {}: {:.4g} Gop/s, {:.3g} GB/s, {:.2f} of {}", r.format, who(v, r),
                     r.m, r.gops, r.gbps, r.fraction, r.limit);
}

const row* our_best(const std::vector<const row*>& rows) {
  const row* best = nullptr;
  for (const row* r : rows) {
    if (r->ours() && (best == nullptr || r->median_s < best->median_s)) best = r;
  }
  return best;
}

std::string plural(std::size_t count, const char* word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

const limit_rate* find(const limits& l, std::string_view name) {
  const auto at = std::find_if(l.rates.begin(), l.rates.end(),
                               [name](const limit_rate& r) { return r.name == name; });
  return at == l.rates.end() ? nullptr : &*at;
}

}  // namespace report
