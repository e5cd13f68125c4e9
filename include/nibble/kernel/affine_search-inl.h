// SPDX-License-Identifier: Apache-2.0 OR MIT
// fit_affine in vectors: scale and minimum of one block per lane. The layout of data and why lanes
// keep inverse scales instead of codes: scale_search-inl.h.
//
// A candidate costs 18 operations per value: 12 to make a code and add it to three sums, 6 for the
// error after the least squares. That is what limits it; loads are 5.
#if defined(NIBBLE_KERNEL_AFFINE_SEARCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_AFFINE_SEARCH_INL_H_
#undef NIBBLE_KERNEL_AFFINE_SEARCH_INL_H_
#else
#define NIBBLE_KERNEL_AFFINE_SEARCH_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/format/scale_search.h"
#include "nibble/kernel/arith-inl.h"
#include "nibble/kernel/scale_search-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The search of one block per lane between two candidates, in memory so that several can go on at
/// the same time.
template <class DF>
struct AffineState {
  static constexpr size_t kLanes = hn::MaxLanes(DF());
  HWY_ALIGN float low[kLanes];
  HWY_ALIGN float high[kLanes];
  HWY_ALIGN float sum_w[kLanes];
  HWY_ALIGN float sum_wx[kLanes];
  HWY_ALIGN float error[kLanes];
  // The best so far: code = clamp(round(inverse * (x - origin))), value = scale * code + low.
  HWY_ALIGN float scale[kLanes];
  HWY_ALIGN float inverse[kLanes];
  HWY_ALIGN float origin[kLanes];
};

template <class DF, class V = hn::Vec<DF>>
HWY_INLINE V AffineError(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, size_t n,
                         bool absolute, const float* HWY_RESTRICT codes, V scale, V low) {
  const size_t N = hn::Lanes(df);
  auto sum = hn::Zero(df);
  for (size_t i = 0; i < n; ++i) {
    const auto value = MulThenAdd(scale, hn::Load(df, codes + i * N), low);
    const auto e = hn::Sub(value, hn::Load(df, x + i * N));
    const auto size = absolute ? hn::Abs(e) : hn::Mul(e, e);
    sum = MulThenAdd(hn::Load(df, w + i * N), size, sum);
  }
  return sum;
}

/// The range as it is, and the first candidate.
template <class DF>
HWY_NOINLINE void BeginAffine(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                              size_t n, float max, bool absolute, float* HWY_RESTRICT codes,
                              AffineState<DF>& state) {
  const size_t N = hn::Lanes(df);
  const auto zero = hn::Zero(df);
  const auto top = hn::Set(df, max);
  auto low = hn::Load(df, x);
  auto high = low;
  auto sum_w = hn::Load(df, w);
  auto sum_wx = Rounded(hn::Mul(sum_w, low));
  for (size_t i = 1; i < n; ++i) {
    const auto xi = hn::Load(df, x + i * N);
    const auto wi = hn::Load(df, w + i * N);
    low = hn::IfThenElse(hn::Lt(xi, low), xi, low);
    high = hn::IfThenElse(hn::Gt(xi, high), xi, high);
    sum_w = hn::Add(sum_w, wi);
    sum_wx = MulThenAdd(wi, xi, sum_wx);
  }
  low = hn::IfThenElse(hn::Gt(low, zero), zero, low);
  const auto inverse = hn::Div(top, hn::Sub(high, low));
  const auto scale = hn::Div(hn::Set(df, 1.0f), inverse);
  for (size_t i = 0; i < n; ++i) {
    const auto v = hn::Mul(inverse, hn::Sub(hn::Load(df, x + i * N), low));
    hn::Store(ClampedInteger(df, v, zero, top), df, codes + i * N);
  }
  // A flat lane (high <= low) keeps scale 0 and codes 0: no error is less than this one.
  const auto flat = hn::Not(hn::Gt(high, low));
  const auto error = AffineError(df, x, w, n, absolute, codes, scale, low);
  hn::Store(hn::IfThenElse(flat, hn::Neg(hn::Inf(df)), error), df, state.error);
  hn::Store(hn::IfThenZeroElse(flat, scale), df, state.scale);
  hn::Store(hn::IfThenZeroElse(flat, inverse), df, state.inverse);
  hn::Store(hn::IfThenZeroElse(flat, low), df, state.origin);
  hn::Store(low, df, state.low);
  hn::Store(high, df, state.high);
  hn::Store(sum_w, df, state.sum_w);
  hn::Store(sum_wx, df, state.sum_wx);
}

/// One more candidate, of inverse scale steps / (high - low).
template <class DF>
HWY_NOINLINE void TryAffine(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w,
                            size_t n, float max, bool absolute, float steps,
                            float* HWY_RESTRICT codes, AffineState<DF>& state) {
  const size_t N = hn::Lanes(df);
  const auto zero = hn::Zero(df);
  const auto top = hn::Set(df, max);
  const auto low = hn::Load(df, state.low);
  const auto inverse = hn::Div(hn::Set(df, steps), hn::Sub(hn::Load(df, state.high), low));
  auto wl = zero;
  auto wll = zero;
  auto wlx = zero;
  for (size_t i = 0; i < n; ++i) {
    const auto xi = hn::Load(df, x + i * N);
    const auto l = ClampedInteger(df, hn::Mul(inverse, hn::Sub(xi, low)), zero, top);
    hn::Store(l, df, codes + i * N);
    const auto product = Rounded(hn::Mul(hn::Load(df, w + i * N), l));
    wl = hn::Add(wl, product);
    wll = MulThenAdd(product, l, wll);
    wlx = MulThenAdd(product, xi, wlx);
  }
  const auto sum_w = hn::Load(df, state.sum_w);
  const auto sum_wx = hn::Load(df, state.sum_wx);
  const auto determinant = hn::Sub(Rounded(hn::Mul(sum_w, wll)), Rounded(hn::Mul(wl, wl)));
  auto scale =
      hn::Div(hn::Sub(Rounded(hn::Mul(sum_w, wlx)), Rounded(hn::Mul(sum_wx, wl))), determinant);
  auto new_low =
      hn::Div(hn::Sub(Rounded(hn::Mul(wll, sum_wx)), Rounded(hn::Mul(wl, wlx))), determinant);
  const auto above = hn::Gt(new_low, zero);
  new_low = hn::IfThenZeroElse(above, new_low);
  scale = hn::IfThenElse(above, hn::Div(wlx, wll), scale);
  const auto error = AffineError(df, x, w, n, absolute, codes, scale, new_low);
  const auto best = hn::Load(df, state.error);
  const auto better = hn::And(hn::Gt(determinant, zero), hn::Lt(error, best));
  const auto update = [&](hn::Vec<DF> v, float* HWY_RESTRICT to) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    hn::Store(hn::IfThenElse(better, v, hn::Load(df, to)), df, to);
  };
  update(error, state.error);
  update(scale, state.scale);
  update(inverse, state.inverse);
  update(low, state.origin);
  update(new_low, state.low);
}

/// fit_affine for `num` groups of blocks, n vectors each, one after the other in x and w. `codes`
/// is scratch for n vectors.
///
/// The sums of a candidate, its scale and its error wait for each other. All groups take a
/// candidate before the next one, so that they overlap: four groups are 1.15x as fast as one, eight
/// the same.
template <class DF>
HWY_INLINE void FitAffine(DF df, const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, size_t n,
                          size_t num, float max, const affine_plan& plan, float* HWY_RESTRICT codes,
                          AffineState<DF>* HWY_RESTRICT states) {
  const size_t N = hn::Lanes(df);
  for (size_t g = 0; g < num; ++g) {
    BeginAffine(df, x + g * n * N, w + g * n * N, n, max, plan.absolute, codes, states[g]);
  }
  for (int k = 0; k <= plan.steps; ++k) {
    const float steps = detail::mul_then_add(plan.step, static_cast<float>(k), plan.first) + max;
    for (size_t g = 0; g < num; ++g) {
      TryAffine(df, x + g * n * N, w + g * n * N, n, max, plan.absolute, steps, codes, states[g]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
