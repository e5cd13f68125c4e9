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
#include "nibble/quantize.h"

namespace nibble::inline NIBBLE_ABI {

class any_packed_matrix;

/// One format at run time. Read `name`; the rest is for the functions below.
struct any_format {
  std::string_view name;
  std::uint64_t fingerprint = 0;
  detail::packed_structure structure;
  packed_data (*empty)(std::size_t rows, std::size_t cols) noexcept = nullptr;  ///< sizes alone
  bool (*supports)(compute_path) noexcept = nullptr;
  std::size_t (*quantized_bytes)(std::size_t rows, std::size_t cols) noexcept = nullptr;
  result<any_packed_matrix> (*pack_quantized)(const any_format&, const std::uint8_t*,
                                              std::size_t rows, std::size_t cols,
                                              context&) noexcept = nullptr;
  result<any_packed_matrix> (*pack_floats)(const any_format&, matrix_view<const float>,
                                           const quantize_options&, context&) noexcept = nullptr;
  errc (*check)(std::span<const detail::gemm_item>, const activations&,
                const gemm_options&) noexcept = nullptr;
  errc (*multiply)(std::span<const detail::gemm_item>, const activations&, context&,
                   const gemm_options&) noexcept = nullptr;
  call_plan (*explain)(const packed_data&, const activations&, const context&, const gemm_options&,
                       number_type) noexcept = nullptr;
  errc (*dequantize)(const packed_data&, matrix_view<float>) noexcept = nullptr;
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
    const auto q = nibble::quantize<F>(x, options);
    if (!q) return q.error();
    auto m = nibble::pack<F>(*q, with);
    if (!m) return m.error();
    return any_packed_matrix(f, std::move(*m));
  }
  static call_plan explain(const packed_data& w, const activations& x, const context& with,
                           const gemm_options& options, number_type y_type) noexcept {
    return nibble::explain<F>(view(w), x, with, options, y_type);
  }
  static errc dequantize(const packed_data& w, matrix_view<float> y) noexcept {
    auto q = quantized_matrix<F>::create(w.shape.rows, w.shape.cols);
    if (!q) return q.error();
    if (const errc e = unpack<F>(view(w), q->view()); e != errc::ok) return e;
    return nibble::dequantize<F>(q->view(), y);
  }

  static constexpr any_format table = {
      F::name,         fingerprint_of<F>(), structure_of<F>(), &make_packed_data<F>,
      &supports<F>,    &quantized_bytes,    &pack_quantized,   &pack_floats,
      &check_items<F>, &multiply_items<F>,  &explain,          &dequantize};
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
