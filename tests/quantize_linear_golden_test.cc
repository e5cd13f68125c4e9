// SPDX-License-Identifier: Apache-2.0 OR MIT
// Integer codes with a zero point against ONNX Runtime (divides) and PyTorch (multiplies by the
// reciprocal). Both are given scale and zero point, so this tests the step from value to code.
#include <cmath>
#include <cstring>

#include "nibble/element/integer.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/rules.h"
#include "support/cases.h"
#include "support/checks.h"
#include "support/golden.h"

using namespace nibble;
using namespace nibble_test;

namespace {

/// A block whose zero point has the type of its codes.
template <class Int>
using linear = block<Int, 16, scale<f32>, zero<Int>>;

template <class Int>
std::vector<int> codes_of(const std::vector<float>& x, const auto& scale_at, const auto& zero_at,
                          bool divide) {
  std::vector<int> codes;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float s = scale_at(i);
    const detail::code_params p{s, detail::inverse_or_zero(s), zero_at(i), divide};
    const auto code = detail::code_of<linear<Int>>(x[i], p, linear<Int>::rule);
    codes.push_back(static_cast<int>(Int::decode(code)));
  }
  return codes;
}

std::string first_difference(const std::vector<int>& got, const std::vector<int>& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got[i] != want[i]) {
      return "code " + std::to_string(i) + " is " + std::to_string(got[i]) + ", expected " +
             std::to_string(want[i]);
    }
  }
  return {};
}

struct tensor_params {
  const char* key;
  float scale;
  float zero;
};

template <class Int>
void check_onnx(const std::string& type, std::vector<tensor_params> params) {
  for (const tensor_params& p : params) {
    const auto scale_at = [&](std::size_t) { return p.scale; };
    const auto zero_at = [&](std::size_t) { return p.zero; };
    for (const std::string name : {"normal", "ties", "grid", "big"}) {
      INFO(type << "." << name << "." << p.key);
      const auto x = golden::load<float>("in." + name);
      const auto want = golden::load<std::int32_t>("ort.ql." + type + "." + name + "." + p.key);
      const std::vector<int> want_codes(want.begin(), want.end());
      CHECK(first_difference(codes_of<Int>(x, scale_at, zero_at, true), want_codes) == "");
    }
    // Infinities and huge values saturate. NaN is zero here, the lowest code there.
    INFO(type << ".special." << p.key);
    const auto x = golden::load<float>("ort.ql.special_in");
    const auto want = golden::load<std::int32_t>("ort.ql." + type + ".special." + p.key);
    const std::vector<int> got = codes_of<Int>(x, scale_at, zero_at, true);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        CHECK(want[i] == static_cast<int>(Int::lowest));
        CHECK(got[i] == static_cast<int>(p.zero));
      } else {
        CHECK(got[i] == want[i]);
      }
    }
  }
  // Blocked: a scale and a zero point for 16 or 32 values.
  for (const std::size_t length : {std::size_t{16}, std::size_t{32}}) {
    const std::string key = "ort.ql." + type + ".blk" + std::to_string(length);
    INFO(key);
    const auto x = golden::load<float>("in.normal");
    const auto scales = golden::load<float>(key + ".scale");
    const auto zeros = golden::load<std::int32_t>(key + ".zp");
    const auto want = golden::load<std::int32_t>(key + ".q");
    const auto scale_at = [&](std::size_t i) { return scales[i / length]; };
    const auto zero_at = [&](std::size_t i) { return static_cast<float>(zeros[i / length]); };
    const std::vector<int> want_codes(want.begin(), want.end());
    CHECK(first_difference(codes_of<Int>(x, scale_at, zero_at, true), want_codes) == "");
    // And back.
    const auto want_values = golden::load<float>(key + ".deq");
    std::vector<float> values;
    for (std::size_t i = 0; i < x.size(); ++i) {
      values.push_back(
          detail::value_of<linear<Int>>(static_cast<float>(want[i]), scale_at(i), zero_at(i)));
    }
    CHECK(nibble_test::difference(values, want_values) == "");
  }
}

template <class Int, class Byte>
void check_torch(const std::string& type, std::vector<tensor_params> params) {
  for (const tensor_params& p : params) {
    for (const std::string name : {"normal", "heavy", "ties", "grid", "big", "zeros"}) {
      INFO(type << "." << name << "." << p.key);
      const auto x = golden::load<float>("in." + name);
      const auto want = golden::load<Byte>("tq.qpt." + type + "." + name + "." + p.key);
      const std::vector<int> want_codes(want.begin(), want.end());
      const auto got = codes_of<Int>(
          x, [&](std::size_t) { return p.scale; }, [&](std::size_t) { return p.zero; }, false);
      CHECK(first_difference(got, want_codes) == "");
    }
  }
}

}  // namespace

TEST_CASE("ONNX QuantizeLinear: the same codes where values are divided by the scale") {
  check_onnx<int8>("int8", {{"s0.1.z0", 0.1f, 0}, {"s1.0.z0", 1, 0}, {"s0.37.z-2", 0.37f, -2}});
  check_onnx<uint8>("uint8", {{"s0.1.z0", 0.1f, 0}, {"s1.0.z0", 1, 0}, {"s0.37.z3", 0.37f, 3}});
  check_onnx<int4>("int4", {{"s0.1.z0", 0.1f, 0}, {"s1.0.z0", 1, 0}, {"s0.37.z-2", 0.37f, -2}});
  check_onnx<uint4>("uint4", {{"s0.1.z0", 0.1f, 0}, {"s1.0.z0", 1, 0}, {"s0.37.z3", 0.37f, 3}});
}

TEST_CASE("PyTorch quantize_per_tensor: the same codes where values are multiplied by 1 / scale") {
  check_torch<int8, std::int8_t>(
      "qint8",
      {{"s0.05.z0", 0.05f, 0}, {"s0.1.z3", 0.1f, 3}, {"s1.0.z-7", 1, -7}, {"s0.37.z0", 0.37f, 0}});
  check_torch<uint8, std::uint8_t>("quint8", {{"s0.05.z0", 0.05f, 0},
                                              {"s0.1.z3", 0.1f, 3},
                                              {"s1.0.z130", 1, 130},
                                              {"s0.37.z0", 0.37f, 0}});
}

TEST_CASE("dividing and multiplying by the reciprocal differ only next to a tie") {
  random_bits random(1);
  std::size_t count = 0;
  for (int round = 0; round < 200; ++round) {
    const float s = 0.01f + random.uniform();
    const auto at = [&](std::size_t) { return s; };
    const auto none = [](std::size_t) { return 0.0f; };
    std::vector<float> x;
    for (int k = -127; k < 127; ++k) x.push_back((static_cast<float>(k) + 0.5f) * s);
    const std::vector<int> divided = codes_of<int8>(x, at, none, true);
    const std::vector<int> multiplied = codes_of<int8>(x, at, none, false);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (divided[i] == multiplied[i]) continue;
      ++count;
      CHECK(std::abs(divided[i] - multiplied[i]) == 1);
      const double between = (divided[i] + multiplied[i]) / 2.0;
      CHECK(std::fabs(double{x[i]} / double{s} - between) <= std::fabs(between) * 0x2p-23);
    }
  }
  CHECK(count > 0);
}

TEST_CASE("ONNX DequantizeLinear: matrices with its codes have its values") {
  const erased_format& f = format_named("uint4_g32_f32_z");
  const std::string key = "ort.ql.uint4.blk32";
  const auto codes = golden::load<std::int32_t>(key + ".q");
  const auto scales = golden::load<float>(key + ".scale");
  const auto zeros = golden::load<std::int32_t>(key + ".zp");
  quantized_parts w(f, 2, 512);
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    w.row(0, 0)[i / 2] = static_cast<std::uint8_t>(codes[i] | codes[i + 1] << 4);
  }
  std::memcpy(w.row(1, 0), scales.data(), scales.size() * sizeof(float));
  for (std::size_t i = 0; i < zeros.size(); i += 2) {
    w.row(2, 0)[i / 2] = static_cast<std::uint8_t>(zeros[i] | zeros[i + 1] << 4);
  }
  const auto got = dequantize_everywhere(f, w.readable(), 2, 512);
  CHECK(nibble_test::difference(got, golden::load<float>(key + ".deq")) == "");
}

TEST_CASE("PyTorch per channel: matrices with its codes have its values to an ulp") {
  // Signed codes q with zero point z are unsigned codes q + 128 with zero point z + 128.
  const erased_format& f = format_named("uint8_channel_f32_z");
  for (const std::string name : {"normal", "heavy", "ties", "grid", "big", "zeros"}) {
    INFO(name);
    const auto codes = golden::load<std::int8_t>("tq.qpc." + name + ".codes");
    quantized_parts w(f, 2, 512);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      w.row(0, 0)[i] = static_cast<std::uint8_t>(codes[i] + 128);
    }
    const float scales[] = {0.05f, 0.2f};
    std::memcpy(w.row(1, 0), scales, sizeof scales);
    w.row(2, 0)[0] = 128;
    w.row(2, 1)[0] = 128 + 5;
    const auto got = dequantize_everywhere(f, w.readable(), 2, 512);
    // PyTorch keeps these scales in double: one float rounding of the scale, one of the product.
    const auto want = golden::load<float>("tq.qpc." + name + ".deq");
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (!(std::fabs(got[i] - want[i]) <= 0x1p-23f * std::fabs(want[i]))) {
        FAIL_CHECK("value " << i << " is " << show(got[i]) << ", not " << show(want[i]));
      }
    }
  }
}
