// SPDX-License-Identifier: Apache-2.0 OR MIT
// Where the bits of a code lie in a byte string: the one description from which scalar access,
// vector access and the proof that a layout is a bijection are all derived.
#ifndef NIBBLE_FORMAT_BITS_H_
#define NIBBLE_FORMAT_BITS_H_

#include <array>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// Codes are read and written 16 at a time, whatever the vector length.
inline constexpr std::size_t chunk_size = 16;

/// `width` bits at `shift` of byte `byte` are bits `to` and up of the code. With `base3`, the byte
/// holds five base-3 digits and `shift` says which (GGUF TQ1_0), most significant first.
struct bit_piece {
  std::uint16_t byte = 0;
  std::uint8_t shift = 0;
  std::uint8_t width = 0;
  std::uint8_t to = 0;
  bool base3 = false;

  friend constexpr bool operator==(const bit_piece&, const bit_piece&) = default;
};

/// Up to four pieces make a code (an f32 field is four bytes).
inline constexpr std::size_t max_pieces = 4;
struct bit_field {
  std::array<bit_piece, max_pieces> pieces{};

  friend constexpr bool operator==(const bit_field&, const bit_field&) = default;
};

constexpr bit_field field(bit_piece a, bit_piece b = {}, bit_piece c = {},
                          bit_piece d = {}) noexcept {
  return {{a, b, c, d}};
}

/// `num_bytes` whole bytes, little-endian.
constexpr bit_field byte_field(std::size_t first, std::size_t num_bytes) noexcept {
  bit_field f;
  for (std::size_t i = 0; i < num_bytes; ++i) {
    f.pieces[i] = {static_cast<std::uint16_t>(first + i), 0, 8, static_cast<std::uint8_t>(8 * i)};
  }
  return f;
}

/// The digit of weight 3^(4 - n) in a byte made by (256 * number + 242) / 243.
constexpr std::uint32_t base3_digit(std::uint8_t byte, int n) noexcept {
  constexpr std::array<std::uint32_t, 5> power{1, 3, 9, 27, 81};
  return (((byte * power[static_cast<std::size_t>(n)]) & 255u) * 3u) >> 8;
}

/// Reads a code. `bytes` is the start of the block.
constexpr std::uint32_t load_bits(const std::uint8_t* bytes, const bit_field& f) noexcept {
  std::uint32_t code = 0;
  for (const bit_piece& p : f.pieces) {
    if (p.width == 0) continue;
    const std::uint8_t byte = bytes[p.byte];
    code |= p.base3
                ? base3_digit(byte, p.shift)
                : ((static_cast<std::uint32_t>(byte) >> p.shift) & ((1u << p.width) - 1)) << p.to;
  }
  return code;
}

/// Writes a code, leaving the other bits. Base-3 digits are made from five codes: store_record.
constexpr void store_bits(std::uint8_t* bytes, const bit_field& f, std::uint32_t code) noexcept {
  for (const bit_piece& p : f.pieces) {
    if (p.width == 0) continue;
    const std::uint32_t mask = ((1u << p.width) - 1) << p.shift;
    bytes[p.byte] =
        static_cast<std::uint8_t>((bytes[p.byte] & ~mask) | (((code >> p.to) << p.shift) & mask));
  }
}

/// nibble's own order of codes of 1 to 8 bits: 16 codes take 2 * bits bytes. One plane for each set
/// bit of `bits`, widest first; inside a plane codes follow each other from the low bits up.
///
///   4 bits:  8 bytes, byte j = code 2j | code 2j+1 << 4      (the order of ONNX and PyTorch)
///   6 bits:  8 bytes of low nibbles as above, then 4 bytes of the upper two bits
constexpr bit_field planar_field(int bits, std::size_t i) noexcept {
  bit_field f;
  std::size_t n = 0;
  std::size_t byte = 0;
  int to = 0;
  for (int width = 8; width > 0; width /= 2) {
    if ((bits & width) == 0) continue;
    const std::size_t bit = i * static_cast<std::size_t>(width);
    f.pieces[n++] = {static_cast<std::uint16_t>(byte + bit / 8), static_cast<std::uint8_t>(bit % 8),
                     static_cast<std::uint8_t>(width), static_cast<std::uint8_t>(to)};
    byte += 2 * static_cast<std::size_t>(width);
    to += width;
  }
  return f;
}

/// The planar order as a layout: see load_chunk in kernel/chunk-inl.h for what a layout offers.
template <int Bits>
struct planar_layout {
  static constexpr std::size_t block_values = chunk_size;
  static constexpr std::size_t block_bytes = 2 * static_cast<std::size_t>(Bits);
  static constexpr bit_field locate(std::size_t /*section*/, std::size_t i) noexcept {
    return planar_field(Bits, i);
  }
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_BITS_H_
