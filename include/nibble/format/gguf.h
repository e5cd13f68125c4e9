// SPDX-License-Identifier: Apache-2.0 OR MIT
// The GGUF block types: meaning, bytes and quantizer rule of each. Source of every layout and rule:
// ggml's documentation of its block types, docs/formats.md.
//
// Positions are written for value i of a record. The common shapes:
//
//   halves    byte j holds value j in its low nibble and value j + 16 in its high nibble
//   bit rows  32 bytes, bit or bit pair g of byte l belongs to value 32 g + l
#ifndef NIBBLE_FORMAT_GGUF_H_
#define NIBBLE_FORMAT_GGUF_H_

#include "nibble/element/codebook.h"
#include "nibble/element/ggml.h"
#include "nibble/element/integer.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/wire.h"

namespace nibble::inline NIBBLE_ABI {
namespace gguf {

/// Types whose quantizer searches, see gguf_search.h: `search_type` for the standard rule,
/// `weighted_search_type` for scale_rule::weighted.
namespace search {
struct q2_k;
struct q3_k;
struct q4_k;
struct q5_k;
struct q6_k;
struct iq4_nl;
struct iq4_xs;
struct q4_0;
struct q4_1;
struct q5_0;
struct q5_1;
}  // namespace search

namespace detail {

constexpr bit_piece piece(std::size_t byte, std::size_t shift, int width, int to = 0) noexcept {
  return {static_cast<std::uint16_t>(byte), static_cast<std::uint8_t>(shift),
          static_cast<std::uint8_t>(width), static_cast<std::uint8_t>(to)};
}

constexpr bit_piece halves(std::size_t first, std::size_t i) noexcept {
  return piece(first + i % 16, 4 * (i / 16), 4);
}

/// 32 values: scale, perhaps an offset, perhaps a word of fifth bits, nibbles in halves.
template <bool HasOffset, bool HasFifth>
struct nibble_layout {
  static constexpr std::size_t fifth = HasOffset ? 4 : 2;
  static constexpr std::size_t nibbles = fifth + (HasFifth ? 4 : 0);
  static constexpr std::size_t block_values = 32;
  static constexpr std::size_t block_bytes = nibbles + 16;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section == 0) {
      return field(halves(nibbles, i), HasFifth ? piece(fifth + i / 8, i % 8, 1, 4) : bit_piece{});
    }
    return byte_field(2 * (section - 1), 2);
  }
};

/// A scale of `ScaleBytes`, then signed bytes, then `Rest` bytes that are derived from them.
template <std::size_t Values, std::size_t ScaleBytes, std::size_t First, std::size_t Rest>
struct byte_layout {
  static constexpr std::size_t block_values = Values;
  static constexpr std::size_t block_bytes = First + Values + Rest;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    return section == 0 ? byte_field(First + i, 1) : byte_field(0, ScaleBytes);
  }
};

/// Q8_1 keeps scale * sum(codes) beside the scale, from the scale before rounding.
struct q8_1_layout : byte_layout<32, 2, 4, 0> {
  static constexpr void finish(std::uint8_t* bytes, const std::uint8_t* codes,
                               const float* scales) noexcept {
    int sum = 0;
    for (std::size_t i = 0; i < block_values; ++i) sum += static_cast<std::int8_t>(codes[i]);
    store_bits(bytes, byte_field(2, 2),
               f16::encode(static_cast<float>(sum) * scales[0], {.over = overflow::to_special}));
  }
};

/// Q8_K keeps the sums of 16 codes each.
struct q8_K_layout : byte_layout<256, 4, 4, 32> {
  static constexpr void finish(std::uint8_t* bytes, const std::uint8_t* codes,
                               const float* /*scales*/) noexcept {
    for (std::size_t s = 0; s < 16; ++s) {
      int sum = 0;
      for (std::size_t i = 0; i < 16; ++i) sum += static_cast<std::int8_t>(codes[16 * s + i]);
      store_bits(bytes, byte_field(260 + 2 * s, 2), static_cast<std::uint16_t>(sum));
    }
  }
};

constexpr bit_piece bit_pairs(std::size_t first, std::size_t i) noexcept {
  return piece(first + 32 * (i / 128) + i % 32, 2 * (i / 32 % 4), 2);
}

struct q2_K_layout {
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = 84;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    switch (section) {
      case 0: return field(bit_pairs(16, i));
      case 1: return field(piece(i, 0, 4));
      case 2: return byte_field(80, 2);
      case 3: return field(piece(i, 4, 4));
      default: return byte_field(82, 2);
    }
  }
};

struct q3_K_layout {
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = 110;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    switch (section) {
      case 0: return field(bit_pairs(32, i), piece(i % 32, i / 32, 1, 2));
      case 1:
        return field(piece(96 + i % 8, 4 * (i / 8), 4), piece(104 + i % 4, 2 * (i / 4), 2, 4));
      default: return byte_field(108, 2);
    }
  }
};

/// The 12 bytes that hold eight 6-bit scales and eight 6-bit minimums of Q4_K and Q5_K.
constexpr bit_field k_scale(std::size_t first, std::size_t s) noexcept {
  if (s < 4) return field(piece(first + s, 0, 6));
  return field(piece(first + s + 4, 0, 4), piece(first + s - 4, 6, 2, 4));
}
constexpr bit_field k_minimum(std::size_t first, std::size_t s) noexcept {
  if (s < 4) return field(piece(first + s + 4, 0, 6));
  return field(piece(first + s + 4, 4, 4), piece(first + s, 6, 2, 4));
}

template <bool HasFifth>
struct q45_K_layout {
  static constexpr std::size_t nibbles = HasFifth ? 48 : 16;
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = nibbles + 128;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    switch (section) {
      case 0:
        return field(piece(nibbles + 32 * (i / 64) + i % 32, 4 * (i / 32 % 2), 4),
                     HasFifth ? piece(16 + i % 32, i / 32, 1, 4) : bit_piece{});
      case 1: return k_scale(4, i);
      case 2: return byte_field(0, 2);
      case 3: return k_minimum(4, i);
      default: return byte_field(2, 2);
    }
  }
};

struct q6_K_layout {
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = 210;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    const std::size_t half = i / 128;
    const std::size_t j = i / 32 % 4;
    switch (section) {
      case 0:
        return field(piece(64 * half + 32 * (j % 2) + i % 32, 4 * (j / 2), 4),
                     piece(128 + 32 * half + i % 32, 2 * j, 2, 4));
      case 1: return byte_field(192 + i, 1);
      default: return byte_field(208, 2);
    }
  }
};

struct iq4_xs_layout {
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = 136;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    switch (section) {
      case 0: return field(piece(8 + 16 * (i / 32) + i % 16, 4 * (i / 16 % 2), 4));
      case 1: return field(piece(4 + i / 2, 4 * (i % 2), 4), piece(2 + i / 4, 2 * (i % 4), 2, 4));
      default: return byte_field(0, 2);
    }
  }
};

struct tq1_0_layout {
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = 54;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section != 0) return byte_field(52, 2);
    bit_piece p = i < 160   ? piece(i % 32, i / 32, 2)
                  : i < 240 ? piece(32 + (i - 160) % 16, (i - 160) / 16, 2)
                            : piece(48 + (i - 240) % 4, (i - 240) / 4, 2);
    p.base3 = true;
    return field(p);
  }
};

struct tq2_0_layout {
  static constexpr std::size_t block_values = 256;
  static constexpr std::size_t block_bytes = 66;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    return section == 0 ? field(bit_pairs(0, i)) : byte_field(64, 2);
  }
};

struct mxfp4_layout {
  static constexpr std::size_t block_values = 32;
  static constexpr std::size_t block_bytes = 17;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    return section == 0 ? field(halves(1, i)) : byte_field(0, 1);
  }
};

struct nvfp4_layout {
  static constexpr std::size_t block_values = 64;
  static constexpr std::size_t block_bytes = 36;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section != 0) return byte_field(i, 1);
    return field(piece(4 + 8 * (i / 16) + i % 8, 4 * (i / 8 % 2), 4));
  }
};

/// A scale, then codes of `Bits` bits from the low bits up.
template <std::size_t Values, std::size_t Bits>
struct sequential_layout {
  static constexpr std::size_t block_values = Values;
  static constexpr std::size_t block_bytes = 2 + Values * Bits / 8;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section != 0) return byte_field(0, 2);
    return field(piece(2 + i * Bits / 8, i * Bits % 8, static_cast<int>(Bits)));
  }
};

// The meanings that several types share.
template <class Element, class ScaleCode, std::size_t Length>
using k_block = block<Element, Length, scale<block<ScaleCode, 256 / Length, scale<f16>>>>;
template <class Element, class ScaleCode, std::size_t Length>
using k_min_block = block<Element, Length, scale<block<ScaleCode, 256 / Length, scale<f16>>>,
                          minimum<block<ScaleCode, 256 / Length, scale<f16>>>>;

using fit = quantizer_rule::fit;
using code = quantizer_rule::code;

}  // namespace detail

struct q4_0 : wire<block<offset_int<4, 8>, 32, scale<f16>>, detail::nibble_layout<false, false>> {
  static constexpr std::string_view name = "q4_0";
  using weighted_search_type = search::q4_0;
  static constexpr int type_id = 2;
  static constexpr quantizer_rule rule{.how = detail::fit::signed_absmax,
                                       .codes = detail::code::add_half,
                                       .divisor = -8,
                                       .stored_scale = false,
                                       .raw_scale = true};
};
struct q4_1 : wire<block<uint4, 32, scale<f16>, offset<f16>>, detail::nibble_layout<true, false>> {
  static constexpr std::string_view name = "q4_1";
  using weighted_search_type = search::q4_1;
  static constexpr int type_id = 3;
  static constexpr quantizer_rule rule{.how = detail::fit::range,
                                       .codes = detail::code::add_half,
                                       .divisor = 15,
                                       .range_includes_zero = false,
                                       .stored_scale = false,
                                       .raw_scale = true};
};
struct q5_0 : wire<block<offset_int<5, 16>, 32, scale<f16>>, detail::nibble_layout<false, true>> {
  static constexpr std::string_view name = "q5_0";
  using weighted_search_type = search::q5_0;
  static constexpr int type_id = 6;
  static constexpr quantizer_rule rule{.how = detail::fit::signed_absmax,
                                       .codes = detail::code::add_half,
                                       .divisor = -16,
                                       .stored_scale = false,
                                       .raw_scale = true};
};
struct q5_1 : wire<block<uint5, 32, scale<f16>, offset<f16>>, detail::nibble_layout<true, true>> {
  static constexpr std::string_view name = "q5_1";
  using weighted_search_type = search::q5_1;
  static constexpr int type_id = 7;
  static constexpr quantizer_rule rule{.how = detail::fit::range,
                                       .codes = detail::code::add_half,
                                       .divisor = 31,
                                       .range_includes_zero = false,
                                       .stored_scale = false,
                                       .raw_scale = true};
};
/// The reference rounding (ties away); GGML's run-time activation quantizers round ties to even.
struct q8_0 : wire<block<int8, 32, scale<f16>>, detail::byte_layout<32, 2, 2, 0>> {
  static constexpr std::string_view name = "q8_0";
  static constexpr int type_id = 8;
  static constexpr quantizer_rule rule{
      .round = rounding::nearest_away, .divisor = 127, .stored_scale = false, .raw_scale = true};
};
struct q8_1 : wire<block<int8, 32, scale<f16>>, detail::q8_1_layout> {
  static constexpr std::string_view name = "q8_1";
  static constexpr int type_id = 9;
  static constexpr quantizer_rule rule = q8_0::rule;
};
struct q2_K : wire<detail::k_min_block<uint2, uint4, 16>, detail::q2_K_layout> {
  static constexpr std::string_view name = "q2_K";
  using search_type = search::q2_k;
  using weighted_search_type = search_type;
  static constexpr int type_id = 10;
};
struct q3_K : wire<detail::k_block<offset_int<3, 4>, offset_int<6, 32>, 16>, detail::q3_K_layout> {
  static constexpr std::string_view name = "q3_K";
  using search_type = search::q3_k;
  using weighted_search_type = search_type;
  static constexpr int type_id = 11;
};
struct q4_K : wire<detail::k_min_block<uint4, uint6, 32>, detail::q45_K_layout<false>> {
  static constexpr std::string_view name = "q4_K";
  using search_type = search::q4_k;
  using weighted_search_type = search_type;
  static constexpr int type_id = 12;
};
struct q5_K : wire<detail::k_min_block<uint5, uint6, 32>, detail::q45_K_layout<true>> {
  static constexpr std::string_view name = "q5_K";
  using search_type = search::q5_k;
  using weighted_search_type = search_type;
  static constexpr int type_id = 13;
};
struct q6_K : wire<detail::k_block<offset_int<6, 32>, int8, 16>, detail::q6_K_layout> {
  static constexpr std::string_view name = "q6_K";
  using search_type = search::q6_k;
  using weighted_search_type = search_type;
  static constexpr int type_id = 14;
};
struct q8_K : wire<block<int8, 256, scale<f32>>, detail::q8_K_layout> {
  static constexpr std::string_view name = "q8_K";
  static constexpr int type_id = 15;
  static constexpr quantizer_rule rule{.how = detail::fit::signed_absmax,
                                       .divisor = -127,
                                       .stored_scale = false,
                                       .inverse_first = true,
                                       .raw_scale = true};
};
struct iq4_nl : wire<block<nibble::iq4_nl, 32, scale<f16>>, detail::nibble_layout<false, false>> {
  static constexpr std::string_view name = "iq4_nl";
  using search_type = search::iq4_nl;
  using weighted_search_type = search_type;
  static constexpr int type_id = 20;
};
struct iq4_xs
    : wire<detail::k_block<nibble::iq4_nl, offset_int<6, 32>, 32>, detail::iq4_xs_layout> {
  static constexpr std::string_view name = "iq4_xs";
  using search_type = search::iq4_xs;
  using weighted_search_type = search_type;
  static constexpr int type_id = 23;
};
struct tq1_0 : wire<block<ternary, 256, scale<f16>>, detail::tq1_0_layout> {
  static constexpr std::string_view name = "tq1_0";
  static constexpr int type_id = 34;
  static constexpr quantizer_rule rule{
      .round = rounding::nearest_away, .stored_scale = false, .raw_scale = true};
};
struct tq2_0 : wire<block<ternary, 256, scale<f16>>, detail::tq2_0_layout> {
  static constexpr std::string_view name = "tq2_0";
  static constexpr int type_id = 35;
  static constexpr quantizer_rule rule = tq1_0::rule;
};
struct mxfp4 : wire<block<fp4_e2m1_x2, 32, scale<e8m0_half>>, detail::mxfp4_layout> {
  static constexpr std::string_view name = "mxfp4_gguf";
  static constexpr int type_id = 39;
  static constexpr quantizer_rule rule{
      .how = detail::fit::power_of_two, .divisor = 3, .raw_scale = true};
};
struct nvfp4 : wire<block<fp4_e2m1_x2, 16, scale<ue4m3_ggml>>, detail::nvfp4_layout> {
  static constexpr std::string_view name = "nvfp4_gguf";
  static constexpr int type_id = 40;
  static constexpr quantizer_rule rule{
      .codes = detail::code::nearest_product, .divisor = 12, .raw_scale = true};
};
struct q1_0 : wire<block<binary, 128, scale<f16>>, detail::sequential_layout<128, 1>> {
  static constexpr std::string_view name = "q1_0";
  static constexpr int type_id = 41;
  static constexpr quantizer_rule rule{
      .how = detail::fit::mean_abs, .stored_scale = false, .raw_scale = true};
};
struct q2_0 : wire<block<ternary, 64, scale<f16>>, detail::sequential_layout<64, 2>> {
  static constexpr std::string_view name = "q2_0";
  static constexpr int type_id = 42;
  static constexpr quantizer_rule rule = tq1_0::rule;
};

}  // namespace gguf
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_GGUF_H_
