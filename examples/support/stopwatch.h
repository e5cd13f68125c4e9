// SPDX-License-Identifier: Apache-2.0 OR MIT
// Time that a call takes: the median of a few runs.
#ifndef NIBBLE_EXAMPLES_SUPPORT_STOPWATCH_H_
#define NIBBLE_EXAMPLES_SUPPORT_STOPWATCH_H_

#include <algorithm>
#include <chrono>
#include <vector>

namespace examples {

template <class Fn>
double seconds_of(Fn&& fn) {
  const auto start = std::chrono::steady_clock::now();
  fn();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Median of at most `runs` runs; no new one starts after `budget` seconds, so that slow calls run
/// once. The first run counts only if it is the only one: it warms up.
template <class Fn>
double median_seconds(Fn&& fn, int runs = 5, double budget = 0.5) {
  const double first = seconds_of(fn);
  double spent = first;
  std::vector<double> times;
  while (static_cast<int>(times.size()) < runs && spent < budget) {
    times.push_back(seconds_of(fn));
    spent += times.back();
  }
  return times.empty() ? first : median(std::move(times));
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_STOPWATCH_H_
