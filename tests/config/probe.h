// SPDX-License-Identifier: Apache-2.0 OR MIT
// One round through nibble's public functions, checked against the scalar definition: what every
// way of building must get right. Needs no test framework.
#ifndef NIBBLE_TESTS_CONFIG_PROBE_H_
#define NIBBLE_TESTS_CONFIG_PROBE_H_

#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "nibble/elements.h"

// Always inline, as the shims are: TUs with other flags must not share this body either.
template <class E>
[[gnu::always_inline]] inline int probe_element(const char* who) {
  const std::size_t n = 259;  // whole chunks and a rest, whatever the vector length
  std::vector<float> values(n), decoded(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) * 0.171f;
  }
  std::vector<typename E::code> codes(n);
  const std::span<typename E::code> all(codes);
  if (nibble::encode_values<E>(std::span<const float>(values), all) != nibble::errc::ok ||
      nibble::decode_values<E>(all, std::span<float>(decoded)) != nibble::errc::ok) {
    return 1;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const float expected = E::decode(codes[i]);
    if (codes[i] != E::encode(values[i]) || std::memcmp(&decoded[i], &expected, 4) != 0) {
      std::printf("%s: wrong at %zu\n", who, i);
      return 1;
    }
  }
  return 0;
}

// 0 if everything agrees.
[[gnu::always_inline]] inline int probe(const char* who) {
  const int failures = probe_element<nibble::fp8_e4m3fn>(who) + probe_element<nibble::int4>(who);
  std::printf("%s: %s\n", who, failures == 0 ? "ok" : "FAILED");
  return failures;
}

#endif  // NIBBLE_TESTS_CONFIG_PROBE_H_
