// SPDX-License-Identifier: Apache-2.0 OR MIT
// Sums of products to results: scale, bias, activation, residual, clamp, and the number type of y.
//
//   ApplyEpilogue(e, sums, second sums or null, row, col0, count, y row, y type, second channels)
//
// The same bits as format/epilogue_math.h on every target: no operation is fused, and the order is
// that of the members of `epilogue`. One loop over vectors asks for each member whether it is
// there: the same answer for the whole call, so the branches cost little. What is not asked for is
// a copy, which has a loop of its own.
//
// Operations per value: silu 29, gelu_tanh 32, gelu 40, with one division each. Tails: loads and
// stores of fewer lanes; the sums alone are read in whole vectors.
#if defined(NIBBLE_KERNEL_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_EPILOGUE_INL_H_
#undef NIBBLE_KERNEL_EPILOGUE_INL_H_
#else
#define NIBBLE_KERNEL_EPILOGUE_INL_H_
#endif

#include <limits>

#include "hwy/highway.h"
#include "nibble/format/epilogue_math.h"
#include "nibble/kernel/arith-inl.h"
#include "nibble/kernel/element-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// a * b, rounded: what is added to it later does not fuse.
template <class V>
HWY_INLINE V RoundedMul(V a, V b) {
  return Rounded(hn::Mul(a, b));
}

/// The first n lanes from p, or all if n is at least that; likewise to p.
template <class D>
HWY_INLINE hn::Vec<D> LoadFirst(D d, const hn::TFromD<D>* p, size_t n) {
  return n >= hn::Lanes(d) ? hn::LoadU(d, p) : hn::LoadN(d, p, n);
}
template <class D>
HWY_INLINE void StoreFirst(D d, hn::Vec<D> v, hn::TFromD<D>* p, size_t n) {
  if (n >= hn::Lanes(d)) {
    hn::StoreU(v, d, p);
  } else {
    hn::StoreN(v, d, p, n);
  }
}

// -------------------------------------------------------------- activations

template <class DF, size_t kTerms>
HWY_INLINE hn::Vec<DF> Polynomial(DF df, const float (&terms)[kTerms], hn::Vec<DF> x) {
  auto p = hn::Set(df, terms[0]);
  for (size_t i = 1; i < kTerms; ++i) p = MulThenAdd(p, x, hn::Set(df, terms[i]));
  return p;
}

// e^-(high + low) = mantissa * scale1 * scale2. @see detail::exp_of_minus
template <class DF>
HWY_INLINE void ExpOfMinus(DF df, hn::Vec<DF> high, hn::Vec<DF> low, hn::Vec<DF>& mantissa,
                           hn::Vec<DF>& scale1, hn::Vec<DF>& scale2) {
  const hn::RebindToUnsigned<DF> du;
  const auto magic = hn::Set(df, detail::whole_number_magic);
  const auto sum = Rounded(MulThenAdd(high, hn::Set(df, detail::log2_e), magic));
  const auto n = hn::Sub(sum, magic);
  const auto r = hn::Add(Rounded(MulThenSub(n, hn::Set(df, detail::ln2_high), high)),
                         MulThenSub(n, hn::Set(df, detail::ln2_low), low));
  const auto q = Polynomial(df, detail::exp_terms, r);
  mantissa = hn::Add(hn::Set(df, 1.0f), MulThenAdd(RoundedMul(r, r), q, r));
  const auto k = hn::Sub(hn::BitCast(du, sum), hn::BitCast(du, magic));
  const auto k1 = hn::ShiftRight<1>(k);
  const auto bias = hn::Set(du, 127);
  scale1 = hn::BitCast(df, hn::ShiftLeft<23>(hn::Sub(bias, k1)));
  scale2 = hn::BitCast(df, hn::ShiftLeft<23>(hn::Sub(bias, hn::Sub(k, k1))));
}

// a / (1 + e^x), from a and x.
template <class DF>
HWY_INLINE hn::Vec<DF> LogisticTail(DF df, hn::Vec<DF> a, hn::Vec<DF> x) {
  hn::Vec<DF> mantissa, scale1, scale2;
  ExpOfMinus(df, x, hn::Zero(df), mantissa, scale1, scale2);
  const auto e = RoundedMul(RoundedMul(mantissa, scale1), scale2);
  const auto under = hn::Add(hn::Set(df, 1.0f), e);
  const auto tail = hn::Div(RoundedMul(a, mantissa), under);
  return RoundedMul(RoundedMul(tail, scale1), scale2);
}

template <class DF>
HWY_INLINE hn::Vec<DF> SizeUpTo(DF df, hn::Vec<DF> v, float end) {
  const auto a = hn::Abs(v);
  return hn::IfThenElse(hn::Gt(a, hn::Set(df, end)), hn::Set(df, end), a);
}

template <class DF>
HWY_INLINE hn::Vec<DF> Relu(DF df, hn::Vec<DF> v) {
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(df)), v);
}

template <class DF>
HWY_INLINE hn::Vec<DF> Silu(DF df, hn::Vec<DF> v) {
  const auto a = SizeUpTo(df, v, detail::silu_end);
  return hn::Sub(Relu(df, v), LogisticTail(df, a, a));
}

template <class DF>
HWY_INLINE hn::Vec<DF> GeluTanh(DF df, hn::Vec<DF> v) {
  const auto a = SizeUpTo(df, v, detail::gelu_tanh_end);
  const auto slope = MulThenAdd(RoundedMul(a, a), hn::Set(df, detail::gelu_tanh_cubic),
                                hn::Set(df, detail::gelu_tanh_linear));
  return hn::Sub(Relu(df, v), LogisticTail(df, a, RoundedMul(a, slope)));
}

template <class DF>
HWY_INLINE hn::Vec<DF> Gelu(DF df, hn::Vec<DF> v) {
  const hn::RebindToUnsigned<DF> du;
  const auto half = hn::Set(df, 0.5f);
  const auto a = SizeUpTo(df, v, detail::gelu_end);
  const auto upper = hn::And(a, hn::BitCast(df, hn::Set(du, uint32_t{detail::upper_half_mask})));
  const auto lower = RoundedMul(hn::Sub(a, upper), hn::Add(a, upper));
  hn::Vec<DF> mantissa, scale1, scale2;
  ExpOfMinus(df, RoundedMul(half, RoundedMul(upper, upper)), RoundedMul(half, lower), mantissa,
             scale1, scale2);
  const auto d = Polynomial(df, detail::gelu_d, a);
  const auto under = MulThenAdd(RoundedMul(hn::Set(df, detail::gelu_slope), a), d,
                                Polynomial(df, detail::gelu_n, a));
  const auto tail = hn::Div(RoundedMul(d, RoundedMul(a, mantissa)), under);
  return hn::Sub(Relu(df, v), RoundedMul(RoundedMul(tail, scale1), scale2));
}

template <class DF>
HWY_INLINE hn::Vec<DF> Activate(DF df, activation act, hn::Vec<DF> v) {
  switch (act) {
    case activation::relu: return Relu(df, v);
    case activation::gelu: return Gelu(df, v);
    case activation::gelu_tanh: return GeluTanh(df, v);
    case activation::silu: return Silu(df, v);
    default: return v;
  }
}

// ------------------------------------------------------------ requantization

// Nearest, ties to even, saturating; NaN is 0. What the conversion makes of 2^31 differs between
// targets, so it never sees it.
template <class DF>
HWY_INLINE hn::Vec<hn::RebindToSigned<DF>> ToInt32(DF df, hn::Vec<DF> v) {
  const hn::RebindToSigned<DF> di;
  const auto end = hn::Set(df, 2147483648.0f);
  v = hn::IfThenElseZero(hn::Eq(v, v), v);
  const auto inside = hn::Max(hn::Min(v, hn::Set(df, 2147483520.0f)), hn::Set(df, -2147483648.0f));
  return hn::IfThenElse(hn::RebindMask(di, hn::Ge(v, end)), hn::Set(di, detail::int32_max),
                        hn::NearestInt(inside));
}

// (a * b + 2^30) >> 31: the low half of that is the high half of twice the sum.
template <class DI>
HWY_INLINE hn::Vec<DI> DoublingHighMultiply(DI di, hn::Vec<DI> a, hn::Vec<DI> b) {
  const hn::RebindToUnsigned<hn::RepartitionToWide<DI>> duw;
  const auto half = hn::Set(duw, uint64_t{1} << 30);
  const auto even = hn::ShiftLeft<1>(hn::Add(hn::BitCast(duw, hn::MulEven(a, b)), half));
  const auto odd = hn::ShiftLeft<1>(hn::Add(hn::BitCast(duw, hn::MulOdd(a, b)), half));
  const auto product = hn::OddEven(hn::BitCast(di, odd), hn::BitCast(di, hn::ShiftRight<32>(even)));
  const auto least = hn::Set(di, detail::int32_min);
  return hn::IfThenElse(hn::And(hn::Eq(a, least), hn::Eq(b, least)), hn::Set(di, detail::int32_max),
                        product);
}

template <class DI>
HWY_INLINE hn::Vec<DI> MultiplyFixedDouble(DI di, hn::Vec<DI> x, hn::Vec<DI> multiplier,
                                           hn::Vec<DI> shift) {
  const hn::RebindToUnsigned<DI> du;
  const auto zero = hn::Zero(di);
  const auto one = hn::Set(di, 1);
  const auto left = hn::Max(shift, zero);
  const auto right = hn::Max(hn::Neg(shift), zero);

  const auto shifted = hn::Shl(x, left);
  const auto fits = hn::Eq(hn::Shr(shifted, left), x);
  const auto end = hn::Xor(hn::BroadcastSignBit(x), hn::Set(di, detail::int32_max));
  const auto high = DoublingHighMultiply(di, hn::IfThenElse(fits, shifted, end), multiplier);

  const auto mask = hn::Sub(hn::BitCast(di, hn::Shl(hn::Set(du, 1), hn::BitCast(du, right))), one);
  const auto rest = hn::And(high, mask);
  // The sign bit is -1: subtracting it adds one below zero.
  const auto threshold = hn::Sub(hn::ShiftRight<1>(mask), hn::BroadcastSignBit(high));
  return hn::Add(hn::Shr(high, right), hn::IfThenElseZero(hn::Gt(rest, threshold), one));
}

// value / 2^by of 64-bit lanes, rounded to nearest, ties up; saturated to 32 bits.
template <class DW>
HWY_INLINE hn::Vec<DW> ShiftRightToInt32(DW dw, hn::Vec<DW> value, hn::Vec<DW> by) {
  const auto one = hn::Set(dw, 1);
  const auto v = hn::Shr(hn::Add(value, hn::Shl(one, hn::Sub(by, one))), by);
  return hn::Max(hn::Min(v, hn::Set(dw, int64_t{detail::int32_max})),
                 hn::Set(dw, int64_t{detail::int32_min}));
}

template <class DI>
HWY_INLINE hn::Vec<DI> MultiplyFixedSingle(DI di, hn::Vec<DI> x, hn::Vec<DI> multiplier,
                                           hn::Vec<DI> shift) {
  const hn::RepartitionToWide<DI> dw;
  const hn::RebindToUnsigned<decltype(dw)> duw;
  const auto by = hn::BitCast(duw, hn::Sub(hn::Set(di, 31), shift));
  const auto by_even = hn::BitCast(dw, hn::And(by, hn::Set(duw, uint64_t{0xFFFFFFFF})));
  const auto by_odd = hn::BitCast(dw, hn::ShiftRight<32>(by));
  const auto even = ShiftRightToInt32(dw, hn::MulEven(x, multiplier), by_even);
  const auto odd = ShiftRightToInt32(dw, hn::MulOdd(x, multiplier), by_odd);
  return hn::OddEven(hn::BitCast(di, hn::ShiftLeft<32>(odd)), hn::BitCast(di, even));
}

// What one tensor or n channels have, at channel `col`.
template <class D>
HWY_INLINE hn::Vec<D> Channel(D d, bool per_channel, const hn::TFromD<D>* p, size_t col, size_t n) {
  return per_channel ? LoadFirst(d, p + col, n) : hn::Set(d, *p);
}

// Sums by a fixed-point rule.
template <class DI>
HWY_INLINE hn::Vec<DI> RequantizeFixed(DI di, const requantization& q, hn::Vec<DI> x, size_t col,
                                       size_t n) {
  const auto multiplier = Channel(di, q.per_channel, q.multiplier, col, n);
  const auto shift = Channel(di, q.per_channel, q.shift, col, n);
  const auto t = q.rule == requantize_rule::fixed_double
                     ? MultiplyFixedDouble(di, x, multiplier, shift)
                     : MultiplyFixedSingle(di, x, multiplier, shift);
  const auto low = hn::Set(di, q.low - q.zero_point);
  const auto high = hn::Set(di, q.high - q.zero_point);
  return hn::Add(hn::Min(hn::Max(t, low), high), hn::Set(di, q.zero_point));
}

template <class DF>
HWY_INLINE hn::Vec<hn::RebindToSigned<DF>> Requantize(DF df, const requantization& q, hn::Vec<DF> v,
                                                      size_t col, size_t n) {
  const hn::RebindToSigned<DF> di;
  if (detail::is_fixed(q.rule)) return RequantizeFixed(di, q, ToInt32(df, v), col, n);
  const auto scale = Channel(df, q.per_channel, q.scale, col, n);
  auto t = q.rule == requantize_rule::float_scale ? hn::Div(v, scale) : hn::Mul(v, scale);
  t = hn::IfThenElseZero(hn::Eq(t, t), t);
  t = hn::Min(hn::Max(t, hn::Set(df, static_cast<float>(q.low - q.zero_point))),
              hn::Set(df, static_cast<float>(q.high - q.zero_point)));
  return hn::Add(hn::NearestInt(t), hn::Set(di, q.zero_point));
}

// ------------------------------------------------------------------- values

template <class DF>
HWY_INLINE hn::Vec<DF> LoadNumbers(DF df, number_type type, const void* p, size_t at, size_t n) {
  switch (type) {
    case number_type::bf16:
      return DecodeWideVector<bf16>(
          df, LoadFirst(hn::Rebind<uint16_t, DF>(), static_cast<const uint16_t*>(p) + at, n));
    case number_type::f16:
      return DecodeWideVector<f16>(
          df, LoadFirst(hn::Rebind<uint16_t, DF>(), static_cast<const uint16_t*>(p) + at, n));
    default: return LoadFirst(df, static_cast<const float*>(p) + at, n);
  }
}

template <class VI>
HWY_INLINE void StoreCodes(VI codes, size_t col, size_t n, void* y_row, number_type y_type) {
  const hn::Rebind<int8_t, hn::DFromV<VI>> di8;
  const hn::Rebind<uint8_t, hn::DFromV<VI>> du8;
  if (y_type == number_type::int8) {
    StoreFirst(di8, hn::DemoteTo(di8, codes), static_cast<int8_t*>(y_row) + col, n);
  } else {
    StoreFirst(du8, hn::DemoteTo(du8, codes), static_cast<uint8_t*>(y_row) + col, n);
  }
}

template <class DF>
HWY_INLINE void StoreNumbers(DF df, const requantization& q, hn::Vec<DF> v, size_t col, size_t n,
                             void* y_row, number_type y_type) {
  constexpr static_policy<rounding::nearest_even, overflow::to_special> kIeee;
  const hn::Rebind<uint16_t, DF> du16;
  switch (y_type) {
    case number_type::f32: StoreFirst(df, v, static_cast<float*>(y_row) + col, n); break;
    case number_type::bf16:
      StoreFirst(du16, EncodeWideVector<bf16>(df, kIeee, v), static_cast<uint16_t*>(y_row) + col,
                 n);
      break;
    case number_type::f16:
      StoreFirst(du16, EncodeWideVector<f16>(df, kIeee, v), static_cast<uint16_t*>(y_row) + col, n);
      break;
    default: StoreCodes(Requantize(df, q, v, col, n), col, n, y_row, y_type);
  }
}

// Sums of one matrix through its channel scale and bias.
template <class DF>
HWY_INLINE hn::Vec<DF> ChannelValues(DF df, const float* scale, const float* bias, hn::Vec<DF> v,
                                     size_t col, size_t n) {
  if (scale != nullptr) v = RoundedMul(v, LoadFirst(df, scale + col, n));
  if (bias != nullptr) v = hn::Add(v, LoadFirst(df, bias + col, n));
  return v;
}

/// Writes y_row[col0 .. col0 + count) and nothing else.
///
/// @param sums    of row `row`, columns from col0; whole vectors of at most 16 floats are read
/// @param second  null, or sums of the second matrix: v = act(first) * second
/// @param y_row   the start of row `row` of y, in y_type; read only where e.residual is y
/// A template so that programs without products do not pay for its compilation.
template <class DF = hn::CappedTag<float, 16>>
HWY_NOINLINE void ApplyEpilogue(const epilogue& e, const float* sums, const float* second,
                                size_t row, size_t col0, size_t count, void* y_row,
                                number_type y_type, const second_channels& channels = {}) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const DF df;
  const size_t N = hn::Lanes(df);
  if (y_type == number_type::f32 && second == nullptr && detail::leaves_sums(e)) {
    float* HWY_RESTRICT y = static_cast<float*>(y_row) + col0;
    for (size_t i = 0; i < count; i += N) {
      StoreFirst(df, hn::LoadU(df, sums + i), y + i, count - i);
    }
    return;
  }
  const bool clamps = e.low != -kInf || e.high != kInf;
  const auto low = hn::Set(df, e.low);
  const auto high = hn::Set(df, e.high);
  for (size_t i = 0; i < count; i += N) {
    const size_t n = count - i;
    const size_t col = col0 + i;
    auto v = ChannelValues(df, e.channel_scale, e.bias, hn::LoadU(df, sums + i), col, n);
    v = Activate(df, e.act, v);
    if (second != nullptr) {
      v = RoundedMul(v, ChannelValues(df, channels.channel_scale, channels.bias,
                                      hn::LoadU(df, second + i), col, n));
    }
    if (e.residual != nullptr) {
      const size_t at = row * e.residual_stride + col;
      v = hn::Add(v, LoadNumbers(df, e.residual_type, e.residual, at, n));
    }
    if (clamps) {  // comparisons, because Min and Max of NaN differ between targets
      v = hn::IfThenElse(hn::Lt(v, low), low, v);
      v = hn::IfThenElse(hn::Gt(v, high), high, v);
    }
    StoreNumbers(df, e.requantize, v, col, n, y_row, y_type);
  }
}

/// The same of integer sums, for epilogues that are requantization by a fixed-point rule alone.
template <class DF = hn::CappedTag<float, 16>>
HWY_NOINLINE void RequantizeSums(const requantization& q, const int32_t* sums, size_t col0,
                                 size_t count, void* y_row, number_type y_type) {
  const hn::RebindToSigned<DF> di;
  for (size_t i = 0; i < count; i += hn::Lanes(di)) {
    const size_t n = count - i;
    const size_t col = col0 + i;
    StoreCodes(RequantizeFixed(di, q, hn::LoadU(di, sums + i), col, n), col, n, y_row, y_type);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
