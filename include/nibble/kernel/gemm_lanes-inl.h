// SPDX-License-Identifier: Apache-2.0 OR MIT
// Arm's dot products with activations that are loaded 16 bytes at a time:
//
//   by lane    sdot, usdot, bfdot   w: 4 bytes of k per column; x: bytes 4 i .. 4 i + 3 of 16 of
//                                   one row. One load of x for 4 steps of k
//   by block   usmmla, bfmmla       2 columns of w by 2 rows of x, 8 bytes of k each:
//
//     w  c0 c0 c1 c1  (a step of k and the next, zipped)     sum  c0x0 c0x1 c1x0 c1x1
//     x  x0 x0 x1 x1                                               \  unzipped with the next
//                                                                   c0x0 c1x0 c2x0 c3x0
//
// Integers are exact. bfdot and bfmmla add the two products of a pair, then that to the sum, both
// rounded to odd: at most 2^-23 of the result each, denormals are 0. bfmmla is two bfdot in order
// of k (Arm ARM, BFMatMulAdd), so both give the same bits.
//
// Of these only sdot of SVE needs no run-time check. The others are given as numbers: GNU as
// accepts them only after `.arch armv8.2-a` or later, not after `.arch_extension` alone, and
// `.arch` would take other extensions away from what the compiler writes behind it.
#if defined(NIBBLE_KERNEL_GEMM_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_LANES_INL_H_
#undef NIBBLE_KERNEL_GEMM_LANES_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_LANES_INL_H_
#endif

#include "nibble/format/cpu_extensions.h"
#include "nibble/kernel/gemm_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr bool IsByLane(QuadDot dot) {
  return dot == QuadDot::kSdot || dot == QuadDot::kSdotFlip || dot == QuadDot::kUsdot;
}
constexpr bool IsByLane(FloatDot dot) { return kIsArm64 && dot == FloatDot::kBf16Extension; }
constexpr bool IsByBlock(QuadDot dot) { return dot == QuadDot::kUsmmla; }
constexpr bool IsByBlock(FloatDot dot) { return dot == FloatDot::kBfmmla; }
/// What multiplies a row that has no partner.
constexpr QuadDot OfOneRow(QuadDot dot) { return IsByBlock(dot) ? QuadDot::kUsdot : dot; }
constexpr FloatDot OfOneRow(FloatDot dot) {
  return IsByBlock(dot) ? FloatDot::kBf16Extension : dot;
}

/// 16 bytes of x, in every 16 bytes of a vector.
HWY_INLINE hn::Vec<QuadTag> LoadX16(const void* HWY_RESTRICT x) {
  return hn::LoadDup128(QuadTag(), static_cast<const int8_t*>(x));
}

#if HWY_ARCH_ARM_A64 && (HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE)
/// What is in an instruction's registers: Highway's vectors of NEON are structs.
template <class V>
HWY_INLINE auto& RegisterOf(V& v) {
#if HWY_TARGET_IS_NEON
  return v.raw;
#else
  return v;
#endif
}

/// sum += w * x by the instruction of that code: three registers, whose numbers it takes at bits 0,
/// 5 and 16.
#if HWY_TARGET_IS_SVE
#define NIBBLE_REGISTER_OF_X "y"  // z0 to z7
#else
#define NIBBLE_REGISTER_OF_X "w"
#endif
template <uint32_t kCode, class VSum, class VW, class VX>
HWY_INLINE VSum Instruction(VSum sum, VW w, VX x) {
  // %0 prints as v7 or z7; the symbols, made once per file, give it its number.
  __asm__(
      ".ifndef .Lnibble_z31\n\t"
      ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
      "\n\t.equ .Lnibble_v\\n,\\n\n\t.equ .Lnibble_z\\n,\\n\n\t.endr\n\t.endif\n\t"
      ".inst %3 + .Lnibble_%0 + (.Lnibble_%1 << 5) + (.Lnibble_%2 << 16)"
      : "+w"(RegisterOf(sum))
      : "w"(RegisterOf(w)), NIBBLE_REGISTER_OF_X(RegisterOf(x)), "i"(kCode));
  return sum;
}
#undef NIBBLE_REGISTER_OF_X

/// Codes of the instructions, with registers 0; those by lane with the number of the lane.
constexpr uint32_t CodeOfLane(uint32_t neon, uint32_t sve, size_t lane) {
  const auto n = static_cast<uint32_t>(lane);
  return HWY_TARGET_IS_NEON ? neon + ((n & 1) << 21 | (n & 2) << 10) : sve + (n << 19);
}
#endif

/// sum + dot of four bytes per lane with lane kLane of every 16 bytes of x.
template <QuadDot kDot, size_t kLane, class V>
HWY_INLINE hn::Vec<SumTag> DotLane([[maybe_unused]] V w, [[maybe_unused]] hn::Vec<QuadTag> x,
                                   hn::Vec<SumTag> sum) {
#if HWY_ARCH_ARM_A64 && (HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE)
  if constexpr (kDot == QuadDot::kUsdot) {
    return Instruction<CodeOfLane(0x4F80F000, 0x44A01800, kLane)>(sum, w, x);
  } else {
#if HWY_TARGET_IS_SVE
    return svdot_lane_s32(sum, svreinterpret_s8_u8(w), x, kLane);
#else
    return Instruction<CodeOfLane(0x4F80E000, 0, kLane)>(sum, w, x);  // sdot
#endif
  }
#else
  static_assert(sizeof(V) == 0, "nibble: Arm only");
  return sum;
#endif
}

/// The same of two bf16 per lane (bfdot).
template <FloatDot kDot, size_t kLane, class V>
HWY_INLINE hn::Vec<LaneTag> DotLane([[maybe_unused]] V w, [[maybe_unused]] hn::Vec<QuadTag> x,
                                    hn::Vec<LaneTag> sum) {
#if HWY_ARCH_ARM_A64 && (HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE)
  return Instruction<CodeOfLane(0x4F40F000, 0x64604000, kLane)>(sum, w, x);
#else
  static_assert(sizeof(V) == 0, "nibble: Arm only");
  return sum;
#endif
}

/// sum + 2 x 2 products of 8 levels with 8 activations (usmmla).
template <class V>
HWY_INLINE hn::Vec<SumTag> DotBlock([[maybe_unused]] V w, [[maybe_unused]] hn::Vec<QuadTag> x,
                                    hn::Vec<SumTag> sum) {
#if HWY_ARCH_ARM_A64 && (HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE)
  return Instruction < HWY_TARGET_IS_NEON ? 0x4E80AC00 : 0x45809800 > (sum, w, x);
#else
  static_assert(sizeof(V) == 0, "nibble: Arm only");
  return sum;
#endif
}

/// The same of 4 bf16 each (bfmmla).
template <class V>
HWY_INLINE hn::Vec<LaneTag> DotBlock([[maybe_unused]] V w, [[maybe_unused]] hn::Vec<QuadTag> x,
                                     hn::Vec<LaneTag> sum) {
#if HWY_ARCH_ARM_A64 && (HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE)
  return Instruction < HWY_TARGET_IS_NEON ? 0x6E40EC00 : 0x6460E400 > (sum, w, x);
#else
  static_assert(sizeof(V) == 0, "nibble: Arm only");
  return sum;
#endif
}

/// minus_bias * x_sum of two rows, as blocks: any column starts so.
HWY_INLINE hn::Vec<SumTag> StartBlock(int32_t minus_bias, int32_t x_sum0, int32_t x_sum1) {
  const auto start = [&](int32_t x_sum) { return static_cast<uint32_t>(minus_bias * x_sum); };
  const hn::Repartition<uint64_t, LaneTag> d;
  return hn::BitCast(SumTag(), hn::Set(d, uint64_t{start(x_sum1)} << 32 | uint64_t{start(x_sum0)}));
}

/// Whether blocks can be zipped: on SVE that takes whole registers, so all lanes must be in use
/// (vectors of 128, 256 or 512 bits).
HWY_INLINE bool HasWholeRegisters() {
#if HWY_TARGET_IS_SVE
  return svcntw() == hn::Lanes(LaneTag());
#else
  return true;
#endif
}

/// Those of `wanted` that this target's kernels may use.
HWY_INLINE extension AvailableExtensions(extension wanted) {
#if HWY_TARGET_IS_SVE
  return HasWholeRegisters() ? detail::available_sve_extensions(wanted) : extension::none;
#else
  return detail::available_extensions(wanted);
#endif
}

/// What multiplies levels: the best of these extensions, or none.
HWY_INLINE extension DotExtension(extension more) {
  if (kHasVnniExtension && has(more, extension::avx_vnni)) return extension::avx_vnni;
  const bool has_sdot = !kHasSdotExtension || has(more, extension::arm_dotprod);
  if (kHasMatrixExtension && has_sdot && has(more, extension::arm_i8mm)) return extension::arm_i8mm;
  return kHasSdotExtension && has_sdot ? extension::arm_dotprod : extension::none;
}

/// 32-bit lanes of a and b in turns: two vectors, the first (kHalf 0) or the second.
template <size_t kHalf, class D>
HWY_INLINE hn::Vec<D> Zipped(D d, hn::Vec<D> a, hn::Vec<D> b) {
  const hn::RebindToUnsigned<LaneTag> du;
  const auto ua = hn::BitCast(du, a);
  const auto ub = hn::BitCast(du, b);
#if HWY_TARGET_IS_SVE
  return hn::BitCast(d, kHalf == 0 ? svzip1_u32(ua, ub) : svzip2_u32(ua, ub));
#else
  return hn::BitCast(
      d, kHalf == 0 ? hn::InterleaveLower(du, ua, ub) : hn::InterleaveUpper(du, ua, ub));
#endif
}
/// Lanes 0, 2, 4 ... of a, then of b; or 1, 3, 5 ...: what undoes Zipped.
template <size_t kHalf, class D>
HWY_INLINE hn::Vec<D> Unzipped(D d, hn::Vec<D> a, hn::Vec<D> b) {
  const hn::RebindToUnsigned<LaneTag> du;
  const auto ua = hn::BitCast(du, a);
  const auto ub = hn::BitCast(du, b);
#if HWY_TARGET_IS_SVE
  return hn::BitCast(d, kHalf == 0 ? svuzp1_u32(ua, ub) : svuzp2_u32(ua, ub));
#else
  return hn::BitCast(d, kHalf == 0 ? hn::ConcatEven(du, ub, ua) : hn::ConcatOdd(du, ub, ua));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
