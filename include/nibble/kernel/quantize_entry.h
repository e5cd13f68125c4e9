// SPDX-License-Identifier: Apache-2.0 OR MIT
// From quantize() and dequantize() to the best target's kernel. Included by quantize.h only, once.
#ifndef NIBBLE_KERNEL_QUANTIZE_ENTRY_H_
#define NIBBLE_KERNEL_QUANTIZE_ENTRY_H_

#include "nibble/format/importance.h"
#include "nibble/format/quantize_args.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class F, std::int64_t Targets = HWY_TARGETS>
inline void dequantize_dispatch(const dequantize_args& args) noexcept {
  NIBBLE_DISPATCH(table, DequantizeKernel<F>)(args);
}

template <class F, std::int64_t Targets = HWY_TARGETS>
inline void quantize_dispatch(const quantize_args& args) noexcept {
  NIBBLE_DISPATCH(table, QuantizeKernel<F>)(args);
}

template <class T, std::int64_t Targets = HWY_TARGETS>
inline bool all_finite_dispatch(const T* x, std::size_t stride, std::size_t rows,
                                std::size_t cols) noexcept {
#ifdef NIBBLE_STATIC_DISPATCH
  return NIBBLE_DISPATCH(table, AllFiniteKernel<T>)(x, stride, rows, cols);
#else
  HWY_EXPORT_T(table, AllFiniteKernel<T>);
  return HWY_DYNAMIC_DISPATCH_T(table)(x, stride, rows, cols);
#endif
}

template <format F>
NIBBLE_SHIM void dequantize_entry(const dequantize_args& args) noexcept {
  dequantize_dispatch<F>(args);
}

/// Scratch up to this many floats comes from the stack.
inline constexpr std::size_t stack_floats = 8192;

template <format F>
NIBBLE_SHIM errc quantize_entry(matrix_view<const float> x,
                                const basic_section<std::uint8_t>* sections,
                                const quantize_options& options) noexcept {
  if (options.report != nullptr) *options.report = {};
  if (options.reject_non_finite && !all_finite_dispatch(x.data, x.stride, x.rows, x.cols)) {
    return errc::non_finite;
  }
  quantize_options o = options;
  std::unique_ptr<float[]> importance;
  if (o.rule == scale_rule::weighted) {
    if (const errc e = prepare_importance(o.importance, importance); e != errc::ok) return e;
  }
  quantize_args args{x.data, x.stride, x.rows, x.cols, sections, &o, nullptr, o.report};
  const std::size_t floats = quantize_scratch<F>(x.rows, x.cols);
  if (floats <= stack_floats) {
    alignas(64) float scratch[stack_floats];
    args.scratch = scratch;
    quantize_dispatch<F>(args);
    return errc::ok;
  }
  const std::unique_ptr<float[]> scratch(new (std::nothrow) float[floats]);
  if (scratch == nullptr) return errc::out_of_memory;
  args.scratch = scratch.get();
  quantize_dispatch<F>(args);
  return errc::ok;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_KERNEL_QUANTIZE_ENTRY_H_
