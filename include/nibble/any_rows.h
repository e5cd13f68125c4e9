// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows in a format that is chosen at run time: floats to quantized rows, to packed matrices, and
// back.
//
// Quantized rows are bytes here: those of quantized_view<F>(data, rows, cols), which for GGUF types
// are the bytes of a tensor. f.quantized_bytes(rows, cols) says how many; up to 63 more may follow.
// Every function has the errors of its typed counterpart, shape_mismatch for another number of
// bytes, overflow, and invalid_argument for a view without a format.
#ifndef NIBBLE_ANY_ROWS_H_
#define NIBBLE_ANY_ROWS_H_

#include <limits>

#include "nibble/any_format.h"

namespace nibble::inline NIBBLE_ABI {

namespace detail {

/// Quantized rows in one piece: as many bytes as the format and shape want, or a gap at their end.
inline errc check_bytes(const any_format& f, std::span<const std::byte> bytes, std::size_t rows,
                        std::size_t cols) noexcept {
  constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4096;
  if (rows > limit || cols > limit || (cols != 0 && rows > limit / cols)) return errc::overflow;
  const std::size_t wanted = f.quantized_bytes(rows, cols);
  if (bytes.data() == nullptr && wanted != 0) return errc::invalid_argument;
  const bool fit = bytes.size() >= wanted && bytes.size() - wanted < 64;
  return fit ? errc::ok : errc::shape_mismatch;
}

inline std::uint8_t* data_of(std::span<std::byte> bytes) noexcept {
  return reinterpret_cast<std::uint8_t*>(bytes.data());
}
inline const std::uint8_t* data_of(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

}  // namespace detail

/// Quantizes floats to bytes, by all threads of a context. As quantize() of a known format.
[[nodiscard]] inline errc quantize(const any_format& f, matrix_view<const float> x,
                                   std::span<std::byte> to, context& with,
                                   const quantize_options& options = {}) noexcept {
  if (const errc e = detail::check_bytes(f, to, x.rows, x.cols); e != errc::ok) return e;
  return f.quantize(x, detail::data_of(to), with, options);
}

/// The values of quantized rows, by all threads of a context.
[[nodiscard]] inline errc dequantize(const any_format& f, std::span<const std::byte> from,
                                     matrix_view<float> y, context& with) noexcept {
  if (const errc e = detail::check_bytes(f, from, y.rows, y.cols); e != errc::ok) return e;
  return f.dequantize(detail::data_of(from), y, with);
}

/// Some of `rows` quantized rows, as get_rows() of a known format.
[[nodiscard]] inline errc get_rows(const any_format& f, std::span<const std::byte> from,
                                   std::size_t rows, std::span<const std::uint32_t> ids,
                                   matrix_view<float> y) noexcept {
  if (const errc e = detail::check_bytes(f, from, rows, y.cols); e != errc::ok) return e;
  return f.get_rows(detail::data_of(from), rows, y.cols, ids, y);
}

/// Packs quantized rows. Errors besides: out_of_memory.
[[nodiscard]] inline result<any_packed_matrix> pack(const any_format& f,
                                                    std::span<const std::byte> quantized,
                                                    std::size_t rows, std::size_t cols,
                                                    context& with) noexcept {
  if (const errc e = detail::check_bytes(f, quantized, rows, cols); e != errc::ok) return e;
  return f.pack_quantized(f, detail::data_of(quantized), rows, cols, with);
}

/// The way back: the quantized rows of a packed matrix, as unpack() of a known format. `to` is
/// written completely but for what may follow the last section. invalid_argument for formats of
/// one's own that are packed as the floats they mean.
[[nodiscard]] inline errc unpack(const any_packed_view& w, std::span<std::byte> to) noexcept {
  if (w.format == nullptr) return errc::invalid_argument;
  const errc e = detail::check_bytes(*w.format, to, w.rows(), w.cols());
  return e == errc::ok ? w.format->unpack(w.data, detail::data_of(to)) : e;
}

/// Quantizes floats and packs them, by all threads of a context. Errors: those of quantize() and
/// pack().
[[nodiscard]] inline result<any_packed_matrix> pack(const any_format& f, matrix_view<const float> x,
                                                    context& with,
                                                    const quantize_options& options = {}) noexcept {
  return f.pack_floats(f, x, options, with);
}

/// The values of a packed matrix with its outliers, as dequantize() of a known format.
[[nodiscard]] inline errc dequantize(const any_packed_view& w, matrix_view<float> y,
                                     context& with) noexcept {
  return w.format == nullptr ? errc::invalid_argument
                             : w.format->dequantize_packed(w.data, y, with);
}
[[nodiscard]] inline errc dequantize(const any_packed_view& w, matrix_view<float> y) noexcept {
  context serial(parallel::serial());
  return dequantize(w, y, serial);
}

/// Some of its rows: row i of y is row ids[i], as get_rows() of a known format.
[[nodiscard]] inline errc get_rows(const any_packed_view& w, std::span<const std::uint32_t> ids,
                                   matrix_view<float> y) noexcept {
  return w.format == nullptr ? errc::invalid_argument : w.format->get_packed_rows(w.data, ids, y);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ANY_ROWS_H_

// Again, outside the guard: it is read once per target.
#include "nibble/any_format.h"
