// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the vector codecs must do, for a list of elements: the same as the scalar ones, and touch
// nothing else. Each elements_*_test.cc runs it for its part of the catalogue.
#ifndef NIBBLE_TESTS_ELEMENT_VECTOR_CASES_H_
#define NIBBLE_TESTS_ELEMENT_VECTOR_CASES_H_

#include <cstring>
#include <limits>

#include "nibble/elements.h"

#include "element/erased.h"
#include "element/slow_definition.h"
#include "support/cases.h"
#include "support/catch.h"
#include "support/environment.h"
#include "support/guarded.h"
#include "support/print.h"
#include "support/targets.h"

namespace nibble_test {

/// Rounding boundaries two ulp around, every f16 and bf16, specials, random bits.
template <class E>
std::vector<float> vector_inputs() {
  std::vector<float> inputs = special_inputs();
  const auto append = [&](const std::vector<float>& more) {
    inputs.insert(inputs.end(), more.begin(), more.end());
  };
  const erased_element e = erase<E>();
  if (e.bits <= 16 && e.kind != family::other) append(slow_encoder(e).critical_inputs(2));
  if (e.kind == family::other && e.bits <= 8) {
    for (std::uint32_t c = 0; c < 256; ++c) {  // every code and every middle of two neighbours
      for (const float v : {e.decode(c), (e.decode(c) + e.decode((c + 1) % 256)) / 2}) {
        for (const float to : {-infinity, infinity}) {
          inputs.push_back(v);
          inputs.push_back(std::nextafter(v, to));
          inputs.push_back(std::nextafter(std::nextafter(v, to), to));
        }
      }
    }
  }
  append(all_halves());
  random_bits random(seed_of(e.name));
  for (int i = 0; i < 10000; ++i) inputs.push_back(std::bit_cast<float>(random.bits32()));
  for (int i = 0; i < 10000; ++i) inputs.push_back(random.normal() * e.max / 2);
  return inputs;
}

template <class E>
void check_decode_on_all_targets() {
  using code = typename E::code;
  std::vector<code> codes;
  random_bits random(1);
  const std::size_t num_codes = sizeof(code) == 1 ? 256 : 65536;  // of f32, a sample
  for (std::size_t c = 0; c < num_codes; ++c) {
    codes.push_back(static_cast<code>(sizeof(code) == 4 ? random.bits32() : c));
  }
  std::vector<float> want;
  for (const code c : codes) want.push_back(E::decode(c));
  for_each_target([&](const char* target) {
    INFO(target);
    std::vector<float> got(codes.size());
    REQUIRE(nibble::decode_values<E>(codes, got) == nibble::errc::ok);
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (std::memcmp(&got[i], &want[i], 4) == 0) continue;  // NaN too, bit for bit
      FAIL("code " << +codes[i] << ": " << show(got[i]) << ", scalar " << show(want[i]));
    }
  });
}

template <class E>
void check_encode_on_all_targets() {
  using code = typename E::code;
  const std::vector<float> inputs = vector_inputs<E>();
  std::vector<code> want(inputs.size());
  std::vector<code> got(inputs.size());
  for (const encode_policy policy : all_policies()) {
    INFO("rounding " << static_cast<int>(policy.round) << ", overflow "
                     << static_cast<int>(policy.over));
    for (std::size_t i = 0; i < inputs.size(); ++i) want[i] = E::encode(inputs[i], policy);
    for_each_target([&](const char* target) {
      INFO(target);
      std::fill(got.begin(), got.end(), code{});
      REQUIRE(nibble::encode_values<E>(inputs, got, policy) == nibble::errc::ok);
      if (got == want) return;
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (got[i] == want[i]) continue;
        FAIL(show(inputs[i]) << ": code " << +got[i] << ", scalar " << +want[i]);
      }
    });
  }
}

// 0 to 140 values (two rounds of an unrolled loop of 64 and a rest), arrays that begin or end at an
// unmapped page.
template <class E>
void check_lengths_on_all_targets() {
  using code = typename E::code;
  random_bits random(2);
  for (const side where : {side::begin, side::end}) {
    for (std::size_t n = 0; n <= 140; ++n) {
      const guarded_array<float> values(n, where);
      const guarded_array<code> codes(n, where);
      const guarded_array<float> decoded(n, where);
      for (std::size_t i = 0; i < n; ++i) values[i] = random.normal() * E::max / 2;
      values.make_read_only();
      for_each_target([&](const char* target) {
        CAPTURE(target, n, static_cast<int>(where));
        std::memset(codes.data(), 0x5A, n * sizeof(code));
        REQUIRE(nibble::encode_values<E>({values.data(), n}, {codes.data(), n}) ==
                nibble::errc::ok);
        std::memset(decoded.data(), 0x5A, n * sizeof(float));
        REQUIRE(nibble::decode_values<E>({codes.data(), n}, {decoded.data(), n}) ==
                nibble::errc::ok);
        bool same = true;
        for (std::size_t i = 0; i < n; ++i) {
          same = same && codes[i] == E::encode(values[i]);
          const float want = E::decode(codes[i]);
          same = same && std::memcmp(&decoded[i], &want, sizeof want) == 0;
        }
        REQUIRE(same);
        REQUIRE(codes.check_margin());
        REQUIRE(decoded.check_margin());
      });
    }
  }
}

// Every offset of values and codes from a multiple of 64 bytes.
template <class E>
void check_offsets_on_all_targets() {
  using code = typename E::code;
  constexpr std::size_t n = 75;
  random_bits random(3);
  std::vector<float> values(n);
  for (float& v : values) v = random.normal() * E::max / 2;
  std::vector<code> want;
  for (const float v : values) want.push_back(E::encode(v));
  alignas(64) float x[64 + n];
  alignas(64) code codes[64 + n];
  alignas(64) float decoded[64 + n];
  for_each_target([&](const char* target) {
    for (std::size_t offset = 0; offset < 64; ++offset) {
      CAPTURE(target, offset);
      const std::size_t of_x = offset % 16;
      const std::size_t of_y = (offset * 5 + 3) % 16;
      std::copy(values.begin(), values.end(), x + of_x);
      REQUIRE(nibble::encode_values<E>({x + of_x, n}, {codes + offset, n}) == nibble::errc::ok);
      REQUIRE(std::equal(want.begin(), want.end(), codes + offset));
      REQUIRE(nibble::decode_values<E>({codes + offset, n}, {decoded + of_y, n}) ==
              nibble::errc::ok);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const float value = E::decode(want[i]);
        wrong += std::memcmp(&decoded[of_y + i], &value, sizeof value) != 0;
      }
      REQUIRE(wrong == 0);
    }
  });
}

// Other floating-point environments: what docs/numerics.md says of them.
template <class E>
void check_environments_on_all_targets() {
#if NIBBLE_TEST_ENVIRONMENT
  using code = typename E::code;
  const auto is_normal = [](float v) { return v == 0 || std::fabs(v) >= 0x1p-126f; };
  std::vector<float> inputs = vector_inputs<E>();
  // Flushed, a boundary of codes that is next to zero is zero: zero may then lie on its other side.
  constexpr float next = std::numeric_limits<float>::denorm_min();
  const bool has_boundary_at_zero = E::encode(-next) != E::encode(next);
  std::erase_if(inputs, [&](float v) {  // NaN too, which is compared above
    return !is_normal(v) || (v == 0 && has_boundary_at_zero);
  });
  std::vector<code> codes(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) codes[i] = E::encode(inputs[i]);
  std::vector<float> values;
  for (const code c : codes) values.push_back(E::decode(c));
  std::vector<code> got(inputs.size());
  std::vector<float> decoded(inputs.size());
  for_each_target([&](const char* target) {
    CAPTURE(target);
    for (const setting& s : {flush, other_roundings[0], other_roundings[1], other_roundings[2]}) {
      CAPTURE(s.name);
      {
        const environment e(s);
        REQUIRE(nibble::decode_values<E>(codes, decoded) == nibble::errc::ok);
        if (s.bits == flush.bits) {
          REQUIRE(nibble::encode_values<E>(inputs, got) == nibble::errc::ok);
        }
      }
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        // Rounded down, a zero may be negative.
        const bool same = same_float(decoded[i], values[i]) || decoded[i] == values[i];
        if (is_normal(values[i]) && !same) {
          FAIL("code " << +codes[i] << ": " << show(decoded[i]) << ", else " << show(values[i]));
        }
        if (s.bits == flush.bits && got[i] != codes[i]) {
          FAIL(show(inputs[i]) << ": code " << +got[i] << ", else " << +codes[i]);
        }
      }
    }
  });
#endif
}

template <class... E>
void check_vector_codecs(nibble::element_list<E...> /*list*/) {
  const auto check = []<class One>(One /*element*/) {
    DYNAMIC_SECTION(erase<One>().name) {
      check_decode_on_all_targets<One>();
      check_encode_on_all_targets<One>();
      check_lengths_on_all_targets<One>();
      check_offsets_on_all_targets<One>();
      check_environments_on_all_targets<One>();
    }
  };
  (check(E{}), ...);
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_ELEMENT_VECTOR_CASES_H_
