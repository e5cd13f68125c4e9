// SPDX-License-Identifier: Apache-2.0 OR MIT
// Vector encoding of the elements that are numbers: integers, minifloats and powers of two.
//
// All of them round by one addition: a magic number whose last place is one step of the element
// (or, for shifts of the bits, half a step less one) makes the adder do it. That is nearest even;
// other roundings look at the exact remainder and go back or forth one step.
#if defined(NIBBLE_KERNEL_ELEMENT_NUMBERS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ELEMENT_NUMBERS_INL_H_
#undef NIBBLE_KERNEL_ELEMENT_NUMBERS_INL_H_
#else
#define NIBBLE_KERNEL_ELEMENT_NUMBERS_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/element/all.h"
#include "nibble/kernel/arith-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class DF>
using VU32 = hn::Vec<hn::RebindToUnsigned<DF>>;

/// Does the policy promise that no value is NaN?
template <class Policy>
constexpr bool AllNumbers() {
  if constexpr (requires { Policy::numbers; }) {
    return Policy::numbers;
  } else {
    return false;
  }
}

// ---------------------------------------------------------------- rounding

// k is the magnitude rounded to nearest even; rest = magnitude - k (in any unit) has its sign, and
// is_tie says |rest| is half a unit. Any other rounding is k or its neighbour:
//
//   rounding                 k + 1 when            k - 1 when
//   nearest_away             tie and rest > 0
//   nearest_down_magnitude                         tie and rest < 0
//   nearest_up, x > 0        tie and rest > 0
//   nearest_up, x < 0                              tie and rest < 0
//   toward_zero                                    rest < 0
//   away_from_zero           rest > 0
template <class DF, class M>
HWY_INLINE VU32<DF> CorrectRounding(DF df, rounding round, VU32<DF> k, hn::Vec<DF> rest, M is_tie,
                                    VU32<DF> x_bits) {
  const hn::RebindToUnsigned<DF> du;
  const auto zero = hn::Zero(df);
  auto up = hn::Gt(rest, zero);
  auto down = hn::Lt(rest, zero);
  const auto never = hn::Lt(zero, zero);
  const auto negative = hn::RebindMask(df, hn::Lt(hn::BitCast(hn::RebindToSigned<DF>(), x_bits),
                                                  hn::Zero(hn::RebindToSigned<DF>())));
  switch (round) {
    case rounding::nearest_even: return k;
    case rounding::nearest_away:
      up = hn::And(up, is_tie);
      down = never;
      break;
    case rounding::nearest_up:
      up = hn::AndNot(negative, hn::And(up, is_tie));
      down = hn::And(negative, hn::And(down, is_tie));
      break;
    case rounding::nearest_down_magnitude:
      up = never;
      down = hn::And(down, is_tie);
      break;
    case rounding::toward_zero: up = never; break;
    case rounding::away_from_zero: down = never; break;
  }
  const auto one = hn::Set(du, 1);
  k = hn::Add(k, hn::IfThenElseZero(hn::RebindMask(du, up), one));
  return hn::Sub(k, hn::IfThenElseZero(hn::RebindMask(du, down), one));
}

// (value >> kShift) rounded; value < 2^31 - 2^kShift. "Even" is the result's lowest bit.
template <int kShift, class DF>
HWY_INLINE VU32<DF> ShiftRightRounded(DF /*df*/, rounding round, VU32<DF> value, VU32<DF> x_bits) {
  const hn::RebindToUnsigned<DF> du;
  constexpr uint32_t kHalf = 1u << (kShift - 1);
  VU32<DF> add = hn::Set(du, kHalf);
  switch (round) {
    case rounding::nearest_even:
      add = hn::Add(hn::Set(du, kHalf - 1), hn::And(hn::ShiftRight<kShift>(value), hn::Set(du, 1)));
      break;
    case rounding::nearest_away: break;
    case rounding::nearest_up: add = hn::Sub(add, hn::ShiftRight<31>(x_bits)); break;
    case rounding::nearest_down_magnitude: add = hn::Set(du, kHalf - 1); break;
    case rounding::toward_zero: add = hn::Zero(du); break;
    case rounding::away_from_zero: add = hn::Set(du, 2 * kHalf - 1); break;
  }
  return hn::ShiftRight<kShift>(hn::Add(value, add));
}

// ---------------------------------------------------------------- integers

// Value + bias; the flip is left to FinishChunk. Adding 1.5 * 2^23 leaves no fraction bits, so the
// addition rounds to nearest even and the difference of the bits is the integer.
template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> IntegerCodes(DF df, Policy policy, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const hn::RebindToSigned<DF> di;
  constexpr uint32_t kBias = static_cast<uint32_t>(E::bias);
  if constexpr (E::fraction_bits != 0) x = hn::Mul(x, hn::Set(df, 1.0f / E::unit));
  if constexpr (!AllNumbers<Policy>()) x = hn::IfThenElseZero(hn::Eq(x, x), x);
  x = hn::Min(hn::Max(x, hn::Set(df, float{E::low})), hn::Set(df, float{E::high}));
  if (policy.round == rounding::toward_zero || policy.round == rounding::nearest_away) {
    if (policy.round == rounding::nearest_away) {
      // The float below one half: one half itself would lift the float below n + 0.5 to n + 1.
      const auto sign = hn::And(x, hn::SignBit(df));
      x = hn::Add(x, hn::Or(hn::Set(df, detail::next_below(0.5f)), sign));
    }
    return hn::BitCast(du, hn::Add(hn::ConvertInRangeTo(di, x), hn::Set(di, E::bias)));
  }
  constexpr float kNoFraction = 12582912.0f;
  const auto sum = hn::Add(x, hn::Set(df, kNoFraction));
  if (policy.round == rounding::nearest_even) {
    return hn::Sub(hn::BitCast(du, sum), hn::Set(du, detail::bits_of(kNoFraction) - kBias));
  }
  const auto rounded = Rounded(hn::Sub(Rounded(sum), hn::Set(df, kNoFraction)));
  const auto rest = hn::Sub(x, rounded);
  const auto is_tie = hn::Eq(hn::Abs(rest), hn::Set(df, 0.5f));
  // As magnitudes: the sign of x turns "up" into "away from zero".
  const auto sign = hn::And(x, hn::SignBit(df));
  const auto v = hn::ConvertInRangeTo(di, rounded);
  const auto negative = hn::Lt(hn::BitCast(di, x), hn::Zero(di));
  const auto size = hn::BitCast(du, hn::IfThenElse(negative, hn::Neg(v), v));
  const auto fixed = hn::BitCast(
      di, CorrectRounding(df, policy.round, size, hn::Xor(rest, sign), is_tie, hn::BitCast(du, x)));
  return hn::BitCast(
      du, hn::Add(hn::IfThenElse(negative, hn::Neg(fixed), fixed), hn::Set(di, E::bias)));
}

// -------------------------------------------------------------- minifloats

// From magnitude codes that may lie above max_code: overflow, infinity, NaN and sign.
template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> FinishMinifloat(DF /*df*/, Policy policy, VU32<DF> x_bits, VU32<DF> code) {
  const hn::RebindToUnsigned<DF> du;
  const hn::RebindToSigned<DF> di;
  const auto sign = hn::And(x_bits, hn::Set(du, detail::f32_sign));
  const auto size = hn::BitCast(di, hn::Xor(x_bits, sign));
  const auto inf = hn::Set(di, static_cast<int32_t>(detail::f32_inf));
  const auto is_nan = hn::RebindMask(du, hn::Gt(size, inf));
  constexpr int kSignShift = 31 - E::exponent_bits - E::mantissa_bits;
  auto code_sign = hn::ShiftRight<kSignShift>(sign);
  if constexpr (E::has_nan) {
    if (policy.over == overflow::to_special) {
      code = hn::Min(code, hn::Set(du, E::special_code));
    } else {
      code = hn::Min(code, hn::Set(du, E::max_code));
      if (policy.over == overflow::saturate_finite) {
        const auto is_inf = hn::RebindMask(du, hn::Eq(size, inf));
        code = hn::IfThenElse(is_inf, hn::Set(du, E::special_code), code);
      }
    }
    if constexpr (!E::is_signed) code = hn::IfThenZeroElse(hn::Ne(sign, hn::Zero(du)), code);
    if constexpr (!AllNumbers<Policy>()) {
      code = hn::IfThenElse(is_nan, hn::Set(du, E::nan_code), code);
    }
    if constexpr (E::kind == float_kind::fnuz) {
      code_sign = hn::IfThenZeroElse(hn::Eq(code, hn::Zero(du)), code_sign);
    }
  } else {
    code = hn::Min(code, hn::Set(du, E::max_code));
    if constexpr (!AllNumbers<Policy>()) {
      code_sign = hn::IfThenZeroElse(is_nan, code_sign);  // NaN: +max
    }
    if constexpr (!E::is_signed) {
      code = hn::IfThenZeroElse(hn::AndNot(is_nan, hn::Ne(sign, hn::Zero(du))), code);
    }
  }
  return E::is_signed ? hn::Or(code, code_sign) : code;
}

// Adding a power of two whose last place is one code step rounds the magnitude to that step:
//
//   e      exponent bits of |x|, at least those of the smallest normal value
//   magic  2^(23 - m) times that power of two: its last place is one step
//   k      bits(|x| + magic) - bits(magic): |x| in steps, rounded to nearest even by the addition
//   code   k + blocks below e; k has the hidden bit (or the carry), so it finds its own block
//
//   e4m3fn, x = 1.3: e = 1.0, magic = 2^20, k = round(1.3 * 8) = 10, code = 10 + (127-121) * 8 = 58
template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> MinifloatCodes(DF df, Policy policy, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const auto x_bits = hn::BitCast(du, x);
  auto size = hn::And(x_bits, hn::Set(du, ~detail::f32_sign));
  if constexpr (E::exponent_bits == 8) {
    return FinishMinifloat<E>(
        df, policy, x_bits,
        ShiftRightRounded<23 - E::mantissa_bits>(
            df, policy.round, hn::Min(size, hn::Set(du, detail::f32_inf)), x_bits));
  } else {
    // Keeps magic finite; anything from here on is overflow, or saturates to max anyway.
    const float limit = E::has_nan && policy.over == overflow::to_special ? 2 * E::max : E::max;
    size = hn::Min(size, hn::Set(du, detail::bits_of(limit)));
    constexpr int kDropped = 23 - E::mantissa_bits;
    constexpr uint32_t kLowest = static_cast<uint32_t>(128 - E::exponent_bias) << 23;
    const auto e = hn::Max(hn::And(size, hn::Set(du, detail::f32_inf)), hn::Set(du, kLowest));
    const auto magic = hn::Add(e, hn::Set(du, static_cast<uint32_t>(kDropped) << 23));
    const auto sum = hn::Add(hn::BitCast(df, size), hn::BitCast(df, magic));
    auto k = hn::Sub(hn::BitCast(du, sum), magic);
    if (policy.round != rounding::nearest_even) {
      const auto rounded = Rounded(hn::Sub(Rounded(sum), hn::BitCast(df, magic)));  // exact
      const auto rest = hn::Sub(hn::BitCast(df, size), rounded);                    // exact
      const auto half = hn::Sub(e, hn::Set(du, uint32_t{E::mantissa_bits + 1} << 23));
      const auto is_tie = hn::Eq(hn::Abs(rest), hn::BitCast(df, half));
      k = CorrectRounding(df, policy.round, k, rest, is_tie, x_bits);
    }
    const auto block = hn::ShiftRight<kDropped>(hn::Sub(e, hn::Set(du, kLowest)));
    return FinishMinifloat<E>(df, policy, x_bits, hn::Add(k, block));
  }
}

// -------------------------------------------------------------- exponents

template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> ExponentCodes(DF df, Policy policy, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const auto zero = hn::Zero(du);
  const auto hidden = hn::Set(du, 1u << 23);
  const auto x_bits = hn::BitCast(du, x);
  // `steps`: code and fraction as one number with 23 fraction bits. The code's own range begins
  // among the float subnormals: there, doubling moves the fraction up as an exponent would.
  VU32<DF> steps = hn::Min(x_bits, hn::Set(du, detail::f32_inf));  // also negatives and NaN
  const auto is_subnormal = hn::Lt(steps, hidden);
  const auto doubled = hn::Add(steps, steps);
  if constexpr (E::has_nan) {  // e8m0: code 0 is 2^-127
    const auto low = hn::Sub(hn::Max(doubled, hidden), hidden);
    steps = hn::IfThenElse(is_subnormal, low, steps);
  } else {  // e8m0_half: code 0 is 2^-128, code 1 is 2^-127
    const auto low = hn::Sub(hn::Max(hn::Add(doubled, doubled), hidden), hidden);
    const auto mid = hn::IfThenElse(hn::Lt(doubled, hidden), low, doubled);
    steps = hn::IfThenElse(is_subnormal, mid, hn::Add(steps, hidden));
  }
  auto code = ShiftRightRounded<23>(df, policy.round, steps, zero);
  const auto inf = hn::Set(du, detail::f32_inf);
  if constexpr (E::has_nan) {
    const auto nan_code = hn::Set(du, E::nan_code);
    const bool special = policy.over == overflow::to_special;
    code = hn::Min(code, hn::Set(du, special ? 0xFFu : 0xFEu));
    if (policy.over == overflow::saturate_finite) {
      code = hn::IfThenElse(hn::Eq(x_bits, inf), nan_code, code);
    }
    code = hn::IfThenElse(hn::Gt(x_bits, inf), nan_code, code);
    return hn::IfThenZeroElse(hn::Eq(hn::Add(x_bits, x_bits), zero), code);  // -0
  } else {
    code = hn::Min(code, hn::Set(du, 0xFFu));
    return hn::IfThenZeroElse(hn::Gt(x_bits, inf), code);
  }
}

// GGML's UE4M3, halved: see ue4m3_ggml.
template <class DF>
HWY_INLINE VU32<DF> Ue4m3GgmlCodes(DF df, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const auto scaled = hn::Mul(x, hn::Set(df, 1024.0f));
  const auto small = hn::Min(hn::Add(scaled, hn::Set(df, 0.5f)), hn::Set(df, 7.0f));
  const auto small_code = hn::BitCast(du, hn::ConvertTo(hn::RebindToSigned<DF>(), small));
  const auto kept = hn::Add(hn::ShiftRight<19>(hn::BitCast(du, x)), hn::Set(du, 1));
  auto code = hn::Sub(hn::ShiftRight<1>(kept), hn::Set(du, 119u << 3));
  code = hn::IfThenElse(hn::RebindMask(du, hn::Lt(x, hn::Set(df, detail::exp2i(-7)))), small_code,
                        code);
  code =
      hn::IfThenElse(hn::RebindMask(du, hn::Ge(x, hn::Set(df, 124.0f))), hn::Set(du, 0x7E), code);
  return hn::IfThenElseZero(hn::RebindMask(du, hn::Gt(x, hn::Zero(df))), code);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
