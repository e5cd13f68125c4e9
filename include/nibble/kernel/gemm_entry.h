// SPDX-License-Identifier: Apache-2.0 OR MIT
// From gemm() to the best target's driver. Included by gemm.h only, once.
#ifndef NIBBLE_KERNEL_GEMM_ENTRY_H_
#define NIBBLE_KERNEL_GEMM_ENTRY_H_

#include "nibble/format/gemm_args.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class Kind, std::int64_t Targets = HWY_TARGETS>
inline errc gemm_dispatch(const gemm_args& args) noexcept {
#ifdef NIBBLE_STATIC_DISPATCH
  return NIBBLE_DISPATCH(table, GemmKernel<Kind>)(args);
#else
  HWY_EXPORT_T(table, GemmKernel<Kind>);
  return HWY_DYNAMIC_DISPATCH_T(table)(args);
#endif
}

template <class Kind, std::int64_t Targets = HWY_TARGETS>
inline void plan_dispatch(const gemm_args& args, gemm_plan* plan) noexcept {
  NIBBLE_DISPATCH(table, ExplainKernel<Kind>)(args, plan);
}

template <format F>
NIBBLE_SHIM errc gemm_entry(const gemm_args& args) noexcept {
  return gemm_dispatch<kind_of<F>>(args);
}

template <format F>
NIBBLE_SHIM gemm_plan plan_entry(const gemm_args& args) noexcept {
  gemm_plan plan;
  plan_dispatch<kind_of<F>>(args, &plan);
  return plan;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_KERNEL_GEMM_ENTRY_H_
