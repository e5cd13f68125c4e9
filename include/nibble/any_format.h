// SPDX-License-Identifier: Apache-2.0 OR MIT
// A format at run time: a table of the functions that differ from format to format, and packed
// matrices that point to theirs. any.h has what one does with them.
#ifndef NIBBLE_ANY_FORMAT_H_
#define NIBBLE_ANY_FORMAT_H_

#include <span>
#include <string_view>

#include "nibble/explain.h"
#include "nibble/format/fingerprint.h"
#include "nibble/gemm.h"
#include "nibble/gemm_bound.h"
#include "nibble/quantize.h"
#include "nibble/rows.h"

namespace nibble::inline NIBBLE_ABI {

class any_packed_matrix;

/// One format at run time. Read `name`; the rest is for the functions of any.h, which check what
/// they are given.
struct any_format {
  std::string_view name;
  std::uint64_t fingerprint = 0;
  detail::packed_structure structure;
  packed_data (*empty)(std::size_t rows, std::size_t cols) noexcept = nullptr;  ///< sizes alone
  bool (*supports)(compute_path) noexcept = nullptr;

  // Quantized rows: the bytes of quantized_view<F>(data, rows, cols).
  std::size_t (*quantized_bytes)(std::size_t rows, std::size_t cols) noexcept = nullptr;
  errc (*quantize)(matrix_view<const float>, std::uint8_t* to, context&,
                   const quantize_options&) noexcept = nullptr;
  errc (*dequantize)(const std::uint8_t* from, matrix_view<float>, context&) noexcept = nullptr;
  errc (*get_rows)(const std::uint8_t* from, std::size_t rows, std::size_t cols,
                   std::span<const std::uint32_t> ids, matrix_view<float>) noexcept = nullptr;

  // Packed matrices.
  result<any_packed_matrix> (*pack_quantized)(const any_format&, const std::uint8_t*,
                                              std::size_t rows, std::size_t cols,
                                              context&) noexcept = nullptr;
  result<any_packed_matrix> (*pack_floats)(const any_format&, matrix_view<const float>,
                                           const quantize_options&, context&) noexcept = nullptr;
  errc (*unpack)(const packed_data&, std::uint8_t* to) noexcept = nullptr;
  errc (*dequantize_packed)(const packed_data&, matrix_view<float>, context&) noexcept = nullptr;
  errc (*get_packed_rows)(const packed_data&, std::span<const std::uint32_t> ids,
                          matrix_view<float>) noexcept = nullptr;

  // Products.
  errc (*check)(std::span<const detail::gemm_item>, const activations&,
                const gemm_options&) noexcept = nullptr;
  errc (*multiply)(std::span<const detail::gemm_item>, const activations&, context&,
                   const gemm_options&) noexcept = nullptr;
  call_plan (*explain)(const packed_data&, const activations&, const context&, const gemm_options&,
                       number_type) noexcept = nullptr;
  double (*error_bound)(compute_path, std::size_t cols, const product_sums&,
                        activation_scale) noexcept = nullptr;
};

/// A packed matrix that lives elsewhere, and its format.
struct any_packed_view {
  const any_format* format = nullptr;
  packed_data data;

  /// Empty, and the format null, for a view of nothing.
  [[nodiscard]] std::string_view name() const noexcept {
    return format == nullptr ? std::string_view() : format->name;
  }
  [[nodiscard]] std::size_t rows() const noexcept { return data.shape.rows; }
  [[nodiscard]] std::size_t cols() const noexcept { return data.shape.cols; }
  /// Bytes of codes, scales, outliers and padding.
  [[nodiscard]] std::size_t bytes() const noexcept {
    if (format == nullptr) return 0;
    return detail::packed_sizes_of(format->structure, data.shape, data.super_every).total +
           detail::outlier_sizes_of(data.outliers, rows(), cols()).total;
  }
};

/// Owns a packed matrix and knows its format. Move-only. The format must outlive it.
class any_packed_matrix {
 public:
  any_packed_matrix() = default;
  template <nibble::format F>
  any_packed_matrix(const any_format& f, packed_matrix<F> m) noexcept
      : view_{&f, m.data()}, buffer_(m.release()), outliers_(m.release_outliers()) {}

  [[nodiscard]] any_packed_view view() const noexcept { return view_; }
  operator any_packed_view() const noexcept { return view_; }  // NOLINT: implicit by design
  [[nodiscard]] std::string_view name() const noexcept { return view_.name(); }
  [[nodiscard]] std::size_t rows() const noexcept { return view_.rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return view_.cols(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return view_.bytes(); }

  /// As packed_matrix::attach().
  [[nodiscard]] errc attach(packed_outliers o) noexcept {
    if (const errc e = o.check(rows(), cols()); e != errc::ok) return e;
    outliers_ = std::move(o);
    view_.data.outliers = outliers_.view();
    return errc::ok;
  }

 private:
  any_packed_view view_;
  detail::packed_buffer buffer_;
  packed_outliers outliers_;
};

namespace detail {

/// Functions of one format that its any_format points to.
template <format F>
struct erased_functions {
  static packed_view<F> view(const packed_data& w) noexcept { return {w}; }

  // Where the last section ends; what aligns a section that does not exist may be missing.
  static std::size_t quantized_bytes(std::size_t rows, std::size_t cols) noexcept {
    std::size_t begin = 0;
    std::size_t end = 0;
    for_each_section<F>(rows, cols, [&](std::size_t r, std::size_t row_bytes) {
      end = begin + r * row_bytes;
      begin = (end + 63) / 64 * 64;
    });
    return end;
  }
  static errc quantize(matrix_view<const float> x, std::uint8_t* to, context& with,
                       const quantize_options& options) noexcept {
    return nibble::quantize<F>(x, quantized_view<F>(to, x.rows, x.cols), with, options);
  }
  static errc dequantize(const std::uint8_t* from, matrix_view<float> y, context& with) noexcept {
    return nibble::dequantize(quantized_view<const F>(from, y.rows, y.cols), y, with);
  }
  static errc get_rows(const std::uint8_t* from, std::size_t rows, std::size_t cols,
                       std::span<const std::uint32_t> ids, matrix_view<float> y) noexcept {
    return nibble::get_rows(quantized_view<const F>(from, rows, cols), ids, y);
  }
  static result<any_packed_matrix> pack_quantized(const any_format& f, const std::uint8_t* bytes,
                                                  std::size_t rows, std::size_t cols,
                                                  context& with) noexcept {
    auto m = nibble::pack<F>(quantized_view<const F>(bytes, rows, cols), with);
    if (!m) return m.error();
    return any_packed_matrix(f, std::move(*m));
  }
  static result<any_packed_matrix> pack_floats(const any_format& f, matrix_view<const float> x,
                                               const quantize_options& options,
                                               context& with) noexcept {
    const auto q = nibble::quantize<F>(x, with, options);
    if (!q) return q.error();
    auto m = nibble::pack<F>(*q, with);
    if (!m) return m.error();
    return any_packed_matrix(f, std::move(*m));
  }
  static errc unpack(const packed_data& w, std::uint8_t* to) noexcept {
    if constexpr (unpackable<F>) {
      return nibble::unpack<F>(view(w), quantized_view<F>(to, w.shape.rows, w.shape.cols));
    } else {
      return errc::invalid_argument;
    }
  }
  static errc dequantize_packed(const packed_data& w, matrix_view<float> y,
                                context& with) noexcept {
    return nibble::dequantize<F>(view(w), y, with);
  }
  static errc get_packed_rows(const packed_data& w, std::span<const std::uint32_t> ids,
                              matrix_view<float> y) noexcept {
    return nibble::get_rows<F>(view(w), ids, y);
  }
  static call_plan explain(const packed_data& w, const activations& x, const context& with,
                           const gemm_options& options, number_type y_type) noexcept {
    return nibble::explain<F>(view(w), x, with, options, y_type);
  }

  static constexpr any_format table = {.name = F::name,
                                       .fingerprint = fingerprint_of<F>(),
                                       .structure = structure_of<F>(),
                                       .empty = &make_packed_data<F>,
                                       .supports = &nibble::supports<F>,
                                       .quantized_bytes = &quantized_bytes,
                                       .quantize = &quantize,
                                       .dequantize = &dequantize,
                                       .get_rows = &get_rows,
                                       .pack_quantized = &pack_quantized,
                                       .pack_floats = &pack_floats,
                                       .unpack = &unpack,
                                       .dequantize_packed = &dequantize_packed,
                                       .get_packed_rows = &get_packed_rows,
                                       .check = &check_items<F>,
                                       .multiply = &multiply_items<F>,
                                       .explain = &explain,
                                       .error_bound = &nibble::gemm_error_bound<F>};
};

}  // namespace detail

/// Formats to choose from, the catalogue's or one's own.
template <format... F>
struct any_formats {
  static constexpr any_format list[sizeof...(F)] = {detail::erased_functions<F>::table...};
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ANY_FORMAT_H_

// Again, outside the guard: they are read once per target.
#include "nibble/gemm.h"
#include "nibble/quantize.h"
#include "nibble/rows.h"
