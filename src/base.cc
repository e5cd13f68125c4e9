// SPDX-License-Identifier: Apache-2.0 OR MIT
// libnibble: targets, and the bulk operations of the element types of its formats.
#include <tuple>

#include "nibble/elements.h"
#include "nibble/format/library.h"
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

/// The element of that key.
template <std::uint64_t Key, class... E>
auto element_with_key(element_list<E...>) {
  using found = std::tuple_element_t<
      0, decltype(std::tuple_cat(
             std::conditional_t<element_key<E> == Key, std::tuple<E*>, std::tuple<>>()...))>;
  return found();
}
template <std::uint64_t Key>
using keyed_element = std::remove_pointer_t<decltype(element_with_key<Key>(all_elements{}))>;

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

namespace NIBBLE_LIBRARY_ABI {

template <std::uint64_t Element>
void encode(const float* values, std::size_t n, void* codes, const void* policy) noexcept {
  using E = nibble::detail::keyed_element<Element>;
  nibble::detail::encode_values<E>(values, n, static_cast<typename E::code*>(codes),
                                   *static_cast<const nibble::encode_policy*>(policy));
}
template <std::uint64_t Element>
void decode(const void* codes, std::size_t n, float* values) noexcept {
  using E = nibble::detail::keyed_element<Element>;
  nibble::detail::decode_values<E>(static_cast<const typename E::code*>(codes), n, values);
}

std::size_t num_targets() noexcept { return nibble::num_targets(); }
const char* target_name(std::size_t i) noexcept { return nibble::target_name(i); }
const char* current_target() noexcept { return nibble::current_target(); }
bool force_target(const char* name) noexcept { return nibble::force_target(name); }

}  // namespace NIBBLE_LIBRARY_ABI

namespace nibble::inline NIBBLE_ABI {
namespace detail {

// Tables of the elements' functions: what a table names is instantiated and exported with it.
template <class List>
struct exported;
template <class... E>
struct exported<element_list<E...>> {
  template <class One>
  static constexpr auto functions() noexcept {
    if constexpr (is_used<One>(library_formats{})) {
      return std::tuple{&NIBBLE_LIBRARY_ABI::encode<element_key<One>>,
                        &NIBBLE_LIBRARY_ABI::decode<element_key<One>>};
    } else {
      return std::tuple{};
    }
  }
  static constexpr std::tuple all = std::tuple_cat(functions<E>()...);
};
template struct exported<all_elements>;

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI
