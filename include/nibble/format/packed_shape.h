// SPDX-License-Identifier: Apache-2.0 OR MIT
// Sizes of a packed matrix: rows to panels, blocks to packed blocks, blocks to segments.
#ifndef NIBBLE_FORMAT_PACKED_SHAPE_H_
#define NIBBLE_FORMAT_PACKED_SHAPE_H_

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// Rows of w that lie together.
inline constexpr std::size_t panel_rows = 16;
/// Columns of w that lie together.
inline constexpr std::size_t strip_cols = 32;

/// Sizes of a packed matrix.
struct packed_shape {
  std::size_t rows = 0;          ///< n
  std::size_t cols = 0;          ///< k
  std::size_t block = 0;         ///< values per block, k for whole rows
  std::size_t block_cols = 0;    ///< columns of a packed block: 16, or a multiple of 32
  std::size_t num_blocks = 0;    ///< per row
  std::size_t segment_cols = 0;  ///< columns whose products are summed as int32
  std::size_t packed_cols = 0;   ///< a multiple of 32
  std::size_t num_panels = 0;

  [[nodiscard]] constexpr std::size_t num_strips() const noexcept {
    return packed_cols / strip_cols;
  }
  [[nodiscard]] constexpr std::size_t num_segments() const noexcept {
    return segment_cols == 0 ? 0 : packed_cols / segment_cols;
  }
  [[nodiscard]] constexpr std::size_t segments_per_block() const noexcept {
    return segment_cols == 0 ? 0 : block_cols / segment_cols;
  }
  friend constexpr bool operator==(const packed_shape&, const packed_shape&) = default;
};

/// Products of codes below 2^8 and activations of 8 bits are summed as int32 over at most this many
/// columns; longer blocks are several segments.
inline constexpr std::size_t max_segment_cols = 32768;

/// activation_scale::per_128: longer blocks become several segments, equal parts of so many
/// columns.
inline constexpr std::size_t short_segment_cols[] = {128, 64, 32};

/// The same packed matrix with short segments: of the first length above that divides a packed
/// block of more than 128 columns. Every one is a multiple of 32, so the last divides it.
[[nodiscard]] constexpr packed_shape with_short_segments(packed_shape s) noexcept {
  if (s.block_cols <= short_segment_cols[0]) return s;
  for (const std::size_t cols : short_segment_cols) {
    if (s.block_cols % cols != 0) continue;
    s.segment_cols = cols;
    break;
  }
  return s;
}

/// The sizes that a [rows x cols] matrix with blocks of `block` values packs to.
[[nodiscard]] constexpr packed_shape make_packed_shape(std::size_t rows, std::size_t cols,
                                                       std::size_t block) noexcept {
  packed_shape s;
  s.rows = rows;
  s.cols = cols;
  s.num_panels = rows / panel_rows + (rows % panel_rows != 0);
  if (cols == 0) return s;
  const auto up = [](std::size_t n, std::size_t d) { return (n + d - 1) / d * d; };
  s.block = block < cols ? block : cols;
  if (block <= 16) {
    s.block_cols = 16;
    s.segment_cols = 16;
  } else {
    const std::size_t whole = up(s.block, strip_cols);
    const std::size_t segments = (whole + max_segment_cols - 1) / max_segment_cols;
    s.segment_cols = up((whole + segments - 1) / segments, strip_cols);
    s.block_cols = segments * s.segment_cols;
  }
  s.num_blocks = (cols + s.block - 1) / s.block;
  s.packed_cols = up(s.num_blocks * s.block_cols, strip_cols);
  s.num_blocks = s.packed_cols / s.block_cols;  // a half strip at the end is a block of nothing
  return s;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_PACKED_SHAPE_H_
