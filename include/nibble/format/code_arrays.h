// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codes in bulk: arrays of codes, scales or zero points of one's own, one number each, into a
// quantized matrix of any format and out of it.
#ifndef NIBBLE_FORMAT_CODE_ARRAYS_H_
#define NIBBLE_FORMAT_CODE_ARRAYS_H_

#include <type_traits>

#include "nibble/format/codes.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// The element of a section: 0 the codes of values, then those of scales and shifts, as they lie in
/// a matrix of the format or of a wire format's meaning.
template <class F>
struct meaning_of {
  using type = F;
};
template <wire_format F>
struct meaning_of<F> {
  using type = typename F::meaning;
};
template <class F, std::size_t Section>
consteval auto section_element() {
  if constexpr (element<F>) {
    static_assert(Section == 0, "nibble: the format has no such section");
    return std::type_identity<F>{};
  } else if constexpr (Section == 0) {
    return std::type_identity<typename F::element>{};
  } else if constexpr (Section <= num_sections<typename F::scale_format>) {
    return section_element<typename F::scale_format, Section - 1>();
  } else {
    static_assert(F::has_shift, "nibble: the format has no such section");
    return section_element<typename F::shift_format,
                           Section - 1 - num_sections<typename F::scale_format>>();
  }
}

/// Where the codes of a section are: [rows x cols].
template <class F>
constexpr grid_shape section_shape(std::size_t section, std::size_t rows,
                                   std::size_t cols) noexcept {
  grid_shape shape{0, 0};
  for_each_part<typename meaning_of<F>::type>(
      rows, cols, [&]<class>(std::size_t s, std::size_t r, std::size_t c) {
        if (s == section) shape = {r, c};
      });
  return shape;
}

/// How many codes of a section are in one record.
template <wire_format F>
constexpr std::size_t codes_per_record(std::size_t section) noexcept {
  std::size_t n = 0;
  for_each_record_part<F>([&]<class>(std::size_t s, std::size_t count) {
    if (s == section) n = count;
  });
  return n;
}

/// Fills the fields of a record that follow from its codes and scales.
template <wire_format F>
void finish_record(std::uint8_t* record) noexcept {
  std::array<std::uint8_t, F::block_values> codes{};
  std::array<float, F::block_values> scales{};
  if constexpr (requires { F::layout::finish(record, codes.data(), scales.data()); }) {
    for_each_record_part<F>([&]<class E>(std::size_t section, std::size_t count) {
      for (std::size_t i = 0; section < 2 && i < count; ++i) {
        const std::uint32_t code = load_bits(record, F::layout::locate(section, i));
        if (section == 0) codes[i] = static_cast<std::uint8_t>(code);
        if (section == 1) scales[i] = E::decode(static_cast<typename E::code>(code));
      }
    });
    F::layout::finish(record, codes.data(), scales.data());
  }
}

}  // namespace detail

/// The code type of a section of F: std::uint8_t for codes of at most 8 bits and for most scales,
/// std::uint16_t for f16 and bf16, std::uint32_t for f32.
template <format F, std::size_t Section = 0>
using section_code = typename decltype(detail::section_element<typename detail::meaning_of<F>::type,
                                                               Section>())::type::code;

/// Writes codes of one's own into a section of a quantized matrix, one number per code: 0 the codes
/// of the values [n x k], then the sections of scales and shifts as docs/formats.md lists them (a
/// wire format has those of its meaning). The other sections stay as they are.
///
///   store_codes(w.view(), {codes.data(), n, k});              // the values of int4_g32_f16
///   store_codes<1>(w.view(), {scales.data(), n, k / 32});     // its f16 scales
///
/// Bits above the element's are ignored. Rows are padded with codes of zero; fields of a record
/// that follow from codes and scales are made anew.
/// @return ok; shape_mismatch: `codes` is not as large as the section; invalid_argument: a view
///         without data, or a code above 2 in a record of base-3 digits. Nothing is written then.
template <std::size_t Section = 0, format F>
[[nodiscard]] errc store_codes(
    quantized_view<F> w,
    std::type_identity_t<matrix_view<const section_code<F, Section>>> codes) noexcept {
  using E = typename decltype(detail::section_element<typename detail::meaning_of<F>::type,
                                                      Section>())::type;
  const grid_shape shape = detail::section_shape<F>(Section, w.rows, w.cols);
  if (codes.rows != shape.rows || codes.cols != shape.cols) return errc::shape_mismatch;
  if (!w.valid() || !codes.valid()) return errc::invalid_argument;
  if constexpr (wire_format<F>) {
    constexpr bool base3 = F::layout::locate(Section, 0).pieces[0].base3;
    const std::size_t n = detail::codes_per_record<F>(Section);
    for (std::size_t r = 0; base3 && r < codes.rows; ++r) {
      for (const auto c : codes.row(r)) {
        if (c > 2) return errc::invalid_argument;
      }
    }
    for (std::size_t r = 0; r < w.rows; ++r) {
      std::uint8_t* record = w.sections[0].data + r * w.sections[0].stride;
      for (std::size_t c = 0; c < w.cols; c += F::block_values, record += F::block_bytes) {
        const std::size_t first = c / F::block_values * n;
        const auto code_at = [&](std::size_t i) -> std::uint32_t {
          return first + i < codes.cols ? codes(r, first + i) : E::zero_code;
        };
        if constexpr (base3) {
          detail::store_base3<F>(record, code_at);
        } else {
          for (std::size_t i = 0; i < n; ++i) {
            store_bits(record, F::layout::locate(Section, i), code_at(i));
          }
        }
        detail::finish_record<F>(record);
      }
    }
  } else {
    for (std::size_t r = 0; r < codes.rows; ++r) {
      for (std::size_t c = 0; c < codes.cols; ++c) {
        store_code<E>(w.sections[Section], r, c, codes(r, c));
      }
      for (std::size_t c = codes.cols; E::bits < 8 && c % chunk_size != 0; ++c) {
        store_code<E>(w.sections[Section], r, c, E::zero_code);
      }
    }
  }
  return errc::ok;
}

/// Reads the codes of a section: the way back of store_codes(). Errors: as there.
template <std::size_t Section = 0, class F>
[[nodiscard]] errc load_codes(
    quantized_view<F> w,
    std::type_identity_t<matrix_view<section_code<std::remove_const_t<F>, Section>>>
        codes) noexcept {
  using Format = std::remove_const_t<F>;
  using E = typename decltype(detail::section_element<typename detail::meaning_of<Format>::type,
                                                      Section>())::type;
  const grid_shape shape = detail::section_shape<Format>(Section, w.rows, w.cols);
  if (codes.rows != shape.rows || codes.cols != shape.cols) return errc::shape_mismatch;
  if (!w.valid() || !codes.valid()) return errc::invalid_argument;
  for (std::size_t r = 0; r < codes.rows; ++r) {
    for (std::size_t c = 0; c < codes.cols; ++c) {
      if constexpr (wire_format<Format>) {
        const std::size_t n = detail::codes_per_record<Format>(Section);
        const std::uint8_t* record =
            w.sections[0].data + r * w.sections[0].stride + c / n * Format::block_bytes;
        codes(r, c) = static_cast<typename E::code>(
            load_bits(record, Format::layout::locate(Section, c % n)));
      } else {
        codes(r, c) = load_code<E>(w.sections[Section], r, c);
      }
    }
  }
  return errc::ok;
}

/// The same for matrices that own their sections.
template <std::size_t Section = 0, format F>
[[nodiscard]] errc store_codes(
    quantized_matrix<F>& w,
    std::type_identity_t<matrix_view<const section_code<F, Section>>> codes) noexcept {
  return store_codes<Section>(w.view(), codes);
}
template <std::size_t Section = 0, format F>
[[nodiscard]] errc load_codes(
    const quantized_matrix<F>& w,
    std::type_identity_t<matrix_view<section_code<F, Section>>> codes) noexcept {
  return load_codes<Section>(w.view(), codes);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_CODE_ARRAYS_H_
