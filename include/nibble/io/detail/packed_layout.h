// SPDX-License-Identifier: Apache-2.0 OR MIT
// The fields of a file of packed matrices, where they lie, and its checksum.
#ifndef NIBBLE_IO_DETAIL_PACKED_LAYOUT_H_
#define NIBBLE_IO_DETAIL_PACKED_LAYOUT_H_

#include <bit>
#include <cstring>
#include <span>
#include <string_view>

#include "nibble/core/errors.h"
#include "nibble/format/packed.h"
#include "nibble/io/detail/bytes.h"
#include "nibble/io/tensor_file.h"

namespace nibble::inline NIBBLE_ABI {

/// What an entry of a packed file is: a packed matrix, a tensor of plain numbers, a text.
enum class packed_content : std::uint8_t { matrix, tensor, text };

namespace detail {

static_assert(
    std::endian::native == std::endian::little,
    "nibble: packed files are mapped, so their numbers are those of little-endian machines");

// header                          matrix
//   0  magic                        0  u64 offset of its name in the text, 8 u32 length
//   8  u32 version                 12  u32 length of the format's name, which follows it
//  12  u32 0                       16  u64 fingerprint
//  16  u64 number of matrices      24  u64 rows, 32 cols
//  24  u64 bytes of text           40  u64 values per block, 0: whole rows
//  32  u64 bytes of the file       48  u8 bits of a code, 4 x u8 bytes of a scale, super-scale,
//  40  u64 checksum of all before      shift, super-shift
//      the data, this field as 0   53  u8 content, 54 u8 rank of a tensor; 0
//  48  0                           56  u64 blocks per super-scale, 64 per super-shift
//                                  72  f32 centre of scales, 76 of shifts
//                                  80  u64 offset of the data, 88 bytes, 96 checksum
//                                104  u64 single outliers, 112 outlier columns
//                                120  u8 types of their values (outlier_type_code), 121; 6 x 0
//
// The data of a matrix: codes, scales ..., then the arrays of its outlier_data, each filled up to a
// multiple of 64 with zeros. Files without outliers have zeros from 104 on.
//
// Version 2 has tensors of plain numbers (content 1; the name of the format is that of the type:
// "bf16") and texts (2; "text", 1 row) among its entries: row by row as they are, filled up to a
// multiple of 64. They have rows, cols, offset, bytes, checksum; all other fields are 0. Files
// without them are of version 1.
inline constexpr std::string_view packed_magic = "NIBBLE\x16\x04";  // 16 rows x 4 k
inline constexpr std::uint32_t packed_version = 1;
inline constexpr std::uint32_t packed_version_with_plain = 2;
inline constexpr std::string_view packed_text_format = "text";
inline constexpr std::size_t packed_header_bytes = 64;
inline constexpr std::size_t packed_entry_bytes = 128;
inline constexpr std::size_t packed_checksum_at = 40;
inline constexpr std::uint32_t max_packed_name = 65536;
inline constexpr std::uint64_t packed_alignment = 64;

/// Types of outliers, as a file has them: 0 f32, 1 bf16, 2 f16.
inline constexpr number_type outlier_types[] = {number_type::f32, number_type::bf16,
                                                number_type::f16};
constexpr std::uint8_t outlier_type_code(number_type t) noexcept {
  return t == number_type::bf16 ? 1 : t == number_type::f16 ? 2 : 0;
}

/// What a plain entry fills: its bytes, to a multiple of 64.
constexpr std::uint64_t plain_bytes(std::uint64_t rows, std::uint64_t cols,
                                    std::uint64_t value_bytes) noexcept {
  return (rows * cols * value_bytes + packed_alignment - 1) / packed_alignment * packed_alignment;
}

/// One entry of a file.
struct packed_entry {
  packed_content content = packed_content::matrix;
  tensor_type type = tensor_type::u8;  ///< of a tensor
  std::uint8_t rank = 0;               ///< of a tensor: at most 2
  std::string_view name;
  std::string_view format;
  std::uint64_t fingerprint = 0;
  packed_structure structure;
  packed_shape shape;
  std::array<std::size_t, 2> super_every{1, 1};
  std::array<float, 2> center{};
  outlier_data outliers;  ///< counts and types; data() has the arrays
  std::span<const std::byte> bytes;
  std::uint64_t checksum = 0;

  [[nodiscard]] packed_sizes sizes() const noexcept {
    return packed_sizes_of(structure, shape, super_every);
  }
  [[nodiscard]] outlier_sizes sizes_of_outliers() const noexcept {
    return outlier_sizes_of(outliers, shape.rows, shape.cols);
  }
  /// What `bytes` should have.
  [[nodiscard]] std::size_t total() const noexcept {
    if (content != packed_content::matrix) {
      return static_cast<std::size_t>(
          plain_bytes(shape.rows, shape.cols, describe(type).block_bytes));
    }
    return sizes().total + sizes_of_outliers().total;
  }
  /// The matrix, to be read as what `format` means.
  [[nodiscard]] packed_data data() const noexcept {
    packed_data d;
    if (content != packed_content::matrix) return d;
    d.shape = shape;
    d.super_every = super_every;
    d.center = center;
    const packed_sizes z = sizes();
    const auto* base = reinterpret_cast<const std::uint8_t*>(bytes.data());
    d.outliers = outliers;
    d.outliers.matrix_rows = shape.rows;
    d.outliers.matrix_cols = shape.cols;
    point_into(d.outliers, sizes_of_outliers(), base + z.total);
    if (z.total == 0) return d;
    d.codes = base + z.offset[0];
    for (std::size_t i = 0; i < num_parts; ++i) {
      d.parts[i] = z.bytes[1 + i] == 0 ? nullptr : base + z.offset[1 + i];
    }
    return d;
  }
  /// The bytes of a tensor or a text, without what fills them up.
  [[nodiscard]] std::span<const std::byte> plain() const noexcept {
    if (content == packed_content::matrix) return {};
    return bytes.first(shape.rows * shape.cols * describe(type).block_bytes);
  }
  /// Whether this is a matrix of that format, which would have the sizes of `expected`.
  [[nodiscard]] errc check(std::string_view name_wanted, std::uint64_t fingerprint_wanted,
                           const packed_structure& structure_wanted,
                           const packed_data& expected) const noexcept {
    if (content != packed_content::matrix || format != name_wanted) return errc::unknown_type;
    if (fingerprint != fingerprint_wanted || !(structure == structure_wanted) ||
        !(shape == expected.shape) || super_every != expected.super_every) {
      return errc::shape_mismatch;
    }
    return errc::ok;
  }
};

[[nodiscard]] inline std::string_view key_of(const packed_entry& e) noexcept { return e.name; }

template <class T>
inline void store_le(std::byte* to, T value) noexcept {
  std::memcpy(to, &value, sizeof value);
}

/// A checksum of bytes in order. Four lanes take 8 bytes in turn,
///
///   lane = rotate_left((lane ^ word) * p, 29)
///
/// and are joined in the same way, then the number of bytes; the last 32 are filled up with zeros.
/// Every step is a bijection of its word, so two inputs that differ in one word never agree; others
/// do by chance, 1 in 2^64. Not for adversaries. About 12 GB/s.
class checksum {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    NIBBLE_ASSERT(length_ % 32 == 0, "only the last piece may end inside 32 bytes");
    length_ += bytes.size();
    const std::byte* p = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 32; left -= 32, p += 32) step(p);
    if (left != 0) {
      std::byte last[32] = {};
      std::memcpy(last, p, left);
      step(last);
    }
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    std::uint64_t h = length_;
    for (const std::uint64_t lane : lanes_) h = mix(h, lane);
    h ^= h >> 32;
    return h;
  }

 private:
  static constexpr std::uint64_t mix(std::uint64_t lane, std::uint64_t word) noexcept {
    return std::rotl((lane ^ word) * 0x9E3779B97F4A7C15u, 29);
  }
  void step(const std::byte* p) noexcept {
    for (std::size_t i = 0; i < 4; ++i)
      lanes_[i] = mix(lanes_[i], load_le<std::uint64_t>(p + 8 * i));
  }

  std::array<std::uint64_t, 4> lanes_{1, 2, 3, 4};
  std::uint64_t length_ = 0;
};

[[nodiscard]] inline std::uint64_t hash_bytes(std::span<const std::byte> bytes) noexcept {
  checksum sum;
  sum.add(bytes);
  return sum.value();
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_DETAIL_PACKED_LAYOUT_H_
