// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codebook elements: examples by hand, and books of a user.
#include "nibble/element/codebook.h"

#include <cmath>

#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;
using nibble_test::infinity;
using nibble_test::quiet_nan;

TEST_CASE("nf4: the ends, zero, and a tie that goes down", "[element]") {
  CHECK(nf4::encode(-5.0f) == 0);
  CHECK(nf4::encode(infinity) == 15);
  CHECK(nf4::encode(0.0f) == 7);
  CHECK(nf4::encode(-0.0f) == 7);
  CHECK(nf4::encode(quiet_nan) == 7);
  const float middle = (nf4::table[8] + nf4::table[9]) / 2;
  CHECK(nf4::encode(middle) == 8);
  CHECK(nf4::encode(std::nextafter(middle, 1.0f)) == 9);
  CHECK(nf4::encode(middle, {rounding::nearest_up}) == 9);
  CHECK(nf4::encode(0.9999f, {rounding::toward_zero}) == 14);
  CHECK(nf4::encode(-0.9999f, {rounding::away_from_zero}) == 0);
}

TEST_CASE("bnb_fp4 is sorted by neither code nor sign; code 8 is never made", "[element]") {
  CHECK(bnb_fp4::encode(1.0f) == 3);
  CHECK(bnb_fp4::encode(-0.25f) == 15);
  CHECK(bnb_fp4::encode(-1e-6f) == 0);
  CHECK(bnb_fp4::encode(1e-6f) == 0);
  CHECK(bnb_fp4::encode(0.005f) == 1);
}

TEST_CASE("af4 counts down from 1", "[element]") {
  CHECK(af4::decode(0) == 1.0f);
  CHECK(af4::decode(15) == -1.0f);
  CHECK(af4::zero_code == 8);
}

TEST_CASE("iq4_nl has no zero and ties go up", "[element]") {
  CHECK(iq4_nl::decode(iq4_nl::zero_code) == 1.0f);
  CHECK(iq4_nl::encode(7.0f) == 9);  // between 1 and 13
  CHECK(iq4_nl::encode(6.9999995f) == 8);
  CHECK(iq4_nl::encode(-4.5f) == 8);  // between -10 and 1
  CHECK(iq4_nl::encode(quiet_nan) == 8);
}

TEST_CASE("dynamic8: 127 negative values, zero, 128 positive ones, ascending", "[element]") {
  CHECK(dynamic8::decode(0) == -0.99296874f);
  CHECK(dynamic8::decode(127) == 0.0f);
  CHECK(dynamic8::decode(255) == 1.0f);
  CHECK(dynamic8u::decode(0) == 0.0f);
  CHECK(dynamic8u::decode(255) == 1.0f);
  for (std::size_t i = 1; i < 256; ++i) {
    REQUIRE(dynamic8::table[i] > dynamic8::table[i - 1]);
    REQUIRE(dynamic8u::table[i] > dynamic8u::table[i - 1]);
  }
}

TEST_CASE("binary: zero and NaN count as positive", "[element]") {
  CHECK(binary::bits == 1);
  CHECK(binary::encode(0.0f) == 1);
  CHECK(binary::encode(-0.0f) == 1);
  CHECK(binary::encode(quiet_nan) == 1);
  CHECK(binary::encode(-1e-30f) == 0);
}

namespace {

struct thirds_book {
  static constexpr std::string_view name = "thirds";
  static constexpr std::array<float, 5> values{0.5f, -1.0f, 0.0f, 1.0f, 0.5f};
};
using thirds = codebook<thirds_book>;
static_assert(element<thirds> && table_element<thirds>);

// Signed zeros are two values; the smaller is -0.
struct zeros_book {
  static constexpr std::string_view name = "zeros";
  static constexpr std::array<float, 4> values{0.0f, -0.0f, 1.0f, -1.0f};
};
using zeros = codebook<zeros_book>;

}  // namespace

TEST_CASE("a user's book may be unsorted, of any size, with repeated values", "[element]") {
  CHECK(thirds::name == "thirds");
  CHECK(zeros::name == "zeros");
  CHECK(thirds::bits == 3);
  CHECK(thirds::max == 1.0f);
  CHECK(thirds::zero_code == 2);
  CHECK(thirds::encode(0.6f) == 0);  // the lowest code of 0.5
  CHECK(thirds::encode(-0.6f) == 1);
  CHECK(thirds::decode(4) == 0.5f);
  CHECK(thirds::decode(7) == 0.5f);  // codes beyond the book repeat its last value
}

TEST_CASE("a book with both zeros: negative values go to -0", "[element]") {
  CHECK(zeros::encode(-0.3f) == 1);
  CHECK(zeros::encode(-0x1p-149f) == 1);
  CHECK(zeros::encode(0.0f) == 0);
  CHECK(zeros::encode(-0.0f) == 0);
  CHECK(zeros::encode(0.3f) == 0);
}
