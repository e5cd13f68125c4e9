// SPDX-License-Identifier: Apache-2.0 OR MIT
// OCP MX formats and NVFP4 against torchao and microxcaling: scales, codes, values.
#include <cmath>

#include "nibble/element/minifloat.h"
#include "nibble/format/bits.h"
#include "support/cases.h"
#include "support/checks.h"
#include "support/golden.h"

using namespace nibble_test;
using nibble::mx_scale;

namespace {

constexpr const char* inputs[] = {"normal",  "weights",  "heavy",  "laplace",  "outliers",
                                  "uniform", "positive", "zeros",  "const",    "constneg",
                                  "spike",   "tiny",     "tinier", "big",      "ternary",
                                  "grid",    "ties",     "edges",  "nonfinite"};

struct mx_format {
  const char* ours;
  const char* torchao;
  const char* microxcaling;
  int bits;
  int emax;
};
constexpr mx_format formats[] = {
    {"mxfp8_e4m3", "e4m3fn", "fp8_e4m3", 8, 8},   {"mxfp8_e5m2", "e5m2", "fp8_e5m2", 8, 15},
    {"mxfp6_e2m3", "fp6_e2m3", "fp6_e2m3", 6, 2}, {"mxfp6_e3m2", "fp6_e3m2", "fp6_e3m2", 6, 4},
    {"mxfp4", "fp4_e2m1", "fp4_e2m1", 4, 2},
};

struct scale_choice {
  const char* torchao;
  mx_scale ours;
  bool on_all_inputs;  ///< else only on some
};
constexpr scale_choice choices[] = {{"floor", mx_scale::floor, true},
                                    {"rceil", mx_scale::round_up, true},
                                    {"ceil", mx_scale::ceil, false},
                                    {"even", mx_scale::even, false}};

struct input {
  std::vector<float> x;
  std::size_t rows;
  std::size_t cols;
};

input load_input(const std::string& name) {
  if (name == "edges") return {golden::load<float>("mx.in_edges"), 32, 32};
  if (name == "nonfinite") return {golden::load<float>("mx.in_nonfinite"), 4, 32};
  return {golden::load<float>("in." + name), 2, 512};
}

bool in_short_list(const std::string& name) {
  return name == "normal" || name == "outliers" || name == "grid" || name == "edges" ||
         name == "nonfinite";
}

/// One code per byte, as torchao has them (4-bit ones by two).
std::vector<std::uint8_t> codes_one_per_byte(const quantized_parts& w, int bits,
                                             std::size_t count) {
  const std::vector<std::uint8_t> packed = w.packed(0);
  if (bits == 8 || bits == 4) return packed;
  std::vector<std::uint8_t> codes(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* chunk = packed.data() + i / 16 * 2 * static_cast<std::size_t>(bits);
    codes[i] =
        static_cast<std::uint8_t>(nibble::load_bits(chunk, nibble::planar_field(bits, i % 16)));
  }
  return codes;
}

/// torchao's `even` raises this block's largest value past 2^128 and makes all of it NaN. Here its
/// scale is 2^(128 - emax): only values that round to 2^128 itself are lost, to infinity.
constexpr std::size_t raised_block = 25;

/// Without the signs of zeros: microxcaling loses some and keeps some that int8 has no code for.
std::vector<float> without_zero_signs(std::vector<float> v) {
  for (float& x : v) x += 0.0f;
  return v;
}

}  // namespace

TEST_CASE("MX: scales, codes and values are those of torchao under all four scale rules") {
  for (const mx_format& m : formats) {
    if (left_out(m.ours)) continue;
    const erased_format& f = format_named(m.ours);
    for (const scale_choice& choice : choices) {
      for (const std::string name : inputs) {
        if (!choice.on_all_inputs && !in_short_list(name)) continue;
        INFO(m.ours << ", " << choice.torchao << ", " << name);
        const std::string key =
            std::string("mx.ao.") + m.torchao + "." + choice.torchao + "." + name;
        const input in = load_input(name);
        quantize_options o;
        o.mx = choice.ours;
        const round_trip_result got = round_trip(f, in.x, in.rows, in.cols, o);
        auto scales = got.w.parts.packed(1);
        auto codes = codes_one_per_byte(got.w.parts, m.bits, in.x.size());
        auto values = got.values;
        const auto want_scales = golden::load<std::uint8_t>(key + ".scale");
        const auto want_codes = golden::load<std::uint8_t>(key + ".q");
        const auto want_values = golden::load<float>(key + ".deq");
        if (name == "edges" && choice.ours == mx_scale::even) {
          CHECK(want_scales[raised_block] == 0xFF);
          CHECK(scales[raised_block] == 0xFF - m.emax);
          scales[raised_block] = 0xFF;
          const std::size_t block_codes = codes.size() / in.rows;
          for (std::size_t i = 0; i < 32; ++i) {
            float& v = values[32 * raised_block + i];
            CHECK((std::isfinite(v) ||
                   (std::isinf(v) && std::fabs(in.x[32 * raised_block + i]) > 2.9e38f)));
            v = quiet_nan;
          }
          std::copy_n(want_codes.data() + raised_block * block_codes, block_codes,
                      codes.data() + raised_block * block_codes);
        }
        CHECK(difference(scales, want_scales) == "");
        CHECK(difference(values, want_values) == "");
        // The codes under a NaN scale mean nothing; every block of this input has one.
        if (name != "nonfinite") CHECK(difference(codes, want_codes) == "");
      }
    }
  }
}

TEST_CASE("MX: values are those of microxcaling, whose rule is floor") {
  for (const mx_format& m : formats) {
    if (left_out(m.ours)) continue;
    const erased_format& f = format_named(m.ours);
    for (const std::string name : inputs) {
      INFO(m.ours << ", " << name);
      const input in = load_input(name);
      const round_trip_result got = round_trip(f, in.x, in.rows, in.cols);
      const auto want =
          golden::load<float>(std::string("mx.msft.") + m.microxcaling + ".even." + name);
      CHECK(difference(without_zero_signs(got.values), without_zero_signs(want)) == "");
    }
  }
}

TEST_CASE("MXINT8: values are those of microxcaling") {
  const erased_format& f = format_named("mxint8");
  for (const std::string name : inputs) {
    INFO(name);
    const input in = load_input(name);
    const round_trip_result got = round_trip(f, in.x, in.rows, in.cols);
    const auto want = golden::load<float>("mx.msft.int8.even." + name);
    CHECK(difference(without_zero_signs(got.values), without_zero_signs(want)) == "");
  }
}

// Two-level NVFP4. torchao: block scale = e4m3(amax / 6 / t), at least 2^-6, value * ((1/t) /
// scale). Here the block scale may be a subnormal e4m3, down to 2^-9, and a value is divided by the
// product of both scales, rounded once: it decides alike except next to a tie.
TEST_CASE("NVFP4: scales and codes are those of torchao, but for its floor and ties") {
  const erased_format& f = format_named("nvfp4");
  std::size_t num_ties = 0;
  for (const std::string name : inputs) {
    if (name == "zeros" || name == "nonfinite") continue;  // torchao gives NaN tensors
    INFO(name);
    const std::string key = "mx.ao.nvfp4_2level." + name;
    const input in = load_input(name);
    const quantized got = quantize_everywhere(f, as_matrix(in.x, in.rows, in.cols));

    float tensor_scale = 0;
    std::memcpy(&tensor_scale, got.parts.packed(2).data(), sizeof tensor_scale);
    const float want_tensor_scale = golden::load<float>(key + ".pts")[0];
    CHECK(std::fabs(tensor_scale - want_tensor_scale) <= want_tensor_scale * 0x1p-23f);

    const auto scales = got.parts.packed(1);
    const auto want_scales = golden::load<std::uint8_t>(key + ".scale");
    REQUIRE(scales.size() == want_scales.size());
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const bool floored = want_scales[i] == 0x08 && scales[i] >= 1 && scales[i] < 0x08;
      const bool zero_block = want_scales[i] == 0x08 && scales[i] == 0;
      if (!floored && !zero_block && scales[i] != want_scales[i]) {
        FAIL_CHECK("scale " << i << " is " << int{scales[i]} << ", not " << int{want_scales[i]});
      }
    }

    const auto codes = got.parts.packed(0);
    const auto want_codes = golden::load<std::uint8_t>(key + ".q");
    for (std::size_t i = 0; i < in.x.size(); ++i) {
      const unsigned shift = 4 * (i % 2);
      const unsigned a = codes[i / 2] >> shift & 15u;
      const unsigned b = want_codes[i / 2] >> shift & 15u;
      if (a == b) continue;
      // Neighbours, and the value lies between them to within three roundings.
      ++num_ties;
      CHECK(((a ^ b) & 8) == 0);
      CHECK((a > b ? a - b : b - a) == 1);
      constexpr double levels[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
      const double scale = nibble::fp8_e4m3fn::decode(scales[i / 16]) * double{tensor_scale};
      const double middle = (levels[a & 7] + levels[b & 7]) / 2 * scale;
      CHECK(std::fabs(std::fabs(double{in.x[i]}) - middle) <= middle * 0x3p-23);
    }
  }
  CHECK(num_ties == 3);
}
