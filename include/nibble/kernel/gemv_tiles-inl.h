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

struct FloatGemvArgs {
  const uint8_t* w;  ///< packed codes at the first strip
  size_t w_stride;   ///< bytes from panel to panel
  size_t num_strips;
  const float* scales;  ///< [segment][16] at the segment of the first strip
  const float* shifts;
  size_t factor_stride;  ///< floats from panel to panel
  size_t segment_cols;
  size_t skip;  ///< columns of the first segment that lie before
  const detail::codec_info* info;
  const float* x;
  float* c;
};

/// Vectors of rows at a time. Few on SSE4, where four would be a third of libnibble's code for
/// packed products.
inline constexpr size_t kGemvVectors = HWY_TARGET == HWY_SSE4 ? kLeastVectors : 4;

/// Where one f32 row is multiplied straight from codes. SSE4 and AVX-512 without VNNI go through
/// scratch, which saves libnibble most of a megabyte.
inline constexpr bool kHasFloatGemv =
    !HWY_ARCH_X86 || HWY_TARGET == HWY_AVX2 || HWY_TARGET <= HWY_AVX3_DL;

/// Calls fn.operator()<vectors>(first column) for the tiles of one row of x.
template <class Fn>
HWY_INLINE void ForEachGemvTile(size_t columns, const Fn& fn) {
  const size_t N = hn::Lanes(LaneTag());
  size_t column = 0;
  for (; column + kGemvVectors * N <= columns; column += kGemvVectors * N) {
    fn.template operator()<kGemvVectors>(column);
  }
  for (; column < columns; column += kLeastVectors * N) {
    fn.template operator()<kLeastVectors>(column);
  }
}

/// sums += levels * x over `strips` strips, quads 4 kFirst .. + 4 kHalves of each.
template <class Codec, QuadDot kDot, size_t kFirst, size_t kHalves, class... V>
HWY_INLINE void AddStrips(const uint8_t* const* w, const size_t* part, size_t strips,
                          const uint8_t* HWY_RESTRICT levels, const int8_t* HWY_RESTRICT x,
                          V&... sums) {
  constexpr size_t kStrip = detail::strip_bytes(Codec::bits);
  constexpr size_t kVectors = sizeof...(V);
  using At = Places<kVectors>;
  for (size_t i = 0; i < strips; ++i) {
    for (size_t p = 0; kFirst == 0 && p < At::count; ++p) {
      if (part[p] == 0) PrefetchStrip<kStrip>(w[p] + i * kStrip);  // once per panel
    }
    const auto levels_of = [&](auto v, auto q) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      constexpr size_t kPlace = At::of(v);
      return Flipped<kDot>(
          LevelsOf<Codec>(QuadCodes<Codec::bits, 4 * kFirst + q>(w[kPlace] + i * kStrip,
                                                                 part[kPlace] + At::behind(v) * 4),
                          levels));
    };
    if constexpr (IsByLane(kDot)) {
      const auto add = [&](auto&... xs) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Unroll<4 * kHalves * kVectors>([&](auto n) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          // Vector after vector, two quads of each: what shares a load lies together.
          constexpr std::integral_constant<size_t, n / 2 % kVectors> v;
          constexpr std::integral_constant<size_t, n / (2 * kVectors) * 2 + n % 2> q;
          auto& sum = Pick<v>(sums...);
          sum = DotLane<kDot, q % 4>(levels_of(v, q), Pick<q / 4>(xs...), sum);
        });
      };
      WithVectors<kHalves>(
          [&](auto half) HWY_ATTR NIBBLE_INLINE_LAMBDA { return LoadX16(x + i * 32 + half * 16); },
          add);
    } else if constexpr (kDot == QuadDot::kShort) {
      Unroll<kHalves * kVectors>([&](auto n) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        constexpr std::integral_constant<size_t, n % kVectors> v;
        const auto pairs = [&](auto j) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          constexpr std::integral_constant<size_t, 4 * (n / kVectors) + j> q;
          return DotPairs(levels_of(v, q), BroadcastQuad(x + (i * 8 + q) * 4));
        };
        using std::integral_constant;
        const auto low =
            hn::Add(pairs(integral_constant<size_t, 0>()), pairs(integral_constant<size_t, 1>()));
        const auto high =
            hn::Add(pairs(integral_constant<size_t, 2>()), pairs(integral_constant<size_t, 3>()));
        Pick<v>(sums...) = AddPairs(hn::Add(low, high), Pick<v>(sums...));
      });
    } else {
      Unroll<4 * kHalves>([&](auto q) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        const auto xq = BroadcastQuad(x + (i * 8 + q) * 4);
        Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          auto& sum = Pick<v>(sums...);
          sum = DotQuad<kDot>(levels_of(v, q), xq, sum);
        });
      });
    }
  }
}

/// Arguments as for IntTile, but a.w are packed codes and a.w_stride the bytes of a panel. Whole
/// segments only.
template <class Codec, QuadDot kDot, bool kFloatShift, size_t kVectors>
HWY_NOINLINE void IntGemvTile(const IntTileArgs& args, const uint8_t* HWY_RESTRICT levels,
                              size_t column) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  const size_t N = hn::Lanes(df);
  const IntTileArgs a = args;
  constexpr size_t kStrip = detail::strip_bytes(Codec::bits);
  using At = Places<kVectors>;
  const At at(column);
  const uint8_t* w[At::count];
  size_t part[At::count];
  size_t factor[At::count];
  for (size_t i = 0; i < At::count; ++i) {
    w[i] = a.w + at.panel[i] * a.w_stride;
    part[i] = at.lane[i] * 4;
    factor[i] = at.panel[i] * a.factor_stride + at.lane[i];
  }
  const int8_t* HWY_RESTRICT x = reinterpret_cast<const int8_t*>(a.x[0]);
  const float* HWY_RESTRICT x_scale = a.x_scale[0];
  const int32_t* HWY_RESTRICT x_sum = a.x_sum[0];
  float* HWY_RESTRICT c = a.c + column;
  const auto bias = hn::Set(di, -a.bias);
  size_t s = 0;
  const auto start = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const size_t f = factor[At::of(v)] + At::behind(v) + s * panel_rows;
    return StartSegment(bias, a.shifts + f, a.shift, x_sum[s]);
  };
  const auto finish = [&](auto v, auto sum, auto y) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const size_t f = factor[At::of(v)] + At::behind(v) + s * panel_rows;
    return FinishSegment<kFloatShift>(sum, hn::LoadU(df, a.scales + f), a.shifts + f, a.shift,
                                      x_scale[s], x_sum[s], y);
  };
  const auto advance = [&](size_t strips) {
    for (size_t i = 0; i < At::count; ++i) w[i] += strips * kStrip;
  };
  const auto run = [&](auto&... y) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    // One segment, from half `first` of its strips.
    const auto segment = [&](size_t strips, auto first, auto halves) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const auto add = [&](auto&... acc) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        AddStrips<Codec, kDot, first, halves>(w, part, strips, levels, x, acc...);
        Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          Pick<v>(y...) = finish(v, Pick<v>(acc...), Pick<v>(y...));
        });
      };
      WithVectors<kVectors>(start, add);
      ++s;
      x += strips * 16 * halves;
    };
    using Zero = std::integral_constant<size_t, 0>;
    using One = std::integral_constant<size_t, 1>;
    using Two = std::integral_constant<size_t, 2>;
    const size_t strips = a.segment_quads / 8;
    while (s < a.num_segments) {
      if (a.segment_quads == 4) {  // two segments per strip
        segment(1, Zero(), One());
        segment(1, One(), One());
        advance(1);
      } else {
        segment(strips, Zero(), Two());
        advance(strips);
      }
    }
    Unroll<kVectors>(
        [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA { hn::StoreU(Pick<v>(y...), df, c + v * N); });
  };
  const auto load_c = [&](auto v)
                          HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::LoadU(df, c + v * N); };
  WithVectors<kVectors>(load_c, run);
}

template <class Codec, QuadDot kDot, bool kFloatShift>
HWY_NOINLINE void IntGemv(const IntTileArgs& a, const uint8_t* levels, size_t columns) {
  ForEachGemvTile(columns, [&]<size_t kVectors>(size_t column) HWY_ATTR {
    IntGemvTile<Codec, kDot, kFloatShift, kVectors>(a, levels, column);
  });
}

/// sum += values * x over columns 4 kQuad .. + 4 of a strip, in order.
template <class Codec, detail::shift_use kShift, size_t kQuad, class V>
HWY_INLINE void AddColumns(const uint8_t* HWY_RESTRICT strip, size_t part,
                           const detail::codec_info& info, V scale, V shift,
                           const float* HWY_RESTRICT x, V& sum) {
  const LaneTag df;
  const auto add = [&](size_t k, auto a, auto b) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const auto w0 = Scaled<kShift>(a, scale, shift);
    const auto w1 = Scaled<kShift>(b, scale, shift);
    sum = hn::MulAdd(w0, hn::Set(df, x[k]), sum);
    sum = hn::MulAdd(w1, hn::Set(df, x[k + 1]), sum);
  };
  ColumnValues<Codec, kQuad>(strip, part, info, add);
}

/// sums += values * x over half a strip of as many panels (or parts of them) as there are sums: in
/// turn, four columns each, so that there are as many chains of multiply-adds.
template <class Codec, detail::shift_use kShift, size_t kHalf, class... V>
HWY_INLINE void AddHalfStrip(const uint8_t* const* w, const size_t* part,
                             const float* const* scales, const float* const* shifts,
                             const detail::codec_info& info, const float* HWY_RESTRICT x,
                             V&... sums) {
  const LaneTag df;
  const auto load = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::LoadU(df, scales[v]); };
  const auto add = [&](auto&... scale) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    Unroll<4 * sizeof...(V)>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      constexpr size_t v = i % sizeof...(V);
      auto shift = hn::Zero(df);
      if constexpr (kShift != detail::shift_use::none) shift = hn::LoadU(df, shifts[v]);
      AddColumns<Codec, kShift, 4 * kHalf + i / sizeof...(V)>(
          w[v], part[v], info, Pick<v>(scale...), shift, x, Pick<v>(sums...));
    });
  };
  WithVectors<sizeof...(V)>(load, add);
}

/// The exact path with one row: c += w x over `num_strips` strips of packed codes, in k order.
template <class Codec, detail::shift_use kShift, size_t kVectors>
HWY_NOINLINE void FloatGemvTile(const FloatGemvArgs& args, size_t column) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  const FloatGemvArgs a = args;
  const detail::codec_info info = *args.info;
  constexpr size_t kStrip = detail::strip_bytes(Codec::bits);
  const uint8_t* w[kVectors];
  const float* scales[kVectors];
  const float* shifts[kVectors];
  size_t part[kVectors];
  const Places<kVectors> at(column);
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t panel = at.panel[at.of(v)];
    const size_t lane = at.lane[at.of(v)] + at.behind(v);
    w[v] = a.w + panel * a.w_stride;
    part[v] = lane * 4;
    scales[v] = a.scales + panel * a.factor_stride + lane;
    shifts[v] = a.shifts + panel * a.factor_stride + lane;
  }
  const float* HWY_RESTRICT x = a.x;
  float* HWY_RESTRICT c = a.c + column;
  size_t left = a.segment_cols - a.skip;
  const auto next = [&]() HWY_ATTR NIBBLE_INLINE_LAMBDA {
    left -= 16;
    if (left != 0) return;
    left = a.segment_cols;
    for (size_t v = 0; v < kVectors; ++v) {
      scales[v] += panel_rows;
      shifts[v] += panel_rows;
    }
  };
  const auto load_c = [&](auto v)
                          HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::LoadU(df, c + v * N); };
  const auto run = [&](auto&... y) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    for (size_t s = 0; s < a.num_strips; ++s, x += strip_cols) {
      for (size_t v = 0; v < kVectors; ++v) {
        if (part[v] == 0) PrefetchStrip<kStrip>(w[v]);  // once per panel
      }
      AddHalfStrip<Codec, kShift, 0>(w, part, scales, shifts, info, x, y...);
      next();
      AddHalfStrip<Codec, kShift, 1>(w, part, scales, shifts, info, x, y...);
      next();
      for (size_t v = 0; v < kVectors; ++v) w[v] += kStrip;
    }
    Unroll<kVectors>(
        [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA { hn::StoreU(Pick<v>(y...), df, c + v * N); });
  };
  WithVectors<kVectors>(load_c, run);
}

template <class Codec, detail::shift_use kShift>
HWY_NOINLINE void FloatGemv(const FloatGemvArgs& a, size_t columns) {
  ForEachGemvTile(columns, [&]<size_t kVectors>(size_t column)
                               HWY_ATTR { FloatGemvTile<Codec, kShift, kVectors>(a, column); });
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
