// SPDX-License-Identifier: Apache-2.0 OR MIT
// Chunks of 16 codes out of and into any layout, from the layout's own description of its bits.
//
// A layout says at compile time where each bit of each code lies (format/bits.h). From that follow,
// per chunk and per piece of a code: a window of 16 bytes that holds all of them, a byte shuffle
// unless they lie in order already, and shifts and masks:
//
//   q4_0, low half      load, and                              (no shuffle, no shift)
//   q4_K scales         load, shuffle, and | load, shuffle, shift, and
//   planar 4 bits       load 8, shuffle 0 0 1 1 ..., and | shift, and
//   fifth bits          load, shuffle, test bit
//
// Storing runs the same tables backwards.
#if defined(NIBBLE_KERNEL_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_CHUNK_INL_H_
#undef NIBBLE_KERNEL_CHUNK_INL_H_
#else
#define NIBBLE_KERNEL_CHUNK_INL_H_
#endif

#include <cstring>
#include <utility>

#include "hwy/highway.h"
#include "nibble/format/chunk_map.h"
#include "nibble/kernel/element-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Up to 8 bytes as a number, by loads of whole words: a copy into a zeroed word would be stored in
/// two parts and loaded as one, which stalls.
template <size_t kBytes>
HWY_INLINE uint64_t LoadWord(const uint8_t* HWY_RESTRICT p) {
  if constexpr (kBytes == 0) {
    return 0;
  } else if constexpr (kBytes >= 8) {
    uint64_t v;
    std::memcpy(&v, p, 8);
    return v;
  } else if constexpr (kBytes >= 4) {
    uint32_t v;
    std::memcpy(&v, p, 4);
    return v | LoadWord<kBytes - 4>(p + 4) << 32;
  } else if constexpr (kBytes >= 2) {
    uint16_t v;
    std::memcpy(&v, p, 2);
    return v | LoadWord<kBytes - 2>(p + 2) << 16;
  } else {
    return *p;
  }
}

/// The first kBytes bytes at p; nothing behind them is read. Upper bytes are zero.
template <size_t kBytes>
HWY_INLINE Chunk LoadBytes(const uint8_t* HWY_RESTRICT p) {
  static_assert(kBytes >= 1 && kBytes <= 16);
  const ChunkTag d;
  if constexpr (kBytes == 16) {
    return hn::LoadU(d, p);
  } else {
    constexpr size_t kLow = kBytes < 8 ? kBytes : 8;
    const uint64_t low = LoadWord<kLow>(p);
    const uint64_t high = LoadWord<kBytes - kLow>(p + kLow);
    return hn::BitCast(d, hn::Dup128VecFromValues(hn::FixedTag<uint64_t, 2>(), low, high));
  }
}

template <size_t kBytes>
HWY_INLINE void StoreBytes(Chunk v, uint8_t* HWY_RESTRICT p) {
  static_assert(kBytes >= 1 && kBytes <= 16);
  if constexpr (kBytes == 16) {
    hn::StoreU(v, ChunkTag(), p);
  } else {
    const auto words = hn::BitCast(hn::FixedTag<uint64_t, 2>(), v);
    const uint64_t low = hn::ExtractLane(words, 0);
    std::memcpy(p, &low, kBytes < 8 ? kBytes : 8);
    if constexpr (kBytes > 8) {
      const uint64_t high = hn::ExtractLane(words, 1);
      std::memcpy(p + 8, &high, kBytes - 8);
    }
  }
}

/// Moves the bits of each byte by kDistance (left if positive). Bits that cross into a neighbour
/// byte must be masked by the caller.
template <int kDistance>
HWY_INLINE Chunk MoveBits(Chunk v) {
  const ChunkTag d;
  const hn::FixedTag<uint16_t, 8> du16;
  if constexpr (kDistance > 0) {
    return hn::BitCast(d, hn::ShiftLeft<kDistance>(hn::BitCast(du16, v)));
  } else if constexpr (kDistance < 0) {
    return hn::BitCast(d, hn::ShiftRight<-kDistance>(hn::BitCast(du16, v)));
  } else {
    return v;
  }
}

/// Or of all distances: bits of v, moved and masked.
template <const auto& kMasks, size_t kDistance = 0>
HWY_INLINE Chunk MoveAndMask(Chunk v) {
  if constexpr (kDistance == kMasks.size()) {
    return hn::Zero(ChunkTag());
  } else if constexpr (kMasks[kDistance] == detail::no_lanes) {
    return MoveAndMask<kMasks, kDistance + 1>(v);
  } else {
    constexpr const auto& kMask = kMasks[kDistance];
    const auto mask = hn::LoadU(ChunkTag(), kMask.data());
    const auto moved = MoveBits<static_cast<int>(kDistance) - 7>(v);
    constexpr bool kLast = [] {
      for (size_t i = kDistance + 1; i < kMasks.size(); ++i) {
        if (kMasks[i] != detail::no_lanes) return false;
      }
      return true;
    }();
    if constexpr (kLast) {
      return hn::And(moved, mask);
    } else {
      return hn::OrAnd(MoveAndMask<kMasks, kDistance + 1>(v), moved, mask);
    }
  }
}

/// (byte * 3^n mod 256) * 3 / 256 in every lane.
template <class Map>
HWY_INLINE Chunk Base3Digits(Chunk v) {
  const ChunkTag d;
  const hn::FixedTag<uint16_t, 8> du16;
  const auto digits = [&](hn::Vec<hn::FixedTag<uint16_t, 8>> bytes,
                          size_t at) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const auto low = hn::And(hn::Mul(bytes, hn::LoadU(du16, Map::power3.data() + at)),
                             hn::Set(du16, uint16_t{255}));
    return hn::ShiftRight<8>(hn::Mul(low, hn::Set(du16, uint16_t{3})));
  };
  const auto low = digits(hn::PromoteLowerTo(du16, v), 0);
  const auto high = digits(hn::PromoteUpperTo(du16, v), 8);
  return hn::OrderedDemote2To(d, low, high);
}

template <class Layout, size_t kSection, size_t kFirst, size_t kCount, size_t kSlot>
HWY_INLINE Chunk LoadSlot(const uint8_t* HWY_RESTRICT record, Chunk codes) {
  using Map = detail::chunk_map<Layout, kSection, kFirst, kCount, kSlot>;
  const ChunkTag d;
  if constexpr (!Map::t.used) {
    return codes;
  } else {
    Chunk v = LoadBytes<Map::t.length>(record + Map::t.base);
    if constexpr (!Map::t.identity) {
      v = hn::TableLookupBytesOr0(v, hn::LoadU(d, Map::t.index.data()));
    }
    if constexpr (Map::t.base3) {
      return hn::Or(codes, Base3Digits<Map>(v));
    } else if constexpr (Map::t.single_bits && Map::t.same_to) {
      const auto set = hn::TestBit(v, hn::LoadU(d, Map::single_bit.data()));
      return hn::Or(codes,
                    hn::IfThenElseZero(set, hn::Set(d, static_cast<uint8_t>(1u << Map::t.to))));
    } else {
      return hn::Or(codes, MoveAndMask<Map::wanted>(v));
    }
  }
}

/// Codes kFirst .. kFirst + kCount of a section of the record at `record`; further lanes are zero
/// or repeat others.
template <class Layout, size_t kSection, size_t kFirst, size_t kCount = chunk_size>
HWY_INLINE Chunk LoadCodes(const uint8_t* HWY_RESTRICT record) {
  Chunk codes = hn::Zero(ChunkTag());  // folds away
  codes = LoadSlot<Layout, kSection, kFirst, kCount, 0>(record, codes);
  codes = LoadSlot<Layout, kSection, kFirst, kCount, 1>(record, codes);
  codes = LoadSlot<Layout, kSection, kFirst, kCount, 2>(record, codes);
  if constexpr (detail::most_pieces<Layout, kSection, kFirst, kCount>() > 3) {
    codes = LoadSlot<Layout, kSection, kFirst, kCount, 3>(record, codes);
  }
  static_assert(max_pieces == 4);
  return codes;
}

/// Base-3 digits times their weights: at most 242 when all five of a byte are added up.
HWY_INLINE Chunk WeighDigits(Chunk digits, Chunk weights) {
  const ChunkTag d;
  const auto one = hn::IfThenElseZero(hn::TestBit(digits, hn::Set(d, uint8_t{1})), weights);
  const auto two =
      hn::IfThenElseZero(hn::TestBit(digits, hn::Set(d, uint8_t{2})), hn::Add(weights, weights));
  return hn::Add(one, two);
}

/// (256 n + 242) / 243 for n <= 242, which is n + (13 n + 242) / 243.
HWY_INLINE Chunk Base3Bytes(Chunk n) {
  const ChunkTag d;
  const hn::FixedTag<uint16_t, 8> du16;
  const auto carry = [&](hn::Vec<hn::FixedTag<uint16_t, 8>> v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const auto x = hn::Add(hn::Mul(v, hn::Set(du16, uint16_t{13})), hn::Set(du16, uint16_t{242}));
    return hn::MulHigh(x, hn::Set(du16, uint16_t{270}));  // x / 243 for x < 4000
  };
  const auto low = carry(hn::PromoteLowerTo(du16, n));
  const auto high = carry(hn::PromoteUpperTo(du16, n));
  return hn::Add(n, hn::OrderedDemote2To(d, low, high));
}

template <class Map, size_t kRank = 0>
HWY_INLINE Chunk StoredBytes(Chunk codes) {
  const ChunkTag d;
  if constexpr (kRank >= Map::b.ranks) {
    return hn::Zero(d);
  } else if constexpr (Map::t.base3) {
    Chunk v = codes;
    if constexpr (!Map::b.identity) {
      v = hn::TableLookupBytesOr0(v, hn::LoadU(d, Map::b.lane[kRank].data()));
    }
    v = WeighDigits(v, hn::LoadU(d, Map::b.power3[kRank].data()));
    return hn::Add(StoredBytes<Map, kRank + 1>(codes), v);
  } else {
    Chunk v = codes;
    if constexpr (!Map::b.identity) {
      v = hn::TableLookupBytesOr0(v, hn::LoadU(d, Map::b.lane[kRank].data()));
    }
    const auto bytes = MoveAndMask<detail::stored_masks<Map, kRank>>(v);
    if constexpr (kRank + 1 == Map::b.ranks) {
      return bytes;
    } else {
      return hn::Or(StoredBytes<Map, kRank + 1>(codes), bytes);
    }
  }
}

/// Window bytes of one piece of the codes, other bits zero.
template <class Map>
HWY_INLINE Chunk StoredSlot(Chunk codes) {
  const ChunkTag d;
  if constexpr (Map::is_lane_mask) {
    const auto set = hn::TestBit(codes, hn::Set(d, static_cast<uint8_t>(1u << Map::t.to)));
    uint8_t mask[8] = {};
    hn::StoreMaskBits(d, set, mask);
    uint16_t lanes;  // only what was written: a wider load would stall
    std::memcpy(&lanes, mask, sizeof lanes);
    const uint64_t bits = uint64_t{lanes} << (8 * (Map::t.piece[0].byte - Map::t.base));
    return hn::BitCast(d, hn::Dup128VecFromValues(hn::FixedTag<uint64_t, 2>(), bits, uint64_t{0}));
  } else {
    return StoredBytes<Map>(codes);
  }
}

/// Ors one piece of 16 codes into a record whose bits there are zero.
template <class Layout, size_t kSection, size_t kFirst, size_t kCount, size_t kSlot>
HWY_INLINE void StoreSlot(Chunk codes, uint8_t* HWY_RESTRICT record) {
  using Map = detail::chunk_map<Layout, kSection, kFirst, kCount, kSlot>;
  if constexpr (Map::t.used && !Map::t.base3) {
    uint8_t* HWY_RESTRICT window = record + Map::t.base;
    const auto there = LoadBytes<Map::t.length>(window);
    StoreBytes<Map::t.length>(hn::Or(there, StoredSlot<Map>(codes)), window);
  }
}

// All codes of a section at a time: the pieces that share bytes are joined in a register and stored
// once. (Adding to memory chunk by chunk reads bytes just written in other portions, which stalls.)

template <class Layout, size_t kSection, size_t kCount, size_t kPair>
using PairMap = detail::chunk_map<Layout, kSection, kPair / max_pieces * chunk_size,
                                  HWY_MIN(kCount - kPair / max_pieces * chunk_size, chunk_size),
                                  kPair % max_pieces>;

/// The bytes of pair kLead, from all pairs from kPair on that touch the same.
template <class Layout, size_t kSection, size_t kCount, size_t kLead, size_t kPair>
HWY_INLINE Chunk JoinedBytes(const uint8_t* HWY_RESTRICT codes) {
  using Section = detail::section_map<Layout, kSection, kCount>;
  if constexpr (kPair >= Section::size) {
    return hn::Zero(ChunkTag());
  } else if constexpr (!Section::spans[kPair].used || Section::spans[kPair].leader != kLead) {
    return JoinedBytes<Layout, kSection, kCount, kLead, kPair + 1>(codes);
  } else {
    using Map = PairMap<Layout, kSection, kCount, kPair>;
    const auto chunk = hn::LoadU(ChunkTag(), codes + kPair / max_pieces * chunk_size);
    constexpr size_t kSkip = Section::spans[kPair].first - Map::t.base;
    const auto bytes = hn::ShiftRightBytes<kSkip>(ChunkTag(), StoredSlot<Map>(chunk));
    const auto rest = JoinedBytes<Layout, kSection, kCount, kLead, kPair + 1>(codes);
    return Map::t.base3 ? hn::Add(bytes, rest) : hn::Or(bytes, rest);
  }
}

template <class Layout, size_t kSection, size_t kCount, size_t kPair>
HWY_INLINE void StorePair(const uint8_t* HWY_RESTRICT codes, uint8_t* HWY_RESTRICT record) {
  constexpr auto kSpan = detail::section_map<Layout, kSection, kCount>::spans[kPair];
  if constexpr (kSpan.used && !kSpan.whole) {
    constexpr size_t kFirst = kPair / max_pieces * chunk_size;
    StoreSlot<Layout, kSection, kFirst, HWY_MIN(kCount - kFirst, chunk_size), kPair % max_pieces>(
        hn::LoadU(ChunkTag(), codes + kFirst), record);
  } else if constexpr (kSpan.used && kSpan.leader == kPair) {
    auto bytes = JoinedBytes<Layout, kSection, kCount, kPair, kPair>(codes);
    if constexpr (kSpan.base3) bytes = Base3Bytes(bytes);
    StoreBytes<kSpan.last - kSpan.first + 1>(bytes, record + kSpan.first);
  }
}

template <class Layout, size_t kSection, size_t kCount, size_t... kPair>
HWY_INLINE void StorePairs(const uint8_t* HWY_RESTRICT codes, uint8_t* HWY_RESTRICT record,
                           std::index_sequence<kPair...>) {
  (StorePair<Layout, kSection, kCount, kPair>(codes, record), ...);
}

/// Stores all kCount codes of a section, one per byte at `codes` (readable up to a multiple of 16).
/// Bytes that the section shares with others must be zero.
template <class Layout, size_t kSection, size_t kCount>
HWY_INLINE void StoreSection(const uint8_t* HWY_RESTRICT codes, uint8_t* HWY_RESTRICT record) {
  using Section = detail::section_map<Layout, kSection, kCount>;
  StorePairs<Layout, kSection, kCount>(codes, record, std::make_index_sequence<Section::size>());
}

/// 16 codes of kBits bits in nibble's own order.
template <int kBits>
HWY_INLINE Chunk LoadPlanar(const uint8_t* HWY_RESTRICT p) {
  if constexpr (kBits == 8) {
    return hn::LoadU(ChunkTag(), p);
  } else {
    return LoadCodes<planar_layout<kBits>, 0, 0>(p);
  }
}

/// Writes all 2 * kBits bytes of the chunk.
template <int kBits>
HWY_INLINE void StorePlanar(Chunk codes, uint8_t* HWY_RESTRICT p) {
  using Layout = planar_layout<kBits>;
  if constexpr (kBits == 8) {
    hn::StoreU(codes, ChunkTag(), p);
  } else {
    auto bytes = StoredSlot<detail::chunk_map<Layout, 0, 0, chunk_size, 0>>(codes);
    if constexpr ((kBits & (kBits - 1)) != 0) {
      bytes = hn::Or(bytes, StoredSlot<detail::chunk_map<Layout, 0, 0, chunk_size, 1>>(codes));
    }
    if constexpr (kBits == 7) {
      bytes = hn::Or(bytes, StoredSlot<detail::chunk_map<Layout, 0, 0, chunk_size, 2>>(codes));
    }
    StoreBytes<Layout::block_bytes>(bytes, p);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
