// SPDX-License-Identifier: Apache-2.0 OR MIT
// Vector encoding: 16 floats to 16 codes, the same as E::encode on every target.
//
// Each family makes codes in u32 lanes from one vector of floats; EncodeChunk packs 16 of them to
// bytes. The policy is an encode_policy (branches at run time, all lanes alike) or a static_policy
// (folded). MXCSR must be in its default rounding, nearest even.
#if defined(NIBBLE_KERNEL_ELEMENT_ENCODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ELEMENT_ENCODE_INL_H_
#undef NIBBLE_KERNEL_ELEMENT_ENCODE_INL_H_
#else
#define NIBBLE_KERNEL_ELEMENT_ENCODE_INL_H_
#endif

#include <algorithm>
#include <array>
#include <type_traits>

#include "hwy/highway.h"
#include "nibble/element/all.h"
#include "nibble/kernel/arith-inl.h"
#include "nibble/kernel/element_decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class DF>
using VU32 = hn::Vec<hn::RebindToUnsigned<DF>>;

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

template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> IntegerCodes(DF df, Policy policy, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const hn::RebindToSigned<DF> di;
  if constexpr (E::fraction_bits != 0) x = hn::Mul(x, hn::Set(df, 1.0f / E::unit));
  x = hn::IfThenElseZero(hn::Eq(x, x), x);  // NaN
  x = hn::Min(hn::Max(x, hn::Set(df, float{E::low})), hn::Set(df, float{E::high}));
  auto v = hn::NearestInt(x);
  if (policy.round != rounding::nearest_even) {
    // As magnitudes: away from zero is the direction of x.
    const auto rest = hn::Sub(x, hn::ConvertTo(df, v));
    const auto x_sign = hn::And(x, hn::SignBit(df));
    const auto is_tie = hn::Eq(hn::Abs(rest), hn::Set(df, 0.5f));
    const auto negative = hn::Lt(hn::BitCast(di, x), hn::Zero(di));
    const auto k = hn::BitCast(du, hn::IfThenElse(negative, hn::Neg(v), v));
    const auto fixed = hn::BitCast(di, CorrectRounding(df, policy.round, k, hn::Xor(rest, x_sign),
                                                       is_tie, hn::BitCast(du, x)));
    v = hn::IfThenElse(negative, hn::Neg(fixed), fixed);
  }
  auto codes = hn::BitCast(du, v);
  if constexpr (E::bias != 0) codes = hn::Add(codes, hn::Set(du, static_cast<uint32_t>(E::bias)));
  if constexpr (E::flip != 0) codes = hn::Xor(codes, hn::Set(du, static_cast<uint32_t>(E::flip)));
  return codes;
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
    code = hn::IfThenElse(is_nan, hn::Set(du, E::nan_code), code);
    if constexpr (E::kind == float_kind::fnuz) {
      code_sign = hn::IfThenZeroElse(hn::Eq(code, hn::Zero(du)), code_sign);
    }
  } else {
    code = hn::Min(code, hn::Set(du, E::max_code));
    code_sign = hn::IfThenZeroElse(is_nan, code_sign);  // NaN: +max
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

// --------------------------------------------------------------- codebooks

// The boundaries of a book as a complete binary tree, level by level; node n has the children
// 2n + 1 and 2n + 2. Missing boundaries are +inf: no x is above them. Padded for whole loads.
template <class E, rounding kRound>
inline constexpr auto kBoundaryTree = [] {
  constexpr int kLevels = std::bit_width(E::num_boundaries);
  std::array<float, (size_t{1} << kLevels) - 1 + 16> tree{};
  for (int level = 0; level < kLevels; ++level) {
    const size_t nodes = size_t{1} << level;
    for (size_t i = 0; i < nodes; ++i) {
      const size_t at = ((2 * i + 1) << (kLevels - 1 - level)) - 1;
      tree[nodes - 1 + i] = at < E::num_boundaries ? E::template boundaries<kRound>[at]
                                                   : detail::float_of(detail::f32_inf);
    }
  }
  return tree;
}();

template <class E>
inline const float* BoundaryTree(rounding round) {
  switch (round) {
    case rounding::nearest_even: break;
    case rounding::nearest_away: return kBoundaryTree<E, rounding::nearest_away>.data();
    case rounding::nearest_up: return kBoundaryTree<E, rounding::nearest_up>.data();
    case rounding::nearest_down_magnitude:
      return kBoundaryTree<E, rounding::nearest_down_magnitude>.data();
    case rounding::toward_zero: return kBoundaryTree<E, rounding::toward_zero>.data();
    case rounding::away_from_zero: return kBoundaryTree<E, rounding::away_from_zero>.data();
  }
  return kBoundaryTree<E, rounding::nearest_even>.data();
}

// How many boundaries are below x. Levels of at most Lanes nodes are one permute of a register
// (AVX2: 4 levels, AVX-512: 5), the rest gathers. Four lanes count instead: 15 compares.
template <class E, class DF>
HWY_INLINE VU32<DF> BookRanks(DF df, rounding round, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const hn::RebindToSigned<DF> di;
  auto rank = hn::Zero(di);
  constexpr size_t kLanes = HWY_HAVE_SCALABLE ? 0 : hn::MaxLanes(DF());
  if constexpr (kLanes < 8 && E::num_boundaries < 16) {
    const float* HWY_RESTRICT boundaries = E::boundaries_for(round);
    for (size_t i = 0; i < E::num_boundaries; ++i) {
      rank = hn::Sub(
          rank, hn::VecFromMask(di, hn::RebindMask(di, hn::Gt(x, hn::Set(df, boundaries[i])))));
    }
  } else {
    const float* HWY_RESTRICT tree = BoundaryTree<E>(round);
    constexpr int kLevels = std::bit_width(E::num_boundaries);
    for (int level = 0; level < kLevels; ++level) {
      const size_t nodes = size_t{1} << level;
      const float* HWY_RESTRICT row = tree + nodes - 1;
      hn::Vec<DF> boundary;
      if (level == 0) {
        boundary = hn::Set(df, row[0]);
      } else if (kLanes >= 8 && nodes <= kLanes) {
        boundary = hn::TableLookupLanes(hn::LoadU(df, row), hn::IndicesFromVec(df, rank));
      } else {
        boundary = hn::GatherIndex(df, row, rank);
      }
      const auto above = hn::RebindMask(di, hn::Gt(x, boundary));
      const auto left = hn::Add(rank, rank);
#if HWY_TARGET <= HWY_AVX3
      rank = hn::MaskedAddOr(left, above, left, hn::Set(di, 1));
#else
      rank = hn::Sub(left, hn::VecFromMask(di, above));
#endif
    }
  }
  return hn::BitCast(du, rank);
}

template <class E>
constexpr bool CodesAreSorted() {
  for (size_t i = 0; i < E::sorted.size; ++i) {
    if (E::sorted.codes[i] != i) return false;
  }
  return true;
}

// The code of each rank, for gathers.
template <class E>
inline constexpr auto kCodeOfRank = [] {
  std::array<int32_t, E::num_boundaries + 1> codes{};
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = E::sorted.codes[i];
  return codes;
}();

template <class E>
inline constexpr auto kByteOfRank = [] {
  std::array<uint8_t, 16> codes{};
  for (size_t i = 0; i <= E::num_boundaries; ++i) codes[i] = E::sorted.codes[i];
  return codes;
}();

template <class E>
constexpr uint32_t ZeroRank() {
  uint32_t rank = 0;
  while (E::sorted.codes[rank] != E::zero_code) ++rank;
  return rank;
}

// Ranks, with NaN at zero's; of large unsorted books already codes.
template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> BookCodes(DF df, Policy policy, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  auto rank = BookRanks<E>(df, policy.round, x);
  rank = hn::IfThenElse(hn::RebindMask(du, hn::Eq(x, x)), rank, hn::Set(du, ZeroRank<E>()));
  if constexpr (E::num_boundaries >= 16 && !CodesAreSorted<E>()) {
    const hn::RebindToSigned<DF> di;
    return hn::BitCast(du, hn::GatherIndex(di, kCodeOfRank<E>.data(), hn::BitCast(di, rank)));
  }
  return rank;
}

// ---------------------------------------------------------------- the API

template <class E>
concept BookElement = requires {
  E::sorted;
  E::num_boundaries;
};

template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> ScalarCodes(DF df, Policy policy, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  HWY_ALIGN float values[16];
  HWY_ALIGN uint32_t codes[16];
  hn::Store(x, df, values);
  for (size_t i = 0; i < hn::Lanes(df); ++i) codes[i] = E::encode(values[i], policy);
  return hn::Load(du, codes);
}

/// One vector of codes in u32 lanes. An element without a way of its own is encoded value by value.
template <class E, class DF, class Policy>
HWY_INLINE VU32<DF> EncodeLanes(DF df, Policy policy, hn::Vec<DF> x) {
  if constexpr (requires { E::fraction_bits; }) {
    return IntegerCodes<E>(df, policy, x);
  } else if constexpr (MinifloatElement<E>) {
    return MinifloatCodes<E>(df, policy, x);
  } else if constexpr (ExponentElement<E>) {
    return ExponentCodes<E>(df, policy, x);
  } else if constexpr (BookElement<E>) {
    return BookCodes<E>(df, policy, x);
  } else if constexpr (std::is_same_v<E, ue4m3_ggml>) {
    return Ue4m3GgmlCodes(df, x);
  } else {
    return ScalarCodes<E>(df, policy, x);
  }
}

/// 16 codes of the values fn(first index) -> Vec<DF>, which is called for the parts in order.
template <class E, class DF, class Policy, class Fn>
HWY_INLINE Chunk EncodeChunk(DF df, Policy policy, Fn&& fn) {
  static_assert(sizeof(typename E::code) == 1, "wide elements use EncodeWide");
  const ChunkTag d;
  Chunk codes;
#if HWY_HAVE_SCALABLE
  HWY_ALIGN uint8_t bytes[16];
  for (size_t i = 0; i < 16; i += hn::Lanes(df)) {
    const auto part = hn::TruncateTo(hn::Rebind<uint8_t, DF>(), EncodeLanes<E>(df, policy, fn(i)));
    hn::StoreU(part, hn::Rebind<uint8_t, DF>(), bytes + i);
  }
  codes = hn::Load(d, bytes);
#else
  constexpr size_t kLanes = hn::MaxLanes(DF());
  const auto part = [&](size_t i) HWY_ATTR {
    return hn::BitCast(hn::RebindToSigned<DF>(), EncodeLanes<E>(df, policy, fn(i)));
  };
  if constexpr (kLanes == 16) {
    codes = hn::TruncateTo(d, hn::BitCast(hn::RebindToUnsigned<DF>(), part(0)));
  } else if constexpr (kLanes == 8) {
    const auto part0 = part(0);
    const auto part1 = part(8);
    codes = hn::DemoteTo(d, hn::OrderedDemote2To(hn::Repartition<int16_t, DF>(), part0, part1));
  } else {
    const hn::Repartition<int16_t, DF> di16;
    const auto part0 = part(0);
    const auto part1 = part(4);
    const auto half0 = hn::OrderedDemote2To(di16, part0, part1);
    const auto part2 = part(8);
    const auto part3 = part(12);
    codes = hn::OrderedDemote2To(d, half0, hn::OrderedDemote2To(di16, part2, part3));
  }
#endif
  if constexpr (BookElement<E>) {
    if constexpr (E::num_boundaries < 16 && !CodesAreSorted<E>()) {
      codes = hn::TableLookupBytes(hn::LoadU(d, kByteOfRank<E>.data()), codes);
    }
  }
  return codes;
}

/// The codes of one vector of a 16- or 32-bit element.
template <class E, class DF, class Policy>
HWY_INLINE hn::Vec<hn::Rebind<typename E::code, DF>> EncodeWideVector(DF df, Policy policy,
                                                                      hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  if constexpr (sizeof(typename E::code) == 4) {
    static_assert(std::is_same_v<E, f32>, "no vector encoder for this element");
    return hn::BitCast(du, x);
  } else {
    static_assert(MinifloatElement<E>, "no vector encoder for this element");
    const hn::Rebind<uint16_t, DF> du16;
    if constexpr (NIBBLE_FAST_F16 && std::is_base_of_v<f16, E>) {
      if (policy.round == rounding::nearest_even && policy.over != overflow::saturate_finite) {
        // Min and Max keep a NaN that comes second, on every target with this conversion.
        if (policy.over == overflow::saturate) {
          x = hn::Max(hn::Set(df, E::lowest), hn::Min(hn::Set(df, E::max), x));
        }
        const auto code = hn::BitCast(du16, hn::DemoteTo(hn::Rebind<hwy::float16_t, DF>(), x));
        const auto size = hn::And(code, hn::Set(du16, 0x7FFF));
        const auto is_nan = hn::Gt(size, hn::Set(du16, 0x7C00));
        // The conversion has made it quiet; only the payload must go.
        return hn::IfThenElse(is_nan, hn::And(code, hn::Set(du16, 0xFE00)), code);
      }
    }
    return hn::TruncateTo(du16, MinifloatCodes<E>(df, policy, x));
  }
}

/// Lanes(df) values from p, or codes to p, of a 16- or 32-bit element. p need not be aligned.
template <class E, class DF>
HWY_INLINE hn::Vec<DF> DecodeWide(DF df, const typename E::code* HWY_RESTRICT p) {
  return DecodeWideVector<E>(df, hn::LoadU(hn::Rebind<typename E::code, DF>(), p));
}
template <class E, class DF, class Policy>
HWY_INLINE void EncodeWide(DF df, Policy policy, hn::Vec<DF> x, typename E::code* HWY_RESTRICT p) {
  hn::StoreU(EncodeWideVector<E>(df, policy, x), hn::Rebind<typename E::code, DF>(), p);
}

/// The same for the first n <= Lanes(df); the other lanes read as code 0 and are not written.
template <class E, class DF>
HWY_INLINE hn::Vec<DF> DecodeWideN(DF df, const typename E::code* HWY_RESTRICT p, size_t n) {
  return DecodeWideVector<E>(df, hn::LoadN(hn::Rebind<typename E::code, DF>(), p, n));
}
template <class E, class DF, class Policy>
HWY_INLINE void EncodeWideN(DF df, Policy policy, hn::Vec<DF> x, typename E::code* HWY_RESTRICT p,
                            size_t n) {
  hn::StoreN(EncodeWideVector<E>(df, policy, x), hn::Rebind<typename E::code, DF>(), p, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
