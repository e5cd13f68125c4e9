// SPDX-License-Identifier: Apache-2.0 OR MIT
// Parses the Python dictionary in a .npy file's header.
#ifndef NIBBLE_IO_DETAIL_NPY_HEADER_H_
#define NIBBLE_IO_DETAIL_NPY_HEADER_H_

#include "nibble/io/detail/index.h"

namespace nibble::inline NIBBLE_ABI::detail {

// The header's text, taken from the front.
class npy_header {
 public:
  npy_header(std::string_view text, error_note* note) noexcept : text_(text), note_(note) {}

  [[nodiscard]] errc read(tensor_info& tensor) noexcept;

 private:
  bool take(std::string_view word) noexcept {
    while (position_ < text_.size() && text_[position_] == ' ') ++position_;
    if (text_.substr(position_, word.size()) != word) return false;
    position_ += word.size();
    return true;
  }
  // A string without escapes, in single or double quotes.
  bool take_string(std::string_view& out) noexcept;
  [[nodiscard]] errc read_descr(tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_order(tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_shape(tensor_info& tensor) noexcept;
  [[nodiscard]] errc read_dim(std::uint64_t& dim) noexcept;
  [[nodiscard]] errc malformed(const char* what) noexcept {
    return fail(note_, errc::malformed, "%s at byte %llu of the header", what, ull{position_});
  }

  std::string_view text_;
  error_note* note_;
  std::size_t position_ = 0;
};

inline bool npy_header::take_string(std::string_view& out) noexcept {
  const char* quote = take("'") ? "'" : "\"";
  if (*quote == '"' && !take(quote)) return false;
  const std::size_t end = text_.find(*quote, position_);
  if (end == std::string_view::npos) return false;
  out = text_.substr(position_, end - position_);
  position_ = end + 1;
  return out.find('\\') == std::string_view::npos;
}

inline errc npy_header::read_descr(tensor_info& tensor) noexcept {
  if (take("[") || take("(")) {
    return fail(note_, errc::unknown_type, "a structured type is no tensor");
  }
  std::string_view descr;
  if (!take_string(descr) || descr.empty()) return malformed("'descr' is no string");
  std::string_view name = descr.substr(1);
  if (name == "f1") name = "V1";  // ml_dtypes' FP8; which one, the file does not say
  const tensor_type_info* type = find_tensor_type(
      [name](const tensor_type_info& t) { return !t.npy.empty() && t.npy == name; });
  const char order = descr[0];
  const bool one_byte = type != nullptr && type->block_bytes == 1;
  const bool opaque = type != nullptr && type->npy[0] == 'V';
  if (type == nullptr || (order != '<' && !(one_byte && (order == '|' || order == '>')) &&
                          !(opaque && order == '|'))) {
    return fail(note_, errc::unknown_type, "descr '%s'%s", printable_name(descr).text,
                order == '>' ? " is big-endian" : "");
  }
  tensor.type = type->type;
  return errc::ok;
}

inline errc npy_header::read_order(tensor_info& tensor) noexcept {
  tensor.fortran_order = take("True");
  if (!tensor.fortran_order && !take("False")) {
    return malformed("'fortran_order' is neither True nor False");
  }
  return errc::ok;
}

inline errc npy_header::read_dim(std::uint64_t& dim) noexcept {
  take("");  // spaces
  const std::size_t begin = position_;
  dim = 0;
  for (; position_ < text_.size(); ++position_) {
    const auto digit = static_cast<std::uint64_t>(text_[position_] - '0');
    if (digit > 9) break;
    if (!checked_multiply(dim, 10, dim) || !checked_add(dim, digit, dim)) {
      return fail(note_, errc::overflow, "'shape': a dimension does not fit 64 bits");
    }
  }
  if (position_ == begin) return malformed("'shape': a dimension is no number");
  take("L");  // as Python 2 wrote long integers
  return errc::ok;
}

// (), (2,), (2, 3) or (2, 3,), but not (2): that is no tuple.
inline errc npy_header::read_shape(tensor_info& tensor) noexcept {
  if (!take("(")) return malformed("'shape' is no tuple");
  bool comma = true;
  while (!take(")")) {
    if (!comma) return malformed("'shape': a comma is missing");
    if (tensor.rank == max_tensor_rank) {
      return fail(note_, errc::limit_exceeded, "'shape' has more than %u dimensions",
                  unsigned{max_tensor_rank});
    }
    if (const errc e = read_dim(tensor.dims[tensor.rank++]); e != errc::ok) return e;
    comma = take(",");
  }
  return tensor.rank == 1 && !comma ? malformed("'shape' is no tuple") : errc::ok;
}

inline errc npy_header::read(tensor_info& tensor) noexcept {
  constexpr std::string_view keys[] = {"descr", "fortran_order", "shape"};
  if (!take("{")) return malformed("no dictionary");
  unsigned seen = 0;
  bool comma = true;
  while (!take("}")) {
    std::string_view key;
    if (!comma || !take_string(key) || !take(":")) return malformed("no 'key': value,");
    std::size_t i = 0;
    while (i < 3 && key != keys[i]) ++i;
    if (i == 3) return malformed("an unknown key");
    if ((seen >> i & 1) != 0) {
      return fail(note_, errc::duplicate_name, "key '%s'", keys[i].data());
    }
    seen |= 1u << i;
    // No array of member pointers: g++ 12 indexes it with garbage under -fsanitize=undefined.
    const errc e = i == 0 ? read_descr(tensor) : i == 1 ? read_order(tensor) : read_shape(tensor);
    if (e != errc::ok) return e;
    comma = take(",");
  }
  if (seen != 7) return malformed("'descr', 'fortran_order' or 'shape' is missing");
  return take("\n") && position_ == text_.size() ? errc::ok : malformed("no newline as the end");
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_NPY_HEADER_H_
