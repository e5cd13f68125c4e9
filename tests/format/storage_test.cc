// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of format/storage.h and format/codes.h: sizes of every format, where its sections lie, and
// single codes.
#include "nibble/format/storage.h"

#include "nibble/format/codes.h"
#include "nibble/formats.h"
#include "format/user_formats.h"
#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;

namespace {

/// Bits per value of a 1024 x 1024 matrix, added up by hand: codes + scales + shifts.
struct expected_bits {
  std::string_view name;
  double bits;
};
constexpr double per_row = 1.0 / 1024;
constexpr double per_tensor = per_row / 1024;
constexpr expected_bits table[] = {
    {"f32", 32},
    {"f16", 16},
    {"bf16", 16},
    {"int8_tensor_f32", 8 + 32 * per_tensor},
    {"int8_channel_f32", 8 + 32 * per_row},
    {"int8_g32_f16", 8.5},
    {"int8_g128_f16", 8.125},
    {"uint8_tensor_f32_z", 8 + 40 * per_tensor},
    {"uint8_channel_f32_z", 8 + 40 * per_row},
    {"uint8_g32_f16_z", 8.75},
    {"uint8_g128_f16_z", 8.1875},
    {"int4_g32_f16", 4.5},
    {"int4_g64_f16", 4.25},
    {"int4_g128_f16", 4.125},
    {"int4_channel_f16", 4 + 16 * per_row},
    {"int4_g32_bf16", 4.5},
    {"int4_g64_bf16", 4.25},
    {"int4_g128_bf16", 4.125},
    {"int4_channel_bf16", 4 + 16 * per_row},
    {"int4_g32_f32", 5},
    {"int4_g64_f32", 4.5},
    {"int4_g128_f32", 4.25},
    {"int4_channel_f32", 4 + 32 * per_row},
    // 4-bit zero points: 32 of g32, 16 of g64 and 8 (padded to 16) of g128 make a row; one zero
    // point per row takes a chunk of 8 bytes.
    {"uint4_g32_f16_z", 4.625},
    {"uint4_g64_f16_z", 4.3125},
    {"uint4_g128_f16_z", 4.125 + 64 * per_row},
    {"uint4_channel_f16_z", 4 + (16 + 64) * per_row},
    {"uint4_g32_bf16_z", 4.625},
    {"uint4_g64_bf16_z", 4.3125},
    {"uint4_g128_bf16_z", 4.125 + 64 * per_row},
    {"uint4_channel_bf16_z", 4 + (16 + 64) * per_row},
    {"uint4_g32_f32_z", 5.125},
    {"uint4_g64_f32_z", 4.5625},
    {"uint4_g128_f32_z", 4.25 + 64 * per_row},
    {"uint4_channel_f32_z", 4 + (32 + 64) * per_row},
    {"uint4_g32_f16_zf", 5},
    {"uint4_g64_f16_zf", 4.5},
    {"uint4_g128_f16_zf", 4.25},
    {"uint4_channel_f32_zf", 4 + 64 * per_row},
    {"int6_g32_f16", 6.5},
    {"uint6_g32_f16_z", 6.5 + 6.0 / 32},
    {"int5_g32_f16", 5.5},
    {"uint5_g32_f16_z", 5.5 + 5.0 / 32},
    {"int3_g32_f16", 3.5},
    {"uint3_g32_f16_z", 3.5 + 3.0 / 32},
    {"int2_g32_f16", 2.5},
    {"uint2_g32_f16_z", 2.5 + 2.0 / 32},
    {"ternary_tensor_f32", 2 + 32 * per_tensor},
    {"ternary_channel_f32", 2 + 32 * per_row},
    {"ternary_g64_f16", 2.25},
    {"binary_g128_f16", 1.125},
    {"fp8_e4m3fn_tensor_f32", 8 + 32 * per_tensor},
    {"fp8_e4m3fn_channel_f32", 8 + 32 * per_row},
    {"fp8_e4m3fn_g128_f32", 8.25},
    {"fp8_e4m3fn_t128_f32", 8 + 32.0 / (128 * 128)},
    {"fp8_e5m2_tensor_f32", 8 + 32 * per_tensor},
    {"fp8_e5m2_channel_f32", 8 + 32 * per_row},
    {"fp8_e5m2_g128_f32", 8.25},
    {"fp8_e4m3fnuz_channel_f32", 8 + 32 * per_row},
    {"fp8_e5m2fnuz_channel_f32", 8 + 32 * per_row},
    {"fp8_e3m4_channel_f32", 8 + 32 * per_row},
    {"dynamic8_g256_f32", 8.125},
    {"mxfp8_e4m3", 8.25},
    {"mxfp8_e5m2", 8.25},
    {"mxfp6_e2m3", 6.25},
    {"mxfp6_e3m2", 6.25},
    {"mxfp4", 4.25},
    {"mxint8", 8.25},
    {"nvfp4", 4.5 + 32 * per_tensor},
    {"nf4_g64_f32", 4.5},
    {"nf4_g64_dq", 4 + 8.0 / 64 + 32.0 / (64 * 256) + 32 * per_tensor},
    {"nf4_g32_f16", 4.5},
    {"bnb_fp4_g64_f32", 4.5},
    {"bnb_fp4_g64_dq", 4 + 8.0 / 64 + 32.0 / (64 * 256) + 32 * per_tensor},
    {"af4_g64_f32", 4.5},
    {"fp4_e2m1_g32_f16", 4.5},
    {"fp4_e2m1_channel_f32", 4 + 32 * per_row},
    {"q4_0", 4.5},
    {"q4_1", 5},
    {"q5_0", 5.5},
    {"q5_1", 6},
    {"q8_0", 8.5},
    {"q8_1", 9},
    {"tq1_0", 1.6875},
    {"tq2_0", 2.0625},
    {"mxfp4_gguf", 4.25},
    {"nvfp4_gguf", 4.5},
    {"q1_0", 1.125},
    {"q2_0", 2.25},
    {"q2_K", 2.625},
    {"q3_K", 3.4375},
    {"q4_K", 4.5},
    {"q5_K", 5.5},
    {"q6_K", 6.5625},
    {"q8_K", 9.125},
    {"iq4_nl", 4.5},
    {"iq4_xs", 4.25},
};

/// Bytes of each section of a [rows x cols] matrix.
template <class F>
std::vector<std::size_t> section_bytes(std::size_t rows, std::size_t cols) {
  std::vector<std::size_t> sizes;
  detail::for_each_section<F>(rows, cols,
                              [&](std::size_t r, std::size_t b) { sizes.push_back(r * b); });
  return sizes;
}

using sizes = std::vector<std::size_t>;

}  // namespace

TEST_CASE("bits per weight of every format, scales included, are those added up by hand") {
  for_each_format([]<class F>() {
    INFO(F::name);
    int found = 0;
    for (const expected_bits& e : table) {
      if (e.name != F::name) continue;
      ++found;
      CHECK(bits_per_weight<F>(1024, 1024) == e.bits);
    }
    CHECK(found == 1);
  });
  CHECK(std::size(table) == num_formats);
}

TEST_CASE("sections: their number and bytes for ragged matrices, by hand") {
  CHECK(section_bytes<int8_tensor_f32>(3, 5) == sizes{15, 4});
  CHECK(section_bytes<uint8_tensor_f32_z>(3, 5) == sizes{15, 4, 1});
  CHECK(section_bytes<f16>(3, 5) == sizes{30});
  // 33 4-bit codes take 3 chunks of 8 bytes a row; 2 blocks.
  CHECK(section_bytes<int4_g32_f16>(3, 33) == sizes{3 * 24, 3 * 2 * 2});
  // The zero points: 2 codes of 4 bits in a chunk of 8 bytes.
  CHECK(section_bytes<uint4_g32_f16_z>(3, 33) == sizes{3 * 24, 3 * 2 * 2, 3 * 8});
  CHECK(section_bytes<uint4_g32_f16_zf>(3, 33) == sizes{3 * 24, 3 * 2 * 2, 3 * 2 * 2});
  CHECK(section_bytes<fp8_e4m3fn_t128_f32>(130, 300) == sizes{130 * 300, 2 * 3 * 4});
  CHECK(section_bytes<int3_g32_f16>(1, 17) == sizes{2 * 6, 2});
  // NVFP4: codes, one e4m3 per 16, one float.
  CHECK(section_bytes<nvfp4>(3, 33) == sizes{3 * 24, 3 * 3, 4});
  // Double quantization: codes; 8-bit scales in one row; a float per 256 of them; the mean.
  CHECK(section_bytes<nf4_g64_dq>(5, 65 * 64) == sizes{5 * 65 * 32, 5 * 65, 2 * 4, 4});
  CHECK(section_bytes<gguf::q4_0>(3, 33) == sizes{3 * 2 * 18});
  CHECK(section_bytes<gguf::q6_K>(3, 33) == sizes{3 * 210});
  CHECK(section_bytes<user_5bit>(2, 49) == sizes{2 * 4 * 10, 2 * 2 * 2, 2 * 2 * 2});
  CHECK(section_bytes<user_nested>(2, 130) == sizes{2 * 9 * 6, 2 * 12, 2 * 2, 2 * 4});
  CHECK(section_bytes<user_tiles>(5, 33) == sizes{5 * 24, 2 * 3 * 2, 2 * 3, 2 * 4});
  CHECK(section_bytes<user_record>(2, 17) == sizes{2 * 18});
}

TEST_CASE("sections: as many as the type says, their bytes add up, none is empty") {
  for_each_format([]<class F>() {
    INFO(F::name);
    for (const auto [rows, cols] : {grid_shape{1, 1}, {3, 100}, {130, 257}, {7, 512}}) {
      const sizes s = section_bytes<F>(rows, cols);
      CHECK(s.size() == num_sections<F>);
      std::size_t sum = 0;
      for (const std::size_t n : s) {
        CHECK(n > 0);
        sum += n;
      }
      CHECK(sum == storage_bytes<F>(rows, cols));
    }
  });
}

TEST_CASE("sections of empty matrices are empty") {
  for_each_format([]<class F>() {
    INFO(F::name);
    for (const auto [rows, cols] : {grid_shape{0, 0}, {0, 64}, {3, 0}}) {
      CHECK(storage_bytes<F>(rows, cols) == 0);
      CHECK(quantized_view<F>::buffer_bytes(rows, cols) == 0);
      CHECK(bits_per_weight<F>(rows, cols) == 0);
      const auto m = quantized_matrix<F>::create(rows, cols);
      REQUIRE(m.has_value());
      CHECK(m->bytes() == 0);
    }
  });
}

TEST_CASE("one-piece views: sections follow each other at multiples of 64 bytes") {
  for_each_format([]<class F>() {
    INFO(F::name);
    const std::size_t rows = 5;
    const std::size_t cols = 300;
    auto m = quantized_matrix<F>::create(rows, cols);
    REQUIRE(m.has_value());
    const quantized_view<F> v = m->view();
    const sizes s = section_bytes<F>(rows, cols);
    const std::uint8_t* at = v.sections[0].data;
    for (std::size_t i = 0; i < num_sections<F>; ++i) {
      CHECK(v.sections[i].data == at);
      CHECK(reinterpret_cast<std::uintptr_t>(v.sections[i].data) % 64 == 0);
      at += (s[i] + 63) / 64 * 64;
    }
    CHECK(static_cast<std::size_t>(at - v.sections[0].data) ==
          quantized_view<F>::buffer_bytes(rows, cols));
    CHECK(m->rows() == rows);
    CHECK(m->cols() == cols);
    CHECK(m->bytes() == storage_bytes<F>(rows, cols));
    // Zeroed, and the read-only view is the same.
    const quantized_view<const F> c = v;
    for (std::size_t i = 0; i < num_sections<F>; ++i) {
      CHECK(c.sections[i].data == v.sections[i].data);
      CHECK(c.sections[i].stride == v.sections[i].stride);
      for (std::size_t b = 0; b < s[i]; ++b) {
        if (c.sections[i].data[b] != 0) FAIL("not zeroed");
      }
    }
  });
}

TEST_CASE("views of several pieces take one pointer per section") {
  std::uint8_t codes[24 * 3];
  std::uint8_t scales[4 * 3];
  std::uint8_t zeros[8 * 3];
  const quantized_view<uint4_g32_f16_z> v({codes, scales, zeros}, 3, 33);
  CHECK(v.sections[0].data == codes);
  CHECK(v.sections[0].stride == 24);
  CHECK(v.sections[1].data == scales);
  CHECK(v.sections[1].stride == 4);
  CHECK(v.sections[2].data == zeros);
  CHECK(v.sections[2].stride == 8);
  CHECK(v.rows == 3);
  CHECK(v.cols == 33);
}

TEST_CASE("create refuses sizes that do not fit instead of wrapping round") {
  constexpr std::size_t big = std::size_t{1} << 62;
  CHECK(quantized_matrix<int4_g32_f16>::create(big, big).error() == errc::overflow);
  CHECK(quantized_matrix<int4_g32_f16>::create(big, 1).error() == errc::overflow);
  CHECK(quantized_matrix<gguf::q4_0>::create(1, big).error() == errc::overflow);
  CHECK(quantized_matrix<f16>::create(std::size_t{1} << 40, std::size_t{1} << 40).error() ==
        errc::overflow);
  // Fits in size_t, and in no memory.
  CHECK(quantized_matrix<gguf::q8_K>::create(1, std::size_t{1} << 50).error() ==
        errc::out_of_memory);
  // Without rows any width is fine.
  CHECK(quantized_matrix<int4_g32_f16>::create(0, big).has_value());
}

TEST_CASE("codes are stored and loaded alone, for elements of every width") {
  const auto check = []<class E>() {
    INFO(E::name);
    const std::size_t rows = 3;
    const std::size_t cols = 37;
    const std::size_t row_bytes = detail::code_row_bytes<E>(cols);
    std::vector<std::uint8_t> bytes(rows * row_bytes, 0xA5);
    const basic_section<std::uint8_t> s{bytes.data(), row_bytes};
    std::vector<typename E::code> codes;
    nibble_test::random_bits random(nibble_test::seed_of(E::name));
    for (std::size_t i = 0; i < rows * cols; ++i) {
      codes.push_back(static_cast<typename E::code>(
          random.bits32() & static_cast<std::uint32_t>((std::uint64_t{1} << E::bits) - 1)));
      store_code<E>(s, i / cols, i % cols, codes[i]);
    }
    for (std::size_t i = 0; i < rows * cols; ++i) {
      CHECK(load_code<E>(s, i / cols, i % cols) == codes[i]);
    }
  };
  check.operator()<binary>();
  check.operator()<uint2>();
  check.operator()<uint3>();
  check.operator()<fp4_e2m1>();
  check.operator()<uint5>();
  check.operator()<fp6_e2m3>();
  check.operator()<int8>();
  check.operator()<f16>();
  check.operator()<f32>();
}
