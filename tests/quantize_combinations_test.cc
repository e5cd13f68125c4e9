// SPDX-License-Identifier: Apache-2.0 OR MIT
// Corners of the format algebra that no shipped format visits: lengths that are no power of two,
// blocks of columns, elements as scales that nobody would choose. Kernels agree with the reference.
// One target, that of the compiler's flags: the only test of what lies below SSE4.
#include "support/make_erased.h"

#include "support/agreement.h"

using namespace nibble;
using namespace nibble_test;

#define COMBINATIONS(X)                                                                         \
  X(shortest_block, block<int4, 8, scale<f16>>)                                                 \
  X(odd_length_z, block<uint3, 40, scale<bf16>, zero<uint3>>)                                   \
  X(signed_zero_point, block<int8, 24, scale<f16>, zero<int8>>)                                 \
  X(signed_offset, block<int4, 16, scale<f32>, offset<f32>>)                                    \
  X(signed_minimum, block<int6, 48, scale<f16>, minimum<f16>>)                                  \
  X(small_tiles_zf, block<uint8, tile(3, 24), scale<f32>, zero<f32>>)                           \
  X(columns, block<int5, extent(all, 16), scale<f16>>)                                          \
  X(six_bits_per_tensor, block<fp6_e3m2, whole_tensor, scale<bf16>>)                            \
  X(fp8_scale_per_row, block<nf4, whole_row, scale<fp8_e5m2>>)                                  \
  X(nested_zero_points,                                                                         \
    block<uint4, 128, scale<block<uint8, 16, scale<f16>>>, zero<block<uint8, 16, scale<f32>>>>) \
  X(integer_scales, block<int8, 32, scale<block<int8, whole_tensor, scale<f32>>>>)              \
  X(tiled_scales, block<fp4_e2m1, 16, scale<block<fp8_e4m3fn, tile(2, 4), scale<f32>>>>)        \
  X(one_bit, block<binary, 64, scale<bf16>>)                                                    \
  X(two_bits_offset, block<uint2, 56, scale<f16>, offset<f16>>)                                 \
  X(long_centred, block<dynamic8, 1024, scale<f32>, center<f32>>)                               \
  X(powers_of_two, block<e8m0, 32, scale<f32>>)                                                 \
  X(exponent_scale, block<int8, 64, scale<e8m0>>)                                               \
  X(exponent_scale_z, block<uint4, 32, scale<e8m0>, zero<uint4>>)                               \
  X(wide_zero_point, block<uint4, 32, scale<f32>, zero<uint8>>)                                 \
  X(int8_scale, block<int4, 32, scale<int8>>)

#define DECLARE(format_name, ...)                          \
  struct format_name : __VA_ARGS__ {                       \
    static constexpr std::string_view name = #format_name; \
  };
COMBINATIONS(DECLARE)
#undef DECLARE

namespace {

const std::vector<erased_format>& combinations() {
#define ERASE(format_name, ...) make_erased<format_name>(),
  static const std::vector<erased_format> all_of_them{COMBINATIONS(ERASE)};
#undef ERASE
  return all_of_them;
}

}  // namespace

TEST_CASE("unusual combinations are quantized as the reference does") {
  for (const erased_format& f : combinations()) CHECK(check_quantize(f) == 0);
}

TEST_CASE("unusual combinations are dequantized as the reference does") {
  for (const erased_format& f : combinations()) CHECK(check_dequantize(f) == 0);
}
