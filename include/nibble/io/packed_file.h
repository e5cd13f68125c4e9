// SPDX-License-Identifier: Apache-2.0 OR MIT
// Files of packed matrices: written once, mapped, multiplied in place. No copy, no repacking. With
// what else an engine needs: tensors of plain numbers (norms, embeddings) and texts
// (configuration).
//
//   64 bytes       header: magic, version, number of entries, sizes, checksum of the table
//   128 bytes each entries: name, format and its fingerprint, shape, where its bytes are, checksum
//   text           names of matrices and formats
//   to the end     data: what packed_matrix holds, outliers too, each at a multiple of 64, zeros
//                  between
//
// All numbers are little-endian. The same bytes serve every instruction set. A fingerprint says
// what the bytes mean (format/fingerprint.h), so a format that changed under its name is refused.
#ifndef NIBBLE_IO_PACKED_FILE_H_
#define NIBBLE_IO_PACKED_FILE_H_

#include "nibble/format/fingerprint.h"
#include "nibble/io/detail/packed_reader.h"
#include "nibble/io/detail/packed_writer.h"
#include "nibble/io/mapped_file.h"
#include "nibble/pack.h"

namespace nibble::inline NIBBLE_ABI {

/// A packed matrix in a file, a tensor or a text: what the file says of it, checked.
using packed_entry = detail::packed_entry;

/// Writes a file of packed matrices: beside `path` (in a file of its own, "path.PID-N.part"), then
/// to the disk, then renamed. A mapping of an older file stays whole, and whoever opens `path`
/// finds the older file or the new one, also while several processes write it: the last one counts.
///
/// @param matrices  of any formats; a named_packed is its name and its matrix. Also tensors and
///                  texts: named("norm", floats), named_text("config.json", text)
///
/// Errors: duplicate_name; unknown_type: a tensor of more than 2 dimensions, in Fortran order or of
/// a block type; shape_mismatch: a tensor whose bytes are not those of its shape; limit_exceeded: a
/// name above 64 KiB, or more than 2^32 matrices; io: the system refuses, or the disk is full (what
/// was written is removed, the older file stays); out_of_memory.
[[nodiscard]] inline errc save_packed(const char* path, std::span<const named_packed> matrices,
                                      error_note* note = nullptr) noexcept {
  return detail::packed_writer(matrices, note).write(path);
}

/// The checked table of a file of packed matrices, and the file's mapping if it owns one.
///
/// Every matrix lies inside the file at a multiple of 64 bytes, has the size of its shape, and
/// shares no byte with another; names are unique; outliers lie inside their matrix. Whether codes,
/// scales and values are those that were saved is asked of verify(). (Whatever they are, kernels
/// read nothing outside of them.)
class packed_file {
 public:
  explicit packed_file(detail::packed_index index) noexcept : index_(std::move(index)) {}

  /// In the order of the file.
  [[nodiscard]] std::span<const packed_entry> entries() const noexcept {
    return index_.entries.items();
  }
  /// What the file says of the matrix of that name, or null.
  [[nodiscard]] const packed_entry* find(std::string_view name) const noexcept {
    return detail::find_sorted(index_.entries, index_.by_name, name);
  }

  /// The matrix of that name; it points into the file.
  ///
  /// Errors: not_found: no such name. unknown_type: it has another format. shape_mismatch: its
  /// format has this name but meant something else when the file was written.
  template <format F>
  [[nodiscard]] result<packed_view<F>> get(std::string_view name) const noexcept {
    const packed_entry* e = find(name);
    if (e == nullptr) return errc::not_found;
    const packed_data expected = detail::make_packed_data<F>(e->shape.rows, e->shape.cols);
    const errc error = e->check(F::name, fingerprint_of<F>(), detail::structure_of<F>(), expected);
    if (error != errc::ok) return error;
    return packed_view<F>{e->data()};
  }

  /// The tensor of plain numbers of that name; it points into the file. read_rows_f32() reads it.
  ///
  /// Errors: not_found. unknown_type: it is no tensor.
  [[nodiscard]] result<tensor_info> tensor(std::string_view name) const noexcept {
    const packed_entry* e = find(name);
    if (e == nullptr) return errc::not_found;
    if (e->content != packed_content::tensor) return errc::unknown_type;
    tensor_info t;
    t.name = e->name;
    t.type = e->type;
    t.rank = e->rank;
    if (t.rank == 2) t.dims[0] = e->shape.rows;
    if (t.rank != 0) t.dims[t.rank - 1] = e->shape.cols;
    t.data = e->plain();
    return t;
  }

  /// The text of that name, in the file. Errors: not_found. unknown_type: it is no text.
  [[nodiscard]] result<std::string_view> text(std::string_view name) const noexcept {
    const packed_entry* e = find(name);
    if (e == nullptr) return errc::not_found;
    if (e->content != packed_content::text) return errc::unknown_type;
    return detail::as_text(e->plain());
  }

  /// Compares the checksum of one matrix with its bytes, all of which are read: malformed if they
  /// differ.
  [[nodiscard]] errc verify(const packed_entry& e) const noexcept {
    return detail::hash_bytes(e.bytes) == e.checksum ? errc::ok : errc::malformed;
  }
  /// Of all matrices.
  [[nodiscard]] errc verify() const noexcept {
    for (const packed_entry& e : entries()) {
      if (const errc error = verify(e); error != errc::ok) return error;
    }
    return errc::ok;
  }

  /// Keeps the file mapped as long as this object lives; for files given only as bytes.
  void keep(mapped_file file) noexcept { file_ = std::move(file); }

 private:
  mapped_file file_;
  detail::packed_index index_;
};

/// Reads the table of a file in memory, best at a multiple of 64; the result points into `bytes`.
/// A matrix with outliers needs a multiple of 4: else invalid_argument.
///
/// Errors: bad_magic, bad_version. truncated: the file ends early. malformed: wrong or superfluous
/// parts, bytes between matrices that are not 0, a checksum of the table that is not right, data at
/// no multiple of 64, places of outliers that do not ascend inside their matrix. unknown_type: a
/// tensor of a type that is none of plain numbers. shape_mismatch: sizes disagree with shapes.
/// overflow, overlap, out_of_bounds, duplicate_name, out_of_memory as they say. limit_exceeded:
/// more matrices than memory of the file's size + 1 MiB can list.
///
/// Allocates at most the file's size + 1 MiB. Reads the table and the places of outliers.
[[nodiscard]] inline result<packed_file> read_packed(std::span<const std::byte> bytes,
                                                     error_note* note = nullptr) noexcept {
  detail::packed_index index;
  const errc e = detail::packed_reader(bytes, note).read(index);
  if (e != errc::ok) return e;
  return packed_file(std::move(index));
}

/// Maps a file and reads its table. Errors: those of mapped_file::open and read_packed.
[[nodiscard]] inline result<packed_file> load_packed(const char* path,
                                                     error_note* note = nullptr) noexcept {
  auto file = mapped_file::open(path, note);
  if (!file) return file.error();
  auto packed = read_packed(file->bytes(), note);
  if (packed) packed->keep(std::move(*file));
  return packed;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_PACKED_FILE_H_
