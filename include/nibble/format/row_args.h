// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which rows of a matrix are read: what get_rows() and dequantize() of packed matrices hand to the
// kernel, checked before.
#ifndef NIBBLE_FORMAT_ROW_ARGS_H_
#define NIBBLE_FORMAT_ROW_ARGS_H_

#include <span>

#include "nibble/core/errors.h"
#include "nibble/format/codec.h"
#include "nibble/format/packed.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

struct packed_rows_args {
  const packed_data* w;
  const codec_info* codec;
  const std::uint32_t* ids;  ///< rows of w; null: those from `first` on
  std::size_t first;
  std::size_t num_rows;
  float* y;
  std::size_t stride;

  [[nodiscard]] constexpr std::size_t row(std::size_t i) const noexcept {
    return ids == nullptr ? first + i : std::size_t{ids[i]};
  }
};

/// Rows `ids` of a [rows x cols] matrix, as y.
constexpr errc check_rows(std::size_t rows, std::size_t cols, std::span<const std::uint32_t> ids,
                          matrix_view<float> y) noexcept {
  if (y.rows != ids.size() || y.cols != cols) return errc::shape_mismatch;
  if (!y.valid() || (ids.data() == nullptr && !ids.empty())) return errc::invalid_argument;
  for (const std::uint32_t id : ids) {
    if (id >= rows) return errc::invalid_argument;
  }
  return errc::ok;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_ROW_ARGS_H_
