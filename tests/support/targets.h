// SPDX-License-Identifier: Apache-2.0 OR MIT
// Runs a test once for every instruction set this CPU and this program have.
#ifndef NIBBLE_TESTS_SUPPORT_TARGETS_H_
#define NIBBLE_TESTS_SUPPORT_TARGETS_H_

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "nibble/target.h"

namespace nibble_test {

/// Calls fn(name) with each target forced in turn; NIBBLE_TEST_TARGET=AVX2 keeps to that one, and
/// says so where a program or CPU does not have it. (targets_test fails there.)
template <class Fn>
void for_each_target(Fn&& fn) {
  const char* only = std::getenv("NIBBLE_TEST_TARGET");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < nibble::num_targets(); ++i) {
    const std::string name = nibble::target_name(i);
    if (only == nullptr || name == only) names.push_back(name);
  }
  if (names.empty()) {
    if (only == nullptr) throw std::runtime_error("this CPU runs none of the program's targets");
    static const int said = std::printf("target %s is not here: its checks are left out\n", only);
    static_cast<void>(said);
  }
  for (const std::string& name : names) {
    if (!nibble::force_target(name.c_str())) continue;
    fn(name.c_str());
  }
  nibble::force_target(nullptr);
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_TARGETS_H_
