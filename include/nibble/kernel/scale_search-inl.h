// SPDX-License-Identifier: Apache-2.0 OR MIT
// Weighted scale search in vectors: format/scale_search.h for as many blocks as there are lanes.
//
// One lane is one block, so every lane does the operations of the scalar search in the same order
// and the bits are the same whatever the vector length. Data lies value by value:
//
//   x[i * N + lane]   value i of the block of that lane, N = Lanes(df)
//
// No code is kept while searching: a lane keeps the inverse scale (and low end) that won, from
// which the caller makes the codes again. That is one pass more after 20 to 40, and saves a masked
// store per value and candidate.
//
// Hot loops are functions of their own, not inlined: all types share them (half the code), and
// inside the caller GCC 12 keeps an accumulator on the stack, which costs half the speed.
//
// fit_affine: affine_search-inl.h; fit_book: book_search-inl.h.
#if defined(NIBBLE_KERNEL_SCALE_SEARCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_SCALE_SEARCH_INL_H_
#undef NIBBLE_KERNEL_SCALE_SEARCH_INL_H_
#else
#define NIBBLE_KERNEL_SCALE_SEARCH_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/format/scale_search.h"
#include "nibble/kernel/arith-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The nearest integer in [low, high]; NaN gives low. (x86: Max(NaN, low) is low.)
template <class DF, class V = hn::Vec<DF>>
HWY_INLINE V ClampedInteger(DF /*df*/, V v, V low, V high) {
  v = hn::Round(v);
#if HWY_ARCH_X86
  return hn::Min(hn::Max(v, low), high);
#else
  return hn::Min(hn::IfThenElse(hn::Gt(v, low), v, low), high);
#endif
}

template <class DF, class V = hn::Vec<DF>>
HWY_INLINE V RatioOrZero(DF df, V a, V b) {
  return hn::IfThenElseZero(hn::Gt(b, hn::Zero(df)), hn::Div(a, b));
}

/// The value of largest magnitude of each lane, the first one of equals.
template <class DF>
HWY_INLINE hn::Vec<DF> ExtremeOf(DF df, const float* HWY_RESTRICT x, size_t n) {
  const size_t N = hn::Lanes(df);
  auto extreme = hn::Zero(df);
  auto amax = hn::Zero(df);
  for (size_t i = 0; i < n; ++i) {
    const auto v = hn::Load(df, x + i * N);
    const auto a = hn::Abs(v);
    const auto larger = hn::Gt(a, amax);
    amax = hn::IfThenElse(larger, a, amax);
    extreme = hn::IfThenElse(larger, v, extreme);
  }
  return extreme;
}

/// Codes on a line, for EncodeAndSum2.
struct LinearLevels {
  static constexpr bool kLinear = true;
  float low;
  float high;

  template <class DF, class V = hn::Vec<DF>>
  HWY_INLINE V operator()(DF df, V v) const {
    return ClampedInteger(df, v, hn::Set(df, low), hn::Set(df, high));
  }
};

/// wxl and wll of two candidates at once: four independent sums, and x and w are loaded once.
template <class DF, class Levels, class V = hn::Vec<DF>>
HWY_INLINE void EncodeAndSum2(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                              size_t n, const Levels& levels, V inverse0, V inverse1, V& wxl0,
                              V& wll0, V& wxl1, V& wll1) {
  const size_t N = hn::Lanes(df);
  wxl0 = wll0 = wxl1 = wll1 = hn::Zero(df);
  for (size_t i = 0; i < n; ++i) {
    const auto xi = hn::Load(df, x + i * N);
    const auto wi = hn::Load(df, w + i * N);
    const auto l0 = levels(df, hn::Mul(inverse0, xi));
    const auto l1 = levels(df, hn::Mul(inverse1, xi));
    const auto wl0 = hn::Mul(wi, l0);
    const auto wl1 = hn::Mul(wi, l1);
    wll0 = MulThenAdd(wl0, l0, wll0);
    wll1 = MulThenAdd(wl1, l1, wll1);
    if constexpr (Levels::kLinear) {
      const auto wx = hn::Mul(wi, xi);
      wxl0 = MulThenAdd(wx, l0, wxl0);
      wxl1 = MulThenAdd(wx, l1, wxl1);
    } else {
      wxl0 = MulThenAdd(wl0, xi, wxl0);
      wxl1 = MulThenAdd(wl1, xi, wxl1);
    }
  }
}

/// The scale of the best of candidates 0 .. num - 1, where candidate(t) gives an inverse scale. A
/// last one without a partner is tried twice, which changes nothing.
template <class DF, class Levels, class Candidate, class V = hn::Vec<DF>>
HWY_INLINE void BestCandidate(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                              size_t n, const Levels& levels, int num, const Candidate& candidate,
                              V& scale, V& inverse) {
  const auto keep_better = [&](V c, V wxl, V wll, V& best) HWY_ATTR {
    const auto better =
        hn::And(hn::Gt(wll, hn::Zero(df)), hn::Gt(hn::Mul(wxl, wxl), hn::Mul(best, wll)));
    scale = hn::IfThenElse(better, hn::Div(wxl, wll), scale);
    best = hn::IfThenElse(better, hn::Mul(scale, wxl), best);
    inverse = hn::IfThenElse(better, c, inverse);
  };
  V wxl0, wll0, wxl1, wll1;
  inverse = candidate(0);
  auto c1 = candidate(1);
  EncodeAndSum2(df, x, w, n, levels, inverse, c1, wxl0, wll0, wxl1, wll1);
  scale = RatioOrZero(df, wxl0, wll0);
  auto best = hn::Mul(scale, wxl0);
  keep_better(c1, wxl1, wll1, best);
  for (int t = 2; t < num; t += 2) {
    const auto c0 = candidate(t);
    c1 = candidate(t + 1 < num ? t + 1 : t);
    EncodeAndSum2(df, x, w, n, levels, c0, c1, wxl0, wll0, wxl1, wll1);
    keep_better(c0, wxl0, wll0, best);
    keep_better(c1, wxl1, wll1, best);
  }
}

/// fit_symmetric: code = clamp(round(inverse * x)). The inverse of a block of zeros is NaN, which
/// clamps to the lowest code.
template <class DF>
HWY_NOINLINE void FitSymmetric(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                               size_t n, float max, float* HWY_RESTRICT scales,
                               float* HWY_RESTRICT inverses) {
  const auto extreme = ExtremeOf(df, x, n);
  const auto flat = hn::Not(hn::Ge(hn::Abs(extreme), hn::Set(df, search_epsilon)));
  const auto candidate = [&](int t) HWY_ATTR {  // 0, then -9 .. -1, then 1 .. 9
    const float k = static_cast<float>(t == 0 ? 0 : t <= 9 ? t - 10 : t - 9);
    return hn::Div(hn::Set(df, -detail::mul_then_add(0.1f, k, max)), extreme);
  };
  hn::Vec<DF> scale, inverse;
  BestCandidate(df, x, w, n, LinearLevels{-max, max - 1}, 19, candidate, scale, inverse);
  hn::Store(hn::IfThenZeroElse(flat, scale), df, scales);
  hn::Store(hn::IfThenElse(flat, hn::NaN(df), inverse), df, inverses);
}

/// detail::encode_and_sum. The sums go to memory.
template <class DF>
HWY_NOINLINE void EncodeAndSum(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                               size_t n, const float* HWY_RESTRICT inverses, float low, float high,
                               float* HWY_RESTRICT codes, float* HWY_RESTRICT wxl,
                               float* HWY_RESTRICT wll) {
  const size_t N = hn::Lanes(df);
  const LinearLevels levels{low, high};
  const auto inverse = hn::Load(df, inverses);
  auto sum_wxl = hn::Zero(df);
  auto sum_wll = hn::Zero(df);
  for (size_t i = 0; i < n; ++i) {
    const auto xi = hn::Load(df, x + i * N);
    const auto wi = hn::Load(df, w + i * N);
    const auto l = levels(df, hn::Mul(inverse, xi));
    hn::Store(l, df, codes + i * N);
    sum_wxl = MulThenAdd(hn::Mul(wi, xi), l, sum_wxl);
    sum_wll = MulThenAdd(hn::Mul(wi, l), l, sum_wll);
  }
  hn::Store(sum_wxl, df, wxl);
  hn::Store(sum_wll, df, wll);
}

/// One step of detail::improve_codes, on one code per lane. Returns where it changed.
template <class DF>
HWY_INLINE hn::Mask<DF> ImproveCode(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                                    const LinearLevels& levels, float* HWY_RESTRICT codes,
                                    float* HWY_RESTRICT wxl_at, float* HWY_RESTRICT wll_at) {
  const auto zero = hn::Zero(df);
  const auto xi = hn::Load(df, x);
  const auto wi = hn::Load(df, w);
  const auto code = hn::Load(df, codes);
  const auto wxl = hn::Load(df, wxl_at);
  const auto wll = hn::Load(df, wll_at);
  const auto wx = hn::Mul(wi, xi);
  auto other_wxl = hn::Sub(wxl, Rounded(hn::Mul(wx, code)));
  auto other_wll = hn::Sub(wll, Rounded(hn::Mul(hn::Mul(wi, code), code)));
  auto better = hn::Gt(other_wxl, zero);
  if (levels.low == 0) better = hn::And(better, hn::Gt(other_wll, zero));
  const auto l = levels(df, hn::Div(hn::Mul(xi, other_wll), other_wxl));
  better = hn::And(better, hn::Ne(l, code));
  other_wxl = MulThenAdd(wx, l, other_wxl);
  other_wll = MulThenAdd(hn::Mul(wi, l), l, other_wll);
  better = hn::And(better, hn::Gt(other_wll, zero));
  better = hn::And(better, hn::Gt(hn::Mul(hn::Mul(other_wxl, other_wxl), wll),
                                  hn::Mul(hn::Mul(wxl, wxl), other_wll)));
  hn::Store(hn::IfThenElse(better, l, code), df, codes);
  hn::Store(hn::IfThenElse(better, other_wxl, wxl), df, wxl_at);
  hn::Store(hn::IfThenElse(better, other_wll, wll), df, wll_at);
  return better;
}

/// detail::improve_codes for `num` groups of n vectors; sums by group. One code waits for the
/// division of the one before it, so the groups take turns (four: 1.75x). A lane that a whole sweep
/// did not change stays as it is in later ones.
template <class DF>
HWY_NOINLINE void ImproveCodes(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                               size_t n, size_t num, const LinearLevels& levels,
                               float* HWY_RESTRICT codes, float* HWY_RESTRICT wxl,
                               float* HWY_RESTRICT wll) {
  const size_t N = hn::Lanes(df);
  for (int sweep = 0; sweep < 5; ++sweep) {
    auto changed = hn::MaskFalse(df);
    for (size_t i = 0; i < n; ++i) {
      for (size_t g = 0; g < num; ++g) {
        const size_t at = (g * n + i) * N;
        changed = hn::Or(
            changed, ImproveCode(df, x + at, w + at, levels, codes + at, wxl + g * N, wll + g * N));
      }
    }
    if (hn::AllFalse(df, changed)) break;
  }
}

/// The scale from sums in memory, 0 where `flat`; there all codes become `flat_code`.
template <class DF>
HWY_INLINE hn::Vec<DF> FinishSweeps(DF df, hn::Mask<DF> flat, float flat_code, size_t n,
                                    const float* HWY_RESTRICT wxl, const float* HWY_RESTRICT wll,
                                    float* HWY_RESTRICT codes) {
  const size_t N = hn::Lanes(df);
  if (!hn::AllFalse(df, flat)) {
    for (size_t i = 0; i < n; ++i) {
      const auto code = hn::Load(df, codes + i * N);
      hn::Store(hn::IfThenElse(flat, hn::Set(df, flat_code), code), df, codes + i * N);
    }
  }
  const auto scale = RatioOrZero(df, hn::Load(df, wxl), hn::Load(df, wll));
  return hn::IfThenZeroElse(flat, scale);
}

/// fit_by_sweeps for `num` groups of n vectors; scales by group. Codes are in [-max, max - 1], -max
/// in a block of zeros.
template <size_t kGroups, class DF>
HWY_INLINE void FitBySweeps(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                            size_t n, float max, float* HWY_RESTRICT codes,
                            float* HWY_RESTRICT scales) {
  const size_t N = hn::Lanes(df);
  const auto epsilon = hn::Set(df, search_epsilon);
  HWY_ALIGN float extremes[kGroups * hn::MaxLanes(DF())];
  HWY_ALIGN float inverse[hn::MaxLanes(DF())];
  HWY_ALIGN float wxl[kGroups * hn::MaxLanes(DF())];
  HWY_ALIGN float wll[kGroups * hn::MaxLanes(DF())];
  for (size_t g = 0; g < kGroups; ++g) {
    const size_t at = g * n * N;
    const auto extreme = ExtremeOf(df, x + at, n);
    hn::Store(extreme, df, extremes + g * N);
    hn::Store(hn::Div(hn::Set(df, -max), extreme), df, inverse);
    EncodeAndSum(df, x + at, w + at, n, inverse, -max, max - 1, codes + at, wxl + g * N,
                 wll + g * N);
  }
  ImproveCodes(df, x, w, n, kGroups, LinearLevels{-max, max - 1}, codes, wxl, wll);
  for (size_t g = 0; g < kGroups; ++g) {
    const auto flat = hn::Not(hn::Ge(hn::Abs(hn::Load(df, extremes + g * N)), epsilon));
    const auto scale = FinishSweeps(df, flat, -max, n, wxl + g * N, wll + g * N, codes + g * n * N);
    hn::Store(scale, df, scales + g * N);
  }
}

/// The inverse scale that fit_nonnegative starts its sweeps from.
template <class DF>
HWY_NOINLINE void BestNonnegative(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                                  size_t n, float max, const float* HWY_RESTRICT highs,
                                  float* HWY_RESTRICT inverses) {
  const size_t N = hn::Lanes(df);
  const LinearLevels levels{0, max};
  const auto high = hn::Load(df, highs);
  auto inverse = hn::Div(hn::Set(df, max), high);
  auto best = hn::Zero(df);
  for (int t = 0; t < 9; ++t) {  // 0, then -4 .. -1, then 1 .. 4
    const float k = static_cast<float>(t == 0 ? 0 : t <= 4 ? t - 5 : t - 4);
    const auto candidate = hn::Div(hn::Set(df, detail::mul_then_add(0.1f, k, max)), high);
    const auto scale = hn::Div(hn::Set(df, 1.0f), candidate);
    auto error = hn::Zero(df);
    for (size_t i = 0; i < n; ++i) {
      const auto xi = hn::Load(df, x + i * N);
      const auto l = levels(df, hn::Mul(candidate, xi));
      const auto e = hn::Sub(xi, Rounded(hn::Mul(scale, l)));
      error = MulThenAdd(hn::Mul(hn::Load(df, w + i * N), e), e, error);
    }
    if (t == 0) {
      best = error;
      continue;
    }
    const auto better = hn::Lt(error, best);
    inverse = hn::IfThenElse(better, candidate, inverse);
    best = hn::IfThenElse(better, error, best);
  }
  hn::Store(inverse, df, inverses);
}

/// fit_nonnegative for groups of n vectors; scales by group.
template <size_t kGroups, class DF>
HWY_INLINE void FitNonnegative(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                               size_t n, float max, float* HWY_RESTRICT codes,
                               float* HWY_RESTRICT scales) {
  const size_t N = hn::Lanes(df);
  const auto epsilon = hn::Set(df, search_epsilon);
  HWY_ALIGN float highs[kGroups * hn::MaxLanes(DF())];
  HWY_ALIGN float inverse[hn::MaxLanes(DF())];
  HWY_ALIGN float wxl[kGroups * hn::MaxLanes(DF())];
  HWY_ALIGN float wll[kGroups * hn::MaxLanes(DF())];
  for (size_t g = 0; g < kGroups; ++g) {
    const size_t at = g * n * N;
    auto high = hn::Zero(df);
    for (size_t i = 0; i < n; ++i) {
      const auto v = hn::Load(df, x + at + i * N);
      high = hn::IfThenElse(hn::Gt(v, high), v, high);
    }
    hn::Store(high, df, highs + g * N);
    BestNonnegative(df, x + at, w + at, n, max, highs + g * N, inverse);
    EncodeAndSum(df, x + at, w + at, n, inverse, 0, max, codes + at, wxl + g * N, wll + g * N);
  }
  ImproveCodes(df, x, w, n, kGroups, LinearLevels{0, max}, codes, wxl, wll);
  for (size_t g = 0; g < kGroups; ++g) {
    const auto flat = hn::Not(hn::Ge(hn::Load(df, highs + g * N), epsilon));
    const auto scale = FinishSweeps(df, flat, 0, n, wxl + g * N, wll + g * N, codes + g * n * N);
    hn::Store(scale, df, scales + g * N);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
