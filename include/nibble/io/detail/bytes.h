// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reading untrusted bytes: overflow-checked sums and products, unaligned little-endian loads, and a
// cursor that never passes the end.
#ifndef NIBBLE_IO_DETAIL_BYTES_H_
#define NIBBLE_IO_DETAIL_BYTES_H_

#include <bit>
#include <cstring>
#include <span>
#include <string_view>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI::detail {

/// out = a + b; false if that needs more than 64 bits.
[[nodiscard]] constexpr bool checked_add(std::uint64_t a, std::uint64_t b,
                                         std::uint64_t& out) noexcept {
  out = a + b;
  return out >= a;
}

/// out = a * b; false if that needs more than 64 bits.
[[nodiscard]] constexpr bool checked_multiply(std::uint64_t a, std::uint64_t b,
                                              std::uint64_t& out) noexcept {
  out = a * b;
  return a == 0 || out / a == b;
}

/// One little-endian T (an integer or float of 1, 2, 4 or 8 bytes) at any address.
template <class T>
[[nodiscard]] inline T load_le(const std::byte* from) noexcept {
  std::byte bytes[sizeof(T)];
  std::memcpy(bytes, from, sizeof(T));
  if constexpr (std::endian::native == std::endian::big) {
    for (std::size_t i = 0; i < sizeof(T) / 2; ++i) {
      const std::byte b = bytes[i];
      bytes[i] = bytes[sizeof(T) - 1 - i];
      bytes[sizeof(T) - 1 - i] = b;
    }
  }
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Takes values off the front. What does not fit into the rest is refused and moves nothing.
class byte_cursor {
 public:
  explicit byte_cursor(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t left() const noexcept { return bytes_.size() - position_; }

  [[nodiscard]] std::span<const std::byte> rest() const noexcept {
    return bytes_.subspan(position_);
  }

  [[nodiscard]] bool take(std::uint64_t count, std::span<const std::byte>& out) noexcept {
    if (count > left()) return false;
    out = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return true;
  }

  template <class T>
  [[nodiscard]] bool read(T& out) noexcept {
    std::span<const std::byte> bytes;
    if (!take(sizeof(T), bytes)) return false;
    out = load_le<T>(bytes.data());
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_BYTES_H_
