// SPDX-License-Identifier: Apache-2.0 OR MIT
// Loops over k that tiles share: where the vectors of a tile lie, and sums[m][v] += w[v] * x[m],
// with x broadcast, by lane or by block (gemm_lanes-inl.h).
#if defined(NIBBLE_KERNEL_GEMM_LOOPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_LOOPS_INL_H_
#undef NIBBLE_KERNEL_GEMM_LOOPS_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_LOOPS_INL_H_
#endif

#include "nibble/kernel/gemm_lanes-inl.h"
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

/// Where the vectors of a tile lie: panels, and lanes of them. On Arm tiles of fixed vectors lie in
/// one panel, so that one address serves all of them: count is 1.
template <size_t kVectors>
struct Places {
  static constexpr size_t lanes = hn::MaxLanes(LaneTag());
  static constexpr bool one_panel =
      kIsArm64 && !HWY_HAVE_SCALABLE && panel_rows % (kVectors * lanes) == 0;
  static constexpr bool whole_panel = one_panel && panel_rows == kVectors * lanes;
  static constexpr size_t count = one_panel ? 1 : kVectors;

  size_t panel[count];
  size_t lane[count];

  HWY_INLINE explicit Places(size_t column) {
    for (size_t i = 0; i < count; ++i) {
      const size_t at = column + i * hn::Lanes(LaneTag());
      panel[i] = at / panel_rows;
      lane[i] = whole_panel ? 0 : at % panel_rows;
    }
  }
  /// The place of vector v, and how many lanes behind it the vector begins.
  static constexpr size_t of(size_t v) { return one_panel ? 0 : v; }
  static constexpr size_t behind(size_t v) { return one_panel ? v * lanes : 0; }
};

/// Vector v of w.
template <size_t kVectors>
HWY_INLINE const uint8_t* VectorAt(const uint8_t* const* w, size_t v) {
  return w[Places<kVectors>::of(v)] + Places<kVectors>::behind(v) * 4;
}

/// sums[m][v] += w[v] * x[m] over `steps` steps of 4 bytes of k, a multiple of 4, with 16 bytes of
/// x loaded at once. prepare(w) is what is multiplied.
template <auto kDot, size_t kRows, size_t kVectors, class Prepare, class... V>
HWY_INLINE void MultiplyByLane(const uint8_t* const* w, const uint8_t* const* x, size_t steps,
                               const Prepare& prepare, V&... sums) {
  const auto four = [&](size_t step, auto&... xs) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    Unroll<4>([&](auto lane) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const auto load = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        const uint8_t* HWY_RESTRICT from = VectorAt<kVectors>(w, v) + (step + lane) * 64;
        if constexpr (kRows == 1 && Places<kVectors>::behind(v) == 0) {
          hwy::Prefetch(from + kPrefetchBytes);
        }
        return prepare(hn::LoadU(LevelTag(), from));
      };
      const auto add = [&](auto&... levels) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          auto& sum = Pick<i>(sums...);
          sum = DotLane<kDot, lane>(Pick<i % kVectors>(levels...), Pick<i / kVectors>(xs...), sum);
        });
      };
      WithVectors<kVectors>(load, add);
    });
  };
  const auto run = [&](size_t step) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    WithVectors<kRows>([&](auto m)
                           HWY_ATTR NIBBLE_INLINE_LAMBDA { return LoadX16(x[m] + step * 4); },
                       [&](auto&... xs) HWY_ATTR NIBBLE_INLINE_LAMBDA { four(step, xs...); });
  };
  for (size_t step = 0; step < steps; step += 4) run(step);
}

/// The same for pairs of rows: x[0], x[2] ... are pairs of rows, 8 bytes of each in turns. Sums
/// become blocks of 2 x 2 meanwhile, unless all columns start alike: then they are given as blocks.
template <class D, size_t kRows, size_t kVectors, class... V>
HWY_INLINE void MultiplyByBlock(D d, const uint8_t* const* w, const uint8_t* const* x, size_t steps,
                                bool are_blocks, V&... sums) {
  // Rows m and m + 1 of 2 N columns to blocks, and back.
  const auto turn = [&](auto half_of) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    Unroll<kRows / 2 * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      constexpr size_t at = i / kVectors * 2 * kVectors + i % kVectors;
      auto& a = Pick<at>(sums...);
      auto& b = Pick<at + kVectors>(sums...);
      const auto first = half_of(std::integral_constant<size_t, 0>(), a, b);
      b = half_of(std::integral_constant<size_t, 1>(), a, b);
      a = first;
    });
  };
  if (!are_blocks) {
    turn([&](auto half, auto a, auto b)
             HWY_ATTR NIBBLE_INLINE_LAMBDA { return Zipped<half>(d, a, b); });
  }
  for (size_t step = 0; step < steps; step += 2) {
    const auto load = [&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const uint8_t* HWY_RESTRICT from = VectorAt<kVectors>(w, i / 2) + step * 64;
      return Zipped<i % 2>(LevelTag(), hn::LoadU(LevelTag(), from),
                           hn::LoadU(LevelTag(), from + 64));
    };
    const auto add = [&](auto&... levels) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      Unroll<kRows / 2>([&](auto pair) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        const auto x16 = LoadX16(x[2 * pair] + step * 8);
        Unroll<2 * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          auto& sum = Pick<(2 * pair + i % 2) * kVectors + i / 2>(sums...);
          sum = DotBlock(Pick<i>(levels...), x16, sum);
        });
      });
    };
    WithVectors<2 * kVectors>(load, add);
  }
  turn([&](auto half, auto a, auto b)
           HWY_ATTR NIBBLE_INLINE_LAMBDA { return Unzipped<half>(d, a, b); });
}

/// sums[m][v] += levels w[v] * x[m] over `quads` quads.
template <QuadDot kDot, size_t kRows, size_t kVectors, class... V>
HWY_INLINE void MultiplyQuads(const uint8_t* const* w, const uint8_t* const* x, size_t quads,
                              [[maybe_unused]] bool are_blocks, V&... sums) {
  const LevelTag du8;
  const auto flip = [](auto levels) HWY_ATTR NIBBLE_INLINE_LAMBDA { return Flipped<kDot>(levels); };
  const auto multiply = [&](size_t q, auto&& add) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const auto load = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      // Packed codes that are levels come from memory: fetched ahead where used once.
      if constexpr (kRows == 1) hwy::Prefetch(VectorAt<kVectors>(w, v) + q * 64 + kPrefetchBytes);
      return flip(hn::LoadU(du8, VectorAt<kVectors>(w, v) + q * 64));
    };
    const auto rows = [&](auto&... levels) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      Unroll<kRows>([&](auto m) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        const auto xq = BroadcastQuad(reinterpret_cast<const int8_t*>(x[m] + q * 4));
        Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          add(std::integral_constant<size_t, m * kVectors + v>(), Pick<v>(levels...), xq);
        });
      });
    };
    WithVectors<kVectors>(load, rows);
  };
  if constexpr (IsByLane(kDot)) {
    MultiplyByLane<kDot, kRows, kVectors>(w, x, quads, flip, sums...);
  } else if constexpr (IsByBlock(kDot)) {
    MultiplyByBlock<SumTag, kRows, kVectors>(SumTag(), w, x, quads, are_blocks, sums...);
  } else if constexpr (kDot == QuadDot::kShort) {
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

/// The same of floats, or pairs of bf16.
template <FloatDot kDot, size_t kRows, size_t kVectors, class... V>
HWY_INLINE void MultiplyFloatSteps(const uint8_t* const* w, const uint8_t* const* x, size_t steps,
                                   V&... sums) {
  if constexpr (IsByLane(kDot)) {
    const auto as_it_is = [](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA { return v; };
    MultiplyByLane<kDot, kRows, kVectors>(w, x, steps, as_it_is, sums...);
  } else if constexpr (IsByBlock(kDot)) {
    MultiplyByBlock<LaneTag, kRows, kVectors>(LaneTag(), w, x, steps, false, sums...);
  } else {
    for (size_t k = 0; k < steps; ++k) {
      const auto load = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        return hn::LoadU(LevelTag(), VectorAt<kVectors>(w, v) + k * 64);
      };
      const auto add = [&](auto&... weights) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        Unroll<kRows * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          constexpr size_t m = i / kVectors;
          auto& sum = Pick<i>(sums...);
          sum = DotFloat<kDot>(Pick<i % kVectors>(weights...), x[m] + k * 4, sum);
        });
      };
      WithVectors<kVectors>(load, add);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
