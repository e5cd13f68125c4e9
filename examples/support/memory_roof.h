// SPDX-License-Identifier: Apache-2.0 OR MIT
// What memory allows one thread: plain reading, streaming writes and copies of floats. Quantizing
// reads its floats at least once and dequantizing writes them once, so these are the limits.
//
// The widest instructions of the CPU are used, whatever target nibble is told to take. Streaming
// (non-temporal) stores do not read the lines they write; a copy by ordinary stores does.
#ifndef NIBBLE_EXAMPLES_SUPPORT_MEMORY_ROOF_H_
#define NIBBLE_EXAMPLES_SUPPORT_MEMORY_ROOF_H_

#include <cstddef>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define NIBBLE_ROOF_X86 1
#include <immintrin.h>
#endif

namespace examples {

namespace detail {

// n is a multiple of 64 floats; pointers are aligned to 64 bytes.

#ifdef NIBBLE_ROOF_X86

[[gnu::target("avx512f")]] inline float read_wide(const float* x, std::size_t n) {
  __m512 a = _mm512_setzero_ps();
  __m512 b = a;
  __m512 c = a;
  __m512 d = a;
  for (std::size_t i = 0; i < n; i += 64) {
    a = _mm512_add_ps(a, _mm512_load_ps(x + i));
    b = _mm512_add_ps(b, _mm512_load_ps(x + i + 16));
    c = _mm512_add_ps(c, _mm512_load_ps(x + i + 32));
    d = _mm512_add_ps(d, _mm512_load_ps(x + i + 48));
  }
  float sum[16];  // not _mm512_reduce_add_ps: GCC 12 warns inside of it
  _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
  for (std::size_t i = 1; i < 16; ++i) sum[0] += sum[i];
  return sum[0];
}

[[gnu::target("avx512f")]] inline void fill_wide(float* y, std::size_t n) {
  const __m512 v = _mm512_set1_ps(1.0f);
  for (std::size_t i = 0; i < n; i += 16) _mm512_stream_ps(y + i, v);
  _mm_sfence();
}

[[gnu::target("avx512f")]] inline void copy_wide(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 16) _mm512_stream_ps(y + i, _mm512_load_ps(x + i));
  _mm_sfence();
}

inline float read_narrow(const float* x, std::size_t n) {
  __m128 sum[4] = {_mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps()};
  for (std::size_t i = 0; i < n; i += 16) {
    for (std::size_t j = 0; j < 4; ++j) sum[j] = _mm_add_ps(sum[j], _mm_load_ps(x + i + 4 * j));
  }
  return _mm_cvtss_f32(_mm_add_ps(_mm_add_ps(sum[0], sum[1]), _mm_add_ps(sum[2], sum[3])));
}

inline void fill_narrow(float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 4) _mm_stream_ps(y + i, _mm_set1_ps(1.0f));
  _mm_sfence();
}

inline void copy_narrow(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 4) _mm_stream_ps(y + i, _mm_load_ps(x + i));
  _mm_sfence();
}

inline bool has_wide() { return __builtin_cpu_supports("avx512f") != 0; }

#else  // whatever the compiler makes of plain loops

inline bool has_wide() { return false; }
inline float read_wide(const float*, std::size_t) { return 0; }
inline void fill_wide(float*, std::size_t) {}
inline void copy_wide(const float*, float*, std::size_t) {}

inline float read_narrow(const float* x, std::size_t n) {
  float sum[16] = {};
  for (std::size_t i = 0; i < n; i += 16) {
    for (std::size_t j = 0; j < 16; ++j) sum[j] += x[i + j];
  }
  for (std::size_t j = 1; j < 16; ++j) sum[0] += sum[j];
  return sum[0];
}

inline void fill_narrow(float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = 1.0f;
}

inline void copy_narrow(const float* x, float* y, std::size_t n) { std::memcpy(y, x, 4 * n); }

#endif

}  // namespace detail

/// Reads n floats (a multiple of 64, 64-byte aligned, as below) and returns a sum of them, so that
/// no compiler drops the loads.
inline float roof_read(const float* x, std::size_t n) {
  return detail::has_wide() ? detail::read_wide(x, n) : detail::read_narrow(x, n);
}

/// Writes n floats past the caches.
inline void roof_write(float* y, std::size_t n) {
  detail::has_wide() ? detail::fill_wide(y, n) : detail::fill_narrow(y, n);
}

/// Copies n floats, written past the caches.
inline void roof_stream_copy(const float* x, float* y, std::size_t n) {
  detail::has_wide() ? detail::copy_wide(x, y, n) : detail::copy_narrow(x, y, n);
}

/// Copies n floats as any program would.
inline void roof_copy(const float* x, float* y, std::size_t n) { std::memcpy(y, x, 4 * n); }

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_MEMORY_ROOF_H_
