// SPDX-License-Identifier: Apache-2.0 OR MIT
// libnibble: its formats as a run-time table. A client of the kernels like any other: it sees
// their declarations only.
#undef NIBBLE_BUILDING
#include "nibble/any.h"

#include "library_formats.h"

namespace {

template <class... F>
constexpr std::span<const nibble::any_format> table_of(nibble::type_list<F...>) noexcept {
  return nibble::any_formats<F...>::list;
}

}  // namespace

const void* NIBBLE_LIBRARY_ABI::catalogue(std::size_t* size) noexcept {
  constexpr std::span<const nibble::any_format> table = table_of(nibble::library_formats{});
  *size = table.size();
  return table.data();
}
