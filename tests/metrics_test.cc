// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of metrics.h: every figure of small matrices worked out by hand.
#include "nibble/metrics.h"

#include <vector>

#include "support/cases.h"
#include "support/catch.h"

using nibble::compare;
using nibble::error_metrics;
using nibble::matrix_view;
using nibble_test::infinity;
using nibble_test::quiet_nan;

namespace {

error_metrics of(const std::vector<float>& x, const std::vector<float>& y) {
  return compare(matrix_view<const float>(x.data(), 1, x.size()),
                 matrix_view<const float>(y.data(), 1, y.size()));
}

}  // namespace

TEST_CASE("metrics: sums and figures of four values, by hand") {
  // Errors 1, 0, -2, 0: noise 5. Signal 9 + 16 + 0 + 1 = 26.
  const error_metrics m = of({3, 4, 0, -1}, {2, 4, 2, -1});
  CHECK(m.count == 4);
  CHECK(m.signal == 26);
  CHECK(m.noise == 5);
  CHECK(m.energy == 25);  // 4 + 16 + 4 + 1
  CHECK(m.dot == 23);     // 6 + 16 + 0 + 1
  CHECK(m.abs_error == 3);
  CHECK(m.max_error == 2);
  CHECK(m.mean_error() == 0.75);
  CHECK(m.rms_error() == std::sqrt(1.25));
  CHECK(m.sqnr() == 10 * std::log10(5.2));
  CHECK(m.cosine() == 23 / (std::sqrt(26.0) * 5));
}

TEST_CASE("metrics: a tenth of the amplitude lost is 20 dB") {
  CHECK(std::fabs(of({10, -10}, {9, -9}).sqnr() - 20) < 1e-12);
}

TEST_CASE("metrics: equal matrices lose nothing") {
  const error_metrics m = of({1, -2, 3}, {1, -2, 3});
  CHECK(m.sqnr() == double{infinity});
  CHECK(m.max_error == 0);
  CHECK(m.mean_error() == 0);
  CHECK(m.rms_error() == 0);
  CHECK(std::fabs(m.cosine() - 1) < 1e-15);
}

TEST_CASE("metrics: opposite and orthogonal vectors") {
  CHECK(std::fabs(of({1, 2}, {-1, -2}).cosine() + 1) < 1e-15);
  CHECK(of({1, 0}, {0, 1}).cosine() == 0);
}

TEST_CASE("metrics: all zeros") {
  const error_metrics same = of({0, 0}, {0, -0.0f});
  CHECK(same.sqnr() == double{infinity});
  CHECK(same.cosine() == 1);
  const error_metrics noisy = of({0, 0}, {0, 1});
  CHECK(std::isnan(noisy.sqnr()));
  CHECK(noisy.cosine() == 0);
  CHECK(noisy.max_error == 1);
  const error_metrics lost = of({0, 1}, {0, 0});
  CHECK(lost.sqnr() == 0);
  CHECK(lost.cosine() == 0);
}

TEST_CASE("metrics: no values") {
  for (const error_metrics& m : {error_metrics(), of({}, {})}) {
    CHECK(m.count == 0);
    CHECK(m.sqnr() == double{infinity});
    CHECK(m.mean_error() == 0);
    CHECK(m.rms_error() == 0);
    CHECK(m.max_error == 0);
    CHECK(m.cosine() == 1);
  }
}

TEST_CASE("metrics: NaN on either side makes every figure NaN, also when it comes first or last") {
  const std::vector<float> good{1, 2, 3};
  for (std::size_t at = 0; at < 3; ++at) {
    std::vector<float> bad = good;
    bad[at] = quiet_nan;
    for (const error_metrics& m : {of(good, bad), of(bad, good), of(bad, bad)}) {
      CHECK(std::isnan(m.sqnr()));
      CHECK(std::isnan(m.mean_error()));
      CHECK(std::isnan(m.rms_error()));
      CHECK(std::isnan(m.max_error));
      CHECK(std::isnan(m.cosine()));
    }
  }
}

TEST_CASE("metrics: infinities do not hide") {
  const error_metrics m = of({1, 2}, {infinity, 2});
  CHECK(m.max_error == double{infinity});
  CHECK(m.rms_error() == double{infinity});
  CHECK(m.sqnr() == -double{infinity});
  // inf - inf is NaN: nothing can be said.
  CHECK(std::isnan(of({infinity, 2}, {infinity, 2}).max_error));
}

TEST_CASE("metrics: sums are double, so the largest floats do not overflow") {
  const error_metrics m = of({3e38f, -3e38f}, {-3e38f, 3e38f});
  CHECK(std::isfinite(m.noise));
  CHECK(std::fabs(m.sqnr() + 20 * std::log10(2.0)) < 1e-12);
  CHECK(std::fabs(m.cosine() + 1) < 1e-15);
  // And a small value counts beside many.
  std::vector<float> x(1 << 16, 1.0f);
  const std::vector<float> y(x.size(), 1.0f - 0x1p-24f);
  CHECK(of(x, y).mean_error() == 0x1p-24);
}

TEST_CASE("metrics: added piece by piece or as sums of sums, the figures are the same") {
  const std::vector<float> x{3, 4, 0, -1, 7, 2};
  const std::vector<float> y{2, 4, 2, -1, 6, 2};
  const error_metrics whole = of(x, y);
  error_metrics pieces;
  error_metrics halves;
  for (std::size_t i = 0; i < 6; i += 3) {
    const matrix_view<const float> a(x.data() + i, 1, 3);
    const matrix_view<const float> b(y.data() + i, 1, 3);
    pieces.add(a, b);
    halves.add(compare(a, b));
  }
  for (const error_metrics& m : {pieces, halves}) {
    CHECK(m.signal == whole.signal);
    CHECK(m.noise == whole.noise);
    CHECK(m.energy == whole.energy);
    CHECK(m.dot == whole.dot);
    CHECK(m.abs_error == whole.abs_error);
    CHECK(m.max_error == whole.max_error);
    CHECK(m.count == whole.count);
  }
  // NaN survives being joined, from either side.
  error_metrics a = of({1}, {1});
  a.add(of({quiet_nan}, {1}));
  CHECK(std::isnan(a.max_error));
  error_metrics b = of({quiet_nan}, {1});
  b.add(of({1}, {1}));
  CHECK(std::isnan(b.max_error));
}

TEST_CASE("metrics: strides are respected, gaps are not read") {
  const std::vector<float> x{1, 2, quiet_nan, 3, 4, quiet_nan};
  const std::vector<float> y{1, 2, 3, 5};
  const error_metrics m = compare({x.data(), 2, 2, 3}, {y.data(), 2, 2, 2});
  CHECK(m.noise == 1);
  CHECK(m.count == 4);
}
