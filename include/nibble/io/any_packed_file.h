// SPDX-License-Identifier: Apache-2.0 OR MIT
// Files of packed matrices (packed_file.h) whose formats are known at run time only.
#ifndef NIBBLE_IO_ANY_PACKED_FILE_H_
#define NIBBLE_IO_ANY_PACKED_FILE_H_

#include "nibble/any.h"
#include "nibble/io/packed_file.h"

namespace nibble::inline NIBBLE_ABI {

/// The matrix of that name, in whichever of `formats` it is; it points into the file.
///
/// Errors: not_found: no such matrix. unknown_type: its format is none of `formats`; find() knows
/// its name. shape_mismatch: the format of that name meant something else when the file was
/// written.
[[nodiscard]] inline result<any_packed_view> get_any(const packed_file& file, std::string_view name,
                                                     std::span<const any_format> formats) noexcept {
  const packed_entry* e = file.find(name);
  if (e == nullptr) return errc::not_found;
  const any_format* f = find_format(e->format, formats);
  if (f == nullptr) return errc::unknown_type;
  const errc error =
      e->check(f->name, f->fingerprint, f->structure, f->empty(e->shape.rows, e->shape.cols));
  if (error != errc::ok) return error;
  return any_packed_view{f, e->data()};
}

#ifdef NIBBLE_COMPILED
[[nodiscard]] inline result<any_packed_view> get_any(const packed_file& file,
                                                     std::string_view name) noexcept {
  return get_any(file, name, catalogue());
}
#endif

/// For save_packed().
[[nodiscard]] inline named_packed named(std::string_view name, const any_packed_view& w) noexcept {
  named_packed m;
  m.name = name;
  m.format = w.format->name;
  m.fingerprint = w.format->fingerprint;
  m.structure = w.format->structure;
  m.data = w.data;
  return m;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_ANY_PACKED_FILE_H_

// Again, outside the guard: it is read once per target.
#include "nibble/any.h"
