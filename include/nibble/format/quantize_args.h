// SPDX-License-Identifier: Apache-2.0 OR MIT
// What quantize() and dequantize() hand to the kernels: pointers, sizes and options, checked
// before.
#ifndef NIBBLE_FORMAT_QUANTIZE_ARGS_H_
#define NIBBLE_FORMAT_QUANTIZE_ARGS_H_

#include <numeric>

#include "nibble/format/rules.h"
#include "nibble/format/storage.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

struct quantize_args {
  const float* x;
  std::size_t stride;
  std::size_t rows;
  std::size_t cols;
  const basic_section<std::uint8_t>* sections;
  const quantize_options* options;
  float* scratch;  ///< quantize_scratch<F>(rows, cols) floats
  quantize_report* report;
};

struct dequantize_args {
  const basic_section<const std::uint8_t>* sections;
  std::size_t rows;
  std::size_t cols;
  float* y;  ///< row r is row `first + r` of the matrix, or, if there are ids, row ids[r]
  std::size_t stride;
  std::size_t first = 0;
  const std::uint32_t* ids = nullptr;
};

/// Floats of scratch for n values, so that whole vectors can be read and written.
constexpr std::size_t padded(std::size_t n) noexcept {
  return (n + 2 * chunk_size - 1) / chunk_size * chunk_size;
}

/// Floats of scratch that quantizing a [rows x cols] region in format F takes.
template <class F>
constexpr std::size_t region_floats(std::size_t rows, std::size_t cols) noexcept {
  if constexpr (element<F>) {
    return 0;
  } else {
    const grid_shape grid = F::shape.grid(rows, cols);
    const std::size_t n = grid.rows * grid.cols;
    std::size_t sum = 5 * padded(n) + region_floats<typename F::scale_format>(grid.rows, grid.cols);
    if constexpr (F::has_shift) {
      sum += region_floats<typename F::shift_format>(grid.rows, grid.cols);
    }
    if constexpr (F::shift_type::kind == shift_kind::center) sum += padded(rows * cols);
    return sum;
  }
}

/// Blocks along a row after which the scales of F, and the scales of those, begin anew.
template <class F>
constexpr std::size_t blocks_per_period() noexcept {
  using S = typename F::scale_format;
  if constexpr (element<S>) {
    return chunk_size;  // whole chunks of scale codes
  } else {
    if (S::shape.cols == all) return all;
    const std::size_t inner = blocks_per_period<S>();
    return inner == all ? all : std::lcm(chunk_size, S::shape.cols * inner);
  }
}

/// Columns of a stretch of a row that can be quantized on its own: about 4096 values, whole periods
/// of the format. The whole row where a scale spans it, 0 where scales span rows.
template <class F>
constexpr std::size_t stretch_cols(std::size_t cols) noexcept {
  if constexpr (element<F>) {
    return cols;
  } else if constexpr (!is_row_local<F>()) {
    return 0;
  } else {
    constexpr std::size_t blocks = blocks_per_period<F>();
    if (F::shape.cols == all || blocks == all) return cols;
    const std::size_t period = blocks * F::shape.cols;
    const std::size_t stretch = period >= 4096 ? period : 4096 / period * period;
    return stretch < cols ? stretch : cols;
  }
}

/// Floats of scratch for quantizing a [rows x cols] matrix in format F.
template <class F>
constexpr std::size_t quantize_scratch(std::size_t rows, std::size_t cols) noexcept {
  if constexpr (wire_format<F>) {
    return 0;  // records have buffers of fixed size
  } else {
    const std::size_t stretch = stretch_cols<F>(cols);
    return stretch != 0 ? region_floats<F>(1, stretch) : region_floats<F>(rows, cols);
  }
}

/// Rows of a matrix in format F after which everything begins anew, so that they can be quantized
/// on their own; `all` where a scale or shift spans the matrix.
template <class F>
constexpr std::size_t row_period() noexcept {
  if constexpr (element<F> || wire_format<F>) {
    return 1;
  } else if constexpr (F::shape.flat || F::shape.rows == all ||
                       (F::has_shift && F::shift_shape != F::shape)) {
    return all;
  } else {
    const std::size_t scales = row_period<typename F::scale_format>();
    std::size_t shifts = 1;
    if constexpr (F::has_shift) shifts = row_period<typename F::shift_format>();
    return scales == all || shifts == all ? all : F::shape.rows * std::lcm(scales, shifts);
  }
}

/// Section pointers from row r on, a multiple of row_period<F>().
template <class F>
constexpr void move_to_row(const basic_section<std::uint8_t>* from, std::size_t r,
                           basic_section<std::uint8_t>* to) noexcept {
  if constexpr (element<F> || wire_format<F>) {
    *to = {from->data + r * from->stride, from->stride};
  } else {
    using S = typename F::scale_format;
    move_to_row<typename F::element>(from, r, to);
    const std::size_t block = F::shape.rows == all ? 0 : r / F::shape.rows;
    move_to_row<S>(from + 1, block, to + 1);
    if constexpr (F::has_shift) {
      move_to_row<typename F::shift_format>(from + 1 + num_sections<S>, block,
                                            to + 1 + num_sections<S>);
    }
  }
}

/// Options for k columns.
inline errc check_options(const quantize_options& o, std::size_t cols) noexcept {
  if (o.rule > scale_rule::weighted || o.mx > mx_scale::round_up) return errc::invalid_argument;
  if (o.rule == scale_rule::percentile && !(o.percentile > 50 && o.percentile <= 100)) {
    return errc::invalid_argument;
  }
  if (o.rule == scale_rule::weighted && o.importance.size() != cols) return errc::shape_mismatch;
  return errc::ok;
}

/// A whole call.
template <format F>
constexpr errc check_quantize(matrix_view<const float> x, quantized_view<F> w,
                              const quantize_options& options) noexcept {
  if (x.rows != w.rows || x.cols != w.cols) return errc::shape_mismatch;
  if (!x.valid() || !w.valid()) return errc::invalid_argument;
  return check_options(options, x.cols);
}

/// Rows of one task, of some tasks for every thread: a multiple of `period`.
constexpr std::size_t rows_of_task(std::size_t rows, std::size_t period,
                                   std::size_t threads) noexcept {
  const std::size_t periods = rows / (4 * threads) / period;
  return (periods == 0 ? 1 : periods) * period;
}

/// The field of a searched block that a section of its record holds.
template <wire_format F, class Block>
constexpr std::uint32_t search_field(const Block& b, std::size_t section, std::size_t i) noexcept {
  using M = typename F::meaning;
  if (section == 0) return b.codes[i];
  if constexpr (element<typename M::scale_format>) {
    return section == 1 ? b.d : b.dmin;
  } else {
    switch (section) {
      case 1: return b.scales[i];
      case 2: return b.d;
      case 3: return b.mins[i];
      default: return b.dmin;
    }
  }
}

/// Mean of the squares of a row's finite values, summed in order.
inline float row_mean_square(const float* x, std::size_t n) noexcept {
  float sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float v = is_finite(x[i]) ? x[i] : 0.0f;
    sum = mul_then_add(v, v, sum);
  }
  return n == 0 ? 0.0f : sum / static_cast<float>(n);
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_QUANTIZE_ARGS_H_
