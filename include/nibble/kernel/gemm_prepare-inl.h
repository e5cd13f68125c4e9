// SPDX-License-Identifier: Apache-2.0 OR MIT
// Activations as micro-kernels want them: rows in packed order, zeros where blocks are padded, as
// int8 with scales and sums, f32 or bf16. Once per call, whatever number of matrices share them.
//
//   scale = amax / 127, code = nearest_even(x * (127 / amax)); sums of codes per segment
//
// A NaN makes the scale of its row or block NaN, so that it is seen in the result; an infinity
// makes it infinite. Blocks whose largest value is below 2^-120 count as zero. With a scale given
// beforehand:
//
//   code = clamp(nearest_even(x * (1 / scale)) + zero point, -128, 127)
//
// Columns that are multiplied apart (gemm_outliers-inl.h) are zeros in rows of every kind.
#if defined(NIBBLE_KERNEL_GEMM_PREPARE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_PREPARE_INL_H_
#undef NIBBLE_KERNEL_GEMM_PREPARE_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_PREPARE_INL_H_
#endif

#include <cstring>
#include <limits>

#include "nibble/format/gemm_args.h"
#include "nibble/kernel/packed_decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// n activations of row r from column c as floats. Codes are given their meaning.
template <class = void>
HWY_NOINLINE void LoadActivations(const activations& x, size_t r, size_t c, size_t n,
                                  float* HWY_RESTRICT out) {
  const size_t at = r * x.stride + c;
  switch (x.type) {
    case number_type::f32:
      std::memcpy(out, static_cast<const float*>(x.data) + at, n * sizeof(float));
      break;
    case number_type::bf16:
      ReadElements<bf16, Packing::kBytes>(static_cast<const uint8_t*>(x.data) + 2 * at, n, out,
                                          false);
      break;
    case number_type::f16:
      ReadElements<f16, Packing::kBytes>(static_cast<const uint8_t*>(x.data) + 2 * at, n, out,
                                         false);
      break;
    case number_type::int8:
    case number_type::uint8: {
      const int32_t zero = x.zero_point(r);
      for (size_t i = 0; i < n; ++i) {
        const int32_t code = x.type == number_type::int8
                                 ? static_cast<const int8_t*>(x.data)[at + i]
                                 : static_cast<const uint8_t*>(x.data)[at + i];
        out[i] = static_cast<float>(code - zero) * x.scale_at(r, c + i);
      }
    }
  }
}

/// Calls fn(packed column, column of x, count) for the runs of a packed row that x fills.
template <class Fn>
HWY_INLINE void ForEachRun(const packed_shape& s, const Fn& fn) {
  if (s.block == s.block_cols || s.block == s.cols) {
    fn(size_t{0}, size_t{0}, s.cols);
  } else {
    for (size_t c = 0, p = 0; c < s.cols; c += s.block, p += s.block_cols) {
      fn(p, c, HWY_MIN(s.block, s.cols - c));
    }
  }
}

/// Where column c of w lies in packed order.
HWY_INLINE size_t PackedColumn(const packed_shape& s, size_t c) {
  return c / s.block * s.block_cols + c % s.block;
}
/// The column of x that column c of w is multiplied by.
HWY_INLINE size_t ColumnOfX(const activations& x, size_t c) {
  return x.order == nullptr ? c : x.order[c];
}

/// Columns of w whose activations are kept as f32: those that w has as outliers, then those in
/// which x has some. Each list ascends.
struct KeptColumns {
  const uint32_t* of_w = nullptr;
  size_t num_of_w = 0;
  const uint32_t* of_x = nullptr;
  size_t num_of_x = 0;
  float threshold = 0;  ///< smaller |x| in columns of_x are quantized, and kept as 0

  [[nodiscard]] size_t count() const { return num_of_w + num_of_x; }
};

/// One row as floats in packed order. `row` has k floats of scratch if x.order is given.
template <class = void>
HWY_NOINLINE void PackFloatRow(const activations& x, size_t r, const packed_shape& s,
                               float* HWY_RESTRICT row, float* HWY_RESTRICT out) {
  if (s.packed_cols != s.cols) std::memset(out, 0, s.packed_cols * sizeof(float));
  if (x.order == nullptr) {
    ForEachRun(s, [&](size_t p, size_t c, size_t n) { LoadActivations(x, r, c, n, out + p); });
  } else {
    LoadActivations(x, r, 0, s.cols, row);
    ForEachRun(s, [&](size_t p, size_t c, size_t n) {
      for (size_t i = 0; i < n; ++i) out[p + i] = row[x.order[c + i]];
    });
  }
}

/// Values that are not all finite, as codes. One infinity is one step of an infinite scale, so that
/// its sign times that of a weight is the result's. NaN, and several infinities, whose sum may be
/// NaN, make the scale NaN; so does a zero point beside which there is no step.
template <class = void>
HWY_NOINLINE float CodeOfInfinity(const float* HWY_RESTRICT x, size_t n, int32_t zero,
                                  int8_t* HWY_RESTRICT codes) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  std::memset(codes, zero, n);
  size_t at = n;
  for (size_t i = 0; i < n; ++i) {
    if (hwy::ScalarAbs(x[i]) <= kLargest) continue;
    if (at != n || !(hwy::ScalarAbs(x[i]) > kLargest)) return kNaN;
    at = i;
  }
  if (at == n) return kNaN;
  const int32_t code = zero + (x[at] > 0 ? 1 : -1);
  if (code < -128 || code > 127) return kNaN;
  codes[at] = static_cast<int8_t>(code);
  return std::numeric_limits<float>::infinity();
}

/// n floats, a multiple of 16, as codes. Returns their scale.
template <class = void>
HWY_NOINLINE float QuantizeActivations(const float* HWY_RESTRICT x, size_t n,
                                       int8_t* HWY_RESTRICT codes) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  const hn::Rebind<int8_t, LaneTag> di8;
  const size_t N = hn::Lanes(df);
  auto largest = hn::Zero(di);
  for (size_t i = 0; i < n; i += N) {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, x + i))));
  }
  const int32_t bits = hn::ReduceMax(di, largest);
  constexpr int32_t kInf = 0x7F800000;
  constexpr int32_t kSmall = 7 << 23;  // 2^-120
  if (bits >= kInf || bits < kSmall) {
    std::memset(codes, 0, n);
    return bits >= kInf ? CodeOfInfinity(x, n, 0, codes) : 0.0f;
  }
  float amax;
  std::memcpy(&amax, &bits, sizeof amax);
  const auto inverse = hn::Set(df, 127.0f / amax);
  for (size_t i = 0; i < n; i += N) {
    const auto code = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), inverse));
    hn::StoreU(hn::DemoteTo(di8, code), di8, codes + i);
  }
  return amax / 127.0f;
}

template <class = void>
HWY_NOINLINE int32_t SumCodes(const int8_t* HWY_RESTRICT codes, size_t n) {
  const hn::RebindToSigned<LaneTag> di;
  const hn::Rebind<int8_t, LaneTag> di8;
  auto sum = hn::Zero(di);
  for (size_t i = 0; i < n; i += hn::Lanes(di)) {
    sum = hn::Add(sum, hn::PromoteTo(di, hn::LoadU(di8, codes + i)));
  }
  return hn::ReduceSum(di, sum);
}

/// n floats, a multiple of 16, as codes of a given scale and zero point. Returns the scale; NaN if
/// it is no scale.
template <class = void>
HWY_NOINLINE float QuantizeBy(const float* HWY_RESTRICT x, size_t n, float scale, int32_t zero,
                              int8_t* HWY_RESTRICT codes) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  const hn::Rebind<int8_t, LaneTag> di8;
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float inverse = 1.0f / scale;
  const bool is_scale = scale > 0 && scale <= kLargest && inverse <= kLargest;
  bool is_good = is_scale;
  const auto factor = hn::Set(df, inverse);
  const auto limit = hn::Set(df, 512.0f);  // beyond all codes, whatever the zero point
  for (size_t i = 0; is_good && i < n; i += hn::Lanes(df)) {
    const auto v = hn::LoadU(df, x + i);
    is_good = hn::AllTrue(df, hn::Le(hn::Abs(v), hn::Set(df, kLargest)));
    const auto steps = hn::Min(hn::Max(hn::Mul(v, factor), hn::Neg(limit)), limit);
    const auto code = hn::Add(hn::NearestInt(steps), hn::Set(di, zero));
    hn::StoreU(hn::DemoteTo(di8, code), di8, codes + i);
  }
  if (is_good) return scale;
  if (is_scale) return CodeOfInfinity(x, n, zero, codes);
  std::memset(codes, 0, n);
  return std::numeric_limits<float>::quiet_NaN();
}

/// Prepared rows. Strides are in elements.
struct PreparedX {
  int8_t* codes = nullptr;  ///< integer
  size_t code_stride = 0;
  float* scales = nullptr;   ///< [row][segment]
  int32_t* sums = nullptr;   ///< [row][segment], of codes minus their zero points
  int32_t* zeros = nullptr;  ///< [row], or null
  size_t segment_stride = 0;
  const float* floats = nullptr;  ///< exact
  size_t float_stride = 0;
  uint16_t* halves = nullptr;  ///< bf16
  size_t half_stride = 0;
  bool in_place = false;        ///< `floats` are the caller's
  float* kept = nullptr;        ///< [row][KeptColumns::count()], all paths
  const float* flat = nullptr;  ///< f32 in the order of w's columns, for single outliers
  size_t flat_stride = 0;
  bool flat_in_place = true;  ///< `flat` is the caller's, or null
  float* singles = nullptr;   ///< sums of single outliers, matrix after matrix; or null
};

/// Kept columns of row r; in `row`, which is in packed order, they become 0.
template <class = void>
HWY_NOINLINE void KeepColumns(const activations& x, size_t r, const packed_shape& s,
                              const KeptColumns& columns, float* HWY_RESTRICT row,
                              const PreparedX& to) {
  float* HWY_RESTRICT kept = to.kept + r * columns.count();
  for (size_t i = 0; i < columns.count(); ++i) {
    const bool of_w = i < columns.num_of_w;
    const size_t c = of_w ? columns.of_w[i] : columns.of_x[i - columns.num_of_w];
    LoadActivations(x, r, ColumnOfX(x, c), 1, kept + i);
    if (of_w || hwy::ScalarAbs(kept[i]) >= columns.threshold) {
      row[PackedColumn(s, c)] = 0;
    } else {
      kept[i] = 0;
    }
  }
}

/// The scale of segment g of a row that came with scales; blocks of nothing take the first.
HWY_INLINE float GivenScale(const activations& x, size_t r, const packed_shape& s, size_t g) {
  const size_t col = g * s.segment_cols / s.block_cols * s.block;
  return x.scale_at(r, col < s.cols ? col : 0);
}

/// Sums of a row's codes less their zero point, segment by segment.
template <class = void>
HWY_NOINLINE void SumRow(size_t r, const packed_shape& s, int32_t zero, const PreparedX& to) {
  for (size_t g = 0; g < s.num_segments(); ++g) {
    to.sums[r * to.segment_stride + g] =
        SumCodes(to.codes + r * to.code_stride + g * s.segment_cols, s.segment_cols) -
        zero * static_cast<int32_t>(s.segment_cols);
  }
}

/// int8 and uint8 activations as they were given; uint8 as code - 128.
template <class = void>
HWY_NOINLINE void TakeCodes(const activations& x, size_t r, const packed_shape& s,
                            const KeptColumns& columns, const PreparedX& to) {
  int8_t* HWY_RESTRICT codes = to.codes + r * to.code_stride;
  const bool is_signed = x.type == number_type::int8;
  const int32_t bias = is_signed ? 0 : 128;
  const int32_t zero = x.zero_point(r) - bias;
  if (to.zeros != nullptr) to.zeros[r] = zero;
  std::memset(codes, zero, s.packed_cols);  // padding means 0
  const uint8_t* HWY_RESTRICT from = static_cast<const uint8_t*>(x.data) + r * x.stride;
  const unsigned flip = is_signed ? 0 : 128;
  ForEachRun(s, [&](size_t p, size_t c, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      const size_t col = x.order == nullptr ? c + i : x.order[c + i];
      codes[p + i] = static_cast<int8_t>(from[col] ^ flip);
    }
  });
  for (size_t i = 0; i < columns.num_of_w; ++i) {
    const size_t c = columns.of_w[i];
    LoadActivations(x, r, ColumnOfX(x, c), 1, to.kept + r * columns.count() + i);
    codes[PackedColumn(s, c)] = static_cast<int8_t>(zero);
  }
  for (size_t g = 0; g < s.num_segments(); ++g) {
    to.scales[r * to.segment_stride + g] = GivenScale(x, r, s, g);
  }
  SumRow(r, s, zero, to);
}

/// Beside an infinity all counts as 0, but 0 times its scale would be NaN: segments of an infinite
/// scale that do not have the infinity get the scale 0.
template <class = void>
HWY_NOINLINE void DropBesideInfinity(size_t r, const packed_shape& s, const PreparedX& to) {
  for (size_t g = 0; g < s.num_segments(); ++g) {
    const size_t at = r * to.segment_stride + g;
    if (to.scales[at] > std::numeric_limits<float>::max() && to.sums[at] == 0) to.scales[at] = 0;
  }
}

/// Row r on the integer path. `scratch`: packed_cols + k floats.
template <class = void>
HWY_NOINLINE void PrepareCodes(const activations& x, size_t r, const packed_shape& s,
                               size_t scale_cols, const KeptColumns& columns,
                               float* HWY_RESTRICT scratch, const PreparedX& to) {
  int8_t* HWY_RESTRICT codes = to.codes + r * to.code_stride;
  std::memset(codes + s.packed_cols, 0, to.code_stride - s.packed_cols);
  if (is_code(x.type)) {
    TakeCodes(x, r, s, columns, to);
    return;
  }
  const float* HWY_RESTRICT row = scratch;
  if (x.type == number_type::f32 && x.order == nullptr && s.packed_cols == s.cols &&
      columns.count() == 0) {
    row = static_cast<const float*>(x.data) + r * x.stride;
  } else {
    PackFloatRow(x, r, s, scratch + s.packed_cols, scratch);
    KeepColumns(x, r, s, columns, scratch, to);
  }
  const int32_t zero = x.zero_point(r);
  if (to.zeros != nullptr) to.zeros[r] = zero;
  bool has_infinity = false;
  if (x.scales != nullptr) {
    for (size_t g = 0; g < s.num_segments(); ++g) {
      const size_t at = g * s.segment_cols;
      to.scales[r * to.segment_stride + g] =
          QuantizeBy(row + at, s.segment_cols, GivenScale(x, r, s, g), zero, codes + at);
    }
  } else {
    float largest = 0;  // of those that are numbers
    for (size_t p = 0; p < s.packed_cols; p += scale_cols) {
      const size_t n = HWY_MIN(scale_cols, s.packed_cols - p);
      const float scale = QuantizeActivations(row + p, n, codes + p);
      if (scale > largest) largest = scale;
      for (size_t g = p / s.segment_cols; g * s.segment_cols < p + n; ++g) {
        to.scales[r * to.segment_stride + g] = scale;
      }
    }
    has_infinity = largest > std::numeric_limits<float>::max();
  }
  SumRow(r, s, zero, to);
  if (has_infinity) DropBesideInfinity(r, s, to);
}

/// Row r as bf16.
template <class = void>
HWY_NOINLINE void PrepareHalves(const activations& x, size_t r, const packed_shape& s,
                                const KeptColumns& columns, float* HWY_RESTRICT scratch,
                                const PreparedX& to) {
  const LaneTag df;
  const hn::Rebind<uint16_t, LaneTag> du16;
  uint16_t* HWY_RESTRICT out = to.halves + r * to.half_stride;
  PackFloatRow(x, r, s, scratch + s.packed_cols, scratch);
  KeepColumns(x, r, s, columns, scratch, to);
  for (size_t i = 0; i < s.packed_cols; i += hn::Lanes(df)) {
    const auto rounded = hn::ShiftRight<16>(RoundToBf16(hn::Load(df, scratch + i)));
    hn::StoreU(hn::TruncateTo(du16, rounded), du16, out + i);
  }
  std::memset(out + s.packed_cols, 0, (to.half_stride - s.packed_cols) * 2);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
