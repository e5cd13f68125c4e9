// SPDX-License-Identifier: Apache-2.0 OR MIT
// Scalar float arithmetic whose bits do not depend on compiler flags.
//
// Formats promise bytes, so `a * b + c` must round twice. GCC's default (-ffp-contract=fast) fuses
// it wherever the target has an fma, and so does clang when asked; no pragma or attribute stops
// both reliably after inlining. An empty asm statement does: the product passes through it as an
// opaque register. kernel/arith-inl.h has the same for vectors, where intrinsics are fused just as
// well.
#ifndef NIBBLE_CORE_ARITH_H_
#define NIBBLE_CORE_ARITH_H_

#include <type_traits>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// v, rounded to float32 here: the optimizer may not look through it.
constexpr float rounded(float v) noexcept {
  if (std::is_constant_evaluated()) return v;
#if defined(__GNUC__) && (defined(__SSE__) || defined(__x86_64__))
  asm("" : "+x"(v));
#elif defined(__GNUC__) && defined(__aarch64__)
  asm("" : "+w"(v));
#elif defined(__GNUC__) && defined(__riscv_flen)
  asm("" : "+f"(v));
#elif defined(__GNUC__)
  asm("" : "+m"(v));
#endif  // MSVC: /fp:precise does not fuse
  return v;
}

/// a * b + c and a * b - c, each operation rounded.
constexpr float mul_then_add(float a, float b, float c) noexcept { return rounded(a * b) + c; }
constexpr float mul_then_sub(float a, float b, float c) noexcept { return rounded(a * b) - c; }

/// The nearest integer, ties to even, for |v| <= 2^22; -0.3 gives +0. Beyond that a value at least
/// 2^22 out on the same side, so that clamping afterwards is right for every v. NaN stays NaN.
///
/// Adding 1.5 * 2^23 leaves no fraction bits: the addition itself rounds.
constexpr float nearest_integer(float v) noexcept {
  constexpr float no_fraction = 12582912.0f;
  return rounded(v + no_fraction) - no_fraction;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_CORE_ARITH_H_
