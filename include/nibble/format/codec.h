// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codecs: what packed kernels are made for, instead of one kernel per element.
//
//   linear      integers of any sign and bias: value = (code - bias) * unit
//   book        up to 4 bits: any 16 values, by a table that travels with the call
//   the element itself: fp8, fp6, 8-bit codebooks, f16, bf16, f32
//
// The integer path multiplies levels, bytes in 0 .. 255: value ~ (level - bias) * unit. Integers,
// FP4, FP6 E2M3, IQ4 and binary codes are such levels exactly; other books to within `error`.
// Elements of 4 bits with a NaN, an infinity or values of too different sizes have no levels.
#ifndef NIBBLE_FORMAT_CODEC_H_
#define NIBBLE_FORMAT_CODEC_H_

#include <array>
#include <limits>

#include "nibble/element/integer.h"
#include "nibble/element/minifloat.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Integers of `Bits` bits; HasUnit if values are not whole numbers (MXINT8).
template <int Bits, bool HasUnit>
struct linear_codec {
  static constexpr bool has_unit = HasUnit;
  static constexpr int bits = Bits;
  static constexpr bool has_levels = true;
  static constexpr int highest = (1 << Bits) - 1;  ///< levels are not above it
};

/// Any values of at most 4 bits.
template <int Bits, bool HasLevels, int Highest>
struct book_codec {
  static constexpr bool is_book = true;
  static constexpr int bits = Bits;
  static constexpr bool has_levels = HasLevels;
  static constexpr int highest = Highest;
};

/// An element that is decoded by its own code. Levels: of 5 and 6 bits, by a table of 64.
template <class E, bool HasLevels, int Highest>
struct element_codec {
  using element = E;
  static constexpr int bits = E::bits;
  static constexpr bool has_levels = HasLevels;
  static constexpr int highest = Highest;
};

/// The levels of an element of at most 6 bits.
struct level_table {
  std::array<std::uint8_t, 64> level{};
  int bias = 0;
  int highest = 0;
  float unit = 1;
  float error = 0;  ///< max |value - (level - bias) * unit|, in values before scaling
  bool exact = false;
  bool close = false;   ///< a level is off by an eighth at most of what its value stands for
  bool usable = false;  ///< else nothing above means anything

  /// A bound of levels, one of few so that elements share kernels: below 32 the products of four
  /// quads fit 16 bits, below 128 levels fit signed bytes (kernel/gemm_dot-inl.h).
  [[nodiscard]] constexpr int bound() const noexcept {
    return highest < 32 ? 31 : highest < 128 ? 127 : 255;
  }
};

/// Values whose largest is beyond these ends have no levels: their unit, or its product with a
/// scale, could overflow or be subnormal.
inline constexpr float largest_with_levels = 1e30f;
inline constexpr float smallest_with_levels = 1e-30f;

/// How wide the range of numbers is that a value of an element stands for: from half way to the
/// next value below to half way to the next above, or as far on both sides at an end.
template <element E>
consteval float cell_width(float v) {
  constexpr float none = std::numeric_limits<float>::max();
  float below = none;
  float above = none;
  for (std::size_t c = 0; c < std::size_t{1} << E::bits; ++c) {
    const float other = E::decode(static_cast<typename E::code>(c));
    if (other < v && v - other < below) below = v - other;
    if (other > v && other - v < above) above = other - v;
  }
  if (below == none) return above;
  return above == none ? below : (below + above) / 2;
}

template <element E>
consteval level_table make_levels() {
  level_table t;
  constexpr std::size_t n = std::size_t{1} << E::bits;
  const auto size = [](float v) { return v < 0 ? -v : v; };
  float largest = 0;
  for (std::size_t c = 0; c < n; ++c) {
    const float v = E::decode(static_cast<typename E::code>(c));
    if (!(size(v) < largest_with_levels)) return t;  // NaN and infinity, too
    largest = size(v) > largest ? size(v) : largest;
  }
  for (int j = 0; j <= 8 && !t.exact; ++j) {
    t.unit = exp2i(-j);
    t.exact = largest / t.unit <= 127;
    for (std::size_t c = 0; c < n && t.exact; ++c) {
      const float v = E::decode(static_cast<typename E::code>(c)) / t.unit;
      t.exact = v == static_cast<float>(static_cast<int>(v));
    }
  }
  if (!t.exact) {
    if (largest < smallest_with_levels) return t;
    t.unit = largest / 127;
  }
  t.usable = t.close = true;
  std::array<int, 64> whole{};
  int low = 0;
  int high = 0;
  for (std::size_t c = 0; c < n; ++c) {
    const float v = E::decode(static_cast<typename E::code>(c));
    const float y = v / t.unit;
    whole[c] = static_cast<int>(y < 0 ? y - 0.5f : y + 0.5f);
    if (whole[c] == 0 && v != 0) t.usable = false;  // lost beside far larger ones
    low = whole[c] < low ? whole[c] : low;
    high = whole[c] > high ? whole[c] : high;
    const float error = size(v - static_cast<float>(whole[c]) * t.unit);
    if (t.exact) continue;
    if (error > t.error) t.error = error;
    if (error * 8 > cell_width<E>(v)) t.close = false;
  }
  t.bias = -low;
  t.highest = high - low;
  for (std::size_t c = 0; c < 64; ++c) {
    t.level[c] = static_cast<std::uint8_t>(whole[c % n] + t.bias);
  }
  return t;
}

/// What a kernel is told about an element.
struct codec_info {
  const float* values = nullptr;         ///< book: 16 values
  const std::uint8_t* levels = nullptr;  ///< 64 levels; null for linear: the code is the level
  int bias = 0;
  float unit = 1;   ///< of levels
  float error = 0;  ///< of levels
  bool has_levels = false;
  bool exact_levels = false;
  bool close_levels = false;  ///< so near that activations of 8 bits lose far more
};

template <element E>
struct small_tables {
  static constexpr level_table levels = make_levels<E>();
  static constexpr std::array<float, 16> values = [] {
    std::array<float, 16> v{};
    for (std::size_t c = 0; c < 16; ++c) {
      v[c] = E::decode(static_cast<typename E::code>(c % (std::size_t{1} << E::bits)));
    }
    return v;
  }();
};

template <element E>
consteval auto choose_codec() {
  if constexpr (requires {
                  E::flip;
                  E::fraction_bits;
                }) {
    return linear_codec<E::bits, E::fraction_bits != 0>();
  } else if constexpr (E::bits <= 4) {
    constexpr level_table t = small_tables<E>::levels;
    return book_codec<E::bits, t.usable, t.bound()>();
  } else if constexpr (E::bits == 6 || E::bits == 5) {
    constexpr level_table t = small_tables<E>::levels;
    return element_codec<E, t.exact, t.bound()>();
  } else {
    return element_codec<E, false, 255>();
  }
}
template <element E>
using codec_of = decltype(choose_codec<E>());

template <element E>
constexpr codec_info make_codec_info() noexcept {
  codec_info c;
  if constexpr (requires {
                  E::flip;
                  E::fraction_bits;
                }) {
    c.bias = E::bias;
    c.unit = E::unit;
    c.has_levels = c.exact_levels = c.close_levels = true;
  } else if constexpr (E::bits <= 6) {
    using T = small_tables<E>;
    if constexpr (codec_of<E>::has_levels) {
      c.levels = T::levels.level.data();
      c.bias = T::levels.bias;
      c.unit = T::levels.unit;
      c.error = T::levels.error;
      c.has_levels = true;
      c.exact_levels = T::levels.exact;
      c.close_levels = T::levels.close;
    }
    if constexpr (E::bits <= 4) c.values = T::values.data();
  }
  return c;
}
template <element E>
inline constexpr codec_info codec_info_of = make_codec_info<E>();

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_CODEC_H_
