// SPDX-License-Identifier: Apache-2.0 OR MIT
// Single values of quantized matrices: the meaning of codes, scales and shifts in plain recursion.
#ifndef NIBBLE_FORMAT_VALUES_H_
#define NIBBLE_FORMAT_VALUES_H_

#include "nibble/format/codes.h"
#include "nibble/format/rules.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Which block of a grid holds value (r, c) of a matrix with `cols` columns.
constexpr grid_shape block_of(extent e, std::size_t cols, std::size_t r, std::size_t c) noexcept {
  if (e.flat) return {0, (r * cols + c) / e.cols};
  return {e.rows == all ? 0 : r / e.rows, e.cols == all ? 0 : c / e.cols};
}

/// Value (r, c) of a [rows x cols] matrix in format F.
template <matrix_format F>
float value_at(const basic_section<const std::uint8_t>* s, std::size_t rows, std::size_t cols,
               std::size_t r, std::size_t c) noexcept {
  if constexpr (element<F>) {
    return F::decode(load_code<F>(*s, r, c));
  } else {
    using E = typename F::element;
    using S = typename F::scale_format;
    const float level = F::shape.flat ? E::decode(load_code<E>(*s, 0, r * cols + c))
                                      : E::decode(load_code<E>(*s, r, c));
    const grid_shape grid = F::shape.grid(rows, cols);
    const grid_shape b = block_of(F::shape, cols, r, c);
    const float scale = value_at<S>(s + 1, grid.rows, grid.cols, b.rows, b.cols);
    float shift = 0;
    if constexpr (F::has_shift) {
      const grid_shape shifts = F::shift_shape.grid(rows, cols);
      const grid_shape z = block_of(F::shift_shape, cols, r, c);
      shift = value_at<typename F::shift_format>(s + 1 + num_sections<S>, shifts.rows, shifts.cols,
                                                 z.rows, z.cols);
    }
    return value_of<F>(level, scale, shift);
  }
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_VALUES_H_
