// SPDX-License-Identifier: Apache-2.0 OR MIT
// One unit of a program whose units are built with different flags. UNIT names its function.
#include <cmath>
#include <cstdio>
#include <vector>

#include "nibble/gemm.h"
#include "nibble/outliers.h"

/// 0 if a small product comes out right.
int UNIT();
int UNIT() {
  const std::size_t n = 17, k = 96;
  std::vector<float> w(n * k), x(k, 0.5f), y(n);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 16) - 7.0f;
  const nibble::matrix_view<const float> rows(w.data(), n, k);
  nibble::context with;
  const auto quantized = nibble::quantize<nibble::int4_g32_f16>(rows);
  if (!quantized) return 1;
  const auto packed = nibble::pack(*quantized, with);
  if (!packed || nibble::gemv(*packed, x, y, with) != nibble::errc::ok) return 1;
  const auto split = nibble::split_outliers(rows, nibble::outlier_rule::largest(0.01));
  if (!split) return 1;
  // 6 times -7 .. 8, half of it: 24; a scale of 8 / 7 moves it by a few steps at most.
  const bool right = std::abs(y[n - 1] - 24.0f) < 8.0f;
  std::printf("unit of flags %s: %s\n", NIBBLE_TEST_FLAGS, right ? "ok" : "FAILED");
  return right ? 0 : 1;
}
