// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reads .npy files (versions 1, 2 and 3): one array of plain little-endian numbers.
//
//   6 bytes      \x93NUMPY
//   2 bytes      version, major and minor
//   2 (v1) or 4  header length n, little-endian
//   n bytes      a Python dictionary with exactly these keys, spaces, a newline:
//                {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//   to the end   the array
//
// Format: NumPy, numpy/lib/format.py. What NumPy writes is read, not all that Python could express.
#ifndef NIBBLE_IO_NPY_H_
#define NIBBLE_IO_NPY_H_

#include "nibble/io/detail/npy_header.h"

namespace nibble::inline NIBBLE_ABI {

/// The longest header that is accepted. NumPy's own limit is 10,000 bytes.
inline constexpr std::uint64_t max_npy_header = 1 << 20;

/// Reads the header of a whole .npy file in memory; the result points into `bytes` and holds one
/// tensor with an empty name. Fortran order is kept and flagged: tensor_info::fortran_order.
///
/// What ml_dtypes writes ('<V2', '|V1', '<f1') is opaque16 or opaque8 until retype() says what it
/// is. Its FP4, FP6 and integers of 4 bits and less have a byte each: retype() to u8 has the codes.
///
/// Errors: bad_magic, bad_version; truncated: header or data end early; malformed: the header is
/// not the dictionary above, or bytes follow the array; unknown_type: big-endian, structured,
/// object, text and date types; limit_exceeded: header above 1 MiB or more than 8 dimensions;
/// overflow, duplicate_name, out_of_memory as they say.
///
/// Allocates less than 1 KiB.
[[nodiscard]] inline result<tensor_file> read_npy(std::span<const std::byte> bytes,
                                                  error_note* note = nullptr) noexcept {
  using detail::ull;
  detail::byte_cursor cursor(bytes);
  std::span<const std::byte> magic;
  std::uint8_t major = 0;
  std::uint8_t minor = 0;
  if (!cursor.take(6, magic) || detail::as_text(magic) != "\x93NUMPY") {
    return detail::fail(note, errc::bad_magic, "a .npy file begins with \\x93NUMPY");
  }
  if (!cursor.read(major) || !cursor.read(minor)) {
    return detail::fail(note, errc::truncated, "no version");
  }
  if (major < 1 || major > 3 || minor != 0) {
    return detail::fail(note, errc::bad_version, ".npy version %u.%u", unsigned{major},
                        unsigned{minor});
  }
  std::uint16_t short_size = 0;
  std::uint32_t size = 0;
  if (major == 1 ? !cursor.read(short_size) : !cursor.read(size)) {
    return detail::fail(note, errc::truncated, "no header length");
  }
  size += short_size;
  if (size > max_npy_header) {
    return detail::fail(note, errc::limit_exceeded, "the header has %llu bytes", ull{size});
  }
  std::span<const std::byte> header;
  if (!cursor.take(size, header)) {
    return detail::fail(note, errc::truncated, "the header has %llu bytes, the file only %llu",
                        ull{size}, ull{cursor.left()});
  }
  tensor_info tensor;
  errc e = detail::npy_header(detail::as_text(header), note).read(tensor);
  std::uint64_t data_bytes = 0;
  if (e == errc::ok) e = detail::tensor_bytes(tensor, data_bytes, note);
  if (e == errc::ok) e = detail::place_tensor(tensor, cursor.rest(), 0, data_bytes, note);
  detail::file_index index;
  index.kind = file_kind::npy;
  index.version = major;
  detail::memory_budget budget(bytes.size());
  if (e == errc::ok) e = index.tensors.reserve(budget, 1);
  if (e != errc::ok) return e;
  index.tensors.push(tensor);
  e = detail::finish_index(index, cursor.rest(), 0, budget, note);
  if (e != errc::ok) return e;
  return tensor_file(std::move(index));
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_NPY_H_
