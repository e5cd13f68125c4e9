// SPDX-License-Identifier: Apache-2.0 OR MIT
// Outliers of a product, added to the sums of a group of panels before its epilogue. The same bits
// everywhere: f32 products are rounded, then added, for every result in this order:
//
//   columns that w keeps apart, k ascending;  columns where x has outliers, k ascending
//   single weights, k ascending
//
// Columns are tiles like any other, with compact rows of x. Single weights: one row of x is read at
// random from the first cache, four rows of w in turn, as many chains of additions; per weight 4
// loads, 2-3 operations (4096 x 4096, 0.5 %: 0.5 ns each on Zen 5, bound by ends of rows that the
// CPU cannot foresee). More rows of x lie across, a row per lane, so that a weight is one load of x
// and two operations for all of them.
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

/// Marks columns of row r of x that have |x| >= threshold, and counts.
template <class = void>
HWY_NOINLINE void MarkOutliers(const activations& x, size_t r, float threshold,
                               uint8_t* HWY_RESTRICT marks, outlier_statistics& found) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  constexpr size_t kPart = 256;
  HWY_ALIGN float part[kPart];
  for (size_t c = 0; c < x.cols; c += kPart) {
    const size_t n = HWY_MIN(kPart, x.cols - c);
    const size_t padded = (n + N - 1) / N * N;
    for (size_t i = n; i < padded; ++i) part[i] = 0;
    LoadActivations(x, r, c, n, part);
    for (size_t i = 0; i < padded; i += N) {
      if (hn::AllFalse(df, hn::Ge(hn::Abs(hn::Load(df, part + i)), hn::Set(df, threshold)))) {
        continue;
      }
      for (size_t j = i; j < i + N; ++j) {
        const float size = hwy::ScalarAbs(part[j]);
        if (!(size >= threshold)) continue;
        marks[c + j] = 1;
        ++found.num_values;
        found.largest = HWY_MAX(found.largest, size);
      }
    }
  }
}

/// Rows block * lanes .. of x side by side, [k][lanes]; lanes without a row repeat the last one.
template <class = void>
HWY_NOINLINE void LayAcross(const PreparedX& x, size_t rows, size_t cols, size_t block) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  const float* row[panel_rows];
  for (size_t lane = 0; lane < N; ++lane) {
    row[lane] = x.flat + HWY_MIN(block * N + lane, rows - 1) * x.flat_stride;
  }
  float* HWY_RESTRICT out = x.across + block * cols * N;
  const size_t whole = cols / 4 * 4;
  LanesFromRows(df, row, whole, out);
  for (size_t i = whole * N; i < cols * N; ++i) out[i] = row[i % N][i / N];
}

template <number_type kType>
HWY_INLINE float OutlierAt(const void* values, size_t i) {
  if constexpr (kType == number_type::f32) {
    return static_cast<const float*>(values)[i];
  } else {
    const uint16_t code = static_cast<const uint16_t*>(values)[i];
    if constexpr (kType == number_type::bf16) return bf16::decode(code);
    return f16::decode(code);
  }
}

/// c[r] += sum of single weights of row first + r times x, a row of x per lane of D.
/// @param x  [k][lanes]
/// @param c  [rows][lanes]
template <number_type kType, class D>
HWY_NOINLINE void AddSingles(D d, const outlier_data& o, size_t first, size_t rows, size_t cols,
                             const float* HWY_RESTRICT x, float* HWY_RESTRICT c) {
  const size_t N = hn::Lanes(d);
  const size_t spans = num_outlier_spans(cols);
  for (size_t span = 0; span < spans; ++span, x += outlier_span * N) {
    const auto add = [&](size_t e, auto& sum) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      sum = MulThenAdd(hn::Set(d, OutlierAt<kType>(o.values, e)),
                       hn::LoadU(d, x + size_t{o.cols[e]} * N), sum);
    };
    const auto add_rows = [&]<size_t kRows>(size_t r) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      size_t begin[kRows];
      size_t end[kRows];
      size_t common = ~size_t{0};
      for (size_t j = 0; j < kRows; ++j) {
        const uint32_t* at = o.row_begin + (first + r + j) * spans + span;
        begin[j] = at[0];
        end[j] = at[1];
        common = HWY_MIN(common, end[j] - begin[j]);
      }
      const auto load = [&](auto j)
                            HWY_ATTR NIBBLE_INLINE_LAMBDA { return hn::LoadU(d, c + (r + j) * N); };
      WithVectors<kRows>(load, [&](auto&... sums) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        for (size_t i = 0; i < common; ++i) {
          Unroll<kRows>([&](auto j)
                            HWY_ATTR NIBBLE_INLINE_LAMBDA { add(begin[j] + i, Pick<j>(sums...)); });
        }
        Unroll<kRows>([&](auto j) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          for (size_t e = begin[j] + common; e < end[j]; ++e) add(e, Pick<j>(sums...));
          hn::StoreU(Pick<j>(sums...), d, c + (r + j) * N);
        });
      });
    };
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) add_rows.template operator()<4>(r);
    for (; r < rows; ++r) add_rows.template operator()<1>(r);
  }
}

template <class D>
HWY_INLINE void AddSinglesOfType(D d, const outlier_data& o, size_t first, size_t rows, size_t cols,
                                 const float* x, float* c) {
  switch (o.value_type) {
    case number_type::bf16: return AddSingles<number_type::bf16>(d, o, first, rows, cols, x, c);
    case number_type::f16: return AddSingles<number_type::f16>(d, o, first, rows, cols, x, c);
    default: return AddSingles<number_type::f32>(d, o, first, rows, cols, x, c);
  }
}

/// Sums of a block of rows of x, turned so that a row of x is a lane, and back after `fn`.
template <class Fn>
HWY_INLINE void WithSumsAcross(const GroupJob& job, size_t first_row, const Fn& fn) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  const size_t columns = job.num_panels * panel_rows;
  float* const across = job.scratch.across;
  float* const turned = across + kGroupColumns * N;
  float* const c = job.c + first_row * kGroupColumns;
  const float* row[panel_rows];
  for (size_t lane = 0; lane < N; ++lane) row[lane] = c + lane * kGroupColumns;
  LanesFromRows(df, row, columns, across);
  fn(across);
  for (size_t i = 0; i < columns; i += N) {
    for (size_t lane = 0; lane < N; ++lane) row[lane] = across + (i + lane) * N;
    LanesFromRows(df, row, N, turned);
    for (size_t lane = 0; lane < N; ++lane) {
      hn::StoreU(hn::Load(df, turned + lane * N), df, c + lane * kGroupColumns + i);
    }
  }
}

/// Single outliers of a group of panels.
template <class = void>
HWY_NOINLINE void MultiplySingles(const GroupJob& job) {
  const outlier_data& o = job.w.outliers;
  const PreparedX& x = job.run.x;
  const size_t N = hn::Lanes(LaneTag());
  const size_t cols = job.w.shape.cols;
  const size_t first = job.first_panel * panel_rows;
  const size_t rows = HWY_MIN(job.num_panels * panel_rows, job.w.shape.rows - first);
  if (x.across != nullptr && job.x_rows == nullptr && job.rows >= kLeastAcrossRows) {
    for (size_t m = 0; m < job.rows; m += N) {
      const float* const block = x.across + (job.first_row + m) * cols;
      WithSumsAcross(job, m, [&](float* sums) {
        AddSinglesOfType(LaneTag(), o, first, rows, cols, block, sums);
      });
    }
  } else {
    for (size_t m = 0; m < job.rows; ++m) {
      AddSinglesOfType(hn::CappedTag<float, 1>(), o, first, rows, cols,
                       x.flat + job.row_of(m) * x.flat_stride, job.c + m * kGroupColumns);
    }
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
    a.c_stride = kGroupColumns;
    FloatTiles<FloatDot::kRounded>(a, job.rows, job.num_panels * panel_rows);
    i += n;
  }
}

/// Fetches a group's single outliers, which are read after its codes.
template <class = void>
HWY_NOINLINE void PrefetchSingles(const outlier_data& o, size_t first, size_t rows, size_t cols) {
  const size_t spans = num_outlier_spans(cols);
  const size_t begin = o.row_begin[first * spans];
  const size_t end = o.row_begin[(first + rows) * spans];
  const auto fetch = [&](const void* array, size_t bytes) {
    constexpr size_t kMost = 16384;
    const uint8_t* const from = static_cast<const uint8_t*>(array) + begin * bytes;
    for (size_t at = 0; at < HWY_MIN((end - begin) * bytes, kMost); at += 64) {
      hwy::Prefetch(from + at);
    }
  };
  fetch(o.cols, sizeof(uint16_t));
  fetch(o.values, size_of(o.value_type));
}

/// c of a group, with all outliers.
template <class = void>
HWY_NOINLINE void MultiplyAll(const GroupJob& job) {
  const outlier_data& o = job.w.outliers;
  if (o.num_values != 0) {
    const size_t first = job.first_panel * panel_rows;
    PrefetchSingles(o, first, HWY_MIN(job.num_panels * panel_rows, job.w.shape.rows - first),
                    job.w.shape.cols);
  }
  MultiplyGroup(job);
  if (job.run.kept.count() != 0) MultiplyColumns(job);
  if (o.num_values != 0) MultiplySingles(job);
}

/// The columns of x that have outliers, in the order of w's columns, without those that w keeps
/// apart. `found_by`: [workers], each with its marks.
struct FoundBy {
  outlier_statistics found;
  uint8_t* marks;
};
template <class = void>
HWY_NOINLINE size_t ListColumns(const activations& x, const FoundBy* workers, size_t num_workers,
                                const KeptColumns& kept, uint32_t* HWY_RESTRICT list) {
  size_t count = 0;
  size_t of_w = 0;
  for (size_t c = 0; c < x.cols; ++c) {
    if (of_w < kept.num_of_w && kept.of_w[of_w] == c) {
      ++of_w;
      continue;
    }
    uint8_t marked = 0;
    for (size_t i = 0; i < num_workers; ++i) marked |= workers[i].marks[ColumnOfX(x, c)];
    if (marked != 0) list[count++] = static_cast<uint32_t>(c);
  }
  return count;
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
