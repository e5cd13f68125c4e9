// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels give the bytes and the floats of the reference: every format, every target.
// NIBBLE_TEST_HEAVY=1 runs every shape with every rule and input (an hour).
#include "support/agreement.h"

using namespace nibble_test;

TEST_CASE("every format is quantized as the reference does, under every rule") {
  for (const erased_format& f : catalogue()) CHECK(check_quantize(f) == 0);
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
