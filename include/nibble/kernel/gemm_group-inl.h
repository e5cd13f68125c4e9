// SPDX-License-Identifier: Apache-2.0 OR MIT
// A group of panels of w times some rows of x: read scales, decode a chunk of k, multiply, next
// chunk. On the float paths a short chunk makes the four panels of a group four streams; on the
// integer path one row reads all of them at once.
#if defined(NIBBLE_KERNEL_GEMM_GROUP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_GROUP_INL_H_
#undef NIBBLE_KERNEL_GEMM_GROUP_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_GROUP_INL_H_
#endif

#include "nibble/kernel/epilogue-inl.h"
#include "nibble/kernel/gemm_amx-inl.h"
#include "nibble/kernel/gemm_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <FloatDot kDot>
HWY_NOINLINE void FloatTiles(const FloatTileArgs& a, size_t rows, size_t columns) {
  ForEachTile(rows, columns, [&]<size_t kRows, size_t kVectors>(size_t m, size_t column) HWY_ATTR {
    FloatTile<kRows == 1 ? OfOneRow(kDot) : kDot, kRows, kVectors>(a, m, column);
  });
}

/// Sums of levels less `flip` of each segment, for activations with zero points: products with
/// ones.
template <class = void>
HWY_NOINLINE void SumLevels(const uint8_t* HWY_RESTRICT w, size_t num_segments,
                            size_t segment_quads, int32_t flip, int32_t* HWY_RESTRICT sums) {
  const SumTag di;
  constexpr QuadDot kDot = QuadDot::kAny;
  const auto start = hn::Set(di, (FlipOf(kDot) - flip) * static_cast<int32_t>(4 * segment_quads));
  const auto ones = hn::Set(QuadTag(), int8_t{1});
  for (size_t s = 0; s < num_segments; ++s) {
    for (size_t lane = 0; lane < panel_rows; lane += hn::Lanes(di)) {
      auto sum = start;
      for (size_t q = 0; q < segment_quads; ++q) {
        const auto levels = hn::LoadU(LevelTag(), w + (s * segment_quads + q) * 64 + lane * 4);
        sum = DotQuad<kDot>(Flipped<kDot>(levels), ones, sum);
      }
      hn::StoreU(sum, di, sums + s * panel_rows + lane);
    }
  }
}

/// A group of panels of one matrix, times some rows of x.
struct GroupJob {
  const GemmRun& run;
  const packed_data& w;
  size_t first_panel;
  size_t num_panels;
  const uint32_t* x_rows;  ///< or null
  size_t first_row;
  size_t rows;
  const WorkerScratch& scratch;
  float* c;        ///< [rows][kGroupColumns]
  int32_t* whole;  ///< the same, or null: int32 sums over all of k are not wanted

  [[nodiscard]] size_t row_of(size_t m) const {
    return x_rows == nullptr ? first_row + m : size_t{x_rows[first_row + m]};
  }
  [[nodiscard]] size_t panel_bytes() const { return w.shape.num_strips() * run.ops.strip_bytes; }
  /// Packed codes of the first panel from column k.
  [[nodiscard]] const uint8_t* codes_at(size_t k) const {
    return w.codes + first_panel * panel_bytes() + k / strip_cols * run.ops.strip_bytes;
  }
};

/// Scales and shifts of one block of a panel, as dequantizing wants them.
template <class = void>
HWY_NOINLINE void ReadBlockFactors(const GroupJob& job, size_t panel, size_t block,
                                   float* HWY_RESTRICT scales, float* HWY_RESTRICT shifts) {
  const PackedOps& ops = job.run.ops;
  ops.scales(job.w, detail::scale_codes, panel, block, 1, scales);
  if (ops.shift == detail::shift_use::none) return;
  ops.shifts(job.w, detail::shift_codes, panel, block, 1, shifts);
}

/// Scales and shifts of `segments` segments of every panel, as floats.
template <class = void>
HWY_NOINLINE void ReadFactors(const GroupJob& job, size_t segment, size_t segments) {
  const GemmRun& run = job.run;
  const WorkerScratch& s = job.scratch;
  const size_t spb = run.shape.segments_per_block();
  const size_t stride = run.sizes.factor_segments * panel_rows;
  const size_t floats = segments * panel_rows;
  const auto read = [&](auto fn, size_t part, size_t panel, float* to) {
    if (spb == 1) return fn(job.w, part, panel, segment, segments, to);
    for (size_t i = 0; i < segments; ++i) {
      float* const here = to + i * panel_rows;
      if (i == 0 || (segment + i) % spb == 0) {
        fn(job.w, part, panel, (segment + i) / spb, 1, here);
      } else {
        std::memcpy(here, here - panel_rows, panel_rows * sizeof(float));
      }
    }
  };
  const float unit = run.plan.path == compute_path::integer ? run.args.codec->unit : 1.0f;
  for (size_t p = 0; p < job.num_panels; ++p) {
    float* const scales = s.scales + p * stride;
    float* const shifts = s.shifts + p * stride;
    read(run.ops.scales, detail::scale_codes, job.first_panel + p, scales);
    for (size_t i = 0; unit != 1.0f && i < floats; ++i) scales[i] *= unit;
    if (run.ops.shift == detail::shift_use::none) continue;
    read(run.ops.shifts, detail::shift_codes, job.first_panel + p, shifts);
  }
}

/// Arguments for the rows from `first` on.
HWY_INLINE IntTileArgs FromRow(IntTileArgs a, size_t first) {
  a.x += first;
  a.x_scale += first;
  a.x_sum += first;
  if (a.x_zero != nullptr) a.x_zero += first;
  a.c += first * kGroupColumns;
  a.partial += first * kGroupColumns;
  return a;
}
HWY_INLINE FloatTileArgs FromRow(FloatTileArgs a, size_t first) {
  a.x += first;
  a.c += first * kGroupColumns;
  return a;
}

/// Tiles by block: some rows at a time are laid out in pairs, 8 bytes of each in turns.
/// @param bytes  of a row in this chunk, a multiple of 16
template <class Args>
HWY_NOINLINE void MultiplyPairs(void (*tiles)(const Args&, size_t, size_t), const Args& all,
                                size_t bytes, const WorkerScratch& s, size_t rows, size_t columns) {
  const hn::FixedTag<uint64_t, 2> d;
  for (size_t first = 0; first < rows; first += kPairRows) {
    const size_t n = HWY_MIN(kPairRows, rows - first);
    const void** const x = s.x + first;
    for (size_t m = 0; m < n / kTileRows * kTileRows; m += 2) {
      const auto* HWY_RESTRICT row0 = static_cast<const uint64_t*>(x[m]);
      const auto* HWY_RESTRICT row1 = static_cast<const uint64_t*>(x[m + 1]);
      uint64_t* HWY_RESTRICT to = reinterpret_cast<uint64_t*>(s.pairs + m * bytes);
      x[m] = to;
      for (size_t i = 0; i < bytes / 8; i += 2) {
        const auto a = hn::LoadU(d, row0 + i);
        const auto b = hn::LoadU(d, row1 + i);
        hn::StoreU(hn::InterleaveLower(d, a, b), d, to + 2 * i);
        hn::StoreU(hn::InterleaveUpper(d, a, b), d, to + 2 * i + 2);
      }
    }
    tiles(FromRow(all, first), n, columns);
  }
}

/// Sums of a segment that a chunk left in `partial` go where they belong: to c, scaled, and to sums
/// over all of k. There is no float shift.
template <class = void>
HWY_NOINLINE void FinishKept(const GroupJob& job, const IntTileArgs& a) {
  const LaneTag df;
  const SumTag di;
  for (size_t column = 0; column < job.num_panels * panel_rows; column += hn::Lanes(df)) {
    const size_t factor = column / panel_rows * a.factor_stride + column % panel_rows;
    const auto scale = hn::LoadU(df, a.scales + factor);
    for (size_t m = 0; m < job.rows; ++m) {
      const size_t at = m * kGroupColumns + column;
      const auto sum = hn::LoadU(di, a.partial + at);
      hn::StoreU(FinishSegment<false>(sum, scale, a.shifts + factor, a.shift, a.x_scale[m][0],
                                      a.x_sum[m][0], hn::LoadU(df, a.c + at)),
                 df, a.c + at);
      hn::StoreU(hn::Add(hn::LoadU(di, job.whole + at), sum), di, job.whole + at);
    }
  }
}

/// Where the scales of w and x are 1, the int32 sum is the result; elsewhere it becomes c to
/// nearest. For float_multiplier c becomes the float of the former.
template <class = void>
HWY_NOINLINE void SettleKept(const GroupJob& job, bool as_float) {
  const LaneTag df;
  const SumTag di;
  const auto one = hn::Set(df, 1.0f);
  const size_t stride = job.run.sizes.factor_segments * panel_rows;
  for (size_t column = 0; column < job.num_panels * panel_rows; column += hn::Lanes(df)) {
    const float* const scales = job.scratch.scales + column / panel_rows * stride;
    const auto is_one = hn::Eq(hn::LoadU(df, scales + column % panel_rows), one);
    for (size_t m = 0; m < job.rows; ++m) {
      const size_t at = m * kGroupColumns + column;
      const float x_scale = *(job.run.x.scales + job.row_of(m) * job.run.x.segment_stride);
      const auto exact = hn::And(is_one, hn::Eq(hn::Set(df, x_scale), one));
      const auto c = hn::LoadU(df, job.c + at);
      const auto whole = hn::LoadU(di, job.whole + at);
      if (as_float) {
        hn::StoreU(hn::IfThenElse(exact, hn::ConvertTo(df, whole), c), df, job.c + at);
      } else {
        hn::StoreU(hn::IfThenElse(hn::RebindMask(di, exact), whole, ToInt32(df, c)), di,
                   job.whole + at);
      }
    }
  }
}

/// Columns k .. k + cols on the integer path: whole segments, or a part of one. Their factors lie
/// from number `at` of what ReadFactors read.
template <class = void>
HWY_NOINLINE void MultiplyLevels(const GroupJob& job, size_t k, size_t cols, size_t at) {
  const GemmRun& run = job.run;
  const WorkerScratch& s = job.scratch;
  const packed_shape& shape = job.run.shape;
  const size_t panel_bytes = job.panel_bytes();
  const uint8_t* const codes = job.codes_at(k);
  const size_t segment = k / shape.segment_cols;
  const size_t skip = k % shape.segment_cols;
  const bool part = cols < shape.segment_cols;
  const bool ends = !part || skip + cols == shape.segment_cols;
  const LevelOps& by = run.ops.by(run.plan.dot);
  IntTileArgs a{};
  a.w = run.ops.raw_levels ? codes : s.w;
  a.w_stride = run.ops.raw_levels ? panel_bytes : run.sizes.w_bytes;
  a.factor_stride = run.sizes.factor_segments * panel_rows;
  a.scales = s.scales + at * panel_rows;
  a.shifts = s.shifts + at * panel_rows;
  a.level_sums = s.level_sums;
  a.x = reinterpret_cast<const uint8_t* const*>(s.x);
  a.x_scale = s.x_scale;
  a.x_sum = s.x_sum;
  a.num_segments = part ? 1 : cols / shape.segment_cols;
  a.segment_quads = (part ? cols : shape.segment_cols) / 4;
  a.bias = run.args.codec->bias - by.flip;
  a.shift = run.ops.shift;
  a.first = skip == 0;
  a.last = ends && job.whole == nullptr;
  a.kept = ends && job.whole != nullptr;
  a.c = job.c;
  a.partial = s.partial;
  const bool in_registers =
      job.rows == 1 && !part && run.x.zeros == nullptr && !run.sizes.keeps_sums;
  for (size_t p = 0; !in_registers && p < job.num_panels; ++p) {
    const uint8_t* const from = codes + p * panel_bytes;
    uint8_t* const to = s.w + p * run.sizes.w_bytes;
    if (!run.ops.raw_levels) run.ops.levels(from, cols / strip_cols, *run.args.codec, to);
    if (run.x.zeros != nullptr) {
      SumLevels(run.ops.raw_levels ? from : to, a.num_segments, a.segment_quads, by.flip,
                s.level_sums + p * a.factor_stride);
    }
  }
  for (size_t m = 0; m < job.rows; ++m) {
    const size_t r = job.row_of(m);
    s.x[m] = run.x.codes + r * run.x.code_stride + k;
    s.x_scale[m] = run.x.scales + r * run.x.segment_stride + segment;
    s.x_sum[m] = run.x.sums + r * run.x.segment_stride + segment;
    if (run.x.zeros != nullptr) s.x_zero[m] = run.x.zeros[r];
  }
  if (run.x.zeros != nullptr) a.x_zero = s.x_zero;
  const size_t columns = job.num_panels * panel_rows;
  if (in_registers) {
    a.w = codes;
    a.w_stride = panel_bytes;
    by.gemv(a, run.args.codec->levels, columns);
  } else if (kHasAmx && run.plan.amx && job.rows >= kLeastAmxTaskRows) {
    AmxIntTiles(a, run.ops.raw_levels ? nullptr : s.w, TileDepth(shape.segment_cols), job.rows,
                columns);
  } else {
    by.by_block ? MultiplyPairs(by.tiles, a, cols, s, job.rows, columns)
                : by.tiles(a, job.rows, columns);
  }
  if (a.kept) FinishKept(job, a);
}

/// The same on the float paths.
template <class = void>
HWY_NOINLINE void MultiplyFloats(const GroupJob& job, size_t k, size_t cols, size_t at) {
  const GemmRun& run = job.run;
  const WorkerScratch& s = job.scratch;
  const packed_shape& shape = job.run.shape;
  const bool is_f32 = run.plan.path == compute_path::exact;
  const size_t panel_bytes = job.panel_bytes();
  const uint8_t* const codes = job.codes_at(k);
  const size_t factor_stride = run.sizes.factor_segments * panel_rows;
  if (is_f32 && job.rows == 1 && run.ops.float_gemv != nullptr) {
    FloatGemvArgs g{};
    g.w = codes;
    g.w_stride = panel_bytes;
    g.num_strips = cols / strip_cols;
    g.scales = s.scales + at * panel_rows;
    g.shifts = s.shifts + at * panel_rows;
    g.factor_stride = factor_stride;
    g.segment_cols = shape.segment_cols;
    g.skip = k % shape.segment_cols;
    g.info = run.args.codec;
    g.x = run.x.floats + job.row_of(0) * run.x.float_stride + k;
    g.c = job.c;
    run.ops.float_gemv(g, job.num_panels * panel_rows);
    return;
  }
  for (size_t p = 0; p < job.num_panels; ++p) {
    const uint8_t* const from = codes + p * panel_bytes;
    uint8_t* const to = s.w + p * run.sizes.w_bytes;
    const float* const scales = s.scales + p * factor_stride + at * panel_rows;
    const float* const shifts = s.shifts + p * factor_stride + at * panel_rows;
    const size_t skip = k % shape.segment_cols;
    if (is_f32) {
      run.ops.floats(from, cols / strip_cols, *run.args.codec, scales, shifts, shape.segment_cols,
                     skip, reinterpret_cast<float*>(to));
    } else {
      DecodeHalves(run.ops.floats, run.ops.strip_bytes, run.plan.bf16_rounding, from,
                   cols / strip_cols, *run.args.codec, scales, shifts, shape.segment_cols, skip,
                   reinterpret_cast<uint32_t*>(to));
    }
  }
  FloatTileArgs a{};
  a.w = s.w;
  a.w_stride = run.sizes.w_bytes;
  a.x = s.x;
  a.num_steps = is_f32 ? cols : cols / 2;
  a.c = job.c;
  for (size_t m = 0; m < job.rows; ++m) {
    const size_t r = job.row_of(m);
    s.x[m] = is_f32 ? static_cast<const void*>(run.x.floats + r * run.x.float_stride + k)
                    : run.x.halves + r * run.x.half_stride + k;
  }
  const size_t columns = job.num_panels * panel_rows;
  // What an extension multiplies: on Arm pairs of rows.
  constexpr FloatDot kMore = kIsArm64            ? FloatDot::kBfmmla
                             : kHasBf16Extension ? FloatDot::kBf16Extension
                                                 : FloatDot::kBf16;
  is_f32               ? FloatTiles<FloatDot::kF32>(a, job.rows, columns)
  : run.plan.amx       ? AmxHalfTiles(a, job.rows, columns)
  : !run.plan.bf16_dot ? FloatTiles<FloatDot::kBf16>(a, job.rows, columns)
  : IsByBlock(kMore)   ? MultiplyPairs(&FloatTiles<kMore>, a, 2 * cols, s, job.rows, columns)
                       : FloatTiles<kMore>(a, job.rows, columns);
}

/// All of k: factors a longer stretch at a time than codes, whose chunk is short with one row so
/// that the panels' streams interleave.
template <class = void>
HWY_NOINLINE void MultiplyGroup(const GroupJob& job) {
  const packed_shape& shape = job.run.shape;
  const GemmScratch& z = job.run.sizes;
  std::memset(job.c, 0, job.rows * kGroupColumns * sizeof(float));
  if (job.whole != nullptr) {
    std::memset(job.whole, 0, job.rows * kGroupColumns * sizeof(int32_t));
  }
  const auto multiply =
      job.run.plan.path == compute_path::integer ? &MultiplyLevels<> : &MultiplyFloats<>;
  if (shape.segment_cols > z.chunk_cols) {
    for (size_t k = 0; k < shape.packed_cols;) {
      const size_t skip = k % shape.segment_cols;
      if (skip == 0) ReadFactors(job, k / shape.segment_cols, 1);
      const size_t cols = HWY_MIN(z.chunk_cols, shape.segment_cols - skip);
      multiply(job, k, cols, 0);
      k += cols;
    }
    return;
  }
  const size_t factor_cols = z.factor_segments * shape.segment_cols;
  for (size_t first = 0; first < shape.packed_cols; first += factor_cols) {
    const size_t end = HWY_MIN(shape.packed_cols, first + factor_cols);
    ReadFactors(job, first / shape.segment_cols, (end - first) / shape.segment_cols);
    for (size_t k = first; k < end; k += z.chunk_cols) {
      multiply(job, k, HWY_MIN(z.chunk_cols, end - k), (k - first) / shape.segment_cols);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
