// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows of a tensor of plain numbers as floats, a few at a time.
#ifndef NIBBLE_IO_READ_ROWS_H_
#define NIBBLE_IO_READ_ROWS_H_

#include "nibble/element/exponent.h"
#include "nibble/element/minifloat.h"
#include "nibble/io/tensor_file.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// Writes rows first ... first + out.rows - 1 of the tensor, seen as [t.rows() x t.cols()], to
/// `out` as floats: f64 and integers of more than 24 bits rounded to nearest even (f64 beyond float
/// becomes infinity), booleans as 0 and 1, all others exactly. Fortran order is turned round.
///
/// @param t    from one of the readers; its file's bytes must still be there.
/// @param out  [any number of rows x t.cols()], written completely unless an error is returned.
///
/// Errors: unknown_type: complex numbers, FP6, FP4, GGML's block types; shape_mismatch: out.cols is
/// not t.cols(); out_of_bounds: rows beyond the last one. Allocates nothing.
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

template <class Stored, class Decode>
errc decode_rows(const tensor_info& t, std::uint64_t first, matrix_view<float> out,
                 Decode decode) noexcept {
  const std::size_t step =
      sizeof(Stored) * static_cast<std::size_t>(t.fortran_order ? t.rows() : 1);
  for (std::size_t r = 0; r < out.rows; ++r) {
    const std::byte* from = t.data.data() + sizeof(Stored) * row_offset(t, first + r);
    float* const to = out.row_data(r);
    for (std::size_t c = 0; c < out.cols; ++c) {
      to[c] = decode(load_le<Stored>(from + c * step));
    }
  }
  return errc::ok;
}

template <class Element>
errc decode_rows(const tensor_info& t, std::uint64_t first, matrix_view<float> out) noexcept {
  return decode_rows<typename Element::code>(t, first, out, Element::decode);
}

template <class Number>
errc convert_rows(const tensor_info& t, std::uint64_t first, matrix_view<float> out) noexcept {
  return decode_rows<Number>(t, first, out, [](Number n) { return static_cast<float>(n); });
}

}  // namespace detail

inline errc read_rows_f32(const tensor_info& t, std::uint64_t first,
                          matrix_view<float> out) noexcept {
  if (out.cols != t.cols()) return errc::shape_mismatch;
  if (first > t.rows() || out.rows > t.rows() - first) return errc::out_of_bounds;
  switch (t.type) {
    case tensor_type::f64: return detail::convert_rows<double>(t, first, out);
    case tensor_type::f32: return detail::convert_rows<float>(t, first, out);
    case tensor_type::f16: return detail::decode_rows<f16>(t, first, out);
    case tensor_type::bf16: return detail::decode_rows<bf16>(t, first, out);
    case tensor_type::i64: return detail::convert_rows<std::int64_t>(t, first, out);
    case tensor_type::i32: return detail::convert_rows<std::int32_t>(t, first, out);
    case tensor_type::i16: return detail::convert_rows<std::int16_t>(t, first, out);
    case tensor_type::i8: return detail::convert_rows<std::int8_t>(t, first, out);
    case tensor_type::u64: return detail::convert_rows<std::uint64_t>(t, first, out);
    case tensor_type::u32: return detail::convert_rows<std::uint32_t>(t, first, out);
    case tensor_type::u16: return detail::convert_rows<std::uint16_t>(t, first, out);
    case tensor_type::u8: return detail::convert_rows<std::uint8_t>(t, first, out);
    case tensor_type::boolean:
      return detail::decode_rows<std::uint8_t>(t, first, out,
                                               [](std::uint8_t b) { return b != 0 ? 1.0f : 0.0f; });
    case tensor_type::f8_e4m3: return detail::decode_rows<fp8_e4m3fn>(t, first, out);
    case tensor_type::f8_e5m2: return detail::decode_rows<fp8_e5m2>(t, first, out);
    case tensor_type::f8_e4m3fnuz: return detail::decode_rows<fp8_e4m3fnuz>(t, first, out);
    case tensor_type::f8_e5m2fnuz: return detail::decode_rows<fp8_e5m2fnuz>(t, first, out);
    case tensor_type::f8_e8m0: return detail::decode_rows<e8m0>(t, first, out);
    default: return errc::unknown_type;
  }
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_READ_ROWS_H_
