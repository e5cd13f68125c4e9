// SPDX-License-Identifier: Apache-2.0 OR MIT
// From the bits of a layout to byte shuffles, masks and windows: tables that kernels load and store
// chunks of 16 codes with, made at compile time. kernel/chunk-inl.h says how they are used.
#ifndef NIBBLE_FORMAT_CHUNK_MAP_H_
#define NIBBLE_FORMAT_CHUNK_MAP_H_

#include "nibble/format/bits.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

inline constexpr std::array<std::uint8_t, chunk_size> no_lanes{};

/// Piece number kSlot of codes kFirst .. kFirst + kCount of a section, at most 16.
template <class Layout, std::size_t kSection, std::size_t kFirst, std::size_t kCount,
          std::size_t kSlot>
struct chunk_map {
  static constexpr std::size_t none = 255;
  struct tables {
    std::array<bit_piece, chunk_size> piece{};
    bool used = false;
    std::size_t base = 0;    // first byte of the window
    std::size_t length = 0;  // bytes of the window
    bool fits = true;
    std::array<std::uint8_t, chunk_size> index{};  // window byte of each lane, 0x80 for none
    bool identity = true;
    bool base3 = false;
    bool single_bits = true;  // every piece is one bit wide
    bool same_to = true;
    int to = 0;
  };

  static constexpr tables t = [] {
    tables r;
    std::size_t low = none * none;
    std::size_t high = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const bit_piece p = Layout::locate(kSection, kFirst + i).pieces[kSlot];
      r.piece[i] = p;
      if (p.width == 0) continue;
      if (r.used && p.to != r.to) r.same_to = false;
      r.used = true;
      r.to = p.to;
      r.base3 = r.base3 || p.base3;
      r.single_bits = r.single_bits && p.width == 1;
      low = p.byte < low ? p.byte : low;
      high = p.byte > high ? p.byte : high;
    }
    if (!r.used) return r;
    constexpr std::size_t size = Layout::block_bytes;
    r.base = low + chunk_size <= size ? low : size > chunk_size ? size - chunk_size : 0;
    r.length = size - r.base < chunk_size ? size - r.base : chunk_size;
    r.fits = high - r.base < chunk_size;
    for (std::size_t i = 0; i < chunk_size; ++i) {
      const bool there = i < kCount && r.piece[i].width != 0;
      r.index[i] = there ? static_cast<std::uint8_t>(r.piece[i].byte - r.base) : 0x80;
      if (there && r.index[i] != i) r.identity = false;
    }
    return r;
  }();
  static_assert(t.fits, "nibble: 16 neighbouring codes of a layout must lie within 16 bytes");

  /// Lanes of one distance from stored to wanted bits, and the bits they want.
  static constexpr int distances = 15;  // to - shift + 7
  static constexpr auto wanted = [] {
    std::array<std::array<std::uint8_t, chunk_size>, distances> m{};
    for (std::size_t i = 0; i < kCount; ++i) {
      const bit_piece p = t.piece[i];
      if (p.width == 0 || p.base3) continue;
      m[static_cast<std::size_t>(p.to - p.shift + 7)][i] =
          static_cast<std::uint8_t>(((1u << p.width) - 1) << p.to);
    }
    return m;
  }();
  static constexpr auto single_bit = [] {
    std::array<std::uint8_t, chunk_size> m{};
    for (std::size_t i = 0; i < kCount; ++i) {
      m[i] = static_cast<std::uint8_t>(t.piece[i].width != 0 ? 1u << t.piece[i].shift : 0);
    }
    return m;
  }();
  static constexpr auto power3 = [] {
    constexpr std::array<std::uint16_t, 5> power{1, 3, 9, 27, 81};
    std::array<std::uint16_t, chunk_size> m{};
    for (std::size_t i = 0; t.base3 && i < kCount; ++i) m[i] = power[t.piece[i].shift];
    return m;
  }();

  // The way back. Byte b of the window is the or of its lanes, taken in `ranks` rounds.
  struct back {
    std::array<std::array<std::uint8_t, chunk_size>, 8> lane{};  // lane of each byte, 0x80 for none
    std::array<std::array<std::array<std::uint8_t, chunk_size>, distances>, 8> stored{};
    std::array<std::array<std::uint8_t, chunk_size>, 8> power3{};  // weight of a base-3 digit
    std::size_t ranks = 0;
    bool identity = true;
  };
  static constexpr back b = [] {
    back r;
    std::array<std::size_t, chunk_size> filled{};
    for (auto& lanes : r.lane) lanes.fill(0x80);
    for (std::size_t i = 0; i < kCount; ++i) {
      const bit_piece p = t.piece[i];
      if (p.width == 0) continue;
      const std::size_t byte = t.index[i];
      const std::size_t rank = filled[byte]++;
      r.ranks = rank + 1 > r.ranks ? rank + 1 : r.ranks;
      r.lane[rank][byte] = static_cast<std::uint8_t>(i);
      if (p.base3) {
        constexpr std::array<std::uint8_t, 5> weight{81, 27, 9, 3, 1};
        r.power3[rank][byte] = weight[p.shift];
      } else {
        r.stored[rank][static_cast<std::size_t>(p.shift - p.to + 7)][byte] =
            static_cast<std::uint8_t>(((1u << p.width) - 1) << p.shift);
      }
      if (rank != 0 || byte != i) r.identity = false;
    }
    return r;
  }();
  /// Bit i of the window is bit `to` of lane i: a mask of lanes is the stored form.
  static constexpr bool is_lane_mask = [] {
    if (!t.used || !t.single_bits || !t.same_to || kCount != chunk_size ||
        t.piece[0].byte - t.base > 6) {
      return false;
    }
    for (std::size_t i = 0; i < kCount; ++i) {
      if (t.piece[i].byte != t.piece[0].byte + i / 8 || t.piece[i].shift != i % 8) return false;
    }
    return true;
  }();

  static constexpr bool all_zero(const std::array<std::uint8_t, chunk_size>& a) {
    for (const std::uint8_t v : a) {
      if (v != 0) return false;
    }
    return true;
  }
};

/// The most pieces of one of codes kFirst .. kFirst + kCount.
template <class Layout, std::size_t kSection, std::size_t kFirst, std::size_t kCount>
consteval std::size_t most_pieces() {
  std::size_t most = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const bit_field f = Layout::locate(kSection, kFirst + i);
    for (std::size_t s = most; s < max_pieces; ++s) {
      if (f.pieces[s].width != 0) most = s + 1;
    }
  }
  return most;
}

/// Which pieces of all chunks of a section share bytes. Piece s of chunk c is number
/// c * max_pieces + s.
template <class Layout, std::size_t kSection, std::size_t kCount>
struct section_map {
  static constexpr std::size_t chunks = (kCount + chunk_size - 1) / chunk_size;
  static constexpr std::size_t size = chunks * max_pieces;
  struct span {
    std::size_t first = Layout::block_bytes;  // bytes touched: first .. last
    std::size_t last = 0;
    std::size_t bits = 0;
    bool used = false;
    bool base3 = false;
    std::size_t leader = 0;  // the first span of the same bytes
    bool whole = false;      // spans of these bytes leave no bit of them to others
  };
  static constexpr std::array<span, size> spans = [] {
    std::array<span, size> r{};
    for (std::size_t i = 0; i < kCount; ++i) {
      const bit_field f = Layout::locate(kSection, i);
      for (std::size_t s = 0; s < max_pieces; ++s) {
        const bit_piece p = f.pieces[s];
        if (p.width == 0) continue;
        span& v = r[i / chunk_size * max_pieces + s];
        v.used = true;
        v.base3 = p.base3;
        v.bits += p.width;
        v.first = p.byte < v.first ? p.byte : v.first;
        v.last = p.byte > v.last ? p.byte : v.last;
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      const auto same = [&](std::size_t j) {
        return r[j].used && r[j].first == r[i].first && r[j].last == r[i].last;
      };
      r[i].leader = i;
      std::size_t bits = 0;
      for (std::size_t j = size; j-- > 0;) {
        if (!same(j)) continue;
        r[i].leader = j;
        bits += r[j].bits;
      }
      r[i].whole = r[i].base3 || bits == 8 * (r[i].last - r[i].first + 1);
    }
    return r;
  }();
};

/// Masks of one round. An object of its own: clang before 18 takes no reference to a member as a
/// template argument.
template <class Map, std::size_t kRank>
inline constexpr auto stored_masks = Map::b.stored[kRank];

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_CHUNK_MAP_H_
