// SPDX-License-Identifier: Apache-2.0 OR MIT
// From a format type to its line of the run-time table of packed products. Only for the few
// translation units that make such lines.
#ifndef NIBBLE_TESTS_SUPPORT_MAKE_ERASED_GEMM_H_
#define NIBBLE_TESTS_SUPPORT_MAKE_ERASED_GEMM_H_

#include "nibble/gemm.h"
#include "nibble/rows.h"
#include "support/gemm_table.h"
#include "support/view_of.h"

namespace nibble_test {

template <nibble::format F>
erased_gemm make_erased_gemm() {
  using detail::view_of;
  using nibble::packed_view;
  erased_gemm g{};
  g.name = F::name;
  g.has_levels = nibble::detail::codec_of_format<F>.has_levels;
  g.pack = [](const_sections w, std::size_t rows, std::size_t cols, context& with) {
    packed_any p;
    auto packed = nibble::pack<F>(nibble::quantized_view<const F>(view_of<F>(w, rows, cols)), with);
    if (!packed) return p;
    auto owner = std::make_shared<nibble::packed_matrix<F>>(std::move(*packed));
    p.data = owner->data();
    p.buffer = owner->buffer();
    p.bytes = owner->bytes();
    p.owner = owner;
    return p;
  };
  if constexpr (nibble::detail::unpackable<F>) {
    g.unpack = [](const packed_data& from, sections to) {
      return nibble::unpack<F>(packed_view<F>{from},
                               view_of<F>(to, from.shape.rows, from.shape.cols));
    };
  }
  g.dequantize = [](const packed_data& w, matrix_view<float> y, context& with) {
    return nibble::dequantize<F>(packed_view<F>{w}, y, with);
  };
  g.get_rows = [](const packed_data& w, std::span<const std::uint32_t> ids, matrix_view<float> y) {
    return nibble::get_rows<F>(packed_view<F>{w}, ids, y);
  };
  g.gemm = [](const packed_data& w, const activations& x, const results& y, context& with,
              const epilogue& post, const gemm_options& options) {
    return nibble::gemm<F>(packed_view<F>{w}, x, y, with, post, options);
  };
  g.gemm_gated = [](const packed_data& gate, const packed_data& up, const activations& x,
                    const results& y, context& with, const epilogue& post,
                    const nibble::second_channels& up_channels, const gemm_options& options) {
    return nibble::gemm_gated<F>(packed_view<F>{gate}, packed_view<F>{up}, x, y, with, post,
                                 up_channels, options);
  };
  g.gemm_many = [](std::span<const any_product> products, const activations& x, context& with,
                   const gemm_options& options) {
    std::vector<nibble::product<F>> typed;
    for (const any_product& p : products) {
      typed.push_back({packed_view<F>{p.w}, p.y, p.post, p.x_rows, p.y_rows, p.num_rows});
    }
    return nibble::gemm_many<F>(std::span<const nibble::product<F>>(typed), x, with, options);
  };
  g.take_apart = [](const_sections w, std::size_t rows, std::size_t cols) {
    return nibble::reference::take_apart<F>(
        nibble::quantized_view<const F>(view_of<F>(w, rows, cols)));
  };
  g.bound = &nibble::gemm_error_bound<F>;
  return g;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_MAKE_ERASED_GEMM_H_
