// SPDX-License-Identifier: Apache-2.0 OR MIT
// Comparing arrays bit for bit, and saying in words where they first differ.
#ifndef NIBBLE_TESTS_SUPPORT_PRINT_H_
#define NIBBLE_TESTS_SUPPORT_PRINT_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace nibble_test {

inline std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  char two[4];
  for (const std::uint8_t b : bytes) {
    std::snprintf(two, sizeof two, "%02x ", b);
    text += two;
  }
  return text;
}

inline std::string show(float v) {
  char text[48];
  std::snprintf(text, sizeof text, "%.9g (%08x)", static_cast<double>(v),
                std::bit_cast<std::uint32_t>(v));
  return text;
}

/// Same bits, or both NaN: which NaN comes out of an operation on NaN is the CPU's choice.
inline bool same_float(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (a != a && b != b);
}

/// Empty if equal, else the first difference and how many there are.
inline std::string difference(std::span<const float> got, std::span<const float> want) {
  if (got.size() != want.size()) return "sizes differ";
  std::size_t count = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!same_float(got[i], want[i]) && count++ == 0) first = i;
  }
  if (count == 0) return {};
  return "value " + std::to_string(first) + " is " + show(got[first]) + ", expected " +
         show(want[first]) + "; " + std::to_string(count) + " of " + std::to_string(got.size()) +
         " differ";
}

inline std::string difference(std::span<const std::uint8_t> got,
                              std::span<const std::uint8_t> want) {
  if (got.size() != want.size()) return "sizes differ";
  std::size_t count = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] != want[i] && count++ == 0) first = i;
  }
  if (count == 0) return {};
  const std::size_t from = first / 16 * 16;
  const std::size_t n = got.size() - from < 16 ? got.size() - from : 16;
  return "byte " + std::to_string(first) + "; from " + std::to_string(from) + ": " +
         hex(got.subspan(from, n)) + "expected " + hex(want.subspan(from, n)) + "; " +
         std::to_string(count) + " of " + std::to_string(got.size()) + " differ";
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_PRINT_H_
