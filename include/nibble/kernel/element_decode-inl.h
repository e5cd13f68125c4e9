// SPDX-License-Identifier: Apache-2.0 OR MIT
// Vector decoding: 16 codes to 16 floats, the same bits as E::decode on every target.
//
// Codes come as a chunk: one per byte, clean (bits above E::bits are zero), in a 128-bit vector on
// every target. Values leave in parts of Lanes(df), at most 16: one part on AVX-512, four on SSE4.
//
//   family            way                                               cost per 8 lanes (AVX2)
//   integers          bytes to signed, widen, convert                   2 + 2 per chunk
//   minifloats        bits of an f16, convert, multiply by 2^(15-bias)  5, 8 with NaN codes
//   up to 16 entries  permutes; byte planes where lanes are four        6
//   whole numbers     one byte shuffle for all 16, then as integers     2 + 1 per chunk
//   256 entries       permutes on AVX-512 (lookup-inl.h), else gather
//
// Going through f16 has no slow cases: subnormal codes are ordinary inputs of the hardware
// conversion, and no intermediate is a float subnormal, whatever the FTZ and DAZ bits say.
#if defined(NIBBLE_KERNEL_ELEMENT_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ELEMENT_DECODE_INL_H_
#undef NIBBLE_KERNEL_ELEMENT_DECODE_INL_H_
#else
#define NIBBLE_KERNEL_ELEMENT_DECODE_INL_H_
#endif

#include <array>

#include "hwy/highway.h"
#include "nibble/element/all.h"
#include "nibble/kernel/lookup-inl.h"

// Does hn::PromoteTo and DemoteTo between f16 and f32 become one instruction?
#undef NIBBLE_FAST_F16
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_F16C)) || \
    HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE
#define NIBBLE_FAST_F16 1
#else
#define NIBBLE_FAST_F16 0
#endif

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// 16 codes, one per byte.
using ChunkTag = hn::FixedTag<uint8_t, 16>;
using Chunk = hn::Vec<ChunkTag>;

/// Bytes first .. first + Lanes(df) of a chunk.
template <size_t kFirst, class DF>
HWY_INLINE hn::Vec<hn::Rebind<uint8_t, DF>> ChunkPart(DF /*df*/, Chunk codes) {
  const hn::Rebind<uint8_t, DF> d_part;
  if constexpr (kFirst == 0) {
    return hn::ResizeBitCast(d_part, codes);
  } else {
    return hn::ResizeBitCast(d_part, hn::ShiftRightBytes<kFirst>(ChunkTag(), codes));
  }
}

/// Calls fn(first index, bytes) for every part of a chunk.
template <class DF, class Fn>
HWY_INLINE void ForEachPart(DF df, Chunk codes, Fn&& fn) {
#if HWY_HAVE_SCALABLE
  const hn::Rebind<uint8_t, DF> d_part;
  for (size_t i = 0; i < 16; i += hn::Lanes(df)) {
    fn(i, hn::ResizeBitCast(d_part, hn::SlideDownLanes(ChunkTag(), codes, i)));
  }
#else
  constexpr size_t kLanes = hn::MaxLanes(DF());
  static_assert(kLanes == 4 || kLanes == 8 || kLanes == 16, "nibble: use hn::CappedTag<float, 16>");
  fn(size_t{0}, ChunkPart<0>(df, codes));
  if constexpr (kLanes <= 8) fn(kLanes, ChunkPart<kLanes>(df, codes));
  if constexpr (kLanes == 4) {
    fn(size_t{8}, ChunkPart<8>(df, codes));
    fn(size_t{12}, ChunkPart<12>(df, codes));
  }
#endif
}

// ---------------------------------------------------------------- integers

// Signed bytes to floats, exactly.
template <class DF, class VI8>
HWY_INLINE hn::Vec<DF> Int8ToFloat(DF df, VI8 bytes) {
  return hn::ConvertTo(df, hn::PromoteTo(hn::Rebind<int32_t, DF>(), bytes));
}

// The integer of each code as a signed byte. For all but 8-bit elements with offset.
template <class E>
HWY_INLINE hn::Vec<hn::FixedTag<int8_t, 16>> IntegerChunk(Chunk codes) {
  const ChunkTag d;
  if constexpr (E::bits < 8 && E::flip != 0) {
    codes = hn::Xor(codes, hn::Set(d, static_cast<uint8_t>(E::flip)));
  }
  if constexpr (E::bits < 8 && E::bias != 0) {
    codes = hn::Sub(codes, hn::Set(d, static_cast<uint8_t>(E::bias)));
  }
  return hn::BitCast(hn::RebindToSigned<ChunkTag>(), codes);
}

// -------------------------------------------------------------- minifloats

// Codes in u32 lanes: the general way, for any exponent and without f16 hardware. Exponent 0 is
// read as exponent 1 and loses the hidden one by a subtraction, which leaves no float subnormal.
template <class E, class DF, class VU32>
HWY_INLINE hn::Vec<DF> MinifloatFromU32(DF df, VU32 codes) {
  const hn::RebindToUnsigned<DF> du;
  constexpr int kMantissa = E::mantissa_bits;
  constexpr int kSignShift = 31 - E::exponent_bits - kMantissa;
  const auto magnitude = hn::And(codes, hn::Set(du, E::sign_mask - 1));
  auto bits = hn::ShiftLeft<23 - kMantissa>(magnitude);
  if constexpr (E::exponent_bits < 8) {
    constexpr uint32_t kBase = static_cast<uint32_t>(127 - E::exponent_bias) << 23;
    constexpr uint32_t kHidden = kBase + (1u << 23);
    const auto is_subnormal = hn::Lt(magnitude, hn::Set(du, 1u << kMantissa));
    const auto subnormal = hn::Sub(hn::BitCast(df, hn::Add(bits, hn::Set(du, kHidden))),
                                   hn::BitCast(df, hn::Set(du, kHidden)));
    bits =
        hn::IfThenElse(is_subnormal, hn::BitCast(du, subnormal), hn::Add(bits, hn::Set(du, kBase)));
    if constexpr (E::kind == float_kind::ieee) {
      const auto is_special = hn::Gt(magnitude, hn::Set(du, E::max_code));
      const auto is_nan = hn::Gt(magnitude, hn::Set(du, E::special_code));
      bits = hn::Or(bits, hn::IfThenElseZero(is_special, hn::Set(du, detail::f32_inf)));
      bits = hn::Or(bits, hn::IfThenElseZero(is_nan, hn::Set(du, detail::f32_quiet)));
    } else if constexpr (E::has_nan) {
      const auto nan = E::kind == float_kind::fn ? magnitude : codes;
      const auto is_nan = hn::Eq(nan, hn::Set(du, E::special_code));
      bits = hn::Or(bits,
                    hn::IfThenElseZero(is_nan, hn::Set(du, detail::f32_inf | detail::f32_quiet)));
    }
  }
  if constexpr (E::is_signed) {
    const auto sign = hn::And(hn::ShiftLeft<kSignShift>(codes), hn::Set(du, detail::f32_sign));
    bits = hn::Or(bits, sign);
  }
  return hn::BitCast(df, bits);
}

// Does every finite code have a binary16 with the same fields and a finite exponent?
template <class E>
constexpr bool FitsF16Fields() {
  return E::mantissa_bits <= 10 &&
         (E::exponent_bits < 5 || (E::exponent_bits == 5 && E::kind == float_kind::ieee));
}

// The binary16 whose value is that of the code times 2^(bias - 15); specials become its specials.
template <class E, class DU16>
HWY_INLINE hn::Vec<DU16> MinifloatToF16Bits(DU16 du16, hn::Vec<hn::Rebind<uint8_t, DU16>> codes) {
  constexpr int kUp = 10 - E::mantissa_bits;
  constexpr uint16_t kMagnitude = static_cast<uint16_t>((E::sign_mask - 1) << kUp);
  const auto set = [&](uint32_t v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    return hn::Set(du16, static_cast<uint16_t>(v));
  };
  hn::Vec<DU16> h;
  if constexpr (E::bits == 8 && E::is_signed) {
    // Sign extension fills the bits above the field with the sign; a mask leaves only the top one.
    const hn::RebindToSigned<DU16> di16;
    const hn::Rebind<int8_t, DU16> di8;
    h = hn::BitCast(du16, hn::ShiftLeft<kUp>(hn::PromoteTo(di16, hn::BitCast(di8, codes))));
    if constexpr (E::exponent_bits < 5) h = hn::And(h, set(0x8000u | kMagnitude));
  } else {
    const auto c = hn::PromoteTo(du16, codes);
    h = hn::And(hn::ShiftLeft<kUp>(c), set(kMagnitude));
    if constexpr (E::is_signed) {
      constexpr int kSignUp = 15 - E::exponent_bits - E::mantissa_bits;
      h = hn::Or(h, hn::And(hn::ShiftLeft<kSignUp>(c), set(0x8000)));
    }
  }
  if constexpr (E::kind == float_kind::fnuz) {
    h = hn::Or(h, hn::IfThenElseZero(hn::Eq(h, set(0x8000)), set(0x7E00)));
  } else if constexpr (E::kind == float_kind::fn) {
    const auto is_nan = hn::Eq(hn::And(h, set(kMagnitude)), set(kMagnitude));
    h = hn::Or(h, hn::IfThenElseZero(is_nan, set(0x7E00)));
  } else if constexpr (E::kind == float_kind::ieee && E::exponent_bits < 5) {
    constexpr uint32_t kExponent = ((1u << E::exponent_bits) - 1) << 10;
    const auto is_special = hn::Eq(hn::And(h, set(kExponent)), set(kExponent));
    h = hn::Or(h, hn::IfThenElseZero(is_special, set(0x7C00)));
  }
  return h;
}

template <class E, class DF>
HWY_INLINE hn::Vec<DF> MinifloatPart(DF df, hn::Vec<hn::Rebind<uint8_t, DF>> codes) {
  if constexpr (NIBBLE_FAST_F16 && FitsF16Fields<E>()) {
    const hn::Rebind<uint16_t, DF> du16;
    const hn::Rebind<hwy::float16_t, DF> df16;
    const auto v = hn::PromoteTo(df, hn::BitCast(df16, MinifloatToF16Bits<E>(du16, codes)));
    if constexpr (E::exponent_bias == 15) {
      return v;
    } else {
      return hn::Mul(v, hn::Set(df, detail::exp2i(15 - E::exponent_bias)));
    }
  } else {
    return MinifloatFromU32<E>(df, hn::PromoteTo(hn::RebindToUnsigned<DF>(), codes));
  }
}

// ------------------------------------------------------------------ tables

// The value of every code. Codes that do not exist repeat the last value, to 16 entries at least.
template <class E>
inline constexpr auto kValues = [] {
  std::array<float, E::bits <= 4 ? 16 : size_t{1} << E::bits> values{};
  constexpr size_t kLast = (size_t{1} << E::bits) - 1;
  for (size_t c = 0; c < values.size(); ++c) {
    values[c] = E::decode(static_cast<typename E::code>(c < kLast ? c : kLast));
  }
  return values;
}();

// Are all of them whole numbers that fit a signed byte, with no -0 among them?
template <class E>
constexpr bool ValuesAreBytes() {
  for (const float v : kValues<E>) {
    if (!(v >= -128.0f && v <= 127.0f) || v != static_cast<float>(static_cast<int>(v)) ||
        detail::bits_of(v) == detail::f32_sign) {
      return false;
    }
  }
  return true;
}

template <class E>
inline constexpr auto kByteValues = [] {
  std::array<int8_t, 16> bytes{};
  for (size_t c = 0; c < 16; ++c) bytes[c] = static_cast<int8_t>(kValues<E>[c]);
  return bytes;
}();

// Byte kPlane of each value's bits.
template <class E, int kPlane>
inline constexpr auto kPlaneValues = [] {
  std::array<uint8_t, 16> bytes{};
  for (size_t c = 0; c < 16; ++c) {
    bytes[c] = static_cast<uint8_t>(detail::bits_of(kValues<E>[c]) >> (8 * kPlane));
  }
  return bytes;
}();

template <class E, int kPlane>
HWY_INLINE Chunk LookupPlane(Chunk codes) {
  constexpr const auto& kBytes = kPlaneValues<E, kPlane>;
  if constexpr (kBytes == std::array<uint8_t, 16>{}) {
    return hn::Zero(ChunkTag());
  } else {
    return hn::TableLookupBytes(hn::LoadU(ChunkTag(), kBytes.data()), codes);
  }
}

// Four lanes: look the four bytes of all 16 values up, then interleave them twice.
template <class E, class DF, class Fn>
HWY_INLINE void DecodeByPlanes(DF df, Chunk codes, Fn&& fn) {
  const ChunkTag d;
  const hn::FixedTag<uint16_t, 8> du16;
  const auto p0 = LookupPlane<E, 0>(codes);
  const auto p1 = LookupPlane<E, 1>(codes);
  const auto p2 = LookupPlane<E, 2>(codes);
  const auto p3 = LookupPlane<E, 3>(codes);
  const auto low0 = hn::BitCast(du16, hn::InterleaveLower(d, p0, p1));
  const auto low1 = hn::BitCast(du16, hn::InterleaveUpper(d, p0, p1));
  const auto high0 = hn::BitCast(du16, hn::InterleaveLower(d, p2, p3));
  const auto high1 = hn::BitCast(du16, hn::InterleaveUpper(d, p2, p3));
  fn(size_t{0}, hn::BitCast(df, hn::InterleaveLower(du16, low0, high0)));
  fn(size_t{4}, hn::BitCast(df, hn::InterleaveUpper(du16, low0, high0)));
  fn(size_t{8}, hn::BitCast(df, hn::InterleaveLower(du16, low1, high1)));
  fn(size_t{12}, hn::BitCast(df, hn::InterleaveUpper(du16, low1, high1)));
}

template <class E, class DF>
HWY_INLINE hn::Vec<DF> TablePart(DF df, hn::Vec<hn::Rebind<uint8_t, DF>> codes) {
  const hn::RebindToSigned<DF> di32;
  const auto index = hn::PromoteTo(di32, codes);
  return LookupFloats<(E::bits <= 3 ? 8 : size_t{1} << E::bits)>(df, kValues<E>.data(), index);
}

// -------------------------------------------------------------- exponents

// Powers of two, e8m0 and e8m0_half: the code is (nearly) the exponent field.
template <class E, class DF>
HWY_INLINE hn::Vec<DF> ExponentPart(DF df, hn::Vec<hn::Rebind<uint8_t, DF>> codes) {
  const hn::RebindToUnsigned<DF> du;
  const auto c = hn::PromoteTo(du, codes);
  if constexpr (E::has_nan) {  // 0 and 255 lack the same bit: a subnormal and a quiet NaN
    const auto bits = hn::ShiftLeft<23>(c);
    const auto is_end = hn::Or(hn::Eq(c, hn::Zero(du)), hn::Eq(c, hn::Set(du, 255)));
    return hn::BitCast(df, hn::Or(bits, hn::IfThenElseZero(is_end, hn::Set(du, 0x00400000))));
  } else {
    const auto normal = hn::ShiftLeft<23>(hn::Sub(c, hn::Set(du, 1)));
    const auto low = hn::ShiftLeft<21>(hn::Add(c, hn::Set(du, 1)));  // 1, 2 -> 2^21, 2^22
    return hn::BitCast(df, hn::IfThenElse(hn::Lt(c, hn::Set(du, 2)), low, normal));
  }
}

template <class E>
concept ExponentElement = std::is_same_v<E, e8m0> || std::is_same_v<E, e8m0_half>;

template <class E>
concept MinifloatElement = requires {
  E::exponent_bits;
  E::mantissa_bits;
  E::kind;
};

// ---------------------------------------------------------------- the API

/// Calls fn(first index, Vec<DF> values) for the parts of 16 clean codes, in order. An element
/// without a way of its own is read through a table of all its values, made at compile time.
template <class E, class DF, class Fn>
HWY_INLINE void DecodeChunk(DF df, Chunk codes, Fn&& fn) {
  static_assert(sizeof(typename E::code) == 1, "nibble: wide elements use DecodeWide");
  if constexpr (requires { E::fraction_bits; }) {
    const auto finish = [&](hn::Vec<DF> v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if constexpr (E::fraction_bits != 0) v = hn::Mul(v, hn::Set(df, E::unit));
      return v;
    };
    if constexpr (E::bits == 8 && E::flip == 0) {  // not a signed byte
      const hn::RebindToSigned<DF> di32;
      ForEachPart(df, codes, [&](size_t i, auto part) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        auto v = hn::PromoteTo(di32, part);
        if constexpr (E::bias != 0) v = hn::Sub(v, hn::Set(di32, E::bias));
        fn(i, finish(hn::ConvertTo(df, v)));
      });
    } else {
      const auto bytes = hn::BitCast(ChunkTag(), IntegerChunk<E>(codes));
      ForEachPart(df, bytes, [&](size_t i, auto part) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        fn(i, finish(Int8ToFloat(df, hn::BitCast(hn::Rebind<int8_t, DF>(), part))));
      });
    }
  } else if constexpr (E::bits <= 4 && ValuesAreBytes<E>()) {
    const hn::RebindToSigned<ChunkTag> di8;
    const auto table = hn::BitCast(ChunkTag(), hn::LoadU(di8, kByteValues<E>.data()));
    ForEachPart(df, hn::TableLookupBytes(table, codes),
                [&](size_t i, auto part) HWY_ATTR NIBBLE_INLINE_LAMBDA {
                  fn(i, Int8ToFloat(df, hn::BitCast(hn::Rebind<int8_t, DF>(), part)));
                });
#if !HWY_HAVE_SCALABLE
  } else if constexpr (E::bits <= 4 && hn::MaxLanes(DF()) == 4) {
    DecodeByPlanes<E>(df, codes, fn);
#endif
  } else {
    ForEachPart(df, codes, [&](size_t i, auto part) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if constexpr (ExponentElement<E>) {
        fn(i, ExponentPart<E>(df, part));
      } else if constexpr (MinifloatElement<E> && E::bits > 4) {
        fn(i, MinifloatPart<E>(df, part));
      } else {
        fn(i, TablePart<E>(df, part));
      }
    });
  }
}

/// The values of Lanes(df) codes of a 16- or 32-bit element.
template <class E, class DF>
HWY_INLINE hn::Vec<DF> DecodeWideVector(DF df, hn::Vec<hn::Rebind<typename E::code, DF>> codes) {
  if constexpr (sizeof(typename E::code) == 4) {
    static_assert(std::is_same_v<E, f32>,
                  "nibble: derive elements from integer_base, minifloat or codebook; no vector "
                  "code decodes others");
    return hn::BitCast(df, codes);
  } else if constexpr (NIBBLE_FAST_F16 && std::is_base_of_v<f16, E>) {
    return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), codes));
  } else {
    static_assert(MinifloatElement<E>,
                  "nibble: derive elements from integer_base, minifloat or codebook; no vector "
                  "code decodes others");
    return MinifloatFromU32<E>(df, hn::PromoteTo(hn::RebindToUnsigned<DF>(), codes));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
