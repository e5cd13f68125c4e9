// SPDX-License-Identifier: Apache-2.0 OR MIT
// Looking floats up in a constant table: permutes of registers as long as they beat a gather.
//
//   entries      AVX-512                     AVX2                        4 lanes, scalable
//   up to N      1 permute                   1 permute                   gather
//   2 N          1 two-register permute      2 permutes, 1 blend         gather
//   4 N          2 and 1 blend, 1 test       4 and 3 blends              gather
//   16 N = 256   8 and 7 blends, 3 tests     gather                      gather
//
// 256 entries, 16 values, Zen 5: 4.8 ns by a gather, 1.9 ns by permutes.
#if defined(NIBBLE_KERNEL_LOOKUP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_LOOKUP_INL_H_
#undef NIBBLE_KERNEL_LOOKUP_INL_H_
#else
#define NIBBLE_KERNEL_LOOKUP_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/config.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A power of two of at least two registers of entries. `low` is the index within two registers.
template <size_t kEntries, class DF, class VI>
HWY_INLINE hn::Vec<DF> LookupInRegisters(DF df, const float* HWY_RESTRICT table, VI index, VI low) {
  constexpr size_t kLanes = hn::MaxLanes(DF());
  if constexpr (kEntries == 2 * kLanes) {
    return hn::TwoTablesLookupLanes(df, hn::LoadU(df, table), hn::LoadU(df, table + kLanes),
                                    hn::IndicesFromVec(df, low));
  } else {
    constexpr size_t kHalf = kEntries / 2;
    const hn::RebindToSigned<DF> di;
    const auto lower = LookupInRegisters<kHalf>(df, table, index, low);
    const auto upper = LookupInRegisters<kHalf>(df, table + kHalf, index, low);
    const auto is_upper = hn::TestBit(index, hn::Set(di, static_cast<int32_t>(kHalf)));
    return hn::IfThenElse(hn::RebindMask(df, is_upper), upper, lower);
  }
}

/// table[index] for index < kEntries, a power of two. `table` has at least Lanes(df) floats.
template <size_t kEntries, class DF, class VI>
HWY_INLINE hn::Vec<DF> LookupFloats(DF df, const float* HWY_RESTRICT table, VI index) {
#if !HWY_HAVE_SCALABLE
  constexpr size_t kLanes = hn::MaxLanes(DF());
  constexpr size_t kMaxRegisters = kLanes == 16 ? 16 : kLanes == 8 ? 4 : 0;
  if constexpr (kEntries <= kLanes && kMaxRegisters != 0) {
    return hn::TableLookupLanes(hn::LoadU(df, table), hn::IndicesFromVec(df, index));
  } else if constexpr (kEntries <= kMaxRegisters * kLanes) {
    const hn::RebindToSigned<DF> di;
    const auto low = hn::And(index, hn::Set(di, static_cast<int32_t>(2 * kLanes - 1)));
    return LookupInRegisters<kEntries>(df, table, index, kEntries > 2 * kLanes ? low : index);
  }
#endif
  return hn::GatherIndex(df, table, index);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
