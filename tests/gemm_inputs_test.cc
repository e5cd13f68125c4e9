// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed products and what they are given: extreme codes, one-hot matrices, every type, stride and
// alignment of activations, order of columns, NaN, nothing at all.
#include <cstring>

#include "support/gemm_checks.h"

using namespace nibble_test;

namespace {

using nibble::number_type;

/// A format of each sort: widths, shifts, nested scales, records, floats, books.
constexpr const char* sorts[] = {"int8_channel_f32",
                                 "uint8_g32_f16_z",
                                 "int4_g32_f16",
                                 "uint4_g128_f16_zf",
                                 "uint3_g32_f16_z",
                                 "int5_g32_f16",
                                 "ternary_g64_f16",
                                 "binary_g128_f16",
                                 "fp8_e4m3fn_t128_f32",
                                 "dynamic8_g256_f32",
                                 "mxfp6_e3m2",
                                 "mxfp4",
                                 "mxint8",
                                 "nvfp4",
                                 "nf4_g64_dq",
                                 "q4_K",
                                 "q6_K",
                                 "q2_K",
                                 "q5_1",
                                 "iq4_xs",
                                 "bf16"};

std::string failed(const erased_gemm& g, compute_path path, const char* target) {
  return std::string(g.name) + ", " + name_of(path) + " on " + target;
}

/// Runs one call on every path and target, and compares with the reference.
void check_everywhere(const weights& w, const activations& x, closeness& close,
                      nibble::activation_scale scale = nibble::activation_scale::automatic) {
  const expectation want(w, x, scale);
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    for (const compute_path path : all_paths) {
      if (!can(w.ops, path)) continue;
      INFO(failed(w.ops, path, target));
      gemm_options o = options_of(path);
      o.scale = scale;
      CHECK(disagreement(multiply(w, x, with, o), want, path, close) == "");
    }
  });
}

}  // namespace

TEST_CASE("no sum of extreme codes saturates or overflows, on any target") {
  constexpr std::size_t m = 5;
  constexpr std::size_t n = 18;
  const std::vector<float> ones(m, 1.0f);
  for (const erased_gemm& g : gemm_catalogue()) {
    const erased_format& f = format_named(g.name);
    if (!g.has_levels) continue;
    for (const std::size_t k : {std::size_t{320}, std::size_t{32768}}) {
      if (k > 320 && g.name.find("8_channel") == std::string_view::npos) continue;
      for (const int pattern : {0x00, 0xFF, 0x80, 0x7F}) {
        quantized_parts q(f, n, k, 0, 0, 0);
        const auto values = make_values(fill::normal, n * k, 7);
        REQUIRE(f.quantize({values.data(), n, k}, q.writable(), {}) == errc::ok);
        for (std::size_t r = 0; r < q.size(0).rows && !f.is_wire; ++r) {
          std::memset(q.row(0, r), pattern, q.size(0).row_bytes);
        }
        if (g.name == "uint8_channel_f32_z") {  // the zero point at the other end
          for (std::size_t r = 0; r < n; ++r) q.row(2, r)[0] = static_cast<std::uint8_t>(~pattern);
        }
        const weights w(g, std::move(q), n, k);
        context with(parallel::serial());
        for (const int code : {-128, 127, 255, 0}) {
          const std::vector<std::uint8_t> codes(m * k, static_cast<std::uint8_t>(code));
          const std::vector<std::int32_t> zeros{0, 255, 128, 1, 254};
          const matrix_view<const std::uint8_t> as_unsigned(codes.data(), m, k);
          const matrix_view<const std::int8_t> as_signed(
              reinterpret_cast<const std::int8_t*>(codes.data()), m, k);
          for (const activations& x : {activations(as_signed, ones.data()),
                                       activations(as_unsigned, ones.data(), zeros.data()),
                                       activations(as_unsigned, ones.data(), nullptr)}) {
            const auto want = gemm_integer(w.apart, x);
            for_each_target([&](const char* target) {
              INFO(g.name << " filled with " << pattern << ", x " << code << ", k " << k << ", "
                          << name_of(x.type) << " on " << target);
              CHECK(difference(multiply(w, x, with, options_of(compute_path::integer)), want) ==
                    "");
            });
          }
        }
      }
    }
  }
}

TEST_CASE("the largest products, by hand") {
  // 255 * 255 * 32768 = 2130739200 < 2^31.
  const erased_gemm& g = gemm_named("uint8_channel_f32_z");
  const std::size_t k = 32768;
  quantized_parts q(format_named(g.name), 1, k);
  std::memset(q.row(0, 0), 255, k);
  const float one = 1;
  std::memcpy(q.row(1, 0), &one, 4);
  q.row(2, 0)[0] = 0;
  const weights w(g, std::move(q), 1, k);
  const std::vector<std::uint8_t> codes(k, 255);
  const activations x(matrix_view<const std::uint8_t>(codes.data(), 1, k), &one, nullptr);
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    INFO(target);
    CHECK(multiply(w, x, with, options_of(compute_path::integer))[0] == 2130739200.0f);
  });
}

TEST_CASE("one-hot activations find every weight in its place") {
  constexpr std::size_t n = 35;
  for (const erased_gemm& g : gemm_catalogue()) {
    for (const std::size_t k : {std::size_t{70}, std::size_t{257}}) {
      const weights w(g, n, k, seed_of(g.name, k));
      std::vector<float> hot(k * k);
      std::vector<std::int8_t> codes(k * k);
      for (std::size_t i = 0; i < k; ++i) {
        hot[i * k + i] = 1;
        codes[i * k + i] = 1;
      }
      const std::vector<float> ones(k, 1.0f);
      const activations x(matrix_view<const std::int8_t>(codes.data(), k, k), ones.data());
      const auto want = g.has_levels ? gemm_integer(w.apart, x) : std::vector<float>();
      context with(parallel::serial());
      for_each_target([&](const char* target) {
        INFO(g.name << ", k " << k << " on " << target);
        const auto exact =
            multiply(w, as_activations(hot, k, k), with, options_of(compute_path::exact));
        const auto half =
            multiply(w, as_activations(hot, k, k), with, options_of(compute_path::bf16));
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < k; ++i) {
          for (std::size_t r = 0; r < n; ++r) {
            const float value = w.apart.value[r * k + i];
            wrong += exact[i * n + r] != value;
            const float rounded = nibble::bf16::decode(nibble::bf16::encode(value));
            wrong += half[i * n + r] != rounded && std::fabs(value) >= 0x1p-126f;
          }
        }
        CHECK(wrong == 0);
        if (!g.has_levels) return;
        CHECK(difference(multiply(w, x, with, options_of(compute_path::integer)), want) == "");
      });
    }
  }
}

TEST_CASE("activations of every type, with gaps between rows and at every alignment") {
  closeness close;
  constexpr std::size_t m = 6;
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    random_bits random(seed_of(name));
    std::size_t k = 100 + random.below(200);
    if (random.below(2) == 0) k = k / 64 * 64;  // rows that need no padding are read in place
    const std::size_t n = 1 + random.below(40);
    const weights w(g, n, k, random.next());
    const std::vector<float> values = make_values(fill::normal, m * k, random.next());
    for (const number_type type : {number_type::f32, number_type::bf16, number_type::f16,
                                   number_type::int8, number_type::uint8}) {
      const std::size_t size = size_of(type);
      const std::size_t stride = k + random.below(9);
      const std::size_t offset = random.below(64 / size);
      std::vector<std::uint8_t> memory((offset + m * stride) * size + 64, 0xFF);  // NaN
      std::uint8_t* const first = memory.data() +
                                  (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 +
                                  offset * size;
      for (std::size_t r = 0; r < m; ++r) {
        for (std::size_t c = 0; c < k; ++c) {
          std::uint8_t* const to = first + (r * stride + c) * size;
          const float v = values[r * k + c] * 100;
          if (type == number_type::f32) std::memcpy(to, &v, 4);
          const std::uint16_t half =
              type == number_type::bf16 ? nibble::bf16::encode(v) : nibble::f16::encode(v);
          if (size == 2) std::memcpy(to, &half, 2);
          if (size == 1) *to = random.byte();
        }
      }
      activations x;
      x.data = first;
      x.type = type;
      x.rows = m;
      x.cols = k;
      x.stride = stride;
      std::vector<float> scales;
      std::vector<std::int32_t> zeros;
      for (std::size_t i = 0; i < m; ++i) {
        zeros.push_back(static_cast<std::int32_t>(random.below(256)) -
                        (type == number_type::int8 ? 128 : 0));
      }
      for (std::size_t i = 0; i < m * 20; ++i) scales.push_back(0.01f + random.uniform());
      if (size == 1) x.scales = scales.data();
      INFO(name_of(type) << ", offset " << offset << ", stride " << stride << ", k " << k);
      check_everywhere(w, x, close);
      if (size == 1) {
        x.zero_points = zeros.data();
        check_everywhere(w, x, close);
        if (w.apart.shape.block < k) {  // a scale per block of w, or per two
          x.scale_cols = w.apart.shape.block * (1 + random.below(2));
          x.scale_stride = 20;
          if (x.scale_cols * 20 >= k) check_everywhere(w, x, close);
        }
      } else {
        check_everywhere(w, x, close, nibble::activation_scale::per_row);
        check_everywhere(w, x, close, nibble::activation_scale::per_block);
        check_everywhere(w, x, close, nibble::activation_scale::per_128);
      }
    }
  }
  close.print("types of activations");
}

TEST_CASE("a scale of x per 128 values, or less: any weights, rows, columns and instructions") {
  closeness close;
  constexpr std::size_t n = 70;
  for (const erased_gemm& g : gemm_catalogue()) {
    if (!g.has_levels) continue;
    // Whole rows of parts of 128, 64 and 32; a row of several segments.
    for (const std::size_t k : {std::size_t{20}, std::size_t{256}, std::size_t{320},
                                std::size_t{1120}, std::size_t{33000}}) {
      const bool whole = g.name.find("_channel_") != std::string_view::npos;
      if (k > 320 && !whole && g.name != std::string_view("int4_g128_f16")) continue;
      const weights w(g, n, k, seed_of(g.name, k));
      for (const std::size_t m : {std::size_t{1}, std::size_t{19}}) {
        if (k == 33000 && (m == 1 || g.name != std::string_view("int8_channel_f32"))) continue;
        const auto values = make_values(fill::heavy_tailed, m * k, seed_of("x", m, k));
        const activations x = as_activations(values, m, k);
        constexpr auto scale = nibble::activation_scale::per_128;
        const expectation want(w, x, scale);
        if (whole && k > 128 && k < 33000) {  // it makes a difference, for the better
          double row_error = 0;
          double error = 0;
          const auto per_row = gemm_integer(w.apart, x);
          for (std::size_t i = 0; i < per_row.size(); ++i) {
            row_error += std::pow(static_cast<double>(per_row[i]) - want.exact[i], 2);
            error += std::pow(static_cast<double>(want.integer[i]) - want.exact[i], 2);
          }
          CHECK(error < row_error);
        }
        context with(parallel::serial());
        for_each_target([&](const char* target) {
          for (const nibble::extension set : extension_sets()) {
            INFO(failed(g, compute_path::integer, target) << ", " << m << " rows, k " << k);
            gemm_options o = options_of(compute_path::integer, set);
            o.scale = scale;
            const auto y = multiply(w, x, with, o);
            CHECK(disagreement(y, want, compute_path::integer, close) == "");
            const auto one = multiply(w, first_rows(x, 1), with, o);
            CHECK(difference(one, std::span(y).first(n)) == "");
          }
        });
      }
    }
  }
  close.print("a scale per 128 values");
}

TEST_CASE("scales per 128 values: outliers of x and w, codes and static scales") {
  constexpr std::size_t m = 5;
  constexpr std::size_t n = 33;
  constexpr std::size_t k = 640;
  const erased_gemm& g = gemm_named("int8_channel_f32");
  const weights w(g, n, k, 1);
  std::vector<float> values = make_values(fill::normal, m * k, 2);
  for (std::size_t r = 0; r < m; ++r) values[r * k + 100 * r + 7] = 50;
  const activations x = as_activations(values, m, k);
  std::vector<std::uint32_t> order(k);
  for (std::size_t c = 0; c < k; ++c) order[c] = static_cast<std::uint32_t>((c * 7 + 3) % k);
  activations permuted = x;
  permuted.order = order.data();
  const std::vector<std::int8_t> codes(m * k, 37);
  const std::vector<float> scales(m, 0.25f);
  const activations given(matrix_view<const std::int8_t>(codes.data(), m, k), scales.data());
  const activations by_scale = x.quantized_by(scales.data());
  context with(parallel::serial());
  gemm_options o = options_of(compute_path::integer);
  o.scale = nibble::activation_scale::per_128;
  for_each_target([&](const char* target) {
    INFO(target);
    for (const float threshold : {0.0f, 6.0f}) {
      o.outlier_threshold = threshold;
      CHECK(difference(multiply(w, x, with, o), gemm_integer(w.apart, x, o.scale, threshold)) ==
            "");
      CHECK(difference(multiply(w, permuted, with, o),
                       gemm_integer(w.apart, permuted, o.scale, threshold)) == "");
      // Scales that are given stay: the choice has no say.
      CHECK(difference(multiply(w, given, with, o), gemm_integer(w.apart, given)) == "");
      CHECK(difference(multiply(w, by_scale, with, o),
                       gemm_integer(w.apart, by_scale, nibble::activation_scale::automatic,
                                    threshold)) == "");
    }
  });
}

TEST_CASE("permuted columns: as if x had been permuted before") {
  constexpr std::size_t m = 5;
  constexpr std::size_t n = 20;
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    const std::size_t k = 290;
    random_bits random(seed_of(name));
    const weights w(g, n, k, random.next());
    std::vector<std::uint32_t> order(k);
    for (std::size_t i = 0; i < k; ++i) order[i] = static_cast<std::uint32_t>(i);
    for (std::size_t i = k - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    const std::vector<float> values = make_values(fill::normal, m * k, random.next());
    std::vector<float> moved(m * k);
    std::vector<std::int8_t> codes(m * k);
    std::vector<std::int8_t> moved_codes(m * k);
    for (auto& c : codes) c = static_cast<std::int8_t>(random.byte());
    for (std::size_t r = 0; r < m; ++r) {
      for (std::size_t c = 0; c < k; ++c) {
        moved[r * k + c] = values[r * k + order[c]];
        moved_codes[r * k + c] = codes[r * k + order[c]];
      }
    }
    const std::vector<float> scales{1, 2, 3, 0.5f, 0.1f};
    context with(parallel::serial());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        INFO(failed(g, path, target));
        activations x = as_activations(values, m, k);
        x.order = order.data();
        CHECK(difference(multiply(w, x, with, options_of(path)),
                         multiply(w, as_activations(moved, m, k), with, options_of(path))) == "");
        activations c(matrix_view<const std::int8_t>(codes.data(), m, k), scales.data());
        const activations d(matrix_view<const std::int8_t>(moved_codes.data(), m, k),
                            scales.data());
        c.order = order.data();
        CHECK(difference(multiply(w, c, with, options_of(path)),
                         multiply(w, d, with, options_of(path))) == "");
      }
    });
  }
}

TEST_CASE("NaN and infinities reach every result of their row, and no other row") {
  constexpr std::size_t m = 9;
  constexpr std::size_t n = 33;
  constexpr std::size_t k = 130;
  const float bad_values[] = {quiet_nan, infinity, -infinity, std::bit_cast<float>(0x7F800001u),
                              std::bit_cast<float>(0xFFFFFFFFu)};
  for (const erased_gemm& g : gemm_catalogue()) {
    const weights w(g, n, k, seed_of(g.name));
    const std::vector<float> good = make_values(fill::normal, m * k, 3);
    context with(parallel::serial());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        const auto want = multiply(w, as_activations(good, m, k), with, options_of(path));
        std::size_t row = 0;
        for (const float bad : bad_values) {
          INFO(failed(g, path, target) << ", " << show(bad));
          std::vector<float> x = good;
          row = (row + 4) % m;
          x[row * k + row * 14] = bad;
          const auto y = multiply(w, as_activations(x, m, k), with, options_of(path));
          std::size_t wrong = 0;
          for (std::size_t i = 0; i < y.size(); ++i) {
            const bool right = i / n != row      ? same_float(y[i], want[i])
                               : std::isnan(bad) ? std::isnan(y[i])
                                                 : !std::isfinite(y[i]);
            wrong += !right;
          }
          CHECK(wrong == 0);
        }
      }
    });
  }
}

TEST_CASE("an infinity keeps its sign on the integer path, or is NaN") {
  constexpr std::size_t m = 18;
  constexpr std::size_t n = 33;
  using nibble::detail::shift_use;
  for (const erased_gemm& g : gemm_catalogue()) {
    if (!g.has_levels) continue;
    for (const std::size_t k : {std::size_t{130}, std::size_t{33000}}) {
      if (k > 130 && g.name != std::string_view("int8_channel_f32")) continue;
      const weights w(g, n, k, seed_of(g.name));
      std::vector<float> values = make_values(fill::normal, m * k, 3);
      // One per row; in the last rows two and a NaN beside it.
      const auto place = [&](std::size_t r) { return r * k + (r * 37 + 5) % k; };
      for (std::size_t r = 0; r < m; ++r) values[place(r)] = r % 2 == 0 ? infinity : -infinity;
      values[(m - 2) * k] = infinity;
      values[(m - 1) * k] = quiet_nan;
      activations x = as_activations(values, m, k);
      const std::vector<float> scales(m, 0.02f);
      std::vector<std::int32_t> zeros;
      for (std::size_t r = 0; r < m; ++r) zeros.push_back(static_cast<std::int32_t>(r) * 15 - 128);
      zeros[2] = 127;  // no code is above
      context with(parallel::serial());
      for (const char* what : {"per block", "per row", "static", "static with zero points"}) {
        gemm_options o = options_of(compute_path::integer);
        o.scale = what == std::string_view("per row") ? nibble::activation_scale::per_row
                                                      : nibble::activation_scale::per_block;
        const bool is_static = std::string_view(what).substr(0, 6) == "static";
        x.scales = is_static ? scales.data() : nullptr;
        x.zero_points =
            what == std::string_view("static with zero points") ? zeros.data() : nullptr;
        const auto want = gemm_integer(w.apart, x, o.scale);
        std::size_t signs = 0;
        for (std::size_t i = 0; i < want.size(); ++i) {
          const std::size_t r = i / n;
          const std::size_t c = place(r) - r * k;
          const double exact = static_cast<double>(values[place(r)]) *
                               static_cast<double>(w.apart.value[i % n * k + c]);
          // Two infinities in different blocks are infinite if they agree.
          const bool single = r < m - 2;
          signs += single && !std::isnan(want[i]);
          if (single && !std::isnan(want[i])) {
            CHECK(static_cast<double>(want[i]) == exact);
          } else {
            CHECK(!std::isfinite(want[i]));
          }
        }
        const bool no_minimum =
            w.apart.use != shift_use::offset && w.apart.use != shift_use::minimum;
        if (no_minimum && x.zero_points == nullptr) {
          std::size_t of_zero = 0;  // 0 * infinity
          for (std::size_t i = 0; i < (m - 2) * n; ++i) {
            of_zero += w.apart.value[i % n * k + (i / n * 37 + 5) % k] == 0;
          }
          CHECK(signs == (m - 2) * n - of_zero);
        }
        for_each_target([&](const char* target) {
          for (const nibble::extension set : extension_sets()) {
            INFO(failed(g, compute_path::integer, target) << ", " << what << ", k " << k);
            o.extensions = set;
            CHECK(difference(multiply(w, x, with, o), want) == "");
          }
        });
      }
    }
  }
}

TEST_CASE("a scale of NaN reaches its own row of w only") {
  constexpr std::size_t n = 35;
  constexpr std::size_t k = 160;
  for (const char* name : {"int4_g32_f16", "uint4_g32_f16_z", "nf4_g32_f16", "int8_g32_f16"}) {
    const erased_gemm& g = gemm_named(name);
    const weights good(g, n, k, 1);
    quantized_parts q(format_named(name), n, k, 0, 0, 0);
    const auto values = make_values(fill::normal, n * k, 1);
    REQUIRE(format_named(name).quantize({values.data(), n, k}, q.writable(), {}) == errc::ok);
    const std::uint16_t not_a_number = 0x7E00;
    std::memcpy(q.row(1, 20) + 2 * 3, &not_a_number, 2);
    const weights w(g, std::move(q), n, k);
    const auto x = make_values(fill::normal, 9 * k, 2);
    context with(parallel::serial());
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        INFO(failed(g, path, target));
        const auto want = multiply(good, as_activations(x, 9, k), with, options_of(path));
        const auto y = multiply(w, as_activations(x, 9, k), with, options_of(path));
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
          wrong += i % n == 20 ? !std::isnan(y[i]) : !same_float(y[i], want[i]);
        }
        CHECK(wrong == 0);
      }
    });
  }
}

TEST_CASE("blocks of subnormal activations count as zero on the integer path") {
  const erased_gemm& g = gemm_named("int4_g32_f16");
  const weights w(g, 16, 64, 1);
  const std::vector<float> x = make_values(fill::denormals, 3 * 64, 5);
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    INFO(target);
    const auto y = multiply(w, as_activations(x, 3, 64), with, options_of(compute_path::integer));
    for (const float v : y) CHECK(v == 0);
  });
}

TEST_CASE("rows count as zero below 2^-120 on the integer path, and not from there on") {
  const weights w(gemm_named("int4_g32_f16"), 16, 64, 1);
  context with(parallel::serial());
  for (const float largest : {std::bit_cast<float>((7u << 23) - 1), 0x1p-120f}) {
    std::vector<float> x = make_values(fill::normal, 64, 5);
    for (float& v : x) v *= 0x1p-124f;
    x[33] = -largest;
    const activations row = as_activations(x, 1, 64);
    const std::vector<float> want = gemm_integer(w.apart, row);
    const auto zeros = std::count(want.begin(), want.end(), 0.0f);
    CHECK(zeros == (largest < 0x1p-120f ? 16 : 0));
    for_each_target([&](const char* target) {
      INFO(target);
      CHECK(difference(multiply(w, row, with, options_of(compute_path::integer)), want) == "");
    });
  }
}

TEST_CASE("no rows, no columns, nothing to sum") {
  std::vector<float> bias(40);
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i) - 7;
  epilogue post;
  post.bias = bias.data();
  post.act = nibble::activation::relu;
  for (const erased_gemm& g : gemm_catalogue()) {
    context with(parallel::serial());
    const weights nothing(g, 40, 0, 1);
    const weights no_rows(g, 0, 64, 1);
    const weights some(g, 3, 64, 1);
    const std::vector<float> x(5 * 64, 1.0f);
    for_each_target([&](const char* target) {
      for (const compute_path path : all_paths) {
        if (!can(g, path)) continue;
        INFO(failed(g, path, target));
        const auto y = multiply(nothing, as_activations(x, 3, 0), with, options_of(path), post);
        for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == std::max(bias[i % 40], 0.0f));
        CHECK(multiply(no_rows, as_activations(x, 5, 64), with, options_of(path)).empty());
        CHECK(multiply(some, as_activations(x, 0, 64), with, options_of(path)).empty());
      }
    });
  }
}
