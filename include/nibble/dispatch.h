// SPDX-License-Identifier: Apache-2.0 OR MIT
// The one seam between public headers and kernels, and the only file that knows foreach_target.h.
//
// A public header with kernels includes this file at its end, outside its include guard: the file
// is read once per target pass. What happens depends on the mode and on who runs the passes:
//
//   header-only, first nibble header of the TU   we run foreach_target.h over kernel/all-inl.h
//   header-only, inside the client's own passes  the kernels join them, pass by pass
//   NIBBLE_STATIC_DISPATCH                       one pass for the compiler's own target
//   NIBBLE_COMPILED                              nothing: libnibble has the kernels
//
// After it, NIBBLE_HAS_KERNELS says whether the kernels of all targets can be named, and HWY_ONCE
// code may use NIBBLE_DISPATCH(Kernel<F>, args...).
#if !defined(NIBBLE_COMPILED) || defined(NIBBLE_BUILDING)

// -march=haswell and x86-64-v3 lack AES, without which Highway would take them for SSSE3 machines.
// Where the client has had Highway choose, his targets keep their AES.
#if defined(__SSE4_2__) && !(defined(__AES__) && defined(__PCLMUL__)) && \
    !defined(HWY_DISABLE_PCLMUL_AES) && !defined(HIGHWAY_HWY_DETECT_TARGETS_H_)
#define HWY_DISABLE_PCLMUL_AES
#endif

#if !defined(NIBBLE_STATIC_DISPATCH) && !defined(HIGHWAY_HWY_FOREACH_TARGET_H_)
#ifdef HWY_HIGHWAY_INCLUDED
#error \
    "nibble: include nibble before hwy/highway.h, or after your own hwy/foreach_target.h, or link nibble::compiled"
#endif
#pragma push_macro("HWY_WANT_AVX3_DL")
#pragma push_macro("HWY_TARGET_INCLUDE")
#ifndef HWY_WANT_AVX3_DL
#define HWY_WANT_AVX3_DL  // VNNI; Highway leaves it out unless asked
#endif
// Targets: what brings nothing to these kernels is left out (docs/design.md, "targets"). SSE4 is
// the lowest on x86.
#if (defined(__x86_64__) || defined(__i386__)) && !defined(HWY_BASELINE_TARGETS) && \
    !defined(HWY_DISABLED_TARGETS)
#define HWY_DISABLED_TARGETS (HWY_SSE2 | HWY_SSSE3 | HWY_AVX3_ZEN4 | HWY_AVX3_SPR)
// Highway asks AES of every target from SSE4 up. Flags such as -march=x86-64-v3 or haswell lack it,
// and Highway's own choice would be a target that is left out; so the best one of the flags is
// named. (It must differ between flags: target lists keep the bodies of such units apart.)
#if !defined(__SSE4_2__) || !defined(__AES__) || !defined(__PCLMUL__)
#if defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512CD__)
#define HWY_BASELINE_TARGETS HWY_AVX3
#elif defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__) && defined(__F16C__)
#define HWY_BASELINE_TARGETS HWY_AVX2
#else
#define HWY_BASELINE_TARGETS HWY_SSE4
#endif
#endif
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nibble/kernel/all-inl.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#pragma pop_macro("HWY_TARGET_INCLUDE")
#pragma pop_macro("HWY_WANT_AVX3_DL")
#define NIBBLE_OWNS_PASSES
#endif

#if defined(NIBBLE_STATIC_DISPATCH) && !defined(HWY_HIGHWAY_INCLUDED) && defined(__SSE4_2__) && \
    !defined(HWY_DISABLE_PCLMUL_AES) && (!defined(__AES__) || !defined(__PCLMUL__))
#define HWY_DISABLE_PCLMUL_AES  // the same flags here: AVX2 without AES is AVX2
#endif
#include "nibble/kernel/all-inl.h"

#if !HWY_ONCE
#define NIBBLE_SAW_TARGET_PASS
#endif

#if HWY_ONCE && !defined(NIBBLE_DISPATCH_H_)
#define NIBBLE_DISPATCH_H_
#if !defined(NIBBLE_STATIC_DISPATCH) && HWY_TARGETS != HWY_STATIC_TARGET && \
    !defined(NIBBLE_SAW_TARGET_PASS) && !defined(NIBBLE_OWNS_PASSES)
#error \
    "nibble: this file is not re-included by foreach_target.h (another header ran the passes); link nibble::compiled"
#endif
#define NIBBLE_HAS_KERNELS 1

#ifdef NIBBLE_STATIC_DISPATCH
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

// Highway checks itself in units without optimization or with sanitizers (HWY_DASSERT). Its checks
// end in a function of libhwy, which this mode does not link. So the function is here, inline:
// where a program has a static libhwy as well, the linker prefers that one.
namespace hwy {
HWY_NORETURN inline void Abort(const char* file, int line, const char* format, ...) {
  std::fprintf(stderr, "Highway: %s:%d: ", file, line);
  va_list args;
  va_start(args, format);
  std::vfprintf(stderr, format, args);
  va_end(args);
  std::fputc('\n', stderr);
  std::abort();
}
}  // namespace hwy
#endif

// Inside a function template whose parameters include `std::int64_t Targets = HWY_TARGETS` (so that
// TUs with other target lists never share its body): calls the best target's Kernel.
#ifdef NIBBLE_STATIC_DISPATCH
#define NIBBLE_DISPATCH(table, ...) HWY_STATIC_DISPATCH(__VA_ARGS__)
#else
#define NIBBLE_DISPATCH(table, ...) \
  HWY_EXPORT_T(table, __VA_ARGS__); \
  HWY_DYNAMIC_DISPATCH_T(table)
#endif
#endif  // HWY_ONCE

#endif  // kernels wanted here

// Compiled mode: public functions call libnibble (format/library.h).
#if defined(NIBBLE_COMPILED) && !defined(NIBBLE_BUILDING)
#ifndef NIBBLE_CALLS_LIBRARY
#define NIBBLE_CALLS_LIBRARY
#endif
#endif

// Public functions that dispatch are inlined into the caller, so that TUs with other lists of
// targets never merge bodies.
#ifndef NIBBLE_SHIM
#define NIBBLE_SHIM [[gnu::always_inline]] inline
#endif
