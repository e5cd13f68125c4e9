// SPDX-License-Identifier: Apache-2.0 OR MIT
// nearest_names(): what a person meant who typed a name that does not exist.
#include "nibble/format/names.h"

#include <string>
#include <vector>

#include "nibble/formats.h"
#include "support/catch.h"

using namespace nibble;

namespace {

std::vector<std::string_view> catalogue_names() {
  std::vector<std::string_view> names;
  for_each_format([&names]<class F>() { names.push_back(F::name); });
  return names;
}

std::string nearest(std::string_view name, std::size_t count = 3) {
  const std::vector<std::string_view> names = catalogue_names();
  std::vector<std::string_view> found(count);
  found.resize(nearest_names(name, names, found));
  std::string text;
  for (const std::string_view f : found) text.append(text.empty() ? "" : " ").append(f);
  return text;
}

}  // namespace

TEST_CASE("nearest_names: names that begin so come first, the shortest of them") {
  CHECK(nearest("nf4") == "nf4_g64_dq nf4_g64_f32 nf4_g32_f16");
  CHECK(nearest("NF4", 1) == "nf4_g64_dq");
  CHECK(nearest("int4_g32") == "int4_g32_f16 int4_g32_f32 int4_g32_bf16");
  CHECK(nearest("fp8_e4m3fn", 2) == "fp8_e4m3fn_g128_f32 fp8_e4m3fn_t128_f32");
  CHECK(nearest("mxfp4_", 2) == "mxfp4 mxfp4_gguf");
}

TEST_CASE("nearest_names: another case is the same name") {
  CHECK(nearest("q4_k", 1) == "q4_K");
  CHECK(nearest("Q8_0", 1) == "q8_0");
  CHECK(nearest("INT4_G32_F16", 1) == "int4_g32_f16");
}

TEST_CASE("nearest_names: then what the name begins with, as llama.cpp's mixtures do") {
  CHECK(nearest("Q4_K_M", 1) == "q4_K");
  CHECK(nearest("q5_k_s", 1) == "q5_K");
  CHECK(nearest("bf16_something", 1) == "bf16");
}

TEST_CASE("nearest_names: then names that contain it, then the fewest changes") {
  CHECK(nearest("_gguf", 2) == "mxfp4_gguf nvfp4_gguf");
  CHECK(nearest("e3m4", 1) == "fp8_e3m4_channel_f32");
  CHECK(nearest("int4_g32_f61", 1) == "int4_g32_f16");
  CHECK(nearest("unit4_g64_f16_z", 1) == "uint4_g64_f16_z");
  CHECK(nearest("iq4xs", 1) == "iq4_xs");
}

TEST_CASE("nearest_names: any name, any number") {
  const std::vector<std::string_view> names = catalogue_names();
  std::vector<std::string_view> found(names.size() + 5);
  CHECK(nearest_names("x", names, found) == names.size());
  CHECK(nearest_names("x", names, {}) == 0);
  CHECK(nearest_names("x", {}, found) == 0);
  CHECK(nearest_names("", names, found) == names.size());
  CHECK(found[0].size() == 3);  // the shortest
  CHECK(nearest_names(std::string(10000, 'x'), names, found) == names.size());
  const std::string_view with_empty[] = {"", "ab"};
  REQUIRE(nearest_names("ab_c", with_empty, found) == 2);
  CHECK(found[0] == "ab");
}
