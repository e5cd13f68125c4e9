// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed products of the catalogue as a run-time table: pack, unpack, gemm and what the reference
// needs, behind function pointers. Beside format_table.h, and compiled once as that is.
#ifndef NIBBLE_TESTS_SUPPORT_GEMM_TABLE_H_
#define NIBBLE_TESTS_SUPPORT_GEMM_TABLE_H_

#include <memory>
#include <span>

#include "nibble/gemm_bound.h"
#include "nibble/reference_gemm.h"
#include "support/format_table.h"

namespace nibble_test {

using nibble::activations;
using nibble::compute_path;
using nibble::context;
using nibble::epilogue;
using nibble::gemm_options;
using nibble::packed_data;
using nibble::results;

/// A packed matrix whose format is known to its maker.
struct packed_any {
  std::shared_ptr<void> owner;
  packed_data data;
  std::uint8_t* buffer = nullptr;
  std::size_t bytes = 0;
};

/// nibble::product without its format.
struct any_product {
  packed_data w;
  results y;
  epilogue post{};
  const std::uint32_t* x_rows = nullptr;
  const std::uint32_t* y_rows = nullptr;
  std::size_t num_rows = 0;
};

struct erased_gemm {
  std::string_view name;
  bool has_levels;  ///< there is an integer path
  packed_any (*pack)(const_sections w, std::size_t rows, std::size_t cols, context& with);
  errc (*unpack)(const packed_data& from, sections to);  ///< null: not every code can be found
  errc (*dequantize)(const packed_data& w, matrix_view<float> y, context& with);
  errc (*get_rows)(const packed_data& w, std::span<const std::uint32_t> ids, matrix_view<float> y);
  errc (*gemm)(const packed_data& w, const activations& x, const results& y, context& with,
               const epilogue& post, const gemm_options& options);
  errc (*gemm_gated)(const packed_data& gate, const packed_data& up, const activations& x,
                     const results& y, context& with, const epilogue& post,
                     const nibble::second_channels& up_channels, const gemm_options& options);
  errc (*gemm_many)(std::span<const any_product> products, const activations& x, context& with,
                    const gemm_options& options);
  nibble::reference::weight_parts (*take_apart)(const_sections w, std::size_t rows,
                                                std::size_t cols);
  double (*bound)(compute_path path, std::size_t k, const nibble::product_sums& sums,
                  nibble::activation_scale scale);
};

/// A line for every line of catalogue(), in its order.
const std::vector<erased_gemm>& gemm_catalogue();

const erased_gemm& gemm_named(std::string_view name);

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_GEMM_TABLE_H_
