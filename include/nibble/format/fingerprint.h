// SPDX-License-Identifier: Apache-2.0 OR MIT
// A number that says what packed bytes of a format mean: files carry it, so that a format whose
// definition changed, or another one of the same name, is refused instead of read as nonsense.
#ifndef NIBBLE_FORMAT_FINGERPRINT_H_
#define NIBBLE_FORMAT_FINGERPRINT_H_

#include <bit>

#include "nibble/format/packed.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// FNV-1a over the bytes of 64-bit numbers, lowest first.
struct fingerprint_hash {
  std::uint64_t value = 0xCBF29CE484222325u;
  constexpr void add(std::uint64_t v) noexcept {
    for (int i = 0; i < 8; ++i, v >>= 8) value = (value ^ (v & 255)) * 0x100000001B3u;
  }
  constexpr void add(std::string_view text) noexcept {
    add(text.size());
    for (const char c : text) add(static_cast<unsigned char>(c));
  }
};

/// Of an element: all its values by code; of more than 8 bits, where names are standards, its name.
template <element E>
constexpr std::uint64_t element_fingerprint() noexcept {
  fingerprint_hash h;
  h.add(static_cast<std::uint64_t>(E::bits));
  if constexpr (E::bits <= 8) {
    for (unsigned c = 0; c < 1u << E::bits; ++c) {
      const float v = E::decode(static_cast<typename E::code>(c));
      h.add(v != v ? 0x7FC00000u : std::bit_cast<std::uint32_t>(v));  // NaN is NaN
    }
    if constexpr (requires { E::flip; }) h.add(static_cast<unsigned>(E::flip));
  } else {
    h.add(E::name);
  }
  return h.value;
}
template <element E>
inline constexpr std::uint64_t element_print = element_fingerprint<E>();

template <class Factor>
constexpr void add_factor(fingerprint_hash& h) noexcept {
  if constexpr (!Factor::stored) {
    h.add(std::uint64_t{0});
  } else {
    h.add(Factor::has_center ? std::uint64_t{2} : std::uint64_t{1});
    h.add(element_print<typename Factor::code>);
    if constexpr (Factor::two_level) h.add(element_print<typename Factor::super>);
  }
}

}  // namespace detail

/// Of the layout and meaning of packed_data in format F; the name has no part in it. Formats that
/// differ in wire layout alone have one.
template <class F>
[[nodiscard]] consteval std::uint64_t fingerprint_of() {
  using M = typename meaning_of<F>::type;
  using P = detail::parts_of<M>;
  detail::fingerprint_hash h;
  h.add("packed 16 x 4, 1");  // the layout of format/packed.h
  h.add(detail::element_print<typename P::element>);
  h.add(P::shape.rows);
  h.add(P::shape.cols);
  h.add(P::shape.flat ? std::uint64_t{1} : std::uint64_t{0});
  h.add(static_cast<std::uint64_t>(detail::shift_use_of<M>()));
  detail::add_factor<typename P::scale>(h);
  detail::add_factor<typename P::shift>(h);
  return h.value;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_FINGERPRINT_H_
