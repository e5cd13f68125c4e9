// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codebook formats against bitsandbytes (its torch backend): NF4, FP4, dynamic 8-bit, double
// quantization, row-wise int8. bitsandbytes puts the even code into the high nibble.
#include <cmath>
#include <cstring>

#include "nibble/element/codebook.h"
#include "nibble/element/minifloat.h"
#include "support/cases.h"
#include "support/checks.h"
#include "support/golden.h"

using namespace nibble_test;

namespace {

constexpr const char* inputs[] = {
    "normal",   "weights", "heavy", "laplace", "outliers", "uniform", "positive", "zeros", "const",
    "constneg", "spike",   "tiny",  "tinier",  "big",      "ternary", "grid",     "ties"};

std::vector<float> floats_of(const std::vector<std::uint8_t>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

std::vector<std::uint8_t> bytes_of(const std::vector<float>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// From their nibble order to ours, where the even code is the low one.
std::vector<std::uint8_t> swap_nibbles(std::vector<std::uint8_t> bytes) {
  for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>(b << 4 | b >> 4);
  return bytes;
}

/// Their torch backend makes tiny positive FP4 values code 8, their CUDA kernel makes tiny negative
/// ones code 8; either way it is a second +0. Here it is never made.
std::vector<std::uint8_t> without_code_8(std::vector<std::uint8_t> bytes) {
  for (std::uint8_t& b : bytes) {
    if ((b & 0x0F) == 0x08) b &= 0xF0;
    if ((b & 0xF0) == 0x80) b &= 0x0F;
  }
  return bytes;
}

double squared_error(const std::vector<float>& x, const std::vector<float>& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
  return sum;
}

}  // namespace

TEST_CASE("NF4 and bitsandbytes FP4: scales, codes and values are those of bitsandbytes") {
  for (const std::string type : {"nf4", "fp4"}) {
    const char* const ours = type == "nf4" ? "nf4_g64_f32" : "bnb_fp4_g64_f32";
    if (left_out(ours)) continue;
    const erased_format& f = format_named(ours);
    for (const std::string name : inputs) {
      INFO(type << " of " << name);
      const auto x = golden::load<float>("in." + name);
      const std::string key = "bnb.q4." + type + ".b64." + name;
      const round_trip_result got = round_trip(f, x, 2, 512);
      auto want = swap_nibbles(golden::load<std::uint8_t>(key + ".codes"));
      if (type == "fp4") want = without_code_8(want);
      CHECK(difference(got.w.parts.packed(0), want) == "");
      CHECK(difference(floats_of(got.w.parts.packed(1)), golden::load<float>(key + ".absmax")) ==
            "");
      CHECK(difference(got.values, golden::load<float>(key + ".deq")) == "");
    }
  }
}

TEST_CASE("NF4: an odd length with a short last block is that of bitsandbytes") {
  auto x = golden::load<float>("in.normal");
  x.resize(997);
  const round_trip_result got = round_trip(format_named("nf4_g64_f32"), x, 1, 997);
  const std::string key = "bnb.q4.nf4.b64.tail997";
  auto codes = got.w.parts.packed(0);
  codes.resize(499);  // ours go on to whole chunks
  CHECK(difference(codes, swap_nibbles(golden::load<std::uint8_t>(key + ".codes"))) == "");
  CHECK(difference(floats_of(got.w.parts.packed(1)), golden::load<float>(key + ".absmax")) == "");
  CHECK(difference(got.values, golden::load<float>(key + ".deq")) == "");
}

TEST_CASE("dynamic 8-bit: scales, codes and values are those of bitsandbytes") {
  const erased_format& f = format_named("dynamic8_g256_f32");
  for (const std::string name : inputs) {
    INFO(name);
    const auto x = golden::load<float>("in." + name);
    const std::string key = "bnb.q8dyn.b256." + name;
    const round_trip_result got = round_trip(f, x, 2, 512);
    CHECK(difference(got.w.parts.packed(0), golden::load<std::uint8_t>(key + ".codes")) == "");
    CHECK(difference(floats_of(got.w.parts.packed(1)), golden::load<float>(key + ".absmax")) == "");
    CHECK(difference(got.values, golden::load<float>(key + ".deq")) == "");
  }
}

TEST_CASE("double quantization: bitsandbytes' codes and scales decode to its values") {
  for (const std::string type : {"nf4", "fp4"}) {
    const char* const ours = type == "nf4" ? "nf4_g64_dq" : "bnb_fp4_g64_dq";
    if (left_out(ours)) continue;
    const erased_format& f = format_named(ours);
    for (const std::string name : {"normal", "heavy", "zeros"}) {
      INFO(type << " of " << name);
      const std::string key = "bnb.q4nested." + type + ".b64." + name;
      const std::vector<std::uint8_t> parts[] = {
          swap_nibbles(golden::load<std::uint8_t>(key + ".codes")),
          golden::load<std::uint8_t>(key + ".qabsmax"),
          bytes_of(golden::load<float>(key + ".state2_absmax")),
          bytes_of(golden::load<float>(key + ".offset"))};
      quantized_parts w(f, 20, 1024);
      REQUIRE(w.count() == 4);
      for (std::size_t s = 0; s < 4; ++s) {
        REQUIRE(w.size(s).rows * w.size(s).row_bytes == parts[s].size());
        std::memcpy(w.row(s, 0), parts[s].data(), parts[s].size());
      }
      const auto values = dequantize_everywhere(f, w.readable(), 20, 1024);
      CHECK(difference(values, golden::load<float>(key + ".deq")) == "");
    }
  }
}

// bitsandbytes chooses the 4-bit codes with the scale before its own quantization; here, as for
// every format, with the scale as stored, which errs less. It sums the mean in float32, we in
// double.
TEST_CASE("double quantization: scales agree with bitsandbytes, the error is smaller") {
  for (const std::string type : {"nf4", "fp4"}) {
    const char* const ours = type == "nf4" ? "nf4_g64_dq" : "bnb_fp4_g64_dq";
    if (left_out(ours)) continue;
    const erased_format& f = format_named(ours);
    for (const std::string name : {"normal", "heavy", "zeros"}) {
      INFO(type << " of " << name);
      const std::string key = "bnb.q4nested." + type + ".b64." + name;
      const auto x = golden::load<float>("bnb.q4nested." + name + ".input");
      const round_trip_result got = round_trip(f, x, 20, 1024);
      // The mean of 320 positive scales: a tree sum in float32 errs by less than 16 half-ulps.
      const float want_mean = golden::load<float>(key + ".offset")[0];
      const float mean = floats_of(got.w.parts.packed(3))[0];
      const float mean_bound = 16 * 0x1p-24f * want_mean;
      CHECK(std::fabs(mean - want_mean) <= mean_bound);
      // Second level: max|scale - mean| moves by as much, and one rounding. A block of zeros has
      // scale 0 here, 1e-38 there.
      const auto scales = floats_of(got.w.parts.packed(2));
      const auto want_scales = golden::load<float>(key + ".state2_absmax");
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(std::fabs(scales[i] - want_scales[i]) <=
              mean_bound + 0x1p-23f * want_scales[i] + 1e-38f);
      }
      CHECK(difference(got.w.parts.packed(1), golden::load<std::uint8_t>(key + ".qabsmax")) == "");
      const double error = squared_error(x, got.values);
      const double want_error = squared_error(x, golden::load<float>(key + ".deq"));
      CHECK(error <= want_error);
      if (name != "zeros") CHECK(error > 0.9 * want_error);
    }
  }
}

TEST_CASE("row-wise int8: codes are those of LLM.int8, scales its statistics / 127") {
  const auto half = golden::load<std::int16_t>("bnb.int8.B_f16");
  std::vector<float> x;
  for (const std::int16_t h : half) x.push_back(nibble::f16::decode(static_cast<std::uint16_t>(h)));
  const quantized got =
      quantize_everywhere(format_named("int8_channel_f32"), as_matrix(x, 24, 128));
  const auto want = golden::load<std::int8_t>("bnb.int8.CB");
  std::vector<std::uint8_t> want_bytes(want.size());
  std::memcpy(want_bytes.data(), want.data(), want.size());
  CHECK(difference(got.parts.packed(0), want_bytes) == "");
  const auto scales = floats_of(got.parts.packed(1));
  const auto amax = golden::load<float>("bnb.int8.SCB");
  for (std::size_t r = 0; r < 24; ++r) CHECK(scales[r] == amax[r] / 127);
}
