// SPDX-License-Identifier: Apache-2.0 OR MIT
// A line of the run-time table of formats without kernels: quantize and dequantize are the
// reference.
#ifndef NIBBLE_TESTS_SUPPORT_REFERENCE_LINE_H_
#define NIBBLE_TESTS_SUPPORT_REFERENCE_LINE_H_

#include "nibble/formats.h"
#include "nibble/reference.h"
#include "support/format_table.h"
#include "support/view_of.h"

namespace nibble_test {

template <class F>
erased_format make_reference_line() {
  using detail::view_of;
  erased_format f{};
  f.name = F::name;
  f.block_cols = 1;
  f.block_rows = 1;
  if constexpr (nibble::block_format<F>) {
    f.block_cols = F::shape.cols;
    f.block_rows = F::shape.rows;
  } else if constexpr (nibble::wire_format<F>) {
    f.block_cols = F::block_values;
  }
  f.is_wire = nibble::wire_format<F>;
  f.is_plain = nibble::element<F>;
  f.row_local = true;
  if constexpr (!nibble::wire_format<F>) f.row_local = nibble::detail::is_row_local<F>();
  f.has_searches = !nibble::element<F>;
  f.section_sizes = [](std::size_t rows, std::size_t cols) {
    std::vector<section_size> sizes;
    nibble::detail::for_each_section<F>(rows, cols, [&](std::size_t r, std::size_t b) {
      sizes.push_back({r, b});
    });
    return sizes;
  };
  f.quantize = [](matrix_view<const float> x, sections w, const quantize_options& o) {
    return nibble::reference::quantize<F>(x, view_of<F>(w, x.rows, x.cols), o);
  };
  f.reference_dequantize = [](const_sections w, matrix_view<float> y) {
    nibble::reference::dequantize<F>(view_of<F>(w, y.rows, y.cols), y);
  };
  f.reference_quantize = f.quantize;
  f.dequantize = [](const_sections w, matrix_view<float> y) {
    nibble::reference::dequantize<F>(view_of<F>(w, y.rows, y.cols), y);
    return errc::ok;
  };
  return f;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_REFERENCE_LINE_H_
