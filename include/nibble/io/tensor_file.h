// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a file of tensors holds: names, types, shapes and where the bytes are. Readers make it.
#ifndef NIBBLE_IO_TENSOR_FILE_H_
#define NIBBLE_IO_TENSOR_FILE_H_

#include <span>
#include <string_view>
#include <utility>

#include "nibble/io/detail/storage.h"
#include "nibble/io/mapped_file.h"
#include "nibble/io/metadata.h"
#include "nibble/io/tensor_type.h"

namespace nibble::inline NIBBLE_ABI {

/// Tensors of more dimensions are refused (limit_exceeded).
inline constexpr std::size_t max_tensor_rank = 8;

/// One tensor of a file. Everything points into the file's bytes.
struct tensor_info {
  std::string_view name;  ///< UTF-8, any characters; empty in a .npy file
  tensor_type type = tensor_type::f32;
  bool fortran_order = false;  ///< the first index runs fastest, not the last (.npy only)
  std::uint8_t rank = 0;       ///< 0: a single value
  std::uint64_t dims[max_tensor_rank] = {};  ///< outermost first, also for .gguf
  std::span<const std::byte> data;           ///< at any alignment

  [[nodiscard]] std::span<const std::uint64_t> shape() const noexcept { return {dims, rank}; }
  /// Length of the innermost dimension: the k of a weight matrix [n x k].
  [[nodiscard]] std::uint64_t cols() const noexcept { return rank == 0 ? 1 : dims[rank - 1]; }
  /// Product of all other dimensions. The readers have checked that rows() * cols() fits.
  [[nodiscard]] std::uint64_t rows() const noexcept {
    std::uint64_t n = 1;
    for (std::size_t i = 0; i + 1 < rank; ++i) n *= dims[i];
    return n;
  }
  [[nodiscard]] std::uint64_t num_values() const noexcept { return rows() * cols(); }
};

/// The same bytes as values of another type, for who knows better than the file: bf16 and FP8 that
/// NumPy saved as opaque (ml_dtypes: '<V2', '|V1', '<f1'), codes of FP8, E8M0 or FP4 kept as U8.
/// The last dimension counts the new values: [n x 8] u8 are [n x 16] f4, low bits first.
///
///   if (t.type == tensor_type::opaque16) t = retype(t, tensor_type::bf16).value();
///
/// @return shape_mismatch if a row's bytes are no whole number of new values, or another number of
///         them in a single value or in Fortran order
[[nodiscard]] inline result<tensor_info> retype(const tensor_info& t, tensor_type type) noexcept {
  const tensor_type_info& from = describe(t.type);
  const tensor_type_info& to = describe(type);
  tensor_info renamed = t;
  renamed.type = type;
  if (from.block_values == to.block_values && from.block_bytes == to.block_bytes) return renamed;
  std::uint64_t row_bytes = 0;
  if (t.rank == 0 || (t.fortran_order && t.rank > 1) || t.cols() % from.block_values != 0 ||
      !detail::checked_multiply(t.cols() / from.block_values, from.block_bytes, row_bytes) ||
      row_bytes % to.block_bytes != 0 ||
      !detail::checked_multiply(row_bytes / to.block_bytes, to.block_values,
                                renamed.dims[t.rank - 1])) {
    return errc::shape_mismatch;
  }
  return renamed;
}

enum class file_kind : std::uint8_t { safetensors, npy, gguf };

[[nodiscard]] constexpr const char* name_of(file_kind kind) noexcept {
  constexpr const char* names[] = {"safetensors", "npy", "gguf"};
  return names[static_cast<std::size_t>(kind)];
}

namespace detail {

// What a reader fills. Spans into the arrays stay valid when this moves.
struct file_index {
  file_kind kind = file_kind::safetensors;
  std::uint32_t version = 0;
  fixed_array<tensor_info> tensors;
  fixed_array<metadata_entry> metadata;
  fixed_array<std::uint32_t> tensors_by_name;
  fixed_array<std::uint32_t> metadata_by_key;
  fixed_array<char> text;  // names and strings that are not in the file as they read
};

}  // namespace detail

/// The checked table of contents of a file, and the file's mapping if it owns one.
///
/// Every tensor's data lies inside the file, has exactly the size of its shape and type, and shares
/// no byte with another tensor's; names are unique.
class tensor_file {
 public:
  explicit tensor_file(detail::file_index index) noexcept : index_(std::move(index)) {}

  [[nodiscard]] file_kind kind() const noexcept { return index_.kind; }
  /// .gguf: 2 or 3. .npy: 1 to 3. .safetensors has none: 0.
  [[nodiscard]] std::uint32_t version() const noexcept { return index_.version; }
  /// In the order of the file's header.
  [[nodiscard]] std::span<const tensor_info> tensors() const noexcept {
    return index_.tensors.items();
  }
  [[nodiscard]] std::span<const metadata_entry> metadata() const noexcept {
    return index_.metadata.items();
  }
  /// The tensor of that name, or null. Takes log(number of tensors) steps.
  [[nodiscard]] const tensor_info* find(std::string_view name) const noexcept;
  /// The metadata of that key, or null.
  [[nodiscard]] const metadata_entry* find_metadata(std::string_view key) const noexcept;

  /// Keeps the file mapped as long as this object lives; for readers given only bytes.
  void keep(mapped_file file) noexcept { file_ = std::move(file); }

 private:
  mapped_file file_;
  detail::file_index index_;
};

namespace detail {

[[nodiscard]] inline std::string_view key_of(const tensor_info& t) noexcept { return t.name; }
[[nodiscard]] inline std::string_view key_of(const metadata_entry& e) noexcept { return e.key; }

template <class T>
[[nodiscard]] const T* find_sorted(const fixed_array<T>& items,
                                   const fixed_array<std::uint32_t>& order,
                                   std::string_view key) noexcept {
  std::size_t begin = 0;
  for (std::size_t end = order.size(); begin < end;) {
    const std::size_t middle = begin + (end - begin) / 2;
    const int compared = key_of(items[order[middle]]).compare(key);
    if (compared == 0) return &items[order[middle]];
    if (compared < 0) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return nullptr;
}

}  // namespace detail

inline const tensor_info* tensor_file::find(std::string_view name) const noexcept {
  return detail::find_sorted(index_.tensors, index_.tensors_by_name, name);
}

inline const metadata_entry* tensor_file::find_metadata(std::string_view key) const noexcept {
  return detail::find_sorted(index_.metadata, index_.metadata_by_key, key);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_TENSOR_FILE_H_
