// SPDX-License-Identifier: Apache-2.0 OR MIT
// gemm() and gemv(): activations times packed weights, y = epilogue(x w^T).
#ifndef NIBBLE_GEMM_H_
#define NIBBLE_GEMM_H_

#include "nibble/format/gemm_args.h"
#include "nibble/pack.h"

namespace nibble::inline NIBBLE_ABI {

namespace detail {

template <class Kind>
errc gemm_entry(const gemm_args& args) noexcept;
template <class Kind>
gemm_plan plan_entry(const gemm_args& args) noexcept;

template <class F>
using element_of_format = typename parts_of<typename meaning_of<F>::type>::element;
template <class F>
inline constexpr const codec_info& codec_of_format = codec_info_of<element_of_format<F>>;

inline void check_item(const gemm_item& item, const activations& x) noexcept {
  static_cast<void>(item);
  static_cast<void>(x);
  NIBBLE_ASSERT(item.w->shape.cols == x.cols, "gemm: x and w differ in k");
  NIBBLE_ASSERT(item.y.cols == item.w->shape.rows, "gemm: y has as many columns as w has rows");
  NIBBLE_ASSERT(item.x_rows != nullptr || item.num_rows == x.rows, "gemm: rows of x and y differ");
  NIBBLE_ASSERT(item.y_rows != nullptr || item.y.rows >= item.num_rows, "gemm: y has too few rows");
  NIBBLE_ASSERT(item.pair == nullptr || item.pair->shape == item.w->shape,
                "gemm_gated: the two matrices differ in shape");
  NIBBLE_ASSERT(!is_code(x.type) || x.scales != nullptr || x.rows == 0,
                "gemm: int8 and uint8 activations need scales");
  NIBBLE_ASSERT(x.scale_cols == 0 || x.cols == 0 ||
                    (x.scale_cols % item.w->shape.block == 0 && x.order == nullptr),
                "gemm: scale_cols is a multiple of w's block length, and columns are in order");
  NIBBLE_ASSERT(item.y.data != nullptr || item.num_rows == 0 || item.y.cols == 0,
                "gemm: null result");
}

/// Outlier columns are left out of x, which all matrices of a call share.
inline bool same_columns(const outlier_data& a, const outlier_data& b) noexcept {
  return a.num_columns == b.num_columns &&
         (a.num_columns == 0 || std::memcmp(a.columns, b.columns, a.num_columns * 4) == 0);
}

}  // namespace detail

/// Whether a format has a path. All have bf16 and exact; integer needs codes that are whole numbers
/// or, of 4 bits, any. To force a path that a format lacks is a wrong call.
template <format F>
[[nodiscard]] constexpr bool supports(compute_path path) noexcept {
  return path != compute_path::integer ||
         detail::codec_of<detail::element_of_format<F>>::has_levels;
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

/// Checks a call and makes it.
template <format F>
inline errc multiply_items(std::span<const gemm_item> items, const activations& x, context& with,
                           const gemm_options& options) noexcept {
  NIBBLE_ASSERT(supports<F>(options.path), "gemm: the format has no integer path");
  for (const gemm_item& item : items) {
    check_item(item, x);
    NIBBLE_ASSERT(
        same_columns(item.w->outliers, items.front().w->outliers) &&
            (item.pair == nullptr || same_columns(item.pair->outliers, items.front().w->outliers)),
        "gemm: matrices that share x have the same outlier columns");
  }
  const gemm_args args{items, x, options, &codec_of_format<F>, &with};
  return gemm_entry<kind_of<F>>(args);
}

}  // namespace detail

/// Multiplies activations by packed weights: y[m, n] = epilogue(sum_k x[m, k] w[n, k]).
///
/// @param w     [n x k], packed.
/// @param x     [m x k], f32, bf16, f16, or int8 / uint8 with scales. Any stride and alignment.
/// @param y     [m x n], written once, never read; must not overlap x or w. May be the epilogue's
///              residual.
/// @param with  threads and scratch. Nothing is allocated once it is warm.
/// @return ok, or out_of_memory (y is then unspecified).
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
[[nodiscard]] inline errc gemv(const packed_matrix<F>& w, std::span<const float> x,
                               std::span<float> y, context& with, const epilogue& post = {},
                               const gemm_options& options = {}) noexcept {
  return gemm<F>(w.view(), matrix_view<const float>(x.data(), 1, x.size()),
                 matrix_view<float>(y.data(), 1, y.size()), with, post, options);
}

/// y = act(gate) * up, each of them a product with its own channel scales and biases: the pair of
/// SwiGLU. `gate_post` says act and everything that follows; both have one shape.
template <format F>
[[nodiscard]] inline errc gemm_gated(packed_view<F> gate, packed_view<F> up, const activations& x,
                                     const results& y, context& with, const epilogue& gate_post,
                                     const second_channels& up_channels = {},
                                     const gemm_options& options = {}) noexcept {
  const detail::gemm_item item = detail::item_of(gate.data, x, y, gate_post, &up.data, up_channels);
  return detail::multiply_items<F>({&item, 1}, x, with, options);
}

/// One product of several that share x.
template <format F>
struct product {
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
/// k. No row of a y may be written twice.
template <format F>
[[nodiscard]] inline errc gemm_many(std::span<const product<F>> products, const activations& x,
                                    context& with, const gemm_options& options = {}) noexcept {
  NIBBLE_ASSERT(products.size() <= max_products, "gemm_many: too many products");
  std::array<detail::gemm_item, max_products> items;
  std::size_t n = 0;
  for (const product<F>& p : products) items[n++] = detail::item_of(p, x);
  return n == 0 ? errc::ok : detail::multiply_items<F>({items.data(), n}, x, with, options);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_GEMM_H_

#include "nibble/dispatch.h"

#if defined(NIBBLE_HAS_KERNELS) && HWY_ONCE && !defined(NIBBLE_GEMM_KERNELS_)
#define NIBBLE_GEMM_KERNELS_
#include "nibble/kernel/gemm_entry.h"
#endif
