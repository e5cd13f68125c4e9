// SPDX-License-Identifier: Apache-2.0 OR MIT
// A non-owning view of a row-major matrix of plain numbers.
#ifndef NIBBLE_MATRIX_H_
#define NIBBLE_MATRIX_H_

#include <span>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// Rows of `cols` values each; row r starts at data + r * stride.
template <class T>
struct matrix_view {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;  ///< in elements, >= cols

  constexpr matrix_view() = default;
  constexpr matrix_view(T* d, std::size_t r, std::size_t c, std::size_t s) noexcept
      : data(d), rows(r), cols(c), stride(s) {
    NIBBLE_ASSERT(s >= c, "a row's stride is at least its length");
    NIBBLE_ASSERT(d != nullptr || r == 0 || c == 0, "null data");
  }
  constexpr matrix_view(T* d, std::size_t r, std::size_t c) noexcept : matrix_view(d, r, c, c) {}
  /// One row.
  constexpr explicit matrix_view(std::span<T> row) noexcept
      : matrix_view(row.data(), row.empty() ? 0 : 1, row.size()) {}

  /// A view of T converts to one of const T.
  constexpr operator matrix_view<const T>() const noexcept  // NOLINT: implicit by design
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }

  [[nodiscard]] constexpr T* row_data(std::size_t r) const noexcept { return data + r * stride; }
  [[nodiscard]] constexpr std::span<T> row(std::size_t r) const noexcept {
    NIBBLE_ASSERT(r < rows, "row out of range");
    return {row_data(r), cols};
  }
  [[nodiscard]] constexpr T& operator()(std::size_t r, std::size_t c) const noexcept {
    NIBBLE_ASSERT(r < rows && c < cols, "index out of range");
    return row_data(r)[c];
  }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return rows * cols; }
  [[nodiscard]] constexpr bool empty() const noexcept { return rows == 0 || cols == 0; }
  /// Whether there is an array behind it whose rows lie apart: what functions check that return an
  /// error, since members can be set to anything.
  [[nodiscard]] constexpr bool valid() const noexcept {
    return empty() || (data != nullptr && (rows == 1 || stride >= cols));
  }
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_MATRIX_H_
