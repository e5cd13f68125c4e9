// SPDX-License-Identifier: Apache-2.0 OR MIT
// Floats to measure with.
#ifndef NIBBLE_BENCH_SUPPORT_RANDOM_FLOATS_H_
#define NIBBLE_BENCH_SUPPORT_RANDOM_FLOATS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

/// Fills with sums of four uniform numbers, which are normal enough: mean 0, values up to 4 size.
/// The same on every machine.
inline void fill_random(float* to, std::size_t count, float size, std::uint32_t seed) {
  std::uint32_t state = seed;
  const auto uniform = [&state] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const float two = uniform() + uniform();
    to[i] = size * (two + uniform() + uniform());
  }
}

inline std::vector<float> random_floats(std::size_t count, std::uint32_t seed, float size = 1) {
  std::vector<float> v(count);
  fill_random(v.data(), count, size, seed);
  return v;
}

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_RANDOM_FLOATS_H_
