// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of format/bits.h: the planar order of codes, bit fields, base-3 digits.
#include "nibble/format/bits.h"

#include <cstring>

#include "support/cases.h"
#include "support/catch.h"

using nibble::bit_field;
using nibble::bit_piece;
using nibble_test::random_bits;

TEST_CASE("planar order: every bit of a chunk belongs to exactly one code") {
  for (int bits = 1; bits <= 8; ++bits) {
    INFO(bits << " bits");
    const std::size_t chunk_bytes = 2 * static_cast<std::size_t>(bits);
    std::vector<int> used(8 * chunk_bytes, 0);
    for (std::size_t i = 0; i < nibble::chunk_size; ++i) {
      std::uint32_t code_bits = 0;
      for (const bit_piece& p : nibble::planar_field(bits, i).pieces) {
        for (unsigned b = 0; b < p.width; ++b) {
          REQUIRE(p.byte < chunk_bytes);
          REQUIRE(p.shift + b < 8);
          ++used[8u * p.byte + p.shift + b];
          const std::uint32_t bit = 1u << (p.to + b);
          CHECK((code_bits & bit) == 0);
          code_bits |= bit;
        }
      }
      CHECK(code_bits == (1u << bits) - 1);
    }
    CHECK(used == std::vector<int>(8 * chunk_bytes, 1));
  }
}

TEST_CASE("planar order: codes come back as they went in, neighbours untouched") {
  for (int bits = 1; bits <= 8; ++bits) {
    INFO(bits << " bits");
    random_bits random(static_cast<std::uint64_t>(bits));
    std::uint8_t bytes[16];
    std::memset(bytes, 0xA5, sizeof bytes);
    std::uint32_t codes[16];
    for (int round = 0; round < 50; ++round) {
      for (std::size_t i = 0; i < 16; ++i) {
        codes[i] = random.bits32() & ((1u << bits) - 1);
        nibble::store_bits(bytes, nibble::planar_field(bits, i), codes[i]);
      }
      // One more, to see that it changes no other.
      const std::size_t at = random.below(16);
      codes[at] ^= (1u << bits) - 1;
      nibble::store_bits(bytes, nibble::planar_field(bits, at), codes[at]);
      for (std::size_t i = 0; i < 16; ++i) {
        CHECK(nibble::load_bits(bytes, nibble::planar_field(bits, i)) == codes[i]);
      }
    }
    for (std::size_t b = 2 * static_cast<std::size_t>(bits); b < 16; ++b) CHECK(bytes[b] == 0xA5);
  }
}

TEST_CASE("planar order: two, four, six and five bits, byte for byte") {
  std::uint8_t bytes[16] = {};
  const auto store = [&](int bits, std::size_t i, std::uint32_t code) {
    nibble::store_bits(bytes, nibble::planar_field(bits, i), code);
  };
  SECTION("4 bits: the even code is the low nibble") {
    store(4, 0, 0x3);
    store(4, 1, 0xC);
    store(4, 15, 0x9);
    CHECK(bytes[0] == 0xC3);
    CHECK(bytes[7] == 0x90);
  }
  SECTION("2 bits: the first code lies lowest") {
    for (std::size_t i = 0; i < 4; ++i) store(2, i, static_cast<std::uint32_t>(i));
    CHECK(bytes[0] == 0b11100100);
  }
  SECTION("1 bit: bit i is code i") {
    store(1, 3, 1);
    store(1, 8, 1);
    CHECK(bytes[0] == 0x08);
    CHECK(bytes[1] == 0x01);
  }
  SECTION("6 bits: 8 bytes of low nibbles, then 4 of upper pairs") {
    store(6, 1, 0b101101);
    CHECK(bytes[0] == 0b11010000);
    CHECK(bytes[8] == 0b00001000);
  }
  SECTION("5 bits: 8 bytes of low nibbles, then 2 of fifth bits") {
    store(5, 9, 0b10110);
    CHECK(bytes[4] == 0b01100000);
    CHECK(bytes[9] == 0b00000010);
  }
  SECTION("3 bits: 4 bytes of low pairs, then 2 of third bits") {
    store(3, 6, 0b110);
    CHECK(bytes[1] == 0b00100000);
    CHECK(bytes[4] == 0b01000000);
  }
}

TEST_CASE("whole bytes are little-endian") {
  const std::uint8_t bytes[] = {0xFF, 0x78, 0x56, 0x34, 0x12};
  CHECK(nibble::load_bits(bytes, nibble::byte_field(1, 4)) == 0x12345678);
  CHECK(nibble::load_bits(bytes, nibble::byte_field(1, 2)) == 0x5678);
  CHECK(nibble::load_bits(bytes, nibble::byte_field(0, 1)) == 0xFF);
}

TEST_CASE("base 3: every byte holds five digits, and all 243 numbers come back") {
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    for (int n = 0; n < 5; ++n) {
      CHECK(nibble::base3_digit(static_cast<std::uint8_t>(byte), n) < 3);
    }
  }
  for (std::uint32_t number = 0; number < 243; ++number) {
    const auto byte = static_cast<std::uint8_t>((256 * number + 242) / 243);
    std::uint32_t back = 0;
    for (int n = 0; n < 5; ++n) back = 3 * back + nibble::base3_digit(byte, n);
    CHECK(back == number);
  }
}
