// SPDX-License-Identifier: Apache-2.0 OR MIT
// Moving codes and scales from panels back to quantized rows. Plain code, code by code.
#ifndef NIBBLE_FORMAT_UNPACK_ROWS_H_
#define NIBBLE_FORMAT_UNPACK_ROWS_H_

#include "nibble/format/pack_rows.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// unpack() finds every code again.
template <class F>
concept unpackable = parts_of<typename meaning_of<F>::type>::scale::lossless &&
    parts_of<typename meaning_of<F>::type>::shift::lossless;

template <class Factor, class S>
void unpack_factor(const packed_data& from, std::size_t first_part, std::size_t r,
                   const basic_section<std::uint8_t>* s, grid_shape grid, std::size_t at) noexcept {
  if constexpr (Factor::stored) {
    using E = typename Factor::code;
    const std::size_t panel = r / panel_rows;
    const std::size_t row = r % panel_rows;
    for (std::size_t b = 0; b < grid.cols; ++b) {
      typename E::code code;
      std::memcpy(
          &code,
          from.parts[first_part] + part_index(panel, from.shape.num_blocks, b, row) * sizeof code,
          sizeof code);
      const bool flat = [] {
        if constexpr (block_format<S>) return S::shape.flat;
        return false;
      }();
      store_code<E>(*s, flat ? 0 : at, flat ? at * grid.cols + b : b, code);
      if constexpr (Factor::two_level) {
        using U = typename Factor::super;
        const std::size_t every = from.super_every[first_part / 2];
        const std::size_t count = (from.shape.num_blocks + every - 1) / every;
        typename U::code super;
        std::memcpy(
            &super,
            from.parts[first_part + 1] + part_index(panel, count, b / every, row) * sizeof super,
            sizeof super);
        const grid_shape to = block_of(S::shape, grid.cols, at, b);
        store_code<U>(s[1], to.rows, to.cols, super);
      }
    }
  }
}

/// Fills rows [first, first + to.rows) of the packed matrix into `to`, which counts from 0. Where
/// scales span rows, `to` must be the whole matrix.
template <matrix_format M>
void unpack_meaning(const packed_data& from, std::size_t first, quantized_view<M> to) noexcept {
  using P = parts_of<M>;
  using E = typename P::element;
  const packed_shape& shape = from.shape;
  constexpr std::size_t bytes = strip_bytes(E::bits);
  for (std::size_t i = 0; i < to.rows; ++i) {
    const std::size_t r = first + i;
    const std::uint8_t* codes = from.codes + r / panel_rows * shape.num_strips() * bytes;
    for (std::size_t c = 0; c < shape.cols; ++c) {
      const std::size_t p = c / shape.block * shape.block_cols + c % shape.block;
      const auto code =
          load_packed<E>(codes + p / strip_cols * bytes, r % panel_rows, p % strip_cols);
      store_code<E>(to.sections[0], i, c, to_packed_code<E>(code));  // flips back
    }
    if constexpr (block_format<M>) {
      using S = typename M::scale_format;
      unpack_factor<typename P::scale, S>(from, scale_codes, r, to.sections.data() + 1,
                                          M::shape.grid(to.rows, shape.cols),
                                          block_of(M::shape, shape.cols, i, 0).rows);
      if constexpr (M::has_shift) {
        unpack_factor<typename P::shift, typename M::shift_format>(
            from, shift_codes, r, to.sections.data() + 1 + num_sections<S>,
            M::shift_shape.grid(to.rows, shape.cols),
            block_of(M::shift_shape, shape.cols, i, 0).rows);
      }
    }
  }
}

/// The centre of a two-level factor in format S, whose sections are s.
template <class S>
void unpack_center(const basic_section<std::uint8_t>* s, float center) noexcept {
  if constexpr (block_format<S>) {
    if constexpr (factor_of<S>::center) {
      using C = typename S::shift_format;
      store_code<C>(s[1 + num_sections<typename S::scale_format>], 0, 0, C::encode(center, {}));
    }
  }
}

template <matrix_format M>
void fill_padding(quantized_view<M> to) noexcept {
  for_each_part<M>(to.rows, to.cols,
                   [&]<class E>(std::size_t s, std::size_t rows, std::size_t cols) {
                     if constexpr (E::bits < 8) {
                       for (std::size_t r = 0; r < rows; ++r) {
                         for (std::size_t c = cols; c % chunk_size != 0; ++c) {
                           store_code<E>(to.sections[s], r, c, E::zero_code);
                         }
                       }
                     }
                   });
}

template <class F>
errc unpack_rows(const packed_data& from, quantized_view<F> to) noexcept {
  if constexpr (wire_format<F>) {
    using M = typename F::meaning;
    for (std::size_t r = 0; r < to.rows; r += panel_rows) {
      quantized_view<F> records;
      records.sections[0] = {to.sections[0].data + r * to.sections[0].stride,
                             to.sections[0].stride};
      records.rows = to.rows - r < panel_rows ? to.rows - r : panel_rows;
      records.cols = to.cols;
      auto parts = quantized_matrix<M>::create(records.rows, to.cols);
      if (!parts) return parts.error();
      unpack_meaning<M>(from, r, parts->view());
      if (const errc e = to_wire<F>(parts->view(), records); e != errc::ok) return e;
    }
  } else {
    unpack_meaning<F>(from, 0, to);
    if constexpr (block_format<F>) {
      using S = typename F::scale_format;
      if (to.rows == 0 || to.cols == 0) return errc::ok;
      unpack_center<S>(to.sections.data() + 1, from.center[0]);
      unpack_center<typename F::shift_format>(to.sections.data() + 1 + num_sections<S>,
                                              from.center[1]);
    }
    fill_padding<F>(to);
  }
  return errc::ok;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_UNPACK_ROWS_H_
