// SPDX-License-Identifier: Apache-2.0 OR MIT
// Integer elements: examples by hand.
#include "nibble/element/integer.h"

#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;
using nibble_test::infinity;
using nibble_test::quiet_nan;

TEST_CASE("int4 is two's complement in a nibble", "[element]") {
  CHECK(int4::decode(0x0) == 0);
  CHECK(int4::decode(0x7) == 7);
  CHECK(int4::decode(0x8) == -8);
  CHECK(int4::decode(0xF) == -1);
  CHECK(int4::encode(-8) == 0x8);
  CHECK(int4::encode(-1) == 0xF);
}

TEST_CASE("integers round ties to even and clamp", "[element]") {
  CHECK(int8::encode(2.5f) == 2);
  CHECK(int8::encode(3.5f) == 4);
  CHECK(int8::to_int(int8::encode(-2.5f)) == -2);
  CHECK(int8::encode(127.49f) == 127);
  CHECK(int8::encode(1e30f) == 127);
  CHECK(int8::encode(infinity) == 127);
  CHECK(int8::encode(-infinity) == 0x80);
  CHECK(uint4::encode(-3) == 0);
  CHECK(uint4::encode(15.5f) == 15);
}

TEST_CASE("integers: every rounding of 2.5, -2.5 and 0.49999997", "[element]") {
  const auto all = [](float x) {
    std::string text;
    for (const rounding r :
         {rounding::nearest_even, rounding::nearest_away, rounding::nearest_up,
          rounding::nearest_down_magnitude, rounding::toward_zero, rounding::away_from_zero}) {
      text += std::to_string(int8::to_int(int8::encode(x, {r}))) + " ";
    }
    return text;
  };
  CHECK(all(2.5f) == "2 3 3 2 2 3 ");
  CHECK(all(-2.5f) == "-2 -3 -2 -2 -2 -3 ");
  CHECK(all(3.5f) == "4 4 4 3 3 4 ");
  CHECK(all(0.49999997f) == "0 0 0 0 0 1 ");  // adding one half in float would say 1
  CHECK(all(-3.0f) == "-3 -3 -3 -3 -3 -3 ");
}

TEST_CASE("NaN becomes the code of zero in every integer element", "[element]") {
  CHECK(int8::encode(quiet_nan) == 0);
  CHECK(uint8::encode(-quiet_nan) == 0);
  CHECK(offset_int<4, 8>::encode(quiet_nan) == 8);
  CHECK(ternary::encode(quiet_nan) == 1);
}

TEST_CASE("ternary is code minus one; code 3 is read as 2 and never made", "[element]") {
  CHECK(ternary::decode(0) == -1);
  CHECK(ternary::decode(1) == 0);
  CHECK(ternary::decode(2) == 1);
  CHECK(ternary::decode(3) == 2);
  CHECK(ternary::encode(5.0f) == 2);
  CHECK(ternary::encode(-0.5f) == 1);
  CHECK(ternary::encode(-0.5f, {rounding::nearest_away}) == 0);
}

TEST_CASE("offset integers store value plus bias", "[element]") {
  CHECK(offset_int<4, 8>::decode(0) == -8);
  CHECK(offset_int<4, 8>::encode(7) == 15);
  CHECK(offset_int<6, 32>::decode(33) == 1);
  CHECK(offset_int<2, 1>::decode(3) == 2);
}

TEST_CASE("mxint8 counts in 64ths and leaves -2 out", "[element]") {
  CHECK(mxint8_element::decode(0x40) == 1);
  CHECK(mxint8_element::decode(0x7F) == 1.984375f);
  CHECK(mxint8_element::decode(0x80) == -2);
  CHECK(mxint8_element::encode(-2) == 0x81);
  CHECK(mxint8_element::encode(0.0078125f) == 0);  // half a step, to even
  CHECK_FALSE(mxint8_element::is_integer);
}
