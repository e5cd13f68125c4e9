// SPDX-License-Identifier: Apache-2.0 OR MIT
// fit_book in vectors, and the nearest entry of a sorted book of 16 whole numbers: 16 candidates
// per value make it all that counts.
//
//   lanes  way                                                             operations
//   16     cells of width 10: each holds one middle at most, so the cell        9
//          gives the middle, the entry below and the entry above, each
//          by one permute of 32 entries
//   8      a tree of four compares, thresholds by permutes of 8 entries        14
//   else   fifteen compares, each replaces the result                          30
//
// With the rank search of element_book-inl.h and a lookup of the entry the whole IQ4 search
// was 1.7x (16 lanes) and 1.3x (8 lanes) slower (Zen 5).
#if defined(NIBBLE_KERNEL_BOOK_SEARCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_BOOK_SEARCH_INL_H_
#undef NIBBLE_KERNEL_BOOK_SEARCH_INL_H_
#else
#define NIBBLE_KERNEL_BOOK_SEARCH_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/format/scale_search.h"
#include "nibble/kernel/scale_search-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The tables of the three ways; entries are positions if Positions.
template <class Element, bool Positions>
struct BookTables {
  static constexpr float kCell = 10;

  static constexpr float Entry(size_t i) {
    return Positions ? static_cast<float>(i) : Element::table[i];
  }
  static constexpr float Middle(size_t i) {
    return (Element::table[i] + Element::table[i + 1]) * 0.5f;
  }

  struct Tables {
    float quarter[8] = {};  // middles 1, 5, 9, 13
    float eighth[8] = {};   // middles 0, 2, .. 14
    float even[8] = {};
    float odd[8] = {};
    float middle[32] = {};  // by cell, negative cells from 31 down
    float below[32] = {};
    float above[32] = {};
  };
  static constexpr Tables Make() {
    Tables t;
    for (size_t i = 0; i < 8; ++i) {
      t.quarter[i] = Middle(4 * (i % 4) + 1);
      t.eighth[i] = Middle(2 * i);
      t.even[i] = Entry(2 * i);
      t.odd[i] = Entry(2 * i + 1);
    }
    for (int cell = -16; cell < 16; ++cell) {
      const size_t c = static_cast<size_t>(cell & 31);
      size_t i = 0;  // middles below the cell
      while (i < 15 && Middle(i) < (static_cast<float>(cell) - 0.5f) * kCell) ++i;
      const bool inside = i < 15 && Middle(i) < (static_cast<float>(cell) + 0.5f) * kCell;
      t.middle[c] = inside ? Middle(i) : 1e30f;
      t.below[c] = Entry(i);
      t.above[c] = Entry(inside ? i + 1 : i);
    }
    return t;
  }
  alignas(64) static constexpr Tables tables = Make();

  /// Cells do their work only if no two middles share one and none lies on a border.
  static constexpr bool CellsFit() {
    for (size_t i = 0; i + 1 < 15; ++i) {
      if (Middle(i + 1) - Middle(i) <= kCell) return false;
    }
    for (size_t i = 0; i < 15; ++i) {
      const float from_border = Middle(i) / kCell + 0.5f;
      const float fraction =
          from_border - static_cast<float>(static_cast<int>(from_border + 64) - 64);
      if (fraction < 0.01f || fraction > 0.99f) return false;
    }
    return Element::table[0] > -15.0f * kCell && Element::table[15] < 15.0f * kCell;
  }
};

/// The book entry nearest to v (or its position), as nearest_in_book.
template <class Element, bool Positions, class DF, class V = hn::Vec<DF>>
HWY_INLINE V NearestInBook(DF df, V v) {
  using B = BookTables<Element, Positions>;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  if constexpr (hn::MaxLanes(DF()) == 16) {
    static_assert(B::CellsFit());
    const hn::RebindToSigned<DF> di;
    v = hn::Min(hn::Max(v, hn::Set(df, Element::table[0])), hn::Set(df, Element::table[15]));
    // The low bits of 1.5 * 2^23 + v / 10 are the cell. Its borders may be off by an ulp.
    const auto cell =
        hn::And(hn::BitCast(di, hn::MulAdd(v, hn::Set(df, 1 / B::kCell), hn::Set(df, 12582912.0f))),
                hn::Set(di, 31));
    const auto index = hn::IndicesFromVec(df, cell);
    const auto lookup = [&](const float* table) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      return hn::TwoTablesLookupLanes(df, hn::Load(df, table), hn::Load(df, table + 16), index);
    };
    return hn::IfThenElse(hn::Ge(v, lookup(B::tables.middle)), lookup(B::tables.above),
                          lookup(B::tables.below));
  }
#endif
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  if constexpr (hn::MaxLanes(DF()) == 8) {
    const hn::RebindToSigned<DF> di;
    const auto bits = [&](auto mask)
                          HWY_ATTR { return hn::BitCast(di, hn::VecFromMask(df, mask)); };
    const auto lookup = [&](const float* table, auto index) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      return hn::TableLookupLanes(hn::Load(df, table), hn::IndicesFromVec(df, index));
    };
    const auto half = hn::Ge(v, hn::Set(df, B::Middle(7)));
    const auto quarter =
        hn::Ge(v, hn::IfThenElse(half, hn::Set(df, B::Middle(11)), hn::Set(df, B::Middle(3))));
    const auto i4 = hn::Sub(hn::And(bits(half), hn::Set(di, 2)), bits(quarter));
    const auto eighth = hn::Ge(v, lookup(B::tables.quarter, i4));
    const auto i8 = hn::Sub(hn::Add(i4, i4), bits(eighth));
    return hn::IfThenElse(hn::Ge(v, lookup(B::tables.eighth, i8)), lookup(B::tables.odd, i8),
                          lookup(B::tables.even, i8));
  }
#endif
  auto nearest = hn::Set(df, B::Entry(0));
  for (size_t i = 0; i < 15; ++i) {
    const auto up = hn::Ge(v, hn::Set(df, B::Middle(i)));
    nearest = hn::IfThenElse(up, hn::Set(df, B::Entry(i + 1)), nearest);
  }
  return nearest;
}

template <class Element>
struct BookLevels {
  static constexpr bool kLinear = false;

  template <class DF, class V = hn::Vec<DF>>
  HWY_INLINE V operator()(DF df, V v) const {
    return NearestInBook<Element, false>(df, v);
  }
};

/// fit_book.
template <class Element, class DF>
HWY_NOINLINE void FitBook(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, size_t n,
                          float* HWY_RESTRICT scales) {
  const auto extreme = ExtremeOf(df, x, n);
  const auto flat = hn::Not(hn::Ge(hn::Abs(extreme), hn::Set(df, search_epsilon)));
  constexpr float first = Element::table[0];
  const auto candidate = [&](int t) HWY_ATTR NIBBLE_INLINE_LAMBDA {  // the plain one, then -7 .. 7
    if (t == 0) {
      const auto plain = hn::Div(hn::Neg(extreme), hn::Set(df, first));
      return hn::Div(hn::Set(df, 1.0f), plain);
    }
    return hn::Div(hn::Set(df, static_cast<float>(t - 8) + first), extreme);
  };
  hn::Vec<DF> scale, inverse;
  BestCandidate(df, x, w, n, BookLevels<Element>(), 16, candidate, scale, inverse);
  hn::Store(hn::IfThenZeroElse(flat, scale), df, scales);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
