// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed matrices whose format is chosen at run time, by its name: for engines and readers of
// files.
//
//   compiled mode   catalogue() has every format of libnibble
//   other modes     a program lists what it wants: any_formats<int4_g32_f16, gguf::q4_K>::list;
//                   every format of the catalogue would take minutes to compile
#ifndef NIBBLE_ANY_H_
#define NIBBLE_ANY_H_

#include <span>
#include <string_view>

#include "nibble/explain.h"
#include "nibble/format/fingerprint.h"
#include "nibble/format/names.h"
#include "nibble/gemm.h"
#include "nibble/outliers.h"

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

  [[nodiscard]] std::string_view name() const noexcept { return format->name; }
  [[nodiscard]] std::size_t rows() const noexcept { return data.shape.rows; }
  [[nodiscard]] std::size_t cols() const noexcept { return data.shape.cols; }
  /// Bytes of codes, scales, outliers and padding.
  [[nodiscard]] std::size_t bytes() const noexcept {
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
  void attach(packed_outliers o) noexcept {
    NIBBLE_ASSERT(o.rows() == rows() && o.cols() == cols(),
                  "attach: outliers of a matrix of another shape");
    outliers_ = std::move(o);
    view_.data.outliers = outliers_.view();
  }

 private:
  any_packed_view view_;
  detail::packed_buffer buffer_;
  packed_outliers outliers_;
};

/// The format of that name, or null.
[[nodiscard]] inline const any_format* find_format(std::string_view name,
                                                   std::span<const any_format> formats) noexcept {
  for (const any_format& f : formats) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

/// Packs quantized rows: the bytes of quantized_view<F>(data, rows, cols), which for GGUF types are
/// the bytes of a tensor.
///
/// @return shape_mismatch if their number is not that of the format and shape (padding behind the
///         last section may be missing); overflow, out_of_memory.
[[nodiscard]] inline result<any_packed_matrix> pack(const any_format& f,
                                                    std::span<const std::byte> quantized,
                                                    std::size_t rows, std::size_t cols,
                                                    context& with) noexcept {
  constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4096;
  if (rows > limit || cols > limit || (cols != 0 && rows > limit / cols)) return errc::overflow;
  const std::size_t bytes = f.quantized_bytes(rows, cols);
  if (quantized.size() < bytes || quantized.size() - bytes >= 64) return errc::shape_mismatch;
  return f.pack_quantized(f, reinterpret_cast<const std::uint8_t*>(quantized.data()), rows, cols,
                          with);
}

/// Quantizes floats, on one thread, and packs them. Errors: those of quantize() and pack().
[[nodiscard]] inline result<any_packed_matrix> pack(const any_format& f, matrix_view<const float> x,
                                                    context& with,
                                                    const quantize_options& options = {}) noexcept {
  return f.pack_floats(f, x, options, with);
}

/// As pack_with_outliers() of a known format.
[[nodiscard]] inline result<any_packed_matrix> pack_with_outliers(
    const any_format& f, matrix_view<const float> w, const outlier_rule& rule, context& with,
    const quantize_options& options = {}, outlier_type type = outlier_type::automatic) noexcept {
  auto parts = split_outliers(w, rule, type);
  if (!parts) return parts.error();
  auto packed = pack(f, parts->rest(), with, options);
  if (packed) packed->attach(std::move(parts->part));
  return packed;
}

/// As gemm(), gemv(), gemm_gated(), gemm_many() and explain() of a known format.
[[nodiscard]] inline errc gemm(const any_packed_view& w, const activations& x, const results& y,
                               context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  detail::gemm_item item;
  item.w = &w.data;
  item.y = y;
  item.post = &post;
  item.num_rows = x.rows;
  return w.format->multiply({&item, 1}, x, with, options);
}
[[nodiscard]] inline errc gemv(const any_packed_view& w, std::span<const float> x,
                               std::span<float> y, context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  return gemm(w, matrix_view<const float>(x.data(), 1, x.size()),
              matrix_view<float>(y.data(), 1, y.size()), with, post, options);
}
/// Both matrices are of one format.
[[nodiscard]] inline errc gemm_gated(const any_packed_view& gate, const any_packed_view& up,
                                     const activations& x, const results& y, context& with,
                                     const epilogue& gate_post,
                                     const second_channels& up_channels = {},
                                     const gemm_options& options = {}) noexcept {
  NIBBLE_ASSERT(gate.format->fingerprint == up.format->fingerprint,
                "gemm_gated: the two matrices differ in format");
  detail::gemm_item item;
  item.w = &gate.data;
  item.pair = &up.data;
  item.y = y;
  item.post = &gate_post;
  item.pair_channels = up_channels;
  item.num_rows = x.rows;
  return gate.format->multiply({&item, 1}, x, with, options);
}

/// One product of several that share x: as product<F>.
struct any_product {
  any_packed_view w;
  results y;
  epilogue post{};
  const std::uint32_t* x_rows = nullptr;
  const std::uint32_t* y_rows = nullptr;
  std::size_t num_rows = 0;
};

/// All matrices are of one format.
[[nodiscard]] inline errc gemm_many(std::span<const any_product> products, const activations& x,
                                    context& with, const gemm_options& options = {}) noexcept {
  NIBBLE_ASSERT(products.size() <= max_products, "gemm_many: too many products");
  if (products.empty()) return errc::ok;
  const any_format& f = *products.front().w.format;
  std::array<detail::gemm_item, max_products> items;
  std::size_t n = 0;
  for (const any_product& p : products) {
    NIBBLE_ASSERT(p.w.format->fingerprint == f.fingerprint,
                  "gemm_many: the matrices differ in format");
    detail::gemm_item& item = items[n++];
    item.w = &p.w.data;
    item.y = p.y;
    item.post = &p.post;
    item.x_rows = p.x_rows;
    item.y_rows = p.y_rows != nullptr ? p.y_rows : p.x_rows;
    item.num_rows = p.x_rows != nullptr ? p.num_rows : x.rows;
  }
  return f.multiply({items.data(), n}, x, with, options);
}
[[nodiscard]] inline call_plan explain(const any_packed_view& w, const activations& x,
                                       const context& with, const gemm_options& options = {},
                                       number_type y_type = number_type::f32) noexcept {
  return w.format->explain(w.data, x, with, options, y_type);
}

/// The values of a packed matrix, in every bit those of its quantized rows, with its outliers.
/// Unpacks all of it first: out_of_memory if there is no room.
[[nodiscard]] inline errc dequantize(const any_packed_view& w, matrix_view<float> y) noexcept {
  NIBBLE_ASSERT(w.rows() == y.rows && w.cols() == y.cols, "dequantize: shapes of w and y differ");
  const errc e = w.format->dequantize(w.data, y);
  if (e == errc::ok) add_outliers(w.data.outliers, y);
  return e;
}

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
    nibble::dequantize<F>(q->view(), y);
    return errc::ok;
  }

  static constexpr any_format table = {
      F::name,          fingerprint_of<F>(), structure_of<F>(), &make_packed_data<F>, &supports<F>,
      &quantized_bytes, &pack_quantized,     &pack_floats,      &multiply_items<F>,   &explain,
      &dequantize};
};

template <class List>
struct names_of;
template <class... F>
struct names_of<type_list<F...>> {
  static constexpr std::array<std::string_view, sizeof...(F)> list = {F::name...};
};

}  // namespace detail

/// Formats to choose from, the catalogue's or one's own.
template <format... F>
struct any_formats {
  static constexpr any_format list[sizeof...(F)] = {detail::erased_functions<F>::table...};
};

/// Names of all formats of the catalogue, in its order.
[[nodiscard]] constexpr std::span<const std::string_view> format_names() noexcept {
  return detail::names_of<all_formats>::list;
}

#ifdef NIBBLE_COMPILED
/// Every format of libnibble, in the order of format_names().
[[nodiscard]] std::span<const any_format> catalogue() noexcept;

/// The format of that name, or null.
[[nodiscard]] inline const any_format* find_format(std::string_view name) noexcept {
  return find_format(name, catalogue());
}

/// Packs by the name of a format. not_found: there is none; nearest_names() helps with the message.
[[nodiscard]] inline result<any_packed_matrix> pack(std::string_view name,
                                                    std::span<const std::byte> quantized,
                                                    std::size_t rows, std::size_t cols,
                                                    context& with) noexcept {
  const any_format* f = find_format(name);
  if (f == nullptr) return errc::not_found;
  return pack(*f, quantized, rows, cols, with);
}
[[nodiscard]] inline result<any_packed_matrix> pack(std::string_view name,
                                                    matrix_view<const float> x, context& with,
                                                    const quantize_options& options = {}) noexcept {
  const any_format* f = find_format(name);
  if (f == nullptr) return errc::not_found;
  return pack(*f, x, with, options);
}
[[nodiscard]] inline result<any_packed_matrix> pack_with_outliers(
    std::string_view name, matrix_view<const float> w, const outlier_rule& rule, context& with,
    const quantize_options& options = {}, outlier_type type = outlier_type::automatic) noexcept {
  const any_format* f = find_format(name);
  if (f == nullptr) return errc::not_found;
  return pack_with_outliers(*f, w, rule, with, options, type);
}
#endif

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ANY_H_

// Again, outside the guard: they are read once per target.
#include "nibble/gemm.h"
#include "nibble/outliers.h"
