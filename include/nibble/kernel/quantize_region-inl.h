// SPDX-License-Identifier: Apache-2.0 OR MIT
// Quantizing a region of a matrix: fit every block, store the scales, read them back as stored,
// make the codes. Scales and shifts are matrices themselves and go through the same function one
// level down; what a region is, the caller decides (a stretch of a row where scales do not span
// rows). A stretch is read from memory once and from L1 once more, so absmax formats come near the
// speed of reading x.
#if defined(NIBBLE_KERNEL_QUANTIZE_REGION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_QUANTIZE_REGION_INL_H_
#undef NIBBLE_KERNEL_QUANTIZE_REGION_INL_H_
#else
#define NIBBLE_KERNEL_QUANTIZE_REGION_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/kernel/encode_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Sections = const basic_section<uint8_t>*;

// --- scales ----------------------------------------------------------------

/// How a matrix of scales or shifts is stored: detail::encode_scale.
struct Storing {
  bool is_scale = false;
  bool raw = false;
  float slack = 0;
};

/// The bits of a scale's code without the sign.
template <class E>
constexpr typename E::code ScaleMagnitude() {
  if constexpr (detail::keeps_nonzero<E>) {
    return static_cast<typename E::code>(E::sign_mask - 1);
  } else {
    return static_cast<typename E::code>(~typename E::code{0});
  }
}

/// detail::encode_scale of `count` values.
template <class E>
HWY_NOINLINE void StoreScalesOneByOne(const float* HWY_RESTRICT v, size_t count, float slack,
                                      typename E::code* HWY_RESTRICT codes) {
  for (size_t i = 0; i < count; ++i) codes[i] = detail::encode_scale<E>(v[i], false, slack);
}

/// Stores n values in element E. Scales that may be too small are looked at one by one: those of
/// the smallest codes.
template <class E, Packing kPacking>
HWY_NOINLINE void StoreElements(const float* HWY_RESTRICT v, size_t n, Storing how,
                                uint8_t* HWY_RESTRICT out) {
  const FloatTag df;
  const bool raw = how.raw;
  const bool check = how.is_scale && !raw && detail::largest_scale_code<E> != 0;
  const uint32_t limit = check ? detail::num_scales_to_check<E>(how.slack) : 0;
  using Saturating = static_policy<>;
  using Raw = static_policy<rounding::nearest_even, overflow::to_special>;
  if constexpr (sizeof(typename E::code) == 1) {
    const ChunkTag d;
    constexpr bool kByteCodes = E::bits == 8 || kPacking == Packing::kBytes;
    constexpr uint8_t kMagnitude = ScaleMagnitude<E>();
    for (size_t i = 0; i < n; i += chunk_size) {
      const size_t count = HWY_MIN(n - i, chunk_size);
      const auto load = [&](size_t p) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        if (HWY_LIKELY(count == chunk_size)) return hn::LoadU(df, v + i + p);
        return p < count ? hn::LoadN(df, v + i + p, count - p) : hn::Zero(df);
      };
      auto codes = raw ? EncodeChunk<E>(df, Raw(), load) : EncodeChunk<E>(df, Saturating(), load);
      if constexpr (detail::largest_scale_code<E> != 0) {
        if (limit != 0) {
          const auto size = hn::And(codes, hn::Set(d, kMagnitude));
          const auto smaller = hn::Min(size, hn::Set(d, static_cast<uint8_t>(limit - 1)));
          if (!hn::AllFalse(d, hn::Eq(smaller, size))) {
            HWY_ALIGN uint8_t checked[chunk_size] = {};
            StoreScalesOneByOne<E>(v + i, count, how.slack, checked);
            codes = hn::Load(d, checked);
          }
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
    const hn::RebindToSigned<decltype(dc)> di;
    const auto end = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(limit));
    const hn::Repartition<uint8_t, decltype(dc)> du8;
    const size_t N = hn::Lanes(df);
    for (size_t i = 0; i < n; i += N) {
      const size_t count = HWY_MIN(n - i, N);
      const auto x = count == N ? hn::LoadU(df, v + i) : hn::LoadN(df, v + i, count);
      auto codes =
          raw ? EncodeWideVector<E>(df, Raw(), x) : EncodeWideVector<E>(df, Saturating(), x);
      if constexpr (detail::keeps_nonzero<E>) {
        if (limit != 0) {
          const auto size = hn::BitCast(di, hn::And(codes, hn::Set(dc, ScaleMagnitude<E>())));
          if (!hn::AllFalse(di, hn::Gt(end, size))) {
            HWY_ALIGN Code checked[chunk_size] = {};
            StoreScalesOneByOne<E>(v + i, count, how.slack, checked);
            codes = hn::Load(dc, checked);
          }
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

/// RegionScratch for the floats of a region; sizes as in detail::region_floats.
struct RegionScratch {
  float* next;
  HWY_INLINE float* Take(size_t n) {
    float* p = next;
    next += detail::padded(n);
    return p;
  }
};

template <class F, class Rule, Packing kPacking>
HWY_NOINLINE const float* QuantizeRegion(const BlockView& x, Sections s, const quantize_options& o,
                                         RegionScratch scratch, quantize_report* report);

/// Stores a matrix of scales or shifts, then overwrites it with what was stored.
template <class S, Packing kPacking>
HWY_INLINE void StoreAndRead(float* v, size_t rows, size_t cols, Storing how, Sections s,
                             RegionScratch scratch, quantize_report* report) {
  basic_section<const uint8_t> read[num_sections<S>];
  for (size_t i = 0; i < num_sections<S>; ++i) read[i] = s[i];
  if constexpr (element<S>) {
    for (size_t r = 0; r < rows; ++r) {
      StoreElements<S, kPacking>(v + r * cols, cols, how, s->data + r * s->stride);
    }
  } else {
    const size_t non_finite = report != nullptr ? report->non_finite : 0;  // of values, not scales
    QuantizeRegion<S, RuleOf<S>, kPacking>({v, cols, rows, cols, nullptr}, s, {}, scratch, report);
    if (report != nullptr) report->non_finite = non_finite;
  }
  HWY_ALIGN float row[kRun];
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; c += kRun) {
      const size_t n = HWY_MIN(cols - c, kRun);
      ReadRow<S, kPacking>(read, cols, r, c, n, row, false);
      std::memcpy(v + r * cols + c, row, n * sizeof(float));
    }
  }
}

// --- the region ------------------------------------------------------------

/// Counts the scales and shifts of all blocks that did not survive. `low` holds the shifts as
/// computed where they are not computed from the stored scales.
template <class F, class Rule, class BlockAt>
HWY_NOINLINE void CountScales(const grid_shape& grid, const BlockAt& block_at,
                              const quantize_options& o, const float* HWY_RESTRICT computed,
                              const float* HWY_RESTRICT stored, const float* HWY_RESTRICT low,
                              const float* HWY_RESTRICT shift, quantize_report& report) {
  constexpr quantizer_rule kRule = Rule::value;
  for (size_t i = 0; i < grid.rows * grid.cols; ++i) {
    detail::stored_scale s{computed[i], stored[i]};
    const float size = detail::magnitude_of(s.computed);
    if (!(size >= 0x1p-124f && size < 0x1p126f)) {  // zero, NaN, or what may be clamped
      const BlockView b = block_at(i / grid.cols, i % grid.cols);
      const detail::block_fit base = FitBlock<F, Rule>(b, o, s.finite, false);
      s.beyond = s.computed == 0 && base.scale != 0 ? -1 : base.beyond;
    }
    const float stored_shift = F::has_shift ? shift[i] : 0.0f;
    float z = stored_shift;
    if constexpr (F::has_shift && F::shift_type::kind != shift_kind::center) {
      z = kRule.stored_scale ? detail::shift_of<F>(low[i], s.stored) : low[i];
    }
    detail::count_block<F>(s, z, stored_shift, kRule.raw_scale, report);
  }
}

/// Whether a block's values may lie so far beyond the levels of its scale, which must have been
/// clamped, that their distances to several levels round to one float: from 2^25 times the scale.
HWY_INLINE bool FarFromLevels(const float* HWY_RESTRICT computed, const float* HWY_RESTRICT stored,
                              size_t n) {
  const FloatTag df;
  const auto zero = hn::Zero(df);
  auto far = hn::MaskFalse(df);
  for (size_t i = 0; i < n; i += hn::Lanes(df)) {
    const auto s = hn::LoadN(df, stored + i, HWY_MIN(n - i, hn::Lanes(df)));
    const auto limit = hn::Mul(s, hn::Set(df, 0x1p16f));
    const auto beyond = hn::Gt(hn::LoadN(df, computed + i, HWY_MIN(n - i, hn::Lanes(df))), limit);
    far = hn::Or(far, hn::And(hn::Ne(s, zero), beyond));
  }
  return !hn::AllFalse(df, far);
}

/// Whether a scale is a power of two without a reciprocal: detail::needs_division.
HWY_INLINE bool HasTinyPower(const float* HWY_RESTRICT scale, size_t n) {
  const FloatTag df;
  auto tiny = hn::MaskFalse(df);
  for (size_t i = 0; i < n; i += hn::Lanes(df)) {
    const auto s = hn::LoadN(df, scale + i, HWY_MIN(n - i, hn::Lanes(df)));
    tiny = hn::Or(tiny, hn::And(hn::Gt(s, hn::Zero(df)), hn::Le(s, hn::Set(df, 0x1p-128f))));
  }
  return !hn::AllFalse(df, tiny);
}

/// Quantizes the matrix x into the sections at s. Returns the scales as computed.
template <class F, class Rule, Packing kPacking>
HWY_NOINLINE const float* QuantizeRegion(const BlockView& x, Sections s, const quantize_options& o,
                                         RegionScratch scratch, quantize_report* report) {
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
    StoreAndRead<Z, kPacking>(mean, 1, 1, {}, s + 1 + num_sections<S>, scratch, report);
    float* centred = scratch.Take(x.rows * x.cols);
    for (size_t r = 0; r < x.rows; ++r) {
      for (size_t c = 0; c < x.cols; ++c) {
        const float v = x.x[r * x.stride + c];
        centred[r * x.cols + c] = detail::is_finite(v) ? detail::distance(v, mean[0]) : v;
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
  const auto block_at = [&](size_t gr, size_t gc) {
    const size_t r = shape.rows == all ? 0 : gr * shape.rows;
    const size_t c = shape.cols == all ? 0 : gc * shape.cols;
    const size_t block_rows = shape.rows == all ? total_rows : HWY_MIN(shape.rows, total_rows - r);
    const size_t block_cols = shape.cols == all ? total_cols : HWY_MIN(shape.cols, total_cols - c);
    return BlockView{values.x + r * values.stride + c, values.stride, block_rows, block_cols,
                     o.rule == scale_rule::weighted ? x.importance + c : nullptr};
  };
  for (size_t gr = 0; gr < grid.rows; ++gr) {
    for (size_t gc = 0; gc < grid.cols; ++gc) {
      if constexpr (HasFitMany<F, Rule>()) {
        const size_t N = hn::Lanes(FloatTag());
        const size_t i = gr * grid.cols + gc;
        const size_t c = gc * shape.cols;
        if (many && c + N * shape.cols <= total_cols &&
            FitMany<kRange, kRule.how, IsFitGuarded<F, Rule>()>(values.x + gr * values.stride + c,
                                                                shape.cols, kRule, scale + i,
                                                                inverse + i, low + i)) {
          std::memcpy(computed + i, scale + i, N * sizeof(float));
          gc += N - 1;
          continue;
        }
      }
      bool finite;
      const detail::block_fit f = FitBlock<F, Rule>(block_at(gr, gc), o, finite);
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
  constexpr bool kPowers = kRule.how == quantizer_rule::fit::power_of_two;
  constexpr float kSlack = kPowers ? 1.0f : detail::scale_slack<F>;  // powers are stored exactly
  StoreAndRead<S, kPacking>(scale, grid.rows, grid.cols, {true, kRule.raw_scale, kSlack}, s + 1,
                            scratch, report);
  if (kRule.stored_scale) Inverses(scale, num_blocks, inverse);

  // 3. Shifts, from the scales that codes are made with.
  if constexpr (F::has_shift && kShift != shift_kind::center) {
    Shifts<F>(low, kRule.stored_scale ? scale : computed, inverse, num_blocks, shift);
    if (!kRule.stored_scale) std::memcpy(low, shift, num_blocks * sizeof(float));
    StoreAndRead<Z, kPacking>(shift, grid.rows, grid.cols, {false, kRule.raw_scale},
                              s + 1 + num_sections<S>, scratch, report);
  }
  if (HWY_UNLIKELY(report != nullptr)) {
    CountScales<F, Rule>(grid, block_at, o, computed, scale, low, shift, *report);
  }
  if constexpr (kRange && !kRule.stored_scale) shift = low;

  // 4. Codes.
  bool divide = o.divide;
  if constexpr (kPowers && std::is_same_v<S, e8m0_half>) {
    divide = divide || HasTinyPower(scale, num_blocks);
  }
  if constexpr (kRule.codes == quantizer_rule::code::nearest_product) {
    clean = clean && !FarFromLevels(computed, scale, num_blocks);
  }
  for (size_t r = 0; r < total_rows; ++r) {
    const size_t g = (shape.rows == all ? 0 : r / shape.rows) * grid.cols;
    EncodeRow<KindOf<F, Rule>, kPacking>(x.x + r * x.stride, total_cols, shape.cols, scale + g,
                                         inverse + g, F::has_shift ? shift + g : nullptr, divide,
                                         clean, s->data + r * s->stride);
  }
  return computed;
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
