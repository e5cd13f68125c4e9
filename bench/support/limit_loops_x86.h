// SPDX-License-Identifier: Apache-2.0 OR MIT
// Part of machine_limits.cc: what x86-64 can do, in assembly, so that no compiler hoists, fuses or
// spills any of it, and none needs to know the newest sets.
#ifndef NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_X86_H_
#define NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_X86_H_

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/limit_loops.h"

namespace bench {

namespace {

// ---- Which instructions there are -----------------------------------------------------------

struct cpu_features {
  bool avx2 = false, avx512 = false, avx_vnni = false, vnni = false, bf16 = false;
  bool amx_int8 = false, amx_bf16 = false;
};

// Linux gives tiles only to a process that asks for them: ARCH_REQ_XCOMP_PERM, XTILEDATA.
bool may_use_tiles() { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

cpu_features find_features() {
  cpu_features f;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & (1u << 27)) == 0) return f;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const bool fma = (c & (1u << 12)) != 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return f;
  const unsigned subleaves = a;
  f.avx2 = fma && (low & 0x6) == 0x6 && (b & (1u << 5)) != 0;
  f.avx512 = f.avx2 && (low & 0xe0) == 0xe0 && (b & (1u << 16)) != 0 && (b & (1u << 30)) != 0;
  f.vnni = f.avx512 && (c & (1u << 11)) != 0;
  const bool tiles = (low & 0x60000) == 0x60000 && (d & (1u << 24)) != 0 && may_use_tiles();
  f.amx_bf16 = tiles && (d & (1u << 22)) != 0;
  f.amx_int8 = tiles && (d & (1u << 25)) != 0;
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
    f.avx_vnni = f.avx2 && (a & (1u << 4)) != 0;
    f.bf16 = f.avx512 && (a & (1u << 5)) != 0;
  }
  return f;
}

const cpu_features& cpu() {
  static const cpu_features f = find_features();
  return f;
}

// ---- Peaks ----------------------------------------------------------------------------------
//
// 12 accumulators, registers 0 to 11, cover a latency of 6 cycles at two instructions per cycle;
// AVX-512 has registers for 12 more, which vdpbf16ps makes use of (500 against 460 Gop/s, Zen 5).
// Factors are registers 12 and 13: bf16 ones (so f32 slightly above 1, and bytes 0x80 and 0x3f),
// because a CPU may run zeros at a higher clock.

alignas(64) constexpr std::uint32_t factors[16] = {
    0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80,
    0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};

#define NIBBLE_LOW_REGISTERS                                                               \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc"
#ifdef __AVX512F__  // else the compiler does not use them
#define NIBBLE_HIGH_REGISTERS                                                                 \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", \
      "xmm26", "xmm27"
#else
#define NIBBLE_HIGH_REGISTERS
#endif

// Runs `body` for each of the accumulators' numbers, which it calls \r, in every turn of a loop.
#define NIBBLE_PEAK(name, load, accumulators, body, end)        \
  void name(std::size_t turns) {                                \
    asm volatile(load                                           \
                 "1:\n"                                         \
                 ".irp r," accumulators "\n" body               \
                 ".endr\n"                                      \
                 "dec %[turns]\n"                               \
                 "jnz 1b\n" end                                 \
                 : [turns] "+r"(turns)                          \
                 : [factors] "r"(factors)                       \
                 : NIBBLE_LOW_REGISTERS NIBBLE_HIGH_REGISTERS); \
  }
#define NIBBLE_PEAK_SSE(name, body)                                             \
  NIBBLE_PEAK(name, "movaps (%[factors]), %%xmm12\n movaps %%xmm12, %%xmm13\n", \
              "0,1,2,3,4,5,6,7,8,9,10,11", body, "")
#define NIBBLE_PEAK_AVX2(name, body)                                              \
  NIBBLE_PEAK(name, "vmovaps (%[factors]), %%ymm12\n vmovaps %%ymm12, %%ymm13\n", \
              "0,1,2,3,4,5,6,7,8,9,10,11", body, "vzeroupper\n")
#define NIBBLE_PEAK_AVX512(name, body)                                               \
  NIBBLE_PEAK(name, "vmovups (%[factors]), %%zmm12\n vmovups %%zmm12, %%zmm13\n",    \
              "0,1,2,3,4,5,6,7,8,9,10,11,16,17,18,19,20,21,22,23,24,25,26,27", body, \
              "vzeroupper\n")

NIBBLE_PEAK_SSE(peak_f32_sse,
                "movaps %%xmm12, %%xmm14\n mulps %%xmm13, %%xmm14\n addps %%xmm14, %%xmm\\r\n")
NIBBLE_PEAK_AVX2(peak_f32_avx2, "vfmadd231ps %%ymm12, %%ymm13, %%ymm\\r\n")
NIBBLE_PEAK_AVX512(peak_f32_avx512, "vfmadd231ps %%zmm12, %%zmm13, %%zmm\\r\n")
NIBBLE_PEAK_SSE(peak_int8_sse,
                "movdqa %%xmm12, %%xmm14\n pmaddubsw %%xmm13, %%xmm14\n"
                "pmaddwd %%xmm13, %%xmm14\n paddd %%xmm14, %%xmm\\r\n")
NIBBLE_PEAK_AVX2(peak_int16_avx2,
                 "vpmaddwd %%ymm12, %%ymm13, %%ymm14\n vpaddd %%ymm14, %%ymm\\r, %%ymm\\r\n")
NIBBLE_PEAK_AVX2(peak_int8_avx2,
                 "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n vpmaddwd %%ymm14, %%ymm12, %%ymm14\n"
                 "vpaddd %%ymm14, %%ymm\\r, %%ymm\\r\n")
NIBBLE_PEAK_AVX2(peak_int8_avx_vnni, "%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm\\r\n")
NIBBLE_PEAK_AVX512(peak_int8_avx512,
                   "vpmaddubsw %%zmm12, %%zmm13, %%zmm14\n vpmaddwd %%zmm14, %%zmm12, %%zmm14\n"
                   "vpaddd %%zmm14, %%zmm\\r, %%zmm\\r\n")
NIBBLE_PEAK_AVX512(peak_int8_vnni, "vpdpbusd %%zmm12, %%zmm13, %%zmm\\r\n")
NIBBLE_PEAK_AVX512(peak_bf16_avx512, "vdpbf16ps %%zmm12, %%zmm13, %%zmm\\r\n")

// Tiles: six accumulators of 16 x 16, two factors of 16 x 64 bytes. One product takes 16 cycles.
struct alignas(64) tile_config {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(tile_config) == 64);

#define NIBBLE_PEAK_AMX(name, instruction)                                       \
  void name(std::size_t turns) {                                                 \
    const tile_config config;                                                    \
    alignas(64) static const std::uint8_t ones[16 * 64] = {0x80, 0x3f};          \
    asm volatile(                                                                \
        "ldtilecfg (%[config])\n"                                                \
        ".irp r,0,1,2,3,4,5\n tilezero %%tmm\\r\n .endr\n"                       \
        "tileloadd (%[ones],%[stride],1), %%tmm6\n"                              \
        "tileloadd (%[ones],%[stride],1), %%tmm7\n"                              \
        "1:\n"                                                                   \
        ".irp r,0,1,2,3,4,5\n" instruction                                       \
        " %%tmm6, %%tmm7, %%tmm\\r\n .endr\n"                                    \
        "dec %[turns]\n"                                                         \
        "jnz 1b\n"                                                               \
        "tilerelease\n"                                                          \
        : [turns] "+r"(turns)                                                    \
        : [config] "r"(&config), [ones] "r"(ones), [stride] "r"(std::size_t{64}) \
        : "memory", "cc");                                                       \
  }
NIBBLE_PEAK_AMX(peak_amx_int8, "tdpbusd")
NIBBLE_PEAK_AMX(peak_amx_bf16, "tdpbf16ps")

peak_loop loop_of(limit l) {
  switch (l) {
    case limit::f32_sse: return peak_f32_sse;
    case limit::f32_avx2: return peak_f32_avx2;
    case limit::f32_avx512: return peak_f32_avx512;
    case limit::int8_sse: return peak_int8_sse;
    case limit::int16_avx2: return peak_int16_avx2;
    case limit::int8_avx2: return peak_int8_avx2;
    case limit::int8_avx_vnni: return peak_int8_avx_vnni;
    case limit::int8_avx512: return peak_int8_avx512;
    case limit::int8_vnni: return peak_int8_vnni;
    case limit::bf16_avx512: return peak_bf16_avx512;
    case limit::amx_int8: return peak_amx_int8;
    case limit::amx_bf16: return peak_amx_bf16;
    default: return nullptr;
  }
}

bool has_instructions(limit l) {
  switch (l) {
    case limit::f32_sse:
    case limit::int8_sse: return true;
    case limit::f32_avx2:
    case limit::int16_avx2:
    case limit::int8_avx2: return cpu().avx2;
    case limit::f32_avx512:
    case limit::int8_avx512: return cpu().avx512;
    case limit::int8_avx_vnni: return cpu().avx_vnni;
    case limit::int8_vnni: return cpu().vnni;
    case limit::bf16_avx512: return cpu().bf16;
    case limit::amx_int8: return cpu().amx_int8;
    case limit::amx_bf16: return cpu().amx_bf16;
    default: return is_read(l);
  }
}

double vector_bytes() { return 64; }  // sizes of groups are fixed here

// ---- Reading --------------------------------------------------------------------------------

// Reads `bytes` bytes (a multiple of Streams * 256), all streams a cache line at a time in turn.
// Prefetching 2 KiB ahead carries each stream across the hardware prefetcher's page ends.
template <int Streams>
[[gnu::target("avx2")]] std::uint64_t read_avx2(const std::uint8_t* from, std::size_t bytes) {
  const std::size_t each = bytes / Streams;
  __m256i sum0 = _mm256_setzero_si256();
  __m256i sum1 = sum0;
  for (std::size_t i = 0; i < each; i += 64) {
    for (std::size_t s = 0; s < Streams; ++s) {
      const auto* const line = reinterpret_cast<const __m256i*>(from + s * each + i);
      _mm_prefetch(reinterpret_cast<const char*>(line + 64), _MM_HINT_T0);
      sum0 = _mm256_or_si256(sum0, _mm256_load_si256(line));
      sum1 = _mm256_or_si256(sum1, _mm256_load_si256(line + 1));
    }
  }
  return static_cast<std::uint64_t>(_mm256_extract_epi64(_mm256_or_si256(sum0, sum1), 0));
}

template <int Streams>
[[gnu::target("avx512f,avx512bw")]] std::uint64_t read_avx512(const std::uint8_t* from,
                                                              std::size_t bytes) {
  const std::size_t each = bytes / Streams;
  __m512i sum0 = _mm512_setzero_si512();
  __m512i sum1 = sum0;
  for (std::size_t i = 0; i < each; i += 128) {
    for (std::size_t s = 0; s < Streams; ++s) {
      const std::uint8_t* const line = from + s * each + i;
      _mm_prefetch(reinterpret_cast<const char*>(line + 2048), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(line + 2112), _MM_HINT_T0);
      sum0 = _mm512_or_si512(sum0, _mm512_load_si512(line));
      sum1 = _mm512_or_si512(sum1, _mm512_load_si512(line + 64));
    }
  }
  std::uint64_t lanes[8];
  _mm512_storeu_si512(lanes, _mm512_or_si512(sum0, sum1));
  return lanes[0];
}

std::uint64_t read_plain(const std::uint8_t* from, std::size_t bytes, std::size_t streams) {
  const std::size_t each = bytes / streams;
  __m128i sum = _mm_setzero_si128();
  for (std::size_t i = 0; i < each; i += 64) {
    for (std::size_t s = 0; s < streams; ++s) {
      const auto* const line = reinterpret_cast<const __m128i*>(from + s * each + i);
      _mm_prefetch(reinterpret_cast<const char*>(line + 128), _MM_HINT_T0);
      for (int j = 0; j < 4; ++j) sum = _mm_or_si128(sum, _mm_load_si128(line + j));
    }
  }
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum));
}

std::uint64_t read_all(const std::uint8_t* from, std::size_t bytes, int streams) {
  if (cpu().avx512) {
    switch (streams) {
      case 1: return read_avx512<1>(from, bytes);
      case 2: return read_avx512<2>(from, bytes);
      case 4: return read_avx512<4>(from, bytes);
      default: return read_avx512<8>(from, bytes);
    }
  }
  if (cpu().avx2) {
    switch (streams) {
      case 1: return read_avx2<1>(from, bytes);
      case 2: return read_avx2<2>(from, bytes);
      case 4: return read_avx2<4>(from, bytes);
      default: return read_avx2<8>(from, bytes);
    }
  }
  return read_plain(from, bytes, static_cast<std::size_t>(streams));
}

}  // namespace

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_LIMIT_LOOPS_X86_H_
