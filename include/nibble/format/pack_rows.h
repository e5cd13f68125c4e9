// SPDX-License-Identifier: Apache-2.0 OR MIT
// Moving codes and scales between quantized rows and panels. Plain code: packing happens once.
#ifndef NIBBLE_FORMAT_PACK_ROWS_H_
#define NIBBLE_FORMAT_PACK_ROWS_H_

#include "nibble/format/packed.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class F>
packed_data make_packed_data(std::size_t rows, std::size_t cols) noexcept {
  using M = typename meaning_of<F>::type;
  packed_data d;
  const std::size_t block = parts_of<M>::shape.cols;
  d.shape = make_packed_shape(rows, cols, block == all ? cols : block);
  if constexpr (block_format<M>) {
    d.super_every[0] = super_every_of<typename M::scale_format>(d.shape);
    d.super_every[1] = super_every_of<typename M::shift_format>(d.shape);
  }
  return d;
}

inline void point_into(packed_data& d, const packed_sizes& sizes,
                       const std::uint8_t* buffer) noexcept {
  d.codes = buffer + sizes.offset[0];
  for (std::size_t i = 0; i < num_parts; ++i) {
    d.parts[i] = sizes.bytes[1 + i] == 0 ? nullptr : buffer + sizes.offset[1 + i];
  }
}

/// Integers are packed as value - lowest; other codes as they are.
template <class E>
constexpr typename E::code to_packed_code(typename E::code c) noexcept {
  if constexpr (requires { E::flip; }) {
    return static_cast<typename E::code>((c ^ static_cast<unsigned>(E::flip)) &
                                         ((1u << E::bits) - 1));
  } else {
    return c;
  }
}

template <class E>
inline void store_packed(std::uint8_t* strip, std::size_t row, std::size_t col,
                         typename E::code code) noexcept {
  if constexpr (E::bits >= 8) {
    std::memcpy(strip + locate_packed(E::bits, 0, row, col).byte, &code, sizeof code);
  } else {
    for (std::size_t plane = 0; plane < 3; ++plane) {
      const packed_piece p = locate_packed(E::bits, plane, row, col);
      if (p.width == 0) break;
      const unsigned bits = (static_cast<unsigned>(code) >> p.to) & ((1u << p.width) - 1);
      strip[p.byte] = static_cast<std::uint8_t>(strip[p.byte] | bits << p.shift);
    }
  }
}

template <class E>
inline typename E::code load_packed(const std::uint8_t* strip, std::size_t row,
                                    std::size_t col) noexcept {
  typename E::code code{};
  if constexpr (E::bits >= 8) {
    std::memcpy(&code, strip + locate_packed(E::bits, 0, row, col).byte, sizeof code);
  } else {
    for (std::size_t plane = 0; plane < 3; ++plane) {
      const packed_piece p = locate_packed(E::bits, plane, row, col);
      if (p.width == 0) break;
      const unsigned bits =
          (static_cast<unsigned>(strip[p.byte]) >> p.shift) & ((1u << p.width) - 1);
      code = static_cast<typename E::code>(code | bits << p.to);
    }
  }
  return code;
}

/// Entry (panel, block, row in panel) of a part with `blocks` entries per row.
constexpr std::size_t part_index(std::size_t panel, std::size_t blocks, std::size_t b,
                                 std::size_t row) noexcept {
  return (panel * blocks + b) * panel_rows + row;
}

/// Where the codes of a section of a record lie.
template <class Layout, std::size_t kSection, std::size_t kCount>
inline constexpr auto located = [] {
  std::array<bit_field, kCount> fields{};
  for (std::size_t i = 0; i < kCount; ++i) fields[i] = Layout::locate(kSection, i);
  return fields;
}();

/// The same for codes of whole records: piece `slot` of code i is
/// (byte[i] of the record >> shift[i] & mask[i]) << to[i].
template <class Layout, std::size_t kCount>
struct record_map {
  struct pieces {
    std::array<std::uint16_t, kCount> byte{};
    std::array<std::uint8_t, kCount> shift{};
    std::array<std::uint8_t, kCount> mask{};
    std::array<std::uint8_t, kCount> to{};
    bool used = false;
  };
  static constexpr bool base3 = [] {
    for (std::size_t i = 0; i < kCount; ++i) {
      if (Layout::locate(0, i).pieces[0].base3) return true;
    }
    return false;
  }();
  template <std::size_t kSlot>
  static constexpr pieces slot = [] {
    pieces m;
    for (std::size_t i = 0; i < kCount; ++i) {
      const bit_piece p = Layout::locate(0, i).pieces[kSlot];
      m.used = m.used || p.width != 0;
      m.byte[i] = p.byte;
      m.shift[i] = p.shift;
      m.mask[i] = static_cast<std::uint8_t>((1u << p.width) - 1);
      m.to[i] = p.to;
    }
    return m;
  }();

  template <std::size_t kSlot>
  static void read_slot(const std::uint8_t* record, std::uint8_t* codes) noexcept {
    if constexpr (slot<kSlot>.used) {
      constexpr const pieces& m = slot<kSlot>;
      for (std::size_t i = 0; i < kCount; ++i) {
        const unsigned bits = (static_cast<unsigned>(record[m.byte[i]]) >> m.shift[i] & m.mask[i])
                              << m.to[i];
        codes[i] = static_cast<std::uint8_t>(kSlot == 0 ? bits : codes[i] | bits);
      }
    }
  }
  /// Whole bytes, one after the other.
  static constexpr bool plain = [] {
    for (std::size_t i = 0; i < kCount; ++i) {
      if (!(Layout::locate(0, i) == byte_field(Layout::locate(0, 0).pieces[0].byte + i, 1))) {
        return false;
      }
    }
    return true;
  }();
  static void read(const std::uint8_t* record, std::uint8_t* codes) noexcept {
    if constexpr (plain) {
      std::memcpy(codes, record + Layout::locate(0, 0).pieces[0].byte, kCount);
    } else if constexpr (base3) {
      for (std::size_t i = 0; i < kCount; ++i) {
        codes[i] = static_cast<std::uint8_t>(load_bits(record, located<Layout, 0, kCount>[i]));
      }
    } else {
      read_slot<0>(record, codes);
      read_slot<1>(record, codes);
      read_slot<2>(record, codes);
      read_slot<3>(record, codes);
    }
  }
};

/// Single codes of a quantized matrix, whatever holds them.
template <class F>
struct code_source {
  quantized_view<const F> from;

  /// Code (r, c) of a section, which holds elements E.
  template <class E, std::size_t kSection>
  [[nodiscard]] typename E::code get(std::size_t r, std::size_t c) const noexcept {
    if constexpr (wire_format<F>) {
      constexpr std::size_t per_record = [] {
        std::size_t n = 0;
        for_each_record_part<F>([&]<class>(std::size_t s, std::size_t count) {
          if (s == kSection) n = count;
        });
        return n;
      }();
      const std::uint8_t* record =
          from.sections[0].data + r * from.sections[0].stride + c / per_record * F::block_bytes;
      return static_cast<typename E::code>(
          load_bits(record, located<typename F::layout, kSection, per_record>[c % per_record]));
    } else {
      return load_code<E>(from.sections[kSection], r, c);
    }
  }
};

/// Scales or shifts of one row of w, in format S on a grid whose row is `at`.
///
/// @param blocks  per row of w; a grid of fewer columns holds one shift for all of them
template <class Factor, class S, std::size_t kSection, class F>
void pack_factor(const code_source<F>& source, grid_shape grid, std::size_t at, std::size_t blocks,
                 const packed_data& to, std::size_t first_part, std::size_t panel,
                 std::size_t row) noexcept {
  if constexpr (Factor::stored) {
    using E = typename Factor::code;
    const auto* const sections = source.from.sections.data() + kSection;
    auto* const codes = const_cast<std::uint8_t*>(to.parts[first_part]);
    const auto column = [&](std::size_t b) { return b < grid.cols ? b : grid.cols - 1; };
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::size_t c = column(b);
      typename E::code code{};
      if constexpr (element<S>) {
        code = source.template get<S, kSection>(at, c);
      } else if constexpr (Factor::two_level) {
        code = S::shape.flat ? source.template get<E, kSection>(0, at * grid.cols + c)
                             : source.template get<E, kSection>(at, c);
      } else {
        code = E::encode(value_at<S>(sections, grid.rows, grid.cols, at, c));  // f32: as it is
      }
      std::memcpy(codes + part_index(panel, to.shape.num_blocks, b, row) * sizeof code, &code,
                  sizeof code);
    }
    if constexpr (Factor::two_level) {
      using U = typename Factor::super;
      using V = typename S::scale_format;
      auto* const supers = const_cast<std::uint8_t*>(to.parts[first_part + 1]);
      const std::size_t every = to.super_every[first_part / 2];
      const std::size_t count = (to.shape.num_blocks + every - 1) / every;
      const grid_shape super_grid = S::shape.grid(grid.rows, grid.cols);
      for (std::size_t u = 0; u * every < blocks; ++u) {
        const grid_shape b = block_of(S::shape, grid.cols, at, column(u * every));
        typename U::code code{};
        if constexpr (element<V>) {
          code = source.template get<V, kSection + 1>(b.rows, b.cols);
        } else {
          code = U::encode(
              value_at<V>(sections + 1, super_grid.rows, super_grid.cols, b.rows, b.cols));
        }
        std::memcpy(supers + part_index(panel, count, u, row) * sizeof code, &code, sizeof code);
      }
    }
  }
}

/// The centre of two-level scales, one per matrix.
template <class F>
void pack_center(quantized_view<const F> from, packed_data& to) noexcept {
  using M = typename meaning_of<F>::type;
  if constexpr (block_format<M> && !wire_format<F>) {
    const auto center = [&]<class S>(std::size_t section) {
      using Factor = typename factor_of<S>::type;
      if constexpr (Factor::stored) {
        if constexpr (Factor::has_center && Factor::two_level) {
          const auto* s =
              from.sections.data() + section + 1 + num_sections<typename S::scale_format>;
          if (from.rows != 0 && from.cols != 0) {
            return value_at<typename S::shift_format>(s, 1, 1, 0, 0);
          }
        }
      }
      return 0.0f;
    };
    using S = typename M::scale_format;
    to.center[0] = center.template operator()<S>(1);
    if constexpr (M::has_shift) {
      to.center[1] = center.template operator()<typename M::shift_format>(1 + num_sections<S>);
    }
  }
}

/// Codes of a panel are read by rows, a stretch at a time, then interleaved by strips.
template <class F>
struct panel_codes {
  using E = typename parts_of<typename meaning_of<F>::type>::element;
  using code = typename E::code;
  static constexpr std::size_t bytes = strip_bytes(E::bits);
  /// Codes that are read together.
  static constexpr std::size_t record = [] {
    if constexpr (wire_format<F>) return F::block_values;
    return chunk_size;
  }();
  static constexpr std::size_t unit = std::lcm(record, strip_cols);
  /// Columns of a stretch: 16 rows of it stay in the first cache.
  static constexpr std::size_t stretch = unit >= 1024 ? unit : 1024 / unit * unit;
  static constexpr bool fits_stack = stretch <= 4096;

  /// Codes first .. first + count of row r, and up to a record more.
  static void read_row(quantized_view<const F> from, std::size_t r, std::size_t first,
                       std::size_t count, code* codes) noexcept {
    const std::uint8_t* row = from.sections[0].data + r * from.sections[0].stride;
    if constexpr (E::bits >= 8 && !wire_format<F>) {
      std::memcpy(codes, row + first * sizeof(code), count * sizeof(code));
    } else {
      using layout = typename layout_of<F>::type;
      row += first / record * layout::block_bytes;
      for (std::size_t i = 0; i < count; i += record, row += layout::block_bytes) {
        record_map<layout, record>::read(row, codes + i);
      }
    }
  }

  /// One strip: codes of 16 rows, `row_codes` apart, as vectors of 4 bytes per row.
  static void interleave(const code* from, std::size_t row_codes, std::uint8_t* strip) noexcept {
    constexpr std::size_t vectors = E::bits > 8 ? E::bits : 8;
    constexpr std::size_t words = vectors * 8;  // of two rows
    constexpr std::uint64_t flip = 0x0101010101010101u * to_packed_code<E>(0) * (E::bits <= 8);
    std::uint64_t quads[words];
    const auto* bytes_of_rows = reinterpret_cast<const std::uint8_t*>(from);
    const std::size_t row_bytes = row_codes * sizeof(code);
    for (std::size_t pair = 0; pair < 8; ++pair) {
      const std::uint8_t* a = bytes_of_rows + 2 * pair * row_bytes;
      for (std::size_t v = 0; v < vectors; ++v) {
        std::uint32_t low;
        std::uint32_t high;
        std::memcpy(&low, a + 4 * v, 4);
        std::memcpy(&high, a + row_bytes + 4 * v, 4);
        quads[v * 8 + pair] = (low | std::uint64_t{high} << 32) ^ flip;
      }
    }
    if constexpr (E::bits >= 8) {
      std::memcpy(strip, quads, sizeof quads);
    } else {
      std::size_t done = 0;
      for (const int width : planes_of(E::bits)) {
        if (width == 0) break;
        const auto w = static_cast<std::size_t>(width);
        const std::size_t per_vector = 8 / w;
        const std::uint64_t mask = ((std::uint64_t{1} << w) - 1) * 0x0101010101010101u;
        for (std::size_t i = 0; i < w * 8; ++i) {  // word i % 8 of vector i / 8
          std::uint64_t bits = 0;
          for (std::size_t q = 0; q < per_vector; ++q) {
            bits |= (quads[(i / 8 * per_vector + q) * 8 + i % 8] >> done & mask) << (q * w);
          }
          std::memcpy(strip + strip_bytes(static_cast<int>(done)) + i * 8, &bits, 8);
        }
        done += w;
      }
    }
  }

  static void pack(quantized_view<const F> from, const packed_shape& shape, std::size_t panel,
                   std::uint8_t* to) noexcept {
    alignas(64) code buffer[panel_rows][stretch + record];
    for (std::size_t p = 0; p < shape.packed_cols;
         p += stretch, to += stretch / strip_cols * bytes) {
      const std::size_t n = shape.packed_cols - p < stretch ? shape.packed_cols - p : stretch;
      for (std::size_t row = 0; row < panel_rows; ++row) {
        const std::size_t r = panel * panel_rows + row;
        const std::size_t there = r >= shape.rows || p >= shape.cols ? 0 : shape.cols - p;
        const std::size_t count = there < n ? there : n;
        if (count != 0) read_row(from, r, p, count, buffer[row]);
        for (std::size_t i = count; i < n; ++i) buffer[row][i] = E::zero_code;
      }
      for (std::size_t i = 0; i < n; i += strip_cols) {
        interleave(&buffer[0][i], stretch + record, to + i / strip_cols * bytes);
      }
    }
  }

 private:
  template <class G>
  struct layout_of {
    using type = planar_layout<E::bits>;
  };
  template <wire_format G>
  struct layout_of<G> {
    using type = typename G::layout;
  };
};

/// Code by code, for blocks that are padded.
template <class F>
void pack_codes_singly(quantized_view<const F> from, const packed_shape& shape, std::size_t panel,
                       std::uint8_t* codes) noexcept {
  using E = typename parts_of<typename meaning_of<F>::type>::element;
  const code_source<F> source{from};
  constexpr std::size_t bytes = strip_bytes(E::bits);
  std::memset(codes, 0, shape.num_strips() * bytes);
  for (std::size_t row = 0; row < panel_rows; ++row) {
    const std::size_t r = panel * panel_rows + row;
    for (std::size_t p = 0; p < shape.packed_cols; ++p) {
      const std::size_t c = source_column(shape, p);
      const auto code =
          r < shape.rows && c < shape.cols ? source.template get<E, 0>(r, c) : E::zero_code;
      store_packed<E>(codes + p / strip_cols * bytes, row, p % strip_cols, to_packed_code<E>(code));
    }
  }
}

template <class F>
void pack_panel(quantized_view<const F> from, const packed_data& to, std::size_t panel) noexcept {
  using M = typename meaning_of<F>::type;
  using P = parts_of<M>;
  using E = typename P::element;
  const packed_shape& shape = to.shape;
  if (shape.cols == 0) return;
  const code_source<F> source{from};
  auto* const codes =
      const_cast<std::uint8_t*>(to.codes) + panel * shape.num_strips() * strip_bytes(E::bits);
  const bool padded_blocks = shape.block != shape.block_cols && shape.block < shape.cols;
  if (panel_codes<F>::fits_stack && !padded_blocks) {
    if constexpr (panel_codes<F>::fits_stack) panel_codes<F>::pack(from, shape, panel, codes);
  } else {
    pack_codes_singly<F>(from, shape, panel, codes);
  }
  const auto clear = [&]<class C>(std::size_t i, bool super) {
    const std::size_t every = super ? to.super_every[i / 2] : 1;
    const std::size_t count = (shape.num_blocks + every - 1) / every;
    const std::size_t n = count * panel_rows * sizeof(typename C::code);
    std::memset(const_cast<std::uint8_t*>(to.parts[i]) + panel * n, 0, n);
  };
  for_each_factor_part<typename P::scale>(scale_codes, clear);
  for_each_factor_part<typename P::shift>(shift_codes, clear);
  const std::size_t blocks = extent::ceil_div(shape.cols, shape.block);
  for (std::size_t row = 0; row < panel_rows; ++row) {
    const std::size_t r = panel * panel_rows + row;
    if (r >= shape.rows) break;
    if constexpr (block_format<M>) {
      using S = typename M::scale_format;
      pack_factor<typename P::scale, S, 1>(source, M::shape.grid(shape.rows, shape.cols),
                                           block_of(M::shape, shape.cols, r, 0).rows, blocks, to,
                                           scale_codes, panel, row);
      if constexpr (M::has_shift) {
        pack_factor<typename P::shift, typename M::shift_format, 1 + num_sections<S>>(
            source, M::shift_shape.grid(shape.rows, shape.cols),
            block_of(M::shift_shape, shape.cols, r, 0).rows, blocks, to, shift_codes, panel, row);
      }
    }
  }
}

// --- the way back ----------------------------------------------------------

/// unpack() finds every code again.
template <class F>
concept unpackable = parts_of<typename meaning_of<F>::type>::scale::lossless &&
    parts_of<typename meaning_of<F>::type>::shift::lossless;

template <class Factor, class S>
void unpack_factor(const packed_data& from, std::size_t first_part, std::size_t r,
                   const basic_section<std::uint8_t>* s, grid_shape grid, std::size_t at) noexcept {
  if constexpr (Factor::stored) {
    using E = typename Factor::code;
    const std::size_t panel = r / panel_rows;
    const std::size_t row = r % panel_rows;
    for (std::size_t b = 0; b < grid.cols; ++b) {
      typename E::code code;
      std::memcpy(
          &code,
          from.parts[first_part] + part_index(panel, from.shape.num_blocks, b, row) * sizeof code,
          sizeof code);
      const bool flat = [] {
        if constexpr (block_format<S>) return S::shape.flat;
        return false;
      }();
      store_code<E>(*s, flat ? 0 : at, flat ? at * grid.cols + b : b, code);
      if constexpr (Factor::two_level) {
        using U = typename Factor::super;
        const std::size_t every = from.super_every[first_part / 2];
        const std::size_t count = (from.shape.num_blocks + every - 1) / every;
        typename U::code super;
        std::memcpy(
            &super,
            from.parts[first_part + 1] + part_index(panel, count, b / every, row) * sizeof super,
            sizeof super);
        const grid_shape to = block_of(S::shape, grid.cols, at, b);
        store_code<U>(s[1], to.rows, to.cols, super);
      }
    }
  }
}

/// Fills rows [first, first + to.rows) of the packed matrix into `to`, which counts from 0. Where
/// scales span rows, `to` must be the whole matrix.
template <matrix_format M>
void unpack_meaning(const packed_data& from, std::size_t first, quantized_view<M> to) noexcept {
  using P = parts_of<M>;
  using E = typename P::element;
  const packed_shape& shape = from.shape;
  constexpr std::size_t bytes = strip_bytes(E::bits);
  for (std::size_t i = 0; i < to.rows; ++i) {
    const std::size_t r = first + i;
    const std::uint8_t* codes = from.codes + r / panel_rows * shape.num_strips() * bytes;
    for (std::size_t c = 0; c < shape.cols; ++c) {
      const std::size_t p = c / shape.block * shape.block_cols + c % shape.block;
      const auto code =
          load_packed<E>(codes + p / strip_cols * bytes, r % panel_rows, p % strip_cols);
      store_code<E>(to.sections[0], i, c, to_packed_code<E>(code));  // flips back
    }
    if constexpr (block_format<M>) {
      using S = typename M::scale_format;
      unpack_factor<typename P::scale, S>(from, scale_codes, r, to.sections.data() + 1,
                                          M::shape.grid(to.rows, shape.cols),
                                          block_of(M::shape, shape.cols, i, 0).rows);
      if constexpr (M::has_shift) {
        unpack_factor<typename P::shift, typename M::shift_format>(
            from, shift_codes, r, to.sections.data() + 1 + num_sections<S>,
            M::shift_shape.grid(to.rows, shape.cols),
            block_of(M::shift_shape, shape.cols, i, 0).rows);
      }
    }
  }
}

/// The centre of a two-level factor in format S, whose sections are s.
template <class S>
void unpack_center(const basic_section<std::uint8_t>* s, float center) noexcept {
  if constexpr (block_format<S>) {
    if constexpr (factor_of<S>::center) {
      using C = typename S::shift_format;
      store_code<C>(s[1 + num_sections<typename S::scale_format>], 0, 0, C::encode(center));
    }
  }
}

template <matrix_format M>
void fill_padding(quantized_view<M> to) noexcept {
  for_each_part<M>(to.rows, to.cols,
                   [&]<class E>(std::size_t s, std::size_t rows, std::size_t cols) {
                     if constexpr (E::bits < 8) {
                       for (std::size_t r = 0; r < rows; ++r) {
                         for (std::size_t c = cols; c % chunk_size != 0; ++c) {
                           store_code<E>(to.sections[s], r, c, E::zero_code);
                         }
                       }
                     }
                   });
}

template <class F>
errc unpack_rows(const packed_data& from, quantized_view<F> to) noexcept {
  if constexpr (wire_format<F>) {
    using M = typename F::meaning;
    for (std::size_t r = 0; r < to.rows; r += panel_rows) {
      quantized_view<F> records;
      records.sections[0] = {to.sections[0].data + r * to.sections[0].stride,
                             to.sections[0].stride};
      records.rows = to.rows - r < panel_rows ? to.rows - r : panel_rows;
      records.cols = to.cols;
      auto parts = quantized_matrix<M>::create(records.rows, to.cols);
      if (!parts) return parts.error();
      unpack_meaning<M>(from, r, parts->view());
      to_wire<F>(parts->view(), records);
    }
  } else {
    unpack_meaning<F>(from, 0, to);
    if constexpr (block_format<F>) {
      using S = typename F::scale_format;
      if (to.rows == 0 || to.cols == 0) return errc::ok;
      unpack_center<S>(to.sections.data() + 1, from.center[0]);
      unpack_center<typename F::shift_format>(to.sections.data() + 1 + num_sections<S>,
                                              from.center[1]);
    }
    fill_padding<F>(to);
  }
  return errc::ok;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_PACK_ROWS_H_
