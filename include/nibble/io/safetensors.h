// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reads .safetensors files: the table of contents, every number checked; the data stays in place.
//
//   8 bytes        header length n, little-endian
//   n bytes        JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
//                  "__metadata__": {"key": "text", ...}}, white space
//   to the end     data; offsets count from here; no byte without an owner
//
// Format: https://github.com/huggingface/safetensors, README "Format" and Metadata::validate.
#ifndef NIBBLE_IO_SAFETENSORS_H_
#define NIBBLE_IO_SAFETENSORS_H_

#include "nibble/io/detail/safetensors_reader.h"

namespace nibble::inline NIBBLE_ABI {

/// The longest header that is accepted; the original's limit.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

/// Reads the header of a whole .safetensors file in memory; the result points into `bytes`.
///
/// Errors: truncated: header or data end early. limit_exceeded: header above 100 MB, more than 8
/// dimensions, values nested deeper than 32, or more tensors than memory of the file's size + 1 MiB
/// can list. malformed: no JSON, no UTF-8, missing, wrong or superfluous parts, bytes that belong
/// to no tensor. shape_mismatch: data_offsets and shape disagree. unknown_type, overflow, overlap,
/// out_of_bounds, duplicate_name, out_of_memory as they say. Unknown keys in a tensor's entry are
/// skipped and a "__metadata__" that is null is none, as in the original.
///
/// Allocates at most the file's size + 1 MiB. Takes time O(size log size).
[[nodiscard]] inline result<tensor_file> read_safetensors(std::span<const std::byte> bytes,
                                                          error_note* note = nullptr) noexcept {
  using detail::ull;
  std::uint64_t size = 0;
  detail::byte_cursor cursor(bytes);
  if (!cursor.read(size)) {
    return detail::fail(note, errc::truncated, "%llu bytes are too few for a header's length",
                        ull{bytes.size()});
  }
  if (size > max_safetensors_header) {
    return detail::fail(note, errc::limit_exceeded, "the header has %llu bytes, more than %llu",
                        ull{size}, ull{max_safetensors_header});
  }
  std::span<const std::byte> header;
  if (!cursor.take(size, header)) {
    return detail::fail(note, errc::truncated, "the header has %llu bytes, the file only %llu",
                        ull{size}, ull{cursor.left()});
  }
  if (header.empty() || header[0] != std::byte{'{'}) {
    return detail::fail(note, errc::malformed, "the header does not begin with '{'");
  }
  detail::file_index index;
  index.kind = file_kind::safetensors;
  detail::memory_budget budget(bytes.size());
  const errc e =
      detail::safetensors_reader(detail::as_text(header), cursor.rest(), budget, note).read(index);
  if (e != errc::ok) return e;
  return tensor_file(std::move(index));
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_SAFETENSORS_H_
