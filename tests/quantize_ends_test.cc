// SPDX-License-Identifier: Apache-2.0 OR MIT
// Scales, importances and codebooks at the ends of what floats can say, where the catalogue is not
// enough: types of a user's own, and GGUF's bytes by hand. One target, that of the compiler's
// flags.
#include <algorithm>
#include <cmath>

#include "nibble/recipes/observers.h"
#include "support/agreement.h"
#include "support/make_erased.h"

using namespace nibble;
using namespace nibble_test;
using floats = std::vector<float>;
using byte_list = std::vector<std::uint8_t>;

namespace {

struct int8_f16 : block<int8, 32, scale<f16>> {
  static constexpr std::string_view name = "int8_f16";
};
struct int8_bf16 : block<int8, 32, scale<bf16>> {
  static constexpr std::string_view name = "int8_bf16";
};
/// Scales so coarse that nearly all of them would clip if they were rounded to nearest.
struct int8_ue4m3 : block<int8, 32, scale<ue4m3>> {
  static constexpr std::string_view name = "int8_ue4m3";
};
struct int8_e5m2 : block<int8, 48, scale<fp8_e5m2>> {
  static constexpr std::string_view name = "int8_e5m2";
};
struct fp4_f16 : block<fp4_e2m1, 32, scale<f16>> {
  static constexpr std::string_view name = "fp4_f16";
};
struct nf4_f16 : block<nf4, 64, scale<f16>> {
  static constexpr std::string_view name = "nf4_f16";
};
struct ternary_f16 : block<ternary, 32, scale<f16>> {
  static constexpr std::string_view name = "ternary_f16";
};
struct uint8_bf16_z : block<uint8, 32, scale<bf16>, zero<uint8>> {
  static constexpr std::string_view name = "uint8_bf16_z";
};
struct uint4_e8m0_z : block<uint4, 32, scale<e8m0>, zero<uint4>> {
  static constexpr std::string_view name = "uint4_e8m0_z";
};

struct huge_values {
  static constexpr std::string_view name = "huge_values";
  static constexpr std::array<float, 4> values{-1e30f, 0, 3e29f, 1e30f};
};
struct huge_book : block<codebook<huge_values>, 32, scale<f32>> {
  static constexpr std::string_view name = "huge_book";
};
struct small_values {
  static constexpr std::string_view name = "small_values";
  static constexpr std::array<float, 4> values{-1e-30f, 0, 3e-31f, 1e-30f};
};
struct small_book : block<codebook<small_values>, 32, scale<f32>> {
  static constexpr std::string_view name = "small_book";
};
/// A power-of-two scale has to bring 1 to a quarter.
struct quarter_values {
  static constexpr std::string_view name = "quarter_values";
  static constexpr std::array<float, 4> values{-0.25f, 0, 0.125f, 0.25f};
};
struct quarter_book : block<codebook<quarter_values>, 32, scale<e8m0>> {
  static constexpr std::string_view name = "quarter_book";
};
/// An element whose encode() has no default policy, as the concept allows.
struct fifths {
  using code = std::uint8_t;
  static constexpr std::string_view name = "fifths";
  static constexpr int bits = 3;
  static constexpr float max = 1.4f;
  static constexpr float lowest = 0;
  static constexpr bool has_nan = false;
  static constexpr bool has_inf = false;
  static constexpr code zero_code = 0;
  static constexpr float decode(code c) noexcept { return static_cast<float>(c & 7) * 0.2f; }
  static constexpr code encode(float x, encode_policy) noexcept {
    return x > 0 ? static_cast<code>(x >= max ? 7 : static_cast<int>(x * 5 + 0.5f)) : code{0};
  }
};
struct fifths_f16 : block<fifths, 32, scale<f16>> {
  static constexpr std::string_view name = "fifths_f16";
};
struct centred : block<int8, 32, scale<f32>, center<f32, whole_tensor>> {
  static constexpr std::string_view name = "centred";
};

const std::vector<erased_format>& own_formats() {
  static const std::vector<erased_format> all{
      make_erased<int8_f16>(),    make_erased<int8_bf16>(),    make_erased<int8_ue4m3>(),
      make_erased<int8_e5m2>(),   make_erased<fp4_f16>(),      make_erased<nf4_f16>(),
      make_erased<ternary_f16>(), make_erased<uint8_bf16_z>(), make_erased<uint4_e8m0_z>(),
      make_erased<huge_book>(),   make_erased<small_book>(),   make_erased<quarter_book>(),
      make_erased<fifths_f16>(),  make_erased<centred>()};
  return all;
}

quantize_options with(scale_rule rule) {
  quantize_options o;
  o.rule = rule;
  return o;
}

floats filled(std::size_t n, floats first) {
  first.resize(n, 0.0f);
  return first;
}

template <class F>
byte_list record_of(const floats& x) {
  const erased_format f = make_erased<F>();
  return quantize_everywhere(f, as_matrix(x, 1, x.size())).parts.packed(0);
}

/// Blocks whose largest value is between two sizes: it loses no more than half a step of the scale
/// as stored.
template <class F>
void check_clipping(double from, double to, scale_rule rule) {
  using E = typename F::element;
  using S = typename F::scale_format;
  const erased_format f = make_erased<F>();
  const std::size_t n = F::shape.cols;
  for (double size = from; size <= to; size *= 1.0037) {
    floats x(n);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<float>(size * std::sin(2.1 * static_cast<double>(i)) * 0.9);
    }
    x[n / 2] = static_cast<float>(size);
    const auto r = round_trip(f, x, 1, n, with(rule));
    const double scale = S::decode(load_code<S>(r.w.parts.readable()[1], 0, 0));
    const double half = scale * E::max * nibble::detail::scale_slack<F>;
    const double lost = double{x[n / 2]} - double{r.values[n / 2]};
    if (!(lost <= half * (1 + 1e-6))) {
      FAIL_CHECK(F::name << ": " << size << " became " << r.values[n / 2]);
    }
    CHECK(r.w.report.scale_overflow == 0);
  }
}

}  // namespace

TEST_CASE("a user's scale types and books: kernels and reference agree at every size") {
  for (const erased_format& f : own_formats()) {
    disagreements found(f.name);
    for (const rule_case& rule : rule_cases) {
      for (const fill kind : {fill::normal, fill::denormals, fill::huge, fill::any_bits,
                              fill::non_finite, fill::zeros}) {
        check_quantize_case(f, rule, kind, {3, 200}, found);
      }
    }
    for (double size = 1e-45; size < 3e38; size *= 7.3) {
      floats x(160);
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(size * std::sin(static_cast<double>(i)));
      }
      round_trip(f, x, 1, x.size());
      round_trip(f, x, 1, x.size(), with(scale_rule::mse));
    }
    CHECK(found.count() == 0);
  }
}

TEST_CASE("no scale is rounded so that the largest value clips by more than half a step") {
  for (const scale_rule rule : {scale_rule::standard, scale_rule::absmax, scale_rule::percentile}) {
    check_clipping<int8_f16>(127 * 0x1p-24, 1e-2, rule);
    check_clipping<int8_bf16>(127 * 0x1.1p-128, 1e-36, rule);  // below, 1 / scale overflows
    check_clipping<int8_bf16>(1, 3, rule);
    check_clipping<int8_ue4m3>(127 * 0x1p-9, 1000, rule);
    check_clipping<int8_e5m2>(127 * 0x1p-16, 1000, rule);
    check_clipping<fp4_f16>(6 * 0x1p-24, 1e-4, rule);
    check_clipping<nf4_f16>(0x1p-24, 1e-4, rule);
    check_clipping<ternary_f16>(0x1p-24, 1e-4, rule);
  }
}

TEST_CASE("f16 scales of few units: 1.1e-5 by int8 keeps its size") {
  const erased_format f = make_erased<int8_f16>();
  for (const float v : {7.6e-6f, 9e-6f, 1.1e-5f, 1.13e-5f}) {
    for (const scale_rule rule : {scale_rule::standard, scale_rule::mse}) {
      const auto r = round_trip(f, filled(32, {v, -v / 3}), 1, 32, with(rule));
      INFO(v << " became " << r.values[0]);
      CHECK(std::fabs(r.values[0] - v) <= 0x1.01p-24f);  // half of two units
    }
  }
  // 1.1e-5 / 127 is 1.45 units: stored as 2, not 1.
  const auto r = round_trip(f, filled(32, {1.1e-5f}), 1, 32);
  CHECK(hex({r.w.parts.packed(1).data(), 2}) == "02 00 ");
  CHECK(r.w.parts.packed(0)[0] == 92);
}

TEST_CASE("books of huge, tiny and small values are quantized like any") {
  for (const erased_format& f :
       {make_erased<huge_book>(), make_erased<small_book>(), make_erased<quarter_book>()}) {
    INFO(f.name);
    const auto r = round_trip(f, filled(32, {1, -1, 0.3f, 0.1f}), 1, 32);
    CHECK(std::fabs(r.values[0] - 1) < 1e-6f);
    CHECK(std::fabs(r.values[1] + 1) < 1e-6f);
    CHECK(r.values[2] > 0.2f);
    CHECK(r.values[3] == 0);
    CHECK(r.w.report.scale_overflow == 0);
    CHECK(r.w.report.scale_underflow == 0);
  }
}

TEST_CASE("centres: the distance of the largest floats clamps; what decodes to infinity counts") {
  const float top = nibble::detail::float_max;
  const auto r = round_trip(make_erased<centred>(), {top, -top, -top, -top}, 1, 4);
  CHECK(r.w.report.non_finite == 0);
  CHECK(r.values[0] > 0.4f * top);
  CHECK(r.w.report.scale_overflow == 1);  // -64 / 127 of the largest float less a half
  const auto half = round_trip(make_erased<centred>(), {top / 2, -top / 2, 0, -top / 4}, 1, 4);
  CHECK(half.w.report.scale_overflow == 0);
  for (const float v : half.values) CHECK(std::isfinite(v));
}

// --- importance -------------------------------------------------------------------------------

TEST_CASE("importances that are negative, infinite or NaN are refused") {
  const floats x = make_values(fill::normal, 512, 1);
  for (const erased_format& f :
       {make_erased<gguf::q4_K>(), make_erased<gguf::q4_0>(), make_erased<int8_f16>()}) {
    for (const float bad : {-1.0f, -1e-45f, infinity, -infinity, quiet_nan}) {
      floats importance(512, 1.0f);
      importance[511] = bad;
      quantize_options o = with(scale_rule::weighted);
      o.importance = importance;
      CHECK(quantize_everywhere(f, as_matrix(x, 1, 512), o).error == errc::invalid_argument);
      o.rule = scale_rule::mse;  // importance does not count
      CHECK(quantize_everywhere(f, as_matrix(x, 1, 512), o).error == errc::ok);
    }
  }
}

TEST_CASE("importances of any size: no weight is lost, and only their ratios count") {
  const floats x = make_values(fill::normal, 512, 1);
  const std::vector<erased_format> all{
      make_erased<gguf::q4_0>(),   make_erased<gguf::q5_1>(),   make_erased<gguf::q2_K>(),
      make_erased<gguf::q3_K>(),   make_erased<gguf::q4_K>(),   make_erased<gguf::q6_K>(),
      make_erased<gguf::iq4_xs>(), make_erased<gguf::iq4_nl>(), make_erased<int8_f16>()};
  for (const erased_format& f : all) {
    const auto run = [&](const floats& importance) {
      quantize_options o = with(scale_rule::weighted);
      o.importance = importance;
      auto r = round_trip(f, x, 1, 512, o);
      CHECK(r.w.error == errc::ok);
      return r;
    };
    const auto error = [&](const floats& y) {
      double sum = 0;
      double of = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        sum += std::pow(double{x[i]} - double{y[i]}, 2);
        of += std::pow(double{x[i]}, 2);
      }
      return sum / of;
    };
    floats importance(512);
    for (std::size_t i = 0; i < 512; ++i) importance[i] = static_cast<float>(1 + i % 7);
    const auto usual = run(importance);
    for (const float factor : {0x1p100f, 0x1p-100f, 0x1p120f, 0x1p-130f}) {
      INFO(f.name << " times " << factor);
      floats scaled = importance;
      for (float& v : scaled) v *= factor;
      CHECK(difference(run(scaled).w.parts, usual.w.parts) == "");
    }
    // One huge column: the others count little, but their blocks stay.
    for (const float huge : {1e17f, 3e19f, 1e30f, 1e38f, nibble::detail::float_max}) {
      INFO(f.name << " with " << huge);
      floats one = importance;
      one[37] = huge;
      const auto r = run(one);
      CHECK(r.w.report.scale_overflow == 0);
      CHECK(r.w.report.scale_underflow == 0);
      CHECK(error(r.values) < std::max(0.1, 3 * error(usual.values)));
    }
  }
}

TEST_CASE("importances from observers are always taken") {
  const floats x = make_values(fill::normal, 256, 1);
  for (const float large : {3e19f, 1e30f, nibble::detail::float_max}) {
    auto observer = *second_moment_observer::create(slot_layout::per_channel(256));
    floats activations = make_values(fill::normal, 2 * 256, 2);
    activations[5] = large;
    activations[256 + 9] = -large;
    REQUIRE(observer.observe({activations.data(), 2, 256}) == errc::ok);
    floats importance(256);
    REQUIRE(observer.copy_mean_squares(importance) == errc::ok);
    for (const float v : importance) CHECK((v >= 0 && v <= nibble::detail::float_max));
    quantize_options o = with(scale_rule::weighted);
    o.importance = importance;
    for (const erased_format& f : {make_erased<gguf::q4_K>(), make_erased<gguf::q4_0>()}) {
      const auto r = round_trip(f, x, 1, 256, o);
      CHECK(r.w.error == errc::ok);
      for (std::size_t i = 0; i < 256; ++i) {
        if (!(std::fabs(r.values[i] - x[i]) < 0.02f)) FAIL_CHECK(f.name << " value " << i);
      }
    }
  }
}

// --- GGUF's bytes
// -----------------------------------------------------------------------------

TEST_CASE("Q4_1 and Q5_1: a minimum of zero has the sign of the first zero") {
  const auto m = [](const byte_list& b) { return hex({b.data() + 2, 2}); };
  CHECK(m(record_of<gguf::q4_1>(floats(32, -0.0f))) == "00 80 ");
  CHECK(m(record_of<gguf::q5_1>(floats(32, -0.0f))) == "00 80 ");
  CHECK(m(record_of<gguf::q4_1>(filled(32, {1, 2, -0.0f}))) == "00 80 ");
  CHECK(m(record_of<gguf::q4_1>(filled(32, {1, 0.0f, -0.0f}))) == "00 00 ");
  CHECK(m(record_of<gguf::q5_1>(filled(512, {1, 2, -0.0f}))) == "00 80 ");
  CHECK(m(record_of<gguf::q4_1>(filled(32, {quiet_nan, -0.0f}))) == "00 00 ");  // NaN counts as 0
}

TEST_CASE("MXFP4: the smallest exponent byte has codes") {
  // 2^-125 is 2^(0 - 127) times 4: exponent byte 0, code 6 of the table that ggml doubles.
  const auto b =
      record_of<gguf::mxfp4>(filled(32, {0x1p-125f, -0x1p-126f, 0x1.8p-125f, 0x1p-127f}));
  CHECK(hex({b.data(), 5}) == "00 06 0c 07 02 ");
  CHECK(round_trip(make_erased<gguf::mxfp4>(), filled(32, {0x1p-125f}), 1, 32).values[0] ==
        0x1p-125f);
}

TEST_CASE("NVFP4: far beyond a clamped scale, the first of equal distances") {
  const auto code = [](float v) { return record_of<gguf::nvfp4>(filled(64, {v}))[4] & 15; };
  CHECK(code(2688) == 7);
  CHECK(code(1e9f) == 7);
  CHECK(code(1e36f) == 0);  // every distance rounds to 1e36
  CHECK(code(-1e36f) == 0);
  // 1.5 * 2^34: floats are 2048 apart; less 12, 8 or 6 times 224 they are one.
  CHECK(code(0x1.8p34f) == 5);
}

TEST_CASE("Q1_0: every value keeps its sign, however small beside the mean") {
  floats x(128, 1e30f);
  for (std::size_t i = 0; i < 128; i += 2) x[i] = -1e-30f;
  x[2] = -1e-45f;
  const auto b = record_of<gguf::q1_0>(x);
  for (std::size_t i = 2; i < b.size(); ++i) CHECK(b[i] == 0xAA);
  // The mean overflows.
  floats top(128, nibble::detail::float_max);
  top[0] = -1;
  const auto of_top = record_of<gguf::q1_0>(top);
  CHECK(hex({of_top.data(), 4}) == "00 7c fe ff ");
}
