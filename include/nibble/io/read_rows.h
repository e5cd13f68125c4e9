// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows of a tensor as floats, a few at a time.
#ifndef NIBBLE_IO_READ_ROWS_H_
#define NIBBLE_IO_READ_ROWS_H_

#include "nibble/format/values.h"
#include "nibble/io/tensor_file.h"
#include "nibble/io/tensor_format.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// Writes rows first ... first + out.rows - 1 of the tensor, seen as [t.rows() x t.cols()], to
/// `out` as floats: f64 and integers of more than 24 bits rounded to nearest even (f64 beyond float
/// becomes infinity), booleans as 0 and 1, all others exactly. Fortran order is turned round.
///
/// GGML's block types that the catalogue has give the floats of dequantize(), in every bit. FP8,
/// FP6, FP4 and E8M0 are what the codes stand for: a scale, if they have one, is another tensor.
///
/// @param t    from one of the readers; its file's bytes must still be there.
/// @param out  [any number of rows x t.cols()], written completely unless an error is returned.
///
/// Errors: unknown_type: complex numbers, opaque ones (retype() says what they are), GGML's IQ1 to
/// IQ3; shape_mismatch: out.cols is not t.cols(); out_of_bounds: rows beyond the last one.
/// Allocates nothing. Plain loops: blocks take some ns per value, so that whole matrices are better
/// packed (format_of() in any_tensor.h) or dequantized (visit_format_of() in tensor_format.h).
[[nodiscard]] errc read_rows_f32(const tensor_info& t, std::uint64_t first,
                                 matrix_view<float> out) noexcept;

namespace detail {

// Distance, in values, of the first value of a row from that of row 0.
[[nodiscard]] inline std::uint64_t row_offset(const tensor_info& t, std::uint64_t row) noexcept {
  if (!t.fortran_order) return row * t.cols();
  // The row's number is a multi-index over all dimensions but the last, whose last part runs
  // fastest; in the file its first part does.
  std::uint64_t offset = 0;
  std::uint64_t stride = t.rows();
  for (std::size_t i = t.rank; i-- > 1;) {
    const std::uint64_t dim = t.dims[i - 1];
    stride /= dim;
    offset += row % dim * stride;
    row /= dim;
  }
  return offset;
}

// out(r, c) = value(number of that value in the file).
template <class Value>
errc for_each_value(const tensor_info& t, std::uint64_t first, matrix_view<float> out,
                    Value value) noexcept {
  const std::uint64_t step = t.fortran_order ? t.rows() : 1;
  for (std::size_t r = 0; r < out.rows; ++r) {
    std::uint64_t at = row_offset(t, first + r);
    float* const to = out.row_data(r);
    for (std::size_t c = 0; c < out.cols; ++c, at += step) to[c] = value(at);
  }
  return errc::ok;
}

// Numbers of C++.
template <class Number, class Convert>
errc convert_rows(const tensor_info& t, std::uint64_t first, matrix_view<float> out,
                  Convert convert) noexcept {
  const std::byte* const from = t.data.data();
  return for_each_value(t, first, out, [=](std::uint64_t at) {
    return convert(load_le<Number>(from + sizeof(Number) * static_cast<std::size_t>(at)));
  });
}

template <class Number>
errc convert_rows(const tensor_info& t, std::uint64_t first, matrix_view<float> out) noexcept {
  return convert_rows<Number>(t, first, out, [](Number n) { return static_cast<float>(n); });
}

// Codes; those of less than a byte lie one after the other, from the low bits up, across bytes and
// rows: value i of FP6 has the bits 6 i ... 6 i + 5 of the data as one little-endian number.
template <element E>
errc decode_rows(const tensor_info& t, std::uint64_t first, matrix_view<float> out) noexcept {
  if constexpr (E::bits >= 8) {
    return convert_rows<typename E::code>(t, first, out, E::decode);
  } else {
    const std::byte* const from = t.data.data();
    return for_each_value(t, first, out, [=](std::uint64_t at) {
      const std::byte* const low = from + static_cast<std::size_t>(at * E::bits / 8);
      const auto shift = static_cast<unsigned>(at * E::bits % 8);
      unsigned bits = std::to_integer<unsigned>(low[0]) >> shift;
      if (shift + E::bits > 8) bits |= std::to_integer<unsigned>(low[1]) << (8 - shift);
      return E::decode(static_cast<typename E::code>(bits & ((1u << E::bits) - 1)));
    });
  }
}

// Value i of format G within a record of F: G is F's meaning and `section` 0, or the format of its
// scales or shifts and their first section. What value_at() is for sections in memory.
template <wire_format F, matrix_format G>
float value_in_record(const std::uint8_t* record, std::size_t section, std::size_t i) noexcept {
  const auto decoded = [&]<class E>(std::type_identity<E>) {
    return E::decode(
        static_cast<typename E::code>(load_bits(record, F::layout::locate(section, i))));
  };
  if constexpr (element<G>) {
    return decoded(std::type_identity<G>());
  } else {
    using S = typename G::scale_format;
    const float level = decoded(std::type_identity<typename G::element>());
    const float scale = value_in_record<F, S>(record, section + 1, i / G::shape.cols);
    float shift = 0;
    if constexpr (G::has_shift) {
      shift = value_in_record<F, typename G::shift_format>(record, section + 1 + num_sections<S>,
                                                           i / G::shift_shape.cols);
    }
    return value_of<G>(level, scale, shift);
  }
}

// What differs between block types.
struct record_reader {
  std::size_t values;
  std::size_t bytes;
  float (*value)(const std::uint8_t* record, std::size_t i) noexcept;
};

inline errc decode_records(const tensor_info& t, std::uint64_t first, matrix_view<float> out,
                           const record_reader& f) noexcept {
  if (t.fortran_order || out.cols % f.values != 0) return errc::shape_mismatch;
  const auto* record = reinterpret_cast<const std::uint8_t*>(t.data.data()) +
                       static_cast<std::size_t>(first) * (out.cols / f.values) * f.bytes;
  for (std::size_t r = 0; r < out.rows; ++r) {
    float* const to = out.row_data(r);
    for (std::size_t c = 0; c < out.cols; c += f.values, record += f.bytes) {
      for (std::size_t i = 0; i < f.values; ++i) to[c + i] = f.value(record, i);
    }
  }
  return errc::ok;
}

}  // namespace detail

inline errc read_rows_f32(const tensor_info& t, std::uint64_t first,
                          matrix_view<float> out) noexcept {
  if (out.cols != t.cols()) return errc::shape_mismatch;
  if (first > t.rows() || out.rows > t.rows() - first) return errc::out_of_bounds;
  switch (t.type) {
    case tensor_type::f64: return detail::convert_rows<double>(t, first, out);
    case tensor_type::i64: return detail::convert_rows<std::int64_t>(t, first, out);
    case tensor_type::i32: return detail::convert_rows<std::int32_t>(t, first, out);
    case tensor_type::i16: return detail::convert_rows<std::int16_t>(t, first, out);
    case tensor_type::i8: return detail::convert_rows<std::int8_t>(t, first, out);
    case tensor_type::u64: return detail::convert_rows<std::uint64_t>(t, first, out);
    case tensor_type::u32: return detail::convert_rows<std::uint32_t>(t, first, out);
    case tensor_type::u16: return detail::convert_rows<std::uint16_t>(t, first, out);
    case tensor_type::u8: return detail::convert_rows<std::uint8_t>(t, first, out);
    case tensor_type::boolean:
      return detail::convert_rows<std::uint8_t>(
          t, first, out, [](std::uint8_t b) { return b != 0 ? 1.0f : 0.0f; });
    default: break;
  }
  errc e = errc::unknown_type;
  if (!detail::visit_element_of(t.type,
                                [&]<class E>() { e = detail::decode_rows<E>(t, first, out); })) {
    detail::visit_blocks_of(t.type, [&]<class F>() {
      const auto value = [](const std::uint8_t* record, std::size_t i) noexcept {
        return detail::value_in_record<F, typename F::meaning>(record, 0, i);
      };
      e = detail::decode_records(t, first, out, {F::block_values, F::block_bytes, value});
    });
  }
  return e;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_READ_ROWS_H_
