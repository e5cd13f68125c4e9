// SPDX-License-Identifier: Apache-2.0 OR MIT
// The README's example: a matrix into a shipped format, and into one of your own.
#include <cmath>
#include <cstdio>
#include <vector>

#include "nibble/metrics.h"
#include "nibble/quantize.h"

// 48 unsigned 5-bit codes share a bf16 scale and a float zero point.
struct my_format
    : nibble::block<nibble::uint5, 48, nibble::scale<nibble::bf16>, nibble::zero<nibble::f32>> {
  static constexpr std::string_view name = "my_format";
};

template <nibble::format F>
void show(nibble::matrix_view<const float> weights) {
  const auto quantized = nibble::quantize<F>(weights);
  if (!quantized) return;  // no memory; quantized.error() says so
  std::vector<float> back(weights.size());
  if (nibble::dequantize(*quantized, {back.data(), weights.rows, weights.cols}) !=
      nibble::errc::ok) {
    return;  // wrong shapes
  }
  const auto lost = nibble::compare(weights, {back.data(), weights.rows, weights.cols});
  std::printf("%-14s %zu bytes, SQNR %.1f dB\n", F::name.data(), quantized->bytes(), lost.sqnr());
}

int main() {
  std::vector<float> values(256 * 960);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  show<nibble::int4_g32_f16>({values.data(), 256, 960});
  show<my_format>({values.data(), 256, 960});
}
