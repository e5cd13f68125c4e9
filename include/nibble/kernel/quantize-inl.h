// SPDX-License-Identifier: Apache-2.0 OR MIT
// quantize() of one format on one target: what is done at a time, and by which of the kernels.
#if defined(NIBBLE_KERNEL_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_QUANTIZE_INL_H_
#undef NIBBLE_KERNEL_QUANTIZE_INL_H_
#else
#define NIBBLE_KERNEL_QUANTIZE_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/kernel/quantize_region-inl.h"
#include "nibble/kernel/quantize_wire-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// --- entry -----------------------------------------------------------------

/// Moves section pointers to value (r, c) of a matrix whose scales do not span rows.
template <class F>
HWY_INLINE void MoveSections(Sections from, size_t r, size_t c, basic_section<uint8_t>* to) {
  if constexpr (element<F>) {
    const size_t bytes = F::bits >= 8 ? c * sizeof(typename F::code)
                                      : c / chunk_size * 2 * static_cast<size_t>(F::bits);
    *to = {from->data + r * from->stride + bytes, from->stride};
  } else {
    using S = typename F::scale_format;
    MoveSections<typename F::element>(from, r, c, to);
    const size_t block = F::shape.cols == all ? 0 : c / F::shape.cols;
    MoveSections<S>(from + 1, r, block, to + 1);
    if constexpr (F::has_shift) {
      MoveSections<typename F::shift_format>(from + 1 + num_sections<S>, r, block,
                                             to + 1 + num_sections<S>);
    }
  }
}

template <class F>
HWY_NOINLINE void QuantizeKernel(const detail::quantize_args& a) {
  const quantize_options& o = *a.options;
  const bool weighted = o.rule == scale_rule::weighted;
  if constexpr (element<F>) {
    for (size_t r = 0; r < a.rows; ++r) {
      StoreElements<F, Packing::kPacked>(a.x + r * a.stride, a.cols, {},
                                         a.sections->data + r * a.sections->stride);
    }
  } else if constexpr (wire_format<F>) {
    const float* importance = weighted ? o.importance.data() : nullptr;
    if constexpr (requires { typename F::weighted_search_type; }) {
      if (weighted) return QuantizeBySearch<F, typename F::weighted_search_type>(a, importance);
    }
    if constexpr (requires { typename F::search_type; }) {
      if (o.rule == scale_rule::standard) {
        return QuantizeBySearch<F, typename F::search_type>(a, nullptr);
      }
    }
    for (size_t r = 0; r < a.rows; ++r) {
      const float* x = a.x + r * a.stride;
      uint8_t* row = a.sections->data + r * a.sections->stride;
      if constexpr (requires { F::rule; }) {
        if (o.rule == scale_rule::standard) {
          QuantizeWireRow<F, RuleOf<F>>(x, a.cols, nullptr, o, a.report, row);
          continue;
        }
      }
      QuantizeWireRow<F, RuleOf<typename F::meaning>>(x, a.cols, importance, o, a.report, row);
    }
  } else {
    const size_t stretch = detail::stretch_cols<F>(a.cols);
    if (stretch == 0) {
      if (a.rows == 0 || a.cols == 0) return;
      QuantizeRegion<F, RuleOf<F>, Packing::kPacked>(
          {a.x, a.stride, a.rows, a.cols, weighted ? o.importance.data() : nullptr}, a.sections, o,
          RegionScratch{a.scratch}, a.report);
      return;
    }
    basic_section<uint8_t> parts[num_sections<F>];
    for (size_t r = 0; r < a.rows; ++r) {
      for (size_t c = 0; c < a.cols; c += stretch) {
        MoveSections<F>(a.sections, r, c, parts);
        const float* importance = weighted ? o.importance.data() + c : nullptr;
        QuantizeRegion<F, RuleOf<F>, Packing::kPacked>(
            {a.x + r * a.stride + c, a.stride, 1, HWY_MIN(stretch, a.cols - c), importance}, parts,
            o, RegionScratch{a.scratch}, a.report);
      }
    }
  }
}

/// Is every value finite? A template as the dispatch table wants one.
template <class T>
HWY_NOINLINE bool AllFiniteKernel(const T* x, size_t stride, size_t rows, size_t cols) {
  for (size_t r = 0; r < rows; ++r) {
    if (LargestBits({x + r * stride, stride, 1, cols, nullptr}) >= detail::f32_inf) return false;
  }
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
