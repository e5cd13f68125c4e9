// SPDX-License-Identifier: Apache-2.0 OR MIT
// The rules of quantize() by hand-made examples: what becomes of a block, with the numbers written
// out. Every example runs on every target.
#include <cmath>
#include <cstring>

#include "nibble/element/codebook.h"
#include "nibble/element/integer.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/bits.h"
#include "nibble/formats.h"
#include "support/cases.h"
#include "support/checks.h"

using namespace nibble_test;
using nibble::mx_scale;
using nibble::scale_rule;

namespace {

using floats = std::vector<float>;
using ints = std::vector<int>;
using bytes = std::vector<std::uint8_t>;

/// n values: those given, then the last of them repeated.
floats block(std::size_t n, floats first) {
  first.resize(n, first.back());
  return first;
}

/// The first `count` codes of a section of elements E, as numbers.
template <class E>
ints codes(const quantized& q, std::size_t count, std::size_t section = 0) {
  const bytes packed = q.parts.packed(section);
  ints numbers;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t code =
        E::bits == 8 ? packed[i]
                     : nibble::load_bits(packed.data() + i / 16 * 2 * std::size_t{E::bits},
                                         nibble::planar_field(E::bits, i % 16));
    numbers.push_back(static_cast<int>(E::decode(static_cast<typename E::code>(code))));
  }
  return numbers;
}

floats f32_section(const quantized& q, std::size_t section) {
  const bytes packed = q.parts.packed(section);
  floats values(packed.size() / 4);
  std::memcpy(values.data(), packed.data(), packed.size());
  return values;
}

floats f16_section(const quantized& q, std::size_t section) {
  const bytes packed = q.parts.packed(section);
  floats values;
  for (std::size_t i = 0; i < packed.size(); i += 2) {
    values.push_back(
        nibble::f16::decode(static_cast<std::uint16_t>(packed[i] | packed[i + 1] << 8)));
  }
  return values;
}

floats first(const floats& v, std::size_t n) {
  return {v.begin(), v.begin() + static_cast<std::ptrdiff_t>(n)};
}

quantize_options with(scale_rule rule, float percentile = 99.9f) {
  quantize_options o;
  o.rule = rule;
  o.percentile = percentile;
  return o;
}

round_trip_result one_row(std::string_view name, const floats& x, const quantize_options& o = {}) {
  return round_trip(format_named(name), x, 1, x.size(), o);
}

double weighted_error(const floats& x, const floats& y, const floats& weight, std::size_t cols) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double e = double{x[i]} - double{y[i]};
    sum += e * e * (weight.empty() ? 1.0 : double{weight[i % cols]});
  }
  return sum;
}

}  // namespace

// --- standard rules ---------------------------------------------------------------------------

TEST_CASE("absmax: the largest magnitude gets the largest code, ties go to even codes") {
  const auto r =
      one_row("int8_g32_f16", block(32, {63.5f, -63.5f, 0.25f, 0.75f, 1.25f, -0.25f, 0}));
  CHECK(f16_section(r.w, 1) == floats{0.5f});
  CHECK(codes<nibble::int8>(r.w, 8) == ints{127, -127, 0, 2, 2, 0, 0, 0});
  CHECK(first(r.values, 7) == floats{63.5f, -63.5f, 0, 1, 1, 0, 0});
}

TEST_CASE("absmax: codes are made with the scale as stored") {
  // 1 / 127 is stored as f16 2^-7 (1 + 8/1024) = 0.0078735..., so 34.5 / 127 is 34.502 steps.
  const auto r = one_row("int8_g32_f16", block(32, {1, 34.5f / 127, 0}));
  CHECK(f16_section(r.w, 1) == floats{0.00787353515625f});
  CHECK(codes<nibble::int8>(r.w, 2) == ints{127, 35});
}

TEST_CASE("absmax: 4-bit codes run from -7 to 7, two to a byte") {
  const auto r = one_row("int4_g32_f32", block(32, {7, -7, 3, -4, 6.5f, 5.5f, 0}));
  CHECK(f32_section(r.w, 1) == floats{1});
  CHECK(codes<nibble::int4>(r.w, 6) == ints{7, -7, 3, -4, 6, 6});
  CHECK(hex({r.w.parts.packed(0).data(), 4}) == "97 c3 66 00 ");
}

TEST_CASE("ternary: a magnitude up to half of the largest becomes zero") {
  const auto r = one_row("ternary_g64_f16", block(64, {2, -2, 1, -1, 1.0078125f, -1.5f, 0}));
  CHECK(f16_section(r.w, 1) == floats{2});
  CHECK(first(r.values, 7) == floats{2, -2, 0, 0, 2, -2, 0});
}

TEST_CASE("binary: the sign times the mean magnitude; zero counts as positive") {
  floats x(128);
  for (std::size_t i = 0; i < 128; ++i) x[i] = i % 2 == 0 ? 1.0f : -3.0f;
  const auto r = one_row("binary_g128_f16", x);
  CHECK(f16_section(r.w, 1) == floats{2});
  CHECK(r.w.parts.packed(0) == bytes(16, 0x55));
  CHECK(first(r.values, 4) == floats{2, -2, 2, -2});
  const auto z = one_row("binary_g128_f16", block(128, {4, -0.0f, 0}));
  CHECK(first(z.values, 4) == floats{0.03125f, 0.03125f, 0.03125f, 0.03125f});
}

TEST_CASE("zero point: the range is widened to hold zero, which gets a code of its own") {
  SECTION("around zero: [-3, 12] in 15 steps of 1, zero is code 3") {
    const auto r = one_row("uint4_g32_f32_z", block(32, {-3, 12, 0, 1.5f, 2.5f, -0.5f, 0}));
    CHECK(f32_section(r.w, 1) == floats{1});
    CHECK(codes<nibble::uint4>(r.w, 1, 2) == ints{3});
    // The zero point is added to the rounded value: 1.5 and 2.5 both become 2.
    CHECK(codes<nibble::uint4>(r.w, 7) == ints{0, 15, 3, 5, 5, 3, 3});
    CHECK(first(r.values, 7) == floats{-3, 12, 0, 2, 2, 0, 0});
  }
  SECTION("only positive values: the range starts at zero") {
    const auto r = one_row("uint4_g32_f32_z", block(32, {7.5f, 5, 6}));
    CHECK(f32_section(r.w, 1) == floats{0.5f});
    CHECK(codes<nibble::uint4>(r.w, 1, 2) == ints{0});
    CHECK(codes<nibble::uint4>(r.w, 3) == ints{15, 10, 12});
  }
  SECTION("only negative values: zero is the last code") {
    const auto r = one_row("uint4_g32_f32_z", block(32, {-7.5f, -5, -6}));
    CHECK(f32_section(r.w, 1) == floats{0.5f});
    CHECK(codes<nibble::uint4>(r.w, 1, 2) == ints{15});
    CHECK(first(r.values, 3) == floats{-7.5f, -5, -6});
  }
}

TEST_CASE("float zero point: keeps its fraction, and is added before rounding") {
  const auto r = one_row("uint4_g32_f16_zf", block(32, {-1.25f, 6.25f, 0, 1, 2}));
  CHECK(f16_section(r.w, 1) == floats{0.5f});
  CHECK(f16_section(r.w, 2) == floats{2.5f});
  CHECK(codes<nibble::uint4>(r.w, 5) == ints{0, 15, 2, 4, 6});  // 2.5, 4.5, 6.5: ties to even
  CHECK(first(r.values, 5) == floats{-1.25f, 6.25f, -0.25f, 0.75f, 1.75f});
}

TEST_CASE("codebooks: the nearest entry of x / max|x|") {
  const auto r = one_row("nf4_g64_f32", block(64, {-4, 4, 0, 1.8f, 0.1f}));
  CHECK(f32_section(r.w, 1) == floats{4});
  CHECK(first(r.values, 5) == floats{-4, 4, 0, nibble::nf4::decode(12) * 4, 0});
  // Codes 0, 15, 7, 12, 7: the even value is the low nibble.
  CHECK(hex({r.w.parts.packed(0).data(), 3}) == "f0 c7 77 ");
}

TEST_CASE("fp8: the largest magnitude becomes the largest value") {
  const auto r = one_row("fp8_e4m3fn_g128_f32", block(128, {896, 448, 2, -0.001f, 0}));
  CHECK(f32_section(r.w, 1) == floats{2});
  CHECK(first(r.values, 3) == floats{896, 448, 2});
  CHECK(hex({r.w.parts.packed(0).data(), 4}) == "7e 76 38 80 ");  // 448, 224, 1, -0
  CHECK(std::signbit(r.values[3]));
}

// amax                       1  1.75 1.875 1.9375 448  460  480 511.9
// the scale's code: floor  119   119   119    119 127  127  127   127     [torchao gives the same]
TEST_CASE("MX scale rules: the exponents for eight largest values") {
  const floats amax{1, 1.75f, 1.875f, 1.9375f, 448, 460, 480, 511.9f};
  const auto scales = [&](mx_scale how) {
    quantize_options o;
    o.mx = how;
    ints result;
    for (const float a : amax) {
      const auto r = one_row("mxfp8_e4m3", block(32, {-a, 0}), o);
      result.push_back(r.w.parts.packed(1)[0]);
    }
    return result;
  };
  CHECK(scales(mx_scale::floor) == ints{119, 119, 119, 119, 127, 127, 127, 127});
  CHECK(scales(mx_scale::ceil) == ints{119, 120, 120, 120, 128, 128, 128, 128});
  CHECK(scales(mx_scale::even) == ints{119, 119, 119, 120, 127, 127, 127, 128});
  CHECK(scales(mx_scale::round_up) == ints{119, 119, 120, 120, 127, 128, 128, 128});
}

TEST_CASE("MX: floor clamps what lies above the largest value, round_up never does") {
  quantize_options up;
  up.mx = mx_scale::round_up;
  CHECK(one_row("mxfp4", block(32, {7.9f, 3, 0})).values[0] == 6);      // scale 1
  CHECK(one_row("mxfp4", block(32, {7.9f, 3, 0}), up).values[0] == 8);  // scale 2
  CHECK(one_row("mxfp4", block(32, {6, 3, 0}), up).values[0] == 6);     // scale 1
}

TEST_CASE("NVFP4: block scales in e4m3 under one scale for the tensor") {
  // max|x| / 6 of the blocks: 448 and 1. The tensor's scale makes the largest 448: it is 1.
  floats x = block(16, {2688, 448, 0});
  const floats second = block(16, {6, -4, 0.5f, 0});
  x.insert(x.end(), second.begin(), second.end());
  const auto r = one_row("nvfp4", x);
  CHECK(f32_section(r.w, 2) == floats{1});
  CHECK(hex(r.w.parts.packed(1)) == "7e 38 ");
  CHECK(first(r.values, 3) == floats{2688, 448, 0});
  CHECK(r.values[16] == 6);
  CHECK(r.values[17] == -4);
  CHECK(r.values[18] == 0.5f);
}

TEST_CASE("double quantization: equal scales are their mean, exactly") {
  const auto r = one_row("nf4_g64_dq", floats(256, -3));
  CHECK(hex(r.w.parts.packed(1)) == "7f 7f 7f 7f ");  // dynamic8: code 127 is zero
  CHECK(f32_section(r.w, 2) == floats{0});
  CHECK(f32_section(r.w, 3) == floats{3});
  CHECK(r.values == floats(256, -3));
}

TEST_CASE("Q4_0: the scale takes the sign of the extreme value; ties go up") {
  SECTION("the extreme is negative") {
    const auto r = one_row("q4_0", block(32, {-8, 7, 0.5f, -0.5f, 0}));
    // d = 1; value j is the low nibble of byte j, value j + 16 the high one.
    CHECK(hex(r.w.parts.packed(0)) == "00 3c 80 8f 89 88 88 88 88 88 88 88 88 88 88 88 88 88 ");
    CHECK(first(r.values, 4) == floats{-8, 7, 1, 0});
  }
  SECTION("the extreme is positive") {
    const auto r = one_row("q4_0", block(32, {8, -7, 0}));
    CHECK(hex({r.w.parts.packed(0).data(), 4}) == "00 bc 80 8f ");  // d = -1
    CHECK(first(r.values, 2) == floats{8, -7});
  }
  SECTION("of equal magnitudes the first one decides") {
    const auto r = one_row("q4_0", block(32, {4, -4, 0}));
    CHECK(hex({r.w.parts.packed(0).data(), 2}) == "00 b8 ");  // -0.5
    CHECK(first(r.values, 2) == floats{4, -3.5f});
  }
}

// --- other rules ------------------------------------------------------------------------------

TEST_CASE("min_max without a shift: the scale that clips neither end") {
  const auto r = one_row("int4_g32_f32", block(32, {-8, 3, 0}), with(scale_rule::min_max));
  CHECK(f32_section(r.w, 1) == floats{1});
  CHECK(first(r.values, 2) == floats{-8, 3});
  const auto up = one_row("int4_g32_f32", block(32, {-7, 7, 0}), with(scale_rule::min_max));
  CHECK(f32_section(up.w, 1) == floats{1});
}

TEST_CASE("absmax with a zero point: the range is symmetric") {
  const auto r = one_row("uint4_g32_f32_z", block(32, {-3, 7.5f, 0}), with(scale_rule::absmax));
  CHECK(f32_section(r.w, 1) == floats{1});                // [-7.5, 7.5] in 15 steps
  CHECK(codes<nibble::uint4>(r.w, 1, 2) == ints{8});      // 7.5 to even
  CHECK(codes<nibble::uint4>(r.w, 3) == ints{5, 15, 8});  // 7.5 + 8 clamps
}

TEST_CASE("percentile: nearest rank of the magnitudes, the rest clamps") {
  // 10 values, 90 %: the 9th smallest magnitude, 6.35.
  const floats x{-1, 2, -3, 4, 5, 6, -6.1f, 6.2f, 6.35f, -100};
  const auto r = one_row("int8_channel_f32", x, with(scale_rule::percentile, 90));
  CHECK(f32_section(r.w, 1) == floats{6.35f / 127});
  CHECK(codes<nibble::int8>(r.w, 10)[9] == -128);
  // 90.1 % is rank 10, the largest.
  const auto all = one_row("int8_channel_f32", x, with(scale_rule::percentile, 90.1f));
  CHECK(f32_section(all.w, 1) == floats{100.0f / 127});
}

TEST_CASE("percentile with a zero point: as many values are cut off at either end") {
  const floats x{-100, -2, 0, 1, 2, 3, 4, 5, 8.2f, 100};
  const auto r = one_row("uint8_channel_f32_z", x, with(scale_rule::percentile, 90));
  CHECK(f32_section(r.w, 1) == floats{(8.2f + 2) / 255});
  CHECK(codes<nibble::uint8>(r.w, 1, 2) == ints{50});  // 2 / 0.04
  CHECK(codes<nibble::uint8>(r.w, 2) == ints{0, 0});
  CHECK(codes<nibble::uint8>(r.w, 10)[9] == 255);
}

TEST_CASE("percentile 100 is the standard rule") {
  for (const char* name : {"int4_g32_f16", "uint4_g32_f16_z", "nf4_g64_f32", "mxfp4"}) {
    INFO(name);
    const floats x = make_values(fill::normal, 300, 1);
    const quantized a = quantize_everywhere(format_named(name), as_matrix(x, 1, 300));
    const quantized b = quantize_everywhere(format_named(name), as_matrix(x, 1, 300),
                                            with(scale_rule::percentile, 100));
    CHECK(difference(a.parts, b.parts) == "");
  }
}

TEST_CASE("mse: takes the best of its candidates, found again by brute force") {
  // 31 small values and one outlier: clipping it a little pays.
  floats x = make_values(fill::normal, 32, 5);
  for (float& v : x) v *= 50;
  x[7] = 4.5f;
  const auto r = one_row("int4_g32_f32", x, with(scale_rule::mse));
  double best = -1;
  float best_scale = 0;
  float amax = 0;
  for (const float v : x) amax = std::max(amax, std::fabs(v));
  for (int sign = 1; sign >= -1; sign -= 2) {
    for (int k = 17; k <= 80; ++k) {
      const float scale = amax / 7 * (static_cast<float>(sign * k) / 64);
      double error = 0;
      for (const float v : x) {
        const double code = std::clamp(std::nearbyint(v * (1 / scale)), -8.0f, 7.0f);
        error += (v - code * scale) * (v - code * scale);
      }
      if (best < 0 || error < best) {
        best = error;
        best_scale = scale;
      }
    }
  }
  CHECK(f32_section(r.w, 1) == floats{best_scale});
  CHECK(best_scale != amax / 7);
}

TEST_CASE("mse: the standard scale comes first, then all others from 80/64 to 17/64") {
  using grid = nibble::detail::search_grid<nibble::int4_g32_f32>;
  std::vector<float> want{1};
  for (int k = 80; k >= 17; --k) {
    if (k != 64) want.push_back(static_cast<float>(k) / 64);
  }
  for (std::size_t i = 0, n = want.size(); i < n; ++i) want.push_back(-want[i]);
  std::vector<float> factors;
  for (int i = 0; i < grid::size; ++i) factors.push_back(grid::factor(i));
  CHECK(factors == want);
}

TEST_CASE("mse: a negative scale reaches the one code more that integers have below zero") {
  const floats x = block(32, {8, -7, 3, 5, -6, 1});
  const auto r = one_row("int4_g32_f32", x, with(scale_rule::mse));
  CHECK(f32_section(r.w, 1) == floats{-1});
  CHECK(r.values == x);
}

TEST_CASE("mse: never a larger squared error than the standard rule") {
  for (const erased_format& f : catalogue()) {
    // Not where scales are quantized with their neighbours, nor GGUF types with rules of their own.
    if (f.is_wire || f.name == "nvfp4" || f.name == "nf4_g64_dq" || f.name == "bnb_fp4_g64_dq") {
      continue;
    }
    for (const fill kind : {fill::normal, fill::heavy_tailed, fill::outlier, fill::ties}) {
      INFO(f.name << ", " << name_of(kind));
      const std::size_t cols = 300;
      const floats x = make_values(kind, 2 * cols, seed_of(f.name));
      floats importance(cols);
      for (std::size_t c = 0; c < cols; ++c) importance[c] = static_cast<float>(c % 7);
      quantize_options weighted = with(scale_rule::weighted);
      weighted.importance = importance;
      const auto plain = round_trip(f, x, 2, cols);
      const auto searched = round_trip(f, x, 2, cols, with(scale_rule::mse));
      const auto by_weight = round_trip(f, x, 2, cols, weighted);
      // The search adds up in float32.
      constexpr double slack = 1 + 1e-5;
      CHECK(weighted_error(x, searched.values, {}, cols) <=
            slack * weighted_error(x, plain.values, {}, cols));
      CHECK(weighted_error(x, by_weight.values, importance, cols) <=
            slack * weighted_error(x, plain.values, importance, cols));
    }
  }
}

TEST_CASE("weighted: follows the columns that matter") {
  // Even columns matter and are small; odd ones are large and do not.
  floats x(64);
  floats importance(64);
  for (std::size_t i = 0; i < 64; ++i) {
    x[i] = i % 2 == 0 ? static_cast<float>(i % 16) - 7 : (i % 4 == 1 ? 20.0f : -20.0f);
    importance[i] = i % 2 == 0 ? 1.0f : 0.0f;
  }
  quantize_options o = with(scale_rule::weighted);
  o.importance = importance;
  const auto by_weight = one_row("int4_g32_f32", x, o);
  const auto by_mse = one_row("int4_g32_f32", x, with(scale_rule::mse));
  const double weighted = weighted_error(x, by_weight.values, importance, 64);
  const double mse = weighted_error(x, by_mse.values, importance, 64);
  CHECK(weighted < 0.1 * mse);
  // Equal weights are no weights.
  importance.assign(64, 1.0f);
  const auto equal = one_row("int4_g32_f32", x, o);
  CHECK(difference(equal.w.parts, by_mse.w.parts) == "");
}

// --- extents ----------------------------------------------------------------------------------

TEST_CASE("per tensor, per channel, per group: one scale for all, each row, each 32 values") {
  floats x(2 * 64, 1);
  x[0] = 127;
  x[40] = -254;
  x[64 + 5] = 381;
  const auto scales = [&](std::string_view name) {
    return f32_section(round_trip(format_named(name), x, 2, 64).w, 1);
  };
  CHECK(scales("int8_tensor_f32") == floats{3});
  CHECK(scales("int8_channel_f32") == floats{2, 3});
  const auto groups = round_trip(format_named("int8_g32_f16"), x, 2, 64);
  CHECK(f16_section(groups.w, 1) == floats{1, 2, 3, nibble::f16::decode(0x2008)});
}

TEST_CASE("tiles: each has its scale, at the edges too") {
  const std::size_t n = 130;
  floats x(n * n, 1);
  x[5 * n + 7] = -448;         // tile (0, 0)
  x[3 * n + 129] = 896;        // (0, 1): 128 x 2 values
  x[129 * n + 3] = 4 * 448;    // (1, 0): 2 x 128
  x[129 * n + 129] = 8 * 448;  // (1, 1): 2 x 2
  const auto r = round_trip(format_named("fp8_e4m3fn_t128_f32"), x, n, n);
  CHECK(f32_section(r.w, 1) == floats{1, 2, 4, 8});
  CHECK(r.values == x);
}

TEST_CASE("rows that are no multiple of the block: the last block is short, padding is zero") {
  floats x(33, 7);
  x[32] = -14;
  const auto r = one_row("int4_g32_f32", x);
  CHECK(f32_section(r.w, 1) == floats{1, 2});
  CHECK(r.values == x);
  bytes want(24, 0);
  std::fill_n(want.begin(), 16, 0x77);
  want[16] = 0x09;
  CHECK(r.w.parts.packed(0) == want);
  // In a codebook the code of zero is not 0.
  const auto nf4 = one_row("nf4_g64_f32", floats(3, -2));
  CHECK(hex(nf4.w.parts.packed(0)) == "00 70 77 77 77 77 77 77 ");
}

TEST_CASE("GGUF: a row that is no multiple of the record is stored as if zeros followed") {
  for (const erased_format& f : catalogue()) {
    if (!f.is_wire) continue;
    INFO(f.name);
    const std::size_t cols = f.block_cols + f.block_cols / 2 + 1;
    const floats x = make_values(fill::normal, cols, 3);
    floats padded = x;
    padded.resize(2 * f.block_cols, 0.0f);
    const quantized a = quantize_everywhere(f, as_matrix(x, 1, cols));
    const quantized b = quantize_everywhere(f, as_matrix(padded, 1, padded.size()));
    CHECK(difference(a.parts.packed(0), b.parts.packed(0)) == "");
  }
}

// --- what is not ordinary ---------------------------------------------------------------------

TEST_CASE("zeros of both signs come back as zeros, in every format") {
  floats x(2 * 300, 0.0f);
  for (std::size_t i = 0; i < x.size(); i += 3) x[i] = -0.0f;
  for (const erased_format& f : catalogue()) {
    INFO(f.name);
    const auto r = round_trip(f, x, 2, 300);
    CHECK(r.values == floats(x.size(), 0.0f));
    CHECK(r.w.report.non_finite == 0);
    CHECK(r.w.report.scale_underflow == 0);
  }
}

TEST_CASE("a block of zeros among others stays zero, in every format but those of one bit") {
  floats x = make_values(fill::positive, 3 * 512, 1);
  std::fill_n(x.begin() + 512, 512, 0.0f);
  for (const erased_format& f : catalogue()) {
    if (f.block_cols == nibble::all || f.block_rows != 1) continue;
    INFO(f.name);
    const auto r = round_trip(f, x, 3, 512);
    CHECK(floats(r.values.begin() + 512, r.values.begin() + 1024) == floats(512, 0.0f));
  }
}

TEST_CASE("one large value in a block keeps its size") {
  for (const erased_format& f : catalogue()) {
    if (f.name == "binary_g128_f16" || f.name == "q1_0") continue;  // the mean is all they have
    INFO(f.name);
    floats x = make_values(fill::normal, 512, 2);
    x[100] = 100;
    x[300] = -100;
    const auto r = round_trip(f, x, 1, 512);
    CHECK(std::fabs(r.values[100] - 100) <= 13);
    CHECK(std::fabs(r.values[300] + 100) <= 13);
  }
}

TEST_CASE("f16 scales: what is too large clamps, what is too small is raised; both are counted") {
  const auto big = one_row("int8_g32_f16", block(32, {1e7f, -2e6f, 0}));
  CHECK(f16_section(big.w, 1) == floats{65504});
  CHECK(codes<nibble::int8>(big.w, 2) == ints{127, -31});
  CHECK(big.w.report.scale_overflow == 1);
  CHECK(big.w.report.scale_underflow == 0);
  // 1e-6 / 127 lies under half of 2^-24, the smallest f16.
  const auto small = one_row("int8_g32_f16", block(32, {1e-6f, 0}));
  CHECK(f16_section(small.w, 1) == floats{0x1p-24f});
  CHECK(codes<nibble::int8>(small.w, 1) == ints{17});
  CHECK(small.w.report.scale_underflow == 1);
  CHECK(small.w.report.scale_overflow == 0);
}

TEST_CASE("GGUF scales overflow to infinity and underflow to zero as the original's do") {
  const auto big = one_row("q8_0", block(32, {1e7f, 0}));
  CHECK(hex({big.w.parts.packed(0).data(), 3}) == "00 7c 7f ");
  CHECK(big.values[0] == infinity);
  CHECK(big.w.report.scale_overflow == 1);
  const auto small = one_row("q8_0", block(32, {1e-6f, 0}));
  CHECK(hex({small.w.parts.packed(0).data(), 3}) == "00 00 7f ");
  CHECK(small.values[0] == 0);
  CHECK(small.w.report.scale_underflow == 1);
}

TEST_CASE("NaN and infinities do not count in ranges; NaN is zero, infinities clamp") {
  const floats x = block(32, {quiet_nan, infinity, -infinity, 63.5f, -1, 0});
  const auto r = one_row("int8_g32_f16", x);
  CHECK(f16_section(r.w, 1) == floats{0.5f});
  CHECK(codes<nibble::int8>(r.w, 5) == ints{0, 127, -128, 127, -2});
  CHECK(r.w.report.non_finite == 1);
  const auto z = one_row("uint4_g32_f32_z", block(32, {quiet_nan, infinity, -infinity, 12, -3}));
  CHECK(codes<nibble::uint4>(z.w, 5) == ints{3, 15, 0, 15, 0});
}

TEST_CASE("NaN stays NaN where the element has one") {
  const auto r =
      one_row("fp8_e4m3fn_g128_f32", block(128, {quiet_nan, infinity, 448, -infinity, 0}));
  CHECK(f32_section(r.w, 1) == floats{1});
  CHECK(std::isnan(r.values[0]));
  CHECK(r.values[1] == 448);
  CHECK(r.values[3] == -448);
  const auto half = one_row("f16", {quiet_nan, infinity, 1e6f, -infinity, 1});
  CHECK(std::isnan(half.values[0]));
  CHECK(floats(half.values.begin() + 1, half.values.end()) == floats{65504, 65504, -65504, 1});
}

TEST_CASE("MX: a block that holds NaN or infinity is NaN as a whole, its neighbours are not") {
  constexpr const char* formats[] = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3",
                                     "mxfp6_e3m2", "mxfp4",      "mxint8"};
  for (const std::string& name : present(formats)) {
    for (const float v : {quiet_nan, infinity, -infinity}) {
      INFO(name << " " << v);
      floats x(96, 1);
      x[40] = v;
      const auto r = one_row(name, x);
      CHECK(r.w.parts.packed(1)[1] == 0xFF);
      for (std::size_t i = 0; i < 96; ++i) {
        if (std::isnan(r.values[i]) != (i / 32 == 1)) FAIL_CHECK("value " << i);
      }
      CHECK(r.w.report.non_finite == 1);
    }
  }
}

TEST_CASE("blocks without a finite value decode to zeros and NaN, never to garbage") {
  for (const erased_format& f : catalogue()) {
    INFO(f.name);
    const floats x(300, quiet_nan);
    const auto r = round_trip(f, x, 1, 300);
    for (const float v : r.values) {
      if (!(std::isnan(v) || v == 0)) FAIL_CHECK("value " << v);
    }
    if (!f.is_plain) CHECK(r.w.report.non_finite > 0);
  }
}

TEST_CASE("the report counts blocks, in every format with them") {
  for (const erased_format& f : catalogue()) {
    if (f.is_plain || f.block_cols == nibble::all) continue;
    INFO(f.name);
    const std::size_t n = f.block_cols;
    floats x = make_values(fill::normal, 4 * n, 1);
    x[0] = quiet_nan;
    x[1] = infinity;
    x[2 * n + n - 1] = -infinity;
    const quantized q = quantize_everywhere(f, as_matrix(x, 1, 4 * n));
    // A record may hold several blocks, each with a scale of its own.
    CHECK(q.report.non_finite == 2);
  }
}

TEST_CASE("reject_non_finite: refused whatever the format, and finite data are not") {
  quantize_options o;
  o.reject_non_finite = true;
  for (const erased_format& f : catalogue()) {
    INFO(f.name);
    floats x = make_values(fill::huge, 2 * 100, 1);
    CHECK(quantize_everywhere(f, as_matrix(x, 2, 100), o).error == errc::ok);
    for (const float v : {quiet_nan, infinity, -infinity}) {
      for (const std::size_t at : {std::size_t{0}, std::size_t{99}, std::size_t{199}}) {
        floats bad = x;
        bad[at] = v;
        CHECK(quantize_everywhere(f, as_matrix(bad, 2, 100), o).error == errc::non_finite);
      }
    }
  }
}

TEST_CASE("subnormal values: kept by f32 scales as far as 1 / scale is finite, else zero") {
  // max|x| / 127 = 2^-126: 1 / scale is finite.
  const auto kept = one_row("int8_channel_f32", {127 * 0x1p-126f, -0x1p-126f, 0x1p-127f});
  CHECK(codes<nibble::int8>(kept.w, 3) == ints{127, -1, 0});
  CHECK(first(kept.values, 2) == floats{127 * 0x1p-126f, -0x1p-126f});
  const auto lost = one_row("int8_channel_f32", {127 * 0x1p-140f, -0x1p-140f, 0});
  CHECK(lost.values == floats{0, 0, 0});
}

TEST_CASE("the largest floats are quantized without overflow on the way") {
  const float top = 3.40282347e+38f;
  const auto r = one_row("int8_channel_f32", {top, -top, top / 4});
  CHECK(codes<nibble::int8>(r.w, 3) == ints{127, -127, 32});
  for (const char* name : {"uint8_channel_f32_z", "uint4_channel_f32_zf"}) {
    // The range is twice the largest float.
    const auto z = one_row(name, {top, -top, 0});
    INFO(name << " " << show(z.values[0]) << " " << show(z.values[1]));
    CHECK(z.values[0] > 0.9f * top);
    CHECK(z.values[1] < -0.9f * top);
    CHECK(std::fabs(z.values[2]) <= 0.07f * top);
  }
}

TEST_CASE("empty matrices need no memory and are fine") {
  for (const erased_format& f : catalogue()) {
    for (const shape size : {shape{0, 0}, shape{0, 64}, shape{3, 0}}) {
      INFO(f.name << " [" << size.rows << " x " << size.cols << "]");
      const std::vector<basic_section<std::uint8_t>> none(f.section_sizes(0, 0).size());
      const std::vector<basic_section<const std::uint8_t>> none_to_read(none.size());
      const matrix_view<const float> x{nullptr, size.rows, size.cols};
      for_each_target([&](const char*) {
        for (const scale_rule rule :
             {scale_rule::standard, scale_rule::mse, scale_rule::percentile}) {
          quantize_report report{1, 1, 1};
          quantize_options o = with(rule);
          o.report = &report;
          CHECK(f.quantize(x, none.data(), o) == errc::ok);
          CHECK(report.non_finite == 0);
        }
        f.dequantize(none_to_read.data(), {nullptr, size.rows, size.cols});
      });
    }
  }
}
