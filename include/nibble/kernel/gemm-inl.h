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
#include "nibble/kernel/gemm_find-inl.h"
#include "nibble/kernel/gemm_outliers-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Whether a product needs int32 sums over all of k, which f32 may not hold: those that nothing but
/// a fixed-point rule or float_multiplier takes, of rows of one block. The definition:
/// reference_gemm.h. In short rows f32 is exact, and so is the float of one segment.
template <class = void>
HWY_NOINLINE bool KeepsSums(const detail::gemm_args& args, const detail::gemm_plan& plan,
                            detail::shift_use shift, const detail::gemm_item& item) {
  const packed_shape& s = item.w->shape;
  const bool is_large = s.packed_cols >= (size_t{1} << 24) / (255 * 255);
  const bool may = plan.path == compute_path::integer && !plan.short_segments && is_large &&
                   s.num_blocks == 1 &&
                   (shift == detail::shift_use::none || shift == detail::shift_use::zero_int);
  if (!may || item.post == nullptr || item.pair != nullptr || !item.w->outliers.empty() ||
      (args.options.outlier_threshold > 0 && !is_code(args.x.type))) {
    return false;
  }
  return detail::takes_int32(*item.post, item.y.type) &&
         (detail::is_fixed(item.post->requantize.rule) || s.num_segments() > 1);
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
  const bool keeps_sums =
      run.sizes.keeps_sums && KeepsSums(run.args, run.plan, run.ops.shift, item);
  const auto job_of = [&](const packed_data& w, float* c) {
    return GroupJob{run,       w,    first_panel, num_panels, item.x_rows,
                    first_row, rows, s,           c,          keeps_sums ? s.whole : nullptr};
  };
  const bool is_integer = run.plan.path == compute_path::integer;
  const TileSession tiles(run.plan.amx, is_integer ? TileDepth(run.shape.segment_cols) : 64);
  const GroupJob job = job_of(*item.w, s.c);
  MultiplyAll(job, item);
  if (item.pair != nullptr) MultiplyAll(job_of(*item.pair, s.c_pair), item);
  const bool is_fixed = keeps_sums && detail::is_fixed(item.post->requantize.rule);
  if (keeps_sums) SettleKept(job, !is_fixed);
  const size_t column = first_panel * panel_rows;
  const size_t columns = HWY_MIN(num_panels * panel_rows, item.w->shape.rows - column);
  for (size_t m = 0; m < rows; ++m) {
    const size_t r = item.y_rows == nullptr ? first_row + m : item.y_rows[first_row + m];
    uint8_t* const y =
        static_cast<uint8_t*>(item.y.data) + r * item.y.stride * size_of(item.y.type);
    if (is_fixed) {
      RequantizeSums(item.post->requantize, s.whole + m * kGroupColumns, column, columns, y,
                     item.y.type);
      continue;
    }
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
  const packed_shape& shape = run.shape;
  switch (run.plan.path) {
    case compute_path::integer: {
      PrepareCodes(x, r, shape, run.plan.scale_cols, run.kept, scratch, run.x);
      break;
    }
    case compute_path::bf16: PrepareHalves(x, r, shape, run.kept, scratch, run.x); break;
    default:
      if (run.x.in_place) break;
      float* const row = const_cast<float*>(run.x.floats) + r * run.x.float_stride;
      PackFloatRow(x, r, shape, scratch, row);
      KeepColumns(x, r, shape, run.kept, row, run.x);
  }
  if (!run.x.flat_in_place) {
    packed_shape plain;  // one block without padding
    plain.cols = plain.block = plain.block_cols = plain.packed_cols = shape.cols;
    PackFloatRow(x, r, plain, scratch, const_cast<float*>(run.x.flat) + r * run.x.flat_stride);
  }
}

/// The shape of a call's matrices along k, in its segments.
HWY_INLINE packed_shape ShapeOf(const detail::gemm_args& args, const detail::gemm_plan& plan) {
  const packed_shape& s = args.items[0].w->shape;
  return plan.short_segments ? with_short_segments(s) : s;
}

/// Sizes of chunks and tasks.
template <class = void>
HWY_NOINLINE GemmScratch ChooseSizes(const detail::gemm_args& args, const detail::gemm_plan& plan,
                                     const PackedOps& ops) {
  GemmScratch z{};
  const packed_shape shape = ShapeOf(args, plan);
  const compute_path path = plan.path;
  for (const detail::gemm_item& item : args.items) {
    z.most_rows = HWY_MAX(z.most_rows, item.num_rows);
    z.groups += NumGroups(item.w->shape);
    z.keeps_sums = z.keeps_sums || KeepsSums(args, plan, ops.shift, item);
  }
  const bool integer = path == compute_path::integer;
  const bool raw = integer && ops.raw_levels;
  // One row on the integer path needs no scratch for codes, so chunks are as long as scales allow:
  // 128 segments x 4 panels are 32 KiB (22.7 GB/s with chunks of 128 columns, 29.5 so). On other
  // paths short chunks make four panels four streams.
  const bool in_registers =
      z.most_rows == 1 && !z.keeps_sums &&
      (integer ? !HasZeros(args.x) : path == compute_path::exact && ops.float_gemv != nullptr);
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
  for (const detail::gemm_item& item : args.items) {
    z.outlier_values = z.outlier_values || item.w->outliers.num_values != 0 ||
                       (item.pair != nullptr && item.pair->outliers.num_values != 0);
  }
  return z;
}

/// Places of prepared rows. Returns what follows them.
template <class = void>
HWY_NOINLINE uint8_t* PlaceRows(GemmRun& run, uint8_t* at) {
  const activations& from = run.args.x;
  const packed_shape& shape = run.shape;
  PreparedX& x = run.x;
  const bool plain = from.type == number_type::f32 && from.order == nullptr;
  x.in_place = run.plan.path == compute_path::exact && plain && run.kept.count() == 0 &&
               shape.packed_cols == shape.cols;
  x.segment_stride = shape.num_segments();
  if (run.plan.path == compute_path::integer) {
    // An odd number of cache lines: the rows of a tile lie in different sets.
    x.code_stride = RoundUp(shape.packed_cols, 128) + 64;
    x.codes = TakeScratch<int8_t>(at, from.rows * x.code_stride);
    x.scales = TakeScratch<float>(at, from.rows * x.segment_stride);
    x.sums = TakeScratch<int32_t>(at, from.rows * x.segment_stride);
    x.zeros = HasZeros(from) ? TakeScratch<int32_t>(at, from.rows) : nullptr;
  } else if (run.plan.path == compute_path::bf16) {
    x.half_stride = RoundUp(shape.packed_cols, 64) + 32;
    x.halves = TakeScratch<uint16_t>(at, from.rows * x.half_stride);
  } else if (x.in_place) {
    x.floats = static_cast<const float*>(from.data);
    x.float_stride = from.stride;
  } else {
    x.float_stride = RoundUp(shape.packed_cols, 16) + 16;
    x.floats = TakeScratch<float>(at, from.rows * x.float_stride);
  }
  if (run.kept.count() != 0) x.kept = TakeScratch<float>(at, from.rows * run.kept.count());
  if (!run.sizes.outlier_values) return at;
  x.flat_in_place = plain;
  x.flat_stride = plain ? from.stride : RoundUp(shape.cols, 16) + 16;
  x.flat = plain ? static_cast<const float*>(from.data)
                 : TakeScratch<float>(at, from.rows * x.flat_stride);
  if (run.sizes.across_floats != 0) {
    x.singles = reinterpret_cast<float*>(at);
    float* const end = ForEachSingles(run.args.items, x, from.rows,
                                      [](const packed_data&, const float*) { return false; });
    TakeScratch<float>(at, static_cast<size_t>(end - x.singles));
  }
  return at;
}

/// The pass for single outliers, where there are several rows of x.
template <class = void>
HWY_NOINLINE void RunSingles(GemmRun& run) {
  const size_t m = run.args.x.rows;
  const size_t num_blocks = (m + AcrossRows(m) - 1) / AcrossRows(m);
  for (size_t worker = 0; worker < run.args.with->num_threads(); ++worker) {
    uint8_t* at = run.workers + worker * run.sizes.worker_bytes;
    *PlaceWorker(run, at).across_block = ~size_t{0};
  }
  size_t most_rows = 0;
  ForEachSingles(run.args.items, run.x, m, [&](const packed_data& w, const float*) {
    most_rows = HWY_MAX(most_rows, w.shape.rows);
    return false;
  });
  run.singles_chunks = (most_rows + kSinglesRows - 1) / kSinglesRows;
  run.args.with->run(
      num_blocks * run.singles_chunks, run.work_ns,
      [](void* p, size_t task, size_t worker) {
        const GemmRun& go = *static_cast<const GemmRun*>(p);
        SumSinglesTask(go, task / go.singles_chunks, task % go.singles_chunks, worker);
      },
      &run);
}

/// About what a product takes on one thread: 0.02 ns to read and decode a weight, and to multiply
/// it by one row of x 0.003 ns as levels, 0.012 ns as floats (Xeon with VNNI, from the caches). It
/// only says whether waking threads is worth it: slower CPUs share a little later than they could.
HWY_INLINE double WorkNs(const detail::gemm_args& args, compute_path path) {
  const double multiply = path == compute_path::integer ? 0.003 : 0.012;
  double ns = 0;
  for (const detail::gemm_item& item : args.items) {
    const double matrices = item.pair == nullptr ? 1 : 2;
    const double weights = static_cast<double>(item.w->shape.rows * item.w->shape.cols);
    ns += matrices * weights * (0.02 + multiply * static_cast<double>(item.num_rows));
  }
  return ns;
}

/// The same of what is done once per value of x.
HWY_INLINE double WorkOnXNs(const activations& x) {
  return 0.3 * static_cast<double>(x.rows * x.cols);
}

template <class = void>
HWY_NOINLINE errc RunGemm(const detail::gemm_args& args, const detail::gemm_plan& plan,
                          const PackedOps& ops, const KeptColumns& kept) {
  context& with = *args.with;
  const packed_shape shape = ShapeOf(args, plan);
  GemmRun run{args, plan, ops, shape, kept, ChooseSizes(args, plan, ops), {}, nullptr, 1};
  if (run.sizes.most_rows == 0 || run.sizes.groups == 0) return errc::ok;
  run.work_ns = WorkNs(args, plan.path);

  GemmScratch& z = run.sizes;
  z.outlier_cols = HWY_MIN(kOutlierCols, kept.count());
  if (z.outlier_values && args.x.rows >= kLeastAcrossRows) {
    z.across_floats = shape.cols * AcrossRows(args.x.rows);
  }
  if (ops.by(plan.dot).by_block || (kIsArm64 && plan.bf16_dot)) {
    const size_t row_bytes = z.chunk_cols * (plan.path == compute_path::bf16 ? 2 : 1);
    z.pair_bytes = HWY_MIN(kPairRows, z.most_rows / kTileRows * kTileRows) * row_bytes;
  }
  run.row_blocks = (z.most_rows + z.task_rows - 1) / z.task_rows;

  // Places: prepared rows, then per worker its scratch and a row of floats.
  const size_t x_rows = args.x.rows;
  const auto place = [&](uint8_t* at) {
    const uint8_t* const start = at;
    run.workers = PlaceRows(run, at);
    uint8_t* worker_end = run.workers;
    PlaceWorker(run, worker_end);
    TakeScratch<float>(worker_end, RowFloats(shape));
    z.worker_bytes = static_cast<size_t>(worker_end - run.workers);
    return static_cast<size_t>(run.workers - start) + z.worker_bytes * with.num_threads();
  };
  alignas(64) static constexpr uint8_t kNowhere[64] = {};
  const size_t bytes = place(const_cast<uint8_t*>(kNowhere));
  const context::lease scratch(with, bytes);
  if (scratch.data() == nullptr) return errc::out_of_memory;
  place(scratch.data());

  if (!run.x.in_place || !run.x.flat_in_place) {
    with.run(
        x_rows, WorkOnXNs(args.x),
        [](void* p, size_t r, size_t worker) {
          const GemmRun& go = *static_cast<const GemmRun*>(p);
          const size_t floats = RoundUp(RowFloats(go.shape) * sizeof(float), 64);
          PrepareRow(
              go, r,
              reinterpret_cast<float*>(go.workers + (worker + 1) * go.sizes.worker_bytes - floats));
        },
        &run);
  }
  if (run.x.singles != nullptr) RunSingles(run);
  with.run(
      z.groups * run.row_blocks, run.work_ns,
      [](void* p, size_t task, size_t worker) {
        const GemmRun& go = *static_cast<const GemmRun*>(p);
        const size_t row_block = task % go.row_blocks;
        size_t group = task / go.row_blocks;
        for (const detail::gemm_item& item : go.args.items) {
          const size_t here = NumGroups(item.w->shape);
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

/// LLM.int8: finds the columns in which x has outliers, then multiplies.
template <class = void>
HWY_NOINLINE errc RunGemmSplittingX(const detail::gemm_args& args, const detail::gemm_plan& plan,
                                    const PackedOps& ops, KeptColumns kept) {
  context& with = *args.with;
  const size_t cols = args.x.cols;
  const size_t workers = with.num_threads();
  const context::lease scratch(with,
                               workers * (RoundUp(cols, 64) + sizeof(FoundBy)) + 128 + cols * 4);
  if (scratch.data() == nullptr) return errc::out_of_memory;
  uint8_t* at = scratch.data();
  struct Search {
    const activations& x;
    float threshold;
    FoundBy* found_by;
  } search{args.x, args.options.outlier_threshold, TakeScratch<FoundBy>(at, workers)};
  uint32_t* const list = TakeScratch<uint32_t>(at, cols);
  for (size_t i = 0; i < workers; ++i) {
    search.found_by[i] = FoundBy{{}, TakeScratch<uint8_t>(at, cols)};
    std::memset(search.found_by[i].marks, 0, cols);
  }
  with.run(
      args.x.rows, WorkOnXNs(args.x),
      [](void* p, size_t r, size_t worker) {
        const Search& go = *static_cast<const Search*>(p);
        FoundBy& by = go.found_by[worker];
        MarkOutliers(go.x, r, go.threshold, by.marks, by.found);
      },
      &search);
  kept.threshold = args.options.outlier_threshold;
  kept.of_x = list;
  kept.num_of_x = ListColumns(args.x, search.found_by, workers, kept, list);
  if (outlier_statistics* const to = args.options.outliers_found) {
    to->num_columns = kept.num_of_x;
    for (size_t i = 0; i < workers; ++i) {
      to->num_values += search.found_by[i].found.num_values;
      to->largest = HWY_MAX(to->largest, search.found_by[i].found.largest);
    }
  }
  return RunGemm(args, plan, ops, kept);
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
  const extension more = AvailableExtensions(args.options.extensions);
  const bool amx = kHasAmx && has(more, extension::amx);
  // Arm's bfmmla is four products for each of fmla, but how fast it is nobody has measured here: it
  // is taken where bf16 is asked for.
  const bool bf16_dot =
      kHasBf16Extension && (has(more, extension::arm_bf16) ||
                            (has(more, extension::avx512_bf16) && detail::bf16_dot_is_fast()));
  plan->reason = "asked for";
  if (plan->path == compute_path::automatic) {
    const bool has_bf16 = (amx || (bf16_dot && !kIsArm64)) && most_rows >= kLeastAmxRows &&
                          ops.strip_bytes <= detail::strip_bytes(8);
    if (info.exact_levels) {
      plan->path = compute_path::integer;
      plan->reason = "the codes are whole numbers";
    } else if (is_code(args.x.type) && info.close_levels) {
      plan->path = compute_path::integer;
      plan->reason = "the activations are 8-bit codes";
    } else if (has_bf16) {
      plan->path = compute_path::bf16;
      plan->reason = "the codes are not whole numbers, and this CPU multiplies bf16 faster";
    } else if (info.close_levels) {  // nf4, 2048 x 2048, m = 1, 4, 16: 2.6, 3.8, 2.8 times as fast
      plan->path = compute_path::integer;
      plan->reason = "the codes are whole numbers nearly";
    } else {
      plan->path = compute_path::exact;
      plan->reason = "the codes are not whole numbers";
    }
  }
  const activation_scale scale = args.options.scale;
  plan->short_segments = plan->path == compute_path::integer &&
                         scale == activation_scale::per_128 && args.x.scales == nullptr;
  const bool per_block = scale == activation_scale::per_block ||
                         (scale == activation_scale::automatic && shape.block < shape.cols);
  plan->scale_cols = plan->short_segments ? ShapeOf(args, *plan).segment_cols
                     : per_block          ? shape.block_cols
                                          : shape.packed_cols;
  plan->scale_cols = HWY_MAX(plan->scale_cols, strip_cols);
  plan->dot = plan->path == compute_path::integer ? DotExtension(more) : extension::none;
  // bf16 for any number of rows, so that all get the same bits; levels have the same bits anyhow.
  plan->amx = amx && (plan->path == compute_path::bf16 ||
                      (plan->path == compute_path::integer && most_rows >= kLeastAmxRows));
  plan->bf16_rounding =
      kHasBf16Extension && plan->path == compute_path::bf16 && has(more, extension::avx512_bf16);
  plan->bf16_dot = bf16_dot && plan->path == compute_path::bf16 && !plan->amx;
}

/// PlanKernel(), and what explain() says besides.
template <class Kind>
HWY_NOINLINE void ExplainKernel(const detail::gemm_args& args, detail::gemm_plan* plan) {
  PlanKernel<Kind>(args, plan);
  const PackedOps ops = OpsOf(Kind());
  const GemmScratch z = ChooseSizes(args, *plan, ops);
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
  KeptColumns kept;
  kept.of_w = args.items[0].w->outliers.columns;
  kept.num_of_w = args.items[0].w->outliers.num_columns;
  const PackedOps ops = OpsOf(Kind());
  if (!(args.options.outlier_threshold > 0)) return RunGemm(args, plan, ops, kept);
  if (args.options.outliers_found != nullptr) *args.options.outliers_found = {};
  if (plan.path != compute_path::integer || is_code(args.x.type)) {
    return RunGemm(args, plan, ops, kept);
  }
  return RunGemmSplittingX(args, plan, ops, kept);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
