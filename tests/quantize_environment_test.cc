// SPDX-License-Identifier: Apache-2.0 OR MIT
// quantize() and dequantize() where the program has changed the floating-point environment: flushed
// subnormals (FTZ, DAZ: -ffast-math sets them at start-up) and rounding modes. What holds then is
// less than bit equality; this is all of it (docs/numerics.md).
#include "support/environment.h"

#if NIBBLE_TEST_ENVIRONMENT
#include <cmath>

#include "nibble/metrics.h"
#include "support/agreement.h"

using namespace nibble_test;

namespace {

constexpr std::size_t rows = 2;
constexpr std::size_t cols = 512;

quantized_parts quantized_under(const setting& in, const erased_format& f,
                                const std::vector<float>& x) {
  quantized_parts w(f, rows, cols);
  const environment e(in);
  CHECK(f.quantize(as_matrix(x, rows, cols), w.writable(), {}) == errc::ok);
  return w;
}

std::vector<float> dequantized_under(const setting& in, const erased_format& f,
                                     const quantized_parts& w) {
  std::vector<float> y(rows * cols);
  const environment e(in);
  f.dequantize(w.readable(), {y.data(), rows, cols});
  return y;
}

quantized_parts random_bytes(const erased_format& f) {
  quantized_parts w(f, rows, cols);
  random_bits random(seed_of(f.name));
  for (std::size_t s = 0; s < w.count(); ++s) {
    for (std::size_t r = 0; r < w.size(s).rows; ++r) {
      for (std::size_t b = 0; b < w.size(s).row_bytes; ++b) w.row(s, r)[b] = random.byte();
    }
  }
  return w;
}

}  // namespace

TEST_CASE("flushed subnormals do not change a byte where none occurs") {
  for (const fill kind :
       {fill::normal, fill::heavy_tailed, fill::positive, fill::negative, fill::outlier}) {
    for (const erased_format& f : catalogue()) {
      const auto x = make_values(kind, rows * cols, seed_of(f.name));
      const quantized_parts want = quantized_under(default_setting, f, x);
      for_each_target([&](const char* target) {
        INFO(f.name << " on " << target << ", " << name_of(kind));
        CHECK(difference(quantized_under(flush, f, x), want) == "");
      });
    }
  }
}

TEST_CASE("flushed subnormals: of dequantized values only subnormal ones change, to zero") {
  if (!flushes_results_alone) return;  // a subnormal scale is zero, however large the code
  for (const erased_format& f : catalogue()) {
    // Scales of scales may become subnormal on the way: those formats flush more than results.
    if (f.name == "nf4_g64_dq" || f.name == "bnb_fp4_g64_dq" || f.name == "nvfp4") continue;
    const quantized_parts w = random_bytes(f);
    const std::vector<float> want = dequantized_under(default_setting, f, w);
    for_each_target([&](const char* target) {
      const std::vector<float> got = dequantized_under(flush_results, f, w);
      for (std::size_t i = 0; i < want.size(); ++i) {
        if (same_float(got[i], want[i])) continue;
        if (std::fpclassify(want[i]) == FP_SUBNORMAL && got[i] == 0) continue;
        FAIL_CHECK(f.name << " on " << target << ": value " << i << " is " << show(got[i])
                          << ", not " << show(want[i]));
        break;
      }
    });
  }
}

TEST_CASE("rounding modes move dequantized values by an ulp of the largest at most") {
  for (const erased_format& f : catalogue()) {
    const auto x = make_values(fill::normal, rows * cols, seed_of(f.name));
    const quantized_parts w = quantized_under(default_setting, f, x);
    const std::vector<float> want = dequantized_under(default_setting, f, w);
    float largest = 0;
    for (const float v : want) largest = std::max(largest, std::fabs(v));
    for (const setting& mode : other_roundings) {
      for_each_target([&](const char* target) {
        const std::vector<float> got = dequantized_under(mode, f, w);
        for (std::size_t i = 0; i < want.size(); ++i) {
          if (std::fabs(got[i] - want[i]) <= largest * 0x1p-22f) continue;
          FAIL_CHECK(f.name << " on " << target << ": value " << i << " is " << show(got[i])
                            << ", not " << show(want[i]));
          break;
        }
      });
    }
  }
}

// Kernels round with the mode of the CPU, so that codes are off by up to one: a bit of precision.
TEST_CASE("rounding modes cost quantize about one bit, and nothing else") {
  for (const erased_format& f : catalogue()) {
    const auto x = make_values(fill::normal, rows * cols, seed_of(f.name));
    const auto sqnr_under = [&](const setting& mode) {
      const quantized_parts w = quantized_under(mode, f, x);
      const std::vector<float> y = dequantized_under(default_setting, f, w);
      return nibble::compare(as_matrix(x, rows, cols), as_matrix(y, rows, cols)).sqnr();
    };
    const double usual = sqnr_under(default_setting);
    for (const setting& mode : other_roundings) {
      for_each_target([&](const char* target) {
        INFO(f.name << " on " << target << ", rounding " << mode.name);
        CHECK(sqnr_under(mode) >= usual - 9);  // measured: 6 dB, ternary 7.4
      });
    }
  }
}

#endif  // NIBBLE_TEST_ENVIRONMENT
