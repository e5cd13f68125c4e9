// SPDX-License-Identifier: Apache-2.0 OR MIT
// libnibble: its formats as a run-time table. A client of the kernels like any other: it sees
// their declarations only.
#undef NIBBLE_BUILDING
#include "nibble/any.h"

#include "library_formats.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class... F>
constexpr std::span<const any_format> table_of(type_list<F...>) noexcept {
  return any_formats<F...>::list;
}

}  // namespace detail

std::span<const any_format> catalogue() noexcept { return detail::table_of(library_formats{}); }

}  // namespace nibble::inline NIBBLE_ABI
