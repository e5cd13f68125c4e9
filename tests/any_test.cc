// SPDX-License-Identifier: Apache-2.0 OR MIT
// Formats chosen at run time do what the types do.
#include "nibble/any.h"

#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "io/golden_tensors.h"
#include "nibble/io/any_tensor.h"
#include "support/cases.h"
#include "support/catch.h"
#include "support/print.h"

namespace {

using namespace nibble;

constexpr std::size_t rows = 21;
constexpr std::size_t cols = 288;

std::vector<float> some_floats() {
  nibble_test::random_bits bits(7);
  std::vector<float> x(rows * cols);
  for (float& v : x) v = static_cast<float>(static_cast<int>(bits.below(2001)) - 1000) * 0.003f;
  return x;
}

template <class F>
std::span<const std::byte> bytes_of(const quantized_matrix<F>& q) {
  return std::as_bytes(
      std::span(q.view().sections[0].data, quantized_view<F>::buffer_bytes(q.rows(), q.cols())));
}

}  // namespace

TEST_CASE("the run-time catalogue lists every format in order", "[any]") {
  REQUIRE(catalogue().size() == num_formats);
  REQUIRE(format_names().size() == num_formats);
  for (std::size_t i = 0; i < num_formats; ++i) {
    CHECK(catalogue()[i].name == format_names()[i]);
    CHECK(find_format(format_names()[i]) == &catalogue()[i]);
  }
  for_each_format([]<class F>() {
    CHECK(find_format(F::name)->fingerprint == fingerprint_of<F>());
    for (const compute_path p : {compute_path::integer, compute_path::bf16, compute_path::exact}) {
      CHECK(find_format(F::name)->supports(p) == supports<F>(p));
    }
  });
}

TEST_CASE("every format packs by its name and keeps its values", "[any]") {
  const std::vector<float> x = some_floats();
  context with(parallel::serial());
  for_each_format([&]<class F>() {
    INFO(F::name);
    const auto q = quantize<F>(matrix_view<const float>(x.data(), rows, cols));
    REQUIRE(q.has_value());
    std::vector<float> expected(rows * cols), values(rows * cols);
    REQUIRE(dequantize(*q, matrix_view<float>(expected.data(), rows, cols)) == errc::ok);
    const auto packed = pack(F::name, bytes_of(*q), rows, cols, with);
    REQUIRE(packed.has_value());
    CHECK(packed->name() == F::name);
    CHECK(packed->rows() == rows);
    CHECK(packed->cols() == cols);
    REQUIRE(dequantize(packed->view(), matrix_view<float>(values.data(), rows, cols)) == errc::ok);
    CHECK(std::memcmp(expected.data(), values.data(), expected.size() * sizeof(float)) == 0);
  });
}

TEST_CASE("every format by its name: bytes, values, rows and bounds are those of its type",
          "[any]") {
  const std::vector<float> x = some_floats();
  context with(parallel::serial());
  product_sums sums;
  sums.wx = sums.parts_x = sums.w_amax = sums.scale_x = 3;
  const std::vector<std::uint32_t> ids = {20, 3, 3, 4, 0};
  for_each_format([&]<class F>() {
    INFO(F::name);
    const any_format& f = *find_format(F::name);
    const auto q = quantize<F>(matrix_view<const float>(x.data(), rows, cols));
    REQUIRE(q.has_value());
    const std::size_t size = f.quantized_bytes(rows, cols);
    std::vector<std::byte> bytes(size), back(size);
    REQUIRE(quantize(f, {x.data(), rows, cols}, bytes, with) == errc::ok);
    CHECK(std::memcmp(bytes.data(), bytes_of(*q).data(), size) == 0);
    std::vector<float> expected(rows * cols), values(rows * cols);
    REQUIRE(dequantize(*q, {expected.data(), rows, cols}) == errc::ok);
    REQUIRE(dequantize(f, bytes, {values.data(), rows, cols}, with) == errc::ok);
    CHECK(std::memcmp(expected.data(), values.data(), expected.size() * sizeof(float)) == 0);
    const auto packed = pack(f, bytes, rows, cols, with);
    REQUIRE(packed.has_value());
    REQUIRE(unpack(*packed, back) == errc::ok);
    if constexpr (!wire_format<F>) CHECK(back == bytes);  // records have padding that is made anew
    REQUIRE(dequantize(f, back, {values.data(), rows, cols}, with) == errc::ok);
    CHECK(std::memcmp(expected.data(), values.data(), expected.size() * sizeof(float)) == 0);
    std::vector<float> of_bytes(ids.size() * cols), of_packed(ids.size() * cols);
    REQUIRE(get_rows(f, bytes, rows, ids, {of_bytes.data(), ids.size(), cols}) == errc::ok);
    REQUIRE(get_rows(*packed, ids, {of_packed.data(), ids.size(), cols}) == errc::ok);
    CHECK(of_bytes == of_packed);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      CHECK(std::memcmp(&of_bytes[i * cols], &expected[ids[i] * cols], cols * sizeof(float)) == 0);
    }
    for (const compute_path p : {compute_path::integer, compute_path::bf16, compute_path::exact}) {
      CHECK(gemm_error_bound(f, p, cols, sums) == gemm_error_bound<F>(p, cols, sums));
    }
  });
}

// A few kinds: what is erased is the same code for all.
TEMPLATE_TEST_CASE("a format by name multiplies and explains as its type", "[any]", int4_g32_f16,
                   uint4_g128_f16_z, gguf::q4_K, nf4_g64_dq, fp8_e4m3fn_t128_f32) {
  const std::vector<float> x = some_floats();
  context with(parallel::serial());
  const auto q = quantize<TestType>(matrix_view<const float>(x.data(), rows, cols));
  REQUIRE(q.has_value());
  const auto typed = pack(*q);
  const auto packed = pack(TestType::name, bytes_of(*q), rows, cols, with);
  REQUIRE(typed.has_value());
  REQUIRE(packed.has_value());
  CHECK(packed->bytes() == typed->bytes());

  std::vector<float> y(rows), y_any(rows);
  REQUIRE(gemv(*typed, std::span(x).first(cols), y, with) == errc::ok);
  REQUIRE(gemv(*packed, std::span(x).first(cols), y_any, with) == errc::ok);
  CHECK(std::memcmp(y.data(), y_any.data(), rows * sizeof(float)) == 0);

  const matrix_view<const float> row(x.data(), 1, cols);
  REQUIRE(gemm_gated<TestType>(typed->view(), typed->view(), row, matrix_view<float>(std::span(y)),
                               with, {}) == errc::ok);
  REQUIRE(gemm_gated(*packed, *packed, row, matrix_view<float>(std::span(y_any)), with, {}) ==
          errc::ok);
  CHECK(std::memcmp(y.data(), y_any.data(), rows * sizeof(float)) == 0);

  CHECK(std::string_view(to_text(explain(*packed, row, with))) ==
        std::string_view(to_text(explain(*typed, row, with))));
}

TEST_CASE("floats are quantized and packed by the name of a format", "[any]") {
  const std::vector<float> x = some_floats();
  context with(parallel::serial());
  for (const std::string_view name :
       {"int4_g32_f16", "q4_K", "nf4_g64_dq", "fp8_e4m3fn_t128_f32"}) {
    INFO(name);
    const auto packed = pack(name, matrix_view<const float>(x.data(), rows, cols), with);
    REQUIRE(packed.has_value());
    std::vector<float> values(rows * cols);
    REQUIRE(dequantize(*packed, matrix_view<float>(values.data(), rows, cols)) == errc::ok);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::abs(values[i] - x[i]) < 0.6f);
  }
}

TEST_CASE("several products by name share one x", "[any]") {
  const std::vector<float> x = some_floats();
  context with(parallel::serial());
  const std::string_view name = "int4_g32_f16";
  const auto q = pack(name, matrix_view<const float>(x.data(), rows, cols), with);
  const auto k = pack(name, matrix_view<const float>(x.data() + cols, rows - 5, cols), with);
  REQUIRE(q.has_value());
  REQUIRE(k.has_value());
  const std::size_t m = 6;
  const matrix_view<const float> some_x(x.data() + 7, m, cols);
  std::vector<float> y(m * rows), y_k(m * (rows - 5), -1.0f);
  std::vector<float> expected(m * rows), expected_k(m * (rows - 5), -1.0f);
  const std::vector<float> bias(rows, 0.5f);
  any_product both[2];
  both[0].w = *q;
  both[0].y = matrix_view<float>(y.data(), m, rows);
  both[0].post.bias = bias.data();
  both[1].w = *k;
  both[1].y = matrix_view<float>(y_k.data(), m, rows - 5);
  const std::uint32_t routed[] = {4, 1};
  both[1].x_rows = routed;
  both[1].num_rows = 2;
  REQUIRE(gemm_many(both, some_x, with) == errc::ok);
  REQUIRE(gemm_many({}, some_x, with) == errc::ok);

  REQUIRE(gemm(*q, some_x, matrix_view<float>(expected.data(), m, rows), with, both[0].post) ==
          errc::ok);
  for (const std::size_t row : routed) {
    REQUIRE(gemv(*k, some_x.row(row), std::span(expected_k).subspan(row * (rows - 5), rows - 5),
                 with) == errc::ok);
  }
  CHECK(y == expected);
  CHECK(y_k == expected_k);
}

TEST_CASE("several products by name may be of several formats", "[any]") {
  const std::vector<float> x = some_floats();
  context with(parallel::serial());
  const std::size_t m = 3;
  const matrix_view<const float> some_x(x.data() + 7, m, cols);
  std::vector<any_packed_matrix> w;
  for (const std::string_view name : {"int4_g32_f16", "int4_g32_f16", "q5_0", "int4_g32_f16"}) {
    auto packed = pack(name, matrix_view<const float>(x.data(), rows, cols), with);
    REQUIRE(packed.has_value());
    w.push_back(std::move(*packed));
  }
  std::vector<std::vector<float>> y(w.size(), std::vector<float>(m * rows, -1.0f));
  std::vector<any_product> products(w.size());
  for (std::size_t i = 0; i < w.size(); ++i) {
    products[i].w = w[i];
    products[i].y = matrix_view<float>(y[i].data(), m, rows);
  }
  REQUIRE(gemm_many(products, some_x, with) == errc::ok);
  for (std::size_t i = 0; i < w.size(); ++i) {
    std::vector<float> expected(m * rows);
    REQUIRE(gemm(w[i], some_x, matrix_view<float>(expected.data(), m, rows), with) == errc::ok);
    CHECK(y[i] == expected);
  }
}

TEST_CASE("a context runs callables: every task once", "[any]") {
  const context with(parallel::serial());
  std::vector<int> runs(5);
  with.run(runs.size(), [&runs](std::size_t i, std::size_t worker) {
    runs[i] += 1 + 10 * static_cast<int>(worker);
  });
  CHECK(runs == std::vector<int>(5, 1));
  const auto fn = [&runs](std::size_t i, std::size_t) { ++runs[i]; };
  with.run(2, fn);
  with.run(0, fn);
  CHECK(runs == std::vector<int>{2, 2, 1, 1, 1});
}

TEST_CASE("a format by name carries outliers", "[any]") {
  std::vector<float> w = some_floats();
  for (std::size_t i = 0; i < w.size(); i += 41) w[i] = 20.0f + static_cast<float>(i % 3);
  const matrix_view<const float> matrix(w.data(), rows, cols);
  context with(parallel::serial());
  const std::uint32_t list[] = {7, 100};
  for (const outlier_rule& rule : {outlier_rule::above(20), outlier_rule::columns(list)}) {
    const auto typed = pack_with_outliers<int4_g32_f16>(matrix, rule, with);
    auto packed = pack_with_outliers("int4_g32_f16", matrix, rule, with);
    REQUIRE(typed.has_value());
    REQUIRE(packed.has_value());
    CHECK(packed->bytes() == typed->bytes());
    const auto parts = split_outliers(matrix, rule);
    REQUIRE(parts.has_value());
    const auto rest = pack("int4_g32_f16", parts->rest(), with);
    REQUIRE(rest.has_value());
    CHECK(packed->bytes() == rest->bytes() + parts->part.bytes());

    std::vector<float> values(rows * cols), expected(rows * cols);
    REQUIRE(dequantize(*packed, matrix_view<float>(values.data(), rows, cols)) == errc::ok);
    REQUIRE(dequantize(*rest, matrix_view<float>(expected.data(), rows, cols)) == errc::ok);
    REQUIRE(add_outliers(parts->part.view(), {expected.data(), rows, cols}) == errc::ok);
    CHECK(values == expected);

    std::vector<float> y(rows), y_any(rows);
    REQUIRE(gemv(*typed, std::span(w).first(cols), y, with) == errc::ok);
    REQUIRE(gemv(*packed, std::span(w).first(cols), y_any, with) == errc::ok);
    CHECK(y == y_any);
    const any_packed_matrix moved = std::move(*packed);
    REQUIRE(gemv(moved, std::span(w).first(cols), y_any, with) == errc::ok);
    CHECK(y == y_any);
  }
  CHECK(pack_with_outliers("no such", matrix, outlier_rule(), with).error() == errc::not_found);
  CHECK(pack_with_outliers("q4_K", matrix, outlier_rule::largest(2), with).error() ==
        errc::invalid_argument);
}

TEST_CASE("an unknown name is not found, and its neighbours are named", "[any]") {
  context with(parallel::serial());
  CHECK(find_format("int4_g32_f61") == nullptr);
  CHECK(pack("int4_g32_f61", std::span<const std::byte>(), 0, 0, with).error() == errc::not_found);
  std::string_view nearest[3];
  REQUIRE(nearest_names("int4_g32_f61", format_names(), nearest) == 3);
  CHECK(nearest[0] == "int4_g32_f16");
  CHECK(nearest_names("q4_k", format_names(), std::span(nearest, 1)) == 1);
  CHECK(nearest[0] == "q4_K");
  CHECK(nearest_names("anything", {}, nearest) == 0);
  CHECK(nearest_names("anything", format_names(), {}) == 0);
  const std::string longest(10000, 'x');
  CHECK(nearest_names(longest, format_names(), nearest) == 3);
}

TEST_CASE("a tensor of a file is packed in the format of its type", "[any]") {
  context with(parallel::serial());
  std::size_t packed = 0;
  for (const tensor_type_info& t : tensor_types) {
    INFO(t.name);
    const any_format* f = format_of(t.type);
    CHECK(f == find_format(format_name_of(t.type)));
    if (f == nullptr) continue;
    ++packed;
    const nibble_test::golden_tensor x = nibble_test::golden_tensor_of(t.type);
    const tensor_info tensor = x.info(t.type);
    const auto w = pack(*f, tensor.data, tensor.rows(), tensor.cols(), with);
    REQUIRE(w.has_value());
    std::vector<float> got(x.values.size());
    REQUIRE(dequantize(*w, matrix_view<float>(got.data(), x.rows, x.cols)) == errc::ok);
    CHECK(nibble_test::difference(got, x.values) == "");
  }
  CHECK(packed == 23);  // 20 of GGUF, f32, f16, bf16
  CHECK(format_of(tensor_type::q4_k, {}) == nullptr);
}

TEST_CASE("bytes of the wrong number are refused", "[any]") {
  context with(parallel::serial());
  std::vector<std::byte> bytes(quantized_view<int4_g32_f16>::buffer_bytes(16, 64) + 64);
  const std::size_t right = 16 * 32 + 16 * 2 * 2;
  const auto error = [&](std::size_t n, std::size_t r, std::size_t c) {
    return pack("int4_g32_f16", std::span(bytes).first(n), r, c, with).error();
  };
  CHECK(error(right, 16, 64) == errc::ok);
  CHECK(error(right - 1, 16, 64) == errc::shape_mismatch);
  CHECK(error(right + 64, 16, 64) == errc::shape_mismatch);
  CHECK(error(right, 16, 96) == errc::shape_mismatch);
  CHECK(error(0, 0, 64) == errc::ok);
  CHECK(error(0, 16, 0) == errc::ok);
  CHECK(error(right, SIZE_MAX, 64) == errc::overflow);
  CHECK(error(right, SIZE_MAX / 64, 64) == errc::overflow);
}
