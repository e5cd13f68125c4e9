// SPDX-License-Identifier: Apache-2.0 OR MIT
// Micro-kernels: mr rows of x times nv vectors of rows of w, from decoded scratch. They know no
// format. A lane of an accumulator is one output, so nothing is ever summed across lanes:
//
//            w  [k / 4][16 rows][4]          acc[m][v] += dot4(w[v], broadcast x[m])
//   x [m]    4 bytes of k, broadcast
//
//   integer  u8 levels x s8 activations -> int32 per segment, then
//              t = float(sum);  c = c + t * (scale * x_scale)       two roundings, in k order
//   floats   f32 x f32, or pairs of bf16, fused multiply-adds
//
// Loads per vector of w: 1, and mr broadcasts for mr * nv products. AVX-512 8 x 2: 10 loads, 16
// products per step, bound by the multipliers; 1 x 4: bound by reading w.
#if defined(NIBBLE_KERNEL_GEMM_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_TILES_INL_H_
#undef NIBBLE_KERNEL_GEMM_TILES_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_TILES_INL_H_
#endif

#include "nibble/kernel/gemm_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Tiles: kTileRows x 2 vectors, what 32 or 16 registers hold; what is left over, 1 x 4. (Rows left
/// over are few or read w from the first cache, where 1 x 4 runs at 0.8 of the multipliers.) A
/// panel of 16 rows is one vector at least, so with the longest vectors an odd panel is left, too.
inline constexpr size_t kTileRows = kIsArm64 || hn::MaxLanes(LaneTag()) == 16 ? 8 : 4;
inline constexpr size_t kLeastVectors = hn::MaxLanes(LaneTag()) == 16 ? 1 : 2;

/// Panels that one task decodes and multiplies at a time.
inline constexpr size_t kGroupPanels = 4;
inline constexpr size_t kGroupColumns = kGroupPanels * panel_rows;

/// A tile of the integer path. Columns are lanes of w; a column block has whole panels.
struct IntTileArgs {
  const uint8_t* w;     ///< levels at the first quad and the first column
  size_t w_stride;      ///< bytes from panel to panel
  const float* scales;  ///< [segment][16] at the first segment
  const float* shifts;
  size_t factor_stride;         ///< floats from panel to panel
  const int32_t* level_sums;    ///< [segment][16], sums of levels, for activations with zero points
  const uint8_t* const* x;      ///< rows at the first quad; by block: pairs of rows
  const float* const* x_scale;  ///< rows at the first segment
  const int32_t* const* x_sum;
  const int32_t* x_zero;  ///< [rows], or null
  size_t num_segments;
  size_t segment_quads;  ///< in this chunk
  int32_t bias;
  detail::shift_use shift;
  bool first;  ///< the chunk begins its segment,
  bool last;   ///< and ends it; else sums continue in `partial`
  bool kept;   ///< it ends it all the same, and int32 sums are wanted
  float* c;    ///< [rows][kGroupColumns]
  int32_t* partial;
};

template <QuadDot kDot, bool kFloatShift, size_t kRows, size_t kVectors>
HWY_NOINLINE void IntTile(const IntTileArgs& args, size_t row, size_t column) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  const size_t N = hn::Lanes(df);
  const IntTileArgs a = args;  // stores to c cannot change a copy
  using At = Places<kVectors>;
  const At at(column);
  const uint8_t* w[At::count];
  size_t factor[At::count];
  for (size_t i = 0; i < At::count; ++i) {
    w[i] = a.w + at.panel[i] * a.w_stride + at.lane[i] * 4;
    factor[i] = at.panel[i] * a.factor_stride + at.lane[i];
  }
  const uint8_t* x[kRows];
  const float* HWY_RESTRICT x_scale[kRows];
  const int32_t* HWY_RESTRICT x_sum[kRows];
  for (size_t m = 0; m < kRows; ++m) {
    x[m] = a.x[row + m];
    x_scale[m] = a.x_scale[row + m];
    x_sum[m] = a.x_sum[row + m];
  }
  float* HWY_RESTRICT c = a.c + row * kGroupColumns + column;
  int32_t* HWY_RESTRICT partial = a.partial + row * kGroupColumns + column;
  const auto bias = hn::Set(di, -a.bias);
  const bool are_blocks =
      IsByBlock(kDot) && a.first && a.x_zero == nullptr && a.shift != detail::shift_use::zero_int;

  for (size_t s = 0; s < a.num_segments; ++s) {
    const auto start = [&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      constexpr size_t m = i / kVectors;
      constexpr size_t v = i % kVectors;
      if constexpr (IsByBlock(kDot)) {
        if (are_blocks) return StartBlock(-a.bias, x_sum[m & ~size_t{1}][s], x_sum[m | 1][s]);
      }
      return StartSegment(bias, a.shifts + factor[At::of(v)] + At::behind(v) + s * panel_rows,
                          a.shift, x_sum[m][s]);
    };
    WithVectors<kRows * kVectors>(start, [&](auto&... acc) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if (HWY_UNLIKELY(!a.first)) {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          Pick<i>(acc...) =
              hn::LoadU(di, partial + (i / kVectors) * kGroupColumns + (i % kVectors) * N);
        });
      }
      if (HWY_UNLIKELY(a.x_zero != nullptr)) {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          constexpr size_t v = i % kVectors;
          const auto levels =
              hn::LoadU(di, a.level_sums + factor[At::of(v)] + At::behind(v) + s * panel_rows);
          auto& sum = Pick<i>(acc...);
          sum = hn::Sub(sum, hn::Mul(levels, hn::Set(di, a.x_zero[row + i / kVectors])));
        });
      }
      MultiplyQuads<kDot, kRows, kVectors>(w, x, a.segment_quads, are_blocks, acc...);
      if (HWY_UNLIKELY(!a.last)) {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          hn::StoreU(Pick<i>(acc...), di,
                     partial + (i / kVectors) * kGroupColumns + (i % kVectors) * N);
        });
        return;
      }
      const auto scale_of = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        return hn::LoadU(df, a.scales + factor[At::of(v)] + At::behind(v) + s * panel_rows);
      };
      const auto finish = [&](auto&... scale) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          constexpr size_t m = i / kVectors;
          constexpr size_t v = i % kVectors;
          float* HWY_RESTRICT to = c + m * kGroupColumns + v * N;
          hn::StoreU(FinishSegment<kFloatShift>(
                         Pick<i>(acc...), Pick<v>(scale...),
                         a.shifts + factor[At::of(v)] + At::behind(v) + s * panel_rows, a.shift,
                         x_scale[m][s], x_sum[m][s], hn::LoadU(df, to)),
                     df, to);
        });
      };
      WithVectors<kVectors>(scale_of, finish);
    });
    for (size_t i = 0; i < At::count; ++i) w[i] += a.segment_quads * 64;
    for (size_t m = 0; m < kRows; ++m) x[m] += a.segment_quads * (IsByBlock(kDot) ? 8 : 4);
  }
}

/// A tile of the float paths.
struct FloatTileArgs {
  const void* w;    ///< [k][16] f32 or [k / 2][16][2] bf16
  size_t w_stride;  ///< bytes from panel to panel
  const void* const* x;
  size_t num_steps;  ///< vectors of w: k, or k / 2
  float* c;          ///< [rows][kGroupColumns], added to
};

template <FloatDot kDot, size_t kRows, size_t kVectors>
HWY_NOINLINE void FloatTile(const FloatTileArgs& a, size_t row, size_t column) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  using At = Places<kVectors>;
  const At at(column);
  const uint8_t* w[At::count];
  for (size_t i = 0; i < At::count; ++i) {
    w[i] = static_cast<const uint8_t*>(a.w) + at.panel[i] * a.w_stride + at.lane[i] * 4;
  }
  const uint8_t* x[kRows];
  for (size_t m = 0; m < kRows; ++m) x[m] = static_cast<const uint8_t*>(a.x[row + m]);
  float* HWY_RESTRICT c = a.c + row * kGroupColumns + column;
  const auto start = [&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    return hn::LoadU(df, c + (i / kVectors) * kGroupColumns + (i % kVectors) * N);
  };
  WithVectors<kRows * kVectors>(start, [&](auto&... acc) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    MultiplyFloatSteps<kDot, kRows, kVectors>(w, x, a.num_steps, acc...);
    Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      hn::StoreU(Pick<i>(acc...), df, c + (i / kVectors) * kGroupColumns + (i % kVectors) * N);
    });
  });
}

/// Calls fn.operator()<rows, vectors>(first row, first column) for the tiles of rows x columns.
template <class Fn>
HWY_INLINE void ForEachTile(size_t rows, size_t columns, const Fn& fn) {
  const size_t N = hn::Lanes(LaneTag());
  size_t column = 0;
  const size_t whole = rows / kTileRows * kTileRows;
  for (; whole != 0 && column + 2 * N <= columns; column += 2 * N) {
    for (size_t m = 0; m < whole; m += kTileRows) fn.template operator()<kTileRows, 2>(m, column);
  }
  if constexpr (kLeastVectors == 1) {
    for (; whole != 0 && column < columns; column += N) {
      for (size_t m = 0; m < whole; m += kTileRows) fn.template operator()<kTileRows, 1>(m, column);
    }
  }
  column = 0;
  for (; column + 4 * N <= columns; column += 4 * N) {
    for (size_t m = whole; m < rows; ++m) fn.template operator()<1, 4>(m, column);
  }
  for (; column < columns; column += kLeastVectors * N) {
    for (size_t m = whole; m < rows; ++m) fn.template operator()<1, kLeastVectors>(m, column);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
