// SPDX-License-Identifier: Apache-2.0 OR MIT
// Inputs and shapes of tests: reproducible values of every unpleasant kind, ragged sizes.
#ifndef NIBBLE_TESTS_SUPPORT_CASES_H_
#define NIBBLE_TESTS_SUPPORT_CASES_H_

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <vector>

namespace nibble_test {

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();

/// NIBBLE_TEST_HEAVY=1: every shape, rule and input, not a sample of them. Minutes, not seconds.
inline bool heavy() {
  const char* text = std::getenv("NIBBLE_TEST_HEAVY");
  return text != nullptr && text[0] == '1';
}

/// splitmix64.
class random_bits {
 public:
  explicit random_bits(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  std::uint32_t bits32() { return static_cast<std::uint32_t>(next() >> 32); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(next() >> 56); }
  /// Below n.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() >> 11) % n; }
  /// In [0, 1).
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }
  /// Nearly normal, mean 0, deviation 1.
  float normal() {
    float sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  std::uint64_t state_;
};

/// A seed from anything that names a case (FNV-1a).
inline std::uint64_t seed_of(std::string_view text, std::uint64_t a = 0, std::uint64_t b = 0) {
  std::uint64_t h = 0xCBF29CE484222325u;
  const auto mix = [&](std::uint64_t v) { h = (h ^ v) * 0x100000001B3u; };
  for (const char c : text) mix(static_cast<unsigned char>(c));
  mix(a);
  mix(b);
  return h;
}

inline void fill_random(std::vector<std::uint8_t>& bytes, std::uint64_t seed) {
  random_bits random(seed);
  for (std::uint8_t& b : bytes) b = random.byte();
}

/// Kinds of values. Each block meets something that has broken a quantizer somewhere.
enum class fill : std::uint8_t {
  normal,
  heavy_tailed,  ///< cubes of normals: most near zero, some far out
  ties,          ///< small multiples of 1/8: halfway between codes of many scales
  positive,
  negative,
  outlier,     ///< one large value per 32, the rest tiny
  zeros,       ///< both signs of zero, and now and then a whole run of other values
  denormals,   ///< subnormals and the smallest normals
  huge,        ///< close to the largest float
  any_bits,    ///< any finite bit pattern: exponents far apart inside a block
  non_finite,  ///< normal, with NaN and infinities of both signs
  last = non_finite
};

inline constexpr const char* name_of(fill f) {
  constexpr const char* names[] = {"normal",   "heavy_tailed", "ties",      "positive",
                                   "negative", "outlier",      "zeros",     "denormals",
                                   "huge",     "any_bits",     "non_finite"};
  return names[static_cast<std::size_t>(f)];
}

inline float one_value(fill kind, std::size_t i, random_bits& random) {
  const float n = random.normal();
  switch (kind) {
    case fill::normal: return 0.02f * n;
    case fill::heavy_tailed: return n * n * n;
    case fill::ties: return static_cast<float>(static_cast<int>(random.below(257)) - 128) / 8;
    case fill::positive: return 3 + n * 0.5f;
    case fill::negative: return -3 + n * 0.5f;
    case fill::outlier: return i % 32 == 5 ? 100 * n : 1e-4f * n;
    case fill::zeros: return i % 192 < 40 ? n : (random.next() & 1) != 0 ? 0.0f : -0.0f;
    case fill::denormals: {
      const std::uint32_t size = random.bits32() & 0x00FFFFFF;
      return std::bit_cast<float>(size | (random.bits32() & 0x80000000u));
    }
    case fill::huge: return n * 5.6e37f;
    case fill::any_bits: {
      const float v = std::bit_cast<float>(random.bits32());
      return std::isfinite(v) ? v : 1.0f;
    }
    case fill::non_finite: {
      const std::size_t which = random.below(24);
      if (which == 0) return quiet_nan;
      if (which == 1) return -quiet_nan;
      if (which == 2) return infinity;
      if (which == 3) return -infinity;
      return n;
    }
  }
  return 0;
}

inline std::vector<float> make_values(fill kind, std::size_t count, std::uint64_t seed) {
  random_bits random(seed);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = one_value(kind, i, random);
  return values;
}

struct shape {
  std::size_t rows;
  std::size_t cols;
};

/// Row lengths around every chunk, vector and block boundary.
inline constexpr std::size_t ragged_cols[] = {0,   1,   7,   8,   15,  16,  17,  31,
                                              32,  33,  48,  63,  64,  65,  100, 127,
                                              128, 129, 255, 256, 257, 300, 512, 513};
inline constexpr std::size_t ragged_rows[] = {0, 1, 2, 3, 5, 130};

/// Every ragged shape, or about `count` of them picked by `seed`. Tall ones only where the rows of
/// a block matter (`tall`), and never long ones, because the reference is slow.
inline std::vector<shape> ragged_shapes(std::uint64_t seed, std::size_t count, bool tall) {
  std::vector<shape> all;
  for (const std::size_t r : ragged_rows) {
    for (const std::size_t c : ragged_cols) {
      if (r > 5 && (!tall || c > 300)) continue;
      if (c == 0 && r > 1) continue;
      all.push_back({r, c});
    }
  }
  if (heavy() || count >= all.size()) return all;
  random_bits random(seed);
  std::vector<shape> picked;
  for (std::size_t i = 0; i < count; ++i) picked.push_back(all[random.below(all.size())]);
  return picked;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_CASES_H_
