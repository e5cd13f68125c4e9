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

#include "nibble/any_rows.h"
#include "nibble/format/library.h"
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

/// As pack_with_outliers() of a known format.
[[nodiscard]] inline result<any_packed_matrix> pack_with_outliers(
    const any_format& f, matrix_view<const float> w, const outlier_rule& rule, context& with,
    const quantize_options& options = {}, outlier_type type = outlier_type::automatic) noexcept {
  auto parts = split_outliers(w, rule, type);
  if (!parts) return parts.error();
  auto packed = pack(f, parts->rest(), with, options);
  if (!packed) return packed;
  if (const errc e = packed->attach(std::move(parts->part)); e != errc::ok) return e;
  return packed;
}

/// As gemm(), gemv(), gemm_gated(), gemm_many() and explain() of a known format. invalid_argument
/// besides: a view without a format.
[[nodiscard]] inline errc gemm(const any_packed_view& w, const activations& x, const results& y,
                               context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  if (w.format == nullptr) return errc::invalid_argument;
  const detail::gemm_item item = detail::item_of(w.data, x, y, post);
  return w.format->multiply({&item, 1}, x, with, options);
}
[[nodiscard]] inline errc gemv(const any_packed_view& w, std::span<const float> x,
                               std::span<float> y, context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  return gemm(w, matrix_view<const float>(x.data(), 1, x.size()),
              matrix_view<float>(y.data(), 1, y.size()), with, post, options);
}
/// Both matrices are of one format, else invalid_argument.
[[nodiscard]] inline errc gemm_gated(const any_packed_view& gate, const any_packed_view& up,
                                     const activations& x, const results& y, context& with,
                                     const epilogue& gate_post,
                                     const second_channels& up_channels = {},
                                     const gemm_options& options = {}) noexcept {
  if (gate.format == nullptr || up.format == nullptr ||
      gate.format->fingerprint != up.format->fingerprint) {
    return errc::invalid_argument;
  }
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

namespace detail {

/// Calls fn(format, items) for neighbours of one format, until it returns an error.
template <class Fn>
errc for_each_run(std::span<const any_product> products, const activations& x, Fn&& fn) noexcept {
  std::array<gemm_item, max_products> items;
  std::size_t n = 0;
  errc e = errc::ok;
  for (std::size_t i = 0; i < products.size() && e == errc::ok; ++i) {
    const any_format& f = *products[i].w.format;
    items[n++] = item_of(products[i], x);
    if (i + 1 == products.size() || products[i + 1].w.format->fingerprint != f.fingerprint) {
      e = fn(f, std::span<const gemm_item>(items.data(), n));
      n = 0;
    }
  }
  return e;
}

}  // namespace detail

/// Of any formats. Neighbours of one format share what is prepared of x, and what outliers_found
/// counts: it has the numbers of the last of them. Errors: as for product<F>; a wrong product
/// leaves every y untouched.
[[nodiscard]] inline errc gemm_many(std::span<const any_product> products, const activations& x,
                                    context& with, const gemm_options& options = {}) noexcept {
  if (products.size() > max_products) return errc::limit_exceeded;
  bool mixed = false;
  for (const any_product& p : products) {
    if (p.w.format == nullptr) return errc::invalid_argument;
    mixed = mixed || p.w.format->fingerprint != products.front().w.format->fingerprint;
  }
  if (mixed) {  // the first run would be written before the second is checked
    const errc e = detail::for_each_run(
        products, x, [&](const any_format& f, std::span<const detail::gemm_item> items) {
          return f.check(items, x, options);
        });
    if (e != errc::ok) return e;
  }
  return detail::for_each_run(products, x,
                              [&](const any_format& f, std::span<const detail::gemm_item> items) {
                                return f.multiply(items, x, with, options);
                              });
}
[[nodiscard]] inline call_plan explain(const any_packed_view& w, const activations& x,
                                       const context& with, const gemm_options& options = {},
                                       number_type y_type = number_type::f32) noexcept {
  if (w.format == nullptr) return {.error = errc::invalid_argument};
  return w.format->explain(w.data, x, with, options, y_type);
}

/// How far gemm() may be from exact arithmetic, as gemm_error_bound() of a known format.
[[nodiscard]] inline double gemm_error_bound(
    const any_format& f, compute_path path, std::size_t cols, const product_sums& sums,
    activation_scale scale = activation_scale::automatic) noexcept {
  return f.error_bound(path, cols, sums, scale);
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
[[nodiscard]] inline std::span<const any_format> catalogue() noexcept {
  std::size_t size = 0;
  const void* const first = NIBBLE_LIBRARY_ABI::catalogue(&size);
  return {static_cast<const any_format*>(first), size};
}

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
#include "nibble/any_rows.h"
#include "nibble/outliers.h"
