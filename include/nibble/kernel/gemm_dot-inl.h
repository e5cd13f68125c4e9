// SPDX-License-Identifier: Apache-2.0 OR MIT
// Dot products of one vector of decoded weights, the only part of a tile that differs between
// instruction sets.
//
//   u8 x s8, 4 k   AVX3_DL          vpdpbusd                                  1 operation
//                  narrow levels    maddubs (exact: 2 * 127 * 128 < 2^15),
//                                   madd with ones, add                       3
//                  8-bit levels     odd and even bytes as int16, 2 madd       6
//                  AVX_VNNI         vpdpbusd, on AVX2 CPUs that have it       1
//   bf16, 2 k      widened, 2 fused multiply-adds                             4
//                  AVX512_BF16      vdpbf16ps: denormals are 0, and its sums
//                                   may round otherwise                       1
//
// vpdpbusd does not saturate; neither do the others, so all give the same int32.
#if defined(NIBBLE_KERNEL_GEMM_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_DOT_INL_H_
#undef NIBBLE_KERNEL_GEMM_DOT_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_DOT_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "nibble/format/gemm_args.h"
#include "nibble/kernel/packed_decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using SumTag = hn::RebindToSigned<LaneTag>;
using QuadTag = hn::Repartition<int8_t, LaneTag>;

/// Four activations in every lane.
HWY_INLINE hn::Vec<QuadTag> BroadcastQuad(const int8_t* HWY_RESTRICT x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return hn::BitCast(QuadTag(), hn::Set(SumTag(), four));
}

/// How four bytes are multiplied. kNarrow: levels are below 128; kShort: below 32, so that sums of
/// four quads fit 16 bits; kExtension: by AVX_VNNI. gemm_lanes-inl.h has Arm's: kSdot (narrow
/// levels), kSdotFlip (any), kUsdot, and kUsmmla for pairs of rows.
enum class QuadDot { kAny, kNarrow, kShort, kExtension, kSdot, kSdotFlip, kUsdot, kUsmmla };

// Extensions are written as assembly, which needs no flags and no attributes, so the tiles around
// them are the target's own. Only these targets have them:
inline constexpr bool kIsArm64 = HWY_ARCH_ARM_A64 && (HWY_TARGET_IS_NEON || HWY_TARGET_IS_SVE);
inline constexpr bool kHasVnniExtension = HWY_TARGET == HWY_AVX2 && HWY_ARCH_X86_64;
inline constexpr bool kHasSdotExtension = kIsArm64 && HWY_TARGET_IS_NEON;
inline constexpr bool kHasMatrixExtension = kIsArm64;  // usdot and usmmla
inline constexpr bool kHasBf16Extension =
    (HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86_64) || kIsArm64;

/// By the target's own instructions.
template <class Codec>
constexpr QuadDot QuadDotOf() {
  [[maybe_unused]] constexpr bool kIsNarrow = Codec::highest < 128;
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3_DL
  return Codec::highest < 32 ? QuadDot::kShort : kIsNarrow ? QuadDot::kNarrow : QuadDot::kAny;
#elif HWY_TARGET_IS_SVE
  return kIsNarrow ? QuadDot::kSdot : QuadDot::kSdotFlip;
#elif HWY_TARGET_IS_NEON
  return kIsNarrow ? QuadDot::kNarrow : QuadDot::kAny;
#else
  return QuadDot::kAny;  // one instruction for all levels
#endif
}

/// What is taken from levels before they are multiplied, so that bytes are signed. Sums start with
/// as much less.
constexpr int32_t FlipOf(QuadDot dot) {
  return dot == QuadDot::kSdotFlip || (dot == QuadDot::kAny && HWY_TARGET_IS_NEON) ? 128 : 0;
}
template <QuadDot kDot>
HWY_INLINE LevelVec Flipped(LevelVec levels) {
  if constexpr (FlipOf(kDot) == 0) return levels;
  return hn::Xor(levels, hn::Set(LevelTag(), uint8_t{128}));
}

/// What floats are multiplied, and how. kBf16Extension: by AVX512_BF16 or Arm's bfdot; kBfmmla: the
/// same for pairs of rows. kRounded: f32 products that are rounded before they are added, the same
/// everywhere.
enum class FloatDot { kF32, kBf16, kBf16Extension, kBfmmla, kRounded };

/// sum + dot of 4 levels, flipped, with 4 activations per lane.
template <QuadDot kDot>
HWY_INLINE hn::Vec<SumTag> DotQuad(LevelVec levels, hn::Vec<QuadTag> x, hn::Vec<SumTag> sum) {
#if HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86
  return hn::SumOfMulQuadAccumulate(SumTag(), levels, x, sum);
#elif HWY_ARCH_X86
  const hn::Repartition<int16_t, LaneTag> d16;
  if constexpr (kDot == QuadDot::kExtension) {
    __asm__("%{vex%} vpdpbusd {%2, %1, %0|%0, %1, %2}"
            : "+x"(sum.raw)
            : "x"(levels.raw), "x"(x.raw));
    return sum;
  } else if constexpr (kDot == QuadDot::kNarrow || kDot == QuadDot::kShort) {
    const auto pairs = hn::SatWidenMulPairwiseAdd(d16, levels, x);
    return hn::Add(sum, hn::WidenMulPairwiseAdd(SumTag(), pairs, hn::Set(d16, int16_t{1})));
  } else {
    const hn::RebindToUnsigned<decltype(d16)> du16;
    const auto even =
        hn::BitCast(d16, hn::And(hn::BitCast(du16, levels), hn::Set(du16, uint16_t{255})));
    const auto odd = hn::BitCast(d16, hn::ShiftRight<8>(hn::BitCast(du16, levels)));
    const auto x16 = hn::BitCast(d16, x);
    const auto x_even = hn::ShiftRight<8>(hn::ShiftLeft<8>(x16));
    const auto x_odd = hn::ShiftRight<8>(x16);
    return hn::Add(sum, hn::Add(hn::WidenMulPairwiseAdd(SumTag(), even, x_even),
                                hn::WidenMulPairwiseAdd(SumTag(), odd, x_odd)));
  }
#elif HWY_TARGET_IS_NEON && HWY_ARCH_ARM_A64
  const int8x16_t w = vreinterpretq_s8_u8(levels.raw);
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x.raw));
  const int16x8_t high = vmull_high_s8(w, x.raw);
  if constexpr (kDot == QuadDot::kNarrow) {
    sum.raw = vpadalq_s16(sum.raw, vpaddq_s16(low, high));  // 2 * 127 * 128 < 2^15
  } else {
    sum.raw = vaddq_s32(sum.raw, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
  }
  return sum;
#elif HWY_TARGET_IS_NEON
  return hn::SumOfMulQuadAccumulate(SumTag(), hn::BitCast(QuadTag(), levels), x, sum);
#else
  return hn::SumOfMulQuadAccumulate(SumTag(), levels, x, sum);
#endif
}
/// Sums of pairs of products in 16 bits, and their pairs added to sum. Levels below 32: four quads
/// are at most 4 * 2 * 31 * 128 = 31744.
using PairTag = hn::Repartition<int16_t, LaneTag>;
HWY_INLINE hn::Vec<PairTag> DotPairs(LevelVec levels, hn::Vec<QuadTag> x) {
#if HWY_ARCH_X86
  return hn::SatWidenMulPairwiseAdd(PairTag(), levels, x);
#else
  static_cast<void>(levels);
  return hn::BitCast(PairTag(), x);  // never called
#endif
}
HWY_INLINE hn::Vec<SumTag> AddPairs(hn::Vec<PairTag> pairs, hn::Vec<SumTag> sum) {
  return hn::Add(sum, hn::WidenMulPairwiseAdd(SumTag(), pairs, hn::Set(PairTag(), int16_t{1})));
}

/// sum + dot of one f32 or two bf16 per lane with the same of x, broadcast.
template <FloatDot kDot>
HWY_INLINE hn::Vec<LaneTag> DotFloat(LevelVec w, const uint8_t* HWY_RESTRICT x,
                                     hn::Vec<LaneTag> sum) {
  const LaneTag df;
  if constexpr (kDot == FloatDot::kF32 || kDot == FloatDot::kRounded) {
    float one;
    std::memcpy(&one, x, 4);
    const auto a = hn::BitCast(df, w);
    const auto b = hn::Set(df, one);
    return kDot == FloatDot::kF32 ? hn::MulAdd(a, b, sum) : MulThenAdd(a, b, sum);
#if HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86_64
  } else if constexpr (kDot == FloatDot::kBf16Extension) {
    uint32_t two;
    std::memcpy(&two, x, 4);
    const auto pair = hn::Set(hn::RebindToUnsigned<LaneTag>(), two);
    __asm__("vdpbf16ps {%2, %1, %0|%0, %1, %2}" : "+v"(sum.raw) : "v"(w.raw), "v"(pair.raw));
    return sum;
#endif
  } else {
    const hn::RebindToUnsigned<LaneTag> du;
    uint32_t two;
    std::memcpy(&two, x, 4);
    const auto pair = hn::BitCast(du, w);
    const auto low = hn::BitCast(df, hn::ShiftLeft<16>(pair));
    const auto high = hn::BitCast(df, hn::And(pair, hn::Set(du, 0xFFFF0000u)));
    const auto x_low = hn::BitCast(df, hn::Set(du, two << 16));
    const auto x_high = hn::BitCast(df, hn::Set(du, two & 0xFFFF0000u));
    return hn::MulAdd(high, x_high, hn::MulAdd(low, x_low, sum));
  }
}

/// What DotQuad and DotFloat come to, for explain().
HWY_INLINE const char* KernelName(const detail::gemm_plan& plan, bool narrow) {
  static_cast<void>(narrow);
  if (plan.path == compute_path::exact) return "f32 multiply-add";
  if (plan.path == compute_path::bf16) {
    if (plan.amx) return "tdpbf16ps (AMX)";
    if (!plan.bf16_dot) return "bf16 widened, f32 multiply-add";
    return kIsArm64 ? "bfmmla, bfdot" : "vdpbf16ps";
  }
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
  return plan.amx ? "tdpbssd and tdpbsud (AMX)" : "vpdpbusd";
#elif HWY_ARCH_X86
  return plan.dot == extension::avx_vnni ? "vpdpbusd (AVX-VNNI)" : narrow ? "pmaddubsw" : "pmaddwd";
#elif HWY_ARCH_ARM_A64
  if (plan.dot == extension::arm_i8mm) return "usmmla, usdot";
  return HWY_TARGET_IS_SVE || plan.dot == extension::arm_dotprod ? "sdot" : "smull";
#else
  return "u8 x s8 dot product";
#endif
}

/// What a segment's sum starts with: -(bias + zero point) * x_sum, so that levels need no sign.
/// @param minus_bias  of the codec, in every lane
HWY_INLINE hn::Vec<SumTag> StartSegment(hn::Vec<SumTag> minus_bias,
                                        const float* HWY_RESTRICT shifts, detail::shift_use use,
                                        int32_t x_sum) {
  const SumTag di;
  if (use == detail::shift_use::zero_int) {
    minus_bias = hn::Sub(minus_bias, hn::ConvertTo(di, hn::LoadU(LaneTag(), shifts)));
  }
  return hn::Mul(minus_bias, hn::Set(di, x_sum));
}

/// c += scaled sum of a segment: the definition of the integer path, rounding by rounding.
///
///   t = float(sum)            zero_float: t = t - shift * float(x_sum)
///   c = c + t * (scale * x_scale)
///   offset: c = c + shift * (x_scale * float(x_sum))
/// kFloatShift: zero_float or offset, which of them `use` says.
template <bool kFloatShift>
HWY_INLINE hn::Vec<LaneTag> FinishSegment(hn::Vec<SumTag> sum, hn::Vec<LaneTag> scale,
                                          const float* HWY_RESTRICT shifts, detail::shift_use use,
                                          float x_scale, int32_t x_sum, hn::Vec<LaneTag> c) {
  const LaneTag df;
  auto t = hn::ConvertTo(df, sum);
  const auto x_scale_v = hn::Set(df, x_scale);
  const auto factor = Rounded(hn::Mul(scale, x_scale_v));
  if constexpr (!kFloatShift) {
    return MulThenAdd(t, factor, c);
  } else {
    const auto x_sum_f = hn::ConvertTo(df, hn::Set(SumTag(), x_sum));
    const auto shift = hn::LoadU(df, shifts);
    if (use == detail::shift_use::zero_float) {
      t = hn::Sub(t, Rounded(hn::Mul(shift, x_sum_f)));
      return MulThenAdd(t, factor, c);
    }
    return MulThenAdd(shift, Rounded(hn::Mul(x_scale_v, x_sum_f)), MulThenAdd(t, factor, c));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
