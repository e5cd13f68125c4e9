// SPDX-License-Identifier: Apache-2.0 OR MIT
// How read_packed() checks a table, field by field; packed_layout.h says what it looks like.
#ifndef NIBBLE_IO_DETAIL_PACKED_READER_H_
#define NIBBLE_IO_DETAIL_PACKED_READER_H_

#include "nibble/io/detail/index.h"
#include "nibble/io/detail/packed_layout.h"

namespace nibble::inline NIBBLE_ABI::detail {

struct packed_index {
  fixed_array<packed_entry> entries;
  fixed_array<std::uint32_t> by_name;
};

class packed_reader {
 public:
  packed_reader(std::span<const std::byte> file, error_note* note) noexcept
      : file_(file), budget_(file.size()), note_(note) {}

  [[nodiscard]] errc read(packed_index& index) noexcept;

 private:
  [[nodiscard]] errc read_header() noexcept;
  [[nodiscard]] errc read_entry(const std::byte* field, packed_entry& entry) noexcept;
  [[nodiscard]] errc read_names(const std::byte* field, packed_entry& entry) noexcept;
  [[nodiscard]] errc read_shape(const std::byte* field, packed_entry& entry) noexcept;
  [[nodiscard]] errc read_outliers(const std::byte* field, packed_entry& entry) noexcept;
  [[nodiscard]] errc read_plain(const std::byte* field, packed_entry& entry) noexcept;
  [[nodiscard]] errc place(const std::byte* field, packed_entry& entry) noexcept;
  [[nodiscard]] errc check_places(packed_index& index) noexcept;
  [[nodiscard]] errc check_outliers(const packed_entry& entry) noexcept;
  [[nodiscard]] errc check_table() noexcept;
  [[nodiscard]] static bool is_zero(const std::byte* begin, const std::byte* end) noexcept {
    for (; begin != end; ++begin) {
      if (*begin != std::byte{0}) return false;
    }
    return true;
  }
  [[nodiscard]] std::uint64_t u64(const std::byte* at) const noexcept {
    return load_le<std::uint64_t>(at);
  }

  std::span<const std::byte> file_;
  memory_budget budget_;
  error_note* note_;
  std::uint32_t version_ = packed_version;
  std::uint64_t count_ = 0;
  std::uint64_t text_begin_ = 0;
  std::uint64_t text_end_ = 0;  ///< where the table ends
  std::uint64_t text_used_ = 0;
};

inline errc packed_reader::read_header() noexcept {
  const std::size_t magic = packed_magic.size();
  const std::string_view begin = as_text(file_.first(file_.size() < magic ? file_.size() : magic));
  if (begin != packed_magic.substr(0, begin.size())) {
    return fail(note_, errc::bad_magic, "the file does not begin with NIBBLE");
  }
  if (file_.size() < packed_header_bytes) {
    return fail(note_, errc::truncated, "%llu bytes are too few for a header", ull{file_.size()});
  }
  const std::byte* header = file_.data();
  version_ = load_le<std::uint32_t>(header + 8);
  if (version_ != packed_version && version_ != packed_version_with_plain) {
    return fail(note_, errc::bad_version, "version %u", unsigned{version_});
  }
  if (!is_zero(header + 12, header + 16) || !is_zero(header + 48, header + packed_header_bytes)) {
    return fail(note_, errc::malformed, "reserved bytes of the header are not 0");
  }
  count_ = u64(header + 16);
  const std::uint64_t text = u64(header + 24);
  const std::uint64_t size = u64(header + 32);
  if (size != file_.size()) {
    return fail(note_, size > file_.size() ? errc::truncated : errc::malformed,
                "the file should have %llu bytes and has %llu", ull{size}, ull{file_.size()});
  }
  if (!checked_multiply(count_, packed_entry_bytes, text_begin_) ||
      !checked_add(text_begin_, packed_header_bytes, text_begin_) ||
      !checked_add(text_begin_, text, text_end_)) {
    return fail(note_, errc::overflow, "%llu matrices with %llu bytes of names", ull{count_},
                ull{text});
  }
  if (text_end_ > size) {
    return fail(note_, errc::truncated, "%llu matrices with %llu bytes of names need %llu bytes",
                ull{count_}, ull{text}, ull{text_end_});
  }
  return errc::ok;
}

inline errc packed_reader::read_names(const std::byte* field, packed_entry& entry) noexcept {
  // Names follow each other in the order of the matrices: no byte of the text is without an owner.
  // The header is half an entry long.
  const auto number = static_cast<ull>((field - file_.data()) / std::ptrdiff_t{packed_entry_bytes});
  const std::uint64_t begin = u64(field);
  const std::uint64_t name = load_le<std::uint32_t>(field + 8);
  const std::uint64_t format = load_le<std::uint32_t>(field + 12);
  if (name > max_packed_name || format > max_packed_name) {
    return fail(note_, errc::limit_exceeded, "entry %llu: a name of %llu bytes", number,
                ull{name > format ? name : format});
  }
  const std::uint64_t left = text_end_ - text_begin_ - text_used_;
  if (begin != text_used_) {
    return fail(note_, errc::malformed, "entry %llu: its name begins at %llu instead of %llu",
                number, ull{begin}, ull{text_used_});
  }
  if (name + format > left) {
    return fail(note_, errc::out_of_bounds, "entry %llu: its name ends behind all names", number);
  }
  const auto at = static_cast<std::size_t>(text_begin_ + text_used_);
  const std::string_view text = as_text(file_.subspan(at, static_cast<std::size_t>(name + format)));
  entry.name = text.substr(0, static_cast<std::size_t>(name));
  entry.format = text.substr(static_cast<std::size_t>(name));
  text_used_ += name + format;
  return errc::ok;
}

inline errc packed_reader::read_shape(const std::byte* field, packed_entry& entry) noexcept {
  const printable_name name(entry.name);
  const std::uint64_t rows = u64(field + 24);
  const std::uint64_t cols = u64(field + 32);
  const std::uint64_t block = u64(field + 40);
  const auto byte = [field](std::size_t i) { return std::to_integer<std::uint8_t>(field[48 + i]); };
  const std::uint8_t bits = byte(0);
  if (!((bits >= 1 && bits <= 8) || bits == 16 || bits == 32)) {
    return fail(note_, errc::malformed, "matrix '%s': codes of %u bits", name.text, unsigned{bits});
  }
  entry.structure.code_bits = bits;
  for (std::size_t i = 0; i < num_parts; ++i) {
    const std::uint8_t bytes = byte(1 + i);
    if (bytes != 0 && bytes != 1 && bytes != 2 && bytes != 4) {
      return fail(note_, errc::malformed, "matrix '%s': scales of %u bytes", name.text,
                  unsigned{bytes});
    }
    entry.structure.part_bytes[i] = bytes;
  }
  if (!is_zero(field + 53, field + 56) || !is_zero(field + 122, field + packed_entry_bytes)) {
    return fail(note_, errc::malformed, "matrix '%s': reserved bytes are not 0", name.text);
  }
  // Codes of at least a bit, padded to 16 rows and 16-fold at worst (blocks of 2), bound the sizes
  // by 2^60 if rows * cols is below 2^48; no file has more.
  std::uint64_t values = 0;
  constexpr std::uint64_t limit = std::uint64_t{1} << 48;
  if (!checked_multiply(rows, cols, values) || values > limit || rows > limit || cols > limit ||
      block > limit) {
    return fail(note_, errc::overflow, "matrix '%s': %llu x %llu in blocks of %llu", name.text,
                ull{rows}, ull{cols}, ull{block});
  }
  const std::uint64_t per_block = block == 0 ? cols : block;
  entry.structure.block = static_cast<std::size_t>(block);
  entry.shape = make_packed_shape(static_cast<std::size_t>(rows), static_cast<std::size_t>(cols),
                                  static_cast<std::size_t>(per_block));
  for (std::size_t i = 0; i < 2; ++i) {
    const std::uint64_t every = u64(field + 56 + 8 * i);
    if (every == 0 || every > limit) {
      return fail(note_, errc::malformed, "matrix '%s': a super-scale per %llu blocks", name.text,
                  ull{every});
    }
    entry.super_every[i] = static_cast<std::size_t>(every);
    entry.center[i] = load_le<float>(field + 72 + 4 * i);
  }
  return errc::ok;
}

// At most one outlier per weight and 2^32 - 1 single ones, so their sizes are below 2^55.
inline errc packed_reader::read_outliers(const std::byte* field, packed_entry& entry) noexcept {
  const printable_name name(entry.name);
  const std::uint64_t num_values = u64(field + 104);
  const std::uint64_t num_columns = u64(field + 112);
  const std::uint64_t rows = entry.shape.rows;
  const std::uint64_t cols = entry.shape.cols;
  if (num_values > 0xFFFFFFFFu || num_values > rows * cols || num_columns > cols) {
    return fail(note_, errc::out_of_bounds,
                "matrix '%s': %llu outliers and %llu columns of them in %llu x %llu", name.text,
                ull{num_values}, ull{num_columns}, ull{rows}, ull{cols});
  }
  entry.outliers.num_values = static_cast<std::size_t>(num_values);
  entry.outliers.num_columns = static_cast<std::size_t>(num_columns);
  number_type* const types[] = {&entry.outliers.value_type, &entry.outliers.column_type};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto code = std::to_integer<std::uint8_t>(field[120 + i]);
    const std::uint64_t count = i == 0 ? num_values : num_columns;
    if (code >= std::size(outlier_types) || (count == 0 && code != 0)) {
      return fail(note_, errc::malformed, "matrix '%s': %llu outliers of type %u", name.text,
                  ull{count}, unsigned{code});
    }
    *types[i] = outlier_types[code];
  }
  return errc::ok;
}

// A tensor of plain numbers or a text: nothing but rows and columns, of at most 2^48 values.
inline errc packed_reader::read_plain(const std::byte* field, packed_entry& entry) noexcept {
  const printable_name name(entry.name);
  const auto content = std::to_integer<std::uint8_t>(field[53]);
  const auto rank = std::to_integer<std::uint8_t>(field[54]);
  if (version_ == packed_version || content > 2) {
    return fail(note_, errc::malformed, "'%s' is neither matrix nor tensor nor text: %u", name.text,
                unsigned{content});
  }
  entry.content = static_cast<packed_content>(content);
  if (!is_zero(field + 16, field + 24) || !is_zero(field + 40, field + 53) ||
      !is_zero(field + 55, field + 80) || !is_zero(field + 104, field + packed_entry_bytes)) {
    return fail(note_, errc::malformed, "'%s' has fields of a matrix that are not 0", name.text);
  }
  const bool is_text = entry.content == packed_content::text;
  const tensor_type_info* const type =
      find_tensor_type([&entry](const tensor_type_info& t) { return t.name == entry.format; });
  if (is_text ? entry.format != packed_text_format : type == nullptr || type->block_values != 1) {
    return fail(note_, errc::unknown_type, "'%s' is of type '%s'", name.text,
                printable_name(entry.format).text);
  }
  const std::uint64_t rows = u64(field + 24);
  const std::uint64_t cols = u64(field + 32);
  if (rank > 2 || (rank < 2 && rows != 1) || (rank == 0 && cols != 1) || (is_text && rank != 1)) {
    return fail(note_, errc::malformed, "'%s': rank %u of %llu x %llu", name.text, unsigned{rank},
                ull{rows}, ull{cols});
  }
  std::uint64_t values = 0;
  constexpr std::uint64_t limit = std::uint64_t{1} << 48;
  if (!checked_multiply(rows, cols, values) || values > limit || rows > limit || cols > limit) {
    return fail(note_, errc::overflow, "'%s': %llu x %llu", name.text, ull{rows}, ull{cols});
  }
  if (!is_text) entry.type = type->type;
  entry.rank = rank;
  entry.shape.rows = static_cast<std::size_t>(rows);
  entry.shape.cols = static_cast<std::size_t>(cols);
  return errc::ok;
}

inline errc packed_reader::place(const std::byte* field, packed_entry& entry) noexcept {
  const printable_name name(entry.name);
  const std::uint64_t begin = u64(field + 80);
  const std::uint64_t bytes = u64(field + 88);
  const std::uint64_t expected = entry.total();
  if (bytes != expected) {
    return fail(note_, errc::shape_mismatch, "matrix '%s' has %llu bytes, but its shape needs %llu",
                name.text, ull{bytes}, ull{expected});
  }
  if (begin % packed_alignment != 0) {
    return fail(note_, errc::malformed, "matrix '%s': offset %llu is no multiple of 64", name.text,
                ull{begin});
  }
  const std::uint64_t size = file_.size();
  if (begin > size || bytes > size - begin) {
    return fail(note_, begin > size ? errc::out_of_bounds : errc::truncated,
                "matrix '%s': %llu bytes at %llu, but the file has %llu", name.text, ull{bytes},
                ull{begin}, ull{size});
  }
  if (begin < text_end_) {
    return fail(note_, errc::overlap, "matrix '%s' begins inside the table", name.text);
  }
  entry.bytes = file_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(bytes));
  return errc::ok;
}

inline errc packed_reader::read_entry(const std::byte* field, packed_entry& entry) noexcept {
  errc e = read_names(field, entry);
  if (e == errc::ok && field[53] != std::byte{0}) {
    e = read_plain(field, entry);
  } else {
    if (e == errc::ok) e = read_shape(field, entry);
    if (e == errc::ok) e = read_outliers(field, entry);
  }
  if (e == errc::ok) e = place(field, entry);
  entry.fingerprint = u64(field + 16);
  entry.checksum = u64(field + 96);
  return e;
}

// No two matrices share a byte; between them lie less than 64 bytes.
inline errc packed_reader::check_places(packed_index& index) noexcept {
  const auto& entries = index.entries;
  sort_indices(index.by_name.items(), [&entries](std::uint32_t a, std::uint32_t b) {
    const auto& x = entries[a].bytes;
    const auto& y = entries[b].bytes;
    return x.data() != y.data() ? x.data() < y.data() : x.size() < y.size();
  });
  const std::byte* covered = file_.data() + text_end_;
  for (const std::uint32_t i : index.by_name.items()) {
    const packed_entry& m = entries[i];
    if (m.bytes.data() < covered) {
      return fail(note_, errc::overlap, "matrix '%s' begins inside the one before it",
                  printable_name(m.name).text);
    }
    if (m.bytes.data() - covered >= static_cast<std::ptrdiff_t>(packed_alignment)) {
      return fail(note_, errc::malformed, "bytes before matrix '%s' belong to no matrix",
                  printable_name(m.name).text);
    }
    // No checksum has them.
    if (!is_zero(covered, m.bytes.data())) {
      return fail(note_, errc::malformed, "bytes before matrix '%s' that belong to none are not 0",
                  printable_name(m.name).text);
    }
    covered = m.bytes.data() + m.bytes.size();
  }
  const auto rest = file_.data() + file_.size() - covered;
  if (rest >= static_cast<std::ptrdiff_t>(packed_alignment)) {
    return fail(note_, errc::malformed, "the last bytes belong to no matrix");
  }
  if (!is_zero(covered, file_.data() + file_.size())) {
    return fail(note_, errc::malformed, "the last bytes, which belong to no matrix, are not 0");
  }
  return errc::ok;
}

// Kernels read x where outliers say.
inline errc packed_reader::check_outliers(const packed_entry& entry) noexcept {
  if (entry.outliers.empty()) return errc::ok;
  const printable_name name(entry.name);
  if (reinterpret_cast<std::uintptr_t>(entry.bytes.data()) % alignof(std::uint32_t) != 0) {
    return fail(note_, errc::invalid_argument,
                "matrix '%s' has outliers, so the file should be in memory at a multiple of 4",
                name.text);
  }
  if (!outliers_are_sound(entry.data().outliers, entry.shape.rows, entry.shape.cols)) {
    return fail(note_, errc::malformed,
                "matrix '%s': the places of its outliers do not ascend inside %llu x %llu",
                name.text, ull{entry.shape.rows}, ull{entry.shape.cols});
  }
  return errc::ok;
}

inline errc packed_reader::check_table() noexcept {
  if (text_used_ != text_end_ - text_begin_) {
    return fail(note_, errc::malformed, "some bytes of the names belong to no matrix");
  }
  std::byte header[packed_header_bytes];
  std::memcpy(header, file_.data(), sizeof header);
  store_le(header + packed_checksum_at, std::uint64_t{0});
  checksum sum;
  sum.add(header);
  sum.add(file_.subspan(packed_header_bytes,
                        static_cast<std::size_t>(text_end_) - packed_header_bytes));
  if (sum.value() != u64(file_.data() + packed_checksum_at)) {
    return fail(note_, errc::malformed, "the table's checksum is not right");
  }
  return errc::ok;
}

inline errc packed_reader::read(packed_index& index) noexcept {
  errc e = read_header();
  if (e != errc::ok) return e;
  e = index.entries.reserve(budget_, count_);
  if (e == errc::ok) e = number_items(index.by_name, count_, budget_);
  if (e != errc::ok) return fail(note_, e, "%llu matrices", ull{count_});
  for (std::uint64_t i = 0; i < count_; ++i) {
    packed_entry entry;
    const std::byte* field = file_.data() + packed_header_bytes + i * packed_entry_bytes;
    if (e = read_entry(field, entry); e != errc::ok) return e;
    index.entries.push(entry);
  }
  if (e = check_table(); e != errc::ok) return e;
  if (e = check_places(index); e != errc::ok) return e;
  for (const packed_entry& entry : index.entries.items()) {
    if (e = check_outliers(entry); e != errc::ok) return e;
  }
  return sort_by_name(index.entries, index.by_name, "matrix", note_);
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_PACKED_READER_H_
