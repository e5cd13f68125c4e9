// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which format a file's type is: decided for every type, and proved on the bytes of a program that
// writes such files.
#include "nibble/io/tensor_format.h"

#include "io/golden_tensors.h"
#include "nibble/io/read_rows.h"
#include "nibble/reference.h"
#include "support/catch.h"
#include "support/print.h"

using namespace nibble;
using namespace nibble_test;

namespace {

bool is_listed(std::string_view name) {
  return visit_format(name, []<class>() {});
}

}  // namespace

TEST_CASE("every type of a file has its one format, or none") {
  struct row {
    tensor_type type;
    std::string_view format;
  };
  using enum tensor_type;
  constexpr row rows[] = {
      {f32, "f32"},
      {f16, "f16"},
      {bf16, "bf16"},
      {q4_0, "q4_0"},
      {q4_1, "q4_1"},
      {q5_0, "q5_0"},
      {q5_1, "q5_1"},
      {q8_0, "q8_0"},
      {q8_1, "q8_1"},
      {q2_k, "q2_K"},
      {q3_k, "q3_K"},
      {q4_k, "q4_K"},
      {q5_k, "q5_K"},
      {q6_k, "q6_K"},
      {q8_k, "q8_K"},
      {iq4_nl, "iq4_nl"},
      {iq4_xs, "iq4_xs"},
      {tq1_0, "tq1_0"},
      {tq2_0, "tq2_0"},
      {q1_0, "q1_0"},
      {mxfp4, "mxfp4_gguf"},
      {nvfp4, "nvfp4_gguf"},
      {q2_0, "q2_0"},
      // Numbers without a scale, or whose scale is another tensor.
      {f64, ""},
      {i64, ""},
      {i32, ""},
      {i16, ""},
      {i8, ""},
      {u64, ""},
      {u32, ""},
      {u16, ""},
      {u8, ""},
      {opaque8, ""},
      {opaque16, ""},
      {boolean, ""},
      {c64, ""},
      {c128, ""},
      {f8_e4m3, ""},
      {f8_e5m2, ""},
      {f8_e4m3fnuz, ""},
      {f8_e5m2fnuz, ""},
      {f8_e8m0, ""},
      {f6_e2m3, ""},
      {f6_e3m2, ""},
      {f4, ""},
      // Blocks that nibble does not decode.
      {iq2_xxs, ""},
      {iq2_xs, ""},
      {iq3_xxs, ""},
      {iq1_s, ""},
      {iq3_s, ""},
      {iq2_s, ""},
      {iq1_m, ""},
  };
  for (const tensor_type_info& t : tensor_types) {
    INFO(t.name);
    std::size_t found = 0;
    for (const row& r : rows) {
      if (r.type != t.type) continue;
      ++found;
      CHECK(format_name_of(t.type) == r.format);
    }
    CHECK(found == 1);
  }
}

TEST_CASE("a type's name for people leads to no other format") {
  for (const tensor_type_info& t : tensor_types) {
    INFO(t.name);
    const std::string_view format = format_name_of(t.type);
    if (format.empty()) {
      CHECK_FALSE(is_listed(t.name));
    } else {
      CHECK(t.name == format);
      CHECK(is_listed(format));
    }
  }
}

TEST_CASE("the format of a type decodes the bytes of a file") {
  for (const tensor_type_info& t : tensor_types) {
    visit_format_of(t.type, [&]<class F>() {
      INFO(F::name);
      if constexpr (wire_format<F>) {
        CHECK(t.block_values == F::block_values);
        CHECK(t.block_bytes == F::block_bytes);
      }
      const golden_tensor x = golden_tensor_of(t.type);
      std::vector<float> got(x.values.size());
      const quantized_view<const F> w({x.bytes.data()}, x.rows, x.cols);
      reference::dequantize<F>(w, matrix_view<float>(got.data(), x.rows, x.cols));
      CHECK(difference(got, x.values) == "");
    });
  }
}

TEST_CASE("read_rows: block types give the floats of dequantize, any rows of them") {
  std::size_t types = 0;
  for (const tensor_type_info& t : tensor_types) {
    if (t.block_values == 1 || format_name_of(t.type).empty()) continue;
    ++types;
    INFO(t.name);
    const golden_tensor x = golden_tensor_of(t.type);
    const tensor_info tensor = x.info(t.type);
    std::vector<float> got(x.values.size());
    REQUIRE(read_rows_f32(tensor, 0, {got.data(), x.rows, x.cols}) == errc::ok);
    CHECK(difference(got, x.values) == "");
    got.resize(x.cols);
    REQUIRE(read_rows_f32(tensor, x.rows - 1, {got.data(), 1, x.cols}) == errc::ok);
    CHECK(difference(got, std::span(x.values).last(x.cols)) == "");
    CHECK(read_rows_f32(tensor, x.rows, {got.data(), 1, x.cols}) == errc::out_of_bounds);
    tensor_info turned = tensor;
    turned.fortran_order = true;
    CHECK(read_rows_f32(turned, 0, {got.data(), 1, x.cols}) == errc::shape_mismatch);
  }
  CHECK(types == 20);
}
