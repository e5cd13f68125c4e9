// SPDX-License-Identifier: Apache-2.0 OR MIT
// A linear layer on packed 4-bit weights: quantize, pack, multiply.
#include <cmath>
#include <cstdio>
#include <vector>

#include "nibble/gemm.h"
#include "nibble/quantize.h"

int main() {
  constexpr std::size_t m = 3, n = 100, k = 512;  // y [m x n] = x [m x k] w [n x k]^T
  std::vector<float> w(n * k), x(m * k), bias(n, 0.5f), y(m * n);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::cos(static_cast<float>(3 * i));

  using format = nibble::int4_g32_f16;
  nibble::context threads;  // OpenMP's where compiled with it; or your own pool
  const auto quantized = nibble::quantize<format>({w.data(), n, k});
  if (!quantized) return 1;
  const auto packed = nibble::pack(*quantized, threads);
  if (!packed) return 1;

  nibble::epilogue post;
  post.bias = bias.data();
  post.act = nibble::activation::silu;
  const nibble::matrix_view<const float> input(x.data(), m, k);
  const nibble::matrix_view<float> output(y.data(), m, n);
  if (nibble::gemm(*packed, input, output, threads, post) != nibble::errc::ok) return 1;
  std::printf("%zu bytes packed, y[0][0] = %.4f\n", packed->bytes(), static_cast<double>(y[0]));
  return 0;
}
