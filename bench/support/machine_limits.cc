// SPDX-License-Identifier: Apache-2.0 OR MIT
// Limits: buffers, threads and statistics; the loops themselves are in limit_loops_*.h.
#include "support/machine_limits.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <thread>

#include "support/limit_loops.h"
#include "support/machine.h"

#if defined(__x86_64__)
#include "support/limit_loops_x86.h"
#elif defined(__aarch64__)
#include "support/limit_loops_arm.h"
#endif

namespace bench {

namespace {

#if !defined(__x86_64__) && !defined(__aarch64__)  // plain reads only
peak_loop loop_of(limit) { return nullptr; }
bool has_instructions(limit l) { return is_read(l); }
double vector_bytes() { return 16; }
std::uint64_t read_all(const std::uint8_t* from, std::size_t bytes, int streams) {
  return read_lines(from, bytes, static_cast<std::size_t>(streams));
}
#endif

// What one instruction group does, and how many of them there are in a turn of its loop.
struct limit_info {
  const char* name;
  double ops;  // 0: bytes are counted
  double groups = 12;
  double cycles = 12;     // that a turn should take
  bool per_byte = false;  // ops are for each byte of a vector
};

constexpr limit_info infos[num_limits] = {
    {"read", 0},
    {"read, 4 KiB pages", 0},
    {"read L2", 0},
    {"SSE f32", 8},
    {"AVX2 f32", 16},
    {"AVX-512 f32", 32, 24, 24},
    {"SSE int8", 32},
    {"AVX2 int16", 32},
    {"AVX2 int8", 64},
    {"AVX-VNNI int8", 64},
    {"AVX-512 int8", 128, 24, 24},
    {"VNNI int8", 128, 24, 24},
    {"AVX-512 bf16", 64, 24, 24},
    {"AMX int8", 2.0 * 16 * 16 * 64, 6, 96},
    {"AMX bf16", 2.0 * 16 * 16 * 32, 6, 96},
    {"NEON f32", 8, 24, 12},
    {"sdot", 32, 24, 12},
    {"smmla", 64, 24, 12},
    {"bfmmla", 32, 24, 12},
    {"SVE f32", 0.5, 24, 12, true},
    {"SVE sdot", 2, 24, 12, true},
};

/// Whether CPUs like this one, if not this one, may have it.
bool is_of_this_kind(limit l) {
#if defined(__x86_64__)
  return l < limit::f32_neon;
#else
  return is_read(l) || l >= limit::f32_neon;
#endif
}

const limit_info& info_of(limit l) { return infos[static_cast<std::size_t>(l)]; }

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

std::vector<int> find_allowed_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

// Before any thread is pinned.
const std::vector<int>& allowed_cpus() {
  static const std::vector<int> cpus = find_allowed_cpus();
  return cpus;
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

double peak_gops(limit l, int threads, double seconds) {
  const peak_loop loop = loop_of(l);
  const limit_info& each = info_of(l);
  const auto turns = static_cast<std::size_t>(seconds * 4e9 / each.cycles) + 1;  // near 4 GHz
  const double spent = seconds_of_all(threads, [&](int) { loop(turns); });
  const double ops = each.ops * (each.per_byte ? vector_bytes() : 1);
  return 1e-9 * ops * each.groups * static_cast<double>(turns) * threads / spent;
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

void pin_this_thread(int thread) {
  const std::vector<int>& cpus = allowed_cpus();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus[static_cast<std::size_t>(thread) % cpus.size()], &set);
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
}

double limit_probe(limit l, int threads, double seconds, int streams) {
  // Work is counted out for a CPU of near 4 GHz; an emulated one is some hundred times slower.
  static const bool is_emulated = examples::is_emulated();
  if (is_emulated) seconds /= 100;
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
    std::snprintf(line, sizeof line, "%-19s %-7s", name, unit);
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
      std::snprintf(line, sizeof line, " %17.1f", m.read_by_streams[s]);
    });
  }
  for (std::size_t i = 1; i < num_limits; ++i) {
    const auto l = static_cast<limit>(i);
    if (!is_of_this_kind(l)) continue;
    row(name_of(l), unit_of(l), [&](const machine_limits& m) {
      if (m[l] > 0) {
        std::snprintf(line, sizeof line, " %9.1f (%5.*f)", m[l], m.median[i] < 1000 ? 1 : 0,
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
