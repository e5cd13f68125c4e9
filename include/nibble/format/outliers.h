// SPDX-License-Identifier: Apache-2.0 OR MIT
// Outliers: weights that a product multiplies beside a packed matrix, in f32 arithmetic.
//
//   entries   single weights, row by row and k ascending, so those of a 16-row panel lie together:
//             the column within its span of 65536 columns (16 bits) and the value.
//             row_begin[row * num_spans + span] is the first entry of a row in a span.
//   columns   whole columns, k ascending, as panels: [panel][column][16 rows]
//
// Entries are added to what the packed matrix has in their place. Columns replace it: products
// leave the packed matrix's column out, and with it x's from the ranges that x is quantized by.
#ifndef NIBBLE_FORMAT_OUTLIERS_H_
#define NIBBLE_FORMAT_OUTLIERS_H_

#include <array>
#include <cstring>
#include <limits>

#include "nibble/core/aligned.h"
#include "nibble/core/errors.h"
#include "nibble/format/number_type.h"
#include "nibble/format/packed_shape.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// Columns whose entries have 16-bit indices.
inline constexpr std::size_t outlier_span = 65536;

/// Spans of a row.
[[nodiscard]] constexpr std::size_t num_outlier_spans(std::size_t cols) noexcept {
  return cols / outlier_span + (cols % outlier_span != 0);
}

/// Outliers of an [n x k] matrix that lie elsewhere: in a packed_outliers, in a mapped file.
struct outlier_data {
  std::size_t num_values = 0;                  ///< entries, at most 2^32 - 1
  std::size_t num_columns = 0;                 ///< whole columns
  number_type value_type = number_type::f32;   ///< of entries: f32, bf16 or f16
  number_type column_type = number_type::f32;  ///< of columns
  const std::uint32_t* row_begin = nullptr;    ///< [n * num_outlier_spans(k) + 1]
  const std::uint16_t* cols = nullptr;         ///< [num_values]
  const void* values = nullptr;                ///< [num_values]
  const std::uint32_t* columns = nullptr;      ///< [num_columns], ascending
  const void* column_values = nullptr;         ///< [panel][num_columns][16]
  std::size_t matrix_rows = 0;                 ///< n, which row_begin and column_values depend on
  std::size_t matrix_cols = 0;                 ///< k

  [[nodiscard]] constexpr bool empty() const noexcept { return num_values + num_columns == 0; }
};

namespace detail {

/// Bytes of the five arrays, in the order of outlier_data, and where they begin in one buffer.
struct outlier_sizes {
  std::array<std::size_t, 5> bytes{};
  std::array<std::size_t, 5> offset{};
  std::size_t total = 0;
};

/// Counts and types alone matter. They are at most 2^32 and n * k, which fits.
constexpr outlier_sizes outlier_sizes_of(const outlier_data& o, std::size_t rows,
                                         std::size_t cols) noexcept {
  outlier_sizes z;
  if (o.num_values != 0) {
    z.bytes[0] = (rows * num_outlier_spans(cols) + 1) * sizeof(std::uint32_t);
    z.bytes[1] = o.num_values * sizeof(std::uint16_t);
    z.bytes[2] = o.num_values * size_of(o.value_type);
  }
  if (o.num_columns != 0) {
    const std::size_t num_panels = rows / panel_rows + (rows % panel_rows != 0);
    z.bytes[3] = o.num_columns * sizeof(std::uint32_t);
    z.bytes[4] = num_panels * o.num_columns * panel_rows * size_of(o.column_type);
  }
  for (std::size_t i = 0; i < z.bytes.size(); ++i) {
    z.offset[i] = z.total;
    z.total += (z.bytes[i] + 63) / 64 * 64;
  }
  return z;
}

/// Points the arrays into a buffer of outlier_sizes_of(o, rows, cols).total bytes.
inline void point_into(outlier_data& o, const outlier_sizes& z,
                       const std::uint8_t* buffer) noexcept {
  const auto at = [&]<class T>(std::size_t i, const T*& p) {
    p = z.bytes[i] == 0 ? nullptr
                        : static_cast<const T*>(static_cast<const void*>(buffer + z.offset[i]));
  };
  at(0, o.row_begin);
  at(1, o.cols);
  o.values = z.bytes[2] == 0 ? nullptr : buffer + z.offset[2];
  at(3, o.columns);
  o.column_values = z.bytes[4] == 0 ? nullptr : buffer + z.offset[4];
}

/// Whether arrays from outside are what kernels rely on: places ascend and lie inside n x k.
[[nodiscard]] inline bool outliers_are_sound(const outlier_data& o, std::size_t rows,
                                             std::size_t cols) noexcept {
  const std::size_t spans = num_outlier_spans(cols);
  if (o.num_values != 0) {
    const std::size_t last = rows * spans;
    if (o.row_begin[0] != 0 || o.row_begin[last] != o.num_values) return false;
    for (std::size_t i = 0; i < last; ++i) {
      if (o.row_begin[i] > o.row_begin[i + 1] || o.row_begin[i + 1] > o.num_values) return false;
      const std::size_t left = cols - i % spans * outlier_span;
      for (std::size_t e = o.row_begin[i]; e < o.row_begin[i + 1]; ++e) {
        if (o.cols[e] >= left || (e != o.row_begin[i] && o.cols[e] <= o.cols[e - 1])) return false;
      }
    }
  }
  for (std::size_t i = 0; i < o.num_columns; ++i) {
    if (o.columns[i] >= cols || (i != 0 && o.columns[i] <= o.columns[i - 1])) return false;
  }
  return true;
}

}  // namespace detail

/// Calls fn(row, column, value) for all outliers: entries in order, then columns.
template <class Fn>
inline void for_each_outlier(const outlier_data& o, std::size_t rows, std::size_t cols, Fn&& fn) {
  const std::size_t spans = num_outlier_spans(cols);
  for (std::size_t i = 0; o.num_values != 0 && i < rows * spans; ++i) {
    for (std::size_t e = o.row_begin[i]; e < o.row_begin[i + 1]; ++e) {
      fn(i / spans, i % spans * outlier_span + o.cols[e],
         detail::load_number(o.value_type, o.values, e));
    }
  }
  for (std::size_t r = 0; o.num_columns != 0 && r < rows; ++r) {
    for (std::size_t i = 0; i < o.num_columns; ++i) {
      const std::size_t at = (r / panel_rows * o.num_columns + i) * panel_rows + r % panel_rows;
      fn(r, std::size_t{o.columns[i]}, detail::load_number(o.column_type, o.column_values, at));
    }
  }
}

namespace detail {

/// Gives row r of a dequantized matrix of `cols` columns its outliers.
inline void add_row_outliers(const outlier_data& o, std::size_t r, std::size_t cols,
                             float* w) noexcept {
  const std::size_t spans = num_outlier_spans(cols);
  for (std::size_t span = 0; o.num_values != 0 && span < spans; ++span) {
    const std::size_t at = r * spans + span;
    for (std::size_t e = o.row_begin[at]; e < o.row_begin[at + 1]; ++e) {
      w[span * outlier_span + o.cols[e]] += load_number(o.value_type, o.values, e);
    }
  }
  const std::size_t in_panel = r / panel_rows * o.num_columns;
  for (std::size_t i = 0; i < o.num_columns; ++i) {
    w[o.columns[i]] =
        load_number(o.column_type, o.column_values, (in_panel + i) * panel_rows + r % panel_rows);
  }
}

}  // namespace detail

/// Gives a dequantized matrix its outliers: single ones are added in f32 to what is there, columns
/// are written over it.
///
/// shape_mismatch: outliers of a matrix of another shape. invalid_argument: their places do not
/// ascend inside it, or w has no data. Nothing is written then.
[[nodiscard]] inline errc add_outliers(const outlier_data& o, matrix_view<float> w) noexcept {
  if (o.empty()) return errc::ok;
  if (o.matrix_rows != w.rows || o.matrix_cols != w.cols) return errc::shape_mismatch;
  if (!w.valid() || !detail::outliers_are_sound(o, w.rows, w.cols)) return errc::invalid_argument;
  for (std::size_t r = 0; r < w.rows; ++r) {
    detail::add_row_outliers(o, r, w.cols, w.row_data(r));
  }
  return errc::ok;
}

/// Owns the outliers of an [n x k] matrix in one 64-byte aligned buffer. Move-only.
class packed_outliers {
 public:
  packed_outliers() = default;

  /// Allocates for the counts and types of `sizes`; nothing is set. overflow: n, k or a count does
  /// not fit; limit_exceeded: 2^32 entries and more; out_of_memory.
  [[nodiscard]] static result<packed_outliers> create(std::size_t rows, std::size_t cols,
                                                      const outlier_data& sizes) noexcept {
    constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4096;
    if (rows > limit || cols > limit || (cols != 0 && rows > limit / cols)) return errc::overflow;
    if (sizes.num_values > std::numeric_limits<std::uint32_t>::max() || cols > std::size_t{1}
                                                                                   << 32) {
      return errc::limit_exceeded;
    }
    if (sizes.num_columns > cols || sizes.num_values > rows * cols) return errc::shape_mismatch;
    packed_outliers o;
    o.rows_ = rows;
    o.cols_ = cols;
    o.data_ = sizes;
    o.data_.matrix_rows = rows;
    o.data_.matrix_cols = cols;
    o.sizes_ = detail::outlier_sizes_of(sizes, rows, cols);
    if (o.sizes_.total != 0) {
      o.buffer_ = detail::make_packed_buffer(o.sizes_.total);
      if (o.buffer_ == nullptr) return errc::out_of_memory;
    }
    detail::point_into(o.data_, o.sizes_, o.buffer_.get());
    return o;
  }

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  /// Bytes of the buffer: places, values and padding.
  [[nodiscard]] std::size_t bytes() const noexcept { return sizes_.total; }
  [[nodiscard]] const outlier_data& view() const noexcept { return data_; }
  /// Whether an [rows x cols] matrix may have them: kernels trust their places. shape_mismatch: it
  /// has another shape; invalid_argument: places do not ascend inside the matrix.
  [[nodiscard]] errc check(std::size_t rows, std::size_t cols) const noexcept {
    if (rows != rows_ || cols != cols_) return errc::shape_mismatch;
    return detail::outliers_are_sound(data_, rows_, cols_) ? errc::ok : errc::invalid_argument;
  }

  /// For what fills the arrays: number i of outlier_data's.
  [[nodiscard]] std::uint8_t* array(std::size_t i) noexcept {
    return buffer_.get() + sizes_.offset[i];
  }

 private:
  detail::packed_buffer buffer_;
  outlier_data data_;
  detail::outlier_sizes sizes_;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_OUTLIERS_H_
