// SPDX-License-Identifier: Apache-2.0 OR MIT
// libnibble: targets, and the bulk operations of the element types of its formats.
#define NIBBLE_BUILDING_BASE
#include <tuple>

#include "nibble/elements.h"
#include "nibble/target.h"

#include "library_formats.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Whether codes, scales or shifts of a format are of type E.
template <class E, class F>
constexpr bool uses_element() noexcept {
  if constexpr (nibble::element<F>) {
    return std::is_same_v<E, F>;
  } else if constexpr (wire_format<F>) {
    return uses_element<E, typename meaning_of<F>::type>();
  } else {
    bool used =
        std::is_same_v<E, typename F::element> || uses_element<E, typename F::scale_format>();
    if constexpr (F::has_shift) used = used || uses_element<E, typename F::shift_format>();
    return used;
  }
}
template <class E, class... F>
constexpr bool is_used(type_list<F...>) noexcept {
  return num_formats == sizeof...(F) || (uses_element<E, F>() || ...);
}

// Tables of the elements' functions: what a table names is instantiated and exported with it.
template <class List>
struct exported;
template <class... E>
struct exported<element_list<E...>> {
  template <class One>
  static constexpr auto functions() noexcept {
    if constexpr (is_used<One>(library_formats{})) {
      return std::tuple{&nibble::encode_values<One>, &nibble::decode_values<One>};
    } else {
      return std::tuple{};
    }
  }
  static constexpr std::tuple all = std::tuple_cat(functions<E>()...);
};
template struct exported<all_elements>;

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI
