// SPDX-License-Identifier: Apache-2.0 OR MIT
// What limit_loops_x86.h, limit_loops_arm.h and machine_limits.cc share. Those headers define, for
// their CPUs, has_instructions(), loop_of(), read_all() and vector_bytes().
#ifndef NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_H_
#define NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_H_

#include <cstdint>
#include <cstring>

#include "support/machine_limits.h"

namespace bench {

/// Runs 12 or 24 instructions (or groups of them) `turns` times; machine_limits.cc knows how many.
using peak_loop = void (*)(std::size_t turns);

constexpr bool is_read(limit l) {
  return l == limit::read || l == limit::read_4k || l == limit::read_l2;
}

/// Reads `bytes` bytes (a multiple of streams * 256), all streams a cache line at a time in turn.
inline std::uint64_t read_lines(const std::uint8_t* from, std::size_t bytes, std::size_t streams) {
  const std::size_t each = bytes / streams;
  std::uint64_t sum[8] = {};
  for (std::size_t i = 0; i < each; i += 64) {
    for (std::size_t s = 0; s < streams; ++s) {
      const std::uint8_t* const at = from + s * each + i;
      __builtin_prefetch(at + 2048);
      std::uint64_t line[8];
      std::memcpy(line, at, sizeof line);
      for (int j = 0; j < 8; ++j) sum[j] |= line[j];
    }
  }
  return sum[0] | sum[1] | sum[2] | sum[3] | sum[4] | sum[5] | sum[6] | sum[7];
}

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_H_
