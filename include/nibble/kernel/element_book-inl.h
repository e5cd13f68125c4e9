// SPDX-License-Identifier: Apache-2.0 OR MIT
// Vector encoding of codebook elements: how many boundaries are below x.
//
// A search in a complete binary tree, one level at a time, all lanes together:
//
//   level 0                 b7                 rank = 2 * rank + (x > boundary)
//   level 1         b3              b11        a level of up to Lanes nodes is one register and
//   level 2     b1      b5      b9      b13    looking its nodes up is one permute
//   level 3   b0  b2  b4  b6  b8  b10 b12 b14
//
// 15 boundaries: four levels of 3 or 4 operations, where counting takes 30. Lookups beyond one
// register: lookup-inl.h. Four lanes have no permute and count.
#if defined(NIBBLE_KERNEL_ELEMENT_BOOK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ELEMENT_BOOK_INL_H_
#undef NIBBLE_KERNEL_ELEMENT_BOOK_INL_H_
#else
#define NIBBLE_KERNEL_ELEMENT_BOOK_INL_H_
#endif

#include <array>

#include "hwy/highway.h"
#include "nibble/element/all.h"
#include "nibble/kernel/element_numbers-inl.h"
#include "nibble/kernel/lookup-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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

// Ranks among the nodes of level kLevel to ranks below the tree of kLevels levels.
template <int kLevels, int kLevel, class DF, class VI>
HWY_INLINE VI DescendTree(DF df, const float* HWY_RESTRICT tree, hn::Vec<DF> x, VI rank) {
  if constexpr (kLevel == kLevels) {
    return rank;
  } else {
    const hn::RebindToSigned<DF> di;
    constexpr size_t kNodes = size_t{1} << kLevel;
    const auto boundary = LookupFloats<kNodes>(df, tree + kNodes - 1, rank);
    const auto above = hn::RebindMask(di, hn::Gt(x, boundary));
    rank = hn::Add(rank, rank);
#if HWY_TARGET <= HWY_AVX3
    rank = hn::MaskedAddOr(rank, above, rank, hn::Set(di, 1));
#else
    rank = hn::Sub(rank, hn::VecFromMask(di, above));
#endif
    return DescendTree<kLevels, kLevel + 1>(df, tree, x, rank);
  }
}

// How many boundaries are below x.
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
    rank = hn::VecFromMask(di, hn::RebindMask(di, hn::Gt(x, hn::Set(df, tree[0]))));
    rank = DescendTree<std::bit_width(E::num_boundaries), 1>(df, tree, x, hn::Neg(rank));
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

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
