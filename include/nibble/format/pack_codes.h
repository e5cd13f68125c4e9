// SPDX-License-Identifier: Apache-2.0 OR MIT
// Moving codes from quantized rows into panels: 16 rows are read a stretch at a time into bytes, by
// tables of where a record keeps its codes, then interleaved as 64-bit words of two rows. Plain
// code: about a nanosecond per weight (docs/performance.md), and packing happens once.
#ifndef NIBBLE_FORMAT_PACK_CODES_H_
#define NIBBLE_FORMAT_PACK_CODES_H_

#include "nibble/format/packed.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

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

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_PACK_CODES_H_
