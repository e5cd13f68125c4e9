// SPDX-License-Identifier: Apache-2.0 OR MIT
// The loops behind machine_limits.h. The instructions are written in assembly, so that no compiler
// hoists, fuses or spills any of them, and none needs to know the newest sets.
#include "support/machine_limits.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <thread>

#include "support/machine.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace bench {

namespace {

struct limit_info {
  const char* name;
  double ops;  // of one instruction group; 0: bytes are counted
};

constexpr limit_info infos[num_limits] = {
    {"read", 0},
    {"read, 4 KiB pages", 0},
    {"read L2", 0},
    {"SSE f32", 8},
    {"AVX2 f32", 16},
    {"AVX-512 f32", 32},
    {"SSE int8", 32},
    {"AVX2 int16", 32},
    {"AVX2 int8", 64},
    {"AVX-VNNI int8", 64},
    {"AVX-512 int8", 128},
    {"VNNI int8", 128},
    {"AVX-512 bf16", 64},
    {"AMX int8", 2.0 * 16 * 16 * 64},
    {"AMX bf16", 2.0 * 16 * 16 * 32},
};

const limit_info& info_of(limit l) { return infos[static_cast<std::size_t>(l)]; }

#if defined(__x86_64__)

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

using peak_loop = void (*)(std::size_t turns);

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
    default: return true;
  }
}

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

#else  // other machines: plain reads only

using peak_loop = void (*)(std::size_t turns);
peak_loop loop_of(limit) { return nullptr; }
bool has_instructions(limit l) {
  return l == limit::read || l == limit::read_4k || l == limit::read_l2;
}

std::uint64_t read_all(const std::uint8_t* from, std::size_t bytes, int streams) {
  const std::size_t each = bytes / static_cast<std::size_t>(streams);
  std::uint64_t sum[8] = {};
  for (std::size_t i = 0; i < each; i += 64) {
    for (std::size_t s = 0; s < static_cast<std::size_t>(streams); ++s) {
      std::uint64_t line[8];
      std::memcpy(line, from + s * each + i, sizeof line);
      for (int j = 0; j < 8; ++j) sum[j] |= line[j];
    }
  }
  return sum[0] | sum[1] | sum[2] | sum[3] | sum[4] | sum[5] | sum[6] | sum[7];
}

#endif

// ---- Buffers and threads --------------------------------------------------------------------

// Pages that are touched once; never freed: the program measures until it ends.
const std::uint8_t* make_buffer(std::size_t bytes, bool huge) {
  void* const p = mmap(nullptr, bytes + (std::size_t{2} << 20), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  const std::uintptr_t mask = (std::uintptr_t{2} << 20) - 1;
  auto* const start =
      reinterpret_cast<std::uint8_t*>((reinterpret_cast<std::uintptr_t>(p) + mask) & ~mask);
  static_cast<void>(madvise(start, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
  std::memset(start, 1, bytes);  // zero pages could all be one page
  return start;
}

// Five times the last-level cache, so that four times it lies between two reads of a line.
std::size_t buffer_bytes() {
  static const std::size_t bytes =
      std::max<std::size_t>(std::size_t{192} << 20, 5 * examples::last_level_cache());
  return bytes;
}

const std::uint8_t* buffer_of(limit l) {
  if (l == limit::read_4k) {
    static const std::uint8_t* const small = make_buffer(buffer_bytes(), false);
    return small;
  }
  static const std::uint8_t* const huge = make_buffer(buffer_bytes(), true);
  return huge;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

void pin_this_thread(int thread) {
  static const std::vector<int> cpus = allowed_cpus();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus[static_cast<std::size_t>(thread) % cpus.size()], &set);
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
}

// Seconds from the moment when all threads are ready until the last one has done work(thread).
template <class Work>
double seconds_of_all(int threads, const Work& work) {
  std::atomic<int> ready{0};
  std::atomic<int> done{0};
  double start = 0;
  double end = 0;
  const auto body = [&](int thread) {
    pin_this_thread(thread);
    if (ready.fetch_add(1) + 1 == threads) {
      start = seconds_now(threads);
      ready.fetch_add(1);
    }
    while (ready.load(std::memory_order_acquire) <= threads) {
    }
    work(thread);
    if (done.fetch_add(1) + 1 == threads) end = seconds_now(threads);
  };
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) all.emplace_back(body, t);
  for (std::thread& t : all) t.join();
  return end - start;
}

double read_gbps(limit l, int threads, double seconds, int streams) {
  const std::uint8_t* const from = buffer_of(l);
  if (from == nullptr) return 0;
  const std::size_t unit = std::size_t{8} * 4096;
  const auto num_threads = static_cast<std::size_t>(threads);
  std::size_t part = buffer_bytes() / num_threads / unit * unit;
  std::size_t times = 1;
  if (l == limit::read_l2) {
    part = std::size_t{256} << 10;
    times = static_cast<std::size_t>(seconds * 60e9 / static_cast<double>(part)) + 1;
  } else {
    // A probe reads less, but never again what it has just read.
    const double wanted = seconds * 30e9 / threads;
    part = std::min(part, static_cast<std::size_t>(wanted) / unit * unit + unit);
  }
  static std::atomic<std::size_t> walked{0};
  const std::size_t room = buffer_bytes() / num_threads / unit * unit - part;
  const std::size_t offset =
      l == limit::read_l2 || room == 0
          ? 0
          : walked.fetch_add(part) % (room / unit * unit + unit) / unit * unit;
  std::atomic<std::uint64_t> keep{0};
  const double spent = seconds_of_all(threads, [&](int thread) {
    const std::uint8_t* const mine =
        from + static_cast<std::size_t>(thread) * (room + part) + offset;
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < times; ++i) any |= read_all(mine, part, streams);
    keep.fetch_or(any);
  });
  return 1e-9 * static_cast<double>(part * times * num_threads) / spent;
}

// Instructions (or groups of them) in one turn of a loop, and the cycles that they should take.
struct turn {
  double groups;
  double cycles;
};

turn turn_of(limit l) {
  switch (l) {
    case limit::amx_int8:
    case limit::amx_bf16: return {6, 96};
    case limit::f32_avx512:
    case limit::int8_avx512:
    case limit::int8_vnni:
    case limit::bf16_avx512: return {24, 24};
    default: return {12, 12};
  }
}

double peak_gops(limit l, int threads, double seconds) {
  const peak_loop loop = loop_of(l);
  const turn each = turn_of(l);
  const auto turns = static_cast<std::size_t>(seconds * 4e9 / each.cycles) + 1;  // near 4 GHz
  const double spent = seconds_of_all(threads, [&](int) { loop(turns); });
  return 1e-9 * info_of(l).ops * each.groups * static_cast<double>(turns) * threads / spent;
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

double seconds_now(int threads) {
  timespec now{};
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const char* name_of(limit l) { return info_of(l).name; }
const char* unit_of(limit l) { return info_of(l).ops > 0 ? "Gop/s" : "GB/s"; }
bool available(limit l) { return has_instructions(l); }
int num_cpus() { return static_cast<int>(allowed_cpus().size()); }

double limit_probe(limit l, int threads, double seconds, int streams) {
  if (!available(l)) return 0;
  return info_of(l).ops > 0 ? peak_gops(l, threads, seconds)
                            : read_gbps(l, threads, seconds, streams);
}

machine_limits measure_limits(int threads, double seconds) {
  machine_limits found;
  found.threads = threads;
  constexpr std::size_t num_peaks = num_limits - 1;  // read is measured per number of streams
  const double each = std::max(0.002, seconds / static_cast<double>(7 * (num_peaks + 4)));
  std::vector<double> reads[4];
  std::vector<double> peaks[num_limits];
  const double read_seconds = std::max(each, 0.01);  // memory takes a while to get going
  for (int round = 0; round < 7; ++round) {
    for (std::size_t i = 0; i < 4; ++i) {
      reads[i].push_back(limit_probe(limit::read, threads, read_seconds, stream_counts[i]));
    }
    for (std::size_t i = 1; i < num_limits; ++i) {
      const auto l = static_cast<limit>(i);
      if (!available(l)) continue;
      // Small pages: 8 streams are as good as the best elsewhere.
      peaks[i].push_back(limit_probe(l, threads, info_of(l).ops > 0 ? each : read_seconds));
    }
  }
  double best = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    found.read_by_streams[i] = *std::max_element(reads[i].begin(), reads[i].end());
    if (found.read_by_streams[i] > best) {
      best = found.read_by_streams[i];
      found.read_streams = stream_counts[i];
      found.median[0] = median_of(reads[i]);
    }
  }
  found.best[0] = best;
  for (std::size_t i = 1; i < num_limits; ++i) {
    if (peaks[i].empty()) continue;
    found.best[i] = *std::max_element(peaks[i].begin(), peaks[i].end());
    found.median[i] = median_of(peaks[i]);
  }
  return found;
}

std::string to_table(const std::vector<machine_limits>& all) {
  std::string text;
  char line[160];
  const auto row = [&](const char* name, const char* unit, auto&& value) {
    std::snprintf(line, sizeof line, "%-20s%-7s", name, unit);
    text += line;
    for (const machine_limits& m : all) {
      value(m);
      text += line;
    }
    text += '\n';
  };
  row("limits", "", [&](const machine_limits& m) {
    std::snprintf(line, sizeof line, "%16s%2d", m.threads == 1 ? "thread" : "threads", m.threads);
  });
  for (std::size_t s = 0; s < 4; ++s) {
    char name[32];
    std::snprintf(name, sizeof name, "read, %d stream%s", stream_counts[s], s == 0 ? "" : "s");
    row(name, "GB/s", [&](const machine_limits& m) {
      std::snprintf(line, sizeof line, "%18.1f", m.read_by_streams[s]);
    });
  }
  for (std::size_t i = 1; i < num_limits; ++i) {
    const auto l = static_cast<limit>(i);
    row(name_of(l), unit_of(l), [&](const machine_limits& m) {
      if (m[l] > 0) {
        std::snprintf(line, sizeof line, "%10.1f (%5.*f)", m[l], m.median[i] < 1000 ? 1 : 0,
                      m.median[i]);
      } else {
        std::snprintf(line, sizeof line, "%18s", "not on this CPU");
      }
    });
  }
  text += "Best of 7 rounds; medians in brackets.\n";
  return text;
}

}  // namespace bench
