// SPDX-License-Identifier: Apache-2.0 OR MIT
// pack() and unpack(): quantized rows to the one layout that the kernels of every CPU read, and
// back. Codes and scales move unchanged; nothing passes through float.
#ifndef NIBBLE_PACK_H_
#define NIBBLE_PACK_H_

#include "nibble/core/context.h"
#include "nibble/format/pack_rows.h"
#include "nibble/format/unpack_rows.h"
#include "nibble/formats.h"

namespace nibble::inline NIBBLE_ABI {

/// A packed [n x k] matrix in format F that lives elsewhere: in a packed_matrix, in a mapped file.
template <format F>
struct packed_view {
  packed_data data;

  [[nodiscard]] std::size_t rows() const noexcept { return data.shape.rows; }
  [[nodiscard]] std::size_t cols() const noexcept { return data.shape.cols; }
};

/// Owns a packed matrix in one 64-byte aligned buffer. Move-only.
template <format F>
class packed_matrix {
 public:
  packed_matrix() = default;

  /// Allocates; sets only what lies between the arrays, to 0. overflow: the size does not fit;
  /// out_of_memory: no room.
  [[nodiscard]] static result<packed_matrix> create(std::size_t rows, std::size_t cols) noexcept {
    constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4096;
    if (rows != 0 && cols != 0 && (rows > limit / cols || rows > limit || cols > limit)) {
      return errc::overflow;
    }
    packed_matrix m;
    m.data_ = detail::make_packed_data<F>(rows, cols);
    m.sizes_ = detail::packed_sizes_of<F>(m.data_.shape, m.data_.super_every);
    if (m.sizes_.total != 0) {
      m.buffer_ = detail::make_packed_buffer(m.sizes_.total);
      if (m.buffer_ == nullptr) return errc::out_of_memory;
      for (std::size_t i = 0; i <= detail::num_parts; ++i) {
        const std::size_t end = m.sizes_.offset[i] + m.sizes_.bytes[i];
        std::memset(m.buffer_.get() + end, 0, (64 - end % 64) % 64);
      }
      detail::point_into(m.data_, m.sizes_, m.buffer_.get());
    }
    return m;
  }

  [[nodiscard]] std::size_t rows() const noexcept { return data_.shape.rows; }
  [[nodiscard]] std::size_t cols() const noexcept { return data_.shape.cols; }
  /// Bytes held: codes, scales, outliers and padding.
  [[nodiscard]] std::size_t bytes() const noexcept { return sizes_.total + outliers_.bytes(); }

  [[nodiscard]] packed_view<F> view() const noexcept { return {data_}; }
  operator packed_view<F>() const noexcept { return view(); }  // NOLINT: implicit by design

  /// Outliers of this matrix, which products add from now on; they replace earlier ones. Errors:
  /// those of packed_outliers::check(), and nothing has changed.
  [[nodiscard]] errc attach(packed_outliers o) noexcept {
    if (const errc e = o.check(rows(), cols()); e != errc::ok) return e;
    outliers_ = std::move(o);
    data_.outliers = outliers_.view();
    return errc::ok;
  }

  /// For what fills the buffer: pack() and readers of files.
  [[nodiscard]] std::uint8_t* buffer() noexcept { return buffer_.get(); }
  [[nodiscard]] packed_data& data() noexcept { return data_; }
  [[nodiscard]] const packed_data& data() const noexcept { return data_; }
  /// The memory itself; view() stays valid as long as its new owner lives.
  [[nodiscard]] detail::packed_buffer release() noexcept { return std::move(buffer_); }
  [[nodiscard]] packed_outliers release_outliers() noexcept { return std::move(outliers_); }

 private:
  detail::packed_buffer buffer_;
  packed_outliers outliers_;
  packed_data data_;
  detail::packed_sizes sizes_;
};

/// Packs a quantized matrix.
///
/// @param from  [n x k], any n and k. Only read; may be dropped afterwards.
/// @param with  threads; panels of 16 rows are shared out. Its scratch is not used.
/// @return the packed matrix, or overflow / out_of_memory; invalid_argument: a view without data.
///
/// Bytes: those of `from`, plus padding of n to 16, of blocks to 16 or multiples of 32 columns, of
/// k to 32, and of scale codes to whole bytes (q4_K: 4.63 bits per weight instead of 4.5).
template <format F>
[[nodiscard]] result<packed_matrix<F>> pack(quantized_view<const F> from, context& with) noexcept {
  auto m = packed_matrix<F>::create(from.rows, from.cols);
  if (!m) return m;
  if (!from.valid()) return errc::invalid_argument;
  detail::pack_center<F>(from, m->data());
  struct job {
    quantized_view<const F> from;
    packed_data* to;
    std::uint8_t* buffer;
  } j{from, &m->data(), m->buffer()};
  with.run(
      m->data().shape.num_panels,
      [](void* p, std::size_t panel, std::size_t) {
        const job& work = *static_cast<job*>(p);
        detail::pack_panel<F>(work.from, *work.to, panel);
      },
      &j);
  return m;
}

/// Packs on the calling thread.
template <format F>
[[nodiscard]] result<packed_matrix<F>> pack(quantized_view<const F> from) noexcept {
  context serial(parallel::serial());
  return pack<F>(from, serial);
}
template <format F>
[[nodiscard]] result<packed_matrix<F>> pack(const quantized_matrix<F>& from) noexcept {
  return pack<F>(from.view());
}
template <format F>
[[nodiscard]] result<packed_matrix<F>> pack(const quantized_matrix<F>& from,
                                            context& with) noexcept {
  return pack<F>(from.view(), with);
}

/// The way back: the codes and scales that were packed, in every bit. Outliers stay where they are:
/// these are the rows that they were split from (add_outliers() gives dequantized rows theirs).
///
/// @param to  [n x k], written completely, padding included.
/// @return ok; shape_mismatch; invalid_argument: no data on one side; out_of_memory, for wire
///         formats
///
/// Wire formats are written as their records; fields that a reader ignores are made anew. Does not
/// compile for the few formats of one's own whose scales have a shift per block or are nested three
/// deep: those are packed as the floats they mean.
template <format F>
requires detail::unpackable<F>
[[nodiscard]] errc unpack(packed_view<F> from, quantized_view<F> to) noexcept {
  if (from.rows() != to.rows || from.cols() != to.cols) return errc::shape_mismatch;
  if (!detail::is_there(from.data) || !to.valid()) return errc::invalid_argument;
  return detail::unpack_rows<F>(from.data, to);
}
template <format F>
requires detail::unpackable<F>
[[nodiscard]] errc unpack(const packed_matrix<F>& from, quantized_view<F> to) noexcept {
  return unpack<F>(from.view(), to);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_PACK_H_
