// SPDX-License-Identifier: Apache-2.0 OR MIT
// Catch2, version 2 (one header) or 3 (many): tests include this and nothing else of it.
#ifndef NIBBLE_TESTS_SUPPORT_CATCH_H_
#define NIBBLE_TESTS_SUPPORT_CATCH_H_

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>  // IWYU pragma: export
using Catch::Approx;             // version 2 has it at the top
#else
#include <catch2/catch.hpp>  // IWYU pragma: export
#endif

#endif  // NIBBLE_TESTS_SUPPORT_CATCH_H_
