// SPDX-License-Identifier: Apache-2.0 OR MIT
// From a block of values to its scale: statistics of one block of any shape, and the standard fits
// of a vector of blocks at a time.
//
// Fitting Lanes blocks together costs 3 operations per block to merge (ReduceMany) and shares one
// division; alone, a block pays log2(Lanes) shuffles, a division and the branches of its rule.
#if defined(NIBBLE_KERNEL_BLOCK_FIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_BLOCK_FIT_INL_H_
#undef NIBBLE_KERNEL_BLOCK_FIT_INL_H_
#else
#define NIBBLE_KERNEL_BLOCK_FIT_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/format/quantize_args.h"
#include "nibble/kernel/arith-inl.h"
#include "nibble/kernel/dequantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A block of values: rows of `cols` values, `stride` apart, and the importance of each column.
struct BlockView {
  const float* x;
  size_t stride;
  size_t rows;
  size_t cols;
  const float* importance;  // or null
};

// --- statistics of one block -----------------------------------------------

/// Calls fn(Vec<DF>) for all values of a block; lanes beyond a row's end hold 0. Every vector
/// starts at a multiple of Lanes from the start of its row.
template <class DF, class Fn>
HWY_INLINE void ForEachVector(DF df, const BlockView& b, Fn&& fn) {
  const size_t N = hn::Lanes(df);
  for (size_t r = 0; r < b.rows; ++r) {
    const float* HWY_RESTRICT x = b.x + r * b.stride;
    size_t c = 0;
    for (; c + N <= b.cols; c += N) fn(hn::LoadU(df, x + c), N);
    if (c < b.cols) fn(hn::LoadN(df, x + c, b.cols - c), b.cols - c);
  }
}

/// Finite values as they are, others 0.
template <class DF>
HWY_INLINE hn::Vec<DF> FiniteOrZero(DF df, hn::Vec<DF> x) {
  const hn::RebindToUnsigned<DF> du;
  const auto size = hn::And(hn::BitCast(du, x), hn::Set(du, 0x7FFFFFFFu));
  const auto finite = hn::Lt(size, hn::Set(du, detail::f32_inf));
  return hn::IfThenElseZero(hn::RebindMask(df, finite), x);
}

/// The k-th smallest of the block's keys, k from 1: its bits are found from the top, each by
/// counting how many keys lie below. Signed: ordered as floats, otherwise by magnitude.
template <bool kSigned>
HWY_INLINE float KthSmallest(const BlockView& b, size_t k) {
  const FloatTag df;
  const hn::RebindToUnsigned<FloatTag> du;
  const hn::RebindToSigned<FloatTag> di;
  uint32_t key = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t candidate = key | (1u << bit);
    size_t below = 0;
    const auto limit = hn::Set(du, candidate);
    ForEachVector(df, b, [&](hn::Vec<FloatTag> v, size_t n) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      auto u = hn::BitCast(du, FiniteOrZero(df, v));
      if constexpr (kSigned) {
        const auto sign = hn::BitCast(du, hn::ShiftRight<31>(hn::BitCast(di, u)));
        u = hn::Xor(u, hn::Or(sign, hn::Set(du, 0x80000000u)));
      } else {
        u = hn::And(u, hn::Set(du, 0x7FFFFFFFu));
      }
      below += hn::CountTrue(du, hn::And(hn::Lt(u, limit), hn::FirstN(du, n)));
    });
    if (below < k) key = candidate;
  }
  if constexpr (kSigned) key ^= (key & 0x80000000u) != 0 ? 0x80000000u : 0xFFFFFFFFu;
  const float value = detail::float_of(key);
  return value == 0 ? 0.0f : value;
}

/// Magnitude bits of the largest value of a block.
HWY_INLINE uint32_t LargestBits(const BlockView& b) {
  const FloatTag df;
  const hn::RebindToUnsigned<FloatTag> du;
  const auto mask = hn::Set(du, 0x7FFFFFFFu);
  auto most = hn::Zero(du);
  ForEachVector(df, b, [&](hn::Vec<FloatTag> v, size_t) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    most = hn::Max(most, hn::And(hn::BitCast(du, v), mask));
  });
  return hn::ReduceMax(du, most);
}

/// Whether the first zero of a block is -0; NaN and infinities count as 0.
inline HWY_NOINLINE bool FirstZeroIsNegative(const BlockView& b) {
  for (size_t r = 0; r < b.rows; ++r) {
    for (size_t c = 0; c < b.cols; ++c) {
      const float v = b.x[r * b.stride + c];
      if (v == 0 || !detail::is_finite(v)) return detail::bits_of(v) == detail::f32_sign;
    }
  }
  return false;
}

/// Statistics that a way to fit asks for. kRange: the format has a range, not a magnitude.
template <bool kRange, quantizer_rule::fit kFit>
HWY_NOINLINE detail::block_stats Statistics(const BlockView& b, const quantize_options& o) {
  using fit = quantizer_rule::fit;
  const FloatTag df;
  const hn::RebindToUnsigned<FloatTag> du;
  detail::block_stats s;
  if (b.rows == 0 || b.cols == 0) return s;
  const uint32_t largest = LargestBits(b);
  s.finite = largest < detail::f32_inf;
  s.amax = detail::float_of(largest);
  if (HWY_UNLIKELY(!s.finite)) {
    auto most = hn::Zero(du);
    ForEachVector(df, b, [&](hn::Vec<FloatTag> v, size_t) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      most = hn::Max(most, hn::And(hn::BitCast(du, FiniteOrZero(df, v)), hn::Set(du, 0x7FFFFFFFu)));
    });
    s.amax = detail::float_of(hn::ReduceMax(du, most));
  }

  constexpr bool kExtreme = kFit == fit::signed_absmax;
  const bool range = kRange || kExtreme || o.rule == scale_rule::min_max;
  if (range) {
    // Lanes beyond the end repeat the block's first value.
    const auto first = FiniteOrZero(df, hn::Set(df, b.x[0]));
    auto low = first;
    auto high = first;
    ForEachVector(df, b, [&](hn::Vec<FloatTag> v, size_t n) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if (HWY_UNLIKELY(!s.finite)) v = FiniteOrZero(df, v);
      if (HWY_UNLIKELY(n < hn::Lanes(df))) v = hn::IfThenElse(hn::FirstN(df, n), v, first);
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    });
    s.low = hn::ReduceMin(df, low);
    s.high = hn::ReduceMax(df, high);
    if (s.low == 0) s.low = 0;  // -0
    if (s.high == 0) s.high = 0;
    if constexpr (kExtreme) {
      s.extreme = s.high == s.amax ? s.high : s.low;
      if (HWY_UNLIKELY(s.high == -s.low && s.amax != 0)) {  // the first of two equals
        bool found = false;
        for (size_t r = 0; r < b.rows && !found; ++r) {
          for (size_t c = 0; c < b.cols && !found; ++c) {
            const float v = b.x[r * b.stride + c];
            found = v == s.amax || v == -s.amax;
            if (found) s.extreme = v;
          }
        }
      }
    }
  }
  if constexpr (kFit == fit::mean_abs) {
    // In index order: one long chain of additions, by definition.
    float sum = 0;
    for (size_t r = 0; r < b.rows; ++r) {
      for (size_t c = 0; c < b.cols; ++c) {
        const uint32_t size = detail::bits_of(b.x[r * b.stride + c]) & 0x7FFFFFFFu;
        sum += size < detail::f32_inf ? detail::float_of(size) : 0.0f;
      }
    }
    s.mean_abs = sum / static_cast<float>(b.rows * b.cols);
  }
  if (o.rule == scale_rule::percentile && o.percentile < 100) {
    const size_t n = b.rows * b.cols;
    const size_t k = detail::percentile_rank(o.percentile, n);
    if constexpr (kRange) {
      s.high = KthSmallest<true>(b, k);
      s.low = KthSmallest<true>(b, n + 1 - k);
    }
    s.amax = KthSmallest<false>(b, k);
  }
  return s;
}

// --- fits of many blocks ----------------------------------------------------

/// One vector whose lane i is op over all lanes of vector i of v. Pairs of vectors are merged,
/// halving their number: 2 shuffles and 1 op per merge, so 3 per block instead of 2 log2(N) for
/// each alone.
template <class D, class Op>
HWY_INLINE hn::Vec<D> ReduceMany(D d, hn::TFromD<D>* HWY_RESTRICT v, Op&& op) {
  const size_t N = hn::Lanes(d);
  for (size_t n = N; n > 1; n /= 2) {
    for (size_t i = 0; i < n; i += 2) {
      const auto a = hn::Load(d, v + i * N);
      const auto b = hn::Load(d, v + (i + 1) * N);
      hn::Store(op(hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a)), d, v + i / 2 * N);
    }
  }
  return hn::Load(d, v);
}

template <class DF>
HWY_INLINE hn::Vec<DF> InverseOrZero(DF df, hn::Vec<DF> s) {
  const auto q = hn::Div(hn::Set(df, 1.0f), s);
  return hn::IfThenElseZero(hn::Le(hn::Abs(q), hn::Set(df, detail::float_max)), q);
}

/// The standard fit of Lanes blocks of `length` values each, a multiple of Lanes, one behind the
/// other: fit_from_stats for vectors. False, and nothing written, where a block is not finite or
/// otherwise special; then each is fitted alone. kGuarded: IsFitGuarded.
template <bool kRange, quantizer_rule::fit kFit, bool kGuarded>
HWY_NOINLINE bool FitMany(const float* HWY_RESTRICT x, size_t length, const quantizer_rule& rule,
                          float* HWY_RESTRICT scale, float* HWY_RESTRICT inverse,
                          float* HWY_RESTRICT low) {
  using fit = quantizer_rule::fit;
  const FloatTag df;
  const hn::RebindToUnsigned<FloatTag> du;
  const hn::RebindToSigned<FloatTag> di;
  const size_t N = hn::Lanes(df);
  constexpr bool kEnds = kRange || kFit == fit::signed_absmax;
  constexpr size_t kRoom = chunk_size * chunk_size;
  HWY_ALIGN uint32_t sizes[kRoom];
  HWY_ALIGN float lows[kEnds ? kRoom : 1];
  HWY_ALIGN float highs[kEnds ? kRoom : 1];
  const auto mask = hn::Set(du, 0x7FFFFFFFu);
  auto all_most = hn::Zero(du);
  for (size_t b = 0; b < N; ++b, x += length) {
    auto most = hn::Zero(du);
    auto least = hn::LoadU(df, x);
    auto high = least;
    for (size_t i = 0; i < length; i += N) {
      const auto v = hn::LoadU(df, x + i);
      most = hn::Max(most, hn::And(hn::BitCast(du, v), mask));
      if constexpr (kEnds) {
        least = hn::Min(least, v);
        high = hn::Max(high, v);
      }
    }
    if constexpr (kRange) {
      all_most = hn::Max(all_most, most);  // only whether all are finite
    } else {
      hn::Store(most, du, sizes + b * N);
    }
    if constexpr (kEnds) {
      hn::Store(least, df, lows + b * N);
      hn::Store(high, df, highs + b * N);
    }
  }
  const auto larger = [](auto a, auto b) HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::Max(a, b); };
  const auto amax_bits = kRange ? all_most : ReduceMany(du, sizes, larger);
  if (HWY_UNLIKELY(!hn::AllTrue(du, hn::Lt(amax_bits, hn::Set(du, detail::f32_inf))))) return false;
  const auto amax = hn::BitCast(df, amax_bits);
  const auto divisor = hn::Set(df, rule.divisor);
  const auto zero = hn::Zero(df);
  auto s = zero;
  if constexpr (kEnds) {
    const auto smaller = [](auto a, auto b) HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::Min(a, b); };
    auto least = hn::Add(ReduceMany(df, lows, smaller), zero);  // -0 becomes 0
    auto high = hn::Add(ReduceMany(df, highs, larger), zero);
    if constexpr (kRange) {
      if (rule.range_includes_zero) {
        least = hn::Min(least, zero);
        high = hn::Max(high, zero);
      }
      if (kGuarded && !hn::AllFalse(df, hn::Eq(least, zero))) return false;  // its sign is stored
      const auto width = hn::Sub(high, least);
      if (HWY_UNLIKELY(!hn::AllTrue(df, hn::Le(width, hn::Set(df, detail::float_max))))) {
        return false;
      }
      s = hn::Div(width, divisor);
      hn::StoreU(least, df, low);
    } else {
      // Two of one magnitude: the first in the block counts.
      const auto twin = hn::And(hn::Eq(high, hn::Neg(least)), hn::Gt(amax, zero));
      if (HWY_UNLIKELY(!hn::AllFalse(df, twin))) return false;
      const auto extreme = hn::IfThenElse(hn::Eq(high, amax), high, least);
      if (rule.inverse_first) {
        auto inv = hn::Div(divisor, extreme);
        inv = hn::IfThenElseZero(hn::Le(hn::Abs(inv), hn::Set(df, detail::float_max)), inv);
        hn::StoreU(inv, df, inverse);
        hn::StoreU(hn::IfThenElseZero(hn::Ne(inv, zero), hn::Div(hn::Set(df, 1.0f), inv)), df,
                   scale);
        return true;
      }
      s = hn::Div(extreme, divisor);
    }
  } else if constexpr (kFit == fit::power_of_two) {
    auto field = hn::Sub(hn::BitCast(di, hn::ShiftRight<23>(amax_bits)),
                         hn::Set(di, static_cast<int32_t>(rule.divisor)));
    if (kGuarded) field = hn::Min(field, hn::Set(di, 254));
    const auto none = hn::Zero(di);
    const auto low_end =
        hn::IfThenElse(hn::Eq(field, none), hn::Set(di, 0x00400000), hn::Set(di, 0x00200000));
    const auto bits = hn::IfThenElse(hn::Gt(field, none), hn::ShiftLeft<23>(field), low_end);
    s = hn::IfThenElseZero(hn::Ne(amax, zero), hn::BitCast(df, bits));
  } else {
    s = hn::Div(amax, divisor);
    if (kGuarded) s = hn::Min(s, hn::Set(df, detail::float_max));
  }
  hn::StoreU(s, df, scale);
  hn::StoreU(InverseOrZero(df, s), df, inverse);
  return true;
}

/// 1 / s, 0 where that is not finite.
inline HWY_NOINLINE void Inverses(const float* HWY_RESTRICT s, size_t n,
                                  float* HWY_RESTRICT inverse) {
  const FloatTag df;
  for (size_t i = 0; i < n; i += hn::Lanes(df)) {  // rows are padded
    hn::StoreU(InverseOrZero(df, hn::LoadU(df, s + i)), df, inverse + i);
  }
}

/// Whether FitMany has to look at what few formats meet: the sign of a least value of zero (GGML's
/// offsets), scales above the largest float (levels below 1).
template <class F, class Rule>
constexpr bool IsFitGuarded() {
  using fit = quantizer_rule::fit;
  constexpr quantizer_rule r = Rule::value;
  if constexpr (r.how == fit::range) {
    return r.raw_scale && F::shift_type::kind == shift_kind::offset;
  }
  return (r.how == fit::absmax && r.divisor < 1) || (r.how == fit::power_of_two && r.divisor < 0);
}

/// Does the standard fit of F have a form for many blocks?
template <class F, class Rule>
constexpr bool HasFitMany() {
  using fit = quantizer_rule::fit;
  constexpr fit how = Rule::value.how;
  return F::shape.rows == 1 && F::shape.cols != all && F::shape.cols % chunk_size == 0 &&
         (how == fit::absmax || how == fit::range || how == fit::signed_absmax ||
          how == fit::power_of_two);
}

/// shift_of for vectors. `inverse` is that of `scale`.
template <class F>
HWY_INLINE void Shifts(const float* HWY_RESTRICT low, const float* HWY_RESTRICT scale,
                       const float* HWY_RESTRICT inverse, size_t n, float* HWY_RESTRICT shift) {
  const FloatTag df;
  using E = typename F::element;
  constexpr shift_kind kShift = F::shift_type::kind;
  const auto lowest = hn::Set(df, E::lowest);
  for (size_t i = 0; i < n; i += hn::Lanes(df)) {  // rows are padded
    auto v = hn::LoadU(df, low + i);
    if constexpr (kShift == shift_kind::zero) {
      v = hn::Sub(lowest, Rounded(hn::Mul(v, hn::LoadU(df, inverse + i))));
    } else {
      if constexpr (E::lowest == 0) {
        if constexpr (kShift == shift_kind::minimum) v = hn::Neg(v);
      } else {
        const auto part = Rounded(hn::Mul(lowest, hn::LoadU(df, scale + i)));
        v = kShift == shift_kind::minimum ? hn::Sub(part, v) : hn::Sub(v, part);
      }
    }
    hn::StoreU(v, df, shift + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
