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

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

/// Where `part` begins in `text`, whatever the case of letters; npos: nowhere.
constexpr std::size_t find_any_case(std::string_view text, std::string_view part) noexcept {
  for (std::size_t at = 0; at + part.size() <= text.size(); ++at) {
    std::size_t i = 0;
    while (i < part.size() && lower(text[at + i]) == lower(part[i])) ++i;
    if (i == part.size()) return at;
  }
  return std::string_view::npos;
}

/// Twice the characters to insert, delete or replace to get from a to b (Levenshtein); another case
/// counts half. Of long names, the first 64.
inline std::size_t edit_distance(std::string_view a, std::string_view b) noexcept {
  a = a.substr(0, 64);
  b = b.substr(0, 64);
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

/// How unlike a candidate is: first those with which `name` begins or that begin with it ("nf4":
/// nf4_g64_dq; "Q4_K_M": q4_K), then those that contain it, then all others; in each group those at
/// the least distance.
inline std::size_t name_rank(std::string_view name, std::string_view candidate) noexcept {
  const bool begins = find_any_case(candidate, name) == 0 ||
                      (!candidate.empty() && find_any_case(name, candidate) == 0);
  const bool contains = find_any_case(candidate, name) != std::string_view::npos;
  constexpr std::size_t above_all_distances = 1000;
  return edit_distance(name, candidate) + (begins ? 0 : contains ? 1 : 2) * above_all_distances;
}

}  // namespace detail

/// The `nearest.size()` of `names` that look most like `name`, best first: for messages about an
/// unknown one. Returns how many there are. Names that share a beginning come before others, then
/// those that contain it; then the fewest characters to change; equals as in `names`.
inline std::size_t nearest_names(std::string_view name, std::span<const std::string_view> names,
                                 std::span<std::string_view> nearest) noexcept {
  std::size_t found = 0;
  for (const std::string_view candidate : names) {
    const std::size_t rank = detail::name_rank(name, candidate);
    std::size_t at = found < nearest.size() ? found++ : found;
    for (; at > 0 && rank < detail::name_rank(name, nearest[at - 1]); --at) {
      if (at < found) nearest[at] = nearest[at - 1];
    }
    if (at < found) nearest[at] = candidate;
  }
  return found;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_NAMES_H_
