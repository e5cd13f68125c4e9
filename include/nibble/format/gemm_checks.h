// SPDX-License-Identifier: Apache-2.0 OR MIT
// Wrong calls of packed products: what gemm(), gemv(), gemm_gated(), gemm_many() and explain()
// refuse, in every build. Once per call, before anything is written: some hundred comparisons, and
// one for every entry of a list (order, routed rows, zero points, requantization per channel).
#ifndef NIBBLE_FORMAT_GEMM_CHECKS_H_
#define NIBBLE_FORMAT_GEMM_CHECKS_H_

#include <algorithm>
#include <cstring>

#include "nibble/format/gemm_args.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Whether [rows x cols] numbers can be there at all.
constexpr bool is_array(const void* data, std::size_t rows, std::size_t cols,
                        std::size_t stride) noexcept {
  return rows == 0 || cols == 0 || (data != nullptr && (rows == 1 || stride >= cols));
}

constexpr bool all_below(const std::uint32_t* list, std::size_t n, std::size_t limit) noexcept {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) largest = list[i] > largest ? list[i] : largest;
  return n == 0 || largest < limit;
}

constexpr bool is_number_type(number_type t) noexcept { return t <= number_type::uint8; }

/// Options of a product, for a format with or without an integer path.
constexpr errc check_options(const gemm_options& o, bool has_levels) noexcept {
  const bool known = o.path <= compute_path::exact && o.scale <= activation_scale::per_128;
  if (!known || (o.path == compute_path::integer && !has_levels)) return errc::invalid_argument;
  return errc::ok;
}

/// Type and shape of x beside the matrix w.
constexpr errc check_shape(const activations& x, const packed_shape& w) noexcept {
  if (!is_number_type(x.type)) return errc::invalid_argument;
  return x.cols == w.cols ? errc::ok : errc::shape_mismatch;
}

/// The same, its scales and their places.
constexpr errc check_activations(const activations& x, const packed_shape& w) noexcept {
  if (const errc e = check_shape(x, w); e != errc::ok) return e;
  if (is_code(x.type) && x.scales == nullptr && x.rows != 0) return errc::invalid_argument;
  if (x.scale_cols == 0 || x.cols == 0) return errc::ok;
  if (x.scale_cols % w.block != 0 || x.order != nullptr) return errc::invalid_argument;
  const std::size_t scales = (x.cols - 1) / x.scale_cols + 1;
  const bool apart = x.rows <= 1 || x.scale_stride == 0 || x.scale_stride >= scales;
  return apart ? errc::ok : errc::shape_mismatch;
}

/// Zero points of x are codes themselves: kernels hold them as such, also where k is padded.
constexpr errc check_zero_points(const activations& x) noexcept {
  if (x.zero_points == nullptr || x.rows == 0) return errc::ok;
  if (!is_code(x.type) && x.scales == nullptr) return errc::invalid_argument;  // nothing to shift
  std::int32_t low = x.zero_point(0);
  std::int32_t high = low;
  for (std::size_t r = 1; r < x.rows && x.zero_stride != 0; ++r) {
    low = std::min(low, x.zero_point(r));
    high = std::max(high, x.zero_point(r));
  }
  const std::int32_t least = x.type == number_type::uint8 ? 0 : -128;
  return least <= low && high <= least + 255 ? errc::ok : errc::invalid_argument;
}

inline errc check_requantization(const requantization& q, std::size_t channels) noexcept {
  const bool in_range = -128 <= q.low && q.low <= q.zero_point && q.zero_point <= q.high &&
                        q.high <= 255 && q.rule <= requantize_rule::float_multiplier;
  if (!in_range) return errc::invalid_argument;
  const std::size_t n = q.per_channel ? channels : 1;
  bool good = true;
  if (!is_fixed(q.rule)) {
    if (q.scale == nullptr) return errc::invalid_argument;
    for (std::size_t i = 0; i < n; ++i) good = good && q.scale[i] > 0;
  } else {
    if (q.multiplier == nullptr || q.shift == nullptr) return errc::invalid_argument;
    for (std::size_t i = 0; i < n; ++i) {
      good = good && q.multiplier[i] >= 0 && -31 <= q.shift[i] && q.shift[i] <= 30;
    }
  }
  return good ? errc::ok : errc::invalid_argument;
}

/// An epilogue that writes `rows` rows of y.
inline errc check_epilogue(const epilogue& e, const results& y, std::size_t rows) noexcept {
  if (e.act > activation::silu) return errc::invalid_argument;
  if (e.residual != nullptr) {
    if (!is_number_type(e.residual_type) || is_code(e.residual_type)) {
      return errc::invalid_argument;
    }
    if (rows > 1 && e.residual_stride != 0 && e.residual_stride < y.cols) {
      return errc::shape_mismatch;
    }
  }
  if (!is_code(y.type) || rows == 0 || y.cols == 0) return errc::ok;
  return check_requantization(e.requantize, y.cols);
}

/// A packed matrix: there, with outliers of its own shape.
constexpr errc check_packed(const packed_data& w) noexcept {
  if (!is_there(w)) return errc::invalid_argument;
  const packed_shape& s = w.shape;
  const outlier_data& o = w.outliers;
  const bool fit = o.empty() || (o.matrix_rows == s.rows && o.matrix_cols == s.cols);
  return fit ? errc::ok : errc::shape_mismatch;
}

/// One product of a call.
inline errc check_item(const gemm_item& item, const activations& x) noexcept {
  const packed_data& w = *item.w;
  const results& y = item.y;
  if (const errc e = check_packed(w); e != errc::ok) return e;
  if (const errc e = check_activations(x, w.shape); e != errc::ok) return e;
  if (item.pair != nullptr) {
    if (const errc e = check_packed(*item.pair); e != errc::ok) return e;
    if (item.pair->shape != w.shape) return errc::shape_mismatch;
  }
  if (!is_number_type(y.type)) return errc::invalid_argument;
  if (y.cols != w.shape.rows) return errc::shape_mismatch;
  if (item.x_rows == nullptr && item.num_rows != x.rows) return errc::shape_mismatch;
  if (item.x_rows != nullptr && !all_below(item.x_rows, item.num_rows, x.rows)) {
    return errc::invalid_argument;
  }
  if (item.y_rows == nullptr) {
    if (y.rows < item.num_rows) return errc::shape_mismatch;
  } else if (!all_below(item.y_rows, item.num_rows, y.rows)) {
    return errc::invalid_argument;
  }
  if (!is_array(y.data, item.num_rows == 0 ? 0 : y.rows, y.cols, y.stride)) {
    return errc::invalid_argument;
  }
  return check_epilogue(*item.post, y, item.num_rows);
}

/// Outlier columns are left out of x, which all matrices of a call share.
inline bool same_columns(const outlier_data& a, const outlier_data& b) noexcept {
  return a.num_columns == b.num_columns &&
         (a.num_columns == 0 || std::memcmp(a.columns, b.columns, a.num_columns * 4) == 0);
}

/// A whole call.
inline errc check_call(const gemm_args& args) noexcept {
  const activations& x = args.x;
  if (const errc e = check_options(args.options, args.codec->has_levels); e != errc::ok) return e;
  if (!is_array(x.data, x.rows, x.cols, x.stride)) return errc::invalid_argument;
  if (const errc e = check_zero_points(x); e != errc::ok) return e;
  const outlier_data& columns = args.items.front().w->outliers;
  for (const gemm_item& item : args.items) {
    if (const errc e = check_item(item, x); e != errc::ok) return e;
    if (!same_columns(item.w->outliers, columns)) return errc::shape_mismatch;
    if (item.pair != nullptr && !same_columns(item.pair->outliers, columns)) {
      return errc::shape_mismatch;
    }
  }
  const bool in_order = x.order == nullptr || all_below(x.order, x.cols, x.cols);
  return in_order ? errc::ok : errc::invalid_argument;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_GEMM_CHECKS_H_
