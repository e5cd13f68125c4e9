// SPDX-License-Identifier: Apache-2.0 OR MIT
// Minifloats and powers of two: the numbers of the specifications, by hand.
#include "nibble/element/minifloat.h"

#include <cmath>

#include "nibble/element/exponent.h"
#include "nibble/element/ggml.h"
#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;
using nibble_test::infinity;
using nibble_test::quiet_nan;

namespace {
constexpr encode_policy to_special{rounding::nearest_even, overflow::to_special};
constexpr encode_policy saturate_finite{rounding::nearest_even, overflow::saturate_finite};
float below(float x) { return std::nextafter(x, 0.0f); }
}  // namespace

TEST_CASE("overflow begins where the largest value plus half a step rounds up", "[element]") {
  // e4m3fn: 464 ties to 448, whose code is even; the others tie upward, out of range.
  CHECK(fp8_e4m3fn::encode(464.0f, to_special) == 0x7E);
  CHECK(fp8_e4m3fn::encode(464.00003f, to_special) == 0x7F);
  CHECK(fp8_e5m2::encode(below(61440.0f), to_special) == 0x7B);
  CHECK(fp8_e5m2::encode(61440.0f, to_special) == 0x7C);
  CHECK(fp8_e4m3fnuz::encode(below(248.0f), to_special) == 0x7F);
  CHECK(fp8_e4m3fnuz::encode(248.0f, to_special) == 0x80);
  CHECK(fp8_e4m3b11fnuz::encode(31.0f, to_special) == 0x80);
  CHECK(fp8_e4m3::encode(248.0f, to_special) == 0x78);
  CHECK(fp8_e3m4::encode(15.75f, to_special) == 0x70);
  CHECK(f16::encode(65520.0f, to_special) == 0x7C00);
  CHECK(f16::encode(below(65520.0f), to_special) == 0x7BFF);
}

TEST_CASE("the three overflow policies", "[element]") {
  CHECK(fp8_e4m3fn::encode(1e6f) == 0x7E);
  CHECK(fp8_e4m3fn::encode(-1e6f, saturate_finite) == 0xFE);
  CHECK(fp8_e4m3fn::encode(-1e6f, to_special) == 0xFF);
  CHECK(fp8_e4m3fn::encode(infinity) == 0x7E);
  CHECK(fp8_e4m3fn::encode(infinity, saturate_finite) == 0x7F);
  CHECK(fp8_e5m2::encode(-infinity) == 0xFB);
  CHECK(fp8_e5m2::encode(-infinity, saturate_finite) == 0xFC);
  CHECK(fp8_e5m2::encode(1e9f, to_special) == 0x7C);
  for (const encode_policy p : {encode_policy{}, saturate_finite, to_special}) {
    CHECK(fp4_e2m1::encode(-infinity, p) == 0xF);  // nothing to overflow into
    CHECK(fp6_e3m2::encode(29.0f, p) == 0x1F);
  }
}

TEST_CASE("NaN keeps its sign where the codes have both, and is +max where there is none",
          "[element]") {
  CHECK(fp8_e4m3fn::encode(quiet_nan) == 0x7F);
  CHECK(fp8_e4m3fn::encode(-quiet_nan) == 0xFF);
  CHECK(fp8_e5m2::encode(quiet_nan) == 0x7E);
  CHECK(fp8_e5m2fnuz::encode(-quiet_nan) == 0x80);
  CHECK(f16::encode(-quiet_nan) == 0xFE00);
  CHECK(bf16::encode(quiet_nan) == 0x7FC0);
  CHECK(fp6_e2m3::encode(-quiet_nan) == 0x1F);
  CHECK(fp4_e2m1::encode(-quiet_nan) == 0x7);
  CHECK(ue4m3::encode(-quiet_nan) == 0x7F);
}

TEST_CASE("zero keeps its sign where the codes have both", "[element]") {
  CHECK(fp8_e4m3fn::encode(-0.0f) == 0x80);
  CHECK(fp8_e4m3fn::encode(-1e-9f) == 0x80);
  CHECK(std::signbit(fp8_e4m3fn::decode(0x80)));
  CHECK(fp8_e4m3fnuz::encode(-0.0f) == 0);
  CHECK(fp8_e4m3fnuz::encode(-1e-9f) == 0);
  CHECK(fp4_e2m1::encode(-0.0f) == 8);
}

TEST_CASE("fp4 rounds its seven ties to even", "[element]") {
  const float ties[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  const float rounded[] = {0.0f, 1.0f, 1.0f, 2.0f, 2.0f, 4.0f, 4.0f};
  for (int i = 0; i < 7; ++i) CHECK(fp4_e2m1::decode(fp4_e2m1::encode(ties[i])) == rounded[i]);
}

TEST_CASE("subnormals: half of the smallest goes to zero", "[element]") {
  CHECK(fp8_e4m3fn::decode(0x01) == 0x1p-9f);
  CHECK(fp8_e4m3fn::encode(0x1p-10f) == 0);
  CHECK(fp8_e4m3fn::encode(0x1.000002p-10f) == 1);
  CHECK(fp8_e4m3fn::encode(0x7.8p-9f) == 8);  // up into the normal numbers
  CHECK(bf16::decode(0x0001) == 0x1p-133f);
  CHECK(bf16::encode(0x1p-133f) == 1);
  CHECK(f16::decode(0x0001) == 0x1p-24f);
}

TEST_CASE("ue4m3 has no sign: negative values become zero, the top bit is not read", "[element]") {
  CHECK(ue4m3::encode(-1.0f) == 0);
  CHECK(ue4m3::encode(-infinity, to_special) == 0);
  CHECK(ue4m3::encode(1.0f) == 0x38);
  CHECK(ue4m3::decode(0xB8) == 1.0f);
  CHECK(ue4m3::encode(300.0f) == fp8_e4m3fn::encode(300.0f));
}

TEST_CASE("e8m0 rounds the value between its neighbours, also above code 0", "[element]") {
  CHECK(e8m0::decode(0) == 0x1p-127f);
  CHECK(e8m0::decode(127) == 1.0f);
  CHECK(std::isnan(e8m0::decode(255)));
  CHECK(e8m0::encode(0.0f) == 0);
  CHECK(e8m0::encode(-0.0f) == 0);
  CHECK(e8m0::encode(1e-45f) == 0);
  CHECK(e8m0::encode(0x1.7p-127f) == 0);
  CHECK(e8m0::encode(0x1.9p-127f) == 1);
  CHECK(e8m0::encode(1.5f) == 128);  // a tie: 127 is odd
  CHECK(e8m0::encode(3.0f) == 128);
  CHECK(e8m0::encode(3.0f, {rounding::nearest_away}) == 129);
  CHECK(e8m0::encode(3.9f, {rounding::toward_zero}) == 128);
  CHECK(e8m0::encode(2.0000002f, {rounding::away_from_zero}) == 129);
  CHECK(e8m0::encode(0x1p-127f, {rounding::away_from_zero}) == 0);
  CHECK(e8m0::encode(-1.0f) == 0xFF);
  CHECK(e8m0::encode(quiet_nan) == 0xFF);
  CHECK(e8m0::encode(infinity) == 0xFE);
  CHECK(e8m0::encode(infinity, saturate_finite) == 0xFF);
  CHECK(e8m0::encode(0x1.8p127f) == 0xFE);
  CHECK(e8m0::encode(0x1.8p127f, to_special) == 0xFE);  // a tie: 254 is even
  CHECK(e8m0::encode(0x1.9p127f, to_special) == 0xFF);
}

TEST_CASE("e8m0_half is half of e8m0, and 255 is a number", "[element]") {
  for (int c = 1; c < 255; ++c) {
    const auto code = static_cast<std::uint8_t>(c);
    REQUIRE(2 * e8m0_half::decode(code) == e8m0::decode(code));
  }
  CHECK(e8m0_half::decode(0) == 0x1p-128f);
  CHECK(e8m0_half::decode(255) == 0x1p127f);
  CHECK(e8m0_half::encode(infinity) == 255);
  CHECK(e8m0_half::encode(-1.0f) == 0);
  CHECK(e8m0_half::encode(quiet_nan) == 0);
}

// FORMATS: values that reach 2^8 before halving are 448; ties go up; 7.5 .. 8 * 2^-9 stay at 7.
TEST_CASE("ue4m3_ggml: half of GGML's UE4M3, with its three peculiarities", "[element]") {
  CHECK(ue4m3_ggml::decode(0x38) == 0.5f);
  CHECK(ue4m3_ggml::decode(0x7E) == 224.0f);
  CHECK(ue4m3_ggml::decode(0x7F) == 0.0f);
  CHECK(ue4m3_ggml::decode(0xB8) == 0.5f);
  CHECK(ue4m3_ggml::decode(0xFF) == 240.0f);
  CHECK(ue4m3_ggml::encode(0.5f) == 0x38);
  CHECK(ue4m3_ggml::encode(below(124.0f)) == 0x77);
  CHECK(ue4m3_ggml::encode(124.0f) == 0x7E);
  CHECK(ue4m3_ggml::encode(0.53125f) == 0x39);  // the tie of 1 and 1.125
  CHECK(ue4m3_ggml::encode(7.9f / 1024) == 0x07);
  CHECK(ue4m3_ggml::encode(8.0f / 1024) == 0x08);
  CHECK(ue4m3_ggml::encode(0.5f / 1024) == 0x01);
  CHECK(ue4m3_ggml::encode(-1.0f) == 0);
  CHECK(ue4m3_ggml::encode(quiet_nan) == 0);
  for (int c = 0; c < 0x78; ++c) {  // all it makes, except 0x7E, come back
    const auto code = static_cast<std::uint8_t>(c);
    REQUIRE(ue4m3_ggml::encode(ue4m3_ggml::decode(code)) == code);
  }
}

TEST_CASE("f32 is its own code", "[element]") {
  CHECK(f32::encode(-0.0f) == 0x80000000);
  CHECK(f32::encode(infinity) == 0x7F800000);  // nothing to round, nothing to saturate
  CHECK(f32::decode(0x00000001) == 0x1p-149f);
}

namespace {
// A user's own: five bits, no specials.
struct e2m2 : minifloat<2, 2, 1, float_kind::finite> {
  static constexpr std::string_view name = "e2m2";
};
static_assert(element<e2m2>);
}  // namespace

TEST_CASE("a user's minifloat is one line", "[element]") {
  CHECK(e2m2::max == 7.0f);
  CHECK(e2m2::encode(7.9f) == 0xF);
  CHECK(e2m2::decode(0x11) == -0.25f);
}
