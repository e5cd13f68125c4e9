// SPDX-License-Identifier: Apache-2.0 OR MIT
// What encoding means, said a second time: a sorted list of values, exact distances in double, and
// the rules in words. No bit tricks, and nothing of E::encode. Slow.
#ifndef NIBBLE_TESTS_ELEMENT_SLOW_DEFINITION_H_
#define NIBBLE_TESTS_ELEMENT_SLOW_DEFINITION_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "element/erased.h"

namespace nibble_test {

using nibble::encode_policy;
using nibble::overflow;
using nibble::rounding;

class slow_encoder {
 public:
  explicit slow_encoder(const erased_element& element) : e_(element) {
    for (std::uint32_t c = 0; c < e_.num_codes(); ++c) {
      const float v = e_.decode(c);
      // Not specials, not codes that are read but never made; -0 is a matter of the sign, later.
      if (!std::isfinite(v) || v < e_.lowest || v > e_.max || (v == 0 && std::signbit(v))) continue;
      points_.push_back({static_cast<double>(v), c, false});
    }
    // Of equal values the lowest code.
    std::sort(points_.begin(), points_.end(), [](const point& a, const point& b) {
      return a.value != b.value ? a.value < b.value : a.code < b.code;
    });
    points_.erase(std::unique(points_.begin(), points_.end(),
                              [](const point& a, const point& b) { return a.value == b.value; }),
                  points_.end());
    lowest_ = points_.front().code;
    max_ = points_.back().code;
    // What would come after the largest value if the codes went on: rounding to it overflows.
    if (e_.kind == family::minifloat || (e_.kind == family::exponent && e_.has_nan)) {
      const double last = points_.back().value;
      const double step = last - points_[points_.size() - 2].value;
      const double beyond = e_.kind == family::exponent ? 2 * last : last + step;
      points_.push_back({beyond, max_ + 1, true});
      if (e_.lowest < 0) points_.insert(points_.begin(), {-beyond, max_ + 1, true});
    }
  }

  [[nodiscard]] std::uint32_t encode(float x, encode_policy policy) const {
    if (std::isnan(x)) return nan_code(std::signbit(x));
    if (e_.kind == family::exponent && x == 0) return 0;
    if (e_.kind == family::exponent && x < 0) return e_.nan_code;
    if (std::isinf(x)) return policy.over == overflow::saturate ? largest(x < 0) : special(x < 0);
    const double v = static_cast<double>(x);
    if (v <= points_.front().value) return finish(points_.front(), x, policy);
    if (v >= points_.back().value) return finish(points_.back(), x, policy);
    const auto above = std::upper_bound(points_.begin(), points_.end(), v,
                                        [](double a, const point& b) { return a < b.value; });
    const point& lo = *(above - 1);
    if (lo.value == v) return finish(lo, x, policy);
    return finish(goes_up(lo, *above, x, policy.round) ? *above : lo, x, policy);
  }

  /// Inputs around everything that decides: every value and every middle, and `ulps` floats to
  /// either side of them.
  [[nodiscard]] std::vector<float> critical_inputs(int ulps) const {
    std::vector<float> inputs;
    const auto add = [&](double v) {
      float down = static_cast<float>(v);
      float up = down;
      if (!std::isfinite(up)) return;
      inputs.push_back(up);
      for (int i = 0; i < ulps; ++i) {
        down = std::nextafter(down, -std::numeric_limits<float>::infinity());
        up = std::nextafter(up, std::numeric_limits<float>::infinity());
        inputs.push_back(down);
        inputs.push_back(up);
      }
    };
    for (std::size_t i = 0; i < points_.size(); ++i) {
      add(points_[i].value);
      if (i > 0) add((points_[i].value + points_[i - 1].value) / 2);
    }
    return inputs;
  }

 private:
  struct point {
    double value;
    std::uint32_t code;
    bool overflow;
  };

  // Is hi the answer for lo < x < hi?
  [[nodiscard]] bool goes_up(const point& lo, const point& hi, float x, rounding round) const {
    const double v = static_cast<double>(x);
    const double lo_size = std::abs(lo.value);
    const double hi_size = std::abs(hi.value);
    if (round == rounding::toward_zero || round == rounding::away_from_zero) {
      if (lo_size == hi_size) return !(x < 0);  // -v and v: the sign of x decides
      return (hi_size < lo_size) == (round == rounding::toward_zero);
    }
    double middle = (lo.value + hi.value) / 2;
    if (e_.kind == family::book) middle = static_cast<double>(static_cast<float>(middle));
    if (v != middle) return v > middle;
    switch (round) {
      case rounding::nearest_up: return true;
      case rounding::nearest_away: return middle >= 0;
      case rounding::nearest_down_magnitude: return middle < 0;
      default: break;
    }
    switch (e_.kind) {
      case family::book:
        return e_.ties == nibble::book_ties::up ||
               (e_.ties == nibble::book_ties::toward_zero && middle < 0);
      case family::integer: return std::fmod(hi.value / e_.unit, 2.0) == 0;
      default: return (hi.code & 1) == 0;
    }
  }

  [[nodiscard]] std::uint32_t finish(const point& p, float x, encode_policy policy) const {
    const bool negative = std::signbit(x);
    if (p.overflow) {
      return policy.over == overflow::to_special ? special(negative) : largest(negative);
    }
    return p.value == 0 && negative && e_.has_minus_zero ? e_.sign_bit() : p.code;
  }

  [[nodiscard]] std::uint32_t largest(bool negative) const { return negative ? lowest_ : max_; }

  // Where infinity and, without saturation, overflow go.
  [[nodiscard]] std::uint32_t special(bool negative) const {
    if (e_.kind == family::minifloat && e_.lowest == 0 && negative) return 0;
    if (e_.has_inf) return (max_ + 1) | (negative ? e_.sign_bit() : 0);
    return e_.has_nan ? nan_code(negative) : largest(negative);
  }

  [[nodiscard]] std::uint32_t nan_code(bool negative) const {
    return e_.nan_code | (negative && e_.nan_has_sign ? e_.sign_bit() : 0);
  }

  erased_element e_;
  std::vector<point> points_;  // ascending
  std::uint32_t lowest_ = 0;
  std::uint32_t max_ = 0;
};

/// Every rounding with every overflow policy.
inline std::vector<encode_policy> all_policies() {
  std::vector<encode_policy> policies;
  for (int r = 0; r < 6; ++r) {
    for (int o = 0; o < 3; ++o) {
      policies.push_back({static_cast<rounding>(r), static_cast<overflow>(o)});
    }
  }
  return policies;
}

/// Infinities, NaNs with payloads, zeros, subnormals and the largest floats.
inline std::vector<float> special_inputs() {
  std::vector<float> inputs;
  for (const std::uint32_t b :
       {0u, 1u, 2u, 0x00200000u, 0x003FFFFFu, 0x00400000u, 0x00400001u, 0x007FFFFFu, 0x00800000u,
        0x3F800000u, 0x47800000u, 0x7F000000u, 0x7F400000u, 0x7F7FFFFFu, 0x7F800000u, 0x7F800001u,
        0x7FA5A5A5u, 0x7FC00000u, 0x7FFFFFFFu}) {
    inputs.push_back(std::bit_cast<float>(b));
    inputs.push_back(std::bit_cast<float>(b | 0x80000000u));
  }
  return inputs;
}

/// Every binary16 and every bfloat16 value, as a float: 131072 of them, NaNs included.
inline std::vector<float> all_halves() {
  std::vector<float> inputs;
  for (std::uint32_t c = 0; c < 65536; ++c) {
    inputs.push_back(nibble::f16::decode(static_cast<std::uint16_t>(c)));
    inputs.push_back(nibble::bf16::decode(static_cast<std::uint16_t>(c)));
  }
  return inputs;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_ELEMENT_SLOW_DEFINITION_H_
