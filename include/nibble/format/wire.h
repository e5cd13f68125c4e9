// SPDX-License-Identifier: Apache-2.0 OR MIT
// Wire layouts: how the bytes of someone else's file hold the codes and scales of a block format.
//
// A wire format is a meaning (a block<...>) and a layout. The layout is a bijection between the
// bytes of one record and the meaning's sections: section 0 are the codes of the values, then come
// the sections of the scale's format, then those of the shift's, each in the same order.
#ifndef NIBBLE_FORMAT_WIRE_H_
#define NIBBLE_FORMAT_WIRE_H_

#include "nibble/format/bits.h"
#include "nibble/format/block.h"

namespace nibble::inline NIBBLE_ABI {

/// What a layout offers:
///   block_values, block_bytes      one record holds this many values in this many bytes
///   locate(section, i)             the bits of code i of a section
///   finish(bytes, codes, scales)   optional: fills derived fields (GGUF Q8_1's sum)
template <class L>
concept wire_layout = requires {
  { L::block_values } -> std::convertible_to<std::size_t>;
  { L::block_bytes } -> std::convertible_to<std::size_t>;
  { L::locate(std::size_t{}, std::size_t{}) } -> std::same_as<bit_field>;
};

/// Rows of records, one after the other. A row that is no multiple of the record is stored as if it
/// were padded with zeros.
template <class Meaning, class Layout>
struct wire {
  static_assert(block_format<Meaning>, "nibble: the meaning of a wire format is a block<...>");
  static_assert(wire_layout<Layout>,
                "nibble: a wire layout has block_values, block_bytes and locate(section, i)");
  using meaning = Meaning;
  using layout = Layout;
  using element = typename Meaning::element;
  static constexpr std::size_t block_values = Layout::block_values;
  static constexpr std::size_t block_bytes = Layout::block_bytes;
  static_assert(detail::is_row_local<Meaning>() && Meaning::shape.cols != all,
                "nibble: a wire record holds whole blocks of one row");
  static_assert(Meaning::shape.cols % chunk_size == 0,
                "nibble: blocks of a wire record must be multiples of 16 values");
  static_assert(block_values % Meaning::shape.cols == 0,
                "nibble: a wire record must hold a whole number of blocks");
};

template <class F>
concept wire_format = requires {
  typename F::meaning;
  typename F::layout;
  { F::block_bytes } -> std::convertible_to<std::size_t>;
};

/// Every format a matrix can be quantized to.
template <class F>
concept format = matrix_format<F> || wire_format<F>;

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_WIRE_H_
