// SPDX-License-Identifier: Apache-2.0 OR MIT
// Number types of activations, results and outliers, chosen at run time.
#ifndef NIBBLE_FORMAT_NUMBER_TYPE_H_
#define NIBBLE_FORMAT_NUMBER_TYPE_H_

#include "nibble/element/minifloat.h"

namespace nibble::inline NIBBLE_ABI {

/// bf16 and f16 are their 16 bits in a std::uint16_t.
enum class number_type : std::uint8_t { f32, bf16, f16, int8, uint8 };

[[nodiscard]] constexpr std::size_t size_of(number_type t) noexcept {
  switch (t) {
    case number_type::f32: return 4;
    case number_type::bf16:
    case number_type::f16: return 2;
    default: return 1;
  }
}

/// Codes, which mean numbers only with a scale.
[[nodiscard]] constexpr bool is_code(number_type t) noexcept {
  return t == number_type::int8 || t == number_type::uint8;
}

[[nodiscard]] constexpr const char* name_of(number_type t) noexcept {
  switch (t) {
    case number_type::f32: return "f32";
    case number_type::bf16: return "bf16";
    case number_type::f16: return "f16";
    case number_type::int8: return "int8";
    default: return "uint8";
  }
}

namespace detail {

inline float load_number(number_type type, const void* p, std::size_t i) noexcept {
  switch (type) {
    case number_type::bf16: return bf16::decode(static_cast<const std::uint16_t*>(p)[i]);
    case number_type::f16: return f16::decode(static_cast<const std::uint16_t*>(p)[i]);
    default: return static_cast<const float*>(p)[i];
  }
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_NUMBER_TYPE_H_
