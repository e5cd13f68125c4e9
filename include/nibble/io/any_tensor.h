// SPDX-License-Identifier: Apache-2.0 OR MIT
// The run-time format of a tensor in a file: what pack() takes beside the tensor's bytes.
#ifndef NIBBLE_IO_ANY_TENSOR_H_
#define NIBBLE_IO_ANY_TENSOR_H_

#include "nibble/any.h"
#include "nibble/io/tensor_format.h"

namespace nibble::inline NIBBLE_ABI {

/// That of `formats` whose rows a tensor of this type holds, byte for byte. Null: there is none, or
/// it is not among `formats`; format_name_of() knows its name.
///
///   const any_format* f = format_of(t.type, formats);
///   if (f != nullptr) auto w = pack(*f, t.data, t.rows(), t.cols(), with);
[[nodiscard]] inline const any_format* format_of(tensor_type type,
                                                 std::span<const any_format> formats) noexcept {
  const std::string_view name = format_name_of(type);
  return name.empty() ? nullptr : find_format(name, formats);
}

#ifdef NIBBLE_COMPILED
/// That of libnibble.
[[nodiscard]] inline const any_format* format_of(tensor_type type) noexcept {
  return format_of(type, catalogue());
}
#endif

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_ANY_TENSOR_H_

// Again, outside the guard: it is read once per target.
#include "nibble/any.h"
