// SPDX-License-Identifier: Apache-2.0 OR MIT
// The floating-point environment of a thread: whether subnormals are flushed, and how results are
// rounded. A program may set both for itself (-ffast-math does at start-up); tests do it here.
//
//              SSE: MXCSR                          AArch64: FPCR
//   flush      DAZ (operands) 6, FTZ (results) 15  FZ 24 (both), FZ16 19 (half precision)
//   rounding   13-14: 0 nearest, 1 down, 2 up      22-23: 0 nearest, 1 up, 2 down, 3 to zero
//              3 to zero
#ifndef NIBBLE_TESTS_SUPPORT_ENVIRONMENT_H_
#define NIBBLE_TESTS_SUPPORT_ENVIRONMENT_H_

#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#define NIBBLE_TEST_ENVIRONMENT 1
#elif defined(__aarch64__)
#define NIBBLE_TEST_ENVIRONMENT 1
#else
#define NIBBLE_TEST_ENVIRONMENT 0  // no tests of other environments
#endif

#if NIBBLE_TEST_ENVIRONMENT
namespace nibble_test {

/// Bits of the control register.
struct setting {
  const char* name;
  std::uint64_t bits;
};

#if defined(__SSE__)
inline constexpr setting flush{"subnormals flushed", 0x8040};
inline constexpr setting flush_results{"subnormal results flushed", 0x8000};
inline constexpr bool flushes_results_alone = true;
inline constexpr setting other_roundings[] = {{"down", 0x2000}, {"up", 0x4000}, {"zero", 0x6000}};

/// Without the sticky flags of exceptions, which every operation may set.
inline std::uint64_t control_register() { return _mm_getcsr() & ~0x3Fu; }
inline void set_control_register(std::uint64_t v) { _mm_setcsr(static_cast<unsigned>(v)); }
#else
inline constexpr setting flush{"subnormals flushed", 1u << 24 | 1u << 19};
inline constexpr setting flush_results = flush;
inline constexpr bool flushes_results_alone = false;
inline constexpr setting other_roundings[] = {
    {"down", 2u << 22}, {"up", 1u << 22}, {"zero", 3u << 22}};

inline std::uint64_t control_register() {
  std::uint64_t v;
  asm volatile("mrs %0, fpcr" : "=r"(v)::"memory");
  return v;
}
inline void set_control_register(std::uint64_t v) {
  asm volatile("msr fpcr, %0\n\tisb" ::"r"(v) : "memory");
}
#endif
inline constexpr setting default_setting{"as usual", 0};

/// Another setting for a scope, and for this thread alone. What computes under it is a call of a
/// function that the compiler does not see into: it may move arithmetic across these.
class environment {
 public:
  explicit environment(const setting& s) : before_(control_register()) {
    set_control_register(before_ | s.bits);
  }
  ~environment() { set_control_register(before_); }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

 private:
  std::uint64_t before_;
};

}  // namespace nibble_test
#endif  // NIBBLE_TEST_ENVIRONMENT

#endif  // NIBBLE_TESTS_SUPPORT_ENVIRONMENT_H_
