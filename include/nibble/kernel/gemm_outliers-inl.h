// SPDX-License-Identifier: Apache-2.0 OR MIT
// Outliers of a product, added to the sums of a group of panels before its epilogue. The same bits
// everywhere: f32 products are rounded, then added, in this order:
//
//   c = c + columns that w keeps apart, k ascending; c = c + columns where x has outliers
//   s = sum of single weights, k ascending;          c = c + s
//
// Columns are tiles like any other, with compact rows of x. Single weights, 4096 x 4096, 0.5 %,
// Zen 5:
//   one row of x    read at random from the first cache, four rows of w in turn; 0.5 ns per weight,
//                   bound by loads and by ends of rows that the CPU cannot foresee
//   more rows       a pass of its own: rows of x lie across, one per lane of two vectors, so that a
//                   weight is 4 loads and 5 operations for 32 rows. A block of 32 rows stays in the
//                   second cache while all of w is multiplied by it; inside the tasks of the dense
//                   part, which use every x once in three for 64 rows of w, it took 25 ms for 512
//                   rows instead of 2-5.
#if defined(NIBBLE_KERNEL_GEMM_OUTLIERS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_OUTLIERS_INL_H_
#undef NIBBLE_KERNEL_GEMM_OUTLIERS_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_OUTLIERS_INL_H_
#endif

#include "nibble/kernel/gemm_group-inl.h"
#include "nibble/kernel/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Columns of w that are decoded at a time.
inline constexpr size_t kOutlierCols = 64;
/// From so many rows on, x lies across.
inline constexpr size_t kLeastAcrossRows = 4;

/// Rows of x in a block, for m of them.
HWY_INLINE size_t AcrossRows(size_t m) {
  const size_t N = hn::Lanes(LaneTag());
  return m > N ? 2 * N : N;
}

/// A block of rows of x side by side, [k][AcrossRows()]; places without a row repeat the last one.
template <class = void>
HWY_NOINLINE void LayAcross(const PreparedX& x, size_t m, size_t cols, size_t block,
                            float* HWY_RESTRICT out) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  const size_t width = AcrossRows(m);
  const float* row[panel_rows];
  constexpr size_t kPart = 64;
  HWY_ALIGN float part[kPart * panel_rows];
  for (size_t first = 0; first < width; first += N, out += N) {
    for (size_t lane = 0; lane < N; ++lane) {
      row[lane] = x.flat + HWY_MIN(block * width + first + lane, m - 1) * x.flat_stride;
    }
    for (size_t c = 0; c < cols; c += kPart) {
      const size_t n = HWY_MIN(kPart, cols - c);
      LanesFromRows(df, row, n / 4 * 4, part);
      for (size_t i = n / 4 * 4 * N; i < n * N; ++i) part[i] = row[i % N][i / N];
      for (size_t i = 0; i < n; ++i) {
        hn::StoreU(hn::Load(df, part + i * N), df, out + (c + i) * width);
      }
      for (size_t lane = 0; lane < N; ++lane) row[lane] += n;
    }
  }
}

/// Value i in every lane.
template <number_type kType, class D>
HWY_INLINE hn::Vec<D> SetOutlier(D d, const void* values, size_t i) {
  if constexpr (kType == number_type::f32) {
    return hn::Set(d, static_cast<const float*>(values)[i]);
  } else {
    const uint16_t code = static_cast<const uint16_t*>(values)[i];
    if constexpr (kType == number_type::f16) return hn::Set(d, f16::decode(code));
    return hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), uint32_t{code} << 16));
  }
}

/// out[r] = sum of single weights of row first + r times x, kRows rows of w at a time.
/// @param x    [k][kVectors][lanes of D], a row of x per lane
/// @param out  [rows][kVectors][lanes]
template <number_type kType, size_t kRows, size_t kVectors, class D>
HWY_NOINLINE void SumSingles(D d, const outlier_data& o, size_t first, size_t rows, size_t cols,
                             const float* HWY_RESTRICT x, float* HWY_RESTRICT out) {
  const size_t N = hn::Lanes(d);
  const size_t width = kVectors * N;
  const size_t spans = num_outlier_spans(cols);
  const uint16_t* HWY_RESTRICT columns = o.cols;
  const void* HWY_RESTRICT values = o.values;
  for (size_t span = 0; span < spans; ++span, x += outlier_span * width) {
    const auto add = [&](size_t e, auto row, auto&... sums) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      const auto w = SetOutlier<kType>(d, values, e);
      const float* HWY_RESTRICT at = x + size_t{columns[e]} * width;
      Unroll<kVectors>([&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        auto& sum = Pick<row * kVectors + v>(sums...);
        sum = MulThenAdd(w, hn::LoadU(d, at + v * N), sum);
      });
    };
    const auto sum_rows = [&]<size_t kAtOnce>(size_t r) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      size_t begin[kAtOnce];
      size_t end[kAtOnce];
      size_t common = ~size_t{0};
      for (size_t j = 0; j < kAtOnce; ++j) {
        const uint32_t* at = o.row_begin + (first + r + j) * spans + span;
        begin[j] = at[0];
        end[j] = at[1];
        common = HWY_MIN(common, end[j] - begin[j]);
      }
      const auto start = [&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        return span == 0 ? hn::Zero(d) : hn::LoadU(d, out + r * width + i * N);
      };
      WithVectors<kAtOnce * kVectors>(start, [&](auto&... sums) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        for (size_t e = 0; e < common; ++e) {
          Unroll<kAtOnce>([&](auto j)
                              HWY_ATTR NIBBLE_INLINE_LAMBDA { add(begin[j] + e, j, sums...); });
        }
        Unroll<kAtOnce>([&](auto j) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          for (size_t e = begin[j] + common; e < end[j]; ++e) add(e, j, sums...);
        });
        Unroll<kAtOnce * kVectors>([&](auto i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          hn::StoreU(Pick<i>(sums...), d, out + r * width + i * N);
        });
      });
    };
    size_t r = 0;
    for (; kRows != 1 && r + kRows <= rows; r += kRows) sum_rows.template operator()<kRows>(r);
    for (; r < rows; ++r) sum_rows.template operator()<1>(r);
  }
}

template <size_t kRows, size_t kVectors, class D>
HWY_NOINLINE void SumSinglesOfType(D d, const outlier_data& o, size_t first, size_t rows,
                                   size_t cols, const float* x, float* out) {
  switch (o.value_type) {
    case number_type::bf16:
      return SumSingles<number_type::bf16, kRows, kVectors>(d, o, first, rows, cols, x, out);
    case number_type::f16:
      return SumSingles<number_type::f16, kRows, kVectors>(d, o, first, rows, cols, x, out);
    default: return SumSingles<number_type::f32, kRows, kVectors>(d, o, first, rows, cols, x, out);
  }
}

/// Rows of w in a task of the pass for single weights.
inline constexpr size_t kSinglesRows = 512;

/// Sums of single weights are made by that pass.
HWY_INLINE bool SumsAcross(const PreparedX& x, const detail::gemm_item& item) {
  return x.singles != nullptr && item.x_rows == nullptr;
}
/// Floats of sums of a matrix: [block][row of w][AcrossRows()].
HWY_INLINE size_t SinglesFloats(const packed_data& w, size_t m) {
  const size_t width = AcrossRows(m);
  return w.outliers.num_values == 0
             ? 0
             : (m + width - 1) / width * width * w.shape.num_panels * panel_rows;
}

/// Calls fn(matrix, its sums) for matrices whose sums that pass makes, until fn returns true.
/// Returns the end of all sums.
template <class Fn>
HWY_INLINE float* ForEachSingles(std::span<const detail::gemm_item> items, const PreparedX& x,
                                 size_t m, const Fn& fn) {
  float* sums = x.singles;
  for (const detail::gemm_item& item : items) {
    if (!SumsAcross(x, item)) continue;
    for (const packed_data* w : {item.w, item.pair}) {
      if (w == nullptr || w->outliers.num_values == 0) continue;
      if (fn(*w, sums)) return sums;
      sums += SinglesFloats(*w, m);
    }
  }
  return sums;
}

/// One task of the pass: a block of rows of x times rows of w. Those of a block follow each other,
/// so a worker seldom has to lay another one across.
template <class = void>
HWY_NOINLINE void SumSinglesTask(const GemmRun& run, size_t block, size_t chunk, size_t worker) {
  const LaneTag df;
  const size_t m = run.args.x.rows;
  const size_t width = AcrossRows(m);
  uint8_t* at = run.workers + worker * run.sizes.worker_bytes;
  const WorkerScratch s = PlaceWorker(run, at);
  if (*s.across_block != block) {
    LayAcross(run.x, m, run.shape.cols, block, s.across);
    *s.across_block = block;
  }
  ForEachSingles(run.args.items, run.x, m, [&](const packed_data& w, float* sums) {
    const size_t first = chunk * kSinglesRows;
    if (first >= w.shape.rows) return false;
    const size_t rows = HWY_MIN(kSinglesRows, w.shape.rows - first);
    float* const out = sums + (block * w.shape.num_panels * panel_rows + first) * width;
    const auto sum = width == hn::Lanes(df) ? &SumSinglesOfType<1, 1, LaneTag>
                                            : &SumSinglesOfType<1, 2, LaneTag>;
    sum(df, w.outliers, first, rows, run.shape.cols, s.across, out);
    return false;
  });
}

/// c += sums of that pass, which lie across.
template <class = void>
HWY_NOINLINE void AddSumsAcross(const GroupJob& job, const float* HWY_RESTRICT sums) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  const size_t width = AcrossRows(job.run.args.x.rows);
  const size_t w_rows = job.w.shape.num_panels * panel_rows;
  const size_t first = job.first_panel * panel_rows;
  const float* row[panel_rows];
  HWY_ALIGN float turned[panel_rows * panel_rows];
  for (size_t m = 0; m < job.rows; m += N) {
    const size_t at = job.first_row + m;
    const size_t num = HWY_MIN(N, job.rows - m);
    for (size_t i = 0; i < job.num_panels * panel_rows; i += N) {
      for (size_t lane = 0; lane < N; ++lane) {
        row[lane] = sums + (at / width * w_rows + first + i + lane) * width + at % width;
      }
      LanesFromRows(df, row, N, turned);
      for (size_t lane = 0; lane < num; ++lane) {
        float* const c = job.c + (m + lane) * kGroupColumns + i;
        hn::StoreU(hn::Add(hn::LoadU(df, c), hn::Load(df, turned + lane * N)), df, c);
      }
    }
  }
}

/// Single outliers of a group of panels.
template <class = void>
HWY_NOINLINE void MultiplySingles(const GroupJob& job, const detail::gemm_item& item) {
  const PreparedX& x = job.run.x;
  if (SumsAcross(x, item)) {
    const float* const sums =
        ForEachSingles(job.run.args.items, x, job.run.args.x.rows,
                       [&](const packed_data& w, float*) { return &w == &job.w; });
    AddSumsAcross(job, sums);
    return;
  }
  const size_t first = job.first_panel * panel_rows;
  const size_t rows = HWY_MIN(job.num_panels * panel_rows, job.w.shape.rows - first);
  HWY_ALIGN float sums[kGroupColumns];
  for (size_t m = 0; m < job.rows; ++m) {
    SumSinglesOfType<4, 1>(hn::CappedTag<float, 1>(), job.w.outliers, first, rows, job.w.shape.cols,
                           x.flat + job.row_of(m) * x.flat_stride, sums);
    float* const c = job.c + m * kGroupColumns;
    for (size_t i = 0; i < rows; ++i) c[i] += sums[i];
  }
}

/// n outlier columns of w from number `first`, as floats [n][16].
template <class = void>
HWY_NOINLINE void ReadOutlierColumns(const outlier_data& o, size_t panel, size_t first, size_t n,
                                     float* HWY_RESTRICT out) {
  const uint8_t* from = static_cast<const uint8_t*>(o.column_values) +
                        (panel * o.num_columns + first) * panel_rows * size_of(o.column_type);
  switch (o.column_type) {
    case number_type::bf16:
      return ReadElements<bf16, Packing::kBytes>(from, n * panel_rows, out, false);
    case number_type::f16:
      return ReadElements<f16, Packing::kBytes>(from, n * panel_rows, out, false);
    default: std::memcpy(out, from, n * panel_rows * sizeof(float));
  }
}

/// n columns of the packed matrix, dequantized: [n][16].
template <class = void>
HWY_NOINLINE void ReadPackedColumns(const GroupJob& job, size_t panel, const uint32_t* columns,
                                    size_t n, float* HWY_RESTRICT out) {
  const PackedOps& ops = job.run.ops;
  const packed_shape& shape = job.w.shape;
  const uint8_t* const codes = job.w.codes + panel * job.panel_bytes();
  HWY_ALIGN float scales[panel_rows];
  HWY_ALIGN float shifts[panel_rows];
  size_t block = ~size_t{0};
  for (size_t i = 0; i < n; ++i, out += panel_rows) {
    const size_t p = PackedColumn(shape, columns[i]);
    if (p / shape.block_cols != block) {
      block = p / shape.block_cols;
      ReadBlockFactors(job, panel, block, scales, shifts);
    }
    ops.column(codes + p / strip_cols * ops.strip_bytes, p % strip_cols, *job.run.args.codec,
               scales, shifts, out);
  }
}

/// Columns that are multiplied in f32.
template <class = void>
HWY_NOINLINE void MultiplyColumns(const GroupJob& job) {
  const GemmRun& run = job.run;
  const KeptColumns& kept = run.kept;
  const WorkerScratch& s = job.scratch;
  for (size_t i = 0; i < kept.count();) {
    const bool of_w = i < kept.num_of_w;
    const size_t end = of_w ? kept.num_of_w : kept.count();
    const size_t n = HWY_MIN(run.sizes.outlier_cols, end - i);
    for (size_t p = 0; p < job.num_panels; ++p) {
      float* const to = s.columns + p * run.sizes.outlier_cols * panel_rows;
      if (of_w) {
        ReadOutlierColumns(job.w.outliers, job.first_panel + p, i, n, to);
      } else {
        ReadPackedColumns(job, job.first_panel + p, kept.of_x + (i - kept.num_of_w), n, to);
      }
    }
    for (size_t m = 0; m < job.rows; ++m) {
      s.x[m] = run.x.kept + job.row_of(m) * kept.count() + i;
    }
    FloatTileArgs a{};
    a.w = s.columns;
    a.w_stride = run.sizes.outlier_cols * panel_rows * sizeof(float);
    a.x = s.x;
    a.num_steps = n;
    a.c = job.c;
    FloatTiles<FloatDot::kRounded>(a, job.rows, job.num_panels * panel_rows);
    i += n;
  }
}

/// Fetches an array of a group's outliers; only its first 16 KiB, as the first cache holds no more.
HWY_INLINE void PrefetchArray(const void* array, size_t begin, size_t count, size_t bytes) {
  constexpr size_t kMost = 16384;
  const uint8_t* const from = static_cast<const uint8_t*>(array) + begin * bytes;
  for (size_t at = 0; at < HWY_MIN(count * bytes, kMost); at += 64) hwy::Prefetch(from + at);
}

/// Fetches a group's outliers, which are read after its codes, and where those of the next group
/// begin.
template <class = void>
HWY_NOINLINE void PrefetchOutliers(const GroupJob& job, bool singles) {
  const outlier_data& o = job.w.outliers;
  PrefetchArray(o.column_values, job.first_panel * o.num_columns * panel_rows,
                job.num_panels * o.num_columns * panel_rows, size_of(o.column_type));
  if (!singles) return;
  const size_t spans = num_outlier_spans(job.w.shape.cols);
  const size_t first = job.first_panel * panel_rows;
  const size_t rows = HWY_MIN(job.num_panels * panel_rows, job.w.shape.rows - first);
  const size_t begin = o.row_begin[first * spans];
  const size_t count = o.row_begin[(first + rows) * spans] - begin;
  PrefetchArray(o.cols, begin, count, sizeof(uint16_t));
  PrefetchArray(o.values, begin, count, size_of(o.value_type));
  const size_t next = (first + rows) * spans;
  PrefetchArray(o.row_begin, next, HWY_MIN(rows, job.w.shape.rows - first - rows) * spans,
                sizeof(uint32_t));
}

/// c of a group, with all outliers.
template <class = void>
HWY_NOINLINE void MultiplyAll(const GroupJob& job, const detail::gemm_item& item) {
  const outlier_data& o = job.w.outliers;
  if (!o.empty()) PrefetchOutliers(job, o.num_values != 0 && !SumsAcross(job.run.x, item));
  MultiplyGroup(job);
  if (job.run.kept.count() != 0) MultiplyColumns(job);
  if (o.num_values != 0) MultiplySingles(job, item);
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
