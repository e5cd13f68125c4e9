// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows of packed matrices as floats: get_rows(), the look-up of an embedding, and dequantize().
// quantize.h has both for quantized rows.
#ifndef NIBBLE_ROWS_H_
#define NIBBLE_ROWS_H_

#include <span>

#include "nibble/format/gemm_checks.h"
#include "nibble/format/row_args.h"
#include "nibble/pack.h"

namespace nibble::inline NIBBLE_ABI {

namespace detail {

template <format F>
void rows_entry(const packed_rows_args& args) noexcept;

/// Rows `ids` of w, or those from `first` on, with its outliers; y is checked.
template <format F>
inline void read_packed_rows(const packed_data& w, const std::uint32_t* ids, std::size_t first,
                             matrix_view<float> y) noexcept {
  if (y.empty()) return;
  using E = typename parts_of<typename meaning_of<F>::type>::element;
  const packed_rows_args args{&w, &codec_info_of<E>, ids, first, y.rows, y.data, y.stride};
  rows_entry<F>(args);
  if (w.outliers.empty()) return;
  for (std::size_t i = 0; i < y.rows; ++i) {
    add_row_outliers(w.outliers, args.row(i), w.shape.cols, y.row_data(i));
  }
}

}  // namespace detail

/// Some rows of a packed matrix: row i of y is row ids[i] of w, as dequantize() gives it. An id may
/// occur any number of times.
///
/// @return ok; shape_mismatch: y is not [ids x k]; invalid_argument: an id that is no row of w, or
/// no
///         data. Nothing is written then.
///
/// A row costs the decoding of its panel of 16, and rows that follow each other in one panel share
/// it. One thread, allocates nothing.
template <format F>
[[nodiscard]] inline errc get_rows(packed_view<F> w, std::span<const std::uint32_t> ids,
                                   matrix_view<float> y) noexcept {
  if (const errc e = detail::check_packed(w.data); e != errc::ok) return e;
  if (const errc e = detail::check_rows(w.rows(), w.cols(), ids, y); e != errc::ok) return e;
  detail::read_packed_rows<F>(w.data, ids.data(), 0, y);
  return errc::ok;
}
template <format F>
[[nodiscard]] inline errc get_rows(const packed_matrix<F>& w, std::span<const std::uint32_t> ids,
                                   matrix_view<float> y) noexcept {
  return get_rows<F>(w.view(), ids, y);
}

/// The values of a packed matrix, in every bit those of its quantized rows (but that signalling
/// NaNs of plain numbers become quiet), with its outliers.
///
/// @param with  panels are shared out among its threads
/// @return ok; shape_mismatch; invalid_argument: no data. Nothing is written then.
template <format F>
[[nodiscard]] inline errc dequantize(packed_view<F> w, matrix_view<float> y,
                                     context& with) noexcept {
  if (w.rows() != y.rows || w.cols() != y.cols) return errc::shape_mismatch;
  if (const errc e = detail::check_packed(w.data); e != errc::ok) return e;
  if (!y.valid()) return errc::invalid_argument;
  if (y.empty()) return errc::ok;
  with.run(w.data.shape.num_panels, [&](std::size_t panel, std::size_t) {
    const std::size_t first = panel * panel_rows;
    const std::size_t rows = panel_rows < y.rows - first ? panel_rows : y.rows - first;
    matrix_view<float> part = y;
    part.data = y.row_data(first);
    part.rows = rows;
    detail::read_packed_rows<F>(w.data, nullptr, first, part);
  });
  return errc::ok;
}
template <format F>
[[nodiscard]] inline errc dequantize(packed_view<F> w, matrix_view<float> y) noexcept {
  context serial(parallel::serial());
  return dequantize<F>(w, y, serial);
}
template <format F>
[[nodiscard]] inline errc dequantize(const packed_matrix<F>& w, matrix_view<float> y,
                                     context& with) noexcept {
  return dequantize<F>(w.view(), y, with);
}
template <format F>
[[nodiscard]] inline errc dequantize(const packed_matrix<F>& w, matrix_view<float> y) noexcept {
  return dequantize<F>(w.view(), y);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ROWS_H_

#include "nibble/dispatch.h"

#if defined(NIBBLE_HAS_KERNELS) && HWY_ONCE && !defined(NIBBLE_ROWS_KERNELS_)
#define NIBBLE_ROWS_KERNELS_
#include "nibble/kernel/rows_entry.h"
#endif

#if defined(NIBBLE_CALLS_LIBRARY) && !defined(NIBBLE_ROWS_KERNELS_)
#define NIBBLE_ROWS_KERNELS_
#include "nibble/format/library.h"
namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <format F>
void rows_entry(const packed_rows_args& args) noexcept {
  NIBBLE_LIBRARY_ABI::rows<format_key<F>>(&args);
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI
#endif
