// SPDX-License-Identifier: Apache-2.0 OR MIT
// Arithmetic that no compiler fuses. Built with -O3 -ffp-contract=fast and, on x86, -mfma, so that
// the compiler would fuse if it could.
#include "nibble/core/arith.h"

#include <cmath>
#include <random>

#include "support/catch.h"

namespace {

using nibble::detail::mul_then_add;
using nibble::detail::mul_then_sub;
using nibble::detail::nearest_integer;
using nibble::detail::rounded;

// (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24, but the rounded square is 1 + 2^-11.
constexpr float near_one = 1.0f + 1.0f / 4096;
constexpr float square = 1.0f + 1.0f / 2048;
static_assert(mul_then_add(near_one, near_one, -square) == 0);

bool can_fuse() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("fma") != 0;
#else
  return true;
#endif
}

}  // namespace

TEST_CASE("a product and a sum round twice", "[arith]") {
  if (!can_fuse()) return;  // the program itself may hold instructions this CPU lacks
  volatile float a = near_one;
  volatile float c = square;
  REQUIRE(mul_then_add(a, a, -c) == 0);
  REQUIRE(mul_then_sub(a, a, c) == 0);
  REQUIRE(rounded(a * a) - c == 0);
}

TEST_CASE("a dot product of rounded products is that of double arithmetic, rounded each time",
          "[arith]") {
  if (!can_fuse()) return;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int repeat = 0; repeat < 100; ++repeat) {
    float a[64];
    float b[64];
    for (int i = 0; i < 64; ++i) {
      a[i] = normal(random);
      b[i] = normal(random);
    }
    float sum = 0;
    float expected = 0;
    for (int i = 0; i < 64; ++i) {
      sum = mul_then_add(a[i], b[i], sum);
      // Double holds a product of floats, and rounding a sum of floats to double first does no
      // harm: 53 >= 2 * 24 + 2 bits.
      const float product = static_cast<float>(static_cast<double>(a[i]) * b[i]);
      expected = static_cast<float>(static_cast<double>(expected) + product);
    }
    REQUIRE(sum == expected);
  }
}

TEST_CASE("nearest_integer rounds ties to even", "[arith]") {
  static_assert(nearest_integer(2.5f) == 2 && nearest_integer(3.5f) == 4);
  static_assert(nearest_integer(-2.5f) == -2 && nearest_integer(-0.3f) == 0);
  for (float v = -40; v <= 40; v += 0.125f) {
    volatile float at_run_time = v;
    REQUIRE(nearest_integer(at_run_time) == std::nearbyint(v));
  }
  for (const float v : {4194303.5f, -4194303.5f, 4194304.0f, -4194304.0f}) {
    REQUIRE(nearest_integer(v) == std::nearbyint(v));
  }
  for (const float v : {1e8f, 3e38f, INFINITY}) {
    REQUIRE(nearest_integer(v) >= 4194304);
    REQUIRE(nearest_integer(-v) <= -4194304);
  }
  REQUIRE(std::isnan(nearest_integer(NAN)));
}
