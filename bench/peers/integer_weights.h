// SPDX-License-Identifier: Apache-2.0 OR MIT
// Symmetric integer weights for libraries that take codes and scales and do not quantize
// themselves.
#ifndef NIBBLE_BENCH_PEERS_INTEGER_WEIGHTS_H_
#define NIBBLE_BENCH_PEERS_INTEGER_WEIGHTS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// The nearest bf16, ties to even; finite values only.
inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float from_bf16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// value[row][i] = scales[row][i / group] * codes[row][i].
struct integer_weights {
  std::size_t n = 0;
  std::size_t k = 0;
  std::size_t group = 0;  ///< k for one scale per row
  int bits = 0;
  std::vector<std::int8_t> codes;
  std::vector<float> scales;

  /// Takes "int<bits>_channel" or "int<bits>_g<group>". False for any other format.
  bool quantize(std::string_view format, std::size_t rows, std::size_t cols, const float* w,
                bool bf16_scales = false) {
    if (!format.starts_with("int") || format.size() < 6 || format[4] != '_') return false;
    bits = format[3] - '0';
    const std::string_view extent = format.substr(5);
    if (extent == "channel") {
      group = cols;
    } else if (extent[0] == 'g') {
      group = static_cast<std::size_t>(std::atoi(std::string(extent.substr(1)).c_str()));
    }
    if (bits < 2 || bits > 8 || group == 0 || cols % group != 0) return false;
    n = rows;
    k = cols;
    codes.resize(n * k);
    scales.resize(n * k / group);
    const auto top = static_cast<float>((1 << (bits - 1)) - 1);
    for (std::size_t g = 0; g < scales.size(); ++g) {
      const float* const from = w + g * group;
      float largest = 0;
      for (std::size_t i = 0; i < group; ++i) largest = std::max(largest, std::fabs(from[i]));
      float scale = largest / top;
      if (bf16_scales) scale = from_bf16(to_bf16(scale));
      scales[g] = scale;
      const float inverse = scale > 0 ? 1 / scale : 0;
      for (std::size_t i = 0; i < group; ++i) {
        codes[g * group + i] =
            static_cast<std::int8_t>(std::clamp(std::nearbyint(from[i] * inverse), -top, top));
      }
    }
    return true;
  }

  void dequantize(float* w) const {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      w[i] = scales[i / group] * static_cast<float>(codes[i]);
    }
  }

  /// Two codes + 8 per byte, the even one in the low half. For 4 bits.
  [[nodiscard]] std::vector<std::uint8_t> nibbles() const {
    std::vector<std::uint8_t> packed(codes.size() / 2);
    for (std::size_t i = 0; i < packed.size(); ++i) {
      packed[i] = static_cast<std::uint8_t>((codes[2 * i] + 8) | ((codes[2 * i + 1] + 8) << 4));
    }
    return packed;
  }

  [[nodiscard]] bool per_channel() const { return group == k; }
};

}  // namespace bench

#endif  // NIBBLE_BENCH_PEERS_INTEGER_WEIGHTS_H_
