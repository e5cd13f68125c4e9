// SPDX-License-Identifier: Apache-2.0 OR MIT
// Every element as plain data and function pointers, so that tests are loops and compile once.
#ifndef NIBBLE_TESTS_ELEMENT_ERASED_H_
#define NIBBLE_TESTS_ELEMENT_ERASED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "nibble/element/all.h"

namespace nibble_test {

enum class family : std::uint8_t { integer, minifloat, book, exponent, other };

struct erased_element {
  std::string name;
  family kind;
  int bits;
  float max, lowest;
  bool has_nan, has_inf;
  std::uint32_t zero_code;
  float (*decode)(std::uint32_t code);
  std::uint32_t (*encode)(float x, nibble::encode_policy policy);

  // What the slow definition must know beyond the values.
  double unit = 1;  // integers: distance of neighbours
  bool has_minus_zero = false;
  std::uint32_t nan_code = 0;  // of a positive NaN
  bool nan_has_sign = false;   // a negative NaN has the sign bit set
  nibble::book_ties ties = nibble::book_ties::down;

  [[nodiscard]] std::uint32_t num_codes() const { return 1u << bits; }
  [[nodiscard]] std::uint32_t sign_bit() const { return 1u << (bits - 1); }
};

template <class E>
erased_element erase() {
  erased_element e{
      .name = std::string(E::name),
      .kind = family::other,
      .bits = E::bits,
      .max = E::max,
      .lowest = E::lowest,
      .has_nan = E::has_nan,
      .has_inf = E::has_inf,
      .zero_code = E::zero_code,
      .decode = [](std::uint32_t c) { return E::decode(static_cast<typename E::code>(c)); },
      .encode = [](float x, nibble::encode_policy p) -> std::uint32_t { return E::encode(x, p); }};
  e.nan_code = E::zero_code;
  if constexpr (requires { E::fraction_bits; }) {
    e.kind = family::integer;
    e.unit = static_cast<double>(E::unit);
    if (e.name == "offset_int") {
      e.name += "<" + std::to_string(E::bits) + ", " + std::to_string(E::bias) + ">";
    }
  } else if constexpr (requires { E::kind; }) {
    e.kind = family::minifloat;
    e.has_minus_zero = E::is_signed && E::kind != nibble::float_kind::fnuz;
    // Quiet, as documented: the one NaN (fnuz), all ones (fn), or exponent and top mantissa bit
    // (ieee). Without NaN: the largest value.
    const std::uint32_t sign = 1u << (E::exponent_bits + E::mantissa_bits);
    switch (E::kind) {
      case nibble::float_kind::fnuz: e.nan_code = sign; break;
      case nibble::float_kind::fn: e.nan_code = sign - 1; break;
      case nibble::float_kind::ieee: e.nan_code = sign - (1u << (E::mantissa_bits - 1)); break;
      case nibble::float_kind::finite: e.nan_code = sign - 1; break;
    }
    e.nan_has_sign = E::is_signed && E::has_nan && E::kind != nibble::float_kind::fnuz;
  } else if constexpr (requires { E::sorted; }) {
    e.kind = family::book;
    e.ties = E::ties;
  } else if constexpr (requires { E::exponent_bias; }) {
    e.kind = family::exponent;
    e.nan_code = E::has_nan ? 0xFF : 0;
  }
  return e;
}

template <class... E>
std::vector<erased_element> erase_all(nibble::element_list<E...> /*list*/) {
  return {erase<E>()...};
}

/// All shipped elements.
inline const std::vector<erased_element>& erased_elements() {
  static const std::vector<erased_element> all = erase_all(nibble::all_elements{});
  return all;
}

/// Those with at most 16 bits and a definition by nearest values. GGML's own UE4M3 rounds by no
/// rule; it has a test of its own.
inline std::vector<erased_element> defined_elements() {
  std::vector<erased_element> some;
  for (const erased_element& e : erased_elements()) {
    if (e.bits <= 16 && e.kind != family::other) some.push_back(e);
  }
  return some;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_ELEMENT_ERASED_H_
