// SPDX-License-Identifier: Apache-2.0 OR MIT
// Formats whose scales and codes lie across the pieces that kernels read: scales of scales that
// begin inside a chunk, inside a block, at every run of blocks; records whose codes cross bytes and
// that have bytes nobody uses. One target, that of the compiler's flags.
#include "support/agreement.h"
#include "support/make_erased.h"

using namespace nibble;
using namespace nibble_test;

namespace {

/// Runs of 64 blocks: the second begins 16 scales into a block of 48, at an odd scale of scales.
struct blocks_of_48
    : block<int3, 16, scale<block<uint6, 48, scale<block<uint4, whole_row, scale<f32>>>>>> {
  static constexpr std::string_view name = "blocks_of_48";
};

/// The same with blocks that end inside chunks.
struct blocks_of_24
    : block<int3, 16, scale<block<uint6, 24, scale<block<uint4, whole_row, scale<f32>>>>>> {
  static constexpr std::string_view name = "blocks_of_24";
};

/// The scale; two spare bytes; 16 codes of 6 bits one behind the other, low bits first.
struct stream_layout {
  static constexpr std::size_t block_values = 16;
  static constexpr std::size_t block_bytes = 15;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section != 0) return byte_field(0, 1);
    const auto byte = static_cast<std::uint16_t>(3 + i * 6 / 8);
    const auto shift = static_cast<std::uint8_t>(i * 6 % 8);
    const auto low = static_cast<std::uint8_t>(shift <= 2 ? 6 : 8 - shift);
    const bit_piece first{byte, shift, low, 0, false};
    if (low == 6) return field(first);
    return field(first, {static_cast<std::uint16_t>(byte + 1), 0,
                         static_cast<std::uint8_t>(6 - low), low, false});
  }
};
struct stream_of_codes : wire<block<int6, 16, scale<fp8_e5m2>>, stream_layout> {
  static constexpr std::string_view name = "stream_of_codes";
};

/// As many pieces as a code can have: 16 codes of 8 bits in four planes of two bits each.
struct four_pieces_layout {
  static constexpr std::size_t block_values = 16;
  static constexpr std::size_t block_bytes = 17;
  static constexpr bit_field locate(std::size_t section, std::size_t i) noexcept {
    if (section != 0) return byte_field(16, 1);
    // Four planes of two bits, four codes to a byte.
    const auto byte = static_cast<std::uint16_t>(i / 4);
    const auto shift = static_cast<std::uint8_t>(i % 4 * 2);
    return field({byte, shift, 2, 0, false},
                 {static_cast<std::uint16_t>(4 + byte), shift, 2, 2, false},
                 {static_cast<std::uint16_t>(8 + byte), shift, 2, 4, false},
                 {static_cast<std::uint16_t>(12 + byte), shift, 2, 6, false});
  }
};
struct codes_in_four_pieces : wire<block<int8, 16, scale<fp8_e5m2>>, four_pieces_layout> {
  static constexpr std::string_view name = "codes_in_four_pieces";
};

const std::vector<erased_format>& formats() {
  static const std::vector<erased_format> all{
      make_erased<blocks_of_48>(), make_erased<blocks_of_24>(), make_erased<codes_in_four_pieces>(),
      make_erased<stream_of_codes>()};
  return all;
}

constexpr shape sizes[] = {{1, 16}, {2, 100}, {3, 1000}, {2, 1040}, {3, 2077}, {1, 5000}};

}  // namespace

TEST_CASE("scales in pieces, and codes across bytes, are quantized as the reference does") {
  for (const erased_format& f : formats()) {
    disagreements found(f.name);
    for (const shape size : sizes) {
      check_quantize_case(f, {"standard"}, fill::heavy_tailed, size, found);
    }
    CHECK(found.count() == 0);
  }
}

TEST_CASE("scales in pieces, and codes across bytes, are dequantized as the reference does") {
  for (const erased_format& f : formats()) {
    disagreements found(f.name);
    for (const shape size : sizes) check_dequantize_case(f, size, found);
    CHECK(found.count() == 0);
  }
}

TEST_CASE("codes one behind the other, and a zero where nothing is: by hand") {
  const erased_format& f = formats().back();
  std::vector<float> x{31, -31, 1, 2, 3, -1};
  x.resize(16, 0.0f);
  const auto r = round_trip(f, x, 1, 16);
  // 31 100001 000001 000010 | 000011 111111, low bits first.
  CHECK(hex(r.w.parts.packed(0)) == "3c 00 00 5f 18 08 c3 0f 00 00 00 00 00 00 00 ");
  CHECK(r.values == x);
}
