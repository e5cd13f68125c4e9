// SPDX-License-Identifier: Apache-2.0 OR MIT
// gemm() and gemv(): activations times packed weights, y = epilogue(x w^T).
#ifndef NIBBLE_GEMM_H_
#define NIBBLE_GEMM_H_

#include <array>
#include <span>
#include <type_traits>
#include <utility>

#include "nibble/format/gemm_checks.h"
#include "nibble/pack.h"

namespace nibble::inline NIBBLE_ABI {

namespace detail {

template <format F>
errc gemm_entry(const gemm_args& args) noexcept;
template <format F>
gemm_plan plan_entry(const gemm_args& args) noexcept;

template <class F>
using element_of_format = typename parts_of<typename meaning_of<F>::type>::element;
template <class F>
inline constexpr const codec_info& codec_of_format = codec_info_of<element_of_format<F>>;

}  // namespace detail

/// Whether a format has a path. All have bf16 and exact; integer needs codes that are whole numbers
/// or, of 4 bits, whole numbers nearly: finite, and none is lost beside the largest. A call that
/// asks for another path gets invalid_argument.
template <format F>
[[nodiscard]] constexpr bool supports(compute_path path) noexcept {
  return path <= compute_path::exact &&
         (path != compute_path::integer ||
          detail::codec_of<detail::element_of_format<F>>::has_levels);
}

namespace detail {

/// All rows of x by one matrix, or by a gated pair.
inline gemm_item item_of(const packed_data& w, const activations& x, const results& y,
                         const epilogue& post, const packed_data* pair = nullptr,
                         const second_channels& pair_channels = {}) noexcept {
  gemm_item item;
  item.w = &w;
  item.pair = pair;
  item.y = y;
  item.post = &post;
  item.pair_channels = pair_channels;
  item.num_rows = x.rows;
  return item;
}

/// One of several products that share x: a product<F> or an any_product, which outlives the item.
template <class Product>
inline gemm_item item_of(const Product& p, const activations& x) noexcept {
  gemm_item item = item_of(p.w.data, x, p.y, p.post);
  item.x_rows = p.x_rows;
  item.y_rows = p.y_rows != nullptr ? p.y_rows : p.x_rows;
  if (p.x_rows != nullptr) item.num_rows = p.num_rows;
  return item;
}

/// Checks a call alone.
template <format F>
inline errc check_items(std::span<const gemm_item> items, const activations& x,
                        const gemm_options& options) noexcept {
  return check_call({items, x, options, &codec_of_format<F>, nullptr});
}

/// Checks a call and makes it. At least one item.
template <format F>
inline errc multiply_items(std::span<const gemm_item> items, const activations& x, context& with,
                           const gemm_options& options) noexcept {
  const gemm_args args{items, x, options, &codec_of_format<F>, &with};
  const errc e = check_call(args);
  return e == errc::ok ? gemm_entry<F>(args) : e;
}

}  // namespace detail

/// Multiplies activations by packed weights: y[m, n] = epilogue(sum_k x[m, k] w[n, k]).
///
/// @param w     [n x k], packed.
/// @param x     [m x k], f32, bf16, f16, or int8 / uint8 with scales. Any stride and alignment.
/// @param y     [m x n], written once, never read; must not overlap x or w. May be the epilogue's
///              residual.
/// @param with  threads and scratch. Nothing is allocated once it is warm.
/// @return ok; out_of_memory (y is then unspecified); for a wrong call, in every build and before
///         y is touched, shape_mismatch where sizes disagree (x and w in k, y too small, outliers
///         of another shape) and invalid_argument (null pointers, a path that the format lacks,
///         values outside an enumeration, an entry of `order` that is no column of x, a zero
///         point that is no code of x, bad requantization).
///
/// Integer path: the same bits on every CPU, for any number of threads and rows. Other paths: the
/// same bits for any number of threads and rows on one target. Errors against exact arithmetic:
/// gemm_error_bound(). NaN and infinities in x reach the results of their row. n, m or k may be 0:
/// the sum over nothing is 0. Outliers of w, and of x if asked for, are added in f32, in the same
/// order everywhere (reference_gemm.h).
/// Safe to call from several threads at once, also with one context.
template <format F>
[[nodiscard]] inline errc gemm(packed_view<F> w, const activations& x, const results& y,
                               context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  const detail::gemm_item item = detail::item_of(w.data, x, y, post);
  return detail::multiply_items<F>({&item, 1}, x, with, options);
}

template <format F>
[[nodiscard]] inline errc gemm(const packed_matrix<F>& w, const activations& x, const results& y,
                               context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  return gemm<F>(w.view(), x, y, with, post, options);
}

/// One vector of activations: y = epilogue(w x). As gemm() with m = 1.
template <format F>
[[nodiscard]] inline errc gemv(packed_view<F> w, std::span<const float> x, std::span<float> y,
                               context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  return gemm<F>(w, {x.data(), 1, x.size()}, {y.data(), 1, y.size()}, with, post, options);
}
template <format F>
[[nodiscard]] inline errc gemv(const packed_matrix<F>& w, std::span<const float> x,
                               std::span<float> y, context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  return gemv<F>(w.view(), x, y, with, post, options);
}

/// y = act(gate) * up, each of them a product with its own channel scales and biases: the pair of
/// SwiGLU. `gate_post` says act and everything that follows; both have one shape, else the call
/// gets shape_mismatch.
template <format F>
[[nodiscard]] inline errc gemm_gated(packed_view<F> gate, std::type_identity_t<packed_view<F>> up,
                                     const activations& x, const results& y, context& with,
                                     const epilogue& gate_post,
                                     const second_channels& up_channels = {},
                                     const gemm_options& options = {}) noexcept {
  const detail::gemm_item item = detail::item_of(gate.data, x, y, gate_post, &up.data, up_channels);
  return detail::multiply_items<F>({&item, 1}, x, with, options);
}

template <format F>
[[nodiscard]] inline errc gemm_gated(const packed_matrix<F>& gate,
                                     std::type_identity_t<packed_view<F>> up, const activations& x,
                                     const results& y, context& with, const epilogue& gate_post,
                                     const second_channels& up_channels = {},
                                     const gemm_options& options = {}) noexcept {
  return gemm_gated<F>(gate.view(), up, x, y, with, gate_post, up_channels, options);
}

/// One product of several that share x.
template <format F>
struct product {
  using format_type = F;
  packed_view<F> w;
  results y;
  epilogue post{};
  /// Experts: products of rows x_rows[i] of x, written to rows y_rows[i] of y, for i < num_rows.
  /// Null: all rows of x, in order (y_rows: as x_rows).
  const std::uint32_t* x_rows = nullptr;
  const std::uint32_t* y_rows = nullptr;
  std::size_t num_rows = 0;
};

/// At most this many products in one gemm_many().
inline constexpr std::size_t max_products = 256;

/// Several products with one x, which is quantized once: q, k and v of attention, gate and up, or
/// the experts of a mixture, each with the rows that are routed to it. All matrices have the same
/// k and the same outlier columns. No row of a y may be written twice.
///
/// Errors: those of gemm(), before any y is touched, and limit_exceeded: more than max_products.
template <format F>
[[nodiscard]] inline errc gemm_many(std::span<const product<F>> products, const activations& x,
                                    context& with, const gemm_options& options = {}) noexcept {
  if (products.size() > max_products) return errc::limit_exceeded;
  std::array<detail::gemm_item, max_products> items;
  std::size_t n = 0;
  for (const product<F>& p : products) items[n++] = detail::item_of(p, x);
  return n == 0 ? errc::ok : detail::multiply_items<F>({items.data(), n}, x, with, options);
}

/// Arrays, vectors and spans of product<F>.
template <class Products, class F = typename decltype(std::span(
                              std::declval<const Products&>()))::value_type::format_type>
requires std::is_same_v<typename decltype(std::span(std::declval<const Products&>()))::value_type,
                        product<F>>
[[nodiscard]] inline errc gemm_many(const Products& products, const activations& x, context& with,
                                    const gemm_options& options = {}) noexcept {
  return gemm_many<F>(std::span<const product<F>>(products), x, with, options);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_GEMM_H_

#include "nibble/dispatch.h"

#if defined(NIBBLE_HAS_KERNELS) && HWY_ONCE && !defined(NIBBLE_GEMM_KERNELS_)
#define NIBBLE_GEMM_KERNELS_
#include "nibble/kernel/gemm_entry.h"
#endif

#if defined(NIBBLE_CALLS_LIBRARY) && !defined(NIBBLE_GEMM_KERNELS_)
#define NIBBLE_GEMM_KERNELS_
#include "nibble/format/library.h"
namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <format F>
errc gemm_entry(const gemm_args& args) noexcept {
  return static_cast<errc>(NIBBLE_LIBRARY_ABI::gemm<format_key<F>>(&args));
}
template <format F>
gemm_plan plan_entry(const gemm_args& args) noexcept {
  gemm_plan plan;
  NIBBLE_LIBRARY_ABI::plan<format_key<F>>(&args, &plan);
  return plan;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI
#endif
