// SPDX-License-Identifier: Apache-2.0 OR MIT
// The functions of libnibble, by names that no compiler flag changes. Only compiled mode has them.
//
// Inline functions live in a namespace that names the unit's flags (config.h), so their names
// differ from unit to unit. What the library exports must not: it is called by a key, a number made
// of a format's or an element's name and meaning, and gets its arguments through pointers to plain
// structs, whose layout the flags do not change either.
//
//   client, -march=haswell            libnibble                     client's impl.h, own format
//   nibble::v0_1_c1...::gemm<F>  ---> nibble_v0_1::gemm<key of F>   nibble_v0_1::gemm<key of G>
#ifndef NIBBLE_FORMAT_LIBRARY_H_
#define NIBBLE_FORMAT_LIBRARY_H_

#include "nibble/format/fingerprint.h"
#include "nibble/format/wire.h"

namespace NIBBLE_LIBRARY_ABI {

/// quantize_entry() of a format: returns an errc.
template <std::uint64_t Format>
std::uint8_t quantize(const void* x, const void* sections, const void* options) noexcept;
/// dequantize_entry().
template <std::uint64_t Format>
void dequantize(const void* args) noexcept;
/// gemm_entry(): returns an errc.
template <std::uint64_t Format>
std::uint8_t gemm(const void* args) noexcept;
/// plan_entry().
template <std::uint64_t Format>
void plan(const void* args, void* plan) noexcept;
/// rows_entry().
template <std::uint64_t Format>
void rows(const void* args) noexcept;
/// encode_values() and decode_values() of an element.
template <std::uint64_t Element>
void encode(const float* values, std::size_t n, void* codes, const void* policy) noexcept;
template <std::uint64_t Element>
void decode(const void* codes, std::size_t n, float* values) noexcept;

/// The first of `*size` structs any_format.
const void* catalogue(std::size_t* size) noexcept;

/// As in target.h.
std::size_t num_targets() noexcept;
const char* target_name(std::size_t i) noexcept;
const char* current_target() noexcept;
bool force_target(const char* name) noexcept;

}  // namespace NIBBLE_LIBRARY_ABI

namespace nibble::inline NIBBLE_ABI {
namespace detail {

template <class E>
consteval std::uint64_t make_element_key() {
  fingerprint_hash h;
  h.add(E::name);
  h.add(element_print<E>);
  return h.value;
}

/// Of two formats with one name and one key the program has the kernels of one.
template <class F>
consteval std::uint64_t make_format_key() {
  if constexpr (element<F>) {
    return make_element_key<F>();
  } else {
    fingerprint_hash h;
    h.add(F::name);
    h.add(fingerprint_of<F>());
    if constexpr (wire_format<F>) {
      h.add(F::block_bytes);
      for (std::size_t i = 0; i < F::block_values; ++i) {
        const bit_field field = F::layout::locate(0, i);
        for (const bit_piece& p : field.pieces) {
          h.add(p.byte);
          h.add(static_cast<std::uint64_t>((p.shift << 16) + (p.width << 8) + p.to));
        }
      }
    }
    return h.value;
  }
}
template <class E>
inline constexpr std::uint64_t element_key = make_element_key<E>();
template <class F>
inline constexpr std::uint64_t format_key = make_format_key<F>();

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_LIBRARY_H_
