// SPDX-License-Identifier: Apache-2.0 OR MIT
// How read_gguf() walks through a file; gguf.h says what the file looks like.
#ifndef NIBBLE_IO_DETAIL_GGUF_READER_H_
#define NIBBLE_IO_DETAIL_GGUF_READER_H_

#include "nibble/io/detail/index.h"
#include "nibble/io/detail/utf8.h"

namespace nibble::inline NIBBLE_ABI::detail {

class gguf_reader {
 public:
  gguf_reader(std::span<const std::byte> bytes, error_note* note) noexcept
      : bytes_(bytes), cursor_(bytes), budget_(bytes.size()), note_(note) {}

  [[nodiscard]] errc read(file_index& index) noexcept;

 private:
  // What a key and a tensor take at least: string length, type, value; and rank, type, offset.
  static constexpr std::uint64_t min_key_bytes = 8 + 4 + 1;
  static constexpr std::uint64_t min_tensor_bytes = 8 + 4 + 4 + 8;
  static constexpr std::uint64_t max_dim = ~std::uint64_t{0} >> 1;
  // Of arrays in arrays. GGML reads none; the specification sets no limit.
  static constexpr unsigned max_nesting = 4;

  [[nodiscard]] errc read_version(std::uint32_t& version) noexcept;
  [[nodiscard]] errc read_name(std::string_view& name, std::uint64_t max_bytes) noexcept;
  [[nodiscard]] errc read_entry(metadata_entry& entry) noexcept;
  [[nodiscard]] errc read_type(metadata_type& type) noexcept;
  [[nodiscard]] errc skip_flat(metadata_type type, std::uint64_t count) noexcept;
  [[nodiscard]] errc skip_values(metadata_type type, std::uint64_t count) noexcept;
  [[nodiscard]] errc read_alignment(const metadata_entry& entry) noexcept;
  [[nodiscard]] errc read_tensor(tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_shape(tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_header(file_index& index) noexcept;
  [[nodiscard]] errc place(tensor_info& tensor, std::span<const std::byte> section) noexcept;
  [[nodiscard]] static bool has_no_values(const tensor_info& tensor) noexcept {
    for (const std::uint64_t dim : tensor.shape()) {
      if (dim == 0) return true;
    }
    return false;
  }
  [[nodiscard]] errc truncated(const char* what) noexcept {
    if (name_.empty()) {
      return fail(note_, errc::truncated, "%s at byte %llu", what, ull{cursor_.position()});
    }
    return fail(note_, errc::truncated, "%s '%s': %s at byte %llu", kind_,
                printable_name(name_).text, what, ull{cursor_.position()});
  }

  std::span<const std::byte> bytes_;
  byte_cursor cursor_;
  memory_budget budget_;
  error_note* note_;
  const char* kind_ = "";  // of what is being read, for messages, and its name
  std::string_view name_;
  std::uint64_t alignment_ = 32;
};

inline errc gguf_reader::read_version(std::uint32_t& version) noexcept {
  std::span<const std::byte> magic;
  if (!cursor_.take(4, magic) || as_text(magic) != "GGUF") {
    return fail(note_, errc::bad_magic, "a .gguf file begins with GGUF");
  }
  if (!cursor_.read(version)) return truncated("no version");
  if (version == 2 || version == 3) return errc::ok;
  return fail(note_, errc::bad_version, ".gguf version %u%s", version,
              (version & 0xFFFF) == 0 ? ": a big-endian file?" : "");
}

inline errc gguf_reader::read_name(std::string_view& name, std::uint64_t max_bytes) noexcept {
  std::uint64_t size = 0;
  std::span<const std::byte> bytes;
  if (!cursor_.read(size) || !cursor_.take(size, bytes)) return truncated("the name behind it");
  name = as_text(bytes);
  if (size > max_bytes) {
    return fail(note_, errc::limit_exceeded, "name '%s' has %llu bytes", printable_name(name).text,
                ull{size});
  }
  if (name.empty() || !valid_utf8(name)) {
    return fail(note_, errc::malformed, "name '%s' before byte %llu is empty or no UTF-8",
                printable_name(name).text, ull{cursor_.position()});
  }
  name_ = name;
  return errc::ok;
}

inline errc gguf_reader::read_type(metadata_type& type) noexcept {
  std::uint32_t number = 0;
  if (!cursor_.read(number)) return truncated("a value's type");
  if (number > static_cast<std::uint32_t>(metadata_type::f64)) {
    return fail(note_, errc::unknown_type, "key '%s': value type %u", printable_name(name_).text,
                number);
  }
  type = static_cast<metadata_type>(number);
  return errc::ok;
}

// Passes `count` values that are no arrays.
inline errc gguf_reader::skip_flat(metadata_type type, std::uint64_t count) noexcept {
  constexpr std::uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  std::span<const std::byte> bytes;
  if (type == metadata_type::string) {
    for (; count > 0; --count) {
      std::uint64_t size = 0;
      if (!cursor_.read(size) || !cursor_.take(size, bytes)) return truncated("a string");
    }
    return errc::ok;
  }
  std::uint64_t size = 0;
  if (!checked_multiply(count, sizes[static_cast<std::size_t>(type)], size) ||
      !cursor_.take(size, bytes)) {
    return truncated("a value");
  }
  for (std::size_t i = 0; type == metadata_type::boolean && i < bytes.size(); ++i) {
    if (bytes[i] > std::byte{1}) {
      return fail(note_, errc::malformed, "key '%s': a boolean is %u", printable_name(name_).text,
                  std::to_integer<unsigned>(bytes[i]));
    }
  }
  return errc::ok;
}

// Passes `count` values. Arrays of arrays are walked with a stack of what is left on each level;
// every array takes 12 bytes of the file, so that no count can keep us long.
inline errc gguf_reader::skip_values(metadata_type type, std::uint64_t count) noexcept {
  struct level {
    metadata_type type;
    std::uint64_t left;
  } levels[max_nesting] = {{type, count}};
  for (unsigned depth = 0;;) {
    level& here = levels[depth];
    if (here.type != metadata_type::array) {
      if (const errc e = skip_flat(here.type, here.left); e != errc::ok) return e;
      here.left = 0;
    }
    if (here.left == 0) {
      if (depth-- == 0) return errc::ok;
      continue;
    }
    --here.left;
    level inner = {};
    if (const errc e = read_type(inner.type); e != errc::ok) return e;
    if (!cursor_.read(inner.left)) return truncated("an array's size");
    if (++depth == max_nesting) {
      return fail(note_, errc::limit_exceeded, "key '%s': arrays are nested deeper than %u",
                  printable_name(name_).text, depth);
    }
    levels[depth] = inner;
  }
}

inline errc gguf_reader::read_entry(metadata_entry& entry) noexcept {
  errc e = read_name(entry.key, 65535);
  kind_ = "key";
  if (e == errc::ok) e = read_type(entry.type);
  if (e != errc::ok) return e;
  entry.item_type = entry.type;
  if (entry.type == metadata_type::array) {
    if (e = read_type(entry.item_type); e != errc::ok) return e;
    if (!cursor_.read(entry.count)) return truncated("an array's size");
  }
  const std::span<const std::byte> from = cursor_.rest();
  if (e = skip_values(entry.item_type, entry.count); e != errc::ok) return e;
  entry.bytes = from.first(from.size() - cursor_.rest().size());
  if (entry.type == metadata_type::string) entry.bytes = entry.bytes.subspan(8);  // the length
  return entry.key == "general.alignment" ? read_alignment(entry) : errc::ok;
}

inline errc gguf_reader::read_alignment(const metadata_entry& entry) noexcept {
  alignment_ = entry.type == metadata_type::u32 ? *entry.as_u64() : 0;
  if (alignment_ >= 8 && alignment_ <= (1 << 20) && std::has_single_bit(alignment_)) {
    return errc::ok;
  }
  return fail(note_, errc::malformed, "general.alignment is no u32 power of two from 8 to 1 MiB");
}

inline errc gguf_reader::read_shape(tensor_info& tensor) noexcept {
  std::uint32_t rank = 0;
  if (!cursor_.read(rank)) return truncated("a tensor's rank");
  if (rank > 4) {
    return fail(note_, errc::limit_exceeded, "tensor '%s' has %u dimensions",
                printable_name(tensor.name).text, rank);
  }
  tensor.rank = static_cast<std::uint8_t>(rank);
  for (std::size_t i = rank; i-- > 0;) {
    if (!cursor_.read(tensor.dims[i])) return truncated("a tensor's dimensions");
    // GGML's are signed. Beside a 0, which hides the product's overflow, nothing else would object.
    if (tensor.dims[i] > max_dim) {
      return fail(note_, errc::overflow, "tensor '%s' has a dimension of %llu",
                  printable_name(tensor.name).text, ull{tensor.dims[i]});
    }
  }
  return errc::ok;
}

// Where the data begins is known only after all tensors: until then, tensor.data is the field of
// the header that holds the offset.
inline errc gguf_reader::read_tensor(tensor_info& tensor) noexcept {
  errc e = read_name(tensor.name, 65535);
  kind_ = "tensor";
  if (e == errc::ok) e = read_shape(tensor);
  if (e != errc::ok) return e;
  std::uint32_t id = 0;
  if (!cursor_.read(id) || !cursor_.take(8, tensor.data)) return truncated("a tensor's type");
  const auto* type = find_tensor_type([id](const tensor_type_info& t) {
    return t.ggml_id >= 0 && static_cast<std::uint32_t>(t.ggml_id) == id;
  });
  if (type == nullptr) {
    return fail(note_, errc::unknown_type, "tensor '%s' has GGML type %u",
                printable_name(tensor.name).text, id);
  }
  tensor.type = type->type;
  if (tensor.cols() % type->block_values != 0) {
    return fail(note_, errc::shape_mismatch, "tensor '%s': rows of %llu are no whole blocks of %u",
                printable_name(tensor.name).text, ull{tensor.cols()}, unsigned{type->block_values});
  }
  return errc::ok;
}

inline errc gguf_reader::place(tensor_info& tensor, std::span<const std::byte> section) noexcept {
  const auto offset = load_le<std::uint64_t>(tensor.data.data());
  std::uint64_t bytes = 0;
  if (const errc e = tensor_bytes(tensor, bytes, note_); e != errc::ok) return e;
  if (offset % alignment_ != 0) {
    return fail(note_, errc::malformed, "tensor '%s': offset %llu is no multiple of %llu",
                printable_name(tensor.name).text, ull{offset}, ull{alignment_});
  }
  // Behind the last bytes of all: a writer may leave their padding out.
  if (bytes == 0 && offset > section.size() && offset - section.size() < alignment_) {
    return place_tensor(tensor, section, section.size(), 0, note_);
  }
  return place_tensor(tensor, section, offset, bytes, note_);
}

inline errc gguf_reader::read_header(file_index& index) noexcept {
  index.kind = file_kind::gguf;
  std::uint64_t num_tensors = 0;
  std::uint64_t num_keys = 0;
  if (const errc e = read_version(index.version); e != errc::ok) return e;
  if (!cursor_.read(num_tensors) || !cursor_.read(num_keys)) return truncated("no counts");
  if (num_keys > cursor_.left() / min_key_bytes ||
      num_tensors > cursor_.left() / min_tensor_bytes) {
    return fail(note_, errc::truncated, "%llu tensors and %llu keys do not fit the file",
                ull{num_tensors}, ull{num_keys});
  }
  errc e = index.metadata.reserve(budget_, num_keys);
  if (e == errc::ok) e = index.tensors.reserve(budget_, num_tensors);
  if (e != errc::ok) {
    return fail(note_, e, "%llu tensors and %llu keys", ull{num_tensors}, ull{num_keys});
  }
  for (; num_keys > 0; --num_keys) {
    metadata_entry entry;
    if (e = read_entry(entry); e != errc::ok) return e;
    index.metadata.push(entry);
  }
  for (; num_tensors > 0; --num_tensors) {
    tensor_info tensor;
    if (e = read_tensor(tensor); e != errc::ok) return e;
    index.tensors.push(tensor);
  }
  return errc::ok;
}

inline errc gguf_reader::read(file_index& index) noexcept {
  if (const errc e = read_header(index); e != errc::ok) return e;
  std::uint64_t begin = 0;
  if (!checked_add(cursor_.position(), alignment_ - 1, begin)) {
    return fail(note_, errc::overflow, "the padding before the data");
  }
  begin = begin / alignment_ * alignment_;
  if (begin > bytes_.size()) {  // right if nothing follows
    for (const tensor_info& tensor : index.tensors.items()) {
      if (!has_no_values(tensor)) return truncated("no data");
    }
    begin = bytes_.size();
  }
  const std::span<const std::byte> section = bytes_.subspan(static_cast<std::size_t>(begin));
  for (tensor_info& tensor : index.tensors.items()) {
    if (const errc e = place(tensor, section); e != errc::ok) return e;
  }
  return finish_index(index, section, alignment_ - 1, budget_, note_);
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_GGUF_READER_H_
