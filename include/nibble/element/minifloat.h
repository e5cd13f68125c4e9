// SPDX-License-Identifier: Apache-2.0 OR MIT
// Small floating-point elements: FP8, FP6, FP4, binary16 and bfloat16, from one template.
//
//   code      sign | exponent field E | mantissa field M (m bits)
//   E > 0     (-1)^sign * 2^(E - bias) * (1 + M / 2^m)
//   E = 0     (-1)^sign * 2^(1 - bias) * M / 2^m
//
// The kind says which codes are special instead. Codes of one sign grow with the value, so a
// rounding that carries out of the mantissa lands on the right code by itself, and overflow is
// "the rounded code is above max_code".
#ifndef NIBBLE_ELEMENT_MINIFLOAT_H_
#define NIBBLE_ELEMENT_MINIFLOAT_H_

#include <type_traits>

#include "nibble/element/element.h"

namespace nibble::inline NIBBLE_ABI {

enum class float_kind : std::uint8_t {
  ieee,    ///< top exponent: infinity (M = 0) and NaN
  fn,      ///< no infinity; NaN is all ones in exponent and mantissa
  fnuz,    ///< no infinity; NaN is the code of -0, which does not exist
  finite,  ///< numbers only
};

/// Derive and add a name to make an element.
template <int ExponentBits, int MantissaBits, int Bias, float_kind Kind, bool Signed = true>
struct minifloat {
  static_assert(ExponentBits >= 1 && MantissaBits >= 1 && ExponentBits + MantissaBits <= 15,
                "nibble: a minifloat has an exponent bit, a mantissa bit, and 15 of both at most; "
                "for values without a mantissa use e8m0 or a codebook");
  static_assert(ExponentBits >= 8 ? ExponentBits == 8 && Bias == 127 && Kind == float_kind::ieee
                                  : Bias < 120 && (1 << ExponentBits) - 1 - Bias <= 127,
                "nibble: all values of a minifloat must be normal numbers in float: at most 7 "
                "exponent bits, 2^bits - 128 <= bias < 120 (or bfloat16's 8 bits and bias 127)");

  using code = std::conditional_t<(ExponentBits + MantissaBits > 7), std::uint16_t, std::uint8_t>;
  static constexpr int exponent_bits = ExponentBits;
  static constexpr int mantissa_bits = MantissaBits;
  static constexpr int exponent_bias = Bias;
  static constexpr float_kind kind = Kind;
  static constexpr bool is_signed = Signed;
  static constexpr int bits = ExponentBits + MantissaBits + (Signed ? 1 : 0);
  static constexpr bool has_nan = Kind != float_kind::finite;
  static constexpr bool has_inf = Kind == float_kind::ieee;

  static constexpr std::uint32_t sign_mask = 1u << (ExponentBits + MantissaBits);
  static constexpr std::uint32_t max_code = sign_mask - 1 -
                                            (Kind == float_kind::ieee ? 1u << MantissaBits
                                             : Kind == float_kind::fn ? 1u
                                                                      : 0u);
  /// What overflow without saturation makes, before the sign: infinity or NaN.
  static constexpr std::uint32_t special_code = has_nan ? max_code + 1 : max_code;
  /// What NaN becomes (quiet; finite kinds: the largest value).
  static constexpr std::uint32_t nan_code =
      Kind == float_kind::ieee ? special_code | (1u << (MantissaBits - 1)) : special_code;
  static constexpr code zero_code = 0;

  static constexpr float decode(code c) noexcept {
    const std::uint32_t magnitude = c & (sign_mask - 1);
    const std::uint32_t sign = Signed && (c & sign_mask) != 0 ? detail::f32_sign : 0;
    if constexpr (ExponentBits == 8) {
      return detail::float_of(sign | magnitude << (23 - MantissaBits));
    } else {
      return detail::float_of(sign | magnitude_bits(magnitude, sign != 0));
    }
  }

  static constexpr code encode(float x, encode_policy policy = {}) noexcept {
    const detail::float_parts p(x);
    if (p.is_nan()) return with_sign(nan_code, p.negative && has_nan);
    if (!Signed && p.negative) return 0;
    if (p.is_inf()) {
      return with_sign(policy.over == overflow::saturate ? max_code : special_code, p.negative);
    }
    // Blocks of 2^m codes, one per exponent; `block` 0 also holds the subnormals. The significand
    // has the hidden bit, so k is in [2^m, 2^(m+1)] for normal results.
    int block = p.exponent - 128 + Bias;
    int shift = 23 - MantissaBits;
    if (block < 0) {
      shift -= block;
      block = 0;
    }
    const std::uint32_t k =
        detail::shift_right_rounded(p.significand, shift, policy.round, p.negative);
    std::uint32_t magnitude = (static_cast<std::uint32_t>(block) << MantissaBits) + k;
    if (magnitude > max_code) {
      magnitude = policy.over == overflow::to_special ? special_code : max_code;
    }
    return with_sign(magnitude, p.negative);
  }

 private:
  static constexpr code with_sign(std::uint32_t magnitude, bool negative) noexcept {
    if constexpr (Kind == float_kind::fnuz) {
      if (magnitude == 0 || magnitude == special_code) negative = false;  // +0 and the one NaN
    }
    return static_cast<code>(magnitude | (Signed && negative ? sign_mask : 0));
  }

  // NaN comes out quiet with the mantissa bits of its code on top, as hardware converts.
  static constexpr std::uint32_t magnitude_bits(std::uint32_t magnitude, bool negative) noexcept {
    const std::uint32_t mantissa = magnitude & ((1u << MantissaBits) - 1);
    const bool special =
        magnitude > max_code || (Kind == float_kind::fnuz && negative && magnitude == 0);
    if (special) {
      const bool inf = Kind == float_kind::ieee && mantissa == 0;
      return detail::f32_inf | (inf ? 0 : detail::f32_quiet) | mantissa << (23 - MantissaBits);
    }
    if (magnitude >= 1u << MantissaBits) {
      return (magnitude << (23 - MantissaBits)) + (static_cast<std::uint32_t>(127 - Bias) << 23);
    }
    if (mantissa == 0) return 0;
    const int up = std::countl_zero(mantissa) - (31 - MantissaBits);  // normalise
    return (static_cast<std::uint32_t>(128 - Bias - up) << 23) |
           ((mantissa << (23 - MantissaBits + up)) & 0x007FFFFF);
  }

 public:
  static constexpr float max = decode(static_cast<code>(max_code));
  static constexpr float lowest = Signed ? -max : 0.0f;
};

/// OFP8 E4M3: largest 448, NaN 0x7F and 0xFF, no infinity.
struct fp8_e4m3fn : minifloat<4, 3, 7, float_kind::fn> {
  static constexpr std::string_view name = "fp8_e4m3fn";
};
/// OFP8 E5M2: the top byte of binary16. Largest 57344.
struct fp8_e5m2 : minifloat<5, 2, 15, float_kind::ieee> {
  static constexpr std::string_view name = "fp8_e5m2";
};
/// AMD CDNA3's E4M3: half the value of the same e4m3fn code. Largest 240.
struct fp8_e4m3fnuz : minifloat<4, 3, 8, float_kind::fnuz> {
  static constexpr std::string_view name = "fp8_e4m3fnuz";
};
/// AMD CDNA3's E5M2. Largest 57344.
struct fp8_e5m2fnuz : minifloat<5, 2, 16, float_kind::fnuz> {
  static constexpr std::string_view name = "fp8_e5m2fnuz";
};
/// E4M3 with bias 11. Largest 30.
struct fp8_e4m3b11fnuz : minifloat<4, 3, 11, float_kind::fnuz> {
  static constexpr std::string_view name = "fp8_e4m3b11fnuz";
};
/// IEEE-like E4M3 (not OFP8's): infinity 0x78, largest 240.
struct fp8_e4m3 : minifloat<4, 3, 7, float_kind::ieee> {
  static constexpr std::string_view name = "fp8_e4m3";
};
/// IEEE-like E3M4: infinity 0x70, largest 15.5.
struct fp8_e3m4 : minifloat<3, 4, 3, float_kind::ieee> {
  static constexpr std::string_view name = "fp8_e3m4";
};
/// OCP MX FP6 E2M3: largest 7.5.
struct fp6_e2m3 : minifloat<2, 3, 1, float_kind::finite> {
  static constexpr std::string_view name = "fp6_e2m3";
};
/// OCP MX FP6 E3M2: largest 28.
struct fp6_e3m2 : minifloat<3, 2, 3, float_kind::finite> {
  static constexpr std::string_view name = "fp6_e3m2";
};
/// OCP MX FP4 E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
struct fp4_e2m1 : minifloat<2, 1, 1, float_kind::finite> {
  static constexpr std::string_view name = "fp4_e2m1";
};
/// IEEE 754 binary16.
struct f16 : minifloat<5, 10, 15, float_kind::ieee> {
  static constexpr std::string_view name = "f16";
};
/// bfloat16: the upper half of a float. Decoding moves bits, also those of a NaN.
struct bf16 : minifloat<8, 7, 127, float_kind::ieee> {
  static constexpr std::string_view name = "bf16";
};

/// NVFP4's block scale: e4m3fn without sign, in a byte whose top bit is 0. Negative values give 0.
struct ue4m3 : minifloat<4, 3, 7, float_kind::fn, false> {
  static constexpr std::string_view name = "ue4m3";
  static constexpr int bits = 8;
};

/// float itself. Nothing rounds and nothing overflows: the bits are the code.
struct f32 {
  using code = std::uint32_t;
  static constexpr std::string_view name = "f32";
  static constexpr int bits = 32;
  static constexpr float max = detail::float_of(0x7F7FFFFF);
  static constexpr float lowest = -max;
  static constexpr bool has_nan = true;
  static constexpr bool has_inf = true;
  static constexpr code zero_code = 0;
  static constexpr float decode(code c) noexcept { return detail::float_of(c); }
  static constexpr code encode(float x, encode_policy = {}) noexcept { return detail::bits_of(x); }
};

namespace detail {

/// binary16 <-> float as IEEE 754 converts: nearest even, overflow to infinity.
constexpr float f16_to_f32(std::uint16_t h) noexcept { return f16::decode(h); }
constexpr std::uint16_t f32_to_f16(float x) noexcept {
  return f16::encode(x, {rounding::nearest_even, overflow::to_special});
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_MINIFLOAT_H_
