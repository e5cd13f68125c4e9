// SPDX-License-Identifier: Apache-2.0 OR MIT
// The catalogue as a run-time table: quantize and dequantize of each format, by kernel and by
// reference, behind function pointers. Compiled once (table_part.cc.in), so that tests which loop
// over formats, targets, rules and shapes are ordinary code and cost nothing to compile.
#ifndef NIBBLE_TESTS_SUPPORT_FORMAT_TABLE_H_
#define NIBBLE_TESTS_SUPPORT_FORMAT_TABLE_H_

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/core/context.h"
#include "nibble/core/errors.h"
#include "nibble/format/rules.h"
#include "nibble/format/storage.h"
#include "nibble/matrix.h"

namespace nibble_test {

using nibble::basic_section;
using nibble::errc;
using nibble::matrix_view;
using nibble::quantize_options;

struct section_size {
  std::size_t rows;
  std::size_t row_bytes;
};

using sections = const basic_section<std::uint8_t>*;
using const_sections = const basic_section<const std::uint8_t>*;

struct erased_format {
  std::string_view name;
  std::size_t block_cols;  ///< values of one row that share a scale or a record; nibble::all: a row
  std::size_t block_rows;  ///< rows that share a scale
  bool is_wire;
  bool is_plain;      ///< an element without scales
  bool row_local;     ///< a row's bytes depend on that row alone
  bool has_searches;  ///< scale rules make a difference
  std::vector<section_size> (*section_sizes)(std::size_t rows, std::size_t cols);
  errc (*quantize)(matrix_view<const float> x, sections w, const quantize_options& o);
  errc (*reference_quantize)(matrix_view<const float> x, sections w, const quantize_options& o);
  errc (*dequantize)(const_sections w, matrix_view<float> y);
  void (*reference_dequantize)(const_sections w, matrix_view<float> y);
  // By all threads of a context.
  errc (*quantize_with)(matrix_view<const float> x, sections w, nibble::context& with,
                        const quantize_options& o);
  errc (*dequantize_with)(const_sections w, matrix_view<float> y, nibble::context& with);
  errc (*get_rows)(const_sections w, std::size_t rows, std::span<const std::uint32_t> ids,
                   matrix_view<float> y);
};

/// Every format of the catalogue, or the few of tables.h.
const std::vector<erased_format>& catalogue();

/// The format of that name; stops the program if there is none.
const erased_format& format_named(std::string_view name);

/// Whether the tables lack this format because few were asked for (NIBBLE_TEST_FORMATS); says so.
bool left_out(std::string_view name);

/// Memory for a quantized matrix: one allocation per section, `gap` bytes between rows, first byte
/// `offset` bytes into the allocation. Everything starts as `poison`.
class quantized_parts {
 public:
  static constexpr std::uint8_t default_poison = 0xA5;

  quantized_parts(const erased_format& f, std::size_t rows, std::size_t cols, std::size_t gap = 0,
                  std::size_t offset = 0, std::uint8_t poison = default_poison)
      : sizes_(f.section_sizes(rows, cols)), gap_(gap), offset_(offset), poison_(poison) {
    for (const section_size& s : sizes_) {
      bytes_.emplace_back(offset + s.rows * (s.row_bytes + gap) + 1, poison);
    }
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      sections_.push_back({bytes_[i].data() + offset, sizes_[i].row_bytes + gap});
      const_sections_.push_back(sections_.back());
    }
  }
  quantized_parts(quantized_parts&&) = default;

  [[nodiscard]] sections writable() { return sections_.data(); }
  [[nodiscard]] const_sections readable() const { return const_sections_.data(); }
  [[nodiscard]] std::size_t count() const { return sizes_.size(); }
  [[nodiscard]] const section_size& size(std::size_t section) const { return sizes_[section]; }
  [[nodiscard]] std::uint8_t* row(std::size_t section, std::size_t r) {
    return sections_[section].data + r * sections_[section].stride;
  }

  /// The bytes of a section without gaps.
  [[nodiscard]] std::vector<std::uint8_t> packed(std::size_t section) const {
    std::vector<std::uint8_t> bytes;
    const section_size& s = sizes_[section];
    for (std::size_t r = 0; r < s.rows; ++r) {
      const std::uint8_t* from =
          const_sections_[section].data + r * const_sections_[section].stride;
      bytes.insert(bytes.end(), from, from + s.row_bytes);
    }
    return bytes;
  }

  /// Nothing was written before, between and after the rows.
  [[nodiscard]] bool gaps_untouched() const {
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      const std::vector<std::uint8_t>& b = bytes_[i];
      for (std::size_t at = 0; at < b.size(); ++at) {
        const std::size_t stride = sizes_[i].row_bytes + gap_;
        const std::size_t past = at - offset_;
        const bool inside =
            at >= offset_ && past < sizes_[i].rows * stride && past % stride < sizes_[i].row_bytes;
        if (!inside && b[at] != poison_) return false;
      }
    }
    return true;
  }

 private:
  std::vector<section_size> sizes_;
  std::size_t gap_;
  std::size_t offset_;
  std::uint8_t poison_;
  std::vector<std::vector<std::uint8_t>> bytes_;
  std::vector<basic_section<std::uint8_t>> sections_;
  std::vector<basic_section<const std::uint8_t>> const_sections_;
};

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_FORMAT_TABLE_H_
