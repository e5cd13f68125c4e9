// SPDX-License-Identifier: Apache-2.0 OR MIT
// Quantized matrices: sections of codes and scales, viewed or owned.
//
// Section 0 holds the codes of the values, row by row; then come the sections of the scale's
// format, laid out the same way over the matrix of scales, then those of the shift's. int4_g32_f16
// of [n x k] has two: nibbles [n x k], f16 scales [n x k/32]. A wire format has one section of
// records.
//
// Rows of codes of 8 bits and wider are plain arrays. Narrower codes lie in chunks of 16 (2 * bits
// bytes, see planar_field), and a row is padded to whole chunks with codes of zero.
#ifndef NIBBLE_FORMAT_STORAGE_H_
#define NIBBLE_FORMAT_STORAGE_H_

#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "nibble/core/errors.h"
#include "nibble/format/wire.h"

namespace nibble::inline NIBBLE_ABI {

namespace detail {

template <class F>
struct section_count : std::integral_constant<std::size_t, 1> {};
template <>
struct section_count<void> : std::integral_constant<std::size_t, 0> {};
template <block_format F>
struct section_count<F>
    : std::integral_constant<std::size_t, 1 + section_count<typename F::scale_format>::value +
                                              section_count<typename F::shift_format>::value> {};

/// Bytes of one row of codes.
template <element E>
constexpr std::size_t code_row_bytes(std::size_t cols) noexcept {
  if constexpr (E::bits >= 8) {
    return cols * sizeof(typename E::code);
  } else {
    return extent::ceil_div(cols, chunk_size) * planar_layout<E::bits>::block_bytes;
  }
}

/// Calls fn.operator()<E>(section, rows, cols) for each section of a [rows x cols] matrix in format
/// F: a matrix of codes of element E. Returns the number of the section after the last.
template <matrix_format F, class Fn>
constexpr std::size_t for_each_part(std::size_t rows, std::size_t cols, Fn&& fn,
                                    std::size_t section = 0) {
  if constexpr (element<F>) {
    fn.template operator()<F>(section, rows, cols);
    return section + 1;
  } else {
    const bool flat = F::shape.flat;  // one row of codes
    fn.template operator()<typename F::element>(section, flat && rows != 0 ? 1 : rows,
                                                flat ? rows * cols : cols);
    const grid_shape grid = F::shape.grid(rows, cols);
    section = for_each_part<typename F::scale_format>(grid.rows, grid.cols, fn, section + 1);
    if constexpr (F::has_shift) {
      const grid_shape shifts = F::shift_shape.grid(rows, cols);
      section = for_each_part<typename F::shift_format>(shifts.rows, shifts.cols, fn, section);
    }
    return section;
  }
}

/// Calls fn(rows, row_bytes) for each section of a [rows x cols] matrix in format F.
template <class F, class Fn>
constexpr void for_each_section(std::size_t rows, std::size_t cols, Fn&& fn) {
  if constexpr (wire_format<F>) {
    fn(rows, extent::ceil_div(cols, F::block_values) * F::block_bytes);
  } else {
    for_each_part<F>(rows, cols, [&]<class E>(std::size_t, std::size_t r, std::size_t c) {
      fn(r, code_row_bytes<E>(c));
    });
  }
}

}  // namespace detail

/// Number of separate arrays a matrix in format F consists of.
template <class F>
inline constexpr std::size_t num_sections = detail::section_count<std::remove_const_t<F>>::value;

/// Bytes of a [rows x cols] matrix in format F, scales included, without padding between sections.
template <class F>
[[nodiscard]] constexpr std::size_t storage_bytes(std::size_t rows, std::size_t cols) noexcept {
  std::size_t sum = 0;
  detail::for_each_section<F>(rows, cols, [&](std::size_t r, std::size_t b) { sum += r * b; });
  return sum;
}

/// Bits of storage per value of a [rows x cols] matrix, scales included.
template <class F>
[[nodiscard]] constexpr double bits_per_weight(std::size_t rows, std::size_t cols) noexcept {
  if (rows == 0 || cols == 0) return 0;
  return 8.0 * static_cast<double>(storage_bytes<F>(rows, cols)) /
         (static_cast<double>(rows) * static_cast<double>(cols));
}

/// One array of a quantized matrix: row r starts at data + r * stride bytes.
template <class Byte>
struct basic_section {
  Byte* data = nullptr;
  std::size_t stride = 0;  ///< bytes

  constexpr operator basic_section<const Byte>() const noexcept  // NOLINT: implicit by design
      requires(!std::is_const_v<Byte>) {
    return {data, stride};
  }
};

/// A quantized [rows x cols] matrix that lives elsewhere, in one piece or in one per section.
/// quantized_view<const F> is read-only.
template <class F>
requires format<std::remove_const_t<F>>
struct quantized_view {
  using format_type = std::remove_const_t<F>;
  using byte = std::conditional_t<std::is_const_v<F>, const std::uint8_t, std::uint8_t>;
  using section = basic_section<byte>;
  static_assert(detail::is_legal_matrix_format<format_type>(), "nibble: no format of a matrix");

  std::array<section, num_sections<F>> sections{};
  std::size_t rows = 0;
  std::size_t cols = 0;

  constexpr quantized_view() = default;

  /// All sections in one piece, each at a multiple of 64 bytes: what quantized_matrix holds.
  constexpr quantized_view(byte* data, std::size_t num_rows, std::size_t num_cols) noexcept
      : rows(num_rows), cols(num_cols) {
    std::size_t s = 0;
    detail::for_each_section<format_type>(rows, cols, [&](std::size_t r, std::size_t row_bytes) {
      sections[s++] = {data, row_bytes};
      data += aligned_size(r * row_bytes);
    });
  }

  /// One pointer per section, rows without gaps: codes and scales of another library's tensors.
  constexpr quantized_view(const std::array<byte*, num_sections<F>>& data, std::size_t num_rows,
                           std::size_t num_cols) noexcept
      : rows(num_rows), cols(num_cols) {
    std::size_t s = 0;
    detail::for_each_section<format_type>(rows, cols, [&](std::size_t, std::size_t row_bytes) {
      sections[s] = {data[s], row_bytes};
      ++s;
    });
  }

  constexpr operator quantized_view<const F>() const noexcept  // NOLINT: implicit by design
      requires(!std::is_const_v<F>) {
    quantized_view<const F> v;
    for (std::size_t s = 0; s < sections.size(); ++s) v.sections[s] = sections[s];
    v.rows = rows;
    v.cols = cols;
    return v;
  }

  /// Whether every section is there and its rows lie apart: what functions check that return an
  /// error, since members can be set to anything.
  [[nodiscard]] constexpr bool valid() const noexcept {
    bool good = true;
    std::size_t s = 0;
    detail::for_each_section<format_type>(rows, cols, [&](std::size_t r, std::size_t row_bytes) {
      const section& at = sections[s++];
      if (r == 0 || row_bytes == 0) return;
      good = good && at.data != nullptr && (r == 1 || at.stride >= row_bytes);
    });
    return good;
  }

  /// Bytes of a buffer for the one-piece constructor.
  [[nodiscard]] static constexpr std::size_t buffer_bytes(std::size_t num_rows,
                                                          std::size_t num_cols) noexcept {
    std::size_t sum = 0;
    detail::for_each_section<format_type>(
        num_rows, num_cols, [&](std::size_t r, std::size_t b) { sum += aligned_size(r * b); });
    return sum;
  }

 private:
  static constexpr std::size_t aligned_size(std::size_t n) noexcept { return (n + 63) / 64 * 64; }
};

/// Owns a quantized matrix in one 64-byte aligned buffer. Move-only.
template <format F>
class quantized_matrix {
 public:
  quantized_matrix() = default;

  /// A zeroed [rows x cols] matrix. overflow: its size does not fit; out_of_memory: no room.
  [[nodiscard]] static result<quantized_matrix> create(std::size_t rows,
                                                       std::size_t cols) noexcept {
    // No format takes more than 32 bytes per value and 64 per row and section, so this bound is
    // safe.
    constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4096;
    if (rows != 0 && cols != 0 && (rows > limit / cols || rows > limit || cols > limit)) {
      return errc::overflow;
    }
    quantized_matrix m;
    m.rows_ = rows;
    m.cols_ = cols;
    const std::size_t size = quantized_view<F>::buffer_bytes(rows, cols);
    if (size != 0) {
      m.buffer_.reset(
          static_cast<std::uint8_t*>(::operator new (size, std::align_val_t{64}, std::nothrow)));
      if (m.buffer_ == nullptr) return errc::out_of_memory;
      std::memset(m.buffer_.get(), 0, size);
    }
    return m;
  }

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return storage_bytes<F>(rows_, cols_); }

  [[nodiscard]] quantized_view<F> view() noexcept { return {buffer_.get(), rows_, cols_}; }
  [[nodiscard]] quantized_view<const F> view() const noexcept {
    return {buffer_.get(), rows_, cols_};
  }
  operator quantized_view<F>() noexcept { return view(); }  // NOLINT: implicit by design
  operator quantized_view<const F>() const noexcept { return view(); }  // NOLINT: as above

 private:
  struct aligned_delete {
    void operator()(std::uint8_t* p) const noexcept { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<std::uint8_t[], aligned_delete> buffer_;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_STORAGE_H_
