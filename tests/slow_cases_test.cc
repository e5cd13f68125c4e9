// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble_roofline ends in bounded time beside a library that is far slower than the others.
#include "../bench/support/slow_cases.h"

#include "support/catch.h"

namespace {

/// A library whose product takes some seconds per row, which are counted instead of waited for.
struct fake_library {
  double seconds_per_row = 0;
  double preparing = 0;  ///< what the first call takes besides
  int calls = 0;
  double spent = 0;

  double call(std::size_t m) {
    const double s = seconds_per_row * static_cast<double>(m) + (calls++ == 0 ? preparing : 0);
    spent += s;
    return s;
  }
};

}  // namespace

TEST_CASE("a call over 50 times slower than another is timed once and named slow") {
  bench::slow_cases slow;
  fake_library usual{0.001}, far{0.051, 1.0};
  CHECK(slow.is_new("far"));
  CHECK_FALSE(slow.time_if_slow("usual", 1, 0.001, [&] { return usual.call(1); }));
  CHECK(usual.calls == 1);
  const auto seconds = slow.time_if_slow("far", 1, 0.001, [&] { return far.call(1); });
  REQUIRE(seconds);
  CHECK(*seconds == 0.051);  // without what the first call prepared
  CHECK(far.calls == 2);
  CHECK_FALSE(slow.is_new("far"));
}

TEST_CASE("what the first call prepares makes no library slow") {
  bench::slow_cases slow;
  fake_library prepares{0.002, 4.0};
  CHECK_FALSE(slow.time_if_slow("prepares", 1, 0.001, [&] { return prepares.call(1); }));
  CHECK_FALSE(slow.too_slow("prepares", 512));
}

TEST_CASE("a long call is made once, and none that would take longer than five seconds") {
  bench::slow_cases slow;
  fake_library far{2.0};
  CHECK(slow.time_if_slow("far", 1, 0.001, [&] { return far.call(1); }));
  CHECK_FALSE(slow.too_slow("far", 1));
  CHECK_FALSE(slow.too_slow("far", 2));
  REQUIRE(slow.too_slow("far", 4));
  CHECK(slow.too_slow("far", 512)->m == 1);
  far.spent = 0;
  CHECK(slow.time_if_slow("far", 2, 0.001, [&] { return far.call(2); }));
  CHECK(far.spent <= 2 * bench::longest_call_s);
  CHECK_FALSE(slow.too_slow("near", 512));
}

TEST_CASE("the first call that is known makes nothing slow") {
  bench::slow_cases slow;
  CHECK_FALSE(slow.time_if_slow("first", 1, 0, [] { return 3.0; }));
}
