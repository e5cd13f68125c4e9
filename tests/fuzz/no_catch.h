// SPDX-License-Identifier: Apache-2.0 OR MIT
// Instead of support/catch.h: test support in a fuzz target, where what does not hold stops the
// program. Included before any of tests/support.
#ifndef NIBBLE_TESTS_FUZZ_NO_CATCH_H_
#define NIBBLE_TESTS_FUZZ_NO_CATCH_H_

#ifdef NIBBLE_TESTS_SUPPORT_CATCH_H_
#error "no_catch.h comes before tests/support"
#endif
#define NIBBLE_TESTS_SUPPORT_CATCH_H_

#include <sstream>

#include "watch.h"

#define REQUIRE(...) fuzz::require(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__)
#define CHECK(...) REQUIRE(__VA_ARGS__)
#define FAIL_CHECK(text)                        \
  do {                                          \
    std::ostringstream stream;                  \
    stream << text;                             \
    fuzz::require(false, stream.str().c_str()); \
  } while (false)
#define INFO(text)               \
  do {                           \
    if (false) FAIL_CHECK(text); \
  } while (false)

#endif  // NIBBLE_TESTS_FUZZ_NO_CATCH_H_
