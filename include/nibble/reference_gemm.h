// SPDX-License-Identifier: Apache-2.0 OR MIT
// The specification of gemm() in plain loops: the integer path, which kernels equal in every bit,
// and the exact sums that bounds are measured from. Slow; allocates and may throw bad_alloc.
#ifndef NIBBLE_REFERENCE_GEMM_H_
#define NIBBLE_REFERENCE_GEMM_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "nibble/format/codes.h"
#include "nibble/format/epilogue_math.h"
#include "nibble/format/gemm_args.h"

namespace nibble::inline NIBBLE_ABI {
namespace reference {

/// Weights as products see them, whatever their format. Blocks are those along k.
struct weight_parts {
  packed_shape shape;
  std::vector<float> value;         ///< [n][k], as dequantized
  std::vector<std::int32_t> level;  ///< [n][k], integer path: value before scaling / unit
  std::vector<float> scale;         ///< [n][num_blocks]; 1 if there is none
  std::vector<float> shift;         ///< [n][num_blocks]; minimums with their sign turned
  detail::shift_use use = detail::shift_use::none;
  detail::codec_info codec;
  struct outlier {
    std::size_t col;
    float value;
  };
  std::vector<std::vector<outlier>> singles;  ///< [n], k ascending; empty if there are none
  std::vector<std::vector<outlier>> columns;  ///< the same of whole columns

  [[nodiscard]] std::size_t block_of(std::size_t c) const { return c / shape.block; }
  /// Where column c lies in packed order.
  [[nodiscard]] std::size_t packed(std::size_t c) const {
    return c / shape.block * shape.block_cols + c % shape.block;
  }
};

/// Takes a quantized matrix apart.
template <format F>
weight_parts take_apart(quantized_view<const F> w) {
  if constexpr (wire_format<F>) {
    using M = typename F::meaning;
    std::vector<std::uint8_t> bytes(quantized_view<M>::buffer_bytes(w.rows, w.cols));
    const quantized_view<M> parts(bytes.data(), w.rows, w.cols);
    static_cast<void>(from_wire<F>(w, parts));
    return take_apart<M>(quantized_view<const M>(parts));
  } else {
    using P = detail::parts_of<F>;
    using E = typename P::element;
    weight_parts t;
    const std::size_t block = P::shape.cols;
    t.shape = make_packed_shape(w.rows, w.cols, block == all ? w.cols : block);
    t.codec = detail::codec_info_of<E>;
    if (w.cols == 0) return t;
    const std::size_t blocks = t.shape.num_blocks;
    t.value.resize(w.rows * w.cols);
    t.level.resize(w.rows * w.cols);
    t.scale.assign(w.rows * blocks, 1.0f);
    t.shift.assign(w.rows * blocks, 0.0f);
    const auto* const s = w.sections.data();
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (std::size_t c = 0; c < w.cols; ++c) {
        const std::size_t i = r * w.cols + c;
        t.value[i] = detail::value_at<F>(s, w.rows, w.cols, r, c);
        if (!t.codec.has_levels) continue;
        const auto code = load_code<E>(*s, r, c);
        if (t.codec.levels != nullptr) {
          t.level[i] = t.codec.levels[code] - t.codec.bias;
        } else {
          t.level[i] = static_cast<std::int32_t>(E::decode(code) / t.codec.unit);
        }
      }
      if constexpr (block_format<F>) {
        using S = typename F::scale_format;
        const grid_shape grid = F::shape.grid(w.rows, w.cols);
        for (std::size_t c = 0; c < w.cols; c += t.shape.block) {
          const std::size_t i = r * blocks + t.block_of(c);
          const grid_shape b = detail::block_of(F::shape, w.cols, r, c);
          t.scale[i] = detail::value_at<S>(s + 1, grid.rows, grid.cols, b.rows, b.cols);
          if constexpr (F::has_shift) {
            t.use = detail::shift_use_of<F>();
            const grid_shape shifts = F::shift_shape.grid(w.rows, w.cols);
            const grid_shape z = detail::block_of(F::shift_shape, w.cols, r, c);
            t.shift[i] = detail::value_at<typename F::shift_format>(
                s + 1 + num_sections<S>, shifts.rows, shifts.cols, z.rows, z.cols);
            if (t.use == detail::shift_use::minimum) t.shift[i] = -t.shift[i];
          }
        }
      }
    }
    return t;
  }
}

/// Gives weights the outliers of a packed matrix.
inline void take_outliers(weight_parts& w, const outlier_data& o) {
  w.singles.assign(w.shape.rows, {});
  w.columns.assign(w.shape.rows, {});
  const auto take = [&](outlier_data some, auto& rows) {
    for_each_outlier(some, w.shape.rows, w.shape.cols, [&](std::size_t r, std::size_t c, float v) {
      rows[r].push_back({c, v});
    });
  };
  outlier_data part = o;
  part.num_columns = 0;
  take(part, w.singles);
  part = o;
  part.num_values = 0;
  take(part, w.columns);
}

/// Whether column c of w is kept apart.
inline bool is_outlier_column(const weight_parts& w, std::size_t c) noexcept {
  if (w.columns.empty() || w.columns[0].empty()) return false;
  const auto at = std::ranges::lower_bound(w.columns[0], c, {}, &weight_parts::outlier::col);
  return at != w.columns[0].end() && at->col == c;
}

// --- activations -----------------------------------------------------------

inline bool has_codes(const activations& x) noexcept {
  return x.type == number_type::int8 || x.type == number_type::uint8;
}

/// Column of x that column c of w is multiplied by.
inline std::size_t column_of(const activations& x, std::size_t c) noexcept {
  return x.order == nullptr ? c : x.order[c];
}

/// Codes: x[r, c] as an integer, less its zero point.
inline std::int32_t whole_of(const activations& x, std::size_t r, std::size_t c) noexcept {
  const std::size_t at = r * x.stride + c;
  const std::int32_t code = x.type == number_type::int8
                                ? static_cast<const std::int8_t*>(x.data)[at]
                                : static_cast<const std::uint8_t*>(x.data)[at];
  return code - x.zero_point(r);
}

/// x[r, c], exactly.
inline double exact_of(const activations& x, std::size_t r, std::size_t c) noexcept {
  if (has_codes(x)) {
    return static_cast<double>(whole_of(x, r, c)) * static_cast<double>(x.scale_at(r, c));
  }
  return static_cast<double>(detail::load_number(x.type, x.data, r * x.stride + c));
}

/// The shape of w with the segments of a call: those of activation_scale::per_128 are short, unless
/// x has scales.
inline packed_shape shape_of(const weight_parts& w, const activations& x,
                             activation_scale scale) noexcept {
  const bool is_short = scale == activation_scale::per_128 && x.scales == nullptr;
  return is_short ? with_short_segments(w.shape) : w.shape;
}

/// Columns of w in packed order whose activations share a scale.
inline std::size_t scale_group(const packed_shape& shape, activation_scale scale) noexcept {
  if (scale == activation_scale::per_128) return std::max(shape.segment_cols, strip_cols);
  const bool per_block = scale == activation_scale::per_block ||
                         (scale == activation_scale::automatic && shape.block < shape.cols);
  return per_block ? std::max(shape.block_cols, strip_cols) : shape.packed_cols;
}

/// One row of activations on the integer path: x[c] ~ code[c] * scale[c], c a column of w, and what
/// is multiplied as it is.
struct quantized_row {
  std::vector<std::int32_t> code;
  std::vector<float> scale;
  std::vector<float> amax;  ///< 254 times what a code may be off by, over the scale; 0: given codes
  std::vector<float> kept;  ///< of columns kept apart, and of x beyond a threshold; else 0
};

/// x by a scale and zero point that were given.
inline std::int32_t code_by(float v, float scale, std::int32_t zero) noexcept {
  const float steps = detail::rounded(v * detail::rounded(1.0f / scale));
  const float code = detail::nearest_integer(std::clamp(steps, -512.0f, 512.0f));
  return std::clamp(static_cast<std::int32_t>(code) + zero, -128, 127) - zero;
}

/// The one infinity among values first .. end - 1, all others of which are finite; end if there is
/// none such.
inline std::size_t single_infinity(const std::vector<float>& value, std::size_t first,
                                   std::size_t end) noexcept {
  std::size_t at = end;
  for (std::size_t c = first; c < end; ++c) {
    if (std::isfinite(value[c])) continue;
    if (at != end || std::isnan(value[c])) return end;
    at = c;
  }
  return at;
}

/// @param threshold  gemm_options::outlier_threshold
inline quantized_row quantize_row(const weight_parts& w, const activations& x, std::size_t r,
                                  activation_scale scale, float threshold = 0) {
  const packed_shape shape = shape_of(w, x, scale);
  const std::size_t k = shape.cols;
  quantized_row q{std::vector<std::int32_t>(k), std::vector<float>(k), std::vector<float>(k),
                  std::vector<float>(k)};
  std::vector<float> value(k);  // to be quantized
  for (std::size_t c = 0; c < k; ++c) {
    const float v = static_cast<float>(exact_of(x, r, column_of(x, c)));
    const bool is_large = threshold > 0 && !has_codes(x) && std::fabs(v) >= threshold;
    const bool apart = is_large || is_outlier_column(w, c);
    q.kept[c] = apart ? v : 0.0f;
    value[c] = apart ? 0.0f : v;
    if (has_codes(x)) {
      q.code[c] = apart ? 0 : whole_of(x, r, column_of(x, c));
      q.scale[c] = x.scale_at(r, w.block_of(c) * w.shape.block);
    }
  }
  if (has_codes(x)) return q;
  // Columns that share a scale: with given ones, a segment each.
  const bool given = x.scales != nullptr;
  const std::size_t group = given ? shape.segment_cols : scale_group(shape, scale);
  for (std::size_t first = 0; first < k;) {
    std::size_t end = first;
    float amax = 0;
    bool finite = true;
    for (; end < k && w.packed(end) / group == w.packed(first) / group; ++end) {
      const float size = detail::float_of(detail::bits_of(value[end]) & ~detail::f32_sign);
      finite = finite && size <= std::numeric_limits<float>::max();
      amax = size > amax ? size : amax;
    }
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    // One infinity is one step of an infinite scale, which only its segment has.
    const auto take_infinity = [&](std::int32_t zero) {
      const std::size_t at = single_infinity(value, first, end);
      if (at == end) return;
      const std::int32_t step = value[at] > 0 ? 1 : -1;
      if (zero + step < -128 || zero + step > 127) return;
      q.code[at] = step;
      for (std::size_t c = first; c < end; ++c) {
        const bool beside = w.packed(c) / shape.segment_cols != w.packed(at) / shape.segment_cols;
        q.scale[c] = beside ? 0.0f : std::numeric_limits<float>::infinity();
      }
    };
    if (given) {
      const float s = x.scale_at(r, w.block_of(first) * w.shape.block);
      constexpr float most = std::numeric_limits<float>::max();
      const bool is_scale = s > 0 && s <= most && 1.0f / s <= most;
      const bool good = finite && is_scale;
      for (std::size_t c = first; c < end; ++c) {
        q.code[c] = good ? code_by(value[c], s, x.zero_point(r)) : 0;
        q.scale[c] = good ? s : nan;
        q.amax[c] = good ? s * 127 : amax;
      }
      if (is_scale && !finite) take_infinity(x.zero_point(r));
    } else {
      const bool zero = !finite || amax < 0x1p-120f;
      const float inverse = zero ? 0.0f : 127.0f / amax;
      for (std::size_t c = first; c < end; ++c) {
        const float code =
            zero ? 0.0f : detail::nearest_integer(detail::rounded(value[c] * inverse));
        q.code[c] = static_cast<std::int32_t>(code);
        q.scale[c] = !finite ? nan : zero ? 0.0f : amax / 127.0f;
        q.amax[c] = amax;
      }
      if (!finite) take_infinity(0);
    }
    first = end;
  }
  return q;
}

/// y += what is multiplied beside the packed matrix, every operation rounded to f32: columns of w
/// kept apart, then columns with large x times dequantized weights, then the sum of single weights.
/// @param x  of row m, in the order of w's columns
/// @param kept  large values of x, or null
inline float add_outliers(const weight_parts& w, std::size_t n, const std::vector<float>& x,
                          const std::vector<float>* kept, float y) {
  if (!w.columns.empty()) {
    for (const auto& o : w.columns[n]) y = detail::mul_then_add(o.value, x[o.col], y);
  }
  for (std::size_t c = 0; kept != nullptr && c < w.shape.cols; ++c) {
    if ((*kept)[c] != 0 && !is_outlier_column(w, c)) {
      y = detail::mul_then_add(w.value[n * w.shape.cols + c], (*kept)[c], y);
    }
  }
  float sum = 0;
  if (!w.singles.empty()) {
    for (const auto& o : w.singles[n]) sum = detail::mul_then_add(o.value, x[o.col], sum);
  }
  return y + sum;
}

/// Row m of x as f32, in the order of w's columns.
inline std::vector<float> row_of(const weight_parts& w, const activations& x, std::size_t m) {
  std::vector<float> row(w.shape.cols);
  for (std::size_t c = 0; c < row.size(); ++c) {
    row[c] = static_cast<float>(exact_of(x, m, column_of(x, c)));
  }
  return row;
}

// --- sums ------------------------------------------------------------------

/// The integer path before its epilogue, [m][n]. Per segment of k, in order:
///
///   sum = exact, of (level - integer zero point) * code, modulo 2^32
///   t = float(sum)                           float zero point: t = t - shift * float(sum of codes)
///   y = y + t * (scale * unit * x_scale)
///   offset, minimum: y = y + shift * (x_scale * float(sum of codes))
///
/// then outliers, and every operation rounds to f32.
inline std::vector<float> gemm_integer(const weight_parts& w, const activations& x,
                                       activation_scale scale = activation_scale::automatic,
                                       float threshold = 0) {
  const packed_shape shape = shape_of(w, x, scale);
  const std::size_t k = shape.cols;
  std::vector<float> y(x.rows * shape.rows, 0.0f);
  for (std::size_t m = 0; m < x.rows && k != 0; ++m) {
    const quantized_row q = quantize_row(w, x, m, scale, threshold);
    const std::vector<float> row = row_of(w, x, m);
    for (std::size_t n = 0; n < shape.rows; ++n) {
      float sum = 0;
      for (std::size_t first = 0; first < k;) {
        const std::size_t segment = w.packed(first) / shape.segment_cols;
        const std::size_t b = n * shape.num_blocks + w.block_of(first);
        const float shift = w.shift[b];
        const std::int64_t zero =
            w.use == detail::shift_use::zero_int ? static_cast<std::int64_t>(shift) : 0;
        std::int64_t whole = 0;
        std::int64_t codes = 0;
        std::size_t c = first;
        for (; c < k && w.packed(c) / shape.segment_cols == segment; ++c) {
          whole += (w.level[n * k + c] - zero) * q.code[c];
          codes += q.code[c];
        }
        const float x_scale = q.scale[first];
        const float unit_scale = detail::rounded(w.scale[b] * w.codec.unit);
        const float factor = detail::rounded(unit_scale * x_scale);
        const float code_sum = static_cast<float>(codes);
        float t = static_cast<float>(static_cast<std::int32_t>(whole));
        if (w.use == detail::shift_use::zero_float) t = t - detail::rounded(shift * code_sum);
        sum = detail::mul_then_add(t, factor, sum);
        if (w.use == detail::shift_use::offset || w.use == detail::shift_use::minimum) {
          sum = detail::mul_then_add(shift, detail::rounded(x_scale * code_sum), sum);
        }
        first = c;
      }
      y[m * shape.rows + n] = add_outliers(w, n, row, &q.kept, sum);
    }
  }
  return y;
}

/// The integers that an epilogue of requantization by a fixed-point rule alone takes, [m][n]: sums
/// over all of k, modulo 2^32, where w has one block per row, no outliers and no float shift, no x
/// is multiplied apart, and the scales of both rows are 1; else gemm_integer()'s to nearest.
/// (float_multiplier takes the float of the former, else gemm_integer()'s.)
struct integer_sum {
  std::int32_t value;
  bool is_sum;  ///< not gemm_integer()'s
};
inline std::vector<integer_sum> gemm_int32(const weight_parts& w, const activations& x,
                                           activation_scale scale = activation_scale::automatic,
                                           float threshold = 0) {
  using detail::shift_use;
  const std::size_t k = w.shape.cols;
  const std::vector<float> floats = gemm_integer(w, x, scale, threshold);
  const bool may = (w.use == shift_use::none || w.use == shift_use::zero_int) &&
                   w.shape.block == k && w.singles.empty() && w.columns.empty() &&
                   (scale != activation_scale::per_128 || x.scales != nullptr) &&
                   (!(threshold > 0) || has_codes(x));
  std::vector<integer_sum> sums;
  for (std::size_t m = 0; m < x.rows; ++m) {
    const quantized_row q = quantize_row(w, x, m, scale, threshold);
    for (std::size_t n = 0; n < w.shape.rows; ++n) {
      bool is_sum = may;
      std::int64_t sum = 0;
      const std::size_t b = n * w.shape.num_blocks;
      for (std::size_t c = 0; c < k; ++c) {
        const std::int64_t zero = w.use == shift_use::zero_int ? static_cast<int>(w.shift[b]) : 0;
        sum += (w.level[n * k + c] - zero) * q.code[c];
        is_sum = is_sum && w.scale[b] * w.codec.unit == 1 && q.scale[c] == 1;
      }
      sums.push_back(
          {is_sum ? static_cast<std::int32_t>(sum) : detail::to_int32(floats[m * w.shape.rows + n]),
           is_sum});
    }
  }
  return sums;
}

/// sum_k x w in double, [m][n], outliers included.
inline std::vector<double> gemm_exact(const weight_parts& w, const activations& x) {
  const std::size_t k = w.shape.cols;
  std::vector<double> y(x.rows * w.shape.rows, 0.0);
  for (std::size_t m = 0; m < x.rows; ++m) {
    for (std::size_t n = 0; n < w.shape.rows; ++n) {
      double sum = 0;
      for (std::size_t c = 0; c < k; ++c) {
        if (is_outlier_column(w, c)) continue;
        sum += exact_of(x, m, column_of(x, c)) * static_cast<double>(w.value[n * k + c]);
      }
      for (const auto* some : {&w.columns, &w.singles}) {
        if (some->empty()) continue;
        for (const auto& o : (*some)[n]) {
          sum += exact_of(x, m, column_of(x, o.col)) * static_cast<double>(o.value);
        }
      }
      y[m * w.shape.rows + n] = sum;
    }
  }
  return y;
}

/// What becomes of sums [x_rows of them][n]: y as gemm() writes it.
inline void apply_epilogue(const std::vector<float>& sums, const results& y, const epilogue& post,
                           const std::vector<float>* second = nullptr,
                           const second_channels& channels = {}) {
  for (std::size_t m = 0; m < y.rows; ++m) {
    std::uint8_t* const row = static_cast<std::uint8_t*>(y.data) + m * y.stride * size_of(y.type);
    for (std::size_t n = 0; n < y.cols; ++n) {
      const std::size_t i = m * y.cols + n;
      const float v = detail::epilogue_value(
          post, sums[i], second == nullptr ? nullptr : second->data() + i, m, n, channels);
      detail::store_number(post, v, n, row, y.type);
    }
  }
}

/// The same on the integer path, for one matrix: with sums that no f32 rounds, where they are
/// taken.
inline void apply_epilogue(const std::vector<float>& sums, const std::vector<integer_sum>& whole,
                           const results& y, const epilogue& post) {
  apply_epilogue(sums, y, post);
  if (!detail::takes_int32(post, y.type)) return;
  for (std::size_t m = 0; m < y.rows; ++m) {
    std::uint8_t* const row = static_cast<std::uint8_t*>(y.data) + m * y.stride;
    for (std::size_t n = 0; n < y.cols; ++n) {
      const integer_sum& s = whole[m * y.cols + n];
      const std::int32_t code =
          detail::is_fixed(post.requantize.rule)
              ? detail::requantize_sum(post.requantize, s.value, n)
              : detail::requantize(post.requantize,
                                   s.is_sum ? static_cast<float>(s.value) : sums[m * y.cols + n],
                                   n);
      detail::store_code_of(code, n, row, y.type);
    }
  }
}

}  // namespace reference
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_REFERENCE_GEMM_H_
