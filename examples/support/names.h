// SPDX-License-Identifier: Apache-2.0 OR MIT
// Names that people type: wildcards, and what they may have meant.
#ifndef NIBBLE_EXAMPLES_SUPPORT_NAMES_H_
#define NIBBLE_EXAMPLES_SUPPORT_NAMES_H_

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace examples {

/// Shell-style: * is any text, ? any one character.
inline bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;  // the last * seen ...
  std::size_t resume = 0;                     // ... and where the text after it was tried last
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*') {
      ++p, ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// Characters to insert, delete or replace to get from a to b (Levenshtein).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

/// The `count` names that look most like `name`, best first.
inline std::vector<std::string_view> nearest(std::string_view name,
                                             const std::vector<std::string_view>& names,
                                             std::size_t count = 3) {
  std::vector<std::pair<std::size_t, std::size_t>> order;  // distance, position
  for (std::size_t i = 0; i < names.size(); ++i) {
    order.emplace_back(edit_distance(name, names[i]), i);
  }
  std::sort(order.begin(), order.end());
  order.resize(std::min(count, order.size()));
  std::vector<std::string_view> best;
  for (const auto& [distance, i] : order) best.push_back(names[i]);
  return best;
}

/// A name from a file as a terminal may show it: control characters become '?'.
inline std::string printable(std::string_view name) {
  std::string text(name);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_NAMES_H_
