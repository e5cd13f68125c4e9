// SPDX-License-Identifier: Apache-2.0 OR MIT
// Targets of this CPU: what there is, what calls take, and that a target asked for by
// NIBBLE_TEST_TARGET is there, so that no run on an emulated CPU passes by doing nothing.
#include "nibble/target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "nibble/elements.h"
#include "support/catch.h"

TEST_CASE("there is a target, calls take the best one, and the one asked for is there") {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < nibble::num_targets(); ++i) names.push_back(nibble::target_name(i));
  std::string all;
  for (const std::string& name : names) all += " " + name;
  std::printf("targets:%s\n", all.c_str());
  REQUIRE(!names.empty());
  CHECK(nibble::current_target() == names[0]);
  const char* const wanted = std::getenv("NIBBLE_TEST_TARGET");
  if (wanted != nullptr) {
    INFO(wanted);
    CHECK(std::find(names.begin(), names.end(), wanted) != names.end());
  }
}

TEST_CASE("each target can be forced, and decodes") {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < nibble::num_targets(); ++i) names.push_back(nibble::target_name(i));
  REQUIRE(!names.empty());
  for (const std::string& name : names) {
    REQUIRE(nibble::force_target(name.c_str()));
    CHECK(nibble::current_target() == name);
    const std::vector<nibble::fp8_e4m3fn::code> codes(37, nibble::fp8_e4m3fn::encode(2.5f));
    std::vector<float> values(codes.size());
    REQUIRE(nibble::decode_values<nibble::fp8_e4m3fn>(std::span(codes), std::span(values)) ==
            nibble::errc::ok);
    CHECK(values == std::vector<float>(codes.size(), 2.5f));
  }
  CHECK_FALSE(nibble::force_target("no such target"));
  CHECK(nibble::force_target(nullptr));
  CHECK(nibble::current_target() == names[0]);
}
