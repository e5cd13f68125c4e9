// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codes of a row from its scales, and the search for a scale by the error of its codes.
//
// Per 64 bytes of input on AVX-512: 1 load, 1 multiply, 3-10 operations to round and clamp, 1-4 to
// pack, 1 store. Bound by arithmetic in cache. The search does this and the way back 64 to 128
// times.
#if defined(NIBBLE_KERNEL_ENCODE_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ENCODE_ROW_INL_H_
#undef NIBBLE_KERNEL_ENCODE_ROW_INL_H_
#else
#define NIBBLE_KERNEL_ENCODE_ROW_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "nibble/kernel/block_fit-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The rule of a format as a type, so that kernels fold it away.
template <class F>
struct RuleOf {
  static constexpr quantizer_rule value = F::rule;
};

/// All that making codes depends on. Formats that differ in extent, scale or name share the loops.
template <class Element, shift_kind kShift, bool kIntegerZero, quantizer_rule::code kCodes,
          rounding kRound>
struct CodeKind {
  using E = Element;
  static constexpr shift_kind shift = kShift;
  static constexpr bool integer_zero = kIntegerZero;
  static constexpr quantizer_rule::code codes = kCodes;
  static constexpr rounding round = kRound;
};
template <class F, class Rule>
using KindOf =
    CodeKind<typename F::element, F::shift_type::kind,
             F::shift_type::kind == shift_kind::zero && integer_element<typename F::shift_format>,
             Rule::value.codes, Rule::value.round>;

// --- codes -----------------------------------------------------------------

/// What code_of of rules.h computes before encoding, for a vector. `raw` values may be non-finite
/// only if !clean.
template <class Kind, class DF>
HWY_INLINE hn::Vec<DF> ToLevel(DF df, hn::Vec<DF> x, hn::Vec<DF> scale, hn::Vec<DF> inverse,
                               hn::Vec<DF> shift, bool divide, bool clean) {
  using E = typename Kind::E;
  constexpr shift_kind kShift = Kind::shift;
  if (HWY_UNLIKELY(!clean)) {
    const auto is_nan = hn::IsNaN(x);
    const auto top = hn::Set(df, detail::float_max);
    const auto finite = hn::Min(hn::Max(hn::IfThenZeroElse(is_nan, x), hn::Neg(top)), top);
    x = E::has_nan ? hn::IfThenElse(is_nan, x, finite) : finite;
  }
  if constexpr (Kind::codes == quantizer_rule::code::nearest_product) {
    const auto zero = hn::Zero(df);
    constexpr size_t kHalf = E::table.size() / 2;
    if (HWY_UNLIKELY(!clean)) {  // as code_of does
      auto least = hn::Abs(x);
      auto best = zero;
      for (size_t k = 1; k < E::table.size(); ++k) {
        const auto product = Rounded(hn::Mul(hn::Set(df, E::table[k]), scale));
        const auto distance = hn::Abs(hn::Sub(product, x));
        const auto nearer = hn::Lt(distance, least);
        least = hn::IfThenElse(nearer, distance, least);
        best = hn::IfThenElse(nearer, hn::Set(df, static_cast<float>(k)), best);
      }
      return best;
    }
    // The code as a number: how many midpoints lie below |x|, and 8 for the sign. The same code
    // where distances are exact: FarFromLevels.
    const auto size = hn::Abs(x);
    const auto one = hn::Set(df, 1.0f);
    auto c = zero;
    for (size_t k = 0; k + 1 < kHalf; ++k) {
      const auto middle = hn::Mul(hn::Set(df, (E::table[k] + E::table[k + 1]) * 0.5f), scale);
      c = hn::Add(c, hn::IfThenElseZero(hn::Gt(size, middle), one));
    }
    c = hn::IfThenZeroElse(hn::Eq(scale, zero), c);
    const auto negative = hn::And(hn::Lt(x, zero), hn::Gt(c, zero));
    return hn::Add(c, hn::IfThenElseZero(negative, hn::Set(df, static_cast<float>(kHalf))));
  } else if constexpr (detail::is_sign<E>) {
    return x;
  } else {
    auto y = x;
    if constexpr (kShift == shift_kind::offset || kShift == shift_kind::center) {
      y = hn::Sub(x, shift);
    } else if constexpr (kShift == shift_kind::minimum) {
      y = hn::Add(x, shift);
    }
    if (HWY_UNLIKELY(divide)) {
      const auto zero_scale = hn::Eq(scale, hn::Zero(df));
      y = hn::IfThenElse(zero_scale, hn::Mul(y, inverse), hn::Div(y, scale));
    } else {
      y = Rounded(hn::Mul(y, inverse));
    }
    if constexpr (kShift == shift_kind::zero) {
      if constexpr (Kind::integer_zero) y = hn::Round(y);
      y = hn::Add(y, shift);
    }
    if constexpr (Kind::codes == quantizer_rule::code::add_half) {
      y = hn::Add(y, hn::Set(df, static_cast<float>(E::bias) + 0.5f));
    }
    return y;
  }
}

/// 16 codes of levels fn(first index) -> Vec. kNumbers: none of them is NaN.
template <class Kind, bool kNumbers, class DF, class Fn>
HWY_INLINE Chunk LevelsToCodes(DF df, Fn&& fn) {
  using E = typename Kind::E;
  if constexpr (Kind::codes == quantizer_rule::code::element) {
    return EncodeChunk<E>(df, static_policy<Kind::round, overflow::saturate, kNumbers>(), fn);
  } else {
    // The level is the code already, but for its fraction and what lies outside.
    using Code = detail::unsigned_base<E::bits>;
    return EncodeChunk<Code>(
        df, static_policy<rounding::toward_zero, overflow::saturate, kNumbers>(), fn);
  }
}

/// Writes 16 codes, or the first `count` of them and padding, and steps on.
template <class E, Packing kPacking>
HWY_INLINE void PutCodes(Chunk c, size_t count, uint8_t* HWY_RESTRICT& codes) {
  const ChunkTag d;
  constexpr bool kByteCodes = E::bits == 8 || kPacking == Packing::kBytes;
  if (HWY_LIKELY(count == chunk_size)) {
    if constexpr (kByteCodes) {
      hn::StoreU(c, d, codes);
    } else {
      StorePlanar<E::bits>(c, codes);
    }
  } else {
    if constexpr (kByteCodes) {
      hn::StoreN(c, d, codes, count);
    } else {
      const auto there = hn::FirstN(d, count);
      StorePlanar<E::bits>(hn::IfThenElse(there, c, hn::Set(d, E::zero_code)), codes);
    }
  }
  codes += kByteCodes ? chunk_size : 2 * static_cast<size_t>(E::bits);
}

/// x[at .. at + Lanes) of `count` values, others 0.
template <class DF>
HWY_INLINE hn::Vec<DF> LoadLevels(DF df, const float* HWY_RESTRICT x, size_t at, size_t count) {
  if (HWY_LIKELY(count == chunk_size)) return hn::LoadU(df, x + at);
  return at < count ? hn::LoadN(df, x + at, count - at) : hn::Zero(df);
}

/// EncodeRow for blocks that end with chunks. kPlain: all values are finite and nothing is divided.
template <class Kind, Packing kPacking, bool kPlain>
HWY_INLINE void EncodeWholeChunks(const float* HWY_RESTRICT x, size_t n, size_t length,
                                  const float* HWY_RESTRICT scales,
                                  const float* HWY_RESTRICT inverses,
                                  const float* HWY_RESTRICT shifts, bool divide,
                                  uint8_t* HWY_RESTRICT codes) {
  const FloatTag df;
  constexpr bool kHasShift = Kind::shift != shift_kind::none;
  for (size_t i = 0; i < n;) {
    const auto scale = hn::Set(df, *scales++);
    const auto inverse = hn::Set(df, *inverses++);
    const auto shift = kHasShift ? hn::Set(df, *shifts++) : hn::Zero(df);
    const size_t end = length < n - i ? i + length : n;
    const auto put = [&](size_t count) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const auto level = [&](size_t p) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        return ToLevel<Kind>(df, LoadLevels(df, x + i, p, count), scale, inverse, shift,
                             !kPlain && divide, kPlain);
      };
      PutCodes<typename Kind::E, kPacking>(LevelsToCodes<Kind, kPlain>(df, level), count, codes);
    };
    for (; i + chunk_size <= end; i += chunk_size) {
      hwy::Prefetch(x + i + n);  // the next stretch, which is fitted after this loop
      put(chunk_size);
    }
    if (i < end) {
      put(end - i);
      i = end;
    }
  }
}

/// Codes of a stretch of a row: n values at x, blocks of `length`, the first one begins at x.
/// Padding of a last chunk is filled with codes of zero.
template <class Kind, Packing kPacking>
HWY_NOINLINE void EncodeRow(const float* HWY_RESTRICT x, size_t n, size_t length,
                            const float* HWY_RESTRICT scales, const float* HWY_RESTRICT inverses,
                            const float* HWY_RESTRICT shifts, bool divide, bool clean,
                            uint8_t* HWY_RESTRICT codes) {
  if (HWY_LIKELY(length % chunk_size == 0 || n <= length)) {
    if (HWY_LIKELY(clean && !divide)) {
      EncodeWholeChunks<Kind, kPacking, true>(x, n, length, scales, inverses, shifts, false, codes);
    } else {
      EncodeWholeChunks<Kind, kPacking, false>(x, n, length, scales, inverses, shifts, divide,
                                               codes);
    }
    return;
  }
  // Blocks end inside chunks: every lane has a scale of its own.
  const FloatTag df;
  HWY_ALIGN float lane_scale[chunk_size] = {};
  HWY_ALIGN float lane_inverse[chunk_size] = {};
  HWY_ALIGN float lane_shift[chunk_size] = {};
  for (size_t i = 0; i < n; i += chunk_size) {
    const size_t count = HWY_MIN(n - i, chunk_size);
    for (size_t j = 0; j < count; ++j) {
      const size_t b = (i + j) / length;
      lane_scale[j] = scales[b];
      lane_inverse[j] = inverses[b];
      if (Kind::shift != shift_kind::none) lane_shift[j] = shifts[b];
    }
    const auto level = [&](size_t p) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      return ToLevel<Kind>(df, LoadLevels(df, x + i, p, count), hn::Load(df, lane_scale + p),
                           hn::Load(df, lane_inverse + p), hn::Load(df, lane_shift + p), divide,
                           false);
    };
    PutCodes<typename Kind::E, kPacking>(LevelsToCodes<Kind, false>(df, level), count, codes);
  }
}

// --- search ----------------------------------------------------------------

/// Weighted squared error of a block under parameters p: 16 partial sums, by position in the row.
template <class Kind>
HWY_NOINLINE float BlockError(const BlockView& b, const detail::code_params& p, bool clean) {
  using E = typename Kind::E;
  const FloatTag df;
  const size_t N = hn::Lanes(df);
  HWY_ALIGN float sums[chunk_size] = {};
  const auto scale = hn::Set(df, p.scale);
  const auto inverse = hn::Set(df, p.inverse);
  const auto shift = hn::Set(df, p.shift);
  for (size_t r = 0; r < b.rows; ++r) {
    for (size_t c = 0; c < b.cols; c += chunk_size) {
      const float* HWY_RESTRICT x = b.x + r * b.stride + c;
      const size_t count = HWY_MIN(b.cols - c, chunk_size);
      HWY_ALIGN float values[chunk_size];
      for (size_t i = 0; i < chunk_size; i += N) {
        auto v = count == chunk_size ? hn::LoadU(df, x + i)
                 : i < count         ? hn::LoadN(df, x + i, count - i)
                                     : hn::Zero(df);
        if (HWY_UNLIKELY(!clean)) v = FiniteOrZero(df, v);
        hn::Store(v, df, values + i);
      }
      const auto codes = LevelsToCodes<Kind, true>(df, [&](size_t i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        return ToLevel<Kind>(df, hn::Load(df, values + i), scale, inverse, shift, p.divide, true);
      });
      DecodeChunk<E>(df, codes, [&](size_t i, auto level) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        if (i >= count) return;
        const auto got = ValueOf<Kind::shift>(level, scale, shift);
        auto e = hn::Sub(hn::Load(df, values + i), Rounded(got));
        auto weighted = e;
        if (b.importance != nullptr) {
          weighted = Rounded(hn::Mul(hn::LoadN(df, b.importance + c + i, count - i), e));
        }
        const auto sum = MulThenAdd(weighted, e, hn::Load(df, sums + i));
        const auto there = hn::FirstN(df, count - i);
        hn::Store(hn::IfThenElse(there, sum, hn::Load(df, sums + i)), df, sums + i);
      });
    }
  }
  std::array<float, chunk_size> parts;
  for (size_t i = 0; i < chunk_size; ++i) parts[i] = sums[i];
  return detail::sum_of_parts(parts);
}

/// Scale and range of one block under the options' rule; without `search` those that it starts at.
template <class F, class Rule>
HWY_INLINE detail::block_fit FitBlock(const BlockView& b, const quantize_options& o, bool& finite,
                                      bool search = true) {
  constexpr bool kRange = F::has_shift && F::shift_type::kind != shift_kind::center;
  // Fits that need nothing but the magnitude share one function.
  using fit = quantizer_rule::fit;
  constexpr fit kFit = Rule::value.how == fit::signed_absmax || Rule::value.how == fit::mean_abs
                           ? Rule::value.how
                           : fit::absmax;
  detail::block_stats stats = Statistics<kRange, kFit>(b, o);
  if constexpr (Rule::value.raw_scale && F::shift_type::kind == shift_kind::offset) {
    stats.minus_zero = stats.low == 0 && FirstZeroIsNegative(b);
  }
  finite = stats.finite;
  const detail::block_fit base = detail::fit_from_stats<F>(stats, Rule::value, o.rule, o.mx);
  if (HWY_LIKELY(!search || (o.rule != scale_rule::mse && o.rule != scale_rule::weighted))) {
    return base;
  }

  detail::block_fit best = base;
  float least = 0;
  for (int i = 0; i < detail::search_grid<F>::size; ++i) {
    const detail::block_fit f = detail::search_candidate<F>(base, i);
    const float error =
        BlockError<KindOf<F, Rule>>(b, detail::candidate_params<F>(f, o.divide), stats.finite);
    if (i == 0 || error < least) {
      least = error;
      best = f;
    }
  }
  return best;
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
