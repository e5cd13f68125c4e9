// SPDX-License-Identifier: Apache-2.0 OR MIT
// Is a text UTF-8? Names from files must be.
#ifndef NIBBLE_IO_DETAIL_UTF8_H_
#define NIBBLE_IO_DETAIL_UTF8_H_

#include <string_view>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI::detail {

/// True if `text` is UTF-8 as Unicode defines it (table 3-7: no overlong forms, no surrogates).
[[nodiscard]] constexpr bool valid_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte_at = [&](std::size_t j) { return static_cast<std::uint8_t>(text[j]); };
    const std::uint8_t lead = byte_at(i++);
    if (lead < 0x80) continue;
    if (lead < 0xC2 || lead > 0xF4) return false;
    const std::size_t follow = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (text.size() - i < follow) return false;
    // The first follower's range excludes overlong forms, surrogates and > U+10FFFF.
    const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte_at(i) < low || byte_at(i) > high) return false;
    for (std::size_t j = 1; j < follow; ++j) {
      if ((byte_at(i + j) & 0xC0) != 0x80) return false;
    }
    i += follow;
  }
  return true;
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_UTF8_H_
