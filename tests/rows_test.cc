// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows looked up in quantized and packed matrices, packed matrices as floats, and quantizing by
// several threads: every format, every target.
#include "nibble/format/split_outliers.h"

#include "support/checks.h"
#include "support/gemm_checks.h"
#include "support/pool.h"

using namespace nibble_test;

namespace {

using nibble::outlier_rule;
using nibble::quantize_report;

/// Every third row from the last one down, each twice, then two neighbours.
std::vector<std::uint32_t> some_ids(std::size_t rows) {
  std::vector<std::uint32_t> ids;
  for (std::size_t r = rows; r != 0; r -= r < 3 ? r : 3) {
    ids.insert(ids.end(), 2, static_cast<std::uint32_t>(r - 1));
  }
  if (rows > 1) ids.insert(ids.end(), {0, 1});
  return ids;
}

std::vector<float> rows_of(const std::vector<float>& w, std::size_t cols,
                           const std::vector<std::uint32_t>& ids) {
  std::vector<float> y;
  for (const std::uint32_t id : ids) {
    const auto row = w.begin() + static_cast<std::ptrdiff_t>(id * cols);
    y.insert(y.end(), row, row + static_cast<std::ptrdiff_t>(cols));
  }
  return y;
}

/// A matrix of random bytes: every code, NaN and infinities among scales.
quantized_parts random_parts(const erased_format& f, std::size_t rows, std::size_t cols) {
  quantized_parts q(f, rows, cols, 0, 0, 0);
  for (std::size_t s = 0; s < q.count(); ++s) {
    std::vector<std::uint8_t> bytes(q.size(s).rows * q.size(s).row_bytes);
    fill_random(bytes, seed_of(f.name, rows, cols + s));
    for (std::size_t r = 0; r < q.size(s).rows; ++r) {
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(r * q.size(s).row_bytes),
                  q.size(s).row_bytes, q.row(s, r));
    }
  }
  return q;
}

std::vector<shape> shapes_for(const erased_format& f) {
  std::vector<shape> shapes = {{1, 1}, {37, 300}, {20, 33}, {130, 257}, {17, 64}, {0, 5}, {5, 0}};
  // Blocks whose levels are summed in several parts.
  if (f.block_cols == nibble::all && f.block_rows == 1) shapes.push_back({3, 70000});
  return shapes;
}

}  // namespace

TEST_CASE("a looked-up row and a packed matrix as floats are what dequantize() gives") {
  sharing_pool pool(3);
  context with(pool.threads());
  context serial(parallel::serial());
  for (const erased_format& f : catalogue()) {
    const erased_gemm& g = gemm_named(f.name);
    for (const shape size : shapes_for(f)) {
      for (const bool random : {false, true}) {
        INFO(f.name << " " << size.rows << " x " << size.cols << (random ? ", any bytes" : ""));
        quantized_parts q = random_parts(f, size.rows, size.cols);
        if (!random) {
          const auto values = make_values(fill::normal, size.rows * size.cols, seed_of(f.name));
          REQUIRE(f.quantize({values.data(), size.rows, size.cols}, q.writable(), {}) == errc::ok);
        }
        std::vector<float> want(size.rows * size.cols);
        f.reference_dequantize(q.readable(), {want.data(), size.rows, size.cols});
        const packed_any w = g.pack(q.readable(), size.rows, size.cols, serial);
        const auto ids = some_ids(size.rows);
        const std::vector<float> want_rows = rows_of(want, size.cols, ids);
        for_each_target([&](const char* target) {
          INFO(target);
          std::vector<float> y(ids.size() * size.cols, quiet_nan);
          REQUIRE(f.get_rows(q.readable(), size.rows, ids, {y.data(), ids.size(), size.cols}) ==
                  errc::ok);
          CHECK(difference(std::span<const float>(y), want_rows) == "");
          std::fill(y.begin(), y.end(), quiet_nan);
          REQUIRE(g.get_rows(w.data, ids, {y.data(), ids.size(), size.cols}) == errc::ok);
          CHECK(difference(std::span<const float>(y), want_rows) == "");
          for (context* const c : {&serial, &with}) {
            std::vector<float> all(want.size() + 1, 7.0f);
            REQUIRE(g.dequantize(w.data, {all.data(), size.rows, size.cols}, *c) == errc::ok);
            CHECK(all.back() == 7.0f);
            all.pop_back();
            CHECK(difference(std::span<const float>(all), want) == "");
            std::fill(all.begin(), all.end(), quiet_nan);
            REQUIRE(f.dequantize_with(q.readable(), {all.data(), size.rows, size.cols}, *c) ==
                    errc::ok);
            CHECK(difference(std::span<const float>(all), want) == "");
          }
        });
      }
    }
  }
}

TEST_CASE("rows of y may lie apart, and nothing is written between them") {
  constexpr std::size_t n = 40;
  constexpr std::size_t k = 96;
  constexpr std::size_t stride = k + 5;
  for (const char* name : {"int4_g32_f16", "q4_K", "f32"}) {
    const weights w(gemm_named(name), n, k, 3);
    const auto ids = some_ids(n);
    for_each_target([&](const char* target) {
      INFO(name << " " << target);
      for (const bool packed : {false, true}) {
        std::vector<float> y(ids.size() * stride, 7.0f);
        const matrix_view<float> to(y.data(), ids.size(), k, stride);
        REQUIRE((packed ? w.ops.get_rows(w.packed.data, ids, to)
                        : format_named(name).get_rows(w.parts.readable(), n, ids, to)) == errc::ok);
        for (std::size_t i = 0; i < y.size(); ++i) {
          if (i % stride >= k) REQUIRE(y[i] == 7.0f);
        }
      }
    });
  }
}

TEST_CASE("looked-up rows of a packed matrix have its outliers") {
  constexpr std::size_t n = 37;
  constexpr std::size_t k = 70000;  // two spans of columns
  context with(parallel::serial());
  auto values = make_values(fill::normal, n * k, 5);
  const erased_gemm& g = gemm_named("int4_g32_f16");
  weights w(g, n, k, 5);
  const std::vector<std::uint32_t> columns = {3, 65535, 65536, k - 1};
  const auto ids = some_ids(n);
  for (const outlier_rule& rule : {outlier_rule::largest(0.001), outlier_rule::columns(columns)}) {
    std::vector<float> want(n * k);
    w.packed.data.outliers = {};
    REQUIRE(g.dequantize(w.packed.data, {want.data(), n, k}, with) == errc::ok);
    auto parts = nibble::detail::outlier_splitter({values.data(), n, k}, rule,
                                                  nibble::outlier_type::automatic, ~0u)
                     .split();
    REQUIRE(parts.has_value());
    REQUIRE(nibble::add_outliers(parts->part.view(), {want.data(), n, k}) == errc::ok);
    w.packed.data.outliers = parts->part.view();
    std::vector<float> y(n * k);
    REQUIRE(g.dequantize(w.packed.data, {y.data(), n, k}, with) == errc::ok);
    CHECK(difference(std::span<const float>(y), want) == "");
    y.resize(ids.size() * k);
    REQUIRE(g.get_rows(w.packed.data, ids, {y.data(), ids.size(), k}) == errc::ok);
    CHECK(difference(std::span<const float>(y), rows_of(want, k, ids)) == "");
  }
}

TEST_CASE("an id that is no row is refused, and so is y of another shape") {
  for (const erased_format& f : catalogue()) {
    INFO(f.name);
    const weights w(f, gemm_named(f.name), 20, 32, 1);
    std::vector<float> y(4 * 33, 7.0f);
    const auto both = [&](std::span<const std::uint32_t> ids, matrix_view<float> to) {
      const errc e = f.get_rows(w.parts.readable(), 20, ids, to);
      // The quantized view takes its columns from y in this table.
      if (to.cols == 32) CHECK(w.ops.get_rows(w.packed.data, ids, to) == e);
      return e;
    };
    const std::uint32_t right[] = {19, 0};
    const std::uint32_t wrong[] = {19, 20};
    const std::uint32_t huge[] = {0xFFFFFFFF, 0};
    CHECK(both(std::span(wrong), {y.data(), 2, 32}) == errc::invalid_argument);
    CHECK(both(std::span(huge), {y.data(), 2, 32}) == errc::invalid_argument);
    CHECK(both(std::span(right), {y.data(), 1, 32}) == errc::shape_mismatch);
    CHECK(both(std::span(right), {y.data(), 3, 32}) == errc::shape_mismatch);
    CHECK(w.ops.get_rows(w.packed.data, std::span(right), {y.data(), 2, 33}) ==
          errc::shape_mismatch);
    matrix_view<float> nowhere(y.data(), 2, 32);
    nowhere.data = nullptr;
    CHECK(both(std::span(right), nowhere) == errc::invalid_argument);
    CHECK(y == std::vector<float>(y.size(), 7.0f));
    CHECK(both({}, {y.data(), 0, 32}) == errc::ok);
  }
}

TEST_CASE("any number of threads quantizes to the same bytes and report") {
  sharing_pool two(2);
  sharing_pool five(5);
  for (const erased_format& f : catalogue()) {
    for (const shape size : {shape{300, 70}, {1, 300}, {131, 33}, {0, 4}, {4, 0}}) {
      for (const fill kind : {fill::normal, fill::huge, fill::non_finite}) {
        INFO(f.name << " " << size.rows << " x " << size.cols << " " << name_of(kind));
        const auto values = make_values(kind, size.rows * size.cols, seed_of(f.name, size.rows));
        const matrix_view<const float> x(values.data(), size.rows, size.cols);
        quantize_report want_report;
        nibble::quantize_options o;
        o.report = &want_report;
        quantized_parts want(f, size.rows, size.cols);
        REQUIRE(f.quantize(x, want.writable(), o) == errc::ok);
        for (const parallel& way : {parallel::serial(), two.threads(), five.threads()}) {
          context with(way);
          quantize_report report;
          o.report = &report;
          quantized_parts got(f, size.rows, size.cols, 3);
          REQUIRE(f.quantize_with(x, got.writable(), with, o) == errc::ok);
          CHECK(got.gaps_untouched());
          for (std::size_t s = 0; s < got.count(); ++s) {
            CHECK(difference(std::span<const std::uint8_t>(got.packed(s)),
                             std::span<const std::uint8_t>(want.packed(s))) == "");
          }
          CHECK(report.non_finite == want_report.non_finite);
          CHECK(report.scale_overflow == want_report.scale_overflow);
          CHECK(report.scale_underflow == want_report.scale_underflow);
        }
      }
    }
  }
  // An error of one task is the call's.
  std::vector<float> values(64 * 64, 1.0f);
  values[50 * 64 + 3] = quiet_nan;
  context with(five.threads());
  nibble::quantize_options o;
  o.reject_non_finite = true;
  const erased_format& f = format_named("int4_g32_f16");
  quantized_parts q(f, 64, 64);
  CHECK(f.quantize_with({values.data(), 64, 64}, q.writable(), with, o) == errc::non_finite);
}
