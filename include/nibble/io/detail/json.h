// SPDX-License-Identifier: Apache-2.0 OR MIT
// A strict JSON reader (RFC 8259) for hostile headers: a cursor that the caller walks through the
// text he expects. No recursion, no allocation, bounded depth, numbers only as 64-bit integers.
#ifndef NIBBLE_IO_DETAIL_JSON_H_
#define NIBBLE_IO_DETAIL_JSON_H_

#include <string_view>

#include "nibble/core/errors.h"

namespace nibble::inline NIBBLE_ABI::detail {

/// A string between its quotes, as it stands in the text; its escapes are known to be correct.
struct json_string {
  std::string_view raw;
  bool escaped = false;  ///< false: raw is the string itself
};

/// Walks through one JSON text, which must be UTF-8. After the first error every call is false.
class json_reader {
 public:
  static constexpr unsigned max_depth = 32;  // of a skipped value

  constexpr explicit json_reader(std::string_view text) noexcept : text_(text) {}

  [[nodiscard]] constexpr errc error() const noexcept { return error_; }
  [[nodiscard]] constexpr std::size_t position() const noexcept { return position_; }

  /// Takes `c` if it is the next character after white space.
  constexpr bool take(char c) noexcept;
  /// As take(), but anything else is an error.
  constexpr bool expect(char c) noexcept { return take(c) || fail(errc::malformed); }

  /// `for (bool first = json.expect('{'); json.next_member(first, key);)` walks through an object.
  constexpr bool next_member(bool& first, json_string& key) noexcept {
    return next_item('}', first) && string(key) && expect(':');
  }
  /// The same for an array and `]`; the caller reads the item.
  constexpr bool next_item(bool& first) noexcept { return next_item(']', first); }

  constexpr bool string(json_string& out) noexcept;
  /// Takes `null` if it comes next; no error if it does not.
  constexpr bool null() noexcept {
    skip_space();
    if (error_ != errc::ok || text_.substr(position_, 4) != "null") return false;
    position_ += 4;
    return true;
  }
  /// A whole number from 0 to 2^64 - 1 without fraction or exponent, else malformed or overflow.
  constexpr bool number(std::uint64_t& out) noexcept;
  /// Any value, however nested, up to max_depth (else limit_exceeded).
  constexpr bool skip_value() noexcept;
  /// Nothing but white space may be left.
  constexpr bool end() noexcept {
    skip_space();
    return error_ == errc::ok && (position_ == text_.size() || fail(errc::malformed));
  }

 private:
  constexpr bool fail(errc e) noexcept {
    if (error_ == errc::ok) error_ = e;
    return false;
  }
  // The next character, or 0 at the end (a raw 0 byte is no JSON either).
  [[nodiscard]] constexpr char peek() const noexcept {
    return position_ < text_.size() ? text_[position_] : '\0';
  }
  constexpr void skip_space() noexcept {
    for (char c = peek(); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = peek()) ++position_;
  }
  constexpr bool next_item(char close, bool& first) noexcept {
    if (error_ != errc::ok || take(close)) return false;
    if (!first && !expect(',')) return false;
    first = false;
    return true;
  }
  constexpr bool digits() noexcept {
    const std::size_t begin = position_;
    while (is_digit(peek())) ++position_;
    return position_ > begin || fail(errc::malformed);
  }
  static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  constexpr bool hex4(unsigned& out) noexcept;
  constexpr bool escape() noexcept;
  constexpr bool skip_scalar() noexcept;

  std::string_view text_;
  std::size_t position_ = 0;
  errc error_ = errc::ok;
};

constexpr bool json_reader::take(char c) noexcept {
  skip_space();
  if (error_ != errc::ok || peek() != c || position_ == text_.size()) return false;
  ++position_;
  return true;
}

// The value of four hexadecimal digits.
constexpr bool json_reader::hex4(unsigned& out) noexcept {
  out = 0;
  for (int i = 0; i < 4; ++i, ++position_) {
    const char c = peek();
    const char lower = static_cast<char>(c | 0x20);
    if (!is_digit(c) && (lower < 'a' || lower > 'f')) return fail(errc::malformed);
    out = out * 16 + static_cast<unsigned>(is_digit(c) ? c - '0' : lower - 'a' + 10);
  }
  return true;
}

// Behind a backslash.
constexpr bool json_reader::escape() noexcept {
  const char c = peek();
  ++position_;
  if (c != 'u') {
    return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos ||
           fail(errc::malformed);
  }
  unsigned high = 0;
  if (!hex4(high)) return false;
  if (high < 0xD800 || high > 0xDFFF) return true;
  // A high surrogate and the low one that must follow.
  unsigned low = 0;
  if (high > 0xDBFF || text_.substr(position_, 2) != "\\u") return fail(errc::malformed);
  position_ += 2;
  return hex4(low) && ((low >= 0xDC00 && low <= 0xDFFF) || fail(errc::malformed));
}

constexpr bool json_reader::string(json_string& out) noexcept {
  if (!expect('"')) return false;
  const std::size_t begin = position_;
  out.escaped = false;
  for (char c = peek(); c != '"'; c = peek()) {
    if (static_cast<std::uint8_t>(c) < 0x20) return fail(errc::malformed);  // the end counts as 0
    ++position_;
    if (c != '\\') continue;
    out.escaped = true;
    if (!escape()) return false;
  }
  out.raw = text_.substr(begin, position_++ - begin);
  return true;
}

constexpr bool json_reader::number(std::uint64_t& out) noexcept {
  skip_space();
  const std::size_t begin = position_;
  if (error_ != errc::ok || !digits()) return false;
  const std::string_view number = text_.substr(begin, position_ - begin);
  if (number[0] == '0' && number.size() > 1) return fail(errc::malformed);
  out = 0;
  for (const char c : number) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (out > (~std::uint64_t{0} - digit) / 10) return fail(errc::overflow);
    out = out * 10 + digit;
  }
  return true;  // a fraction or exponent is no ',' or ']' and fails there
}

constexpr bool json_reader::skip_scalar() noexcept {
  json_string ignored;
  if (peek() == '"') return string(ignored);
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(position_, word.size()) != word) continue;
    position_ += word.size();
    return true;
  }
  if (peek() == '-') ++position_;
  const bool zero = peek() == '0';
  const std::size_t begin = position_;
  if (!digits() || (zero && position_ - begin > 1)) return fail(errc::malformed);
  if (peek() == '.') {
    ++position_;
    if (!digits()) return false;
  }
  if (peek() != 'e' && peek() != 'E') return true;
  ++position_;
  if (peek() == '+' || peek() == '-') ++position_;
  return digits();
}

constexpr bool json_reader::skip_value() noexcept {
  std::uint64_t objects = 0;  // bit i: the open container at depth i is an object
  unsigned depth = 0;
  json_string key;
  for (bool first = false;;) {
    if (const bool object = take('{'); object || take('[')) {
      if (depth == max_depth) return fail(errc::limit_exceeded);
      objects = objects << 1 | (object ? 1 : 0);
      ++depth;
      first = true;
    } else if (!skip_scalar()) {
      return false;
    } else {
      first = false;
    }
    // Close what is complete, then stand before the next value of what is still open.
    for (;; first = false) {
      if (depth == 0) return error_ == errc::ok;
      const bool object = (objects & 1) != 0;
      if (object ? next_member(first, key) : next_item(first)) break;
      if (error_ != errc::ok) return false;
      objects >>= 1;
      --depth;
    }
  }
}

/// Calls put(char) for each byte of the string that a correct json_string means: never more than
/// raw has.
template <class Put>
constexpr void unescape(const json_string& string, Put put) noexcept {
  const std::string_view raw = string.raw;
  const auto hex4_at = [raw](std::size_t at) {
    unsigned value = 0;
    for (const char c : raw.substr(at, 4)) {
      value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
  };
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (!string.escaped || raw[i] != '\\') {
      put(raw[i]);
      continue;
    }
    const char c = raw[++i];
    if (c != 'u') {
      const std::size_t control = std::string_view("bfnrt").find(c);
      put(control == std::string_view::npos ? c : "\b\f\n\r\t"[control]);
      continue;
    }
    unsigned point = hex4_at(i + 1);
    i += 4;
    if (point >= 0xD800 && point <= 0xDFFF) {  // a pair: \uXXXX\uXXXX
      point = 0x10000 + ((point - 0xD800) << 10) + (hex4_at(i + 3) - 0xDC00);
      i += 6;
    }
    // UTF-8: the lead byte says how many follow, each follower holds six bits.
    const unsigned follow = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    constexpr unsigned lead[] = {0x00, 0xC0, 0xE0, 0xF0};
    put(static_cast<char>(lead[follow] | point >> (6 * follow)));
    for (unsigned j = follow; j-- > 0;) {
      put(static_cast<char>(0x80 | (point >> (6 * j) & 0x3F)));
    }
  }
}

/// True if the string means `text`.
[[nodiscard]] constexpr bool equals(const json_string& string, std::string_view text) noexcept {
  bool same = true;
  std::size_t size = 0;
  unescape(string, [&](char c) { same = same && size < text.size() && text[size++] == c; });
  return same && size == text.size();
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_JSON_H_
