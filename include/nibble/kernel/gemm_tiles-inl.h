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

#include <cstring>

#include "nibble/kernel/gemm_dot-inl.h"
#include "nibble/kernel/packed_decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Argument number kIndex.
template <size_t kIndex, class First, class... Rest>
HWY_INLINE auto& Pick(First& first, Rest&... rest) {
  if constexpr (kIndex == 0) {
    return first;
  } else {
    return Pick<kIndex - 1>(rest...);
  }
}

/// Calls fn(v0, .. v[kCount - 1]) with vectors init(i): a register file that needs no array, which
/// scalable vectors could not be kept in.
template <size_t kCount, class Init, class Fn, class... V>
HWY_INLINE void WithVectors(const Init& init, const Fn& fn, V&... v) {
  if constexpr (sizeof...(V) == kCount) {
    fn(v...);
  } else {
    auto next = init(std::integral_constant<size_t, sizeof...(V)>());
    WithVectors<kCount>(init, fn, v..., next);
  }
}

/// Tiles: kTileRows x 2 vectors, what 32 or 16 registers hold; what is left over, 1 x 4. (Rows left
/// over are few or read w from the first cache, where 1 x 4 runs at 0.8 of the multipliers.) A
/// panel of 16 rows is one vector at least, so with the longest vectors an odd panel is left, too.
inline constexpr size_t kTileRows = HWY_TARGET_IS_NEON || hn::MaxLanes(LaneTag()) == 16 ? 8 : 4;
inline constexpr size_t kLeastVectors = hn::MaxLanes(LaneTag()) == 16 ? 1 : 2;

/// A tile of the integer path. Columns are lanes of w; a column block has whole panels.
struct IntTileArgs {
  const uint8_t* w;     ///< levels at the first quad and the first column
  size_t w_stride;      ///< bytes from panel to panel
  const float* scales;  ///< [segment][16] at the first segment
  const float* shifts;
  size_t factor_stride;         ///< floats from panel to panel
  const int32_t* level_sums;    ///< [segment][16], sums of levels, for activations with zero points
  const int8_t* const* x;       ///< rows at the first quad
  const float* const* x_scale;  ///< rows at the first segment
  const int32_t* const* x_sum;
  const int32_t* x_zero;  ///< [rows], or null
  size_t num_segments;
  size_t segment_quads;  ///< in this chunk
  int32_t bias;
  detail::shift_use shift;
  bool first;  ///< the chunk begins its segment,
  bool last;   ///< and ends it; else sums continue in `partial`
  float* c;    ///< [rows][c_stride]
  int32_t* partial;
  size_t c_stride;
};

/// sums[m][v] += levels w[v] * x[m] over `quads` quads.
template <QuadDot kDot, size_t kRows, size_t kVectors, class... V>
HWY_INLINE void MultiplyQuads(const uint8_t* const* w, const int8_t* const* x, size_t quads,
                              V&... sums) {
  const LevelTag du8;
  const auto multiply = [&](size_t q, auto&& add) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const auto load = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      // Packed codes that are levels come from memory: fetched ahead where used once.
      if constexpr (kRows == 1) hwy::Prefetch(w[v] + q * 64 + kPrefetchBytes);
      return hn::LoadU(du8, w[v] + q * 64);
    };
    const auto rows = [&](auto&... levels) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      Unroll<kRows>([&](auto m) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        const auto xq = BroadcastQuad(x[m] + q * 4);
        Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          add(std::integral_constant<size_t, m * kVectors + v>(), Pick<v>(levels...), xq);
        });
      });
    };
    WithVectors<kVectors>(load, rows);
  };
  if constexpr (kDot == QuadDot::kShort) {
    const auto zero = [&](auto /*i*/) HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::Zero(PairTag()); };
    const auto four = [&](size_t q, auto&... pairs) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const auto add = [&](auto i, auto levels, auto xq) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Pick<i>(pairs...) = hn::Add(Pick<i>(pairs...), DotPairs(levels, xq));
      };
      for (size_t j = 0; j < 4; ++j) multiply(q + j, add);
      Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Pick<i>(sums...) = AddPairs(Pick<i>(pairs...), Pick<i>(sums...));
      });
    };
    for (size_t q = 0; q < quads; q += 4) {
      const auto run = [&](auto&... pairs) HWY_ATTR NIBBLE_INLINE_LAMBDA { four(q, pairs...); };
      WithVectors<kRows * kVectors>(zero, run);
    }
  } else {
    const auto add = [&](auto i, auto levels, auto xq) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      Pick<i>(sums...) = DotQuad<kDot>(levels, xq, Pick<i>(sums...));
    };
    for (size_t q = 0; q < quads; ++q) multiply(q, add);
  }
}

template <QuadDot kDot, bool kFloatShift, size_t kRows, size_t kVectors>
HWY_NOINLINE void IntTile(const IntTileArgs& args, size_t row, size_t column) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  const size_t N = hn::Lanes(df);
  const IntTileArgs a = args;  // stores to c cannot change a copy
  const uint8_t* w[kVectors];
  size_t factor[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t panel = (column + v * N) / panel_rows;
    const size_t lane = (column + v * N) % panel_rows;
    w[v] = a.w + panel * a.w_stride + lane * 4;
    factor[v] = panel * a.factor_stride + lane;
  }
  const int8_t* x[kRows];
  const float* HWY_RESTRICT x_scale[kRows];
  const int32_t* HWY_RESTRICT x_sum[kRows];
  for (size_t m = 0; m < kRows; ++m) {
    x[m] = a.x[row + m];
    x_scale[m] = a.x_scale[row + m];
    x_sum[m] = a.x_sum[row + m];
  }
  float* HWY_RESTRICT c = a.c + row * a.c_stride + column;
  int32_t* HWY_RESTRICT partial = a.partial + row * a.c_stride + column;
  const auto bias = hn::Set(di, -a.bias);

  for (size_t s = 0; s < a.num_segments; ++s) {
    const auto start = [&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      constexpr size_t m = i / kVectors;
      constexpr size_t v = i % kVectors;
      return StartSegment(bias, a.shifts + factor[v] + s * panel_rows, a.shift, x_sum[m][s]);
    };
    WithVectors<kRows * kVectors>(start, [&](auto&... acc) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if (HWY_UNLIKELY(!a.first)) {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          Pick<i>(acc...) =
              hn::LoadU(di, partial + (i / kVectors) * a.c_stride + (i % kVectors) * N);
        });
      }
      if (HWY_UNLIKELY(a.x_zero != nullptr)) {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          const auto levels = hn::LoadU(di, a.level_sums + factor[i % kVectors] + s * panel_rows);
          auto& sum = Pick<i>(acc...);
          sum = hn::Sub(sum, hn::Mul(levels, hn::Set(di, a.x_zero[row + i / kVectors])));
        });
      }
      MultiplyQuads<kDot, kRows, kVectors>(w, x, a.segment_quads, acc...);
      if (HWY_UNLIKELY(!a.last)) {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          hn::StoreU(Pick<i>(acc...), di,
                     partial + (i / kVectors) * a.c_stride + (i % kVectors) * N);
        });
        return;
      }
      Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        const size_t at = factor[v] + s * panel_rows;
        const auto scale = hn::LoadU(df, a.scales + at);
        Unroll<kRows>([&](auto m) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          float* HWY_RESTRICT to = c + m * a.c_stride + v * N;
          hn::StoreU(
              FinishSegment<kFloatShift>(Pick<m * kVectors + v>(acc...), scale, a.shifts + at,
                                         a.shift, x_scale[m][s], x_sum[m][s], hn::LoadU(df, to)),
              df, to);
        });
      });
    });
    for (size_t v = 0; v < kVectors; ++v) w[v] += a.segment_quads * 64;
    for (size_t m = 0; m < kRows; ++m) x[m] += a.segment_quads * 4;
  }
}

/// A tile of the float paths.
struct FloatTileArgs {
  const void* w;    ///< [k][16] f32 or [k / 2][16][2] bf16
  size_t w_stride;  ///< bytes from panel to panel
  const void* const* x;
  size_t num_steps;  ///< vectors of w: k, or k / 2
  float* c;          ///< added to
  size_t c_stride;
};

template <FloatDot kDot, size_t kRows, size_t kVectors>
HWY_NOINLINE void FloatTile(const FloatTileArgs& a, size_t row, size_t column) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  const uint8_t* HWY_RESTRICT w[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t at = column + v * N;
    w[v] = static_cast<const uint8_t*>(a.w) + at / panel_rows * a.w_stride + at % panel_rows * 4;
  }
  const uint8_t* HWY_RESTRICT x[kRows];
  for (size_t m = 0; m < kRows; ++m) x[m] = static_cast<const uint8_t*>(a.x[row + m]);
  float* HWY_RESTRICT c = a.c + row * a.c_stride + column;
  const auto start = [&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    return hn::LoadU(df, c + (i / kVectors) * a.c_stride + (i % kVectors) * N);
  };
  WithVectors<kRows * kVectors>(start, [&](auto&... acc) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    for (size_t k = 0; k < a.num_steps; ++k) {
      const auto load = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        return hn::LoadU(LevelTag(), w[v] + k * 64);
      };
      WithVectors<kVectors>(load, [&](auto&... weights) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Unroll<kRows>([&](auto m) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
            auto& sum = Pick<m * kVectors + v>(acc...);
            sum = DotFloat<kDot>(Pick<v>(weights...), x[m] + k * 4, sum);
          });
        });
      });
    }
    Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      hn::StoreU(Pick<i>(acc...), df, c + (i / kVectors) * a.c_stride + (i % kVectors) * N);
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
