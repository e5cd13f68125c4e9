// SPDX-License-Identifier: Apache-2.0 OR MIT
// How save_packed() writes; packed_layout.h says what.
#ifndef NIBBLE_IO_DETAIL_PACKED_WRITER_H_
#define NIBBLE_IO_DETAIL_PACKED_WRITER_H_

#include <cstdio>

#include "nibble/format/fingerprint.h"
#include "nibble/io/detail/index.h"
#include "nibble/io/detail/new_file.h"
#include "nibble/io/detail/packed_layout.h"
#include "nibble/pack.h"

namespace nibble::inline NIBBLE_ABI {

/// What is to be saved, and its name in the file: a packed matrix; by named() a tensor, by
/// named_text() a text.
struct named_packed {
  packed_content content = packed_content::matrix;
  std::uint8_t rank = 0;
  tensor_type type = tensor_type::u8;
  std::span<const std::byte> plain;  ///< of a tensor or a text
  std::string_view name;
  std::string_view format;
  std::uint64_t fingerprint = 0;
  detail::packed_structure structure;
  packed_data data;

  named_packed() = default;
  template <nibble::format F>
  named_packed(std::string_view matrix, packed_view<F> w) noexcept
      : name(matrix),
        format(F::name),
        fingerprint(fingerprint_of<F>()),
        structure(detail::structure_of<F>()),
        data(w.data) {}
  template <nibble::format F>
  named_packed(std::string_view matrix, const packed_matrix<F>& w) noexcept
      : named_packed(matrix, w.view()) {}
};

/// A tensor of plain numbers, saved row by row as it is: norms, embeddings. packed_file::tensor()
/// finds it again.
[[nodiscard]] inline named_packed named(std::string_view name, const tensor_info& t) noexcept {
  named_packed n;
  n.content = packed_content::tensor;
  n.name = name;
  n.format = describe(t.type).name;
  n.type = t.type;
  n.rank = t.fortran_order && t.rank > 1 ? std::uint8_t{255} : t.rank;  // save_packed() refuses it
  n.plain = t.data;
  n.data.shape.rows = static_cast<std::size_t>(t.rows());
  n.data.shape.cols = static_cast<std::size_t>(t.cols());
  return n;
}
/// A vector of floats, likewise.
[[nodiscard]] inline named_packed named(std::string_view name, std::span<const float> x) noexcept {
  tensor_info t;
  t.rank = 1;
  t.dims[0] = x.size();
  t.data = std::as_bytes(x);
  return named(name, t);
}
/// A text, such as the configuration of a model. packed_file::text() finds it again.
[[nodiscard]] inline named_packed named_text(std::string_view name,
                                             std::string_view text) noexcept {
  named_packed n;
  n.content = packed_content::text;
  n.name = name;
  n.format = detail::packed_text_format;
  n.rank = 1;
  n.plain = std::as_bytes(std::span(text));
  n.data.shape.rows = 1;
  n.data.shape.cols = text.size();
  return n;
}

namespace detail {

class packed_writer {
 public:
  packed_writer(std::span<const named_packed> matrices, error_note* note) noexcept
      : matrices_(matrices), note_(note) {}

  [[nodiscard]] errc write(const char* path) noexcept;

 private:
  [[nodiscard]] errc check_names() noexcept;
  [[nodiscard]] errc make_table() noexcept;
  void make_entry(const named_packed& m, std::byte* field, std::uint64_t text,
                  std::uint64_t offset) const noexcept;
  [[nodiscard]] bool write_all(std::FILE* file) const noexcept;

  [[nodiscard]] static packed_sizes sizes_of(const named_packed& m) noexcept {
    return packed_sizes_of(m.structure, m.data.shape, m.data.super_every);
  }
  [[nodiscard]] static outlier_sizes sizes_of_outliers(const named_packed& m) noexcept {
    return outlier_sizes_of(m.data.outliers, m.data.shape.rows, m.data.shape.cols);
  }
  [[nodiscard]] static bool is_plain(const named_packed& m) noexcept {
    return m.content != packed_content::matrix;
  }
  [[nodiscard]] static std::uint64_t total_of(const named_packed& m) noexcept {
    if (is_plain(m)) return plain_bytes(1, 1, m.plain.size());
    return sizes_of(m).total + sizes_of_outliers(m).total;
  }

  /// Calls fn(bytes) for the pieces of a matrix in order: multiples of 64 bytes. Padding is zeros,
  /// whatever it is in memory.
  template <class Fn>
  static bool for_each_piece(const named_packed& m, Fn&& fn) noexcept {
    if (is_plain(m)) return for_pieces_of(m.plain.data(), m.plain.size(), fn);
    const packed_sizes z = sizes_of(m);
    for (std::size_t i = 0; i <= num_parts; ++i) {
      const void* array = i == 0 ? m.data.codes : m.data.parts[i - 1];
      if (!for_pieces_of(array, z.bytes[i], fn)) return false;
    }
    const outlier_data& o = m.data.outliers;
    const void* const arrays[] = {o.row_begin, o.cols, o.values, o.columns, o.column_values};
    const outlier_sizes y = sizes_of_outliers(m);
    for (std::size_t i = 0; i < y.bytes.size(); ++i) {
      if (!for_pieces_of(arrays[i], y.bytes[i], fn)) return false;
    }
    return true;
  }
  template <class Fn>
  static bool for_pieces_of(const void* array, std::size_t bytes, Fn& fn) noexcept {
    const auto* p = static_cast<const std::byte*>(array);
    const std::size_t whole = bytes / packed_alignment * packed_alignment;
    if (whole != 0 && !fn(std::span(p, whole))) return false;
    if (whole == bytes) return true;
    std::byte last[packed_alignment] = {};
    std::memcpy(last, p + whole, bytes - whole);
    return fn(std::span<const std::byte>(last));
  }

  std::span<const named_packed> matrices_;
  error_note* note_;
  fixed_array<std::byte> table_;  ///< up to the data, padded to a multiple of 64
};

inline errc packed_writer::check_names() noexcept {
  memory_budget budget(std::uint64_t{1} << 62);
  fixed_array<std::uint32_t> order;
  const errc e = number_items(order, matrices_.size(), budget);
  if (e != errc::ok) return fail(note_, e, "%llu matrices", ull{matrices_.size()});
  sort_indices(order.items(), [this](std::uint32_t a, std::uint32_t b) {
    return matrices_[a].name < matrices_[b].name;
  });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const named_packed& m = matrices_[order[i]];
    if (m.name.size() > max_packed_name || m.format.size() > max_packed_name) {
      return fail(note_, errc::limit_exceeded, "matrix '%s': a name of more than 65536 bytes",
                  printable_name(m.name).text);
    }
    if (is_plain(m) && (m.rank > 2 || describe(m.type).block_values != 1)) {
      return fail(note_, errc::unknown_type,
                  "tensor '%s': plain numbers of at most 2 dimensions, in rows, can be saved",
                  printable_name(m.name).text);
    }
    if (is_plain(m) && m.plain.size() != std::uint64_t{m.data.shape.rows} * m.data.shape.cols *
                                             describe(m.type).block_bytes) {
      return fail(note_, errc::shape_mismatch, "tensor '%s': its bytes are not those of its shape",
                  printable_name(m.name).text);
    }
    if (i != 0 && m.name == matrices_[order[i - 1]].name) {
      return fail(note_, errc::duplicate_name, "matrix '%s'", printable_name(m.name).text);
    }
  }
  return errc::ok;
}

inline void packed_writer::make_entry(const named_packed& m, std::byte* field, std::uint64_t text,
                                      std::uint64_t offset) const noexcept {
  store_le(field, text);
  store_le(field + 8, static_cast<std::uint32_t>(m.name.size()));
  store_le(field + 12, static_cast<std::uint32_t>(m.format.size()));
  store_le(field + 16, m.fingerprint);
  store_le(field + 24, std::uint64_t{m.data.shape.rows});
  store_le(field + 32, std::uint64_t{m.data.shape.cols});
  store_le(field + 53, static_cast<std::uint8_t>(m.content));
  store_le(field + 54, m.rank);
  checksum sum;
  for_each_piece(m, [&](std::span<const std::byte> piece) { return sum.add(piece), true; });
  store_le(field + 80, offset);
  store_le(field + 88, total_of(m));
  store_le(field + 96, sum.value());
  if (is_plain(m)) return;
  store_le(field + 40, std::uint64_t{m.structure.block});
  store_le(field + 48, m.structure.code_bits);
  for (std::size_t i = 0; i < num_parts; ++i) store_le(field + 49 + i, m.structure.part_bytes[i]);
  for (std::size_t i = 0; i < 2; ++i) {
    store_le(field + 56 + 8 * i, std::uint64_t{m.data.super_every[i]});
    store_le(field + 72 + 4 * i, m.data.center[i]);
  }
  const outlier_data& o = m.data.outliers;
  store_le(field + 104, std::uint64_t{o.num_values});
  store_le(field + 112, std::uint64_t{o.num_columns});
  store_le(field + 120, o.num_values == 0 ? std::uint8_t{0} : outlier_type_code(o.value_type));
  store_le(field + 121, o.num_columns == 0 ? std::uint8_t{0} : outlier_type_code(o.column_type));
}

inline errc packed_writer::make_table() noexcept {
  std::uint64_t text_bytes = 0;
  for (const named_packed& m : matrices_) text_bytes += m.name.size() + m.format.size();
  const std::uint64_t text_begin = packed_header_bytes + packed_entry_bytes * matrices_.size();
  const std::uint64_t text_end = text_begin + text_bytes;
  const std::uint64_t data_begin =
      (text_end + packed_alignment - 1) / packed_alignment * packed_alignment;
  memory_budget budget(std::uint64_t{1} << 62);
  if (const errc e = table_.reserve(budget, data_begin); e != errc::ok) {
    return fail(note_, e, "%llu matrices", ull{matrices_.size()});
  }
  for (std::uint64_t i = 0; i < data_begin; ++i) table_.push(std::byte{0});

  std::uint64_t text = 0;
  std::uint64_t offset = data_begin;
  std::uint32_t version = packed_version;
  std::byte* field = &table_[packed_header_bytes];
  for (const named_packed& m : matrices_) {
    if (is_plain(m)) version = packed_version_with_plain;
    make_entry(m, field, text, offset);
    const auto copy = [&](std::string_view name) {
      if (!name.empty()) {
        std::memcpy(&table_[static_cast<std::size_t>(text_begin + text)], name.data(), name.size());
      }
      text += name.size();
    };
    copy(m.name);
    copy(m.format);
    offset += total_of(m);
    field += packed_entry_bytes;
  }
  std::byte* header = &table_[0];
  std::memcpy(header, packed_magic.data(), packed_magic.size());
  store_le(header + 8, version);
  store_le(header + 16, std::uint64_t{matrices_.size()});
  store_le(header + 24, text_bytes);
  store_le(header + 32, offset);
  store_le(header + packed_checksum_at,
           hash_bytes(table_.items().first(static_cast<std::size_t>(text_end))));
  return errc::ok;
}

inline bool packed_writer::write_all(std::FILE* file) const noexcept {
  const auto put = [file](std::span<const std::byte> bytes) {
    return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  };
  if (!put(table_.items())) return false;
  for (const named_packed& m : matrices_) {
    if (!for_each_piece(m, put)) return false;
  }
  return true;
}

inline errc packed_writer::write(const char* path) noexcept {
  NIBBLE_ASSERT(path != nullptr, "a path is needed");
  const printable_name shown(path);
  if (const errc e = check_names(); e != errc::ok) return e;
  if (const errc e = make_table(); e != errc::ok) return e;
  new_file file(path);
  if (const errc e = file.create(); e != errc::ok) {
    return fail(note_, e, "cannot create a file beside '%s'", shown.text);
  }
  const errc e = write_all(file.stream()) ? file.commit() : errc::io;
  return e == errc::ok ? e : fail(note_, e, "cannot write '%s'", shown.text);
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_DETAIL_PACKED_WRITER_H_
