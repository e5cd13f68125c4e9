// SPDX-License-Identifier: Apache-2.0 OR MIT
// The catalogue at run time: one row of plain functions per format, to loop over or to pick from.
#ifndef NIBBLE_EXAMPLES_SUPPORT_ANY_FORMAT_H_
#define NIBBLE_EXAMPLES_SUPPORT_ANY_FORMAT_H_

#include <string_view>
#include <vector>

#include "nibble/quantize.h"

namespace examples {

/// One format. `w` is a buffer of buffer_bytes(rows, cols), 64-byte aligned for best speed.
struct any_format {
  std::string_view name;
  bool is_wire = false;  ///< the bytes are those of a GGUF block type
  std::size_t (*storage_bytes)(std::size_t rows, std::size_t cols) = nullptr;
  std::size_t (*buffer_bytes)(std::size_t rows, std::size_t cols) = nullptr;
  nibble::errc (*quantize)(nibble::matrix_view<const float> x, std::uint8_t* w,
                           const nibble::quantize_options& options) = nullptr;
  nibble::errc (*dequantize)(const std::uint8_t* w, nibble::matrix_view<float> y) = nullptr;

  /// Bits per weight of a matrix that is no special case: large, its sides multiples of every
  /// block.
  [[nodiscard]] double typical_bits() const {
    constexpr std::size_t side = 4096;
    return 8.0 * static_cast<double>(storage_bytes(side, side)) / (side * side);
  }
};

template <nibble::format F>
any_format make_any_format() {
  any_format f;
  f.name = F::name;
  f.is_wire = nibble::wire_format<F>;
  f.storage_bytes = nibble::storage_bytes<F>;
  f.buffer_bytes = nibble::quantized_view<F>::buffer_bytes;
  f.quantize = [](nibble::matrix_view<const float> x, std::uint8_t* w,
                  const nibble::quantize_options& options) {
    return nibble::quantize<F>(x, nibble::quantized_view<F>(w, x.rows, x.cols), options);
  };
  f.dequantize = [](const std::uint8_t* w, nibble::matrix_view<float> y) {
    return nibble::dequantize(nibble::quantized_view<const F>(w, y.rows, y.cols), y);
  };
  return f;
}

/// Every format of the catalogue, in its order.
inline std::vector<any_format> catalogue() {
  std::vector<any_format> all;
  all.reserve(nibble::num_formats);
  nibble::for_each_format([&all]<class F>() { all.push_back(make_any_format<F>()); });
  return all;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_ANY_FORMAT_H_
