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

/// Inline namespace of everything public: two versions can live in one program.
#define NIBBLE_ABI v0_1

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

// Lambdas of kernels are small and called in loops; GCC leaves some of them out of line, which
// halves the speed of what it does there (docs/performance.md).
#if defined(__GNUC__)
#define NIBBLE_INLINE_LAMBDA __attribute__((always_inline))
#else
#define NIBBLE_INLINE_LAMBDA
#endif

#endif  // NIBBLE_CONFIG_H_
