// SPDX-License-Identifier: Apache-2.0 OR MIT
// A compiled-mode client of its own format and of one from libnibble, checked against the
// reference.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "nibble/gemm.h"
#include "nibble/quantize.h"
#include "nibble/reference.h"

#include "format/user_formats.h"

#ifdef HWY_HIGHWAY_INCLUDED
#error "a client of the compiled library must not see Highway"
#endif

namespace {

template <class F>
int check() {
  const std::size_t rows = 3, cols = 200;
  std::vector<float> x(rows * cols), y(rows * cols), expected(rows * cols);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 29 % 83) * 0.37f - 9.0f;
  const auto w = nibble::quantize<F>(nibble::matrix_view<const float>(x.data(), rows, cols));
  if (!w) return 1;
  const nibble::matrix_view<float> back(y.data(), rows, cols);
  if (nibble::dequantize(*w, back) != nibble::errc::ok) return 1;
  nibble::reference::dequantize<F>(w->view(),
                                   nibble::matrix_view<float>(expected.data(), rows, cols));
  const bool equal = std::equal(y.begin(), y.end(), expected.begin());

  // One activation that is 1 and the rest 0: a column of w.
  nibble::context with;
  const auto packed = nibble::pack(*w);
  std::vector<float> one(cols), column(rows);
  one[7] = 1.0f;
  nibble::gemm_options exact;
  exact.path = nibble::compute_path::exact;
  if (!packed || nibble::gemv(*packed, one, column, with, {}, exact) != nibble::errc::ok) return 1;
  bool multiplied = true;
  for (std::size_t r = 0; r < rows; ++r) multiplied &= column[r] == expected[r * cols + 7];

  const bool ok = equal && multiplied;
  std::printf("%s: %s\n", F::name.data(), ok ? "ok" : "FAILED");
  return ok ? 0 : 1;
}

}  // namespace

int main() { return check<user_5bit>() + check<nibble::mxfp4>(); }
