// SPDX-License-Identifier: Apache-2.0 OR MIT
// Wrong calls: sizes that disagree, null pointers, choices that a program makes at run time. All
// get an error and touch nothing, with and without asserts (wrong_calls_release_test.cc), by types
// and by names of formats.
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "nibble/any.h"
#include "nibble/elements.h"
#include "nibble/metrics.h"
#include "nibble/recipes/observers.h"

#include "support/cases.h"
#include "support/catch.h"

namespace {

using namespace nibble;
using levels = int4_g32_f16;            // with an integer path
using floats = fp8_e4m3fn_channel_f32;  // without
using formats = any_formats<levels, floats>;

constexpr std::size_t n = 24;
constexpr std::size_t k = 64;
constexpr std::size_t m = 3;
constexpr std::uint8_t poison = 0xA5;
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

/// A value that is in no enumeration.
template <class Enum>
Enum outside(unsigned value) {
  return static_cast<Enum>(value);
}

std::vector<float> some_floats(std::size_t count) {
  nibble_test::random_bits bits(3);
  std::vector<float> x(count);
  for (float& v : x) v = bits.normal();
  return x;
}

/// What may be written, between guards, all of one byte.
struct guarded {
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(4 * (m + 2) * (n + 8) * 4, poison);
  [[nodiscard]] std::uint8_t* data() { return bytes.data() + bytes.size() / 4; }
  [[nodiscard]] float* floats() { return reinterpret_cast<float*>(data()); }
  [[nodiscard]] bool untouched() const {
    return bytes == std::vector<std::uint8_t>(bytes.size(), poison);
  }
};

/// Everything of a call that a client can get wrong; right as it is made.
struct call {
  std::vector<float> values = some_floats(m * k);
  std::vector<float> scales = std::vector<float>(m * k, 0.5f);
  std::vector<std::uint32_t> order;
  std::vector<std::int32_t> shift = std::vector<std::int32_t>(n, -1);
  std::vector<std::int32_t> multiplier = std::vector<std::int32_t>(n, 1 << 30);
  std::vector<std::int32_t> zeros = std::vector<std::int32_t>(m, 0);
  std::vector<float> residual = std::vector<float>(m * n);
  guarded memory;
  activations x{values.data(), m, k};
  results y{memory.floats(), m, n};
  epilogue post{};
  gemm_options options{};

  call() {
    for (std::size_t i = 0; i < k; ++i) order.push_back(static_cast<std::uint32_t>(k - 1 - i));
  }
  call(const call&) = delete;
  call& operator=(const call&) = delete;

  void take_codes() {
    x.type = number_type::int8;
    x.scales = scales.data();
  }
  [[nodiscard]] matrix_view<const float> values_of_x() const { return {values.data(), m, k}; }
  const std::int32_t* zero(std::int32_t first) {
    zeros[0] = first;
    return zeros.data();
  }
  /// Codes with zero points, all legal but one.
  void take_zeros(std::size_t row, std::int32_t zero_point) {
    take_codes();
    zeros[row] = zero_point;
    x.zero_points = zeros.data();
  }
  void make_codes(requantize_rule rule) {
    y.type = number_type::int8;
    post.requantize.rule = rule;
    post.requantize.per_channel = true;
    post.requantize.scale = scales.data();
    post.requantize.multiplier = multiplier.data();
    post.requantize.shift = shift.data();
  }
};

struct wrong_call {
  const char* what;
  errc expected;
  void (*spoil)(call&);
};

constexpr errc shape = errc::shape_mismatch;
constexpr errc argument = errc::invalid_argument;

const wrong_call wrong_calls[] = {
    {"path 4", argument, [](call& c) { c.options.path = outside<compute_path>(4); }},
    {"path 255", argument, [](call& c) { c.options.path = outside<compute_path>(255); }},
    {"activation_scale 4", argument,
     [](call& c) { c.options.scale = outside<activation_scale>(4); }},
    {"x of type 5", argument, [](call& c) { c.x.type = outside<number_type>(5); }},
    {"x of 16 bits that is f32", argument,
     [](call& c) {
       const auto* halves = reinterpret_cast<const std::uint16_t*>(c.values.data());
       c.x = activations(matrix_view<const std::uint16_t>(halves, m, k), number_type::f32);
     }},
    {"k too small", shape, [](call& c) { c.x.cols = k - 1; }},
    {"k too large", shape, [](call& c) { c.x.cols = c.x.stride = 4 * k; }},
    {"k = 0", shape, [](call& c) { c.x.cols = 0; }},
    {"no x", argument, [](call& c) { c.x.data = nullptr; }},
    {"rows of x overlap", argument, [](call& c) { c.x.stride = k - 1; }},
    {"more rows of x than y has", shape, [](call& c) { c.y.rows = m - 1; }},
    {"no rows of y", shape, [](call& c) { c.y.rows = 0; }},
    {"codes without scales", argument, [](call& c) { c.x.type = number_type::uint8; }},
    {"a scale per half block", argument,
     [](call& c) {
       c.take_codes();
       c.x.scale_cols = 16;
       c.x.scale_stride = 4;
     }},
    {"scales by columns in another order", argument,
     [](call& c) {
       c.take_codes();
       c.x.scale_cols = 64;
       c.x.order = c.order.data();
     }},
    {"a zero point of int8 above 127", argument, [](call& c) { c.take_zeros(0, 128); }},
    {"a zero point of int8 below -128", argument, [](call& c) { c.take_zeros(m - 1, -129); }},
    {"a zero point of uint8 below 0", argument,
     [](call& c) {
       c.take_zeros(1, -1);
       c.x.type = number_type::uint8;
     }},
    {"a zero point of uint8 above 255", argument,
     [](call& c) {
       c.take_zeros(m - 1, 256);
       c.x.type = number_type::uint8;
     }},
    {"a zero point of 2^31 - 1 for all rows", argument,
     [](call& c) {
       c.take_zeros(0, std::numeric_limits<std::int32_t>::max());
       c.x.zero_stride = 0;
     }},
    {"a static zero point of 128", argument,
     [](call& c) {
       c.x = activations(c.values_of_x()).quantized_by(c.scales.data(), c.zero(128));
     }},
    {"a static zero point of -129", argument,
     [](call& c) {
       c.x = activations(c.values_of_x()).quantized_by(c.scales.data(), c.zero(-129));
     }},
    {"zero points of floats without scales", argument,
     [](call& c) { c.x.zero_points = c.zero(1); }},
    {"order names column k", argument,
     [](call& c) {
       c.order[5] = k;
       c.x.order = c.order.data();
     }},
    {"order names column 2^32 - 1", argument,
     [](call& c) {
       c.order.back() = ~0u;
       c.x.order = c.order.data();
     }},
    {"n too small", shape, [](call& c) { c.y.cols = n - 1; }},
    {"n too large", shape, [](call& c) { c.y.cols = c.y.stride = n + 1; }},
    {"no y", argument, [](call& c) { c.y.data = nullptr; }},
    {"rows of y overlap", argument, [](call& c) { c.y.stride = n - 1; }},
    {"y of type 200", argument, [](call& c) { c.y.type = outside<number_type>(200); }},
    {"y of 16 bits that is int8", argument,
     [](call& c) {
       auto* halves = reinterpret_cast<std::uint16_t*>(c.memory.data());
       c.y = results(matrix_view<std::uint16_t>(halves, m, n), number_type::int8);
     }},
    {"activation 5", argument, [](call& c) { c.post.act = outside<activation>(5); }},
    {"a residual of codes", argument,
     [](call& c) {
       c.post.residual = c.residual.data();
       c.post.residual_type = number_type::int8;
     }},
    {"a residual of type 77", argument,
     [](call& c) {
       c.post.residual = c.residual.data();
       c.post.residual_type = outside<number_type>(77);
     }},
    {"a residual of short rows", shape,
     [](call& c) {
       c.post.residual = c.residual.data();
       c.post.residual_stride = n - 1;
     }},
    {"codes without a rule", argument, [](call& c) { c.y.type = number_type::int8; }},
    {"requantize_rule 200", argument, [](call& c) { c.make_codes(outside<requantize_rule>(200)); }},
    {"a scale of 0", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_scale);
       c.scales[n - 1] = 0;
     }},
    {"a multiplier of 0 in f32", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_multiplier);
       c.scales[3] = 0;
     }},
    {"no scale to multiply by", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_multiplier);
       c.post.requantize.scale = nullptr;
     }},
    {"a scale of NaN", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_scale);
       c.scales[0] = no_number;
     }},
    {"no multiplier", argument,
     [](call& c) {
       c.make_codes(requantize_rule::fixed_double);
       c.post.requantize.multiplier = nullptr;
     }},
    {"no shift", argument,
     [](call& c) {
       c.make_codes(requantize_rule::fixed_single);
       c.post.requantize.shift = nullptr;
     }},
    {"a multiplier below 0", argument,
     [](call& c) {
       c.make_codes(requantize_rule::fixed_single);
       c.multiplier[3] = -1;
     }},
    {"a shift of 31", argument,
     [](call& c) {
       c.make_codes(requantize_rule::fixed_single);
       c.shift[3] = 31;
     }},
    {"a shift of -32", argument,
     [](call& c) {
       c.make_codes(requantize_rule::fixed_double);
       c.shift[n - 1] = -32;
     }},
    {"a zero point outside [low, high]", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_scale);
       c.post.requantize.zero_point = 128;
     }},
    {"low above high", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_scale);
       c.post.requantize.low = 1;
       c.post.requantize.high = -1;
     }},
    {"a result range of 32 bits", argument,
     [](call& c) {
       c.make_codes(requantize_rule::float_scale);
       c.post.requantize.low = std::numeric_limits<std::int32_t>::min();
       c.post.requantize.high = std::numeric_limits<std::int32_t>::max();
     }},
};

/// Packed weights by type, and the same by name.
template <class F>
struct weights_of {
  std::vector<float> values;
  packed_matrix<F> typed;
  any_packed_matrix named;

  explicit weights_of(std::size_t rows = n, std::size_t cols = k)
      : values(some_floats(rows * cols)) {
    const matrix_view<const float> w(values.data(), rows, cols);
    context with(parallel::serial());
    auto q = quantize<F>(w);
    REQUIRE(q.has_value());
    auto packed = pack(*q);
    REQUIRE(packed.has_value());
    typed = std::move(*packed);
    auto by_name = pack(*find_format(F::name, formats::list), w, with);
    REQUIRE(by_name.has_value());
    named = std::move(*by_name);
  }
  /// Column `c` becomes an outlier column.
  void take_column(std::uint32_t c) {
    const matrix_view<const float> w(values.data(), typed.rows(), typed.cols());
    for (int i = 0; i < 2; ++i) {
      auto parts = split_outliers(w, outlier_rule::columns({&c, 1}));
      REQUIRE(parts.has_value());
      const errc e =
          i == 0 ? typed.attach(std::move(parts->part)) : named.attach(std::move(parts->part));
      REQUIRE(e == errc::ok);
    }
  }
};

}  // namespace

TEMPLATE_TEST_CASE("a wrong product gets an error and touches nothing", "[wrong]", levels, floats) {
  const weights_of<TestType> w;
  const weights_of<TestType> up;
  context with(parallel::serial());
  {
    call right;  // the table spoils something that works
    REQUIRE(gemm(w.typed, right.x, right.y, with) == errc::ok);
    CHECK_FALSE(right.memory.untouched());
  }
  for (const wrong_call& wrong : wrong_calls) {
    INFO(wrong.what);
    call c;
    wrong.spoil(c);
    CHECK(gemm(w.typed, c.x, c.y, with, c.post, c.options) == wrong.expected);
    CHECK(gemm(w.named, c.x, c.y, with, c.post, c.options) == wrong.expected);
    CHECK(gemm_gated<TestType>(w.typed.view(), up.typed.view(), c.x, c.y, with, c.post, {},
                               c.options) == wrong.expected);
    CHECK(gemm_gated(w.named, up.named, c.x, c.y, with, c.post, {}, c.options) == wrong.expected);
    const product<TestType> typed[] = {{w.typed, c.y, c.post}, {up.typed, c.y, c.post}};
    CHECK(gemm_many(std::span<const product<TestType>>(typed), c.x, with, c.options) ==
          wrong.expected);
    const any_product named[] = {{w.named, c.y, c.post}, {up.named, c.y, c.post}};
    CHECK(gemm_many(named, c.x, with, c.options) == wrong.expected);
    CHECK(c.memory.untouched());
  }
}

TEST_CASE("zero points at both ends of the codes are taken, and none of a call without rows",
          "[wrong]") {
  const weights_of<levels> w;
  context with(parallel::serial());
  for (const number_type type : {number_type::int8, number_type::uint8, number_type::f32}) {
    const std::int32_t least = type == number_type::uint8 ? 0 : -128;
    call c;
    c.take_zeros(0, least);
    c.zeros[1] = least + 255;
    c.zeros[2] = least + 1;
    c.x.type = type;
    CHECK(gemm(w.typed, c.x, c.y, with) == errc::ok);
    c.zeros[1] = least + 256;
    CHECK(gemm(w.typed, c.x, c.y, with) == argument);
    c.x.zero_stride = 0;  // the first is that of all
    CHECK(gemm(w.typed, c.x, c.y, with) == errc::ok);
    c.x.rows = c.y.rows = 0;
    c.zeros[0] = least - 1;
    CHECK(gemm(w.typed, c.x, c.y, with) == errc::ok);
  }
}

TEST_CASE("a path that a format lacks is refused", "[wrong]") {
  const weights_of<floats> w;
  context with(parallel::serial());
  CHECK_FALSE(supports<floats>(compute_path::integer));
  CHECK_FALSE(supports<levels>(outside<compute_path>(17)));
  call c;
  c.options.path = compute_path::integer;
  CHECK(gemm(w.typed, c.x, c.y, with, {}, c.options) == argument);
  CHECK(gemm(w.named, c.x, c.y, with, {}, c.options) == argument);
  const auto y = std::span(c.memory.floats(), n);
  CHECK(gemv(w.typed, std::span(c.values).first(k), y, with, {}, c.options) == argument);
  CHECK(gemv(w.named, std::span(c.values).first(k), y, with, {}, c.options) == argument);
  CHECK(c.memory.untouched());
  CHECK(explain(w.typed, c.x, with, c.options).error == argument);
  CHECK(explain(w.named, c.x, with, c.options).error == argument);
  CHECK(std::string(to_text(explain(w.named, c.x, with, c.options)).text) ==
        "refused: an argument is outside its range\n");
  CHECK(explain(w.named, c.x, with).error == errc::ok);
  CHECK(explain(w.named, c.x, with, {}, outside<number_type>(9)).error == argument);
  c.x.cols = 1;
  CHECK(explain(w.typed, c.x, with).error == shape);
}

TEST_CASE("extensions without a name are passed over", "[wrong]") {
  const weights_of<levels> w;
  context with(parallel::serial());
  call some;
  call none;
  some.options.extensions = outside<extension>(128 + 64);
  none.options.extensions = extension::none;
  REQUIRE(gemm(w.typed, some.x, some.y, with, {}, some.options) == errc::ok);
  REQUIRE(gemm(w.typed, none.x, none.y, with, {}, none.options) == errc::ok);
  CHECK(some.memory.bytes == none.memory.bytes);
}

TEST_CASE("scales of rows that overlap are refused", "[wrong]") {
  const weights_of<levels> w;
  context with(parallel::serial());
  call c;
  c.take_codes();
  c.x.scale_cols = 32;
  c.x.scale_stride = 1;
  CHECK(gemm(w.typed, c.x, c.y, with) == shape);
  CHECK(gemm(w.named, c.x, c.y, with) == shape);
  CHECK(c.memory.untouched());
  for (const std::size_t stride : {std::size_t{0}, std::size_t{2}}) {
    c.x.scale_stride = stride;
    CHECK(gemm(w.typed, c.x, c.y, with) == errc::ok);
  }
}

TEST_CASE("gemv refuses vectors of other lengths", "[wrong]") {
  const weights_of<levels> w;
  context with(parallel::serial());
  call c;
  for (const auto& [of_x, of_y] : {std::pair{k - 1, n}, {k + 1, n}, {k, n - 1}, {k, n + 1}}) {
    const auto x = std::span(c.values).first(of_x);
    const auto y = std::span(c.memory.floats(), of_y);
    CHECK(gemv(w.typed, x, y, with) == shape);
    CHECK(gemv(w.named, x, y, with) == shape);
  }
  CHECK(c.memory.untouched());
}

TEST_CASE("a gated pair of two shapes, formats or outlier columns is refused", "[wrong]") {
  const weights_of<levels> w;
  const weights_of<levels> short_one(n - 1, k);
  const weights_of<floats> other;
  weights_of<levels> apart;
  apart.take_column(7);
  context with(parallel::serial());
  call c;
  const auto both = [&](const weights_of<levels>& up) {
    const errc typed = gemm_gated<levels>(w.typed.view(), up.typed.view(), c.x, c.y, with, {});
    CHECK(gemm_gated(w.named, up.named, c.x, c.y, with, {}) == typed);
    return typed;
  };
  CHECK(both(short_one) == shape);
  CHECK(both(apart) == shape);
  CHECK(gemm_gated(w.named, other.named, c.x, c.y, with, {}) == argument);
  CHECK(c.memory.untouched());
}

TEST_CASE("products that share x are all checked before one is written", "[wrong]") {
  const weights_of<levels> w;
  const weights_of<levels> narrow(n, 32);
  const weights_of<floats> other;
  weights_of<levels> apart;
  apart.take_column(7);
  context with(parallel::serial());
  call c;
  const auto typed = [&](const product<levels>& second) {
    const product<levels> both[] = {{w.typed, c.y}, second};
    return gemm_many(std::span<const product<levels>>(both), c.x, with);
  };
  const auto named = [&](const any_product& second) {
    const any_product three[] = {{w.named, c.y}, {other.named, c.y}, second};
    const errc e = gemm_many(three, c.x, with);
    CHECK(gemm_many(std::span(three).last(1), c.x, with) == e);
    return e;
  };
  const auto routed = [&](auto p, const std::uint32_t* x_rows, const std::uint32_t* y_rows) {
    p.x_rows = x_rows;
    p.y_rows = y_rows;
    p.num_rows = 2;
    return p;
  };
  const std::uint32_t inside[] = {0, m - 1};
  const std::uint32_t beyond[] = {0, m};
  const product<levels> right{w.typed, c.y};
  const any_product right_named{w.named, c.y};
  CHECK(typed({narrow.typed, c.y}) == shape);
  CHECK(named({narrow.named, c.y}) == shape);
  CHECK(typed({apart.typed, c.y}) == shape);
  CHECK(typed(routed(right, beyond, inside)) == argument);
  CHECK(typed(routed(right, inside, beyond)) == argument);
  CHECK(typed(routed(right, beyond, nullptr)) == argument);
  CHECK(named(routed(right_named, beyond, inside)) == argument);
  CHECK(named(routed(right_named, inside, beyond)) == argument);
  CHECK(named(any_product{any_packed_view(), c.y}) == argument);
  const std::vector<product<levels>> many(max_products + 1, right);
  CHECK(gemm_many(std::span<const product<levels>>(many), c.x, with) == errc::limit_exceeded);
  const std::vector<any_product> many_named(max_products + 1, right_named);
  CHECK(gemm_many(many_named, c.x, with) == errc::limit_exceeded);
  CHECK(c.memory.untouched());
  CHECK(typed(routed(right, inside, inside)) == errc::ok);
}

TEST_CASE("a matrix of nothing is refused by name", "[wrong]") {
  context with(parallel::serial());
  call c;
  const any_packed_matrix nothing;
  CHECK(nothing.name().empty());
  CHECK(nothing.bytes() == 0);
  CHECK(gemm(nothing, c.x, c.y, with) == argument);
  CHECK(gemm_gated(nothing, nothing, c.x, c.y, with, {}) == argument);
  CHECK(explain(nothing, c.x, with).error == argument);
  CHECK(dequantize(nothing, matrix_view<float>(c.memory.floats(), m, n)) == argument);
  weights_of<levels> w;
  packed_view<levels> no_codes = w.typed;
  no_codes.data.codes = nullptr;
  CHECK(gemm(no_codes, c.x, c.y, with) == argument);
  CHECK(c.memory.untouched());
}

TEMPLATE_TEST_CASE("quantize and dequantize refuse other shapes, no data and wrong options",
                   "[wrong]", levels, floats, gguf::q4_0, f16) {
  using quantized = quantized_view<TestType>;
  const std::vector<float> values = some_floats(m * k);
  const std::vector<float> importance(k, 1.0f);
  const matrix_view<const float> x(values.data(), m, k);
  std::vector<std::uint8_t> bytes(quantized::buffer_bytes(m, k) + 4096, poison);
  const std::vector<std::uint8_t> before = bytes;
  const quantized w(bytes.data() + 64, m, k);
  const auto with_shape = [](auto v, std::size_t rows, std::size_t cols) {
    v.rows = rows;
    v.cols = cols;
    return v;
  };
  for (const auto& [rows, cols] : {std::pair{m - 1, k}, {m + 1, k}, {m, k - 1}, {m, k + 32}}) {
    CHECK(quantize<TestType>(with_shape(x, rows, cols), w) == shape);
    CHECK(quantize<TestType>(x, with_shape(w, rows, cols)) == shape);
  }
  auto none = x;
  none.data = nullptr;
  CHECK(quantize<TestType>(none, w) == argument);
  CHECK(quantize<TestType>(none).error() == argument);
  auto narrow = x;
  narrow.stride = k - 1;
  CHECK(quantize<TestType>(narrow, w) == argument);
  auto no_codes = w;
  no_codes.sections[0].data = nullptr;
  CHECK(quantize<TestType>(x, no_codes) == argument);
  auto overlapping = w;
  --overlapping.sections[0].stride;
  CHECK(quantize<TestType>(x, overlapping) == argument);

  quantize_options o;
  o.rule = outside<scale_rule>(6);
  CHECK(quantize<TestType>(x, w, o) == argument);
  o.rule = scale_rule::weighted;
  CHECK(quantize<TestType>(x, w, o) == shape);
  o.importance = std::span(importance).first(k - 1);
  CHECK(quantize<TestType>(x, w, o) == shape);
  o = {};
  o.mx = outside<mx_scale>(4);
  CHECK(quantize<TestType>(x, w, o) == argument);
  o = {};
  o.rule = scale_rule::percentile;
  for (const float percentile : {50.0f, 100.5f, -1.0f, no_number}) {
    o.percentile = percentile;
    CHECK(quantize<TestType>(x, w, o) == argument);
  }
  CHECK(bytes == before);

  REQUIRE(quantize<TestType>(x, w) == errc::ok);
  guarded y;
  for (const auto& [rows, cols] : {std::pair{m - 1, k}, {m + 1, k}, {m, k - 1}}) {
    CHECK(dequantize(w, {y.floats(), rows, cols}) == shape);
  }
  matrix_view<float> to(y.floats(), m, k);
  to.data = nullptr;
  CHECK(dequantize(w, to) == argument);
  to = {y.floats(), m, k};
  to.stride = 1;
  CHECK(dequantize(w, to) == argument);
  CHECK(dequantize(no_codes, {y.floats(), m, k}) == argument);
  CHECK(y.untouched());
}

TEST_CASE("pack and unpack refuse other shapes and no data", "[wrong]") {
  const weights_of<levels> w;
  context with(parallel::serial());
  const any_format& f = *find_format(levels::name, formats::list);
  CHECK(pack<levels>(quantized_view<const levels>(nullptr, n, k)).error() == argument);
  CHECK(pack(f, std::span<const std::byte>(), n, k, with).error() == argument);
  const std::vector<std::byte> bytes(f.quantized_bytes(n, k) - 1);
  CHECK(pack(f, bytes, n, k, with).error() == shape);
  matrix_view<const float> none;
  none.rows = n;
  none.cols = k;
  CHECK(pack(f, none, with).error() == argument);

  std::vector<std::uint8_t> to(quantized_view<levels>::buffer_bytes(n + 1, k + 32), poison);
  const std::vector<std::uint8_t> before = to;
  for (const auto& [rows, cols] : {std::pair{n - 1, k}, {n + 1, k}, {n, k - 32}, {n, k + 32}}) {
    CHECK(unpack(w.typed, quantized_view<levels>(to.data(), rows, cols)) == shape);
  }
  CHECK(unpack(w.typed, quantized_view<levels>(nullptr, n, k)) == argument);
  packed_view<levels> no_codes = w.typed;
  no_codes.data.codes = nullptr;
  CHECK(unpack(no_codes, quantized_view<levels>(to.data(), n, k)) == argument);
  CHECK(to == before);
  guarded y;
  CHECK(dequantize(w.named, matrix_view<float>(y.floats(), n - 1, k)) == shape);
  CHECK(y.untouched());

  auto record = quantized_matrix<gguf::q4_0>::create(2, 64);
  auto parts = quantized_matrix<gguf::q4_0::meaning>::create(2, 32);
  REQUIRE(record.has_value());
  REQUIRE(parts.has_value());
  CHECK(from_wire<gguf::q4_0>(*record, *parts) == shape);
  CHECK(to_wire<gguf::q4_0>(*parts, *record) == shape);
}

TEST_CASE("rows by name: wrong bytes, ids and shapes are refused", "[wrong]") {
  const weights_of<levels> w;
  context with(parallel::serial());
  const any_format& f = *find_format(levels::name, formats::list);
  const std::size_t size = f.quantized_bytes(n, k);
  std::vector<std::byte> bytes(size + 64, std::byte{poison});
  const std::vector<std::byte> before = bytes;
  const matrix_view<const float> x(w.values.data(), n, k);
  for (const std::size_t wrong : {std::size_t{0}, size - 1, size + 64}) {
    CHECK(quantize(f, x, std::span(bytes).first(wrong), with) == shape);
    CHECK(unpack(w.named, std::span(bytes).first(wrong)) == shape);
  }
  CHECK(quantize(f, x, std::span<std::byte>(), with) == argument);
  CHECK(unpack(w.named, std::span<std::byte>()) == argument);
  CHECK(unpack(any_packed_matrix(), bytes) == argument);
  matrix_view<const float> endless = x;
  endless.rows = std::numeric_limits<std::size_t>::max() / 2;
  CHECK(quantize(f, endless, bytes, with) == errc::overflow);
  quantize_options o;
  o.rule = outside<scale_rule>(99);
  CHECK(quantize(f, x, std::span(bytes).first(size), with, o) == argument);
  CHECK(quantize<levels>(x, with, o).error() == argument);
  CHECK(bytes == before);

  guarded y;
  const std::uint32_t right[] = {0, n - 1};
  const std::uint32_t beyond[] = {0, n};
  const std::span<const std::byte> rows = std::span(bytes).first(size);
  const matrix_view<float> to(y.floats(), 2, k);
  CHECK(get_rows(f, rows, n, beyond, to) == argument);
  CHECK(get_rows(f, rows, n + 1, right, to) == shape);
  CHECK(get_rows(f, rows, n, right, {y.floats(), 1, k}) == shape);
  CHECK(get_rows(f, rows, n, right, {y.floats(), 2, k - 32}) == shape);
  CHECK(get_rows(w.named, beyond, to) == argument);
  CHECK(get_rows(w.typed, beyond, to) == argument);
  CHECK(get_rows(w.named, right, {y.floats(), 2, k - 1}) == shape);
  CHECK(get_rows(any_packed_matrix(), right, to) == argument);
  CHECK(get_rows(w.typed, std::span(static_cast<const std::uint32_t*>(nullptr), 2), to) ==
        argument);
  CHECK(dequantize(f, rows, {y.floats(), 8, k}, with) == shape);
  CHECK(dequantize(w.typed, {y.floats(), n, k - 1}) == shape);
  CHECK(dequantize(w.typed, {y.floats(), n, k - 1}, with) == shape);
  CHECK(dequantize(w.named, {y.floats(), n + 1, k}, with) == shape);
  CHECK(y.untouched());
}

TEST_CASE("outliers of other shapes and wrong rules are refused", "[wrong]") {
  std::vector<float> values = some_floats(n * k);
  values[5] = 100;
  const matrix_view<const float> w(values.data(), n, k);
  outlier_rule rule = outlier_rule::above(50);
  rule.kind = outside<outlier_kind>(6);
  CHECK(split_outliers(w, rule).error() == argument);
  rule = outlier_rule::largest(0.1);
  rule.scope = outside<outlier_scope>(2);
  CHECK(split_outliers(w, rule).error() == argument);
  CHECK(split_outliers(w, outlier_rule::above(50), outside<outlier_type>(4)).error() == argument);
  matrix_view<const float> none = w;
  none.data = nullptr;
  CHECK(split_outliers(none, outlier_rule::above(50)).error() == argument);
  const std::vector<float> few(k - 1);
  CHECK(split_outliers(w, outlier_rule::columns_above(few, 1)).error() == shape);
  const std::uint32_t beyond[] = {k};
  CHECK(split_outliers(w, outlier_rule::columns(beyond)).error() == argument);

  const std::uint32_t column[] = {k - 1};
  for (const outlier_rule& right : {outlier_rule::above(50), outlier_rule::columns(column)}) {
    auto parts = split_outliers(w, right);
    REQUIRE(parts.has_value());
    const outlier_data o = parts->part.view();
    std::vector<float> to(2 * n * k, 1.0f);
    CHECK(add_outliers(o, {to.data(), n - 1, k}) == shape);
    CHECK(add_outliers(o, {to.data(), n + 1, k}) == shape);
    CHECK(add_outliers(o, {to.data(), n, k - 1}) == shape);
    CHECK(add_outliers(o, {to.data(), n, 2 * k}) == shape);
    matrix_view<float> nowhere(to.data(), n, k);
    nowhere.data = nullptr;
    CHECK(add_outliers(o, nowhere) == argument);
    CHECK(to == std::vector<float>(2 * n * k, 1.0f));

    weights_of<levels> narrow(n, 32);
    CHECK(narrow.typed.attach(std::move(split_outliers(w, right)->part)) == shape);
    CHECK(narrow.named.attach(std::move(split_outliers(w, right)->part)) == shape);
    CHECK(narrow.typed.data().outliers.empty());
    call c;
    context with(parallel::serial());
    c.x = {c.values.data(), m, 32};
    packed_view<levels> forced = narrow.typed;
    forced.data.outliers = o;
    CHECK(gemm(forced, c.x, c.y, with) == shape);
    CHECK(c.memory.untouched());
  }
  auto parts = split_outliers(w, outlier_rule::above(50));
  REQUIRE(parts.has_value());
  REQUIRE(parts->part.view().num_values == 1);
  *reinterpret_cast<std::uint16_t*>(parts->part.array(1)) = k;  // a column that w has not
  weights_of<levels> right;
  std::vector<float> to(n * k, 1.0f);
  CHECK(add_outliers(parts->part.view(), {to.data(), n, k}) == argument);
  CHECK(to == std::vector<float>(n * k, 1.0f));
  CHECK(right.typed.attach(std::move(parts->part)) == argument);
}

TEST_CASE("elements, metrics, observers and scales refuse other sizes", "[wrong]") {
  std::vector<float> values(16, 2.0f);
  std::vector<std::uint8_t> codes(15, poison);
  CHECK(encode_values<fp8_e4m3fn>(values, codes) == shape);
  CHECK(codes == std::vector<std::uint8_t>(15, poison));
  CHECK(decode_values<fp8_e4m3fn>(codes, values) == shape);
  CHECK(values == std::vector<float>(16, 2.0f));

  const matrix_view<const float> x(values.data(), 4, 4);
  const error_metrics lost = compare(x, {values.data(), 2, 8});
  CHECK(std::isnan(lost.sqnr()));
  CHECK(std::isnan(lost.rms_error()));
  CHECK(std::isnan(lost.max_error));

  auto observer = second_moment_observer::create(slot_layout::per_channel(4));
  REQUIRE(observer.has_value());
  REQUIRE(observer->observe(x) == errc::ok);
  CHECK(observer->observe({values.data(), 2, 8}) == shape);
  matrix_view<const float> none = x;
  none.data = nullptr;
  CHECK(observer->observe(none) == argument);
  std::vector<float> five(5, -1.0f);
  CHECK(observer->copy_amax(five) == shape);
  CHECK(observer->copy_mean_squares(std::span(five).first(3)) == shape);
  std::vector<value_range> ranges(5);
  CHECK(observer->copy_ranges(ranges) == shape);
  CHECK(symmetric_scales(ranges, std::span(five).first(4)) == shape);
  CHECK(five == std::vector<float>(5, -1.0f));

  for (const value_range r : {value_range{1, -1}, value_range{no_number, 1},
                              value_range{0, std::numeric_limits<float>::infinity()}}) {
    CHECK(std::isnan(symmetric_scale(r).scale));
    CHECK(std::isnan(affine_scale(r).scale));
  }
  CHECK(std::isnan(symmetric_scale({-1, 1}, {0, 0x1p-126f}).scale));
  CHECK(std::isnan(affine_scale({-1, 1}, {127, 0}).scale));
}
