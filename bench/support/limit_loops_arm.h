// SPDX-License-Identifier: Apache-2.0 OR MIT
// Part of machine_limits.cc: what AArch64 can do. Each loop is compiled for its own extension and
// runs only where the system says that the CPU has it.
#ifndef NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_ARM_H_
#define NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_ARM_H_

#ifdef __linux__
#include <sys/auxv.h>
#endif

#include "support/limit_loops.h"

namespace bench {

namespace {

// Bits of Linux's auxiliary vector (Documentation/arch/arm64/elf_hwcaps.rst of the kernel).
enum class feature { none, dot, sve, i8mm, bf16 };

bool has_feature(feature f) {
#ifdef __linux__
  const unsigned long first = getauxval(AT_HWCAP);
  const unsigned long second = getauxval(AT_HWCAP2);
  switch (f) {
    case feature::dot: return (first & 1ul << 20) != 0;
    case feature::sve: return (first & 1ul << 22) != 0;
    case feature::i8mm: return (second & 1ul << 13) != 0;
    case feature::bf16: return (second & 1ul << 14) != 0;
    default: return true;
  }
#else
  return f == feature::none;
#endif
}

// 24 accumulators, registers 0 to 23, cover a latency of 6 cycles at four instructions per cycle.
// Factors are registers 30 and 31.
#define NIBBLE_PEAK(name, attribute, prepare, body)                                             \
  attribute void name(std::size_t turns) {                                                      \
    asm volatile(prepare                                                                        \
                 "1:\n"                                                                         \
                 ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n" body  \
                 ".endr\n"                                                                      \
                 "subs %[turns], %[turns], #1\n"                                                \
                 "b.ne 1b\n"                                                                    \
                 : [turns] "+r"(turns)                                                          \
                 :                                                                              \
                 : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",    \
                   "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", \
                   "v23", "v30", "v31", "cc");                                                  \
  }
#define NIBBLE_ONES "movi v30.16b, #63\n movi v31.16b, #63\n"
#define NIBBLE_SVE_ONES "ptrue p0.b\n mov z30.b, #63\n mov z31.b, #63\n"

NIBBLE_PEAK(peak_f32_neon, , NIBBLE_ONES, "fmla v\\r\\().4s, v30.4s, v31.4s\n")
NIBBLE_PEAK(peak_int8_dot, [[gnu::target("arch=armv8.2-a+dotprod")]], NIBBLE_ONES,
            "sdot v\\r\\().4s, v30.16b, v31.16b\n")
NIBBLE_PEAK(peak_int8_mmla, [[gnu::target("arch=armv8.2-a+i8mm")]], NIBBLE_ONES,
            "smmla v\\r\\().4s, v30.16b, v31.16b\n")
NIBBLE_PEAK(peak_bf16_mmla, [[gnu::target("arch=armv8.2-a+bf16")]], NIBBLE_ONES,
            "bfmmla v\\r\\().4s, v30.8h, v31.8h\n")
NIBBLE_PEAK(peak_f32_sve, [[gnu::target("arch=armv8.2-a+sve")]], NIBBLE_SVE_ONES,
            "fmla z\\r\\().s, p0/m, z30.s, z31.s\n")
NIBBLE_PEAK(peak_int8_sve, [[gnu::target("arch=armv8.2-a+sve")]], NIBBLE_SVE_ONES,
            "sdot z\\r\\().s, z30.b, z31.b\n")

[[gnu::target("arch=armv8.2-a+sve")]] double sve_bytes() {
  std::uint64_t bytes = 0;
  asm("cntb %0" : "=r"(bytes));
  return static_cast<double>(bytes);
}

/// Of SVE's registers.
double vector_bytes() { return has_feature(feature::sve) ? sve_bytes() : 16; }

struct loop_info {
  limit of;
  peak_loop loop;
  feature needs;
};

constexpr loop_info loops[] = {{limit::f32_neon, peak_f32_neon, feature::none},
                               {limit::int8_dot, peak_int8_dot, feature::dot},
                               {limit::int8_mmla, peak_int8_mmla, feature::i8mm},
                               {limit::bf16_mmla, peak_bf16_mmla, feature::bf16},
                               {limit::f32_sve, peak_f32_sve, feature::sve},
                               {limit::int8_sve, peak_int8_sve, feature::sve}};

const loop_info* info_of_loop(limit l) {
  for (const loop_info& i : loops) {
    if (i.of == l) return &i;
  }
  return nullptr;
}

peak_loop loop_of(limit l) { return info_of_loop(l)->loop; }

bool has_instructions(limit l) {
  const loop_info* const i = info_of_loop(l);
  return i == nullptr ? is_read(l) : has_feature(i->needs);
}

std::uint64_t read_all(const std::uint8_t* from, std::size_t bytes, int streams) {
  return read_lines(from, bytes, static_cast<std::size_t>(streams));
}

}  // namespace

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_ARM_H_
