// SPDX-License-Identifier: Apache-2.0 OR MIT
// The packed layout: one for all instruction sets.
//
// A panel is 16 rows. Along k a panel is a row of strips of 32 columns, bits * 64 bytes each. A
// code's bits lie in planes of 8, 4, 2 or 1 bits; each plane is vectors of 64 bytes, four bytes per
// row, byte j of a row for columns 4 q + j:
//
//   byte of a vector     0 1 2 3 | 4 5 6 7 | ... | 60 .. 63
//   row                  0       | 1       |     | 15
//   8 bits, vector v     k = 4 v + j                              8 vectors per strip
//   4 bits, vector v     k = 8 v + 4 q + j,  bits 4 q .. 4 q + 3  4 vectors
//   2 bits, vector v     k = 16 v + 4 q + j, bits 2 q, 2 q + 1    2 vectors
//   1 bit                k = 4 q + j,        bit q                1 vector
//
// so that one shift and one mask give the "quad" that every int8 dot product wants: 16 rows x 4 k.
// 3, 5, 6 and 7 bits are a plane of 2 or 4 and the rest behind it. 16-bit codes lie as 16 rows x 2
// k, 32-bit codes as 16 rows x 1 k. Integers are stored as value - lowest (unsigned).
//
// Blocks follow each other in k; a block whose length is no multiple of 32 (and is not 16) is
// padded with codes of zero. The scales of the 16 rows lie together: [panel][block][16].
#ifndef NIBBLE_FORMAT_PACKED_H_
#define NIBBLE_FORMAT_PACKED_H_

#include <numeric>

#include "nibble/element/ggml.h"
#include "nibble/format/outliers.h"
#include "nibble/format/packed_shape.h"
#include "nibble/format/values.h"

namespace nibble::inline NIBBLE_ABI {

namespace detail {

/// Where a part of a code lies in a strip: bits [shift, shift + width) of byte `byte` are bits
/// [to, to + width) of the code.
struct packed_piece {
  std::size_t byte;
  int shift;
  int width;
  int to;
};

/// Widths of the planes of a code, lowest bits first.
constexpr std::array<int, 3> planes_of(int bits) noexcept {
  switch (bits) {
    case 3: return {2, 1, 0};
    case 5: return {4, 1, 0};
    case 6: return {4, 2, 0};
    case 7: return {4, 2, 1};
    default: return {bits, 0, 0};
  }
}

constexpr std::size_t strip_bytes(int bits) noexcept {
  return static_cast<std::size_t>(bits) * panel_rows * strip_cols / 8;
}

/// Piece number `plane` of the code of (row, col) of a strip. A bijection between the bits of codes
/// and those of the strip (tests/pack_test.cc).
constexpr packed_piece locate_packed(int bits, std::size_t plane, std::size_t row,
                                     std::size_t col) noexcept {
  const std::array<int, 3> planes = planes_of(bits);
  int before = 0;
  for (std::size_t p = 0; p < plane; ++p) before += planes[p];
  const int width = planes[plane];
  if (width == 0) return {0, 0, 0, 0};
  if (width > 8) {  // whole codes, 4 bytes per row
    const std::size_t size = static_cast<std::size_t>(width) / 8;
    const std::size_t per_vector = 4 / size;
    return {col / per_vector * 64 + row * 4 + col % per_vector * size, 0, width, 0};
  }
  const std::size_t per_vector = 32 / static_cast<std::size_t>(width);
  const std::size_t in_vector = col % per_vector;
  return {strip_bytes(before) + col / per_vector * 64 + row * 4 + in_vector % 4,
          static_cast<int>(in_vector / 4) * width, width, before};
}

// --- factors: how scales and shifts are stored -----------------------------

/// A scale or shift of 1 (plain elements) or 0 (no shift): not stored.
struct no_factor {
  static constexpr bool stored = false;
  static constexpr bool two_level = false;
  static constexpr bool lossless = true;
};

/// Codes of element Code per block. With Super, value = super * level (+ center): one super per
/// `every` blocks, a number that is found when packing.
template <element Code, class Super, bool HasCenter, bool Lossless>
struct factor {
  using code = Code;
  using super = Super;
  static constexpr bool stored = true;
  static constexpr bool two_level = !std::is_void_v<Super>;
  static constexpr bool has_center = HasCenter;
  /// Whether unpack() finds the codes of the format again.
  static constexpr bool lossless = Lossless;
};

template <class S>
struct factor_of;
template <>
struct factor_of<void> {
  using type = no_factor;
};
template <element S>
struct factor_of<S> {
  using type = factor<S, void, false, true>;
};
template <block_format S>
struct factor_of<S> {
  static constexpr bool plain_super = element<typename S::scale_format>;
  static constexpr bool center = S::shift_type::kind == shift_kind::center;
  static constexpr bool plain_center = [] {
    if constexpr (center) return element<typename S::shift_format>;
    return true;
  }();
  // Scales with a shift of their own in every block are stored as the floats they mean.
  using type = std::conditional_t<
      S::has_shift && !center, factor<f32, void, false, false>,
      factor<typename S::element, std::conditional_t<plain_super, typename S::scale_format, f32>,
             center, plain_super && plain_center>>;
};

/// How shifts enter the arithmetic. A center is an offset of another extent; a minimum is one of
/// the other sign, which kernels turn when they read it.
enum class shift_use : std::uint8_t { none, zero_int, zero_float, offset, minimum };

template <class F>
consteval shift_use shift_use_of() {
  if constexpr (element<F>) {
    return shift_use::none;
  } else if constexpr (F::shift_type::kind == shift_kind::none) {
    return shift_use::none;
  } else if constexpr (F::shift_type::kind == shift_kind::zero) {
    if constexpr (integer_element<typename F::shift_format>) return shift_use::zero_int;
    return shift_use::zero_float;
  } else if constexpr (F::shift_type::kind == shift_kind::minimum) {
    return shift_use::minimum;
  } else {
    return shift_use::offset;
  }
}

template <class F>
struct parts_of {
  using element = F;
  using scale = no_factor;
  using shift = no_factor;
  static constexpr extent shape = whole_row;
};
template <block_format F>
struct parts_of<F> {
  using element = typename F::element;
  using scale = typename factor_of<typename F::scale_format>::type;
  using shift = typename factor_of<typename F::shift_format>::type;
  static constexpr extent shape = F::shape;
};

}  // namespace detail

/// A format without its wire layout.
template <class F>
struct meaning_of {
  using type = F;
};
template <wire_format F>
struct meaning_of<F> {
  using type = typename F::meaning;
};

namespace detail {

/// Column of w that packed column p holds; cols if it is padding.
constexpr std::size_t source_column(const packed_shape& s, std::size_t p) noexcept {
  const std::size_t b = p / s.block_cols;
  const std::size_t i = p % s.block_cols;
  const std::size_t c = b * s.block + i;
  return i < s.block && c < s.cols ? c : s.cols;
}

/// The four arrays of scales and shifts.
enum packed_part : std::size_t { scale_codes, scale_supers, shift_codes, shift_supers, num_parts };

}  // namespace detail

/// A packed matrix without its format: pointers and sizes. What files hold and kernels read.
struct packed_data {
  packed_shape shape;
  const std::uint8_t* codes = nullptr;                         ///< [panel][strip][bits * 64]
  std::array<const std::uint8_t*, detail::num_parts> parts{};  ///< [panel][block][16]
  std::array<std::size_t, 2> super_every{1, 1};  ///< blocks per super-scale: scales, shifts
  std::array<float, 2> center{};                 ///< of two-level scales, shifts
  outlier_data outliers;                         ///< what is multiplied beside it; or nothing
};

namespace detail {

/// Whether a packed matrix has codes, if its shape wants some.
constexpr bool is_there(const packed_data& w) noexcept {
  return w.codes != nullptr || w.shape.num_panels == 0 || w.shape.packed_cols == 0;
}

/// Bytes of the arrays, and where they begin in one buffer: multiples of 64.
struct packed_sizes {
  std::array<std::size_t, num_parts + 1> bytes{};  // codes, then the parts
  std::array<std::size_t, num_parts + 1> offset{};
  std::size_t total = 0;
};

template <class Factor, class Fn>
constexpr void for_each_factor_part(std::size_t first, Fn&& fn) {
  if constexpr (Factor::stored) {
    fn.template operator()<typename Factor::code>(first, false);
    if constexpr (Factor::two_level)
      fn.template operator()<typename Factor::super>(first + 1, true);
  }
}

/// What the sizes of a packed matrix depend on, beside its shape.
struct packed_structure {
  std::uint8_t code_bits = 0;
  std::array<std::uint8_t, num_parts> part_bytes{};  ///< of an entry; 0: there is no such part
  std::size_t block = 0;                             ///< values; 0: whole rows
  friend constexpr bool operator==(const packed_structure&, const packed_structure&) = default;
};

template <class F>
constexpr packed_structure structure_of() noexcept {
  using P = parts_of<typename meaning_of<F>::type>;
  packed_structure s;
  s.code_bits = static_cast<std::uint8_t>(P::element::bits);
  s.block = P::shape.cols == all ? 0 : P::shape.cols;
  const auto part = [&]<class E>(std::size_t i, bool) {
    s.part_bytes[i] = sizeof(typename E::code);
  };
  for_each_factor_part<typename P::scale>(scale_codes, part);
  for_each_factor_part<typename P::shift>(shift_codes, part);
  return s;
}

constexpr packed_sizes packed_sizes_of(const packed_structure& structure, const packed_shape& s,
                                       const std::array<std::size_t, 2>& super_every) noexcept {
  packed_sizes z;
  z.bytes[0] = s.num_panels * s.num_strips() * strip_bytes(structure.code_bits);
  for (std::size_t i = 0; i < num_parts; ++i) {
    const std::size_t every = i % 2 != 0 ? super_every[i / 2] : 1;
    const std::size_t count = every == 0 ? 0 : (s.num_blocks + every - 1) / every;
    z.bytes[1 + i] = s.num_panels * count * panel_rows * structure.part_bytes[i];
  }
  for (std::size_t i = 0; i <= num_parts; ++i) {
    z.offset[i] = z.total;
    z.total += (z.bytes[i] + 63) / 64 * 64;
  }
  return z;
}

template <class F>
constexpr packed_sizes packed_sizes_of(const packed_shape& s,
                                       const std::array<std::size_t, 2>& super_every) noexcept {
  return packed_sizes_of(structure_of<F>(), s, super_every);
}

/// Blocks in k that share a super-scale for sure, wherever a row begins.
template <class S>
constexpr std::size_t super_every_of(const packed_shape& s) noexcept {
  if constexpr (block_format<S>) {
    if constexpr (!factor_of<S>::type::two_level) return 1;
    if (S::shape.cols == all || s.num_blocks == 0) return s.num_blocks == 0 ? 1 : s.num_blocks;
    if (S::shape.flat) {
      const std::size_t grid = (s.cols + s.block - 1) / s.block;
      return std::gcd(grid, S::shape.cols);
    }
    return S::shape.cols;
  } else {
    return 1;
  }
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_PACKED_H_
