// SPDX-License-Identifier: Apache-2.0 OR MIT
// Calls as a client writes them: owners and views, braces, arrays and vectors of products. All give
// the bits of the one spelling that the other tests use.
#include <vector>

#include "nibble/nibble.h"

#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;

namespace {

using F = int4_g32_f16;
constexpr std::size_t n = 20;
constexpr std::size_t k = 64;
constexpr std::size_t m = 2;

std::vector<float> some_floats(std::size_t count, std::uint64_t seed) {
  return nibble_test::make_values(nibble_test::fill::normal, count, seed);
}

}  // namespace

TEST_CASE("a matrix is quantized, packed and moved out of its result in one line each") {
  const std::vector<float> w = some_floats(n * k, 1);
  context with(parallel::serial());
  const auto q = *quantize<F>({w.data(), n, k});
  const auto q2 = *quantize<F>({w.data(), n, k}, with);
  const auto p = *pack(q);
  const auto p2 = *pack(q2, with);
  std::vector<float> a(n * k), b(n * k), c(n * k), d(n * k);
  REQUIRE(dequantize(q, {a.data(), n, k}) == errc::ok);
  REQUIRE(dequantize(q2, {b.data(), n, k}, with) == errc::ok);
  REQUIRE(dequantize(p, {c.data(), n, k}) == errc::ok);
  REQUIRE(dequantize(p2.view(), {d.data(), n, k}, with) == errc::ok);
  CHECK(a == b);
  CHECK(a == c);
  CHECK(a == d);
}

TEST_CASE("views and owners of packed matrices multiply alike, and braces make matrices") {
  const std::vector<float> w = some_floats(n * k, 1);
  const std::vector<float> x = some_floats(m * k, 2);
  context with(parallel::serial());
  const auto p = *pack(*quantize<F>({w.data(), n, k}));
  const packed_view<F> view = p;
  std::vector<float> want(m * n);
  REQUIRE(gemm<F>(view, matrix_view<const float>(x.data(), m, k),
                  matrix_view<float>(want.data(), m, n), with) == errc::ok);
  std::vector<float> y(m * n);
  REQUIRE(gemm(p, {x.data(), m, k}, {y.data(), m, n}, with) == errc::ok);
  CHECK(y == want);
  y.assign(m * n, -1);
  REQUIRE(gemm(view, {x.data(), m, k}, {y.data(), m, n}, with) == errc::ok);
  CHECK(y == want);

  want.resize(n);
  y.assign(n, -1);
  REQUIRE(gemv(p, std::span(x).first(k), y, with) == errc::ok);
  CHECK(y == want);
  y.assign(n, -1);
  REQUIRE(gemv(view, std::span(x).first(k), y, with) == errc::ok);
  CHECK(y == want);
  y.assign(n, -1);
  REQUIRE(gemv(view, {x.data(), k}, {y.data(), n}, with) == errc::ok);
  CHECK(y == want);
}

TEST_CASE("a gated pair is of views, owners, or one of each") {
  const std::vector<float> w = some_floats(2 * n * k, 1);
  const std::vector<float> x = some_floats(m * k, 2);
  context with(parallel::serial());
  const auto gate = *pack(*quantize<F>({w.data(), n, k}));
  const auto up = *pack(*quantize<F>({w.data() + n * k, n, k}));
  epilogue post;
  post.act = activation::silu;
  std::vector<float> want(m * n);
  REQUIRE(gemm_gated<F>(gate.view(), up.view(), matrix_view<const float>(x.data(), m, k),
                        matrix_view<float>(want.data(), m, n), with, post) == errc::ok);
  const auto check = [&](const auto& a, const auto& b) {
    std::vector<float> y(m * n, -1);
    REQUIRE(gemm_gated(a, b, {x.data(), m, k}, {y.data(), m, n}, with, post) == errc::ok);
    CHECK(y == want);
  };
  check(gate, up);
  check(gate.view(), up);
  check(gate, up.view());
  check(gate.view(), up.view());
}

TEST_CASE("several products come as an array, a vector, a std::array or a span") {
  const std::vector<float> w = some_floats(2 * n * k, 1);
  const std::vector<float> x = some_floats(m * k, 2);
  context with(parallel::serial());
  const auto a = *pack(*quantize<F>({w.data(), n, k}));
  const auto b = *pack(*quantize<F>({w.data() + n * k, n, k}));
  std::vector<float> want(2 * m * n);
  REQUIRE(gemm(a, {x.data(), m, k}, {want.data(), m, n}, with) == errc::ok);
  REQUIRE(gemm(b, {x.data(), m, k}, {want.data() + m * n, m, n}, with) == errc::ok);
  std::vector<float> y;
  const auto check = [&](const auto& make) {
    y.assign(2 * m * n, -1);
    const product<F> first{a, {y.data(), m, n}};
    const product<F> second{b, {y.data() + m * n, m, n}};
    REQUIRE(make(first, second) == errc::ok);
    CHECK(y == want);
  };
  const activations in(x.data(), m, k);
  check([&](const auto& p, const auto& q) {
    const product<F> both[] = {p, q};
    return gemm_many(both, in, with);
  });
  check([&](const auto& p, const auto& q) {
    std::vector<product<F>> both{p, q};
    return gemm_many(both, {x.data(), m, k}, with);
  });
  check([&](const auto& p, const auto& q) { return gemm_many(std::array{p, q}, in, with); });
  check([&](const auto& p, const auto& q) {
    std::vector<product<F>> both{p, q};
    return gemm_many(std::span(both), in, with);  // of values that are not const
  });
  check([&](const auto& p, const auto& q) {
    const std::vector<product<F>> both{p, q};
    return gemm_many(std::span<const product<F>>(both), in, with);
  });
  check([&](const auto& p, const auto& q) {
    const product<F> both[] = {p, q};
    return gemm_many<F>(both, in, with);
  });
}

TEST_CASE("an embedding is looked up in quantized and packed rows, by type and by name") {
  const std::vector<float> w = some_floats(n * k, 1);
  context with(parallel::serial());
  const auto q = *quantize<F>({w.data(), n, k});
  const auto p = *pack(q);
  const any_format& f = *find_format(F::name, any_formats<F>::list);
  std::vector<std::byte> bytes(f.quantized_bytes(n, k));
  REQUIRE(quantize(f, {w.data(), n, k}, bytes, with) == errc::ok);
  const auto named = *pack(f, bytes, n, k, with);
  const std::vector<std::uint32_t> tokens = {19, 0, 7, 7};
  std::vector<float> want(4 * k), y(4 * k);
  REQUIRE(get_rows(q, tokens, {want.data(), 4, k}) == errc::ok);
  const auto check = [&](errc e) {
    REQUIRE(e == errc::ok);
    CHECK(y == want);
    y.assign(4 * k, -1);
  };
  check(get_rows(q.view(), tokens, {y.data(), 4, k}));
  check(get_rows(p, tokens, {y.data(), 4, k}));
  check(get_rows(p.view(), tokens, {y.data(), 4, k}));
  check(get_rows(named, tokens, {y.data(), 4, k}));
  check(get_rows(named.view(), tokens, {y.data(), 4, k}));
  check(get_rows(f, bytes, n, tokens, {y.data(), 4, k}));
}

TEST_CASE("by name: quantized rows, floats and packed matrices become each other") {
  const std::vector<float> w = some_floats(n * k, 1);
  context with(parallel::serial());
  const auto q = *quantize<F>({w.data(), n, k});
  const any_format& f = *find_format(F::name, any_formats<F>::list);
  std::vector<std::byte> bytes(f.quantized_bytes(n, k) + 63, std::byte{0x5A});
  REQUIRE(quantize(f, {w.data(), n, k}, bytes, with) == errc::ok);
  CHECK(std::memcmp(bytes.data(), q.view().sections[0].data, f.quantized_bytes(n, k)) == 0);
  const auto p = *pack(f, bytes, n, k, with);
  std::vector<float> a(n * k), b(n * k), c(n * k), d(n * k);
  REQUIRE(dequantize(q, {a.data(), n, k}) == errc::ok);
  REQUIRE(dequantize(f, bytes, {b.data(), n, k}, with) == errc::ok);
  REQUIRE(dequantize(p, {c.data(), n, k}) == errc::ok);
  REQUIRE(dequantize(p, {d.data(), n, k}, with) == errc::ok);
  CHECK(a == b);
  CHECK(a == c);
  CHECK(a == d);
  std::vector<std::byte> back(f.quantized_bytes(n, k));
  REQUIRE(unpack(p, back) == errc::ok);
  CHECK(std::equal(back.begin(), back.end(), bytes.begin()));
  product_sums sums;
  sums.wx = sums.parts_x = 3;
  CHECK(gemm_error_bound(f, compute_path::integer, k, sums) ==
        gemm_error_bound<F>(compute_path::integer, k, sums));
}
