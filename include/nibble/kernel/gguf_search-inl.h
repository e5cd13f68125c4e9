// SPDX-License-Identifier: Apache-2.0 OR MIT
// The searching GGUF quantizers in vectors: gguf::search_fit for as many blocks as there are lanes,
// with the same bytes.
//
//   blocks in memory            in the kernel
//   block 0:  x0 x1 x2 ...      value 0:  lane 0, lane 1, ... lane N-1     N blocks at a time; the
//   block 1:  x0 x1 x2 ...      value 1:  lane 0, ...                      last group repeats its
//   ...                         ...                                        last block
//
// Every step of search_fit is then the same step on vectors. Compute bound: a value of Q4_K costs
// 22 candidates x 18 operations, so the transposes (under one operation per value) do not count.
#if defined(NIBBLE_KERNEL_GGUF_SEARCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GGUF_SEARCH_INL_H_
#undef NIBBLE_KERNEL_GGUF_SEARCH_INL_H_
#else
#define NIBBLE_KERNEL_GGUF_SEARCH_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "nibble/format/gguf_search.h"
#include "nibble/kernel/affine_search-inl.h"
#include "nibble/kernel/arith-inl.h"
#include "nibble/kernel/book_search-inl.h"
#include "nibble/kernel/lanes-inl.h"
#include "nibble/kernel/scale_search-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class DF>
HWY_INLINE hn::Vec<DF> SumOfSquares(DF df, const float* HWY_RESTRICT x, size_t n) {
  auto sum = hn::Zero(df);
  for (size_t i = 0; i < n; ++i) {
    const auto v = hn::Load(df, x + i * hn::Lanes(df));
    sum = MulThenAdd(v, v, sum);
  }
  return sum;
}

/// What differs between types of one shape, so that these share a kernel.
struct SearchPlan {
  bool weighted;
  float max_code;
  affine_plan affine;
};

/// Everything that one pass over some blocks needs. A unit is a vector of blocks of sub_values:
/// unit s holds sub-block s of N blocks or, for types without sub-blocks, N more blocks. Units are
/// searched `chunk` at a time, so that their chains of additions overlap.
template <class Type, size_t kLanes>
struct SearchScratch {
  static constexpr bool has_subs = Type::num_sub > 1;
  static constexpr size_t n = Type::sub_values;
  static constexpr size_t num_units = has_subs ? Type::num_sub : 4;
  static constexpr size_t chunk = 4;
  static constexpr size_t blocks_per_lane = has_subs ? 1 : num_units;

  const float* rows[num_units * kLanes];        ///< where the values of each unit's lane are
  const float* importance[num_units * kLanes];  ///< the same; unset if there is none
  HWY_ALIGN float mean_squares[num_units * kLanes];
  HWY_ALIGN float x[num_units * n * kLanes];
  HWY_ALIGN float w[chunk * n * kLanes];
  HWY_ALIGN float codes[chunk * n * kLanes];
  HWY_ALIGN uint32_t words[num_units * n / 4 * kLanes];
  // By unit. Scales and mins follow each other; so do two copies of the sums of weights.
  HWY_ALIGN float scales[2 * num_units * kLanes];
  HWY_ALIGN float scale_codes[2 * num_units * kLanes];
  HWY_ALIGN float sums[2 * num_units * kLanes];
  // By unit if those are blocks, else by lane.
  HWY_ALIGN float d[2 * num_units * kLanes];
  static constexpr size_t mins = num_units;
  static constexpr size_t dmin = blocks_per_lane;
};

/// gguf::detail::search_weights. `w` holds the importance if there is any. Returns the sum.
template <class Type, class DF, class V = hn::Vec<DF>>
HWY_INLINE V SearchWeights(DF df, const float* HWY_RESTRICT x, bool weighted, V sigma2,
                           float* HWY_RESTRICT w) {
  using gguf::search::plain;
  using gguf::search::spread;
  constexpr size_t n = Type::sub_values;
  const size_t N = hn::Lanes(df);
  auto rms = hn::Zero(df);
  if (Type::weight == plain::magnitude_and_rms && !weighted) {
    rms = hn::Sqrt(hn::Mul(SumOfSquares(df, x, n), hn::Set(df, 1.0f / n)));
  }
  auto sum = hn::Zero(df);
  for (size_t i = 0; i < n; ++i) {
    const auto v = hn::Load(df, x + i * N);
    auto weight = Type::weight == plain::square ? Rounded(hn::Mul(v, v)) : hn::Add(rms, hn::Abs(v));
    if (weighted) {
      weight = hn::Load(df, w + i * N);
      if constexpr (Type::sigma != spread::none) {
        weight = Rounded(hn::Mul(weight, hn::Sqrt(MulThenAdd(v, v, sigma2))));
      }
    }
    hn::Store(weight, df, w + i * N);
    sum = hn::Add(sum, weight);
  }
  return sum;
}

/// gguf::detail::search_sigma2 of a unit.
template <class Type, class DF, class Scratch>
HWY_INLINE hn::Vec<DF> SearchSigma2(DF df, const Scratch& scratch, size_t unit) {
  using gguf::search::spread;
  if constexpr (Type::sigma == spread::none) return hn::Zero(df);
  if constexpr (Type::sigma == spread::row) {
    return hn::Load(df, scratch.mean_squares + unit * hn::Lanes(df));
  }
  constexpr float factor = Type::sigma == spread::block ? 1.0f : 2.0f;
  const size_t at = Scratch::has_subs ? 0 : unit * Scratch::n * hn::Lanes(df);
  const auto sum = SumOfSquares(df, scratch.x + at, Type::values);
  return Rounded(hn::Mul(sum, hn::Set(df, factor / Type::values)));
}

/// Steps 1 and 2 for `count` units from `unit`: scales, mins, sums and the codes of the search.
template <class Type, class DF, class Scratch>
HWY_INLINE void SearchChunk(DF df, const SearchPlan& plan, size_t unit, size_t count,
                            Scratch& scratch) {
  using gguf::search::kind;
  constexpr size_t n = Scratch::n;
  const float max = plan.max_code;
  const size_t N = hn::Lanes(df);
  const float* HWY_RESTRICT w = scratch.w;
  float* HWY_RESTRICT codes = scratch.codes;
  float* HWY_RESTRICT scales = scratch.scales + unit * N;
  const auto values = [&](size_t u) HWY_ATTR { return scratch.x + (unit + u) * n * N; };
  const auto words = [&](size_t u) HWY_ATTR { return scratch.words + (unit + u) * (n / 4) * N; };
  const auto none = hn::MaskFalse(df);

  if constexpr (Type::how == kind::affine) {
    AffineState<DF> states[Scratch::chunk];
    FitAffine(df, values(0), w, n, count, max, plan.affine, codes, states);
    for (size_t u = 0; u < count; ++u) {
      const AffineState<DF>& state = states[u];
      const auto inverse = hn::Load(df, state.inverse);
      const auto origin = hn::Load(df, state.origin);
      const auto code = [&](size_t i) HWY_ATTR {
        const auto v = hn::Mul(inverse, hn::Sub(hn::Load(df, values(u) + i * N), origin));
        return ClampedInteger(df, v, hn::Zero(df), hn::Set(df, max));
      };
      PackCodes(df, n, none, code, words(u));
      hn::Store(hn::Load(df, state.scale), df, scales + u * N);
      hn::Store(hn::Neg(hn::Load(df, state.low)), df, scales + (Scratch::mins + u) * N);
    }
  } else if constexpr (Type::how == kind::book) {
    for (size_t u = 0; u < count; ++u) {
      FitBook<iq4_nl>(df, values(u), w + u * n * N, n, scales + u * N);
    }
  } else if (Type::sweeps && !plan.weighted) {
    FitBySweeps<Scratch::chunk>(df, values(0), w, n, max, codes, scales);
    for (size_t u = 0; u < count; ++u) {
      const auto code = [&](size_t i) HWY_ATTR {
        return hn::Add(hn::Load(df, codes + (u * n + i) * N), hn::Set(df, max));
      };
      PackCodes(df, n, none, code, words(u));
    }
  } else {
    for (size_t u = 0; u < count; ++u) {
      FitSymmetric(df, values(u), w + u * n * N, n, max, scales + u * N, codes);
      const auto inverse = hn::Load(df, codes);
      const auto code = [&](size_t i) HWY_ATTR {
        const auto v = hn::Mul(inverse, hn::Load(df, values(u) + i * N));
        return hn::Add(LinearLevels{-max, max - 1}(df, v), hn::Set(df, max));
      };
      PackCodes(df, n, none, code, words(u));
    }
  }
}

/// gguf::detail::plain_scales.
template <class Type, class DF>
HWY_INLINE hn::Vec<DF> PlainScales(DF df, const float* HWY_RESTRICT s, float* HWY_RESTRICT codes) {
  const size_t N = hn::Lanes(df);
  const auto zero = hn::Zero(df);
  const auto max = hn::Set(df, Type::max_scale);
  auto high = zero;
  for (size_t i = 0; i < Type::num_sub; ++i) {
    const auto v = hn::Load(df, s + i * N);
    high = hn::IfThenElse(hn::Gt(v, high), v, high);
  }
  const auto inverse = hn::IfThenElseZero(hn::Gt(high, zero), hn::Div(max, high));
  for (size_t i = 0; i < Type::num_sub; ++i) {
    const auto v = hn::Mul(inverse, hn::Load(df, s + i * N));
    hn::Store(ClampedInteger(df, v, zero, max), df, codes + i * N);
  }
  return hn::Div(high, max);
}

/// gguf::detail::store_scales of the types whose scales have a sign.
template <class Type, class DF>
HWY_INLINE hn::Vec<DF> SignedScales(DF df, bool weighted, const float* HWY_RESTRICT s,
                                    const float* HWY_RESTRICT sums, float* HWY_RESTRICT codes) {
  constexpr float max = Type::max_scale;
  const size_t N = hn::Lanes(df);
  hn::Vec<DF> d, inverse;
  auto flat = hn::MaskFalse(df);
  if (Type::sweeps && weighted) {
    FitSymmetric(df, s, sums, Type::num_sub, max, codes, codes + N);
    d = hn::Load(df, codes);
    inverse = hn::Load(df, codes + N);
  } else {
    const auto extreme = ExtremeOf(df, s, Type::num_sub);
    const auto amax = hn::Abs(extreme);
    inverse = hn::Div(hn::Set(df, -max), extreme);
    if constexpr (Type::how == gguf::search::kind::book) {
      d = hn::Div(hn::Neg(extreme), hn::Set(df, max));
      flat = hn::Eq(d, hn::Zero(df));
      inverse = hn::Div(hn::Set(df, 1.0f), d);
    } else {
      flat = max == 128 ? hn::Not(hn::Ge(amax, hn::Set(df, search_epsilon)))
                        : hn::Not(hn::Gt(amax, hn::Zero(df)));
      d = hn::IfThenZeroElse(flat, hn::Div(hn::Set(df, 1.0f), inverse));
    }
  }
  const auto flat_code = hn::Set(df, Type::sweeps ? -max : 0.0f);
  const LinearLevels levels{-max, max - 1};
  for (size_t i = 0; i < Type::num_sub; ++i) {
    const auto code = levels(df, hn::Mul(inverse, hn::Load(df, s + i * N)));
    hn::Store(hn::IfThenElse(flat, flat_code, code), df, codes + i * N);
  }
  return d;
}

/// Step 3, the scales: d, dmin and the codes of scales and mins.
template <class Type, class DF, class Scratch>
HWY_INLINE void StoreScales(DF df, bool weighted, Scratch& scratch) {
  constexpr size_t units = Scratch::num_units;
  const size_t N = hn::Lanes(df);
  float* HWY_RESTRICT scales = scratch.scales;
  float* HWY_RESTRICT codes = scratch.scale_codes;
  const size_t mins = Scratch::mins * N;
  const size_t dmin = Scratch::dmin * N;
  constexpr bool affine = Type::how == gguf::search::kind::affine;
  if constexpr (!Scratch::has_subs) {
    for (size_t i = 0; i < units * N; ++i) {
      scratch.d[i] = scales[i];
      scratch.d[dmin + i] = affine ? -scales[mins + i] : 0.0f;
    }
  } else if constexpr (!affine) {
    hn::Store(SignedScales<Type>(df, weighted, scales, scratch.sums, codes), df, scratch.d);
    hn::Store(hn::Zero(df), df, scratch.d + dmin);
  } else if (weighted) {
    std::memcpy(scratch.sums + units * N, scratch.sums, units * N * sizeof(float));
    FitNonnegative<2>(df, scales, scratch.sums, units, Type::max_scale, codes, scratch.d);
  } else {
    hn::Store(PlainScales<Type>(df, scales, codes), df, scratch.d);
    hn::Store(PlainScales<Type>(df, scales + mins, codes + mins), df, scratch.d + dmin);
  }
}

/// Step 3, the codes of one unit, from d (and dmin) as they will be read.
template <class Type, class DF, class Scratch>
HWY_INLINE void StoreCodes(DF df, float max, size_t unit, Scratch& scratch) {
  using gguf::search::kind;
  constexpr size_t n = Scratch::n;
  const size_t N = hn::Lanes(df);
  const size_t block = Scratch::has_subs ? 0 : unit * N;
  const float* HWY_RESTRICT x = scratch.x + unit * n * N;
  uint32_t* HWY_RESTRICT words = scratch.words + unit * (n / 4) * N;
  auto step = hn::Load(df, scratch.d + block);
  auto offset = hn::Zero(df);
  if constexpr (Scratch::has_subs) {
    step = hn::Mul(step, hn::Load(df, scratch.scale_codes + unit * N));
    if constexpr (Type::how == kind::affine) {
      const auto min_codes = hn::Load(df, scratch.scale_codes + (Scratch::mins + unit) * N);
      offset = Rounded(hn::Mul(hn::Load(df, scratch.d + Scratch::dmin * N), min_codes));
    }
  }
  const auto no_step = hn::Eq(step, hn::Zero(df));
  const auto inverse = hn::IfThenZeroElse(no_step, hn::Div(hn::Set(df, 1.0f), step));
  const auto code = [&](size_t i) HWY_ATTR {
    const auto v = hn::Load(df, x + i * N);
    if constexpr (Type::how == kind::book) {
      return NearestInBook<iq4_nl, true>(df, hn::Mul(inverse, v));
    } else if constexpr (Type::how == kind::affine) {
      const auto l = hn::Div(hn::Add(v, offset), step);
      return ClampedInteger(df, l, hn::Zero(df), hn::Set(df, max));
    } else {
      const auto l = LinearLevels{-max, max - 1}(df, hn::Div(v, step));
      return hn::Add(l, hn::Set(df, max));
    }
  };
  // Without a step the codes of the search stay, except that IQ4 has none.
  PackCodes(df, n, Type::how == kind::book ? hn::MaskFalse(df) : no_step, code, words);
}

/// Writes the fields of the first num blocks.
template <class Type, class DF, class Scratch>
HWY_INLINE void WriteBlocks(DF df, size_t num, Scratch& scratch,
                            typename Type::block* HWY_RESTRICT out) {
  constexpr size_t values = Type::values;
  constexpr size_t num_sub = Type::num_sub;
  const size_t N = hn::Lanes(df);
  for (size_t b = 0; b < num; ++b) {
    const uint32_t* unit_words = scratch.words + b / N * (values / 4) * N;
    UnpackLane(unit_words, N, b % N, values, out[b].codes);
  }
  if constexpr (Scratch::has_subs) {
    constexpr float offset = Type::max_scale == 32 ? 32.0f : 0.0f;
    const auto write = [&](size_t first, float add, auto field) HWY_ATTR {
      const auto code = [&](size_t s) HWY_ATTR {
        return hn::Add(hn::Load(df, scratch.scale_codes + (first + s) * N), hn::Set(df, add));
      };
      PackCodes(df, num_sub, hn::MaskFalse(df), code, scratch.words);
      for (size_t b = 0; b < num; ++b) UnpackLane(scratch.words, N, b, num_sub, out[b].*field);
    };
    write(0, offset, &Type::block::scales);
    if constexpr (Type::how == gguf::search::kind::affine) {
      write(Scratch::mins, 0.0f, &Type::block::mins);
    }
  }
}

/// Quantizes `num` blocks, whose rows the scratch has.
template <class Type, class DF, class Scratch>
HWY_INLINE void FitGroup(DF df, const SearchPlan& plan, size_t num, Scratch& scratch,
                         typename Type::block* HWY_RESTRICT out, quantize_report* report) {
  constexpr size_t n = Scratch::n;
  const size_t N = hn::Lanes(df);
  const size_t units = Scratch::has_subs ? Scratch::num_units : hwy::DivCeil(num, N);
  for (size_t u = 0; u < units; ++u) {
    LanesFromRows(df, scratch.rows + u * N, n, scratch.x + u * n * N);
  }
  auto sigma2 = hn::Zero(df);
  for (size_t first = 0; first < units; first += Scratch::chunk) {
    const size_t count = Scratch::has_subs ? Scratch::chunk : units;
    for (size_t u = first; u < first + count; ++u) {
      float* HWY_RESTRICT w = scratch.w + (u - first) * n * N;
      if (plan.weighted) {
        LanesFromRows(df, scratch.importance + u * N, n, w);
        if (u == 0 || !Scratch::has_subs) sigma2 = SearchSigma2<Type>(df, scratch, u);
      }
      const auto sum = SearchWeights<Type>(df, scratch.x + u * n * N, plan.weighted, sigma2, w);
      hn::Store(sum, df, scratch.sums + u * N);
    }
    SearchChunk<Type>(df, plan, first, count, scratch);
  }
  StoreScales<Type>(df, plan.weighted, scratch);
  for (size_t b = 0; b < num; ++b) {
    out[b] = {};
    float* d = scratch.d + b;
    float* dmin = scratch.d + Scratch::dmin * N + b;
    if (report != nullptr) {
      gguf::detail::count_scales<Type>(
          scratch.rows[b], plan.weighted ? scratch.importance[b] : nullptr,
          {scratch.scales + b, scratch.scale_codes + b, N, *d, *dmin}, plan.max_code, *report);
    }
    out[b].d = detail::f32_to_f16(*d);
    out[b].dmin = detail::f32_to_f16(*dmin);
    // IQ4 makes codes from d before its rounding.
    if (Type::how != gguf::search::kind::book) *d = detail::f16_to_f32(out[b].d);
    *dmin = detail::f16_to_f32(out[b].dmin);
  }
  if constexpr (Type::max_scale != 0 || Type::how == gguf::search::kind::book) {
    for (size_t u = 0; u < units; ++u) StoreCodes<Type>(df, plan.max_code, u, scratch);
  }
  WriteBlocks<Type>(df, num, scratch, out);
}

/// FitBlocks for all types of one shape.
template <class Shape>
HWY_NOINLINE void FitShape(const SearchPlan& plan, const float* x, size_t num_blocks,
                           size_t blocks_per_row, const float* importance,
                           const float* row_mean_square, typename Shape::block* out,
                           quantize_report* report) {
  const hn::CappedTag<float, 16> df;
  using Scratch = SearchScratch<Shape, hn::MaxLanes(df)>;
  Scratch scratch;
  const size_t N = hn::Lanes(df);
  const size_t step = N * Scratch::blocks_per_lane;
  for (size_t first = 0; first < num_blocks; first += step) {
    const size_t num = HWY_MIN(step, num_blocks - first);
    for (size_t i = 0; i < Scratch::num_units * N; ++i) {
      const size_t in_group = Scratch::has_subs ? i % N : i;
      const size_t sub = Scratch::has_subs ? i / N * Scratch::n : 0;
      const size_t block = first + HWY_MIN(in_group, num - 1);
      scratch.rows[i] = x + block * Shape::values + sub;
      if (importance == nullptr) continue;
      scratch.importance[i] = importance + block % blocks_per_row * Shape::values + sub;
      if (Shape::sigma == gguf::search::spread::row) {
        scratch.mean_squares[i] = row_mean_square[block / blocks_per_row];
      }
    }
    FitGroup<Shape>(df, plan, num, scratch, out + first, report);
  }
}

/// As many blocks as fill all lanes for every vector length: calls with fewer waste lanes.
template <class Type>
inline constexpr size_t kSearchBatch = Type::num_sub > 1 ? 16 : 64;

/// Quantizes num_blocks blocks that follow each other, as gguf::search_fit does each.
///
/// @param x                num_blocks * Type::values floats, finite.
/// @param blocks_per_row   Rows of x have this many blocks.
/// @param importance       blocks_per_row * Type::values weights >= 0, the same for every row; or
///                         null. Not null for q4_0, q4_1, q5_0, q5_1.
/// @param row_mean_square  By row; only read for those four.
/// @param report           Null, or what counts scales that are lost.
template <class Type>
HWY_INLINE void FitBlocks(const float* x, size_t num_blocks, size_t blocks_per_row,
                          const float* importance, const float* row_mean_square,
                          typename Type::block* out, quantize_report* report = nullptr) {
  const bool weighted = importance != nullptr;
  const SearchPlan plan{weighted, Type::max_code, weighted ? Type::weighted_plan : Type::plan};
  FitShape<typename Type::shape_type>(plan, x, num_blocks, blocks_per_row, importance,
                                      row_mean_square, out, report);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
