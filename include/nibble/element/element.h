// SPDX-License-Identifier: Apache-2.0 OR MIT
// What an element type is: the bits of one value, how they are read, and how a float becomes them.
//
// An element is an empty struct with constants and two functions; it never exists as an object.
// decode() and encode() are the specification: constexpr, integer arithmetic, independent of the
// rounding mode. Every vector kernel gives the same bits. docs/numerics.md says why each rule is
// what it is.
#ifndef NIBBLE_ELEMENT_ELEMENT_H_
#define NIBBLE_ELEMENT_ELEMENT_H_

#include <bit>
#include <concepts>
#include <string_view>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// How a value between two codes is rounded.
enum class rounding : std::uint8_t {
  nearest_even,            ///< ties to the even code; in a codebook, ties as the book says
  nearest_away,            ///< ties away from zero (C roundf)
  nearest_up,              ///< ties toward +infinity
  nearest_down_magnitude,  ///< ties toward zero
  toward_zero,             ///< truncation
  away_from_zero,          ///< the next larger magnitude unless exact
};

/// What becomes of magnitudes that round to more than the largest finite value. Elements without
/// infinity and NaN (integers, fp6, fp4, codebooks) clamp always.
enum class overflow : std::uint8_t {
  saturate,         ///< finite overflow and infinity become the largest finite value
  saturate_finite,  ///< finite overflow becomes the largest value; infinity stays, or becomes NaN
  to_special,       ///< both become infinity, or NaN where the element has no infinity
};

struct encode_policy {
  rounding round = rounding::nearest_even;
  overflow over = overflow::saturate;
};

/// The same choice fixed at compile time: kernels fold the branches away. `numbers` promises that
/// no value is NaN.
template <rounding Round = rounding::nearest_even, overflow Over = overflow::saturate,
          bool Numbers = false>
struct static_policy {
  static constexpr rounding round = Round;
  static constexpr overflow over = Over;
  static constexpr bool numbers = Numbers;
  constexpr operator encode_policy() const noexcept { return {Round, Over}; }  // NOLINT: implicit
};

/// One value in `bits` bits, held in the low bits of `code`. decode() ignores the bits above.
template <class E>
concept element = requires(typename E::code c, float x, encode_policy p) {
  requires std::unsigned_integral<typename E::code>;
  { E::name } -> std::convertible_to<std::string_view>;
  { E::bits } -> std::convertible_to<int>;                    // 1 .. 8 * sizeof(code)
  { E::max } -> std::convertible_to<float>;                   // largest finite value encode() makes
  { E::lowest } -> std::convertible_to<float>;                // smallest
  { E::has_nan } -> std::convertible_to<bool>;                // some code decodes to NaN
  { E::has_inf } -> std::convertible_to<bool>;                // some code decodes to infinity
  { E::zero_code } -> std::convertible_to<typename E::code>;  // nearest to zero; fills padding
  { E::decode(c) }
  noexcept->std::same_as<float>;
  { E::encode(x, p) }
  noexcept->std::same_as<typename E::code>;
};

/// value = (code ^ flip) - bias, a whole number: arithmetic on codes is exact.
template <class E>
concept integer_element = element<E> && requires {
  requires E::is_integer;
  { E::bias } -> std::convertible_to<int>;
};

/// E::table[code] is the value.
template <class E>
concept table_element = element<E> && requires {
  E::table.size();
};

namespace detail {

inline constexpr std::uint32_t f32_sign = 0x80000000;
inline constexpr std::uint32_t f32_inf = 0x7F800000;
inline constexpr std::uint32_t f32_quiet = 0x00400000;

constexpr std::uint32_t bits_of(float x) noexcept { return std::bit_cast<std::uint32_t>(x); }
constexpr float float_of(std::uint32_t bits) noexcept { return std::bit_cast<float>(bits); }

/// x != x, but true also where -ffast-math makes that false.
constexpr bool is_nan(float x) noexcept { return (bits_of(x) & ~f32_sign) > f32_inf; }

/// 2^e for a normal result.
constexpr float exp2i(int e) noexcept {
  return float_of(static_cast<std::uint32_t>(e + 127) << 23);
}

/// value / 2^shift rounded to an integer. Needs value < 2^24 and shift >= 0.
constexpr std::uint32_t shift_right_rounded(std::uint32_t value, int shift, rounding round,
                                            bool negative) noexcept {
  if (shift > 25) shift = 25;  // below a quarter whatever the shift: rounds alike
  const std::uint32_t q = value >> shift;
  // One more bit, so that half a unit is a whole number also for shift 0.
  const std::uint32_t rest = (value << 1) & ((2u << shift) - 1);
  const std::uint32_t half = 1u << shift;
  bool up = false;
  switch (round) {
    case rounding::nearest_even: up = rest > half || (rest == half && (q & 1) != 0); break;
    case rounding::nearest_away: up = rest >= half; break;
    case rounding::nearest_up: up = negative ? rest > half : rest >= half; break;
    case rounding::nearest_down_magnitude: up = rest > half; break;
    case rounding::toward_zero: break;
    case rounding::away_from_zero: up = rest != 0; break;
  }
  return q + (up ? 1 : 0);
}

/// A float taken apart: magnitude = significand * 2^(exponent - 150), exponent >= 1.
struct float_parts {
  std::uint32_t magnitude;  // the bits without the sign
  std::uint32_t significand;
  int exponent;
  bool negative;

  constexpr explicit float_parts(float x) noexcept
      : magnitude(bits_of(x) & ~f32_sign),
        significand(magnitude & 0x007FFFFF),
        exponent(static_cast<int>(magnitude >> 23)),
        negative((bits_of(x) & f32_sign) != 0) {
    if (exponent == 0) {
      exponent = 1;
    } else {
      significand |= 0x00800000;
    }
  }
  [[nodiscard]] constexpr bool is_nan() const noexcept { return magnitude > f32_inf; }
  [[nodiscard]] constexpr bool is_inf() const noexcept { return magnitude == f32_inf; }
};

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_ELEMENT_H_
