// SPDX-License-Identifier: Apache-2.0 OR MIT
// Names that people type: those of the catalogue, and which of them look like another.
#ifndef NIBBLE_FORMAT_NAMES_H_
#define NIBBLE_FORMAT_NAMES_H_

#include <array>
#include <span>
#include <string_view>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Twice the characters to insert, delete or replace to get from a to b (Levenshtein); another case
/// counts half. Of long names, the first 64.
inline std::size_t edit_distance(std::string_view a, std::string_view b) noexcept {
  a = a.substr(0, 64);
  b = b.substr(0, 64);
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::array<std::size_t, 65> row{};
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = 2 * j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = 2 * i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      std::size_t least = diagonal + (a[i - 1] == b[j - 1] ? 0 : same ? 1 : 2);
      diagonal = row[j];
      least = row[j] + 2 < least ? row[j] + 2 : least;
      row[j] = row[j - 1] + 2 < least ? row[j - 1] + 2 : least;
    }
  }
  return row[b.size()];
}

}  // namespace detail

/// The `nearest.size()` of `names` that look most like `name`, best first: for messages about an
/// unknown one. Returns how many there are.
inline std::size_t nearest_names(std::string_view name, std::span<const std::string_view> names,
                                 std::span<std::string_view> nearest) noexcept {
  std::size_t found = 0;
  for (const std::string_view candidate : names) {
    const std::size_t distance = detail::edit_distance(name, candidate);
    std::size_t at = found < nearest.size() ? found++ : found;
    for (; at > 0 && distance < detail::edit_distance(name, nearest[at - 1]); --at) {
      if (at < found) nearest[at] = nearest[at - 1];
    }
    if (at < found) nearest[at] = candidate;
  }
  return found;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_NAMES_H_
