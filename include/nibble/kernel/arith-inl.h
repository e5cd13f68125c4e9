// SPDX-License-Identifier: Apache-2.0 OR MIT
// Vector arithmetic that must round twice: a product and a sum that are never fused.
#if defined(NIBBLE_KERNEL_ARITH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ARITH_INL_H_
#undef NIBBLE_KERNEL_ARITH_INL_H_
#else
#define NIBBLE_KERNEL_ARITH_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/config.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// v, behind a wall that the optimizer's fusing does not pass. GCC contracts a multiply and an add
/// of intrinsics into one fused operation by default (-ffp-contract=fast), Clang does when it is
/// given that flag, and the flags of the including program are not ours to demand.
template <class V>
HWY_INLINE V Rounded(V v) {
#if HWY_IS_MSAN
  // It takes the wall for a use of all lanes, of which some hold nothing. Clang, the only compiler
  // that has it, fuses only when asked.
#elif HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR
#if !HWY_COMPILER_MSVC
  asm("" : "+m"(v.raw));
#endif
#elif !HWY_COMPILER_MSVC && HWY_ARCH_X86
  asm("" : "+v"(v.raw));
#elif !HWY_COMPILER_MSVC && HWY_TARGET_IS_NEON
  asm("" : "+w"(v.raw));
#elif HWY_TARGET_IS_SVE
  asm("" : "+w"(v));
#endif
  return v;
}

/// a * b + c and a * b - c, each operation rounded.
template <class V>
HWY_INLINE V MulThenAdd(V a, V b, V c) {
  return hn::Add(Rounded(hn::Mul(a, b)), c);
}
template <class V>
HWY_INLINE V MulThenSub(V a, V b, V c) {
  return hn::Sub(Rounded(hn::Mul(a, b)), c);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
