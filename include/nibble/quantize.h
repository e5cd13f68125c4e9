// SPDX-License-Identifier: Apache-2.0 OR MIT
// quantize() and dequantize(): floats to any format and back.
#ifndef NIBBLE_QUANTIZE_H_
#define NIBBLE_QUANTIZE_H_

#include "nibble/format/codes.h"
#include "nibble/format/quantize_args.h"
#include "nibble/format/rules.h"
#include "nibble/formats.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// Quantizes a matrix: w = x in format F, byte for byte what reference::quantize makes, on every
/// target.
///
/// @param x        [n x k]. Any n and k, any stride and alignment.
/// @param w        [n x k], written completely, padding included; must not overlap x.
/// @param options  scale rule, MX scale rounding, importance, report. Importance needs k entries
/// for
///                 scale_rule::weighted.
/// @return ok; shape_mismatch: x and w, or importance and k; invalid_argument: a view without data,
///         a percentile outside (50, 100], an option outside its enumeration (nothing is written
///         then); non_finite if asked to reject NaN and infinities (w is then unspecified);
///         out_of_memory if a format whose scales span rows finds no room for them (20 to 25 bytes
///         per block; other formats of the catalogue allocate nothing).
///
/// NaN and infinities count as zero in ranges; NaN becomes the element's NaN, or zero where it has
/// none; infinities become the largest value (zero in GGUF types that search). MX blocks that hold
/// them get a NaN scale.
/// Thread-safe for different w; one call uses one thread. Time is about the bytes of x over memory
/// bandwidth for absmax and min_max; searches are slower (docs/performance.md).
template <format F>
[[nodiscard]] errc quantize(matrix_view<const float> x, quantized_view<F> w,
                            const quantize_options& options = {}) noexcept;

/// Allocates and quantizes. Errors: as above, and overflow.
template <format F>
[[nodiscard]] result<quantized_matrix<F>> quantize(matrix_view<const float> x,
                                                   const quantize_options& options = {}) noexcept {
  auto w = quantized_matrix<F>::create(x.rows, x.cols);
  if (w) {
    if (const errc e = quantize<F>(x, w->view(), options); e != errc::ok) return e;
  }
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

namespace detail {

template <format F>
errc quantize_entry(matrix_view<const float> x, const basic_section<std::uint8_t>* sections,
                    const quantize_options& options) noexcept;
template <format F>
void dequantize_entry(const dequantize_args& args) noexcept;

/// Options for k columns.
inline errc check_options(const quantize_options& o, std::size_t cols) noexcept {
  if (o.rule > scale_rule::weighted || o.mx > mx_scale::round_up) return errc::invalid_argument;
  if (o.rule == scale_rule::percentile && !(o.percentile > 50 && o.percentile <= 100)) {
    return errc::invalid_argument;
  }
  if (o.rule == scale_rule::weighted && o.importance.size() != cols) return errc::shape_mismatch;
  return errc::ok;
}

}  // namespace detail

template <format F>
inline errc quantize(matrix_view<const float> x, quantized_view<F> w,
                     const quantize_options& options) noexcept {
  if (x.rows != w.rows || x.cols != w.cols) return errc::shape_mismatch;
  if (!x.valid() || !w.valid()) return errc::invalid_argument;
  if (const errc e = detail::check_options(options, x.cols); e != errc::ok) return e;
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
