// SPDX-License-Identifier: Apache-2.0 OR MIT
// From get_rows() of packed matrices to the best target's kernel. Included by rows.h only, once.
#ifndef NIBBLE_KERNEL_ROWS_ENTRY_H_
#define NIBBLE_KERNEL_ROWS_ENTRY_H_

#include "nibble/format/gemm_args.h"
#include "nibble/format/row_args.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class Kind, std::int64_t Targets = HWY_TARGETS>
inline void rows_dispatch(const packed_rows_args& args) noexcept {
  NIBBLE_DISPATCH(table, PackedRowsKernel<Kind>)(args);
}

template <format F>
NIBBLE_SHIM void rows_entry(const packed_rows_args& args) noexcept {
  rows_dispatch<kind_of<F>>(args);
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_KERNEL_ROWS_ENTRY_H_
