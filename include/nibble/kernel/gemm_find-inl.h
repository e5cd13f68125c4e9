// SPDX-License-Identifier: Apache-2.0 OR MIT
// LLM.int8's search: the columns in which activations reach a threshold, over all rows of a call,
// so that their weights are decoded once. Bound by reading x.
#if defined(NIBBLE_KERNEL_GEMM_FIND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_FIND_INL_H_
#undef NIBBLE_KERNEL_GEMM_FIND_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_FIND_INL_H_
#endif

#include "nibble/kernel/gemm_prepare-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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

/// What one worker found.
struct FoundBy {
  outlier_statistics found;
  uint8_t* marks;  ///< [k]
};

/// The columns of x that have outliers, in the order of w's columns, without those that w keeps
/// apart. Returns how many.
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
