// SPDX-License-Identifier: Apache-2.0 OR MIT
// Integer elements: signed (two's complement), unsigned, offset, ternary, and MXINT8.
//
//   value = (code ^ flip) - bias
//
//   int4          flip 8, bias 8    code 0x8 .. 0xF 0x0 .. 0x7  =  -8 .. -1 0 .. 7
//   uint4         flip 0, bias 0    code 0x0 .. 0xF             =  0 .. 15
//   offset_int    flip 0, bias B    code 0x0 .. 0xF             =  -B .. 15 - B
//
// Encoding rounds to a whole number and clamps, whatever the overflow policy; NaN becomes 0.
#ifndef NIBBLE_ELEMENT_INTEGER_H_
#define NIBBLE_ELEMENT_INTEGER_H_

#include "nibble/element/element.h"

namespace nibble::inline NIBBLE_ABI {

/// The values Low .. High, times 2^-FractionBits. Derive and add a name to make an element.
template <int Bits, int Flip, int Bias, int Low, int High, int FractionBits = 0>
struct integer_base {
  static_assert(Bits >= 1 && Bits <= 8,
                "nibble: integer elements have 1 to 8 bits; for more use f16, bf16 or f32");
  static_assert(Low <= 0 && High >= 0 && High - Low < (1 << Bits),
                "nibble: an integer element's range holds 0 and has at most 2^bits values");

  using code = std::uint8_t;
  static constexpr int bits = Bits;
  static constexpr int flip = Flip;
  static constexpr int bias = Bias;
  static constexpr int low = Low;  // smallest and largest integer encode() makes
  static constexpr int high = High;
  static constexpr int fraction_bits = FractionBits;
  static constexpr bool is_integer = FractionBits == 0;
  static constexpr float unit = detail::exp2i(-FractionBits);
  static constexpr float max = static_cast<float>(High) * unit;
  static constexpr float lowest = static_cast<float>(Low) * unit;
  static constexpr bool has_nan = false;
  static constexpr bool has_inf = false;

  /// The integer of a code and back (v must be in range).
  static constexpr int to_int(code c) noexcept {
    return static_cast<int>((c & ((1u << Bits) - 1)) ^ static_cast<unsigned>(Flip)) - Bias;
  }
  static constexpr code from_int(int v) noexcept {
    return static_cast<code>(static_cast<unsigned>(v + Bias) ^ static_cast<unsigned>(Flip));
  }
  static constexpr code zero_code = static_cast<code>(Bias ^ Flip);

  static constexpr float decode(code c) noexcept { return static_cast<float>(to_int(c)) * unit; }

  static constexpr code encode(float x, encode_policy policy = {}) noexcept {
    const detail::float_parts p(x);
    if (p.is_nan()) return zero_code;
    int v = 1 << 16;  // beyond every range
    if (p.magnitude < detail::bits_of(65536.0f)) {
      v = static_cast<int>(detail::shift_right_rounded(
          p.significand, 150 - p.exponent - FractionBits, policy.round, p.negative));
    }
    if (p.negative) v = -v;
    return from_int(v < Low ? Low : v > High ? High : v);
  }
};

namespace detail {
template <int Bits>
using signed_base = integer_base<Bits, (1 << (Bits - 1)), (1 << (Bits - 1)), -(1 << (Bits - 1)),
                                 (1 << (Bits - 1)) - 1>;
template <int Bits>
using unsigned_base = integer_base<Bits, 0, 0, 0, (1 << Bits) - 1>;
}  // namespace detail

// clang-format off
struct int8  : detail::signed_base<8>   { static constexpr std::string_view name = "int8"; };
struct int6  : detail::signed_base<6>   { static constexpr std::string_view name = "int6"; };
struct int5  : detail::signed_base<5>   { static constexpr std::string_view name = "int5"; };
struct int4  : detail::signed_base<4>   { static constexpr std::string_view name = "int4"; };
struct int3  : detail::signed_base<3>   { static constexpr std::string_view name = "int3"; };
struct int2  : detail::signed_base<2>   { static constexpr std::string_view name = "int2"; };
struct uint8 : detail::unsigned_base<8> { static constexpr std::string_view name = "uint8"; };
struct uint6 : detail::unsigned_base<6> { static constexpr std::string_view name = "uint6"; };
struct uint5 : detail::unsigned_base<5> { static constexpr std::string_view name = "uint5"; };
struct uint4 : detail::unsigned_base<4> { static constexpr std::string_view name = "uint4"; };
struct uint3 : detail::unsigned_base<3> { static constexpr std::string_view name = "uint3"; };
struct uint2 : detail::unsigned_base<2> { static constexpr std::string_view name = "uint2"; };
// clang-format on

/// -1, 0, 1 as code 0, 1, 2. Code 3 is never made and decodes to 2, as in GGUF's TQ2_0.
struct ternary : integer_base<2, 0, 1, -1, 1> {
  static constexpr std::string_view name = "ternary";
};

/// Signed values stored with an offset: value = code - Bias.
template <int Bits, int Bias>
struct offset_int : integer_base<Bits, 0, Bias, -Bias, (1 << Bits) - 1 - Bias> {
  static constexpr std::string_view name = "offset_int";
};

/// The element of MXINT8: a multiple of 1/64 in [-127/64, 127/64]. Code 0x80 decodes to -2 but is
/// never made, so that the range is symmetric (OCP MX 5.3.4 allows leaving it out).
struct mxint8_element : integer_base<8, 0x80, 0x80, -127, 127, 6> {
  static constexpr std::string_view name = "mxint8_element";
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_INTEGER_H_
