// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels give the bytes and the floats of the reference: every format, every target.
// NIBBLE_TEST_HEAVY=1 runs every shape with every rule and input (an hour).
#include "support/agreement.h"

using namespace nibble_test;

TEST_CASE("every format is quantized as the reference does, under every rule") {
  for (const erased_format& f : catalogue()) CHECK(check_quantize(f) == 0);
}

// Where a row has enough blocks, a vector fits one in every lane.
TEST_CASE("many blocks at a time: of one sign, and with two ends of one size") {
  for (const erased_format& f : catalogue()) {
    constexpr std::size_t cols = 2048;
    random_bits random(seed_of(f.name));
    for (const float sign : {1.0f, -1.0f}) {
      std::vector<float> x;
      for (std::size_t i = 0; i < cols; ++i) x.push_back(sign * (2 + random.uniform()));
      static_cast<void>(quantize_everywhere(f, as_matrix(x, 1, cols)));
    }
    std::vector<float> twins = make_values(fill::normal, cols, random.next());
    for (std::size_t i = 0; i + 16 <= cols; i += 16) {
      const float end = random.below(2) != 0 ? 9.0f : -9.0f;
      twins[i + random.below(8)] = end;
      twins[i + 8 + random.below(8)] = -end;
    }
    static_cast<void>(quantize_everywhere(f, as_matrix(twins, 1, cols)));
  }
}

TEST_CASE("every format is dequantized as the reference does, whatever the bytes") {
  for (const erased_format& f : catalogue()) CHECK(check_dequantize(f) == 0);
}

TEST_CASE("forcing a target is what later calls take, and is undone") {
  const std::string best = nibble::target_name(0);
  CHECK(nibble::num_targets() >= 1);
  CHECK(nibble::current_target() == best);
  for_each_target(
      [](const char* target) { CHECK(std::string(nibble::current_target()) == target); });
  CHECK(nibble::current_target() == best);
  CHECK_FALSE(nibble::force_target("no such target"));
  CHECK(nibble::current_target() == best);
}
