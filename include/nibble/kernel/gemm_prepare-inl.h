// SPDX-License-Identifier: Apache-2.0 OR MIT
// Activations as micro-kernels want them: rows in packed order, zeros where blocks are padded, as
// int8 with scales and sums, f32 or bf16. Once per call, whatever number of matrices share them.
//
//   scale = amax / 127, code = nearest_even(x * (127 / amax)); sums of codes per segment
//
// A NaN or infinity makes the scale of its row or block NaN, so that it is seen in the result.
// Blocks whose largest value is below 2^-120 count as zero.
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
  const auto scale_of = [&](size_t col) {
    return x.scales[r * x.scale_stride + (x.scale_cols == 0 ? 0 : col / x.scale_cols)];
  };
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
      const int32_t zero = x.zero_points == nullptr ? 0 : x.zero_points[r];
      for (size_t i = 0; i < n; ++i) {
        const int32_t code = x.type == number_type::int8
                                 ? static_cast<const int8_t*>(x.data)[at + i]
                                 : static_cast<const uint8_t*>(x.data)[at + i];
        out[i] = static_cast<float>(code - zero) * scale_of(c + i);
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
    return bits >= kInf ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
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
};

/// int8 and uint8 activations as they were given; uint8 as code - 128.
template <class = void>
HWY_NOINLINE void TakeCodes(const activations& x, size_t r, const packed_shape& s,
                            const PreparedX& to) {
  int8_t* HWY_RESTRICT codes = to.codes + r * to.code_stride;
  const bool is_signed = x.type == number_type::int8;
  const int32_t bias = is_signed ? 0 : 128;
  const int32_t zero = (x.zero_points == nullptr ? 0 : x.zero_points[r]) - bias;
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
  for (size_t g = 0; g < s.num_segments(); ++g) {
    const size_t col = g * s.segment_cols / s.block_cols * s.block;
    to.scales[r * to.segment_stride + g] =
        x.scales[r * x.scale_stride +
                 (x.scale_cols == 0 || col >= s.cols ? 0 : col / x.scale_cols)];
    to.sums[r * to.segment_stride + g] = SumCodes(codes + g * s.segment_cols, s.segment_cols) -
                                         zero * static_cast<int32_t>(s.segment_cols);
  }
}

/// Row r on the integer path. `scratch`: packed_cols + k floats.
template <class = void>
HWY_NOINLINE void PrepareCodes(const activations& x, size_t r, const packed_shape& s,
                               size_t scale_cols, float* HWY_RESTRICT scratch,
                               const PreparedX& to) {
  int8_t* HWY_RESTRICT codes = to.codes + r * to.code_stride;
  std::memset(codes + s.packed_cols, 0, to.code_stride - s.packed_cols);
  if (is_code(x.type)) {
    TakeCodes(x, r, s, to);
    return;
  }
  const float* HWY_RESTRICT row = scratch;
  if (x.type == number_type::f32 && x.order == nullptr && s.packed_cols == s.cols) {
    row = static_cast<const float*>(x.data) + r * x.stride;
  } else {
    PackFloatRow(x, r, s, scratch + s.packed_cols, scratch);
  }
  for (size_t p = 0; p < s.packed_cols; p += scale_cols) {
    const size_t n = HWY_MIN(scale_cols, s.packed_cols - p);
    const float scale = QuantizeActivations(row + p, n, codes + p);
    for (size_t g = p / s.segment_cols; g * s.segment_cols < p + n; ++g) {
      to.scales[r * to.segment_stride + g] = scale;
      to.sums[r * to.segment_stride + g] = SumCodes(codes + g * s.segment_cols, s.segment_cols);
    }
  }
}

/// Row r as bf16.
template <class = void>
HWY_NOINLINE void PrepareHalves(const activations& x, size_t r, const packed_shape& s,
                                float* HWY_RESTRICT scratch, const PreparedX& to) {
  const LaneTag df;
  const hn::Rebind<uint16_t, LaneTag> du16;
  uint16_t* HWY_RESTRICT out = to.halves + r * to.half_stride;
  PackFloatRow(x, r, s, scratch + s.packed_cols, scratch);
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
