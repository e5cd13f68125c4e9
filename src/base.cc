// SPDX-License-Identifier: Apache-2.0 OR MIT
// libnibble: targets, and the bulk operations of every element type.
#define NIBBLE_BUILDING_BASE
#include <tuple>

#include "nibble/elements.h"
#include "nibble/target.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

// Tables of all elements' functions: what a table names is instantiated and exported with it.
template <class List>
struct exported;
template <class... E>
struct exported<element_list<E...>> {
  static constexpr std::tuple encoders{&nibble::encode_values<E>...};
  static constexpr std::tuple decoders{&nibble::decode_values<E>...};
};
template struct exported<all_elements>;

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI
