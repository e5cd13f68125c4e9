// SPDX-License-Identifier: Apache-2.0 OR MIT
// Where a file is wrong, in words: the detail beside an errc.
#ifndef NIBBLE_IO_ERROR_NOTE_H_
#define NIBBLE_IO_ERROR_NOTE_H_

#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "nibble/core/errors.h"

namespace nibble::inline NIBBLE_ABI {

/// A short text that a reader fills when it fails: the tensor, key or byte and the numbers that
/// disagree. Print it after message(errc): "the file is truncated: tensor 'w': ...".
///
/// Holds printable ASCII only, also where the file's own names do not: safe for a terminal or log.
/// Cut at 199 characters. Allocates nothing.
struct error_note {
  char text[200] = "";
};

/// An untrusted name as it may be shown on a terminal: other bytes than printable ASCII become '?',
/// and what is longer than 80 characters ends in "...".
struct printable_name {
  explicit printable_name(std::string_view name) noexcept {
    constexpr std::size_t max = sizeof(text) - 4;
    std::size_t n = 0;
    for (; n < name.size() && n < max; ++n) {
      text[n] = name[n] >= ' ' && name[n] <= '~' ? name[n] : '?';
    }
    for (std::size_t i = 0; i < 3 && name.size() > max; ++i) text[max + i] = '.';
  }
  char text[84] = "";
};

namespace detail {

// Fills the note, if there is one, and returns the code: `return fail(note, errc::x, "...", ...)`.
#if defined(__GNUC__)
[[gnu::format(printf, 3, 4)]]
#endif
inline errc
fail(error_note* note, errc code, const char* format, ...) noexcept {
  if (note != nullptr) {
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(note->text, sizeof(note->text), format, arguments);
    va_end(arguments);
  }
  return code;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_ERROR_NOTE_H_
