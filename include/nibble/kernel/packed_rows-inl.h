// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows of a packed matrix as floats: y[i, c] = w[row i, c], as dequantize() gives them.
//
// The decoder of the exact path makes [k][16] floats of a panel, 256 columns at a time (16 KiB, in
// L1), from which the rows asked for are copied. Rows that follow each other in one panel share the
// decoding, so a whole matrix is decoded once; a single row costs that of 16. A row of 4096 int4
// codes: 9 us; all rows: 1 ns per value (Sapphire Rapids, one thread).
#if defined(NIBBLE_KERNEL_PACKED_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_PACKED_ROWS_INL_H_
#undef NIBBLE_KERNEL_PACKED_ROWS_INL_H_
#else
#define NIBBLE_KERNEL_PACKED_ROWS_INL_H_
#endif

#include "nibble/format/gemm_args.h"
#include "nibble/format/row_args.h"
#include "nibble/kernel/packed_decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Columns decoded at a time.
inline constexpr size_t kRowChunk = 256;

/// What reading rows needs to know of a packed kind.
struct RowOps {
  FloatDecoder floats;
  void (*scales)(const packed_data&, size_t, size_t, size_t, size_t, float*);
  void (*shifts)(const packed_data&, size_t, size_t, size_t, size_t, float*);
  size_t strip_bytes;
  bool has_shift;
};

template <class Codec, detail::shift_use kShift, class Scale, class ShiftFactor>
HWY_INLINE RowOps RowOpsOf(detail::packed_kind<Codec, kShift, Scale, ShiftFactor> /*kind*/) {
  constexpr bool kMinimum = kShift == detail::shift_use::minimum;
  constexpr auto kUse = kMinimum ? detail::shift_use::offset : kShift;
  return {&DecodeFloats<Codec, kUse>, &ReadFactor<Scale>, &ReadFactor<ShiftFactor, kMinimum>,
          detail::strip_bytes(Codec::bits), kUse != detail::shift_use::none};
}

/// Copies columns k .. k + cols of a panel, decoded, to rows i .. i + count of y.
template <class = void>
HWY_NOINLINE void CopyDecoded(const detail::packed_rows_args& a, size_t i, size_t count, size_t k,
                              size_t cols, const float* HWY_RESTRICT values) {
  const packed_shape& s = a.w->shape;
  for (size_t p = k; p < k + cols;) {
    const size_t block = p / s.block_cols;
    const size_t in_block = p % s.block_cols;
    const size_t c = block * s.block + in_block;
    if (in_block >= s.block) {  // padding of this block
      p = (block + 1) * s.block_cols;
      continue;
    }
    if (c >= s.cols) return;
    const size_t n = HWY_MIN(HWY_MIN(s.block - in_block, k + cols - p), s.cols - c);
    for (size_t j = i; j < i + count; ++j) {
      const float* HWY_RESTRICT from = values + (p - k) * panel_rows + a.row(j) % panel_rows;
      float* HWY_RESTRICT y = a.y + j * a.stride + c;
      for (size_t t = 0; t < n; ++t) y[t] = from[t * panel_rows];
    }
    p += n;
  }
}

/// Rows i .. i + count of y, which lie in one panel.
template <class = void>
HWY_NOINLINE void ReadPanelRows(const detail::packed_rows_args& a, const RowOps& ops, size_t i,
                                size_t count) {
  const packed_shape& s = a.w->shape;
  const size_t panel = a.row(i) / panel_rows;
  const uint8_t* const codes = a.w->codes + panel * s.num_strips() * ops.strip_bytes;
  const size_t per_block = s.segments_per_block();
  HWY_ALIGN float values[kRowChunk * panel_rows];
  HWY_ALIGN float scales[(kRowChunk / 16 + 1) * panel_rows];
  HWY_ALIGN float shifts[(kRowChunk / 16 + 1) * panel_rows];
  for (size_t k = 0; k < s.packed_cols; k += kRowChunk) {
    const size_t cols = HWY_MIN(kRowChunk, s.packed_cols - k);
    const size_t first = k / s.segment_cols;
    const size_t skip = k % s.segment_cols;
    const size_t segments = (skip + cols + s.segment_cols - 1) / s.segment_cols;
    const auto read = [&](auto fn, size_t part, float* to) {
      if (per_block == 1) return fn(*a.w, part, panel, first, segments, to);
      for (size_t g = 0; g < segments; ++g) {
        fn(*a.w, part, panel, (first + g) / per_block, 1, to + g * panel_rows);
      }
    };
    read(ops.scales, detail::scale_codes, scales);
    if (ops.has_shift) read(ops.shifts, detail::shift_codes, shifts);
    ops.floats(codes + k / strip_cols * ops.strip_bytes, cols / strip_cols, *a.codec, scales,
               shifts, s.segment_cols, skip, values);
    CopyDecoded(a, i, count, k, cols, values);
  }
}

template <class Kind>
HWY_NOINLINE void PackedRowsKernel(const detail::packed_rows_args& a) {
  const RowOps ops = RowOpsOf(Kind());
  for (size_t i = 0; i < a.num_rows;) {
    size_t count = 1;
    const size_t panel = a.row(i) / panel_rows;
    while (i + count < a.num_rows && a.row(i + count) / panel_rows == panel) ++count;
    ReadPanelRows(a, ops, i, count);
    i += count;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
