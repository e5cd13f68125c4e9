// SPDX-License-Identifier: Apache-2.0 OR MIT
// Every element against the slow definition: scalar encode and decode.
#include "element/erased.h"
#include "element/slow_definition.h"
#include "support/cases.h"
#include "support/catch.h"
#include "support/print.h"

using namespace nibble_test;

namespace {

// The first input on which encode and the definition differ, in words.
std::string first_difference(const erased_element& e, const slow_encoder& slow,
                             const std::vector<float>& inputs, encode_policy policy) {
  for (const float x : inputs) {
    const std::uint32_t got = e.encode(x, policy);
    const std::uint32_t want = slow.encode(x, policy);
    if (got != want) {
      return show(x) + " rounding " + std::to_string(static_cast<int>(policy.round)) +
             " overflow " + std::to_string(static_cast<int>(policy.over)) + ": code " +
             std::to_string(got) + ", not " + std::to_string(want);
    }
  }
  return "";
}

}  // namespace

TEST_CASE("encode agrees with the definition around every boundary", "[element]") {
  for (const erased_element& e : defined_elements()) {
    INFO(e.name);
    const slow_encoder slow(e);
    std::vector<float> inputs = slow.critical_inputs(2);
    for (const float x : special_inputs()) inputs.push_back(x);
    for (const encode_policy policy : all_policies()) {
      REQUIRE(first_difference(e, slow, inputs, policy) == "");
    }
  }
}

TEST_CASE("encode agrees with the definition for every f16 and bf16", "[element]") {
  const std::vector<float> inputs = all_halves();
  for (const erased_element& e : defined_elements()) {
    INFO(e.name);
    const slow_encoder slow(e);
    for (const encode_policy policy : all_policies()) {
      const bool is_default = policy.round == rounding::nearest_even;
      if (!heavy() && (!is_default || policy.over == overflow::saturate_finite)) continue;
      REQUIRE(first_difference(e, slow, inputs, policy) == "");
    }
  }
}

TEST_CASE("a value that is decoded encodes to a code of the same value", "[element]") {
  for (const erased_element& e : defined_elements()) {
    INFO(e.name);
    int second_names = 0;
    for (std::uint32_t c = 0; c < e.num_codes(); ++c) {
      const float v = e.decode(c);
      const std::uint32_t again = e.encode(v, {rounding::nearest_even, overflow::to_special});
      if (again == c) continue;
      ++second_names;  // other NaNs, repeated values, codes that are read but never made
      CAPTURE(c, v, again);
      REQUIRE((std::isnan(v) || v == e.decode(again) || v > e.max || v < e.lowest));
    }
    // Integers and minifloats have no second names but NaNs, ternary's 3 and mxint8's 0x80.
    if (!e.has_nan && e.kind != family::book) CHECK(second_names <= 1);
  }
}

TEST_CASE("the constants describe the codes", "[element]") {
  for (const erased_element& e : erased_elements()) {
    if (e.bits > 16) continue;
    INFO(e.name);
    float max = -infinity;
    float lowest = infinity;
    float nearest = infinity;
    bool has_nan = false;
    bool has_inf = false;
    for (std::uint32_t c = 0; c < e.num_codes(); ++c) {
      const float v = e.decode(c);
      has_nan = has_nan || std::isnan(v);
      has_inf = has_inf || std::isinf(v);
      if (!std::isfinite(v)) continue;
      max = std::max(max, v);
      lowest = std::min(lowest, v);
      nearest = std::min(nearest, std::abs(v));
    }
    CHECK(e.has_nan == has_nan);
    CHECK(e.has_inf == has_inf);
    CHECK(std::abs(e.decode(e.zero_code)) == nearest);
    CHECK(e.max <= max);  // less where a code is read but never made
    CHECK(e.lowest >= lowest);
    CHECK(e.decode(e.encode(max, {})) == e.max);
    CHECK(e.decode(e.encode(lowest, {})) == e.lowest);
  }
}

TEST_CASE("decode ignores the bits above the code", "[element]") {
  for (const erased_element& e : erased_elements()) {
    INFO(e.name);
    if (e.bits >= 8) continue;
    for (std::uint32_t c = 0; c < e.num_codes(); ++c) {
      const std::uint32_t dirt = 0x100 - e.num_codes();
      REQUIRE(same_float(e.decode(dirt | c), e.decode(c)));
    }
  }
}

TEST_CASE("a policy may be left empty, left out or given in part", "[element]") {
  [&]<class... E>(nibble::element_list<E...>) {
    const auto check = []<class T>() {
      for (const float x : {0.0f, 1.5f, -0.4f, 1e9f}) {
        CHECK(T::encode(x, {}) == T::encode(x));
        CHECK(T::encode(x, {}) == T::encode(x, nibble::encode_policy{}));
        CHECK(T::encode(x, {.over = nibble::overflow::saturate}) == T::encode(x));
      }
    };
    (check.template operator()<E>(), ...);
  }(nibble::all_elements{});
}

TEST_CASE("elements work at compile time", "[element]") {
  using namespace nibble;
  static_assert(int4::decode(0xF) == -1.0f);
  static_assert(int8::encode(-1.5f) == 0xFE);
  static_assert(fp8_e4m3fn::decode(0x7E) == 448.0f);
  static_assert(fp8_e4m3fn::encode(464.0f) == 0x7E);
  static_assert(f16::encode(1.0f) == 0x3C00);
  static_assert(bf16::decode(0x3F80) == 1.0f);
  static_assert(f32::encode(1.0f) == 0x3F800000);
  static_assert(nf4::encode(0.0f) == 7);
  static_assert(dynamic8::decode(255) == 1.0f);
  static_assert(e8m0::encode(8.0f) == 130);
  // The usual policy is spelled {}, for every element.
  static_assert([]<element... E>(element_list<E...>) {
    return ((E::encode(1.0f, {}) == E::encode(1.0f)) && ...);
  }(all_elements{}));
  SUCCEED();
}
