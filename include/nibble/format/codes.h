// SPDX-License-Identifier: Apache-2.0 OR MIT
// Single codes of quantized matrices, and the lossless way between wire records and sections.
#ifndef NIBBLE_FORMAT_CODES_H_
#define NIBBLE_FORMAT_CODES_H_

#include "nibble/format/storage.h"

namespace nibble::inline NIBBLE_ABI {

/// Code (r, c) of a section that holds elements E.
template <element E>
[[nodiscard]] inline typename E::code load_code(basic_section<const std::uint8_t> s, std::size_t r,
                                                std::size_t c) noexcept {
  const std::uint8_t* row = s.data + r * s.stride;
  typename E::code code{};
  if constexpr (E::bits >= 8) {
    std::memcpy(&code, row + c * sizeof code, sizeof code);
  } else {
    const std::uint8_t* chunk = row + c / chunk_size * planar_layout<E::bits>::block_bytes;
    code = static_cast<typename E::code>(load_bits(chunk, planar_field(E::bits, c % chunk_size)));
  }
  return code;
}

template <element E>
inline void store_code(basic_section<std::uint8_t> s, std::size_t r, std::size_t c,
                       typename E::code code) noexcept {
  std::uint8_t* row = s.data + r * s.stride;
  if constexpr (E::bits >= 8) {
    std::memcpy(row + c * sizeof code, &code, sizeof code);
  } else {
    std::uint8_t* chunk = row + c / chunk_size * planar_layout<E::bits>::block_bytes;
    store_bits(chunk, planar_field(E::bits, c % chunk_size), code);
  }
}

namespace detail {

/// Entries of each section in one record of wire format F: fn.operator()<E>(section, count).
template <wire_format F, class Fn>
constexpr void for_each_record_part(Fn&& fn) {
  for_each_part<typename F::meaning>(
      1, F::block_values, [&]<class E>(std::size_t section, std::size_t, std::size_t count) {
        fn.template operator()<E>(section, count);
      });
}

/// Completes the bytes of base-3 digits, which cannot be written one by one.
template <wire_format F, class CodeAt>
constexpr void store_base3(std::uint8_t* record, CodeAt&& code_at) {
  std::array<std::uint32_t, F::block_bytes> number{};
  std::array<bool, F::block_bytes> used{};
  constexpr std::array<std::uint32_t, 5> power{81, 27, 9, 3, 1};
  for (std::size_t i = 0; i < F::block_values; ++i) {
    const bit_piece p = F::layout::locate(0, i).pieces[0];
    if (!p.base3) continue;
    number[p.byte] += power[p.shift] * code_at(i);
    used[p.byte] = true;
  }
  for (std::size_t b = 0; b < F::block_bytes; ++b) {
    if (used[b]) record[b] = static_cast<std::uint8_t>((256 * number[b] + 242) / 243);
  }
}

}  // namespace detail

/// Codes and scales of a wire matrix, unchanged, as sections of its meaning.
/// @param from  [n x k]
/// @param to    [n x k], must not overlap `from`
/// @return ok; shape_mismatch; invalid_argument: a view without data
template <wire_format F>
[[nodiscard]] errc from_wire(quantized_view<const F> from,
                             quantized_view<typename F::meaning> to) noexcept {
  if (from.rows != to.rows || from.cols != to.cols) return errc::shape_mismatch;
  if (!from.valid() || !to.valid()) return errc::invalid_argument;
  const std::size_t records = extent::ceil_div(from.cols, F::block_values);
  detail::for_each_part<typename F::meaning>(
      from.rows, from.cols, [&]<class E>(std::size_t section, std::size_t rows, std::size_t cols) {
        std::size_t per_record = 0;
        detail::for_each_record_part<F>([&]<class>(std::size_t s, std::size_t count) {
          if (s == section) per_record = count;
        });
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t b = 0; b < records; ++b) {
            const std::uint8_t* record =
                from.sections[0].data + r * from.sections[0].stride + b * F::block_bytes;
            for (std::size_t i = 0; i < per_record && b * per_record + i < cols; ++i) {
              store_code<E>(
                  to.sections[section], r, b * per_record + i,
                  static_cast<typename E::code>(load_bits(record, F::layout::locate(section, i))));
            }
          }
        }
      });
  return errc::ok;
}

/// The way back: sections of the meaning as records of a wire matrix. Values beyond the row's end
/// are codes of zero; derived fields are made anew. Errors: those of from_wire().
template <wire_format F>
[[nodiscard]] errc to_wire(quantized_view<const typename F::meaning> from,
                           quantized_view<F> to) noexcept {
  if (from.rows != to.rows || from.cols != to.cols) return errc::shape_mismatch;
  if (!from.valid() || !to.valid()) return errc::invalid_argument;
  using M = typename F::meaning;
  const std::size_t records = extent::ceil_div(from.cols, F::block_values);
  for (std::size_t r = 0; r < to.rows; ++r) {
    for (std::size_t b = 0; b < records; ++b) {
      std::uint8_t* record = to.sections[0].data + r * to.sections[0].stride + b * F::block_bytes;
      std::memset(record, 0, F::block_bytes);
      std::array<std::uint8_t, F::block_values> codes{};
      std::array<float, F::block_values> scales{};
      detail::for_each_record_part<F>([&]<class E>(std::size_t section, std::size_t count) {
        std::size_t cols = 0;
        detail::for_each_part<M>(from.rows, from.cols,
                                 [&]<class>(std::size_t s, std::size_t, std::size_t c) {
                                   cols = s == section ? c : cols;
                                 });
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t c = b * count + i;
          const auto code = c < cols ? load_code<E>(from.sections[section], r, c) : E::zero_code;
          if (section == 0) codes[i] = static_cast<std::uint8_t>(code);
          if (section == 1) scales[i] = E::decode(code);
          if (!F::layout::locate(section, i).pieces[0].base3) {
            store_bits(record, F::layout::locate(section, i), code);
          }
        }
      });
      if constexpr (F::layout::locate(0, 0).pieces[0].base3) {
        detail::store_base3<F>(record, [&](std::size_t i) { return std::uint32_t{codes[i]}; });
      }
      if constexpr (requires { F::layout::finish(record, codes.data(), scales.data()); }) {
        F::layout::finish(record, codes.data(), scales.data());
      }
    }
  }
  return errc::ok;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_CODES_H_
