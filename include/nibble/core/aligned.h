// SPDX-License-Identifier: Apache-2.0 OR MIT
// Memory of packed data: 64-byte aligned, owned, never initialised.
#ifndef NIBBLE_CORE_ALIGNED_H_
#define NIBBLE_CORE_ALIGNED_H_

#include <memory>
#include <new>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

struct aligned_delete {
  void operator()(std::uint8_t* p) const noexcept { ::operator delete (p, std::align_val_t{64}); }
};
using packed_buffer = std::unique_ptr<std::uint8_t[], aligned_delete>;

/// Null if there is no memory.
inline packed_buffer make_packed_buffer(std::size_t bytes) noexcept {
  return packed_buffer(
      static_cast<std::uint8_t*>(::operator new (bytes, std::align_val_t{64}, std::nothrow)));
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_CORE_ALIGNED_H_
