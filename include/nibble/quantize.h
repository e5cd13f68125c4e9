// SPDX-License-Identifier: Apache-2.0 OR MIT
// quantize() and dequantize(): floats to any format and back.
#ifndef NIBBLE_QUANTIZE_H_
#define NIBBLE_QUANTIZE_H_

#include <mutex>
#include <span>

#include "nibble/core/context.h"
#include "nibble/format/code_arrays.h"
#include "nibble/format/codes.h"
#include "nibble/format/quantize_args.h"
#include "nibble/format/row_args.h"
#include "nibble/format/rules.h"
#include "nibble/formats.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// Quantizes a matrix: w = x in format F, byte for byte what reference::quantize makes, on every
/// target.
///
/// @param x        [n x k]. Any n and k, any stride and alignment.
/// @param w        [n x k], written completely, padding included; must not overlap x.
/// @param options  scale rule, MX scale rounding, importance, report. scale_rule::weighted needs k
///                 importances, finite and not negative; only their ratios count.
/// @return ok; shape_mismatch: x and w, or importance and k; invalid_argument: a view without data,
///         a percentile outside (50, 100], an importance that is negative, infinite or NaN, an
///         option outside its enumeration (nothing is written then); non_finite if asked to reject
///         NaN and infinities (w is then unspecified); out_of_memory if a format whose scales span
///         rows finds no room for them (20 to 25 bytes per block), or importances beyond 2^40 none
///         for a copy. Other calls allocate nothing.
///
/// NaN and infinities count as zero in ranges; NaN becomes the element's NaN, or zero where it has
/// none; infinities become the largest value (zero in GGUF types that search). MX blocks that hold
/// them get a NaN scale.
/// Thread-safe for different w; one call uses one thread. Time is about the bytes of x over memory
/// bandwidth for absmax and min_max; searches are slower (docs/performance.md).
template <format F>
[[nodiscard]] errc quantize(matrix_view<const float> x, quantized_view<F> w,
                            const quantize_options& options = {}) noexcept;

/// The same by all threads of a context: the same bytes and report for any number of them. Rows are
/// shared out, tiles in whole; where a scale spans the matrix (tensor formats, nvfp4, double
/// quantization) one thread does it all.
template <format F>
[[nodiscard]] errc quantize(matrix_view<const float> x, quantized_view<F> w, context& with,
                            const quantize_options& options = {}) noexcept;

/// Allocates and quantizes. Errors: as above, and overflow.
template <format F>
[[nodiscard]] result<quantized_matrix<F>> quantize(matrix_view<const float> x,
                                                   const quantize_options& options = {}) noexcept {
  auto w = quantized_matrix<F>::create(x.rows, x.cols);
  if (!w) return w;
  if (const errc e = quantize<F>(x, w->view(), options); e != errc::ok) return e;
  return w;
}
template <format F>
[[nodiscard]] result<quantized_matrix<F>> quantize(matrix_view<const float> x, context& with,
                                                   const quantize_options& options = {}) noexcept {
  auto w = quantized_matrix<F>::create(x.rows, x.cols);
  if (!w) return w;
  if (const errc e = quantize<F>(x, w->view(), with, options); e != errc::ok) return e;
  return w;
}

/// Dequantizes a matrix: y = the values of w, the same floats as reference::dequantize on every
/// target.
///
/// @param w  [n x k], any bytes: every code has a defined value.
/// @param y  [n x k], written once, never read; must not overlap w. Large outputs whose rows are
///           64-byte aligned are written past the caches.
///
/// @return ok; shape_mismatch; invalid_argument: a view without data. Nothing is written then.
///
/// Allocates nothing, one thread. Time is about the bytes of y over memory bandwidth.
template <class F>
[[nodiscard]] errc dequantize(quantized_view<F> w, matrix_view<float> y) noexcept;

template <format F>
[[nodiscard]] errc dequantize(const quantized_matrix<F>& w, matrix_view<float> y) noexcept {
  return dequantize(w.view(), y);
}
/// The same by all threads of a context, rows shared out.
template <class F>
[[nodiscard]] errc dequantize(quantized_view<F> w, matrix_view<float> y, context& with) noexcept;
template <format F>
[[nodiscard]] errc dequantize(const quantized_matrix<F>& w, matrix_view<float> y,
                              context& with) noexcept {
  return dequantize(w.view(), y, with);
}

/// Some rows of a matrix: row i of y is row ids[i] of w, as dequantize() gives it. The look-up of
/// an embedding. An id may occur any number of times.
///
/// @return ok; shape_mismatch: y is not [ids x k]; invalid_argument: an id that is no row of w, or
/// no
///         data. Nothing is written then. One thread, allocates nothing.
template <class F>
[[nodiscard]] errc get_rows(quantized_view<F> w, std::span<const std::uint32_t> ids,
                            matrix_view<float> y) noexcept;
template <format F>
[[nodiscard]] errc get_rows(const quantized_matrix<F>& w, std::span<const std::uint32_t> ids,
                            matrix_view<float> y) noexcept {
  return get_rows(w.view(), ids, y);
}

namespace detail {

template <format F>
errc quantize_entry(matrix_view<const float> x, const basic_section<std::uint8_t>* sections,
                    const quantize_options& options) noexcept;
template <format F>
void dequantize_entry(const dequantize_args& args) noexcept;

/// Every task quantizes rows that nothing ties to others.
template <format F>
inline errc quantize_in_tasks(matrix_view<const float> x, quantized_view<F> w, context& with,
                              const quantize_options& options) noexcept {
  const std::size_t step = rows_of_task(x.rows, row_period<F>(), with.num_threads());
  std::mutex mutex;
  errc error = errc::ok;
  quantize_report total;
  with.run((x.rows - 1) / step + 1, [&](std::size_t task, std::size_t) {
    const std::size_t first = task * step;
    const std::size_t rows = step < x.rows - first ? step : x.rows - first;
    std::array<basic_section<std::uint8_t>, num_sections<F>> at;
    move_to_row<F>(w.sections.data(), first, at.data());
    quantize_options o = options;
    quantize_report found;
    if (o.report != nullptr) o.report = &found;
    const errc e = quantize_entry<F>({x.row_data(first), rows, x.cols, x.stride}, at.data(), o);
    const std::lock_guard lock(mutex);
    total += found;
    if (e != errc::ok && (error == errc::ok || e < error)) error = e;
  });
  if (options.report != nullptr) *options.report = total;
  return error;
}

}  // namespace detail

template <format F>
inline errc quantize(matrix_view<const float> x, quantized_view<F> w,
                     const quantize_options& options) noexcept {
  if (const errc e = detail::check_quantize<F>(x, w, options); e != errc::ok) return e;
  return detail::quantize_entry<F>(x, w.sections.data(), options);
}

template <format F>
inline errc quantize(matrix_view<const float> x, quantized_view<F> w, context& with,
                     const quantize_options& options) noexcept {
  if (const errc e = detail::check_quantize<F>(x, w, options); e != errc::ok) return e;
  if constexpr (detail::row_period<F>() != all) {
    if (!x.empty() && x.rows > detail::row_period<F>() && with.num_threads() > 1) {
      return detail::quantize_in_tasks<F>(x, w, with, options);
    }
  }
  return detail::quantize_entry<F>(x, w.sections.data(), options);
}

template <class F>
inline errc dequantize(quantized_view<F> w, matrix_view<float> y) noexcept {
  if (y.rows != w.rows || y.cols != w.cols) return errc::shape_mismatch;
  if (!w.valid() || !y.valid()) return errc::invalid_argument;
  const quantized_view<const F> from = w;
  detail::dequantize_entry<std::remove_const_t<F>>(
      {from.sections.data(), from.rows, from.cols, y.data, y.stride});
  return errc::ok;
}

template <class F>
inline errc dequantize(quantized_view<F> w, matrix_view<float> y, context& with) noexcept {
  if (with.num_threads() == 1 || y.rows <= 1 || y.empty()) return dequantize(w, y);
  if (y.rows != w.rows || y.cols != w.cols) return errc::shape_mismatch;
  if (!w.valid() || !y.valid()) return errc::invalid_argument;
  const quantized_view<const F> from = w;
  const std::size_t step = detail::rows_of_task(y.rows, 1, with.num_threads());
  with.run((y.rows - 1) / step + 1, [&](std::size_t task, std::size_t) {
    const std::size_t first = task * step;
    const std::size_t rows = step < y.rows - first ? step : y.rows - first;
    detail::dequantize_entry<std::remove_const_t<F>>(
        {from.sections.data(), rows, from.cols, y.row_data(first), y.stride, first});
  });
  return errc::ok;
}

template <class F>
inline errc get_rows(quantized_view<F> w, std::span<const std::uint32_t> ids,
                     matrix_view<float> y) noexcept {
  if (const errc e = detail::check_rows(w.rows, w.cols, ids, y); e != errc::ok) return e;
  if (!w.valid()) return errc::invalid_argument;
  const quantized_view<const F> from = w;
  detail::dequantize_entry<std::remove_const_t<F>>(
      {from.sections.data(), y.rows, from.cols, y.data, y.stride, 0, ids.data()});
  return errc::ok;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_QUANTIZE_H_

#include "nibble/dispatch.h"

#if defined(NIBBLE_HAS_KERNELS) && HWY_ONCE && !defined(NIBBLE_QUANTIZE_KERNELS_)
#define NIBBLE_QUANTIZE_KERNELS_
#include "nibble/kernel/quantize_entry.h"
#endif

#if defined(NIBBLE_CALLS_LIBRARY) && !defined(NIBBLE_QUANTIZE_KERNELS_)
#define NIBBLE_QUANTIZE_KERNELS_
#include "nibble/format/library.h"
namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <format F>
errc quantize_entry(matrix_view<const float> x, const basic_section<std::uint8_t>* sections,
                    const quantize_options& options) noexcept {
  return static_cast<errc>(NIBBLE_LIBRARY_ABI::quantize<format_key<F>>(&x, sections, &options));
}
template <format F>
void dequantize_entry(const dequantize_args& args) noexcept {
  NIBBLE_LIBRARY_ABI::dequantize<format_key<F>>(&args);
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI
#endif
