// SPDX-License-Identifier: Apache-2.0 OR MIT
// Version, ABI namespace, build modes and the check macro. Every other header starts here.
//
// Modes (define before the first nibble header, or link the CMake target that does):
//   (none)                  header-only, kernels for every target, chosen at run time
//   NIBBLE_COMPILED         kernels live in libnibble; this TU never sees Highway
//   NIBBLE_STATIC_DISPATCH  kernels for the one target the compiler flags allow; no libhwy to link
#ifndef NIBBLE_CONFIG_H_
#define NIBBLE_CONFIG_H_

#include <cstddef>
#include <cstdint>

#define NIBBLE_VERSION_MAJOR 0
#define NIBBLE_VERSION_MINOR 1
#define NIBBLE_VERSION_PATCH 0
#define NIBBLE_VERSION_STRING "0.1.0"

#if defined(NIBBLE_COMPILED) && defined(NIBBLE_STATIC_DISPATCH)
#error "nibble: NIBBLE_COMPILED and NIBBLE_STATIC_DISPATCH exclude each other; define one"
#endif

// Checks of wrong calls (shapes, null pointers). On in debug builds or with NIBBLE_HARDENED=1, free
// otherwise. A program may define NIBBLE_CHECK_FAILED(expression, message) to handle them itself.
#ifndef NIBBLE_HARDENED
#ifdef NDEBUG
#define NIBBLE_HARDENED 0
#else
#define NIBBLE_HARDENED 1
#endif
#endif

#if NIBBLE_HARDENED
#ifndef NIBBLE_CHECK_FAILED
#include <cstdio>
#include <cstdlib>
#define NIBBLE_CHECK_FAILED(expression, message)                                              \
  (std::fprintf(stderr, "nibble: %s:%d: %s (%s)\n", __FILE__, __LINE__, message, expression), \
   std::abort())
#endif
#define NIBBLE_ASSERT(expression, message) \
  ((expression) ? static_cast<void>(0) : NIBBLE_CHECK_FAILED(#expression, message))
#else
#define NIBBLE_ASSERT(expression, message) static_cast<void>(0)
#endif

// The inline namespace of everything: v0_1_ and what the bodies of inline functions depend on.
// Units of one program may differ in these; their functions then have different names, so that no
// linker keeps one unit's body for the other. A function compiled with -march=haswell would stop an
// older CPU, and one without checks would check nothing for a unit that asks for checks. Letters:
// modes h, s, c; then 1 or 0 each, in the order below. libnibble itself is called by names that
// none of this changes (format/library.h).
#if defined(NIBBLE_COMPILED)
#define NIBBLE_ABI_MODE c
#elif defined(NIBBLE_STATIC_DISPATCH)
#define NIBBLE_ABI_MODE s
#else
#define NIBBLE_ABI_MODE h
#endif
#if NIBBLE_HARDENED
#define NIBBLE_ABI_CHECKS 1
#else
#define NIBBLE_ABI_CHECKS 0
#endif
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#define NIBBLE_ABI_A 1
#else
#define NIBBLE_ABI_A 0
#endif
#if defined(__SSE4_2__) || defined(__ARM_FEATURE_DOTPROD)
#define NIBBLE_ABI_B 1
#else
#define NIBBLE_ABI_B 0
#endif
#if defined(__AES__) || defined(__ARM_FEATURE_CRYPTO) || defined(__ARM_FEATURE_AES)
#define NIBBLE_ABI_C 1
#else
#define NIBBLE_ABI_C 0
#endif
#if defined(__POPCNT__) || defined(__ARM_FEATURE_MATMUL_INT8)
#define NIBBLE_ABI_D 1
#else
#define NIBBLE_ABI_D 0
#endif
#if defined(__AVX__) || defined(__ARM_FEATURE_BF16)
#define NIBBLE_ABI_E 1
#else
#define NIBBLE_ABI_E 0
#endif
#if defined(__AVX2__) || defined(__ARM_FEATURE_SVE)
#define NIBBLE_ABI_F 1
#else
#define NIBBLE_ABI_F 0
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_SVE2)
#define NIBBLE_ABI_G 1
#else
#define NIBBLE_ABI_G 0
#endif
#if defined(__F16C__) || defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#define NIBBLE_ABI_H 1
#else
#define NIBBLE_ABI_H 0
#endif
#if defined(__BMI2__) || defined(__ARM_FEATURE_ATOMICS)
#define NIBBLE_ABI_I 1
#else
#define NIBBLE_ABI_I 0
#endif
#if defined(__LZCNT__) || defined(__ARM_FEATURE_SVE2p1)
#define NIBBLE_ABI_J 1
#else
#define NIBBLE_ABI_J 0
#endif
#if defined(__AVX512F__) || (defined(__ARM_FEATURE_SVE_BITS) && __ARM_FEATURE_SVE_BITS)
#define NIBBLE_ABI_K 1
#else
#define NIBBLE_ABI_K 0
#endif
#if defined(__AVX512BW__) && defined(__AVX512VL__)
#define NIBBLE_ABI_L 1
#else
#define NIBBLE_ABI_L 0
#endif
#if defined(__AVX512VNNI__) || defined(__AVX512VBMI__)
#define NIBBLE_ABI_M 1
#else
#define NIBBLE_ABI_M 0
#endif
#if defined(__AVXVNNI__)
#define NIBBLE_ABI_N 1
#else
#define NIBBLE_ABI_N 0
#endif
#if defined(__AVX512BF16__) || defined(__AVX512FP16__)
#define NIBBLE_ABI_O 1
#else
#define NIBBLE_ABI_O 0
#endif
#if defined(__AMX_TILE__) || defined(__AVX10_1__)
#define NIBBLE_ABI_P 1
#else
#define NIBBLE_ABI_P 0
#endif
// Four of them are one hexadecimal digit.
#define NIBBLE_HEX_0000 0
#define NIBBLE_HEX_0001 1
#define NIBBLE_HEX_0010 2
#define NIBBLE_HEX_0011 3
#define NIBBLE_HEX_0100 4
#define NIBBLE_HEX_0101 5
#define NIBBLE_HEX_0110 6
#define NIBBLE_HEX_0111 7
#define NIBBLE_HEX_1000 8
#define NIBBLE_HEX_1001 9
#define NIBBLE_HEX_1010 a
#define NIBBLE_HEX_1011 b
#define NIBBLE_HEX_1100 c
#define NIBBLE_HEX_1101 d
#define NIBBLE_HEX_1110 e
#define NIBBLE_HEX_1111 f
#define NIBBLE_HEX_OF(a, b, c, d) NIBBLE_HEX_##a##b##c##d
#define NIBBLE_HEX(a, b, c, d) NIBBLE_HEX_OF(a, b, c, d)
#define NIBBLE_ABI_JOIN(mode, checks, a, b, c, d) v0_1_##mode##checks##a##b##c##d
#define NIBBLE_ABI_NAME(...) NIBBLE_ABI_JOIN(__VA_ARGS__)
/// Inline namespace of everything public: two versions, and units of other flags, can live in one
/// program.
#define NIBBLE_ABI                                                                    \
  NIBBLE_ABI_NAME(NIBBLE_ABI_MODE, NIBBLE_ABI_CHECKS,                                 \
                  NIBBLE_HEX(NIBBLE_ABI_A, NIBBLE_ABI_B, NIBBLE_ABI_C, NIBBLE_ABI_D), \
                  NIBBLE_HEX(NIBBLE_ABI_E, NIBBLE_ABI_F, NIBBLE_ABI_G, NIBBLE_ABI_H), \
                  NIBBLE_HEX(NIBBLE_ABI_I, NIBBLE_ABI_J, NIBBLE_ABI_K, NIBBLE_ABI_L), \
                  NIBBLE_HEX(NIBBLE_ABI_M, NIBBLE_ABI_N, NIBBLE_ABI_O, NIBBLE_ABI_P))
/// Namespace of what libnibble exports: the version alone.
#define NIBBLE_LIBRARY_ABI nibble_v0_1

// Lambdas of kernels are small and called in loops; GCC leaves some of them out of line, which
// halves the speed of what it does there (docs/performance.md).
#if defined(__GNUC__)
#define NIBBLE_INLINE_LAMBDA __attribute__((always_inline))
#else
#define NIBBLE_INLINE_LAMBDA
#endif

#endif  // NIBBLE_CONFIG_H_
