// SPDX-License-Identifier: Apache-2.0 OR MIT
// The sum of squares of floats without any rounding, so that its order does not matter.
//
// A float is m * 2^(e - 150), m < 2^24 and e in [1, 254], so its square is a whole number m * m
// of units 2^-298, 2 (e - 1) bits to the left. The sum is one integer in ten words:
//
//   bit 639 ... 618 | 617 ...              554 | 553      ...      48 | 47 ... 0
//            unused | carries of 2^64 squares  | squares of normal    | ... and of subnormal floats
#ifndef NIBBLE_RECIPES_DETAIL_EXACT_SUM_H_
#define NIBBLE_RECIPES_DETAIL_EXACT_SUM_H_

#include <bit>
#include <cmath>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

class exact_square_sum {
 public:
  /// Adds x * x; x is finite.
  constexpr void add(float x) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t exponent = (bits >> 23) & 0xFF;
    const std::uint64_t m = (bits & 0x7FFFFF) | (exponent == 0 ? 0u : 0x800000u);
    const std::uint32_t position = exponent == 0 ? 0 : 2 * (exponent - 1);  // at most 506
    const std::uint32_t shift = position % 64;
    add_at(position / 64, (m * m) << shift);
    if (shift > 16) add_at(position / 64 + 1, (m * m) >> (64 - shift));  // m * m has 48 bits
  }

  constexpr void merge(exact_square_sum other) noexcept {  // a copy: it may be this one
    for (std::size_t i = 0; i < num_words; ++i) add_at(i, other.words_[i]);
  }

  /// The double nearest to the sum, ties to even.
  [[nodiscard]] double value() const noexcept {
    std::size_t top = num_words - 1;
    while (top > 0 && words_[top] == 0) --top;
    if (top == 0) return std::ldexp(static_cast<double>(words_[0]), least_exponent);
    // The 64 leading bits; any bit below them is a one at the end, far under the rounding.
    const int zeros = std::countl_zero(words_[top]);
    std::uint64_t leading = words_[top] << zeros;
    std::uint64_t rest = words_[top - 1];
    if (zeros > 0) {
      leading |= rest >> (64 - zeros);
      rest <<= zeros;
    }
    for (std::size_t i = 0; i + 1 < top; ++i) rest |= words_[i];
    leading |= rest != 0 ? 1u : 0u;
    return std::ldexp(static_cast<double>(leading),
                      least_exponent + 64 * static_cast<int>(top) - zeros);
  }

  [[nodiscard]] friend constexpr bool operator==(const exact_square_sum&,
                                                 const exact_square_sum&) noexcept = default;

 private:
  static constexpr std::size_t num_words = 10;
  static constexpr int least_exponent = -298;

  constexpr void add_at(std::size_t i, std::uint64_t v) noexcept {
    words_[i] += v;
    bool carry = words_[i] < v;
    while (carry && ++i < num_words) carry = ++words_[i] == 0;
  }

  std::uint64_t words_[num_words] = {};
};

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_RECIPES_DETAIL_EXACT_SUM_H_
