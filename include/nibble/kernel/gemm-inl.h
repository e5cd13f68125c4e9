// SPDX-License-Identifier: Apache-2.0 OR MIT
// The driver of packed products: prepare x once, then for groups of panels of w in parallel decode
// a chunk of k into scratch, multiply all rows of x with it, next chunk; epilogue at the end.
//
//   for group of 4 panels (64 rows of w)   in parallel; no two write the same y
//     for block of rows of x               only many rows are split, and few groups
//       for chunk of k                     decoded: 4 panels x chunk, stays in the L1 or L2 cache
//         for tile                         micro-kernel: registers
//       epilogue: from the private sums to y, written once
//
// Sums live in a private buffer, never in y: rows of y a power of two apart would share cache sets.
// With one row of x, the panels of a group are read in turn, a few KiB each: four streams, which a
// core needs to use its memory bandwidth.
#if defined(NIBBLE_KERNEL_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_INL_H_
#undef NIBBLE_KERNEL_GEMM_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_INL_H_
#endif

#include "nibble/format/cpu_extensions.h"
#include "nibble/kernel/epilogue-inl.h"
#include "nibble/kernel/gemm_amx-inl.h"
#include "nibble/kernel/gemm_prepare-inl.h"
#include "nibble/kernel/gemv_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// All tiles of a chunk on the integer path.
template <QuadDot kDot, bool kFloatShift>
HWY_NOINLINE void IntTiles(const IntTileArgs& a, size_t rows, size_t columns) {
  ForEachTile(rows, columns, [&]<size_t kRows, size_t kVectors>(size_t m, size_t column) HWY_ATTR {
    IntTile<kDot, kFloatShift, kRows, kVectors>(a, m, column);
  });
}

/// What the driver needs to know of a packed kind.
struct PackedOps {
  void (*levels)(const uint8_t*, size_t, const detail::codec_info&, uint8_t*);
  void (*floats)(const uint8_t*, size_t, const detail::codec_info&, const float*, const float*,
                 size_t, size_t, void*);
  void (*halves)(const uint8_t*, size_t, const detail::codec_info&, const float*, const float*,
                 size_t, size_t, void*);
  void (*scales)(const packed_data&, size_t, size_t, size_t, size_t, float*);
  void (*shifts)(const packed_data&, size_t, size_t, size_t, size_t, float*);
  void (*int_tiles)(const IntTileArgs&, size_t, size_t);
  void (*vnni_tiles)(const IntTileArgs&, size_t, size_t);  ///< the same by AVX_VNNI, or null
  void (*int_gemv)(const IntTileArgs&, const uint8_t*, size_t);
  void (*float_gemv)(const FloatGemvArgs&, size_t);
  size_t strip_bytes;
  detail::shift_use shift;
  bool minimum;  ///< shifts are read with the other sign
  bool narrow;   ///< levels stay below 128
  const char* decode;
  bool raw_levels;  ///< packed codes are levels: nothing to decode
};

template <class Codec, detail::shift_use kShift, class Scale, class ShiftFactor>
HWY_INLINE PackedOps OpsOf(detail::packed_kind<Codec, kShift, Scale, ShiftFactor> /*kind*/) {
  PackedOps o{};
  if constexpr (Codec::has_levels) {
    o.levels = &DecodeLevels<Codec>;
    o.raw_levels = Codec::bits == 8;
    constexpr QuadDot kDot = QuadDotOf<Codec>();
    constexpr bool kFloatShift =
        kShift != detail::shift_use::none && kShift != detail::shift_use::zero_int;
    o.int_tiles = &IntTiles<kDot, kFloatShift>;
    if constexpr (kHasVnniExtension) o.vnni_tiles = &IntTiles<QuadDot::kExtension, kFloatShift>;
    o.int_gemv = &IntGemv<Codec, kDot, kFloatShift>;
  }
  o.minimum = kShift == detail::shift_use::minimum;
  constexpr auto kUse = kShift == detail::shift_use::minimum ? detail::shift_use::offset : kShift;
  o.floats = &DecodeFloats<Codec, kUse, FloatOut::kF32>;
  o.halves = &DecodeFloats<Codec, kUse, FloatOut::kBf16>;
  o.float_gemv = &FloatGemv<Codec, kUse>;
  o.scales = &ReadFactor<Scale>;
  o.shifts = &ReadFactor<ShiftFactor>;
  o.strip_bytes = detail::strip_bytes(Codec::bits);
  o.shift = kUse;
  o.narrow = Codec::highest < 128;
  o.decode = DecodeName<Codec>();
  return o;
}

/// Panels that one task decodes and multiplies at a time.
inline constexpr size_t kGroupPanels = 4;
inline constexpr size_t kGroupColumns = kGroupPanels * panel_rows;
/// Rows of x that one task keeps sums of.
inline constexpr size_t kMaxTaskRows = 512;

/// Sizes and places of scratch.
struct GemmScratch {
  size_t most_rows;        ///< of a product of the call
  size_t groups;           ///< of panels, in all products
  size_t chunk_cols;       ///< columns of w decoded at a time
  size_t factor_segments;  ///< segments whose scales are read at a time
  size_t task_rows;
  size_t w_bytes;  ///< of one panel's decoded chunk
  size_t worker_bytes;
  size_t x_bytes;
};

struct WorkerScratch {
  uint8_t* w;
  float* scales;
  float* shifts;
  int32_t* level_sums;
  float* c;
  float* c_pair;
  int32_t* partial;
  const void** x;
  const float** x_scale;
  const int32_t** x_sum;
  int32_t* x_zero;
};

struct GemmRun {
  const detail::gemm_args& args;
  const detail::gemm_plan& plan;
  const PackedOps& ops;
  const packed_shape& shape;  ///< of the first matrix; k is that of all
  GemmScratch sizes;
  PreparedX x;
  uint8_t* workers;
  size_t row_blocks = 1;
};

HWY_INLINE size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

template <class T>
HWY_INLINE T* TakeScratch(uint8_t*& at, size_t count) {
  T* const p = reinterpret_cast<T*>(at);
  at += RoundUp(count * sizeof(T), 64);
  return p;
}

/// Places of one worker's scratch; with at == nullptr the end is the size.
HWY_INLINE WorkerScratch PlaceWorker(const GemmRun& run, uint8_t*& at) {
  const GemmScratch& z = run.sizes;
  WorkerScratch s{};
  const size_t factors = kGroupPanels * z.factor_segments * panel_rows;
  const size_t sums = RoundUp(z.task_rows, 16) * kGroupColumns;  // tiles write whole ones
  s.w = TakeScratch<uint8_t>(at, kGroupPanels * z.w_bytes);
  s.scales = TakeScratch<float>(at, factors);
  s.shifts = TakeScratch<float>(at, factors);
  s.level_sums = TakeScratch<int32_t>(at, factors);
  s.c = TakeScratch<float>(at, sums);
  s.c_pair = TakeScratch<float>(at, sums);
  s.partial = TakeScratch<int32_t>(at, sums);
  s.x = TakeScratch<const void*>(at, z.task_rows);
  s.x_scale = TakeScratch<const float*>(at, z.task_rows);
  s.x_sum = TakeScratch<const int32_t*>(at, z.task_rows);
  s.x_zero = TakeScratch<int32_t>(at, z.task_rows);
  return s;
}

template <FloatDot kDot>
HWY_NOINLINE void FloatTiles(const FloatTileArgs& a, size_t rows, size_t columns) {
  ForEachTile(rows, columns, [&]<size_t kRows, size_t kVectors>(size_t m, size_t column) HWY_ATTR {
    FloatTile<kDot, kRows, kVectors>(a, m, column);
  });
}

/// Sums of levels of each segment, for activations with zero points: products with ones.
template <class = void>
HWY_NOINLINE void SumLevels(const uint8_t* HWY_RESTRICT w, size_t num_segments,
                            size_t segment_quads, int32_t* HWY_RESTRICT sums) {
  const SumTag di;
  const auto ones = hn::Set(QuadTag(), int8_t{1});
  for (size_t s = 0; s < num_segments; ++s) {
    for (size_t lane = 0; lane < panel_rows; lane += hn::Lanes(di)) {
      auto sum = hn::Zero(di);
      for (size_t q = 0; q < segment_quads; ++q) {
        const auto levels = hn::LoadU(LevelTag(), w + (s * segment_quads + q) * 64 + lane * 4);
        sum = DotQuad<QuadDot::kAny>(levels, ones, sum);
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
  float* c;  ///< [rows][kGroupColumns]

  [[nodiscard]] size_t row_of(size_t m) const {
    return x_rows == nullptr ? first_row + m : size_t{x_rows[first_row + m]};
  }
};

/// Scales and shifts of `segments` segments of every panel, as floats.
template <class = void>
HWY_NOINLINE void ReadFactors(const GroupJob& job, size_t segment, size_t segments) {
  const GemmRun& run = job.run;
  const WorkerScratch& s = job.scratch;
  const size_t spb = job.w.shape.segments_per_block();
  const size_t stride = run.sizes.factor_segments * panel_rows;
  const size_t floats = segments * panel_rows;
  const auto read = [&](auto fn, size_t part, size_t panel, float* to) {
    fn(job.w, part, panel, segment / spb, spb == 1 ? segments : 1, to);
    for (size_t i = 1; i < segments && spb != 1; ++i) {
      std::memcpy(to + i * panel_rows, to, panel_rows * sizeof(float));
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
    for (size_t i = 0; run.ops.minimum && i < floats; ++i) shifts[i] = -shifts[i];
  }
}

/// Columns k .. k + cols on the integer path: whole segments, or a part of one. Their factors lie
/// from number `at` of what ReadFactors read.
template <class = void>
HWY_NOINLINE void MultiplyLevels(const GroupJob& job, size_t k, size_t cols, size_t at) {
  const GemmRun& run = job.run;
  const WorkerScratch& s = job.scratch;
  const packed_shape& shape = job.w.shape;
  const size_t panel_bytes = shape.num_strips() * run.ops.strip_bytes;
  const uint8_t* const codes =
      job.w.codes + job.first_panel * panel_bytes + k / strip_cols * run.ops.strip_bytes;
  const size_t segment = k / shape.segment_cols;
  const size_t skip = k % shape.segment_cols;
  const bool part = cols < shape.segment_cols;
  IntTileArgs a{};
  a.w = run.ops.raw_levels ? codes : s.w;
  a.w_stride = run.ops.raw_levels ? panel_bytes : run.sizes.w_bytes;
  a.factor_stride = run.sizes.factor_segments * panel_rows;
  a.scales = s.scales + at * panel_rows;
  a.shifts = s.shifts + at * panel_rows;
  a.level_sums = s.level_sums;
  a.x = reinterpret_cast<const int8_t* const*>(s.x);
  a.x_scale = s.x_scale;
  a.x_sum = s.x_sum;
  a.num_segments = part ? 1 : cols / shape.segment_cols;
  a.segment_quads = (part ? cols : shape.segment_cols) / 4;
  a.bias = run.args.codec->bias;
  a.shift = run.ops.shift;
  a.first = skip == 0;
  a.last = !part || skip + cols == shape.segment_cols;
  a.c = job.c;
  a.partial = s.partial;
  a.c_stride = kGroupColumns;
  const bool in_registers = job.rows == 1 && !part && run.x.zeros == nullptr;
  for (size_t p = 0; !in_registers && p < job.num_panels; ++p) {
    const uint8_t* const from = codes + p * panel_bytes;
    uint8_t* const to = s.w + p * run.sizes.w_bytes;
    if (!run.ops.raw_levels) run.ops.levels(from, cols / strip_cols, *run.args.codec, to);
    if (run.x.zeros != nullptr) {
      SumLevels(run.ops.raw_levels ? from : to, a.num_segments, a.segment_quads,
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
    run.ops.int_gemv(a, run.args.codec->levels, columns);
  } else if (kHasAmx && run.plan.amx && job.rows >= kLeastAmxTaskRows) {
    AmxIntTiles(a, run.ops.raw_levels ? nullptr : s.w, TileDepth(shape.segment_cols), job.rows,
                columns);
  } else {
    (run.plan.avx_vnni ? run.ops.vnni_tiles : run.ops.int_tiles)(a, job.rows, columns);
  }
}

/// The same on the float paths.
template <class = void>
HWY_NOINLINE void MultiplyFloats(const GroupJob& job, size_t k, size_t cols, size_t at) {
  const GemmRun& run = job.run;
  const WorkerScratch& s = job.scratch;
  const packed_shape& shape = job.w.shape;
  const bool is_f32 = run.plan.path == compute_path::exact;
  const size_t panel_bytes = shape.num_strips() * run.ops.strip_bytes;
  const uint8_t* const codes =
      job.w.codes + job.first_panel * panel_bytes + k / strip_cols * run.ops.strip_bytes;
  const size_t factor_stride = run.sizes.factor_segments * panel_rows;
  if (is_f32 && job.rows == 1) {
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
    (is_f32 ? run.ops.floats : run.ops.halves)(
        codes + p * panel_bytes, cols / strip_cols, *run.args.codec,
        s.scales + p * factor_stride + at * panel_rows,
        s.shifts + p * factor_stride + at * panel_rows, shape.segment_cols, k % shape.segment_cols,
        s.w + p * run.sizes.w_bytes);
  }
  FloatTileArgs a{};
  a.w = s.w;
  a.w_stride = run.sizes.w_bytes;
  a.x = s.x;
  a.num_steps = is_f32 ? cols : cols / 2;
  a.c = job.c;
  a.c_stride = kGroupColumns;
  for (size_t m = 0; m < job.rows; ++m) {
    const size_t r = job.row_of(m);
    s.x[m] = is_f32 ? static_cast<const void*>(run.x.floats + r * run.x.float_stride + k)
                    : run.x.halves + r * run.x.half_stride + k;
  }
  const size_t columns = job.num_panels * panel_rows;
  constexpr FloatDot kMore = kHasBf16Extension ? FloatDot::kBf16Extension : FloatDot::kBf16;
  is_f32              ? FloatTiles<FloatDot::kF32>(a, job.rows, columns)
  : run.plan.amx      ? AmxHalfTiles(a, job.rows, columns)
  : run.plan.bf16_dot ? FloatTiles<kMore>(a, job.rows, columns)
                      : FloatTiles<FloatDot::kBf16>(a, job.rows, columns);
}

/// All of k: factors a longer stretch at a time than codes, whose chunk is short with one row so
/// that the panels' streams interleave.
template <class = void>
HWY_NOINLINE void MultiplyGroup(const GroupJob& job) {
  const packed_shape& shape = job.w.shape;
  const GemmScratch& z = job.run.sizes;
  std::memset(job.c, 0, job.rows * kGroupColumns * sizeof(float));
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

/// One task: a block of rows times a group of panels, and the epilogue.
template <class = void>
HWY_NOINLINE void RunTask(const GemmRun& run, const detail::gemm_item& item, size_t group,
                          size_t row_block, size_t worker) {
  uint8_t* at = run.workers + worker * run.sizes.worker_bytes;
  const WorkerScratch s = PlaceWorker(run, at);
  const size_t first_panel = group * kGroupPanels;
  const size_t num_panels = HWY_MIN(kGroupPanels, item.w->shape.num_panels - first_panel);
  const size_t first_row = row_block * run.sizes.task_rows;
  if (first_row >= item.num_rows) return;
  const size_t rows = HWY_MIN(run.sizes.task_rows, item.num_rows - first_row);
  const auto multiply = [&](const packed_data& w, float* c) {
    MultiplyGroup(GroupJob{run, w, first_panel, num_panels, item.x_rows, first_row, rows, s, c});
  };
  const bool is_integer = run.plan.path == compute_path::integer;
  const TileSession tiles(run.plan.amx, is_integer ? TileDepth(run.shape.segment_cols) : 64);
  multiply(*item.w, s.c);
  if (item.pair != nullptr) multiply(*item.pair, s.c_pair);
  const size_t column = first_panel * panel_rows;
  const size_t columns = HWY_MIN(num_panels * panel_rows, item.w->shape.rows - column);
  for (size_t m = 0; m < rows; ++m) {
    const size_t r = item.y_rows == nullptr ? first_row + m : item.y_rows[first_row + m];
    uint8_t* const y =
        static_cast<uint8_t*>(item.y.data) + r * item.y.stride * size_of(item.y.type);
    ApplyEpilogue(*item.post, s.c + m * kGroupColumns,
                  item.pair == nullptr ? nullptr : s.c_pair + m * kGroupColumns, r, column, columns,
                  y, item.y.type, item.pair_channels);
  }
}

/// Rows of x that tasks are split into, so that few columns still feed all threads.
HWY_INLINE size_t ChooseTaskRows(size_t rows, size_t groups, size_t threads) {
  size_t task_rows = HWY_MIN(rows, kMaxTaskRows);
  while (task_rows > 32 && groups * ((rows + task_rows - 1) / task_rows) < 2 * threads) {
    task_rows = RoundUp(task_rows / 2, 16);
  }
  return task_rows == 0 ? 1 : task_rows;
}

template <class = void>
HWY_NOINLINE void PrepareRow(const GemmRun& run, size_t r, float* scratch) {
  const activations& x = run.args.x;
  switch (run.plan.path) {
    case compute_path::integer: {
      const size_t per_block = HWY_MAX(run.shape.block_cols, strip_cols);
      PrepareCodes(x, r, run.shape, run.plan.per_block_scales ? per_block : run.shape.packed_cols,
                   scratch, run.x);
      break;
    }
    case compute_path::bf16: PrepareHalves(x, r, run.shape, scratch, run.x); break;
    default:
      PackFloatRow(x, r, run.shape, scratch,
                   const_cast<float*>(run.x.floats) + r * run.x.float_stride);
  }
}

/// Sizes of chunks and tasks.
template <class = void>
HWY_NOINLINE GemmScratch ChooseSizes(const detail::gemm_args& args, compute_path path,
                                     const PackedOps& ops) {
  GemmScratch z{};
  const packed_shape& shape = args.items[0].w->shape;
  for (const detail::gemm_item& item : args.items) {
    z.most_rows = HWY_MAX(z.most_rows, item.num_rows);
    z.groups += RoundUp(item.w->shape.num_panels, kGroupPanels) / kGroupPanels;
  }
  const bool integer = path == compute_path::integer;
  const bool raw = integer && ops.raw_levels;
  // One row on the integer path needs no scratch for codes, so chunks are as long as scales allow:
  // 128 segments x 4 panels are 32 KiB (22.7 GB/s with chunks of 128 columns, 29.5 so). On other
  // paths short chunks make four panels four streams.
  const bool zeros = args.x.type == number_type::uint8 || args.x.zero_points != nullptr;
  const bool in_registers = z.most_rows == 1 && (integer ? !zeros : path == compute_path::exact);
  const size_t want = in_registers       ? 128 * shape.segment_cols
                      : raw              ? 2048
                      : z.most_rows == 1 ? 128
                      : z.most_rows <= 8 ? 256
                                         : 512;
  const size_t unit = HWY_MAX(RoundUp(shape.segment_cols, strip_cols), strip_cols);
  z.chunk_cols = unit <= want ? want / unit * unit : want;
  z.chunk_cols = HWY_MAX(HWY_MIN(z.chunk_cols, shape.packed_cols), strip_cols);
  const size_t chunk_segments = z.chunk_cols / HWY_MAX(shape.segment_cols, size_t{1});
  z.factor_segments = HWY_MAX(chunk_segments, size_t{1}) * HWY_MAX(1024 / z.chunk_cols, size_t{1});
  z.w_bytes = raw || in_registers ? 0
                                  : z.chunk_cols * panel_rows *
                                        (integer                      ? 1
                                         : path == compute_path::bf16 ? 2
                                                                      : 4);
  z.task_rows = ChooseTaskRows(z.most_rows, z.groups, args.with->num_threads());
  return z;
}

template <class = void>
HWY_NOINLINE errc RunGemm(const detail::gemm_args& args, const detail::gemm_plan& plan,
                          const PackedOps& ops) {
  context& with = *args.with;
  const packed_shape& shape = args.items[0].w->shape;
  GemmRun run{args, plan, ops, shape, ChooseSizes(args, plan.path, ops), {}, nullptr, 1};
  if (run.sizes.most_rows == 0 || run.sizes.groups == 0) return errc::ok;

  GemmScratch& z = run.sizes;
  const bool integer = plan.path == compute_path::integer;
  const bool zeros = args.x.type == number_type::uint8 || args.x.zero_points != nullptr;
  run.row_blocks = (z.most_rows + z.task_rows - 1) / z.task_rows;

  // Places: prepared rows, a row of floats per worker, then scratch per worker.
  const size_t x_rows = args.x.rows;
  const size_t row_floats = shape.packed_cols + shape.cols + 16;
  const bool in_place = plan.path == compute_path::exact && args.x.type == number_type::f32 &&
                        args.x.order == nullptr && shape.packed_cols == shape.cols;
  const auto place = [&](uint8_t* at) {
    const uint8_t* const start = at;
    PreparedX& x = run.x;
    x.segment_stride = shape.num_segments();
    if (integer) {
      // An odd number of cache lines: the rows of a tile lie in different sets.
      x.code_stride = RoundUp(shape.packed_cols, 128) + 64;
      x.codes = TakeScratch<int8_t>(at, x_rows * x.code_stride);
      x.scales = TakeScratch<float>(at, x_rows * x.segment_stride);
      x.sums = TakeScratch<int32_t>(at, x_rows * x.segment_stride);
      x.zeros = zeros ? TakeScratch<int32_t>(at, x_rows) : nullptr;
    } else if (plan.path == compute_path::bf16) {
      x.half_stride = RoundUp(shape.packed_cols, 64) + 32;
      x.halves = TakeScratch<uint16_t>(at, x_rows * x.half_stride);
    } else if (in_place) {
      x.floats = static_cast<const float*>(args.x.data);
      x.float_stride = args.x.stride;
    } else {
      x.float_stride = RoundUp(shape.packed_cols, 16) + 16;
      x.floats = TakeScratch<float>(at, x_rows * x.float_stride);
    }
    run.workers = at;
    uint8_t* worker_end = at;
    PlaceWorker(run, worker_end);
    TakeScratch<float>(worker_end, row_floats);
    z.worker_bytes = static_cast<size_t>(worker_end - at);
    return static_cast<size_t>(at - start) + z.worker_bytes * with.num_threads();
  };
  alignas(64) static constexpr uint8_t kNowhere[64] = {};
  const size_t bytes = place(const_cast<uint8_t*>(kNowhere));
  const context::lease scratch(with, bytes);
  if (scratch.data() == nullptr) return errc::out_of_memory;
  place(scratch.data());

  if (!in_place) {
    with.run(
        x_rows,
        [](void* p, size_t r, size_t worker) {
          const GemmRun& go = *static_cast<const GemmRun*>(p);
          const size_t floats = RoundUp((go.shape.packed_cols + go.shape.cols + 16) * 4, 64);
          PrepareRow(
              go, r,
              reinterpret_cast<float*>(go.workers + (worker + 1) * go.sizes.worker_bytes - floats));
        },
        &run);
  }
  with.run(
      z.groups * run.row_blocks,
      [](void* p, size_t task, size_t worker) {
        const GemmRun& go = *static_cast<const GemmRun*>(p);
        const size_t row_block = task % go.row_blocks;
        size_t group = task / go.row_blocks;
        for (const detail::gemm_item& item : go.args.items) {
          const size_t here = RoundUp(item.w->shape.num_panels, kGroupPanels) / kGroupPanels;
          if (group < here) {
            RunTask(go, item, group, row_block, worker);
            return;
          }
          group -= here;
        }
      },
      &run);
  return errc::ok;
}

/// Which path, and how: the only place that decides.
template <class Kind>
HWY_NOINLINE void PlanKernel(const detail::gemm_args& args, detail::gemm_plan* plan) {
  const PackedOps ops = OpsOf(Kind());
  const packed_shape& shape = args.items[0].w->shape;
  const detail::codec_info& info = *args.codec;
  plan->path = args.options.path;
  size_t most_rows = 0;
  for (const detail::gemm_item& item : args.items) most_rows = HWY_MAX(most_rows, item.num_rows);
  const extension more = detail::available_extensions(args.options.extensions);
  const bool amx = kHasAmx && has(more, extension::amx);
  plan->reason = "asked for";
  const bool codes_given = args.x.type == number_type::int8 || args.x.type == number_type::uint8;
  if (plan->path == compute_path::automatic) {
    if (info.exact_levels) {
      plan->path = compute_path::integer;
      plan->reason = "the codes are whole numbers";
    } else if (codes_given && info.has_levels) {
      plan->path = compute_path::integer;
      plan->reason = "the activations are 8-bit codes";
    } else if (amx && most_rows >= kLeastAmxRows && ops.strip_bytes <= detail::strip_bytes(8)) {
      plan->path = compute_path::bf16;
      plan->reason = "the codes are not whole numbers, and AMX multiplies bf16";
    } else {
      plan->path = compute_path::exact;
      plan->reason = "the codes are not whole numbers";
    }
  }
  plan->possible = plan->path != compute_path::integer || ops.levels != nullptr;
  plan->per_block_scales =
      args.options.scale == activation_scale::per_block ||
      (args.options.scale == activation_scale::automatic && shape.block < shape.cols);
  plan->avx_vnni = kHasVnniExtension && plan->path == compute_path::integer &&
                   ops.levels != nullptr && has(more, extension::avx_vnni);
  // bf16 for any number of rows, so that all get the same bits; levels have the same bits anyhow.
  plan->amx = amx && (plan->path == compute_path::bf16 ||
                      (plan->path == compute_path::integer && most_rows >= kLeastAmxRows));
  plan->bf16_dot = kHasBf16Extension && !plan->amx && plan->path == compute_path::bf16 &&
                   has(more, extension::avx512_bf16);
}

/// PlanKernel(), and what explain() says besides.
template <class Kind>
HWY_NOINLINE void ExplainKernel(const detail::gemm_args& args, detail::gemm_plan* plan) {
  PlanKernel<Kind>(args, plan);
  const PackedOps ops = OpsOf(Kind());
  const GemmScratch z = ChooseSizes(args, plan->path, ops);
  plan->target = hwy::TargetName(HWY_TARGET);
  plan->kernel = KernelName(*plan, ops.narrow);
  plan->decode = ops.decode;
  plan->vector_bytes = hn::Lanes(LaneTag()) * sizeof(float);
  plan->chunk_cols = z.chunk_cols;
  plan->task_rows = z.task_rows;
  plan->task_cols = kGroupColumns;
  plan->num_tasks =
      z.most_rows == 0 ? 0 : z.groups * ((z.most_rows + z.task_rows - 1) / z.task_rows);
}

template <class Kind>
HWY_NOINLINE errc GemmKernel(const detail::gemm_args& args) {
  detail::gemm_plan plan;
  PlanKernel<Kind>(args, &plan);
  return RunGemm(args, plan, OpsOf(Kind()));
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
