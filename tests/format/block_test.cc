// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of format/block.h and format/extent.h: what a format is made of, and the shapes of its
// grids.
#include "nibble/format/block.h"

#include "nibble/formats.h"
#include "format/user_formats.h"
#include "support/catch.h"

using namespace nibble;

TEST_CASE("extent: a grid tiles the matrix, edges included") {
  const auto same = [](grid_shape a, grid_shape b) { return a.rows == b.rows && a.cols == b.cols; };
  CHECK(same(extent{32}.grid(3, 64), {3, 2}));
  CHECK(same(extent{32}.grid(3, 65), {3, 3}));
  CHECK(same(extent{32}.grid(3, 1), {3, 1}));
  CHECK(same(whole_row.grid(3, 65), {3, 1}));
  CHECK(same(whole_tensor.grid(3, 65), {1, 1}));
  CHECK(same(tile(128, 128).grid(128, 128), {1, 1}));
  CHECK(same(tile(128, 128).grid(129, 257), {2, 3}));
  CHECK(same(tile(2, 3).grid(5, 7), {3, 3}));
  CHECK(same(flat(256).grid(3, 100), {1, 2}));
  CHECK(same(flat(256).grid(2, 128), {1, 1}));
}

TEST_CASE("extent: an empty matrix has an empty grid") {
  for (const extent e : {extent{32}, whole_row, whole_tensor, tile(128, 128), flat(256)}) {
    for (const auto [rows, cols] : {grid_shape{0, 0}, grid_shape{0, 5}, grid_shape{5, 0}}) {
      CHECK(e.grid(rows, cols).rows == 0);
      CHECK(e.grid(rows, cols).cols == 0);
    }
  }
}

TEST_CASE("extent: ceil_div does not overflow and knows `all`") {
  CHECK(extent::ceil_div(0, 32) == 0);
  CHECK(extent::ceil_div(1, 32) == 1);
  CHECK(extent::ceil_div(32, 32) == 1);
  CHECK(extent::ceil_div(33, 32) == 2);
  CHECK(extent::ceil_div(all - 1, 32) == (all - 1) / 32 + 1);
  CHECK(extent::ceil_div(7, all) == 1);
  CHECK(extent::ceil_div(0, all) == 0);
}

TEST_CASE("concepts: elements, blocks and wire layouts are kept apart") {
  STATIC_REQUIRE(element<int4>);
  STATIC_REQUIRE(matrix_format<f16>);
  STATIC_REQUIRE_FALSE(block_format<int4>);
  STATIC_REQUIRE(block_format<int4_g32_f16>);
  STATIC_REQUIRE(matrix_format<int4_g32_f16>);
  STATIC_REQUIRE_FALSE(wire_format<int4_g32_f16>);
  STATIC_REQUIRE(wire_format<gguf::q4_0>);
  STATIC_REQUIRE_FALSE(matrix_format<gguf::q4_0>);
  STATIC_REQUIRE(format<gguf::q4_0>);
  STATIC_REQUIRE(format<bf16>);
  STATIC_REQUIRE_FALSE(format<int>);
  STATIC_REQUIRE(format<block<int4, 32, scale<f16>>>);  // a name is not needed
}

TEST_CASE("a block knows its parts") {
  using f = block<uint4, 64, scale<bf16>, zero<f16>>;
  STATIC_REQUIRE(std::is_same_v<f::element, uint4>);
  STATIC_REQUIRE(std::is_same_v<f::scale_format, bf16>);
  STATIC_REQUIRE(std::is_same_v<f::shift_format, f16>);
  STATIC_REQUIRE(f::shape == extent{1, 64});
  STATIC_REQUIRE(f::shift_shape == f::shape);
  STATIC_REQUIRE(f::has_shift);
  STATIC_REQUIRE_FALSE(int4_g32_f16::has_shift);
  // The mean of double quantization is shared by the whole tensor, its scale by 256 values.
  STATIC_REQUIRE(double_quantized::shape == flat(256));
  STATIC_REQUIRE(double_quantized::shift_shape == whole_tensor);
}

TEST_CASE("row-local formats are those whose rows can be quantized alone") {
  STATIC_REQUIRE(detail::is_row_local<f16>());
  STATIC_REQUIRE(detail::is_row_local<int4_g32_f16>());
  STATIC_REQUIRE(detail::is_row_local<int8_channel_f32>());
  STATIC_REQUIRE(detail::is_row_local<uint4_g32_f16_zf>());
  STATIC_REQUIRE_FALSE(detail::is_row_local<int8_tensor_f32>());
  STATIC_REQUIRE_FALSE(detail::is_row_local<fp8_e4m3fn_t128_f32>());
  STATIC_REQUIRE_FALSE(detail::is_row_local<nvfp4>());       // a scale for the whole tensor
  STATIC_REQUIRE_FALSE(detail::is_row_local<nf4_g64_dq>());  // scales in blocks across rows
}

TEST_CASE("default rules follow from element, scale and shift") {
  using fit = quantizer_rule::fit;
  STATIC_REQUIRE(int8_g32_f16::rule.how == fit::absmax);
  STATIC_REQUIRE(int8_g32_f16::rule.divisor == 127);
  STATIC_REQUIRE(int4_g32_f16::rule.divisor == 7);
  STATIC_REQUIRE(int2_g32_f16::rule.divisor == 1);
  STATIC_REQUIRE(ternary_g64_f16::rule.divisor == 1);
  STATIC_REQUIRE(fp8_e4m3fn_g128_f32::rule.divisor == 448);
  STATIC_REQUIRE(nf4_g64_f32::rule.divisor == 1);
  STATIC_REQUIRE(uint4_g32_f16_z::rule.how == fit::range);
  STATIC_REQUIRE(uint4_g32_f16_z::rule.divisor == 15);
  STATIC_REQUIRE(uint4_g32_f16_z::rule.range_includes_zero);
  STATIC_REQUIRE_FALSE(block<uint4, 32, scale<f16>, offset<f16>>::rule.range_includes_zero);
  STATIC_REQUIRE(binary_g128_f16::rule.how == fit::mean_abs);
  STATIC_REQUIRE(double_quantized::rule.how == fit::centered);
  // OCP MX: floor(log2 amax) less the exponent of the element's largest value.
  STATIC_REQUIRE(mxfp8_e4m3::rule.how == fit::power_of_two);
  STATIC_REQUIRE(mxfp8_e4m3::rule.divisor == 8);
  STATIC_REQUIRE(mxfp8_e5m2::rule.divisor == 15);
  STATIC_REQUIRE(mxfp6_e2m3::rule.divisor == 2);
  STATIC_REQUIRE(mxfp6_e3m2::rule.divisor == 4);
  STATIC_REQUIRE(mxfp4::rule.divisor == 2);
  STATIC_REQUIRE(mxint8::rule.divisor == 0);
}

TEST_CASE("the catalogue: names are unique and find their format") {
  std::vector<std::string_view> names;
  for_each_format([&]<class F>() {
    for (const std::string_view n : names) CHECK(n != F::name);
    names.push_back(F::name);
    bool found = false;
    CHECK(visit_format(F::name, [&]<class G>() { found = std::is_same_v<F, G>; }));
    CHECK(found);
  });
  CHECK(names.size() == num_formats);
  CHECK_FALSE(visit_format("no such format", []<class>() {}));
}

TEST_CASE("a user's formats have the same facts as those of the catalogue") {
  STATIC_REQUIRE(format<user_5bit>);
  STATIC_REQUIRE(detail::is_row_local<user_5bit>());
  STATIC_REQUIRE(user_5bit::rule.how == quantizer_rule::fit::range);
  STATIC_REQUIRE(user_5bit::rule.divisor == 31);
  STATIC_REQUIRE(format<user_nested>);
  STATIC_REQUIRE(detail::depth<user_nested>::value == 3);
}
