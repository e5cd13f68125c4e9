// SPDX-License-Identifier: Apache-2.0 OR MIT
// Parts of the searches for scales that golden bytes reach too rarely to prove.
#include "nibble/format/scale_search.h"

#include <array>

#include "support/cases.h"
#include "support/catch.h"

namespace {

using namespace nibble::detail;

constexpr std::size_t length = 16;
using floats = std::array<float, length>;
constexpr float low = -4;
constexpr float high = 3;

struct problem {
  floats x;
  floats w;
  floats codes;
};

/// Weights far apart, codes of a bad scale: many sweeps change something.
problem make_problem(nibble_test::random_bits& random, code_sums& s) {
  problem p;
  for (float& v : p.x) v = random.normal();
  for (float& v : p.w) v = std::exp(3 * random.normal());
  s = encode_and_sum(p.x, p.w, 0.5f + 4 * random.uniform(), low, high, p.codes);
  return p;
}

/// The definition: each code in turn goes to where the best scale of all others puts its value, if
/// (sum w x l)^2 / sum w l l grows.
void sweep(problem& p, code_sums& s) {
  for (std::size_t i = 0; i < length; ++i) {
    const float x = p.x[i];
    const float w = p.w[i];
    const float old = p.codes[i];
    code_sums rest{s.wxl - rounded(rounded(w * x) * old), s.wll - rounded(rounded(w * old) * old)};
    if (!(rest.wxl > 0)) continue;
    const float moved = clamped_integer(rounded(x * rest.wll) / rest.wxl, low, high);
    rest.wxl = rest.wxl + rounded(rounded(w * x) * moved);
    rest.wll = rest.wll + rounded(rounded(w * moved) * moved);
    const bool better =
        rest.wll > 0 && rounded(rest.wxl * rest.wxl) * s.wll > rounded(s.wxl * s.wxl) * rest.wll;
    if (moved == old || !better) continue;
    p.codes[i] = moved;
    s = rest;
  }
}

}  // namespace

TEST_CASE("codes are improved in five sweeps, and no further") {
  nibble_test::random_bits random(1);
  std::size_t wrong = 0;
  std::array<std::size_t, 3> differ{};  // cases in which sweeps 4, 5 and 6 change something
  for (std::size_t n = 0; n < 20000; ++n) {
    code_sums s;
    problem p = make_problem(random, s);
    floats got = p.codes;
    static_cast<void>(improve_codes(p.x, p.w, low, high, s, got));
    for (std::size_t i = 1; i <= 6; ++i) {
      const floats before = p.codes;
      sweep(p, s);
      if (i >= 4) differ[i - 4] += p.codes != before;
      if (i == 5) wrong += p.codes != got;
    }
  }
  CHECK(wrong == 0);
  for (const std::size_t count : differ) CHECK(count > 0);
}
