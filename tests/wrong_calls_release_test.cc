// SPDX-License-Identifier: Apache-2.0 OR MIT
// The same wrong calls in a program without asserts, as clients' release builds are.
#undef NIBBLE_HARDENED
#define NIBBLE_HARDENED 0
#ifndef NDEBUG
#define NDEBUG
#endif
#include "wrong_calls_test.cc"
