// SPDX-License-Identifier: Apache-2.0 OR MIT
// Formats as a user would add them: one declaration each, in a file of his own, nothing of nibble
// touched.
#ifndef NIBBLE_TESTS_FORMAT_USER_FORMATS_H_
#define NIBBLE_TESTS_FORMAT_USER_FORMATS_H_

#include "nibble/element/all.h"
#include "nibble/format/block.h"
#include "nibble/format/wire.h"

/// 5-bit codes, blocks of 48, bfloat16 scales, a half precision zero point.
struct user_5bit
    : nibble::block<nibble::uint5, 48, nibble::scale<nibble::bf16>, nibble::zero<nibble::f16>> {
  static constexpr std::string_view name = "user_5bit";
};

/// 6-bit codes in blocks of 80 with the least value stored.
struct user_6bit
    : nibble::block<nibble::uint6, 80, nibble::scale<nibble::f16>, nibble::offset<nibble::bf16>> {
  static constexpr std::string_view name = "user_6bit";
};

/// 8-bit floats with half precision scales, in blocks of 24.
struct user_fp8 : nibble::block<nibble::fp8_e5m2fnuz, 24, nibble::scale<nibble::f16>> {
  static constexpr std::string_view name = "user_fp8";
};

/// 3-bit codes whose scales are 6-bit codes whose scales are 8-bit floats with one f32 per row.
struct user_nested
    : nibble::block<nibble::int3, 16,
                    nibble::scale<nibble::block<
                        nibble::uint6, 8,
                        nibble::scale<nibble::block<nibble::fp8_e4m3fn, nibble::whole_row,
                                                    nibble::scale<nibble::f32>>>>>> {
  static constexpr std::string_view name = "user_nested";
};

/// Small tiles with a minimum that is itself quantized.
struct user_tiles : nibble::block<nibble::uint4, nibble::tile(4, 16), nibble::scale<nibble::f16>,
                                  nibble::minimum<nibble::block<nibble::uint8, nibble::whole_row,
                                                                nibble::scale<nibble::f32>>>> {
  static constexpr std::string_view name = "user_tiles";
};

/// Deviations from the mean of the tensor.
struct user_centered : nibble::block<nibble::int8, 32, nibble::scale<nibble::f32>,
                                     nibble::center<nibble::f32, nibble::whole_tensor>> {
  static constexpr std::string_view name = "user_centered";
};

/// A codebook of the user's own, 3 bits: powers of two and zero.
struct user_book_values {
  static constexpr std::string_view name = "user_book";
  static constexpr nibble::book_ties ties = nibble::book_ties::down;
  static constexpr std::array<float, 8> values{-1, -0.5f, -0.25f, 0, 0.125f, 0.25f, 0.5f, 1};
};
struct user_book
    : nibble::block<nibble::codebook<user_book_values>, 32, nibble::scale<nibble::f16>> {
  static constexpr std::string_view name = "user_book";
};

/// Someone else's bytes: 16 codes of 4 bits, high nibble first, then an 8-bit scale.
struct user_record_layout {
  static constexpr std::size_t block_values = 16;
  static constexpr std::size_t block_bytes = 9;
  static constexpr nibble::bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section != 0) return nibble::byte_field(8, 1);
    return nibble::field({static_cast<std::uint16_t>(i / 2),
                          static_cast<std::uint8_t>(4 - 4 * (i % 2)), 4, 0, false});
  }
};
struct user_record : nibble::wire<nibble::block<nibble::int4, 16, nibble::scale<nibble::fp8_e5m2>>,
                                  user_record_layout> {
  static constexpr std::string_view name = "user_record";
};

#endif  // NIBBLE_TESTS_FORMAT_USER_FORMATS_H_
