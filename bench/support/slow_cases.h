// SPDX-License-Identifier: Apache-2.0 OR MIT
// Keeps a run of many cases short when one of them is far slower than the others: such a case is
// timed once, and not called at all where it would take longer than that.
#ifndef NIBBLE_BENCH_SUPPORT_SLOW_CASES_H_
#define NIBBLE_BENCH_SUPPORT_SLOW_CASES_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace bench {

/// Slower than the fastest of its product by this: timed once.
inline constexpr double far_slower = 50;
/// A call that would take longer is not made: what it took with fewer rows says enough.
inline constexpr double longest_call_s = 5;

/// What is known of calls with m rows, by whose they are (library and format).
class slow_cases {
 public:
  struct known {
    std::size_t m = 0;
    double seconds = 0;  ///< of one call with m rows
  };

  /// The slow case whose call with m rows would take too long, if there is one.
  [[nodiscard]] std::optional<known> too_slow(const std::string& whose, std::size_t m) const {
    const auto found = slow_.find(whose);
    if (found == slow_.end()) return std::nullopt;
    const known& k = found->second;
    const double expected = k.seconds * static_cast<double>(m) / static_cast<double>(k.m);
    return m > k.m && expected > longest_call_s ? std::optional(k) : std::nullopt;
  }

  /// Whether no call of theirs has been timed.
  [[nodiscard]] bool is_new(const std::string& whose) const { return !timed_.contains(whose); }

  /// Times one call: the second if the first, which prepares, was far slower than `fastest_s`, and
  /// is short enough to be made again.
  ///
  /// @param seconds_of  runs the call and says what it took
  /// @param fastest_s   of another call for the same product; 0: none is known
  /// @return the seconds of a call that is far slower; nothing if it is not
  std::optional<double> time_if_slow(const std::string& whose, std::size_t m, double fastest_s,
                                     const std::function<double()>& seconds_of) {
    timed_.insert(whose);
    double seconds = seconds_of();
    const auto is_slow = [&] { return fastest_s > 0 && seconds > far_slower * fastest_s; };
    if (is_slow() && seconds < longest_call_s) seconds = std::min(seconds, seconds_of());
    if (!is_slow()) return std::nullopt;
    slow_[whose] = {m, seconds};
    return seconds;
  }

 private:
  std::map<std::string, known> slow_;
  std::set<std::string> timed_;
};

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_SLOW_CASES_H_
