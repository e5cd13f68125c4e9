// SPDX-License-Identifier: Apache-2.0 OR MIT
// Arrays of codes, one per code unit, to arrays of floats and back: the kernels of elements.h.
//
// Whole chunks of 16 codes, then one rest with LoadN and StoreN, which touch nothing outside the
// arrays. 8-bit and smaller codes are cleaned of the bits above E::bits, as E::decode does.
#if defined(NIBBLE_KERNEL_ELEMENT_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ELEMENT_VALUES_INL_H_
#undef NIBBLE_KERNEL_ELEMENT_VALUES_INL_H_
#else
#define NIBBLE_KERNEL_ELEMENT_VALUES_INL_H_
#endif

#include "nibble/kernel/element-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class E>
HWY_NOINLINE void DecodeValues(const typename E::code* HWY_RESTRICT codes, size_t n,
                               float* HWY_RESTRICT values) {
  const hn::CappedTag<float, 16> df;
  const size_t num_lanes = hn::Lanes(df);
  size_t i = 0;
  if constexpr (sizeof(typename E::code) == 1) {
    const ChunkTag d;
    const auto clean = [&](Chunk c) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if constexpr (E::bits < 8) c = hn::And(c, hn::Set(d, (1u << E::bits) - 1));
      return c;
    };
    for (; i + 16 <= n; i += 16) {
      DecodeChunk<E>(df, clean(hn::LoadU(d, codes + i)),
                     [&](size_t j, hn::Vec<decltype(df)> v)
                         HWY_ATTR { hn::StoreU(v, df, values + i + j); });
    }
    const size_t rest = n - i;
    if (rest == 0) return;
    DecodeChunk<E>(df, clean(hn::LoadN(d, codes + i, rest)),
                   [&](size_t j, hn::Vec<decltype(df)> v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
                     if (j < rest) hn::StoreN(v, df, values + i + j, rest - j);
                   });
  } else {
    for (; i + num_lanes <= n; i += num_lanes) {
      hn::StoreU(DecodeWide<E>(df, codes + i), df, values + i);
    }
    if (i < n) hn::StoreN(DecodeWideN<E>(df, codes + i, n - i), df, values + i, n - i);
  }
}

template <class E, class Policy>
HWY_INLINE void EncodeValuesAs(const float* HWY_RESTRICT values, size_t n,
                               typename E::code* HWY_RESTRICT codes, Policy policy) {
  const hn::CappedTag<float, 16> df;
  const size_t num_lanes = hn::Lanes(df);
  size_t i = 0;
  if constexpr (sizeof(typename E::code) == 1) {
    const ChunkTag d;
    for (; i + 16 <= n; i += 16) {
      const auto load = [&](size_t j)
                            HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::LoadU(df, values + i + j); };
      hn::StoreU(EncodeChunk<E>(df, policy, load), d, codes + i);
    }
    const size_t rest = n - i;
    if (rest == 0) return;
    const auto load = [&](size_t j) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      return j < rest ? hn::LoadN(df, values + i + j, rest - j) : hn::Zero(df);
    };
    hn::StoreN(EncodeChunk<E>(df, policy, load), d, codes + i, rest);
  } else {
    for (; i + num_lanes <= n; i += num_lanes) {
      EncodeWide<E>(df, policy, hn::LoadU(df, values + i), codes + i);
    }
    if (i < n) EncodeWideN<E>(df, policy, hn::LoadN(df, values + i, n - i), codes + i, n - i);
  }
}

template <class E>
HWY_NOINLINE void EncodeValues(const float* HWY_RESTRICT values, size_t n,
                               typename E::code* HWY_RESTRICT codes, encode_policy policy) {
  if (policy.round == rounding::nearest_even && policy.over == overflow::saturate) {
    EncodeValuesAs<E>(values, n, codes, static_policy<>{});
  } else {
    EncodeValuesAs<E>(values, n, codes, policy);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
