// SPDX-License-Identifier: Apache-2.0 OR MIT
// Quantizing a region of a matrix: fit every block, store the scales, read them back as stored,
// make the codes. Scales and shifts are matrices themselves and go through the same function one
// level down; what a region is, the entry decides (a stretch of a row where scales do not span
// rows).
//
// Per 64 bytes of input on AVX-512: absmax 1 load, 1 and, 1 max; codes 1 load, 1 multiply, 3-10 to
// round and clamp, 1-4 to pack, 1 store. A stretch is read from memory once and from L1 twice, so
// absmax formats are bound by reading x; MSE search costs 64 to 128 times the codes.
#if defined(NIBBLE_KERNEL_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_QUANTIZE_INL_H_
#undef NIBBLE_KERNEL_QUANTIZE_INL_H_
#else
#define NIBBLE_KERNEL_QUANTIZE_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "nibble/format/codes.h"
#include "nibble/kernel/dequantize-inl.h"
#include "nibble/kernel/gguf_search-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Sections = const basic_section<uint8_t>*;

/// A block of values: rows of `cols` values, `stride` apart, and the importance of each column.
struct BlockView {
  const float* x;
  size_t stride;
  size_t rows;
  size_t cols;
  const float* importance;  // or null
};

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
  if constexpr (Kind::codes == quantizer_rule::code::scaled_midpoints) {
    // The code as a number: how many midpoints lie below |x|, and 8 for the sign.
    const auto size = hn::Abs(x);
    const auto one = hn::Set(df, 1.0f);
    constexpr size_t kHalf = E::table.size() / 2;
    auto c = hn::Zero(df);
    for (size_t k = 0; k + 1 < kHalf; ++k) {
      const auto middle = hn::Mul(hn::Set(df, (E::table[k] + E::table[k + 1]) * 0.5f), scale);
      c = hn::Add(c, hn::IfThenElseZero(hn::Gt(size, middle), one));
    }
    c = hn::IfThenZeroElse(hn::Eq(scale, hn::Zero(df)), c);
    const auto negative = hn::And(hn::Lt(x, hn::Zero(df)), hn::Gt(c, hn::Zero(df)));
    return hn::Add(c, hn::IfThenElseZero(negative, hn::Set(df, static_cast<float>(kHalf))));
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

/// Scale and range of one block under the options' rule.
template <class F, class Rule>
HWY_INLINE detail::block_fit FitBlock(const BlockView& b, const quantize_options& o, bool& finite) {
  constexpr bool kRange = F::has_shift && F::shift_type::kind != shift_kind::center;
  // Fits that need nothing but the magnitude share one function.
  using fit = quantizer_rule::fit;
  constexpr fit kFit = Rule::value.how == fit::signed_absmax || Rule::value.how == fit::mean_abs
                           ? Rule::value.how
                           : fit::absmax;
  const detail::block_stats stats = Statistics<kRange, kFit>(b, o);
  finite = stats.finite;
  const detail::block_fit base = detail::fit_from_stats<F>(stats, Rule::value, o.rule, o.mx);
  if (HWY_LIKELY(o.rule != scale_rule::mse && o.rule != scale_rule::weighted)) return base;

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

// --- scales ----------------------------------------------------------------

/// Stores n values in element E; scales keep from zero as encode_scale does, unless raw.
template <class E, Packing kPacking>
HWY_NOINLINE void StoreElements(const float* HWY_RESTRICT v, size_t n, bool is_scale, bool raw,
                                uint8_t* HWY_RESTRICT out) {
  const FloatTag df;
  const bool keep = is_scale && !raw && detail::keeps_nonzero<E>;
  using Saturating = static_policy<>;
  using Raw = static_policy<rounding::nearest_even, overflow::to_special>;
  using Up = static_policy<rounding::away_from_zero>;
  if constexpr (sizeof(typename E::code) == 1) {
    const ChunkTag d;
    constexpr bool kByteCodes = E::bits == 8 || kPacking == Packing::kBytes;
    for (size_t i = 0; i < n; i += chunk_size) {
      const size_t count = HWY_MIN(n - i, chunk_size);
      const auto load = [&](size_t p) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        if (HWY_LIKELY(count == chunk_size)) return hn::LoadU(df, v + i + p);
        return p < count ? hn::LoadN(df, v + i + p, count - p) : hn::Zero(df);
      };
      auto codes = raw ? EncodeChunk<E>(df, Raw(), load) : EncodeChunk<E>(df, Saturating(), load);
      if constexpr (detail::keeps_nonzero<E>) {
        const auto zero = hn::Eq(hn::And(codes, hn::Set(d, uint8_t{0x7F})), hn::Zero(d));
        if (keep && !hn::AllFalse(d, zero)) {
          codes = hn::IfThenElse(zero, EncodeChunk<E>(df, Up(), load), codes);
        }
      }
      if constexpr (kByteCodes) {
        if (HWY_LIKELY(count == chunk_size)) {
          hn::StoreU(codes, d, out + i);
        } else {
          hn::StoreN(codes, d, out + i, count);
        }
      } else {
        codes = hn::IfThenElse(hn::FirstN(d, count), codes, hn::Set(d, E::zero_code));
        StorePlanar<E::bits>(codes, out + i / chunk_size * 2 * E::bits);
      }
    }
  } else {
    using Code = typename E::code;
    const hn::Rebind<Code, FloatTag> dc;
    const hn::Repartition<uint8_t, decltype(dc)> du8;
    const size_t N = hn::Lanes(df);
    for (size_t i = 0; i < n; i += N) {
      const size_t count = HWY_MIN(n - i, N);
      const auto x = count == N ? hn::LoadU(df, v + i) : hn::LoadN(df, v + i, count);
      auto codes =
          raw ? EncodeWideVector<E>(df, Raw(), x) : EncodeWideVector<E>(df, Saturating(), x);
      if constexpr (detail::keeps_nonzero<E>) {
        const auto magnitude = hn::And(codes, hn::Set(dc, static_cast<Code>(E::sign_mask - 1)));
        const auto zero = hn::Eq(magnitude, hn::Zero(dc));
        if (keep && !hn::AllFalse(dc, zero)) {
          codes = hn::IfThenElse(zero, EncodeWideVector<E>(df, Up(), x), codes);
        }
      }
      const auto bytes = hn::BitCast(du8, codes);
      if (HWY_LIKELY(count == N)) {
        hn::StoreU(bytes, du8, out + i * sizeof(Code));
      } else {
        hn::StoreN(bytes, du8, out + i * sizeof(Code), count * sizeof(Code));
      }
    }
  }
}

/// Scratch for the floats of a region; sizes as in detail::region_floats.
struct Scratch {
  float* next;
  HWY_INLINE float* Take(size_t n) {
    float* p = next;
    next += detail::padded(n);
    return p;
  }
};

template <class F, class Rule, Packing kPacking>
HWY_NOINLINE const float* QuantizeRegion(const BlockView& x, Sections s, const quantize_options& o,
                                         Scratch scratch, quantize_report* report);

/// Stores a matrix of scales or shifts, then overwrites it with what was stored.
template <class S, Packing kPacking>
HWY_INLINE void StoreAndRead(float* v, size_t rows, size_t cols, bool is_scale, bool raw,
                             Sections s, Scratch scratch, quantize_report* report) {
  basic_section<const uint8_t> read[num_sections<S>];
  for (size_t i = 0; i < num_sections<S>; ++i) read[i] = s[i];
  if constexpr (element<S>) {
    for (size_t r = 0; r < rows; ++r) {
      StoreElements<S, kPacking>(v + r * cols, cols, is_scale, raw, s->data + r * s->stride);
    }
  } else {
    QuantizeRegion<S, RuleOf<S>, kPacking>({v, cols, rows, cols, nullptr}, s, {}, scratch, report);
  }
  HWY_ALIGN float row[kRun];
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; c += kRun) {
      const size_t n = HWY_MIN(cols - c, kRun);
      ReadRow<S, kPacking>(read, cols, r, c, n, row, false);
      float* HWY_RESTRICT to = v + r * cols + c;
      if constexpr (element<S>) {
        if (HWY_UNLIKELY(report != nullptr && is_scale)) {
          for (size_t i = 0; i < n; ++i) detail::count_scale<S>(to[i], row[i], *report);
        }
      }
      std::memcpy(to, row, n * sizeof(float));
    }
  }
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
/// otherwise special; then each is fitted alone.
template <bool kRange, quantizer_rule::fit kFit>
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
        const auto some = hn::Gt(amax, zero);
        const auto inv = hn::IfThenElseZero(some, hn::Div(divisor, extreme));
        hn::StoreU(inv, df, inverse);
        hn::StoreU(hn::IfThenElseZero(hn::Ne(inv, zero), hn::Div(hn::Set(df, 1.0f), inv)), df,
                   scale);
        return true;
      }
      s = hn::Div(extreme, divisor);
    }
  } else if constexpr (kFit == fit::power_of_two) {
    const auto field = hn::Sub(hn::BitCast(di, hn::ShiftRight<23>(amax_bits)),
                               hn::Set(di, static_cast<int32_t>(rule.divisor)));
    const auto none = hn::Zero(di);
    const auto low_end =
        hn::IfThenElse(hn::Eq(field, none), hn::Set(di, 0x00400000), hn::Set(di, 0x00200000));
    const auto bits = hn::IfThenElse(hn::Gt(field, none), hn::ShiftLeft<23>(field), low_end);
    s = hn::IfThenElseZero(hn::Ne(amax, zero), hn::BitCast(df, bits));
  } else {
    s = hn::Div(amax, divisor);
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

// --- the region ------------------------------------------------------------

/// Quantizes the matrix x into the sections at s. Returns the scales as computed.
template <class F, class Rule, Packing kPacking>
HWY_NOINLINE const float* QuantizeRegion(const BlockView& x, Sections s, const quantize_options& o,
                                         Scratch scratch, quantize_report* report) {
  using S = typename F::scale_format;
  using Z = typename F::shift_format;
  constexpr shift_kind kShift = F::shift_type::kind;
  constexpr quantizer_rule kRule = Rule::value;
  const size_t total_rows = F::shape.flat ? 1 : x.rows;
  const size_t total_cols = F::shape.flat ? x.rows * x.cols : x.cols;  // flat: x is contiguous
  const extent shape = F::shape.flat ? extent(F::shape.cols) : F::shape;
  const grid_shape grid = shape.grid(total_rows, total_cols);
  const size_t num_blocks = grid.rows * grid.cols;
  float* scale = scratch.Take(num_blocks);
  float* computed = scratch.Take(num_blocks);
  float* inverse = scratch.Take(num_blocks);
  float* low = scratch.Take(F::has_shift ? num_blocks : 0);
  float* shift = scratch.Take(F::has_shift ? num_blocks : 0);

  // Centred blocks: the mean of everything, then the distances from it.
  BlockView values = x;
  if constexpr (kShift == shift_kind::center) {
    static_assert(F::shift_shape == whole_tensor, "nibble: a centre is one per tensor");
    double sum = 0;
    for (size_t r = 0; r < x.rows; ++r) {
      for (size_t c = 0; c < x.cols; ++c) {
        const float v = x.x[r * x.stride + c];
        sum += detail::is_finite(v) ? static_cast<double>(v) : 0.0;
      }
    }
    HWY_ALIGN float mean[chunk_size] = {
        static_cast<float>(sum / static_cast<double>(x.rows * x.cols))};
    StoreAndRead<Z, kPacking>(mean, 1, 1, false, false, s + 1 + num_sections<S>, scratch, report);
    float* centred = scratch.Take(x.rows * x.cols);
    for (size_t r = 0; r < x.rows; ++r) {
      for (size_t c = 0; c < x.cols; ++c) {
        const float v = x.x[r * x.stride + c];
        centred[r * x.cols + c] = detail::is_finite(v) ? v - mean[0] : v;
      }
    }
    for (size_t i = 0; i < num_blocks; ++i) shift[i] = mean[0];
    values.x = centred;
    values.stride = x.cols;
  }

  // 1. Scales, as computed.
  bool clean = true;
  constexpr bool kRange = F::has_shift && kShift != shift_kind::center;
  const bool many = o.rule == scale_rule::standard && o.mx == mx_scale::floor;
  for (size_t gr = 0; gr < grid.rows; ++gr) {
    const size_t r = shape.rows == all ? 0 : gr * shape.rows;
    const size_t block_rows = shape.rows == all ? total_rows : HWY_MIN(shape.rows, total_rows - r);
    for (size_t gc = 0; gc < grid.cols; ++gc) {
      const size_t c = shape.cols == all ? 0 : gc * shape.cols;
      if constexpr (HasFitMany<F, Rule>()) {
        const size_t N = hn::Lanes(FloatTag());
        const size_t i = gr * grid.cols + gc;
        if (many && c + N * shape.cols <= total_cols &&
            FitMany<kRange, kRule.how>(values.x + r * values.stride + c, shape.cols, kRule,
                                       scale + i, inverse + i, low + i)) {
          std::memcpy(computed + i, scale + i, N * sizeof(float));
          gc += N - 1;
          continue;
        }
      }
      const size_t block_cols =
          shape.cols == all ? total_cols : HWY_MIN(shape.cols, total_cols - c);
      const BlockView b{values.x + r * values.stride + c, values.stride, block_rows, block_cols,
                        o.rule == scale_rule::weighted ? x.importance + c : nullptr};
      bool finite;
      const detail::block_fit f = FitBlock<F, Rule>(b, o, finite);
      const size_t i = gr * grid.cols + gc;
      scale[i] = f.scale;
      computed[i] = f.scale;
      inverse[i] = f.inverse;
      if (F::has_shift && kShift != shift_kind::center) low[i] = f.low;
      if (HWY_UNLIKELY(!finite)) {
        clean = false;
        if (report != nullptr) ++report->non_finite;
      }
    }
  }

  // 2. As stored.
  StoreAndRead<S, kPacking>(scale, grid.rows, grid.cols, true, kRule.raw_scale, s + 1, scratch,
                            report);
  if (kRule.stored_scale) Inverses(scale, num_blocks, inverse);

  // 3. Shifts, from the scales that codes are made with.
  if constexpr (F::has_shift && kShift != shift_kind::center) {
    Shifts<F>(low, kRule.stored_scale ? scale : computed, inverse, num_blocks, shift);
    if (!kRule.stored_scale) std::memcpy(low, shift, num_blocks * sizeof(float));
    StoreAndRead<Z, kPacking>(shift, grid.rows, grid.cols, false, kRule.raw_scale,
                              s + 1 + num_sections<S>, scratch, report);
    if (!kRule.stored_scale) shift = low;
  }

  // 4. Codes.
  for (size_t r = 0; r < total_rows; ++r) {
    const size_t g = (shape.rows == all ? 0 : r / shape.rows) * grid.cols;
    EncodeRow<KindOf<F, Rule>, kPacking>(x.x + r * x.stride, total_cols, shape.cols, scale + g,
                                         inverse + g, F::has_shift ? shift + g : nullptr, o.divide,
                                         clean, s->data + r * s->stride);
  }
  return computed;
}

// --- wire records ----------------------------------------------------------

/// Packs one section of a record from an array that holds one code per byte, or a wider one.
template <class F, size_t kSection, size_t kCount, class Element>
HWY_INLINE void PackSection(const uint8_t* HWY_RESTRICT codes, uint8_t* HWY_RESTRICT record) {
  if constexpr (kCount == 1) {
    std::memcpy(record + F::layout::locate(kSection, 0).pieces[0].byte, codes,
                sizeof(typename Element::code));
  } else {
    StoreSection<typename F::layout, kSection, kCount>(codes, record);
  }
}

/// Buffers for the sections of the records that are quantized at a time.
template <class F>
struct WireBuffers {
  static constexpr size_t kRecords =
      HWY_MAX(size_t{1}, HWY_MIN(WireScales<F>::kRecords, 1024 / F::block_values));
  HWY_ALIGN uint8_t codes[kRecords * F::block_values + chunk_size];
  HWY_ALIGN uint8_t scales[WireScales<F>::kSections][WireScales<F>::kBytes];
  basic_section<uint8_t> parts[WireScales<F>::kSections];
  HWY_ALIGN float scratch[detail::region_floats<typename F::meaning>(1, kRecords* F::block_values)];

  HWY_INLINE WireBuffers() {
    for (size_t s = 0; s < WireScales<F>::kSections; ++s) parts[s] = {scales[s], 0};
    parts[0].data = codes;
  }
};

/// Writes `count` records from the buffers.
template <class F>
HWY_INLINE void PackRecords(const WireBuffers<F>& b, size_t count, const float* computed,
                            uint8_t* HWY_RESTRICT record) {
  using M = typename F::meaning;
  using W = WireScales<F>;
  for (size_t i = 0; i < count; ++i, record += F::block_bytes) {
    const uint8_t* codes = b.codes + i * F::block_values;
    std::memset(record, 0, F::block_bytes);
    PackSection<F, 0, F::block_values, typename M::element>(codes, record);
    const auto pack = [&]<class E, size_t kSection, size_t kCount>() HWY_ATTR NIBBLE_INLINE_LAMBDA {
      PackSection<F, kSection, kCount, E>(
          b.scales[kSection] + i * kCount * sizeof(typename E::code), record);
    };
    ForEachScalePart<typename M::scale_format, 1, W::kBlocks>(pack);
    ForEachScalePart<typename M::shift_format, 1 + num_sections<typename M::scale_format>,
                     W::kBlocks>(pack);
    if constexpr (requires { F::layout::finish(record, codes, computed); }) {
      F::layout::finish(record, codes, computed + i * W::kBlocks);
    }
  }
}

/// Where a searched block holds the codes of a section of its record: detail::search_field in
/// bytes.
template <class F, size_t kSection, class Block>
HWY_INLINE const uint8_t* SearchedSection(const Block& b) {
  constexpr bool kTwoLevels = block_format<typename F::meaning::scale_format>;
  if constexpr (kSection == 0) {
    return b.codes;
  } else if constexpr (kTwoLevels && kSection == 1) {
    return b.scales;
  } else if constexpr (kTwoLevels && kSection == 3) {
    return b.mins;
  } else if constexpr (kSection == (kTwoLevels ? 2 : 1)) {
    return reinterpret_cast<const uint8_t*>(&b.d);
  } else {
    return reinterpret_cast<const uint8_t*>(&b.dmin);
  }
}

/// Quantizes a matrix by the search of the format's original, as many records at a time as fill all
/// lanes: from any rows, or from one row where its importance counts.
template <class F, class Search>
HWY_NOINLINE void QuantizeBySearch(const detail::quantize_args& a, const float* importance) {
  using M = typename F::meaning;
  using W = WireScales<F>;
  constexpr size_t kBatch = kSearchBatch<Search>;
  constexpr size_t kValues = F::block_values;
  HWY_ALIGN float x[kBatch * kValues];
  HWY_ALIGN float weights[kBatch * kValues];
  typename Search::block blocks[kBatch];
  uint8_t* records[kBatch];
  size_t filled = 0;
  for (size_t r = 0; r < a.rows; ++r) {
    const float* HWY_RESTRICT row = a.x + r * a.stride;
    const float mean_square = importance != nullptr ? detail::row_mean_square(row, a.cols) : 0.0f;
    for (size_t c = 0; c < a.cols; c += kValues) {
      const size_t count = HWY_MIN(a.cols - c, kValues);
      float* HWY_RESTRICT to = x + filled * kValues;
      std::memcpy(to, row + c, count * sizeof(float));
      std::memset(to + count, 0, (kValues - count) * sizeof(float));
      if (HWY_UNLIKELY(LargestBits({to, kValues, 1, kValues, nullptr}) >= detail::f32_inf)) {
        if (a.report != nullptr) ++a.report->non_finite;
        for (size_t i = 0; i < kValues; ++i) to[i] = detail::is_finite(to[i]) ? to[i] : 0.0f;
      }
      if (importance != nullptr) {
        float* HWY_RESTRICT w = weights + filled * kValues;
        std::memcpy(w, importance + c, count * sizeof(float));
        std::memset(w + count, 0, (kValues - count) * sizeof(float));
      }
      records[filled++] = a.sections->data + r * a.sections->stride + c / kValues * F::block_bytes;

      const bool row_ends = c + kValues >= a.cols;
      const bool last = row_ends && (importance != nullptr || r + 1 == a.rows);
      if (filled < kBatch && !last) continue;
      FitBlocks<Search>(x, filled, filled, importance != nullptr ? weights : nullptr, &mean_square,
                        blocks);
      for (size_t i = 0; i < filled; ++i) {
        std::memset(records[i], 0, F::block_bytes);
        const auto pack = [&]<class E, size_t kSection, size_t kCount>() HWY_ATTR {
          PackSection<F, kSection, kCount, E>(SearchedSection<F, kSection>(blocks[i]), records[i]);
        };
        pack.template operator()<typename M::element, 0, kValues>();
        ForEachScalePart<typename M::scale_format, 1, W::kBlocks>(pack);
        ForEachScalePart<typename M::shift_format, 1 + num_sections<typename M::scale_format>,
                         W::kBlocks>(pack);
      }
      filled = 0;
    }
  }
}

/// Quantizes a row of records as their meaning, some at a time, and packs them.
template <class F, class Rule>
HWY_NOINLINE void QuantizeWireRow(const float* HWY_RESTRICT x, size_t n, const float* importance,
                                  const quantize_options& o, quantize_report* report,
                                  uint8_t* HWY_RESTRICT row) {
  using M = typename F::meaning;
  WireBuffers<F> b;
  constexpr size_t kValues = F::block_values;
  HWY_ALIGN float rest[kValues];
  HWY_ALIGN float rest_importance[kValues];
  for (size_t i = 0; i < n;) {
    // Whole records, then a padded rest.
    size_t records = HWY_MIN((n - i) / kValues, WireBuffers<F>::kRecords);
    const float* from = x + i;
    const float* weights = importance != nullptr ? importance + i : nullptr;
    if (records == 0) {
      records = 1;
      for (size_t j = 0; j < kValues; ++j) {
        rest[j] = i + j < n ? x[i + j] : 0.0f;
        rest_importance[j] = importance != nullptr && i + j < n ? importance[i + j] : 0.0f;
      }
      from = rest;
      if (importance != nullptr) weights = rest_importance;
    }
    const size_t count = records * kValues;
    const float* computed = QuantizeRegion<M, Rule, Packing::kBytes>(
        {from, count, 1, count, weights}, b.parts, o, Scratch{b.scratch}, report);
    PackRecords<F>(b, records, computed, row);
    row += records * F::block_bytes;
    i += HWY_MIN(count, n - i);
  }
}

// --- entry -----------------------------------------------------------------

/// Moves section pointers to value (r, c) of a matrix whose scales do not span rows.
template <class F>
HWY_INLINE void MoveSections(Sections from, size_t r, size_t c, basic_section<uint8_t>* to) {
  if constexpr (element<F>) {
    const size_t bytes = F::bits >= 8 ? c * sizeof(typename F::code)
                                      : c / chunk_size * 2 * static_cast<size_t>(F::bits);
    *to = {from->data + r * from->stride + bytes, from->stride};
  } else {
    using S = typename F::scale_format;
    MoveSections<typename F::element>(from, r, c, to);
    const size_t block = F::shape.cols == all ? 0 : c / F::shape.cols;
    MoveSections<S>(from + 1, r, block, to + 1);
    if constexpr (F::has_shift) {
      MoveSections<typename F::shift_format>(from + 1 + num_sections<S>, r, block,
                                             to + 1 + num_sections<S>);
    }
  }
}

template <class F>
HWY_NOINLINE void QuantizeKernel(const detail::quantize_args& a) {
  const quantize_options& o = *a.options;
  const bool weighted = o.rule == scale_rule::weighted;
  if constexpr (element<F>) {
    for (size_t r = 0; r < a.rows; ++r) {
      StoreElements<F, Packing::kPacked>(a.x + r * a.stride, a.cols, false, false,
                                         a.sections->data + r * a.sections->stride);
    }
  } else if constexpr (wire_format<F>) {
    const float* importance = weighted ? o.importance.data() : nullptr;
    if constexpr (requires { typename F::weighted_search_type; }) {
      if (weighted) return QuantizeBySearch<F, typename F::weighted_search_type>(a, importance);
    }
    if constexpr (requires { typename F::search_type; }) {
      if (o.rule == scale_rule::standard) {
        return QuantizeBySearch<F, typename F::search_type>(a, nullptr);
      }
    }
    for (size_t r = 0; r < a.rows; ++r) {
      const float* x = a.x + r * a.stride;
      uint8_t* row = a.sections->data + r * a.sections->stride;
      if constexpr (requires { F::rule; }) {
        if (o.rule == scale_rule::standard) {
          QuantizeWireRow<F, RuleOf<F>>(x, a.cols, nullptr, o, a.report, row);
          continue;
        }
      }
      QuantizeWireRow<F, RuleOf<typename F::meaning>>(x, a.cols, importance, o, a.report, row);
    }
  } else {
    const size_t stretch = detail::stretch_cols<F>(a.cols);
    if (stretch == 0) {
      if (a.rows == 0 || a.cols == 0) return;
      QuantizeRegion<F, RuleOf<F>, Packing::kPacked>(
          {a.x, a.stride, a.rows, a.cols, weighted ? o.importance.data() : nullptr}, a.sections, o,
          Scratch{a.scratch}, a.report);
      return;
    }
    basic_section<uint8_t> parts[num_sections<F>];
    for (size_t r = 0; r < a.rows; ++r) {
      for (size_t c = 0; c < a.cols; c += stretch) {
        MoveSections<F>(a.sections, r, c, parts);
        const float* importance = weighted ? o.importance.data() + c : nullptr;
        QuantizeRegion<F, RuleOf<F>, Packing::kPacked>(
            {a.x + r * a.stride + c, a.stride, 1, HWY_MIN(stretch, a.cols - c), importance}, parts,
            o, Scratch{a.scratch}, a.report);
      }
    }
  }
}

/// Is every value finite? A template as the dispatch table wants one.
template <class T>
HWY_NOINLINE bool AllFiniteKernel(const T* x, size_t stride, size_t rows, size_t cols) {
  for (size_t r = 0; r < rows; ++r) {
    if (LargestBits({x + r * stride, stride, 1, cols, nullptr}) >= detail::f32_inf) return false;
  }
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
