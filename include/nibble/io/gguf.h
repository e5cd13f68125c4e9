// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reads .gguf files (versions 2 and 3, little-endian): metadata and the table of tensors.
//
//   "GGUF", u32 version, u64 number of tensors, u64 number of keys
//   per key      string name, u32 type, value
//   per tensor   string name, u32 rank, u64 dims[rank] innermost first, u32 type, u64 offset
//   zeros        up to a multiple of general.alignment (32 unless a key says otherwise)
//   to the end   data; offsets count from here and are multiples of the alignment
//
// string: u64 length, characters. array value: u32 item type, u64 count, items.
// Format: https://github.com/ggml-org/ggml, docs/gguf.md and src/gguf.cpp.
#ifndef NIBBLE_IO_GGUF_H_
#define NIBBLE_IO_GGUF_H_

#include "nibble/io/detail/gguf_reader.h"

namespace nibble::inline NIBBLE_ABI {

/// Reads the header of a whole .gguf file in memory; the result points into `bytes`. Types that
/// nibble cannot decode are listed all the same. Dimensions are turned round: outermost first. One
/// of 0 is as good as any: the tensor has no values and no bytes (flags such as scaled_fp8).
///
/// Errors: bad_magic; bad_version: also for big-endian files; truncated: the file ends before what
/// it promises, with counts and lengths of any size; malformed: names that are empty or no UTF-8,
/// an alignment that is no power of two from 8 to 1 MiB or no u32, offsets not aligned, bytes that
/// belong to no tensor (padding excepted), booleans other than 0 and 1;
/// shape_mismatch: rows that are no whole blocks; unknown_type: a value or tensor type that GGML
/// does not have (any more); limit_exceeded: more than 4 dimensions, keys above 65,535 bytes,
/// arrays nested deeper than 4, or more tensors than memory of the file's size + 1 MiB can list;
/// overflow, out_of_bounds, overlap, duplicate_name, out_of_memory as they say.
///
/// Allocates at most the file's size + 1 MiB. Takes time O(size log size).
[[nodiscard]] inline result<tensor_file> read_gguf(std::span<const std::byte> bytes,
                                                   error_note* note = nullptr) noexcept {
  detail::file_index index;
  const errc e = detail::gguf_reader(bytes, note).read(index);
  if (e != errc::ok) return e;
  return tensor_file(std::move(index));
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_GGUF_H_
