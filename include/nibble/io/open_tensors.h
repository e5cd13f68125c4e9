// SPDX-License-Identifier: Apache-2.0 OR MIT
// Opens a .safetensors, .npy or .gguf file: which one it is, its first bytes say, not its name.
#ifndef NIBBLE_IO_OPEN_TENSORS_H_
#define NIBBLE_IO_OPEN_TENSORS_H_

#include "nibble/io/gguf.h"
#include "nibble/io/npy.h"
#include "nibble/io/safetensors.h"

namespace nibble::inline NIBBLE_ABI {

/// Reads the header of a whole file in memory; the result points into `bytes`.
///
/// Errors: those of read_gguf(), read_npy() and read_safetensors(); bad_magic: neither of them, and
/// the note says what it is instead where that is a common mistake; truncated: fewer than 9 bytes.
[[nodiscard]] result<tensor_file> read_tensors(std::span<const std::byte> bytes,
                                               error_note* note = nullptr) noexcept;

/// Maps a file and reads its header; the result owns the mapping.
///
///   nibble::error_note note;
///   const auto file = nibble::open_tensors("model.safetensors", &note);
///   if (!file) std::printf("%s: %s\n", nibble::message(file.error()), note.text);
///
/// Errors: those of mapped_file::open() and read_tensors(). Reads only the header's pages;
/// allocates at most the file's size + 1 MiB, in practice about 110 bytes per tensor.
[[nodiscard]] result<tensor_file> open_tensors(const char* path,
                                               error_note* note = nullptr) noexcept;

inline result<tensor_file> read_tensors(std::span<const std::byte> bytes,
                                        error_note* note) noexcept {
  const std::string_view text = detail::as_text(bytes);
  if (text.starts_with("GGUF")) return read_gguf(bytes, note);
  if (text.starts_with("\x93NUMPY")) return read_npy(bytes, note);
  if (text.size() > 8 && text[8] == '{') return read_safetensors(bytes, note);
  if (text.size() < 9) {
    return detail::fail(note, errc::truncated, "%u bytes are too few for any tensor file",
                        static_cast<unsigned>(text.size()));
  }
  const char* what = "no .safetensors, .npy or .gguf file";
  if (text.starts_with("PK\x03\x04")) what = "a zip archive, such as .npz or PyTorch's .pt";
  if (text.starts_with("version https://git-lfs")) what = "a Git LFS pointer, not the file itself";
  if (text.starts_with("\x89HDF")) what = "an HDF5 file";
  return detail::fail(note, errc::bad_magic, "%s", what);
}

inline result<tensor_file> open_tensors(const char* path, error_note* note) noexcept {
  result<mapped_file> file = mapped_file::open(path, note);
  if (!file) return file.error();
  result<tensor_file> tensors = read_tensors(file->bytes(), note);
  if (tensors) tensors->keep(std::move(*file));
  return tensors;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_OPEN_TENSORS_H_
