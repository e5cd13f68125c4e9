// SPDX-License-Identifier: Apache-2.0 OR MIT
// main() of the test programs for Catch2 2; version 3 brings its own.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
