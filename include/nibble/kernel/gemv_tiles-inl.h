// SPDX-License-Identifier: Apache-2.0 OR MIT
// One row of x: strips are decoded in registers and multiplied at once, nothing passes through
// scratch. The sums are those of gemm_tiles-inl.h, in the same order: the same bits.
//
// int4, 4 panels, per 1 KiB of codes: 16 loads, 48 operations to part nibbles, 32 vpdpbusd, 8
// broadcasts; 3-4 operations more per panel and segment. Bound by memory.
#if defined(NIBBLE_KERNEL_GEMV_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMV_TILES_INL_H_
#undef NIBBLE_KERNEL_GEMV_TILES_INL_H_
#else
#define NIBBLE_KERNEL_GEMV_TILES_INL_H_
#endif

#include "nibble/kernel/gemm_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Arguments as for IntTile, but a.w are packed codes and a.w_stride the bytes of a panel. Whole
/// segments only.
template <class Codec, bool kNarrow, bool kFloatShift, size_t kVectors>
HWY_NOINLINE void IntGemvTile(const IntTileArgs& args, const uint8_t* HWY_RESTRICT levels,
                              size_t column) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  const size_t N = hn::Lanes(df);
  const IntTileArgs a = args;
  constexpr size_t kStrip = detail::strip_bytes(Codec::bits);
  const uint8_t* HWY_RESTRICT w[kVectors];
  size_t part[kVectors];
  size_t factor[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t panel = (column + v * N) / panel_rows;
    const size_t lane = (column + v * N) % panel_rows;
    w[v] = a.w + panel * a.w_stride;
    part[v] = lane * 4;
    factor[v] = panel * a.factor_stride + lane;
  }
  const int8_t* HWY_RESTRICT x = a.x[0];
  const float* HWY_RESTRICT x_scale = a.x_scale[0];
  const int32_t* HWY_RESTRICT x_sum = a.x_sum[0];
  float* HWY_RESTRICT c = a.c + column;
  const auto bias = hn::Set(di, -a.bias);
  const auto load_c = [&](auto v)
                          HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::LoadU(df, c + v * N); };
  WithVectors<kVectors>(load_c, [&](auto&... y) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    // One segment: quads first .. first + 4 * kHalves of each strip.
    const auto segment = [&](size_t s, size_t strips, auto first,
                             auto halves) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const auto start = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        auto zero = bias;
        if (a.shift == detail::shift_use::zero_int) {
          const auto shift = hn::LoadU(df, a.shifts + factor[v] + s * panel_rows);
          zero = hn::Sub(zero, hn::ConvertTo(di, shift));
        }
        return hn::Mul(zero, hn::Set(di, x_sum[s]));
      };
      WithVectors<kVectors>(start, [&](auto&... acc) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        for (size_t i = 0; i < strips; ++i) {
          if constexpr (first == 0) {
            for (size_t v = 0; v < kVectors; ++v) {
              if (part[v] != 0) continue;  // once per panel
              for (size_t line = 0; line < kStrip; line += 64) {
                hwy::Prefetch(w[v] + i * kStrip + line + kPrefetchBytes);
              }
            }
          }
          Unroll<4 * halves>([&](auto q) HWY_ATTR NIBBLE_INLINE_LAMBDA {
            constexpr size_t kQuad = 4 * first + q;
            const auto xq = BroadcastQuad(x + (i * 8 + q) * 4);
            Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
              const auto codes = QuadCodes<Codec::bits, kQuad>(w[v] + i * kStrip, part[v]);
              auto& sum = Pick<v>(acc...);
              sum = DotQuad<kNarrow>(LevelsOf<Codec>(codes, levels), xq, sum);
            });
          });
        }
        Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          const size_t at = factor[v] + s * panel_rows;
          auto& sum = Pick<v>(y...);
          sum = FinishSegment<kFloatShift>(Pick<v>(acc...), hn::LoadU(df, a.scales + at),
                                           a.shifts + at, a.shift, x_scale[s], x_sum[s], sum);
        });
      });
    };
    using Zero = std::integral_constant<size_t, 0>;
    using One = std::integral_constant<size_t, 1>;
    using Two = std::integral_constant<size_t, 2>;
    if (a.segment_quads == 4) {
      for (size_t s = 0; s < a.num_segments; s += 2) {
        segment(s, 1, Zero(), One());
        x += 16;
        segment(s + 1, 1, One(), One());
        x += 16;
        for (size_t v = 0; v < kVectors; ++v) w[v] += kStrip;
      }
    } else {
      const size_t strips = a.segment_quads / 8;
      for (size_t s = 0; s < a.num_segments; ++s) {
        segment(s, strips, Zero(), Two());
        x += strips * strip_cols;
        for (size_t v = 0; v < kVectors; ++v) w[v] += strips * kStrip;
      }
    }
    Unroll<kVectors>(
        [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA { hn::StoreU(Pick<v>(y...), df, c + v * N); });
  });
}

template <class Codec, bool kNarrow, bool kFloatShift>
HWY_NOINLINE void IntGemv(const IntTileArgs& a, const uint8_t* levels, size_t columns) {
  const size_t N = hn::Lanes(LaneTag());
  size_t column = 0;
  for (; column + 4 * N <= columns; column += 4 * N) {
    IntGemvTile<Codec, kNarrow, kFloatShift, 4>(a, levels, column);
  }
  for (; column < columns; column += kLeastVectors * N) {
    IntGemvTile<Codec, kNarrow, kFloatShift, kLeastVectors>(a, levels, column);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
