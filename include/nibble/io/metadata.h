// SPDX-License-Identifier: Apache-2.0 OR MIT
// Key-value metadata of a tensor file: strings in .safetensors, typed values in .gguf.
#ifndef NIBBLE_IO_METADATA_H_
#define NIBBLE_IO_METADATA_H_

#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "nibble/io/detail/bytes.h"

namespace nibble::inline NIBBLE_ABI {

/// Types of a metadata value, with the numbers that GGUF gives them.
// clang-format off
enum class metadata_type : std::uint8_t {
  u8 = 0, i8 = 1, u16 = 2, i16 = 3, u32 = 4, i32 = 5, f32 = 6, boolean = 7,
  string = 8, array = 9, u64 = 10, i64 = 11, f64 = 12,
};
// clang-format on

/// One key and its value; both point into the file's bytes.
struct metadata_entry {
  std::string_view key;  ///< UTF-8
  metadata_type type = metadata_type::string;
  metadata_type item_type = metadata_type::string;  ///< of an array's items, else = type
  std::uint64_t count = 1;                          ///< items of an array, else 1
  /// A string's characters, a number's little-endian bytes, an array's items one after another as
  /// GGUF stores them (a string: 64-bit length, characters; an array: 32-bit type, 64-bit count).
  std::span<const std::byte> bytes;

  /// The text of a string.
  [[nodiscard]] std::optional<std::string_view> as_string() const noexcept;
  /// The value of a boolean or of an integer that is not negative.
  [[nodiscard]] std::optional<std::uint64_t> as_u64() const noexcept;
  /// The value of any number or boolean, rounded to double.
  [[nodiscard]] std::optional<double> as_f64() const noexcept;
};

namespace detail {

// Calls fn with the number that the entry holds, in its own type. False if it holds none.
template <class Fn>
bool visit_number(const metadata_entry& e, Fn fn) noexcept {
  const std::byte* const from = e.bytes.data();
  switch (e.type) {
    case metadata_type::u8:
    case metadata_type::boolean: return fn(load_le<std::uint8_t>(from)), true;
    case metadata_type::i8: return fn(load_le<std::int8_t>(from)), true;
    case metadata_type::u16: return fn(load_le<std::uint16_t>(from)), true;
    case metadata_type::i16: return fn(load_le<std::int16_t>(from)), true;
    case metadata_type::u32: return fn(load_le<std::uint32_t>(from)), true;
    case metadata_type::i32: return fn(load_le<std::int32_t>(from)), true;
    case metadata_type::u64: return fn(load_le<std::uint64_t>(from)), true;
    case metadata_type::i64: return fn(load_le<std::int64_t>(from)), true;
    case metadata_type::f32: return fn(load_le<float>(from)), true;
    case metadata_type::f64: return fn(load_le<double>(from)), true;
    case metadata_type::string:
    case metadata_type::array: return false;
  }
  return false;
}

}  // namespace detail

inline std::optional<std::string_view> metadata_entry::as_string() const noexcept {
  if (type != metadata_type::string) return std::nullopt;
  return detail::as_text(bytes);
}

inline std::optional<std::uint64_t> metadata_entry::as_u64() const noexcept {
  std::optional<std::uint64_t> value;
  detail::visit_number(*this, [&value](auto number) {
    if constexpr (std::is_integral_v<decltype(number)>) {
      if (number >= 0) value = static_cast<std::uint64_t>(number);
    }
  });
  return value;
}

inline std::optional<double> metadata_entry::as_f64() const noexcept {
  std::optional<double> value;
  detail::visit_number(*this, [&value](auto number) { value = static_cast<double>(number); });
  return value;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_METADATA_H_
