// SPDX-License-Identifier: Apache-2.0 OR MIT
// From quantized rows to panels: the sizes of a packed matrix, its scales and shifts.
#ifndef NIBBLE_FORMAT_PACK_ROWS_H_
#define NIBBLE_FORMAT_PACK_ROWS_H_

#include "nibble/format/pack_codes.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class F>
packed_data make_packed_data(std::size_t rows, std::size_t cols) noexcept {
  using M = typename meaning_of<F>::type;
  packed_data d;
  const std::size_t block = parts_of<M>::shape.cols;
  d.shape = make_packed_shape(rows, cols, block == all ? cols : block);
  if constexpr (block_format<M>) {
    d.super_every[0] = super_every_of<typename M::scale_format>(d.shape);
    d.super_every[1] = super_every_of<typename M::shift_format>(d.shape);
  }
  return d;
}

inline void point_into(packed_data& d, const packed_sizes& sizes,
                       const std::uint8_t* buffer) noexcept {
  d.codes = buffer + sizes.offset[0];
  for (std::size_t i = 0; i < num_parts; ++i) {
    d.parts[i] = sizes.bytes[1 + i] == 0 ? nullptr : buffer + sizes.offset[1 + i];
  }
}

/// Entry (panel, block, row in panel) of a part with `blocks` entries per row.
constexpr std::size_t part_index(std::size_t panel, std::size_t blocks, std::size_t b,
                                 std::size_t row) noexcept {
  return (panel * blocks + b) * panel_rows + row;
}

/// Scales or shifts of one row of w, in format S on a grid whose row is `at`.
///
/// @param blocks  per row of w; a grid of fewer columns holds one shift for all of them
template <class Factor, class S, std::size_t kSection, class F>
void pack_factor(const code_source<F>& source, grid_shape grid, std::size_t at, std::size_t blocks,
                 const packed_data& to, std::size_t first_part, std::size_t panel,
                 std::size_t row) noexcept {
  if constexpr (Factor::stored) {
    using E = typename Factor::code;
    const auto* const sections = source.from.sections.data() + kSection;
    auto* const codes = const_cast<std::uint8_t*>(to.parts[first_part]);
    const auto column = [&](std::size_t b) { return b < grid.cols ? b : grid.cols - 1; };
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::size_t c = column(b);
      typename E::code code{};
      if constexpr (element<S>) {
        code = source.template get<S, kSection>(at, c);
      } else if constexpr (Factor::two_level) {
        code = S::shape.flat ? source.template get<E, kSection>(0, at * grid.cols + c)
                             : source.template get<E, kSection>(at, c);
      } else {
        code = E::encode(value_at<S>(sections, grid.rows, grid.cols, at, c));  // f32: as it is
      }
      std::memcpy(codes + part_index(panel, to.shape.num_blocks, b, row) * sizeof code, &code,
                  sizeof code);
    }
    if constexpr (Factor::two_level) {
      using U = typename Factor::super;
      using V = typename S::scale_format;
      auto* const supers = const_cast<std::uint8_t*>(to.parts[first_part + 1]);
      const std::size_t every = to.super_every[first_part / 2];
      const std::size_t count = (to.shape.num_blocks + every - 1) / every;
      const grid_shape super_grid = S::shape.grid(grid.rows, grid.cols);
      for (std::size_t u = 0; u * every < blocks; ++u) {
        const grid_shape b = block_of(S::shape, grid.cols, at, column(u * every));
        typename U::code code{};
        if constexpr (element<V>) {
          code = source.template get<V, kSection + 1>(b.rows, b.cols);
        } else {
          code = U::encode(
              value_at<V>(sections + 1, super_grid.rows, super_grid.cols, b.rows, b.cols));
        }
        std::memcpy(supers + part_index(panel, count, u, row) * sizeof code, &code, sizeof code);
      }
    }
  }
}

/// The centre of two-level scales, one per matrix.
template <class F>
void pack_center(quantized_view<const F> from, packed_data& to) noexcept {
  using M = typename meaning_of<F>::type;
  if constexpr (block_format<M> && !wire_format<F>) {
    const auto center = [&]<class S>(std::size_t section) {
      using Factor = typename factor_of<S>::type;
      if constexpr (Factor::stored) {
        if constexpr (Factor::has_center && Factor::two_level) {
          const auto* s =
              from.sections.data() + section + 1 + num_sections<typename S::scale_format>;
          if (from.rows != 0 && from.cols != 0) {
            return value_at<typename S::shift_format>(s, 1, 1, 0, 0);
          }
        }
      }
      return 0.0f;
    };
    using S = typename M::scale_format;
    to.center[0] = center.template operator()<S>(1);
    if constexpr (M::has_shift) {
      to.center[1] = center.template operator()<typename M::shift_format>(1 + num_sections<S>);
    }
  }
}

template <class F>
void pack_panel(quantized_view<const F> from, const packed_data& to, std::size_t panel) noexcept {
  using M = typename meaning_of<F>::type;
  using P = parts_of<M>;
  using E = typename P::element;
  const packed_shape& shape = to.shape;
  if (shape.cols == 0) return;
  const code_source<F> source{from};
  auto* const codes =
      const_cast<std::uint8_t*>(to.codes) + panel * shape.num_strips() * strip_bytes(E::bits);
  const bool padded_blocks = shape.block != shape.block_cols && shape.block < shape.cols;
  if (panel_codes<F>::fits_stack && !padded_blocks) {
    if constexpr (panel_codes<F>::fits_stack) panel_codes<F>::pack(from, shape, panel, codes);
  } else {
    pack_codes_singly<F>(from, shape, panel, codes);
  }
  const auto clear = [&]<class C>(std::size_t i, bool super) {
    const std::size_t every = super ? to.super_every[i / 2] : 1;
    const std::size_t count = (shape.num_blocks + every - 1) / every;
    const std::size_t n = count * panel_rows * sizeof(typename C::code);
    std::memset(const_cast<std::uint8_t*>(to.parts[i]) + panel * n, 0, n);
  };
  for_each_factor_part<typename P::scale>(scale_codes, clear);
  for_each_factor_part<typename P::shift>(shift_codes, clear);
  const std::size_t blocks = extent::ceil_div(shape.cols, shape.block);
  for (std::size_t row = 0; row < panel_rows; ++row) {
    const std::size_t r = panel * panel_rows + row;
    if (r >= shape.rows) break;
    if constexpr (block_format<M>) {
      using S = typename M::scale_format;
      pack_factor<typename P::scale, S, 1>(source, M::shape.grid(shape.rows, shape.cols),
                                           block_of(M::shape, shape.cols, r, 0).rows, blocks, to,
                                           scale_codes, panel, row);
      if constexpr (M::has_shift) {
        pack_factor<typename P::shift, typename M::shift_format, 1 + num_sections<S>>(
            source, M::shift_shape.grid(shape.rows, shape.cols),
            block_of(M::shift_shape, shape.cols, r, 0).rows, blocks, to, shift_codes, panel, row);
      }
    }
  }
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_PACK_ROWS_H_
