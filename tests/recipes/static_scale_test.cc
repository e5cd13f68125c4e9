// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of recipes/static_scale.h: scales and zero points worked out by hand, ends of the float
// range, and that values of the range come back within half a step.
#include "nibble/recipes/static_scale.h"

#include <vector>

#include "support/cases.h"
#include "support/catch.h"

using nibble::affine_scale;
using nibble::scale_options;
using nibble::static_scale;
using nibble::symmetric_scale;
using nibble::value_range;

namespace {

constexpr float largest = std::numeric_limits<float>::max();

/// The code of x, as the head of static_scale.h says.
int code_of(float x, static_scale s) {
  const float y = x * (1 / s.scale);
  const double code = std::nearbyint(double{y}) + s.zero_point;
  return static_cast<int>(code < -128 ? -128 : code > 127 ? 127 : code);
}

}  // namespace

TEST_CASE("value_range: largest magnitude and limits") {
  static_assert(value_range().amax() == 0);
  static_assert(value_range{-3, 2}.amax() == 3);
  static_assert(value_range{-2, 3}.amax() == 3);
  static_assert(value_range{1, 2}.amax() == 2);
  static_assert(value_range{-2, -1}.amax() == 2);
  static_assert(value_range{-3, 2}.within(2.5f) == value_range{-2.5f, 2});
  static_assert(value_range{-3, 2}.within(1) == value_range{-1, 1});
  static_assert(value_range{2, 3}.within(1) == value_range{1, 1});
  static_assert(value_range{-3, 2}.within(0) == value_range{0, 0});
}

TEST_CASE("symmetric_scale: by hand") {
  static_assert(symmetric_scale({-2, 254}) == static_scale{2, 0});
  static_assert(symmetric_scale({-254, 2}) == static_scale{2, 0});
  static_assert(symmetric_scale({-1, 3}).scale == 3 / 127.0f);
  constexpr scale_options torch{nibble::torch_divisor, nibble::torch_least_scale};
  static_assert(symmetric_scale({-255, 2}, torch) == static_scale{2, 0});
  static_assert(symmetric_scale({0, 1e-6f}, torch).scale == 0x1p-23f);
  static_assert(symmetric_scale({0, 1e-6f}).scale == 1e-6f / 127);
}

TEST_CASE("affine_scale: by hand") {
  // 4 / 255; -1 / that is -63.75, which rounds to -64.
  static_assert(affine_scale({-1, 3}) == static_scale{4 / 255.0f, -64});
  // Zero is a value of every range.
  static_assert(affine_scale({1, 3}) == static_scale{3 / 255.0f, -128});
  static_assert(affine_scale({-3, -1}) == static_scale{3 / 255.0f, 127});
  // Ties go to the even number: -2.5 to -2, -3.5 to -4.
  static_assert(affine_scale({-2.5f, 252.5f}) == static_scale{1, -126});
  static_assert(affine_scale({-3.5f, 251.5f}) == static_scale{1, -124});
  static_assert(affine_scale({-127.5f, 127.5f}) == static_scale{1, 0});
}

TEST_CASE("static scales: nothing but zero") {
  static_assert(symmetric_scale({}) == static_scale{1, 0});
  static_assert(affine_scale({}) == static_scale{1, 0});
  static_assert(affine_scale({-0.0f, 0.0f}) == static_scale{1, 0});
  static_assert(affine_scale({-0.0f, -0.0f}) == static_scale{1, 0});
}

TEST_CASE("static scales: at both ends of the floats, scales and their reciprocals are finite") {
  for (const float end : {0x1p-149f, 0x1p-140f, 0x1p-126f, 1e-30f, 1e30f, largest}) {
    for (const value_range r : {value_range{-end, end}, {0, end}, {-end, 0}, {end, end}}) {
      for (const static_scale s : {symmetric_scale(r), affine_scale(r)}) {
        INFO(r.min << " " << r.max << " scale " << s.scale);
        CHECK(std::isnormal(s.scale));
        CHECK(std::isnormal(1 / s.scale));
        CHECK(s.zero_point >= -128);
        CHECK(s.zero_point <= 127);
        CHECK(code_of(0, s) == s.zero_point);
      }
    }
  }
  CHECK(symmetric_scale({0, 0x1p-149f}).scale == 0x1p-126f);
  CHECK(affine_scale({0, 0x1p-149f}) == static_scale{0x1p-126f, -128});
  CHECK(affine_scale({-largest, largest}).scale == largest / 255 + largest / 255);
}

TEST_CASE("static scales: values of the range come back within half a step") {
  // x * fl(1 / scale) is off by less than 3 roundings of at most 255: 255 * 3 * 2^-24 steps.
  constexpr double half = 0.5 + 255 * 3 * 0x1p-24;
  nibble_test::random_bits random(1);
  double worst = 0;
  for (int i = 0; i < 3000; ++i) {
    const float size = std::ldexp(1.0f, static_cast<int>(random.below(200)) - 100);
    const float a = random.normal() * size;
    const float b = random.normal() * size;
    const value_range r{a < b ? a : b, a < b ? b : a};
    for (const static_scale s : {symmetric_scale(r), affine_scale(r)}) {
      for (int j = 0; j <= 16; ++j) {
        const float part = j == 16 ? 1 : random.uniform();
        const float x = j == 0 ? r.min : j == 16 ? r.max : r.min + part * (r.max - r.min);
        const double back = (code_of(x, s) - s.zero_point) * double{s.scale};
        const double steps = std::fabs(back - double{x}) / double{s.scale};
        worst = steps > worst ? steps : worst;
      }
    }
  }
  CHECK(worst <= half);
  CHECK(worst > 0.4999);
}

TEST_CASE("symmetric_scales: one for each range") {
  const std::vector<value_range> ranges{{-1, 2}, {0, 0}, {-127, 3}};
  std::vector<float> scales(3, nibble_test::quiet_nan);
  REQUIRE(nibble::symmetric_scales(ranges, scales) == nibble::errc::ok);
  CHECK(scales == std::vector<float>{2 / 127.0f, 1, 1});
  REQUIRE(nibble::symmetric_scales({}, {}) == nibble::errc::ok);
}
