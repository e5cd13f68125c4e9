// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed matrices whose format is chosen at run time, by its name: for engines and readers of
// files.
//
//   compiled mode   catalogue() has every format of libnibble
//   other modes     a program lists what it wants: any_formats<int4_g32_f16, gguf::q4_K>::list;
//                   every format of the catalogue would take minutes to compile
#ifndef NIBBLE_ANY_H_
#define NIBBLE_ANY_H_

#include <array>

#include "nibble/any_format.h"
#include "nibble/format/names.h"
#include "nibble/outliers.h"

namespace nibble::inline NIBBLE_ABI {

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
  const detail::gemm_item item = detail::item_of(w.data, x, y, post);
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
  const detail::gemm_item item = detail::item_of(gate.data, x, y, gate_post, &up.data, up_channels);
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

/// Of any formats. Neighbours of one format share what is prepared of x, and what outliers_found
/// counts: it has the numbers of the last of them.
[[nodiscard]] inline errc gemm_many(std::span<const any_product> products, const activations& x,
                                    context& with, const gemm_options& options = {}) noexcept {
  NIBBLE_ASSERT(products.size() <= max_products, "gemm_many: too many products");
  std::array<detail::gemm_item, max_products> items;
  std::size_t n = 0;
  errc e = errc::ok;
  for (std::size_t i = 0; i < products.size() && e == errc::ok; ++i) {
    const any_product& p = products[i];
    items[n++] = detail::item_of(p, x);
    const any_format& f = *p.w.format;
    if (i + 1 == products.size() || products[i + 1].w.format->fingerprint != f.fingerprint) {
      e = f.multiply({items.data(), n}, x, with, options);
      n = 0;
    }
  }
  return e;
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

template <class List>
struct names_of;
template <class... F>
struct names_of<type_list<F...>> {
  static constexpr std::array<std::string_view, sizeof...(F)> list = {F::name...};
};

}  // namespace detail

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
#include "nibble/any_format.h"
#include "nibble/outliers.h"
