// SPDX-License-Identifier: Apache-2.0 OR MIT
// From a format type to its line of the run-time table. Include after nibble/quantize.h only in the
// few translation units that make such lines: it instantiates kernels and reference.
#ifndef NIBBLE_TESTS_SUPPORT_MAKE_ERASED_H_
#define NIBBLE_TESTS_SUPPORT_MAKE_ERASED_H_

#include "nibble/quantize.h"
#include "nibble/reference.h"
#include "support/format_table.h"
#include "support/view_of.h"

namespace nibble_test {
namespace detail {

template <class F>
constexpr nibble::extent block_extent() {
  if constexpr (nibble::element<F>) {
    return {1, 1};
  } else if constexpr (nibble::block_format<F>) {
    return F::shape;
  } else {
    return {1, F::block_values};
  }
}

template <class F>
constexpr bool row_local() {
  if constexpr (nibble::wire_format<F>) {
    return true;
  } else {
    return nibble::detail::is_row_local<F>();
  }
}

}  // namespace detail

template <nibble::format F>
erased_format make_erased() {
  using detail::view_of;
  erased_format f{};
  f.name = F::name;
  f.block_cols = detail::block_extent<F>().cols;
  f.block_rows = detail::block_extent<F>().rows;
  f.is_wire = nibble::wire_format<F>;
  f.is_plain = nibble::element<F>;
  f.row_local = detail::row_local<F>();
  f.has_searches = !nibble::element<F>;
  f.section_sizes = [](std::size_t rows, std::size_t cols) {
    std::vector<section_size> sizes;
    nibble::detail::for_each_section<F>(rows, cols, [&](std::size_t r, std::size_t b) {
      sizes.push_back({r, b});
    });
    return sizes;
  };
  f.quantize = [](matrix_view<const float> x, sections w, const quantize_options& o) {
    return nibble::quantize<F>(x, view_of<F>(w, x.rows, x.cols), o);
  };
  f.reference_quantize = [](matrix_view<const float> x, sections w, const quantize_options& o) {
    return nibble::reference::quantize<F>(x, view_of<F>(w, x.rows, x.cols), o);
  };
  f.dequantize = [](const_sections w, matrix_view<float> y) {
    return nibble::dequantize(view_of<F>(w, y.rows, y.cols), y);
  };
  f.reference_dequantize = [](const_sections w, matrix_view<float> y) {
    nibble::reference::dequantize<F>(view_of<F>(w, y.rows, y.cols), y);
  };
  f.quantize_with = [](matrix_view<const float> x, sections w, nibble::context& with,
                       const quantize_options& o) {
    return nibble::quantize<F>(x, view_of<F>(w, x.rows, x.cols), with, o);
  };
  f.dequantize_with = [](const_sections w, matrix_view<float> y, nibble::context& with) {
    return nibble::dequantize(view_of<F>(w, y.rows, y.cols), y, with);
  };
  f.get_rows = [](const_sections w, std::size_t rows, std::span<const std::uint32_t> ids,
                  matrix_view<float> y) {
    return nibble::get_rows(view_of<F>(w, rows, y.cols), ids, y);
  };
  return f;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_MAKE_ERASED_H_
