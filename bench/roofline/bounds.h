// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which of the machine's limits bounds a product.
#ifndef NIBBLE_BENCH_ROOFLINE_BOUNDS_H_
#define NIBBLE_BENCH_ROOFLINE_BOUNDS_H_

#include <string_view>
#include <vector>

#include "support/machine_limits.h"
#include "support/rows.h"

namespace bench {

enum class instructions { least, avx2, avx512 };

inline instructions instructions_of(std::string_view target) {
  if (target.starts_with("AVX3") || target.starts_with("AVX10")) return instructions::avx512;
  return target == "AVX2" || target == "haswell" ? instructions::avx2 : instructions::least;
}

/// The fastest way to multiply that a path has on these instructions. Limits of other kinds of CPU
/// are 0.
/// @param integer  whether the format has that path
inline limit peak_of(std::string_view path, bool integer, instructions set,
                     const machine_limits& machine) {
  std::vector<limit> candidates;
  const auto add = [&](instructions least, std::initializer_list<limit> some) {
    if (set >= least) candidates.insert(candidates.end(), some);
  };
  if (path != "integer") {  // f32 multiply-adds serve bf16 too
    add(instructions::least, {limit::f32_sse, limit::f32_neon, limit::f32_sve});
    add(instructions::avx2, {limit::f32_avx2});
    add(instructions::avx512, {limit::f32_avx512});
  }
  if (path == "bf16" || path == "automatic") {
    add(instructions::least, {limit::bf16_mmla});
    add(instructions::avx512, {limit::bf16_avx512, limit::amx_bf16});
  }
  if (path == "integer" || (path == "automatic" && integer)) {
    add(instructions::least, {limit::int8_sse, limit::int8_dot, limit::int8_mmla, limit::int8_sve});
    add(instructions::avx2, {limit::int8_avx2, limit::int16_avx2, limit::int8_avx_vnni});
    add(instructions::avx512, {limit::int8_avx512, limit::int8_vnni, limit::amx_int8});
  }
  limit best = candidates.front();
  for (const limit l : candidates) {
    if (machine[l] > machine[best]) best = l;
  }
  return best;
}

/// What one product cannot be faster than: reading its weights, or its multiplications.
inline void set_bound(candidate& c, double weight_bytes, double ops, limit peak,
                      const machine_limits& machine) {
  const double read_s = 1e-9 * weight_bytes / machine[limit::read];
  const double ops_s = machine[peak] > 0 ? 1e-9 * ops / machine[peak] : 0;  // 0: not measured
  c.bound = read_s >= ops_s ? limit::read : peak;
  c.work = 1e-9 * (read_s >= ops_s ? weight_bytes : ops);
}

}  // namespace bench

#endif  // NIBBLE_BENCH_ROOFLINE_BOUNDS_H_
