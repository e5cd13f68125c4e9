// SPDX-License-Identifier: Apache-2.0 OR MIT
// Elements against other implementations: same values, same codes.
//
// Where another implementation decides otherwise (docs/numerics.md), a test names the exact inputs,
// says what each side does with them and how many there are. Nothing else may differ.
#include <algorithm>
#include <cmath>
#include <functional>

#include "nibble/element/all.h"
#include "support/cases.h"
#include "support/catch.h"
#include "support/golden.h"
#include "support/print.h"

using namespace nibble;
using namespace nibble_test;

namespace {

constexpr encode_policy to_special{rounding::nearest_even, overflow::to_special};
constexpr encode_policy finite_only{rounding::nearest_even, overflow::saturate_finite};
constexpr encode_policy truncated{rounding::toward_zero, overflow::saturate_finite};

template <class E>
void check_decode(const std::string& array) {
  INFO(array);
  const auto want = golden::load<float>(array);
  REQUIRE(want.size() == (std::size_t{1} << E::bits));
  for (std::size_t c = 0; c < want.size(); ++c) {
    const float got = E::decode(static_cast<typename E::code>(c));
    CAPTURE(c, got, want[c]);
    REQUIRE(same_float(got, want[c]));
  }
}

/// An input on which the two sides are known to differ: (input, our code, their code) -> known?
template <class E>
using known_difference =
    std::function<bool(float x, typename E::code ours, typename E::code theirs)>;

// Our codes equal theirs but for exactly `num_known` inputs, all of them known.
template <class E>
void check_encode(const std::string& array, encode_policy policy, int num_known = 0,
                  const known_difference<E>& known = nullptr,
                  const std::string& input_array = "scalar.in") {
  INFO(array);
  const auto inputs = golden::load<float>(input_array);
  const auto want = golden::load<typename E::code>(array);
  REQUIRE(want.size() == inputs.size());
  int num_differences = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto got = E::encode(inputs[i], policy);
    if (got == want[i]) continue;
    ++num_differences;
    INFO("input " << show(inputs[i]) << ": code " << int{got} << ", theirs " << int{want[i]});
    REQUIRE(known);
    REQUIRE(known(inputs[i], got, want[i]));
  }
  CHECK(num_differences == num_known);
}

constexpr int num_nans = 24;  // in scalar.in, with both signs and many payloads

template <class E>
bool nan_only(float x, typename E::code /*ours*/, typename E::code /*theirs*/) {
  return std::isnan(x);
}

}  // namespace

TEST_CASE("ml_dtypes: fp8 agrees in every code, rounding and overflow", "[golden]") {
  const auto check = []<class E>(E, const std::string& name) {
    check_decode<E>("mld.decode." + name);
    check_encode<E>("mld.encode." + name + ".ovf", to_special);
    check_encode<E>("mld.encode." + name + ".sat", finite_only);  // "sat" leaves infinities alone
    check_encode<E>("mld.encode." + name + ".sat_trunc", truncated);
  };
  check(fp8_e4m3fn{}, "e4m3fn");
  check(fp8_e5m2{}, "e5m2");
  check(fp8_e4m3fnuz{}, "e4m3fnuz");
  check(fp8_e5m2fnuz{}, "e5m2fnuz");
  check(fp8_e4m3b11fnuz{}, "e4m3b11fnuz");
  check(fp8_e4m3{}, "e4m3");
  check(fp8_e3m4{}, "e3m4");
}

TEST_CASE("ml_dtypes: fp6 and fp4 agree except for NaN", "[golden]") {
  // No code is NaN. We follow ONNX's text and CUDA: the largest value. ml_dtypes makes NaN -0 and
  // -NaN +0.
  const auto check = []<class E>(E, const std::string& name) {
    check_decode<E>("mld.decode." + name);
    const auto nan = [](float x, std::uint8_t ours, std::uint8_t theirs) {
      const std::uint32_t zero = std::signbit(x) ? 0 : E::sign_mask;
      return std::isnan(x) && E::decode(ours) == E::max && theirs == zero;
    };
    check_encode<E>("mld.encode." + name + ".ovf", to_special, num_nans, nan);
    check_encode<E>("mld.encode." + name + ".sat", finite_only, num_nans, nan);
    check_encode<E>("mld.encode." + name + ".sat_trunc", truncated, num_nans, nan);
  };
  check(fp6_e2m3{}, "e2m3fn");
  check(fp6_e3m2{}, "e3m2fn");
  check(fp4_e2m1{}, "e2m1fn");
}

TEST_CASE("e8m0: others differ at zero, negatives, infinity and right above code 0", "[golden]") {
  check_decode<e8m0>("mld.decode.e8m0fnu");

  // Ties go up at all of them; that is our nearest_away. Between 2^-127 and 1.5 * 2^-127 the
  // nearest power is 2^-127, code 0; ml_dtypes, PyTorch and ONNX say code 1, as if 0 were no value.
  const auto at_border = [](float x, std::uint8_t ours, std::uint8_t theirs) {
    return x > 0x1p-127f && x < 0x1.8p-127f && ours == 0 && theirs == 1;
  };
  const auto negative = [](float x) { return std::signbit(x) && x != 0 && !std::isnan(x); };
  const encode_policy away{rounding::nearest_away, overflow::to_special};
  const encode_policy away_sat{rounding::nearest_away, overflow::saturate_finite};

  // ml_dtypes without saturation makes zero NaN; with it, zero and negatives code 0.
  check_encode<e8m0>("mld.encode.e8m0fnu.ovf", away, 5,
                     [&](float x, std::uint8_t ours, std::uint8_t theirs) {
                       return at_border(x, ours, theirs) || (x == 0 && ours == 0 && theirs == 0xFF);
                     });
  const auto mld_sat = [&](float x, std::uint8_t ours, std::uint8_t theirs) {
    return at_border(x, ours, theirs) || (negative(x) && ours == 0xFF && theirs == 0);
  };
  check_encode<e8m0>("mld.encode.e8m0fnu.sat", away_sat, 5377, mld_sat);
  check_encode<e8m0>("mld.encode.e8m0fnu.sat_trunc", truncated, 5374, mld_sat);

  // PyTorch and ONNX drop the sign; ONNX makes infinity NaN also with saturation.
  const auto sign_dropped = [&](float x, std::uint8_t ours, std::uint8_t theirs) {
    if (negative(x)) return ours == 0xFF && theirs != 0xFF;
    return at_border(x, ours, theirs);
  };
  check_encode<e8m0>("torch.encode.e8m0fnu", away, 5362, sign_dropped);
  for (const bool sat : {false, true}) {
    const overflow over = sat ? overflow::saturate_finite : overflow::to_special;
    const std::string end = sat ? ".sat1" : ".sat0";
    check_encode<e8m0>("onnxref.cast.e8m0.nearest" + end, {rounding::nearest_away, over},
                       sat ? 5377 : 5362, sign_dropped);
    check_encode<e8m0>("onnxref.cast.e8m0.down" + end, {rounding::toward_zero, over}, 5374,
                       sign_dropped);
    // "up" sends all of (0, 2^-127] to code 1, even 2^-127 itself, and leaves 1.125, 1.25 and
    // 1.375 * 2^e where they are: it looks at the top fraction bit and the 20 lowest only.
    check_encode<e8m0>("onnxref.cast.e8m0.up" + end, {rounding::away_from_zero, over},
                       sat ? 5497 : 5472, [&](float x, std::uint8_t ours, std::uint8_t theirs) {
                         const std::uint32_t fraction = detail::bits_of(x) & 0x007FFFFF;
                         const bool unseen = (fraction & 0x004FFFFF) == 0 && ours == theirs + 1;
                         return sign_dropped(x, ours, theirs) || unseen ||
                                (x > 0 && x <= 0x1p-127f && ours == 0 && theirs == 1);
                       });
  }
}

TEST_CASE("PyTorch: fp8 agrees except for the payload of e5m2's NaN", "[golden]") {
  // Its e4m3fn saturates, infinity too; its other kinds do not.
  check_encode<fp8_e4m3fn>("torch.encode.e4m3fn", {});
  check_encode<fp8_e4m3fnuz>("torch.encode.e4m3fnuz", to_special);
  check_encode<fp8_e5m2fnuz>("torch.encode.e5m2fnuz", to_special);
  check_encode<fp8_e5m2>("torch.encode.e5m2", to_special, num_nans,
                         [](float x, std::uint8_t ours, std::uint8_t theirs) {
                           return std::isnan(x) && (ours | 1) == theirs;  // 0x7E and 0x7F
                         });
}

TEST_CASE("ONNX reference: Cast agrees, saturating or not, except for fp4 NaN", "[golden]") {
  check_encode<fp8_e4m3fn>("onnxref.cast.e4m3fn.sat0", to_special);
  check_encode<fp8_e4m3fn>("onnxref.cast.e4m3fn.sat1", {});
  check_encode<fp8_e4m3fnuz>("onnxref.cast.e4m3fnuz.sat0", to_special);
  check_encode<fp8_e4m3fnuz>("onnxref.cast.e4m3fnuz.sat1", {});
  check_encode<fp8_e5m2>("onnxref.cast.e5m2.sat0", to_special);
  check_encode<fp8_e5m2>("onnxref.cast.e5m2.sat1", {});
  check_encode<fp8_e5m2fnuz>("onnxref.cast.e5m2fnuz.sat0", to_special);
  check_encode<fp8_e5m2fnuz>("onnxref.cast.e5m2fnuz.sat1", {});
  // The text says NaN becomes the largest value, the reference casts through ml_dtypes.
  check_encode<fp4_e2m1>("onnxref.cast.e2m1", {}, num_nans, nan_only<fp4_e2m1>);
}

TEST_CASE("f16 and bf16 agree with Eigen, and with PyTorch and ggml but for NaN payloads",
          "[golden]") {
  check_encode<f16>("eigen.f16", to_special);
  check_encode<bf16>("eigen.bf16", to_special);
  check_encode<f16>("ggml.f16", to_special);
  check_encode<f16>("torch.f16", to_special, 20, nan_only<f16>);
  check_encode<bf16>("ggml.bf16", to_special, 20, nan_only<bf16>);
  check_encode<bf16>("torch.bf16", to_special, num_nans, nan_only<bf16>);
}

TEST_CASE("bitsandbytes: tables are bit-equal", "[golden]") {
  check_decode<nf4>("bnb.nf4_table");
  check_decode<bnb_fp4>("bnb.fp4_table");
  check_decode<af4>("bnb.af4_table");
  check_decode<dynamic8>("bnb.dynamic_map_signed");
  check_decode<dynamic8u>("bnb.dynamic_map_unsigned");
}

TEST_CASE("bitsandbytes, PyTorch backend: codes agree except for NaN and fp4's zero", "[golden]") {
  // It searches the float32 midpoints, as we do. NaN: we say zero, it says the last rank.
  check_encode<nf4>("bnb.torch_nf4_codes", {}, 1, nan_only<nf4>, "bnb.norm_in");
  check_encode<dynamic8>("bnb.torch_dyn8_codes", {}, 1, nan_only<dynamic8>, "bnb.norm_in");
  // Its search finds code 8, the other zero, for tiny positives.
  check_encode<bnb_fp4>(
      "bnb.torch_fp4_codes", {}, 119,
      [](float x, std::uint8_t ours, std::uint8_t theirs) {
        return std::isnan(x) || (x > 0 && x <= 0x1.555556p-9f && ours == 0 && theirs == 8);
      },
      "bnb.norm_in");
}

TEST_CASE("bitsandbytes, CUDA: codes agree except at rounded pivots, ties, NaN and fp4's zero",
          "[golden]") {
  // nf4 pivots are decimal literals; four of the fifteen are one ulp from the midpoint.
  check_encode<nf4>(
      "bnb.cuda_nf4_codes", {}, 5,
      [](float x, std::uint8_t, std::uint8_t) {
        return std::isnan(x) || x == -0x1.b239bp-1f || x == 0x1.00da08p-1f || x == 0x1.b913b4p-1f ||
               x == 0x1.ec90c6p-4f;
      },
      "bnb.norm_in");
  // fp4 compares |x| with decimal pivots: between pivot and midpoint the sides differ, and ties of
  // negative values go the other way. Tiny negatives become code 8, the other zero.
  check_encode<bnb_fp4>(
      "bnb.cuda_fp4_codes", {}, 135,
      [](float x, std::uint8_t ours, std::uint8_t theirs) {
        if (std::isnan(x) || (x < 0 && ours == 0 && theirs == 8)) return true;
        constexpr float pivots[7] = {0.00260417f, 0.0859375f, 0.20833333f, 0.29166667f,
                                     0.4166667f,  0.583333f,  0.8333333f};
        const auto& middles = bnb_fp4::boundaries<rounding::nearest_even>;  // 14, ascending
        for (std::size_t i = 0; i < 7; ++i) {
          const auto [low, high] = std::minmax(pivots[i], middles[7 + i]);
          if (std::abs(x) >= low && std::abs(x) <= high) return true;
        }
        return false;
      },
      "bnb.norm_in");
  // The binary search compares a midpoint from the side it comes from: half of the ties go up.
  check_encode<dynamic8>(
      "bnb.cuda_dyn8_codes", {}, 128,
      [](float x, std::uint8_t ours, std::uint8_t theirs) {
        if (std::isnan(x)) return true;
        return theirs == ours + 1 && x == dynamic8::boundaries<rounding::nearest_even>[ours];
      },
      "bnb.norm_in");
}

TEST_CASE("ggml: every NVFP4 and MXFP4 scale byte times every fp4 code", "[golden]") {
  const auto check = [](const std::vector<float>& want, std::size_t at, float value) {
    CAPTURE(at);
    REQUIRE(same_float(value, want[at]));
  };
  {
    const auto blocks = golden::load<std::uint8_t>("ggml.allscales.nvfp4");
    const auto want = golden::load<float>("ggml.allscalesd.nvfp4");
    for (std::size_t i = 0; i < want.size(); ++i) {  // 4 scales, then 4 x 8 bytes of nibbles
      const std::uint8_t* block = blocks.data() + i / 64 * 36;
      const std::size_t sub = i % 64 / 16;
      const int byte = block[4 + 8 * sub + i % 8];
      const auto code = static_cast<std::uint8_t>(i % 16 < 8 ? byte & 15 : byte >> 4);
      check(want, i, fp4_e2m1_x2::decode(code) * ue4m3_ggml::decode(block[sub]));
    }
  }
  {
    const auto blocks = golden::load<std::uint8_t>("ggml.allscales.mxfp4");
    const auto want = golden::load<float>("ggml.allscalesd.mxfp4");
    for (std::size_t i = 0; i < want.size(); ++i) {
      const std::uint8_t* block = blocks.data() + i / 32 * 17;
      const int byte = block[1 + i % 16];
      const auto code = static_cast<std::uint8_t>(i % 32 < 16 ? byte & 15 : byte >> 4);
      check(want, i, fp4_e2m1_x2::decode(code) * e8m0_half::decode(block[0]));
    }
  }
}
