// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the driver of packed products calls: decoders and tiles of a packed kind, and its scratch.
#if defined(NIBBLE_KERNEL_GEMM_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_OPS_INL_H_
#undef NIBBLE_KERNEL_GEMM_OPS_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_OPS_INL_H_
#endif

#include "nibble/kernel/gemm_prepare-inl.h"
#include "nibble/kernel/gemv_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// All tiles of a chunk on the integer path.
template <QuadDot kDot, bool kFloatShift>
HWY_NOINLINE void IntTiles(const IntTileArgs& a, size_t rows, size_t columns) {
  ForEachTile(rows, columns, [&]<size_t kRows, size_t kVectors>(size_t m, size_t column) HWY_ATTR {
    IntTile<kRows == 1 ? OfOneRow(kDot) : kDot, kFloatShift, kRows, kVectors>(a, m, column);
  });
}

/// How levels are multiplied, by one sort of instruction.
struct LevelOps {
  void (*tiles)(const IntTileArgs&, size_t, size_t);
  void (*gemv)(const IntTileArgs&, const uint8_t*, size_t);
  int32_t flip;   ///< less than levels by this is what is multiplied
  bool by_block;  ///< tiles take x as pairs of rows
};

/// What the driver needs to know of a packed kind.
struct PackedOps {
  void (*levels)(const uint8_t*, size_t, const detail::codec_info&, uint8_t*);
  FloatDecoder floats;
  void (*column)(const uint8_t*, size_t, const detail::codec_info&, const float*, const float*,
                 float*);
  void (*scales)(const packed_data&, size_t, size_t, size_t, size_t, float*);
  void (*shifts)(const packed_data&, size_t, size_t, size_t, size_t, float*);
  LevelOps own;       ///< by the target's own instructions
  LevelOps extended;  ///< by AVX_VNNI or Arm's dotprod, where they are no part of the target
  LevelOps matrix;    ///< by Arm's i8mm
  void (*float_gemv)(const FloatGemvArgs&, size_t);  ///< null: through scratch
  size_t strip_bytes;
  detail::shift_use shift;
  bool narrow;  ///< levels stay below 128
  const char* decode;
  bool raw_levels;  ///< packed codes are levels: nothing to decode

  [[nodiscard]] const LevelOps& by(extension dot) const {
    return dot == extension::none ? own : dot == extension::arm_i8mm ? matrix : extended;
  }
};

template <class Codec, QuadDot kTiles, QuadDot kGemv, bool kFloatShift>
HWY_INLINE LevelOps LevelOpsOf() {
  static_assert(FlipOf(kTiles) == FlipOf(kGemv));
  return {&IntTiles<kTiles, kFloatShift>, &IntGemv<Codec, kGemv, kFloatShift>, FlipOf(kTiles),
          IsByBlock(kTiles)};
}

template <class Codec, detail::shift_use kShift, class Scale, class ShiftFactor>
HWY_INLINE PackedOps OpsOf(detail::packed_kind<Codec, kShift, Scale, ShiftFactor> /*kind*/) {
  PackedOps o{};
  if constexpr (Codec::has_levels) {
    o.levels = &DecodeLevels<Codec>;
    o.raw_levels = Codec::bits == 8;
    constexpr QuadDot kDot = QuadDotOf<Codec>();
    constexpr bool kFloatShift =
        kShift != detail::shift_use::none && kShift != detail::shift_use::zero_int;
    o.own = LevelOpsOf<Codec, kDot, kDot, kFloatShift>();
    // One row is bound by memory: kDot keeps up where there is AVX_VNNI.
    if constexpr (kHasVnniExtension) {
      o.extended = {&IntTiles<QuadDot::kExtension, kFloatShift>, o.own.gemv, 0, false};
    }
    if constexpr (kHasSdotExtension) {
      constexpr QuadDot kSdot = Codec::highest < 128 ? QuadDot::kSdot : QuadDot::kSdotFlip;
      o.extended = LevelOpsOf<Codec, kSdot, kSdot, kFloatShift>();
    }
    if constexpr (kHasMatrixExtension) {
      constexpr QuadDot kOneRow = Codec::highest < 128 ? QuadDot::kSdot : QuadDot::kUsdot;
      o.matrix = LevelOpsOf<Codec, QuadDot::kUsmmla, kOneRow, kFloatShift>();
    }
  }
  constexpr auto kUse = kShift == detail::shift_use::minimum ? detail::shift_use::offset : kShift;
  o.floats = &DecodeFloats<Codec, kUse>;
  o.column = &DecodeColumn<Codec, kUse>;
  if constexpr (kHasFloatGemv) o.float_gemv = &FloatGemv<Codec, kUse>;
  o.scales = &ReadFactor<Scale>;
  o.shifts = &ReadFactor<ShiftFactor, kShift == detail::shift_use::minimum>;
  o.strip_bytes = detail::strip_bytes(Codec::bits);
  o.shift = kUse;
  o.narrow = Codec::highest < 128;
  o.decode = DecodeName<Codec>();
  return o;
}

/// Rows of x that one task keeps sums of.
inline constexpr size_t kMaxTaskRows = 512;
/// Rows of x that are paired at a time (tiles by block), so that they stay in a near cache.
inline constexpr size_t kPairRows = 64;

/// Sizes and places of scratch.
struct GemmScratch {
  size_t most_rows;        ///< of a product of the call
  size_t groups;           ///< of panels, in all products
  size_t chunk_cols;       ///< columns of w decoded at a time
  size_t factor_segments;  ///< segments whose scales are read at a time
  size_t task_rows;
  size_t w_bytes;  ///< of one panel's decoded chunk
  size_t worker_bytes;
  bool keeps_sums;       ///< some matrix has int32 sums over all of k
  bool outlier_values;   ///< some matrix has single outliers
  size_t outlier_cols;   ///< columns multiplied in f32 at a time, or 0
  size_t across_floats;  ///< of a block of rows of x, turned, or 0
  size_t pair_bytes;     ///< of pairs of rows of x, or 0
};

/// Groups of panels of one matrix.
HWY_INLINE size_t NumGroups(const packed_shape& shape) {
  return (shape.num_panels + kGroupPanels - 1) / kGroupPanels;
}

/// Do codes of x have zero points? Those of uint8 do, as int8 is what is multiplied.
HWY_INLINE bool HasZeros(const activations& x) {
  return x.type == number_type::uint8 || x.zero_points != nullptr;
}

/// Floats of scratch in which a worker prepares a row of x.
HWY_INLINE size_t RowFloats(const packed_shape& shape) {
  return shape.packed_cols + shape.cols + 16;
}

struct WorkerScratch {
  uint8_t* w;
  float* scales;
  float* shifts;
  int32_t* level_sums;
  float* c;
  float* c_pair;
  int32_t* partial;
  int32_t* whole;  ///< sums over all of k, or nothing
  const void** x;
  const float** x_scale;
  const int32_t** x_sum;
  int32_t* x_zero;
  float* columns;        ///< [kGroupPanels][outlier_cols][16], outlier columns of w
  float* across;         ///< a block of rows of x, turned
  size_t* across_block;  ///< which
  uint8_t* pairs;        ///< some rows of x in pairs, for tiles by block
};

struct GemmRun {
  const detail::gemm_args& args;
  const detail::gemm_plan& plan;
  const PackedOps& ops;
  packed_shape shape;  ///< of the first matrix, with the call's segments; k is that of all
  KeptColumns kept;
  GemmScratch sizes;
  PreparedX x;
  uint8_t* workers;
  size_t row_blocks = 1;
  size_t singles_chunks = 0;  ///< of rows of w, in the pass for single outliers
  double work_ns = 0;         ///< about what the product takes on one thread
};

HWY_INLINE size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

template <class T>
HWY_INLINE T* TakeScratch(uint8_t*& at, size_t count) {
  T* const p = reinterpret_cast<T*>(at);
  at += RoundUp(count * sizeof(T), 64);
  return p;
}

/// Places of one worker's scratch; with at == nullptr the end is the size.
HWY_INLINE WorkerScratch PlaceWorker(const GemmRun& run, uint8_t*& at) {
  const GemmScratch& z = run.sizes;
  WorkerScratch s{};
  const size_t factors = kGroupPanels * z.factor_segments * panel_rows;
  const size_t sums = RoundUp(z.task_rows, 16) * kGroupColumns;  // tiles write whole ones
  s.w = TakeScratch<uint8_t>(at, kGroupPanels * z.w_bytes);
  s.scales = TakeScratch<float>(at, factors);
  s.shifts = TakeScratch<float>(at, factors);
  s.level_sums = TakeScratch<int32_t>(at, factors);
  s.c = TakeScratch<float>(at, sums);
  s.c_pair = TakeScratch<float>(at, sums);
  s.partial = TakeScratch<int32_t>(at, sums);
  s.whole = TakeScratch<int32_t>(at, z.keeps_sums ? sums : 0);
  s.x = TakeScratch<const void*>(at, z.task_rows);
  s.x_scale = TakeScratch<const float*>(at, z.task_rows);
  s.x_sum = TakeScratch<const int32_t*>(at, z.task_rows);
  s.x_zero = TakeScratch<int32_t>(at, z.task_rows);
  s.columns = TakeScratch<float>(at, kGroupPanels * z.outlier_cols * panel_rows);
  s.across = TakeScratch<float>(at, z.across_floats);
  s.across_block = TakeScratch<size_t>(at, 1);
  s.pairs = TakeScratch<uint8_t>(at, z.pair_bytes);
  return s;
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
