// SPDX-License-Identifier: Apache-2.0 OR MIT
// How read_safetensors() walks through a header; safetensors.h says what it looks like.
#ifndef NIBBLE_IO_DETAIL_SAFETENSORS_READER_H_
#define NIBBLE_IO_DETAIL_SAFETENSORS_READER_H_

#include "nibble/io/detail/index.h"
#include "nibble/io/detail/json.h"
#include "nibble/io/detail/utf8.h"

namespace nibble::inline NIBBLE_ABI::detail {

class safetensors_reader {
 public:
  safetensors_reader(std::string_view header, std::span<const std::byte> data,
                     memory_budget& budget, error_note* note) noexcept
      : header_(header), data_(data), budget_(budget), note_(note) {}

  [[nodiscard]] errc read(file_index& index) noexcept;

 private:
  [[nodiscard]] errc reserve(file_index& index) noexcept;
  [[nodiscard]] errc read_metadata(json_reader& json, file_index& index) noexcept;
  [[nodiscard]] errc read_tensor(json_reader& json, tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_dtype(json_reader& json, tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_shape(json_reader& json, tensor_info& tensor) noexcept;
  [[nodiscard]] errc place(tensor_info& tensor, std::uint64_t begin, std::uint64_t end) noexcept;
  [[nodiscard]] errc text_of(const json_string& string, file_index& index,
                             std::string_view& text) noexcept;
  // In what the reader was when the text stopped making sense: a tensor, and perhaps a part of it.
  [[nodiscard]] errc json_error(const json_reader& json, std::string_view name,
                                const char* part = "") noexcept {
    if (name.empty()) {
      return fail(note_, json.error(), "at byte %llu of the header", ull{json.position()});
    }
    return fail(note_, json.error(), "in '%s'%s%s, at byte %llu of the header",
                printable_name(name).text, *part != '\0' ? ", " : "", part, ull{json.position()});
  }

  std::string_view header_;
  std::span<const std::byte> data_;
  memory_budget& budget_;
  error_note* note_;
};

// A first pass over the whole text counts, so that the arrays are allocated once, in their size.
inline errc safetensors_reader::reserve(file_index& index) noexcept {
  std::uint64_t tensors = 0;
  std::uint64_t metadata = 0;
  json_reader json(header_);
  json_string key;
  for (bool first = json.expect('{'); json.next_member(first, key);) {
    if (!equals(key, "__metadata__")) {
      ++tensors;
      json.skip_value();
      continue;
    }
    if (json.null()) continue;
    for (bool inner = json.expect('{'); json.next_member(inner, key); ++metadata) {
      json.skip_value();
    }
  }
  if (!json.end()) return json_error(json, key.raw);
  errc e = index.tensors.reserve(budget_, tensors);
  if (e == errc::ok) e = index.metadata.reserve(budget_, metadata);
  if (e != errc::ok) return fail(note_, e, "%llu tensors", ull{tensors});
  return e;
}

// The string itself: a part of the header, or unescaped into index.text, which gets the header's
// size at once: strings only shrink, and none is read twice.
inline errc safetensors_reader::text_of(const json_string& string, file_index& index,
                                        std::string_view& text) noexcept {
  text = string.raw;
  if (!string.escaped) return errc::ok;
  fixed_array<char>& storage = index.text;
  if (storage.capacity() == 0) {
    if (const errc e = storage.reserve(budget_, header_.size()); e != errc::ok) {
      return fail(note_, e, "names with escapes");
    }
  }
  const std::size_t begin = storage.size();
  unescape(string, [&storage](char c) { storage.push(c); });
  text = {&storage[begin], storage.size() - begin};
  return errc::ok;
}

inline errc safetensors_reader::read_metadata(json_reader& json, file_index& index) noexcept {
  json_string key;
  json_string value;
  if (json.null()) return errc::ok;
  for (bool first = json.expect('{'); json.next_member(first, key);) {
    if (!json.string(value)) return json_error(json, key.raw, "which is no string");
    metadata_entry entry;
    std::string_view text;
    errc e = text_of(key, index, entry.key);
    if (e == errc::ok) e = text_of(value, index, text);
    if (e != errc::ok) return e;
    entry.bytes = std::as_bytes(std::span(text.data(), text.size()));
    index.metadata.push(entry);
  }
  return json.error() == errc::ok ? errc::ok : json_error(json, "__metadata__");
}

inline errc safetensors_reader::read_dtype(json_reader& json, tensor_info& tensor) noexcept {
  json_string dtype;
  if (!json.string(dtype)) return json_error(json, tensor.name, "dtype");
  const auto* type = find_tensor_type([&dtype](const tensor_type_info& t) {
    return !t.safetensors.empty() && equals(dtype, t.safetensors);
  });
  if (type == nullptr) {
    return fail(note_, errc::unknown_type, "tensor '%s': dtype \"%s\"",
                printable_name(tensor.name).text, printable_name(dtype.raw).text);
  }
  tensor.type = type->type;
  return errc::ok;
}

inline errc safetensors_reader::read_shape(json_reader& json, tensor_info& tensor) noexcept {
  for (bool first = json.expect('['); json.next_item(first);) {
    std::uint64_t dim = 0;
    if (!json.number(dim)) break;
    if (tensor.rank == max_tensor_rank) {
      return fail(note_, errc::limit_exceeded, "tensor '%s' has more than %u dimensions",
                  printable_name(tensor.name).text, unsigned{max_tensor_rank});
    }
    tensor.dims[tensor.rank++] = dim;
  }
  return json.error() == errc::ok ? errc::ok : json_error(json, tensor.name, "shape");
}

inline errc safetensors_reader::place(tensor_info& tensor, std::uint64_t begin,
                                      std::uint64_t end) noexcept {
  std::uint64_t bytes = 0;
  if (const errc e = tensor_bytes(tensor, bytes, note_); e != errc::ok) return e;
  if (begin > end || end - begin != bytes) {
    return fail(note_, begin > end ? errc::malformed : errc::shape_mismatch,
                "tensor '%s': data_offsets [%llu, %llu], but its shape needs %llu bytes",
                printable_name(tensor.name).text, ull{begin}, ull{end}, ull{bytes});
  }
  return place_tensor(tensor, data_, begin, bytes, note_);
}

inline errc safetensors_reader::read_tensor(json_reader& json, tensor_info& tensor) noexcept {
  constexpr std::string_view parts[] = {"dtype", "shape", "data_offsets"};
  unsigned seen = 0;
  std::uint64_t offsets[2] = {};
  json_string key;
  for (bool first = json.expect('{'); json.next_member(first, key);) {
    unsigned part = 0;
    while (part < 3 && !equals(key, parts[part])) ++part;
    if ((seen >> part & 1) != 0) {
      return fail(note_, errc::duplicate_name, "tensor '%s' has two keys \"%s\"",
                  printable_name(tensor.name).text, parts[part].data());
    }
    errc e = errc::ok;
    if (part == 0) {
      e = read_dtype(json, tensor);
    } else if (part == 1) {
      e = read_shape(json, tensor);
    } else if (part == 2) {
      json.expect('[') && json.number(offsets[0]) && json.expect(',') && json.number(offsets[1]) &&
          json.expect(']');
      if (json.error() != errc::ok) return json_error(json, tensor.name, "data_offsets");
    } else {
      json.skip_value();
      continue;
    }
    if (e != errc::ok) return e;
    seen |= 1u << part;
  }
  if (json.error() != errc::ok) return json_error(json, tensor.name);
  if (seen != 7) {
    return fail(note_, errc::malformed, "tensor '%s' lacks dtype, shape or data_offsets",
                printable_name(tensor.name).text);
  }
  return place(tensor, offsets[0], offsets[1]);
}

inline errc safetensors_reader::read(file_index& index) noexcept {
  if (!valid_utf8(header_)) return fail(note_, errc::malformed, "the header is not UTF-8");
  if (const errc e = reserve(index); e != errc::ok) return e;
  json_reader json(header_);
  json_string key;
  bool has_metadata = false;
  for (bool first = json.expect('{'); json.next_member(first, key);) {
    errc e = errc::ok;
    if (equals(key, "__metadata__")) {
      if (has_metadata) return fail(note_, errc::duplicate_name, "key '__metadata__'");
      has_metadata = true;
      e = read_metadata(json, index);
    } else {
      tensor_info tensor;
      e = text_of(key, index, tensor.name);
      if (e == errc::ok) e = read_tensor(json, tensor);
      if (e == errc::ok) index.tensors.push(tensor);
    }
    if (e != errc::ok) return e;
  }
  return finish_index(index, data_, 0, budget_, note_);
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_SAFETENSORS_READER_H_
