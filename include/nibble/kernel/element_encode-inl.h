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

#include <type_traits>

#include "hwy/highway.h"
#include "nibble/element/all.h"
#include "nibble/kernel/element_book-inl.h"
#include "nibble/kernel/element_decode-inl.h"
#include "nibble/kernel/element_numbers-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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

/// One vector of codes in u32 lanes, before FinishChunk. An element without a way of its own is
/// encoded value by value.
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

/// What is cheaper for 16 packed codes than in u32 lanes.
template <class E>
HWY_INLINE Chunk FinishChunk(Chunk codes) {
  const ChunkTag d;
  if constexpr (requires { E::fraction_bits; }) {
    if constexpr (E::flip != 0) codes = hn::Xor(codes, hn::Set(d, static_cast<uint8_t>(E::flip)));
  } else if constexpr (BookElement<E>) {
    if constexpr (E::num_boundaries < 16 && !CodesAreSorted<E>()) {
      codes = hn::TableLookupBytes(hn::LoadU(d, kByteOfRank<E>.data()), codes);
    }
  }
  return codes;
}

/// 16 codes of the values fn(first index) -> Vec<DF>, which is called for the parts in order.
template <class E, class DF, class Policy, class Fn>
HWY_INLINE Chunk EncodeChunk(DF df, Policy policy, Fn&& fn) {
  static_assert(sizeof(typename E::code) == 1, "nibble: wide elements use EncodeWide");
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
  const auto part = [&](size_t i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
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
  return FinishChunk<E>(codes);
}

/// The codes of one vector of a 16- or 32-bit element.
template <class E, class DF, class Policy>
HWY_INLINE hn::Vec<hn::Rebind<typename E::code, DF>> EncodeWideVector(DF df, Policy policy,
                                                                      hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  if constexpr (sizeof(typename E::code) == 4) {
    static_assert(std::is_same_v<E, f32>,
                  "nibble: derive elements from integer_base, minifloat or codebook; no vector "
                  "code encodes others");
    return hn::BitCast(du, x);
  } else {
    static_assert(MinifloatElement<E>,
                  "nibble: derive elements from integer_base, minifloat or codebook; no vector "
                  "code encodes others");
    const hn::Rebind<uint16_t, DF> du16;
    if constexpr (NIBBLE_FAST_F16 && std::is_base_of_v<f16, E>) {
      if (policy.round == rounding::nearest_even && policy.over != overflow::saturate_finite) {
        if (policy.over == overflow::saturate) {
          const auto inside = hn::Max(hn::Set(df, E::lowest), hn::Min(hn::Set(df, E::max), x));
          // NaN stays: x86's Min and Max keep one that comes second, Arm's keep the number.
          x = HWY_ARCH_X86 ? inside : hn::IfThenElse(hn::IsNaN(x), x, inside);
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
