// SPDX-License-Identifier: Apache-2.0 OR MIT
// What this machine can do at most: bytes read from memory and multiply-adds issued per second, by
// instruction set and number of threads. Kernels are judged by fractions of these.
//
// Peaks are loops of independent instructions that stay in registers; reads walk 1, 2, 4 or 8
// streams per thread over more than the last-level cache. The host of a virtual machine may change
// its speed from second to second: measure_limits() keeps the best of rounds that visit all limits
// in turn, and a limit_probe() is short enough to stand beside each run of a kernel.
#ifndef NIBBLE_BENCH_SUPPORT_MACHINE_LIMITS_H_
#define NIBBLE_BENCH_SUPPORT_MACHINE_LIMITS_H_

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

enum class limit {
  read,           ///< memory, buffers in huge pages where the system gives them
  read_4k,        ///< memory, buffers in pages of 4 KiB
  read_l2,        ///< a quarter of the second-level cache per thread
  f32_sse,        ///< mulps + addps: SSE has no fused multiply-add
  f32_avx2,       ///< vfmadd231ps, 256 bits
  f32_avx512,     ///< vfmadd231ps, 512 bits
  int8_sse,       ///< pmaddubsw + pmaddwd + paddd, and a copy, for u8 x s8
  int16_avx2,     ///< vpmaddwd + vpaddd, 256 bits: exact for any 8-bit codes, once widened
  int8_avx2,      ///< vpmaddubsw + vpmaddwd + vpaddd, 256 bits; vpmaddubsw saturates
  int8_avx_vnni,  ///< vpdpbusd, 256 bits
  int8_avx512,    ///< vpmaddubsw + vpmaddwd + vpaddd, 512 bits
  int8_vnni,      ///< vpdpbusd, 512 bits
  bf16_avx512,    ///< vdpbf16ps, 512 bits
  amx_int8,       ///< tdpbusd
  amx_bf16,       ///< tdpbf16ps
  f32_neon,       ///< fmla, 128 bits
  int8_dot,       ///< sdot, 128 bits
  int8_mmla,      ///< smmla, 128 bits
  bf16_mmla,      ///< bfmmla, 128 bits
  f32_sve,        ///< fmla, as long as SVE's vectors are
  int8_sve,       ///< sdot, the same
  count
};

inline constexpr std::size_t num_limits = static_cast<std::size_t>(limit::count);

/// "read", "VNNI int8": for tables and JSON.
const char* name_of(limit l);

/// "GB/s" or "Gop/s"; one multiply-add is two operations.
const char* unit_of(limit l);

/// Whether this CPU, and the system under it, has the instructions.
bool available(limit l);

/// Streams that measure_limits() tries; fewer than a kernel may have.
inline constexpr int stream_counts[] = {1, 2, 4, 8};

struct machine_limits {
  int threads = 1;
  double best[num_limits] = {};    ///< 0: not on this CPU
  double median[num_limits] = {};  ///< over the rounds: how quiet the host was
  double read_by_streams[4] = {};  ///< GB/s, huge pages, as stream_counts
  int read_streams = 1;            ///< the best of them

  [[nodiscard]] double operator[](limit l) const { return best[static_cast<std::size_t>(l)]; }
};

/// Measures everything with `threads` threads, each pinned to a CPU of its own, for about
/// `seconds`.
machine_limits measure_limits(int threads, double seconds);

/// One short measurement, about `seconds`; memory with `streams` streams per thread.
double limit_probe(limit l, int threads, double seconds, int streams = 8);

/// A clock for work of this many threads. One thread: the CPU time of the process, which is the
/// time that passes unless other programs take the CPU away; more: the time that passes.
double seconds_now(int threads);

/// CPUs that this process may use.
int num_cpus();

/// Keeps the calling thread on one CPU: number `thread` of those that the process could use when it
/// began, counted round.
void pin_this_thread(int thread);

/// The table of all that was measured, one column per number of threads.
std::string to_table(const std::vector<machine_limits>& all);

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_MACHINE_LIMITS_H_
