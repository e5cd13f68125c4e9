// SPDX-License-Identifier: Apache-2.0 OR MIT
// Extents: which values of a matrix share one scale.
#ifndef NIBBLE_FORMAT_EXTENT_H_
#define NIBBLE_FORMAT_EXTENT_H_

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// As many rows or columns as there are.
inline constexpr std::size_t all = static_cast<std::size_t>(-1);

struct grid_shape {
  std::size_t rows = 0;
  std::size_t cols = 0;
};

/// The rectangle of values that share one scale. A plain number n means n neighbours in a row.
struct extent {
  std::size_t rows = 1;
  std::size_t cols = 1;
  bool flat = false;  ///< counts along the whole matrix in row-major order, across row ends

  constexpr extent(std::size_t num_cols) noexcept : cols(num_cols) {}  // NOLINT: 32 is an extent
  constexpr extent(std::size_t num_rows, std::size_t num_cols, bool is_flat = false) noexcept
      : rows(num_rows), cols(num_cols), flat(is_flat) {}

  friend constexpr bool operator==(const extent&, const extent&) = default;

  /// How many blocks tile a [rows x cols] matrix in each direction. Blocks at the edges may be
  /// short.
  [[nodiscard]] constexpr grid_shape grid(std::size_t num_rows,
                                          std::size_t num_cols) const noexcept {
    if (num_rows == 0 || num_cols == 0) return {0, 0};
    if (flat) return {1, ceil_div(num_rows * num_cols, cols)};
    return {ceil_div(num_rows, rows), ceil_div(num_cols, cols)};
  }

  /// Quotient rounded up; by `all` it is 1.
  [[nodiscard]] static constexpr std::size_t ceil_div(std::size_t n, std::size_t d) noexcept {
    return d == all ? (n == 0 ? 0 : 1) : n / d + (n % d != 0);
  }
};

inline constexpr extent whole_row{1, all};       ///< per channel (weights), per token (activations)
inline constexpr extent whole_tensor{all, all};  ///< per tensor

/// rows x cols values, as in 128 x 128 scaled fp8.
[[nodiscard]] constexpr extent tile(std::size_t rows, std::size_t cols) noexcept {
  return {rows, cols};
}

/// n values in row-major order, across row ends. Only for scales of scales (double quantization).
[[nodiscard]] constexpr extent flat(std::size_t n) noexcept { return {1, n, true}; }

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_EXTENT_H_
