// SPDX-License-Identifier: Apache-2.0 OR MIT
// Integer products to int8 and uint8: TFLite's and ONNX Runtime's rules see the int32 sum, which no
// f32 may have rounded. Against definitions in integers, on every target.
#include "support/gemm_checks.h"

using namespace nibble_test;

namespace {

using nibble::number_type;
using nibble::requantization;
using nibble::requantize_rule;

/// Rows of codes with the scales and zero points that a test wants; scales are f32.
weights weights_of(const char* name, const std::vector<int>& codes, std::size_t n,
                   const std::vector<float>& scales, std::uint8_t zero = 0) {
  const erased_gemm& g = gemm_named(name);
  const std::size_t k = codes.size() / n;
  quantized_parts q(format_named(name), n, k, 0, 0, 0);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t c = 0; c < k; ++c) {
      q.row(0, r)[c] = static_cast<std::uint8_t>(codes[r * k + c]);
    }
    std::memcpy(q.row(1, r), &scales[r], sizeof(float));
    if (q.count() > 2) q.row(2, r)[0] = zero;
  }
  return weights(g, std::move(q), n, k);
}

std::vector<std::int32_t> codes_of(const weights& w, const activations& x, const epilogue& post,
                                   number_type type, const gemm_options& o) {
  std::vector<std::uint8_t> bytes(x.rows * w.n, 0xA5);
  results y;
  y.data = bytes.data();
  y.type = type;
  y.rows = x.rows;
  y.cols = y.stride = w.n;
  context with(parallel::serial());
  REQUIRE(w.ops.gemm(w.packed.data, x, y, with, post, o) == errc::ok);
  std::vector<std::int32_t> codes;
  for (const std::uint8_t b : bytes) {
    codes.push_back(type == number_type::int8 ? static_cast<std::int8_t>(b) : b);
  }
  return codes;
}

/// The rules, from 128-bit integers and from one f32 product.
using wide = __int128;
wide floor_shift(wide v, int by) { return v >> by; }
std::int32_t by_rule(const requantization& q, std::int32_t sum) {
  wide t = 0;
  if (q.rule == requantize_rule::float_multiplier) {
    const float v = static_cast<float>(sum) * *q.scale;
    t = static_cast<wide>(std::nearbyint(std::fmin(std::fmax(v, -1e9f), 1e9f)));
  } else if (q.rule == requantize_rule::fixed_single) {
    const int right = 31 - *q.shift;
    t = floor_shift(wide{sum} * *q.multiplier + (wide{1} << (right - 1)), right);
  } else {
    const int left = std::max(*q.shift, 0);
    const int right = std::max(-*q.shift, 0);
    const wide shifted = std::clamp(wide{sum} << left, -(wide{1} << 31), (wide{1} << 31) - 1);
    t = floor_shift(shifted * *q.multiplier + (wide{1} << 30), 31);
    const wide size = t < 0 ? -t : t;  // ties away from zero
    const wide rounded = right == 0 ? size : (size + (wide{1} << (right - 1))) >> right;
    t = t < 0 ? -rounded : rounded;
  }
  t += q.zero_point;
  return static_cast<std::int32_t>(t < q.low ? q.low : t > q.high ? q.high : t);
}

requantization rule_of(requantize_rule rule, const float* scale, const std::int32_t* multiplier,
                       const std::int32_t* shift) {
  requantization q;
  q.rule = rule;
  q.scale = scale;
  q.multiplier = multiplier;
  q.shift = shift;
  return q;
}

constexpr requantize_rule whole_rules[] = {requantize_rule::fixed_double,
                                           requantize_rule::fixed_single,
                                           requantize_rule::float_multiplier};

}  // namespace

TEST_CASE("a sum of 33161215 by 2^-18: TFLite's two roundings give 127, its single one 126") {
  constexpr std::size_t k = 2057;
  std::vector<int> codes(k, 127);
  codes.back() = -3;
  const weights w = weights_of("int8_channel_f32", codes, 1, {1});
  std::vector<std::int8_t> x_codes(k, 127);
  x_codes.back() = 3;
  const float one = 1;
  const activations x(matrix_view<const std::int8_t>(x_codes.data(), 1, k), &one);
  const std::int32_t multiplier = 1 << 30;
  const std::int32_t shift = -17;
  epilogue post;
  for_each_target([&](const char* target) {
    INFO(target);
    const auto o = options_of(compute_path::integer);
    post.requantize = rule_of(requantize_rule::fixed_double, nullptr, &multiplier, &shift);
    CHECK(codes_of(w, x, post, number_type::int8, o)[0] == 127);
    post.requantize.rule = requantize_rule::fixed_single;
    CHECK(codes_of(w, x, post, number_type::int8, o)[0] == 126);
  });
}

TEST_CASE("a sum of -133 with scales 0.1, 0.1 and 0.02: ONNX Runtime's -67, and -66 by division") {
  std::vector<int> codes(40, 0);
  codes[7] = -19;
  const weights w = weights_of("int8_channel_f32", codes, 1, {1});
  std::vector<std::int8_t> x_codes(40, 7);
  float x_scale = 1;
  const activations x(matrix_view<const std::int8_t>(x_codes.data(), 1, 40), &x_scale);
  const float multiplier = 0.1f * 0.1f / 0.02f;
  epilogue post;
  post.requantize = rule_of(requantize_rule::float_multiplier, &multiplier, nullptr, nullptr);
  for_each_target([&](const char* target) {
    INFO(target);
    CHECK(codes_of(w, x, post, number_type::int8, options_of(compute_path::integer))[0] == -67);
  });
  const weights scaled = weights_of("int8_channel_f32", codes, 1, {0.1f});
  x_scale = 0.1f;
  const float y_scale = 0.02f;
  post.requantize = rule_of(requantize_rule::float_scale, &y_scale, nullptr, nullptr);
  CHECK(codes_of(scaled, x, post, number_type::int8, options_of(compute_path::integer))[0] == -66);
}

TEST_CASE("sums up to both ends of int32 are requantized as integers are") {
  struct extreme {
    const char* format;
    std::size_t k;
    int w;
    int x;
    int last_w;  ///< of the last two columns but one and the last
    int last_x;
    int end_w;
    int end_x;
    std::int64_t sum;
  };
  const extreme extremes[] = {
      {"uint8_channel_f32_z", 33027, 255, 255, 255, 129, 127, 1, 2147483647},
      {"int8_channel_f32", 65794, -128, 255, -128, 255, -128, 1, -2147483648},
      {"uint8_channel_f32_z", 258, 255, 255, 254, 255, 1, 1, 16646656 + 254 * 255 + 1 - 256},
      {"uint8_channel_f32_z", 32768, 255, 255, 3, 5, 7, 1, 2130609150 + 22},
  };
  const float one = 1;
  for (const extreme& e : extremes) {
    std::vector<int> codes(e.k, e.w);
    std::vector<std::uint8_t> x_codes(e.k, static_cast<std::uint8_t>(e.x));
    codes[e.k - 2] = e.last_w;
    codes[e.k - 1] = e.end_w;
    x_codes[e.k - 2] = static_cast<std::uint8_t>(e.last_x);
    x_codes[e.k - 1] = static_cast<std::uint8_t>(e.end_x);
    std::int64_t sum = 0;
    for (std::size_t c = 0; c < e.k; ++c) sum += std::int64_t{codes[c]} * x_codes[c];
    CHECK(sum == e.sum);
    const weights w = weights_of(e.format, codes, 1, {one});
    const std::int32_t zero = 0;
    const activations x(matrix_view<const std::uint8_t>(x_codes.data(), 1, e.k), &one, &zero);
    for (const requantize_rule rule : whole_rules) {
      for (std::int32_t shift = -31; shift <= -20; ++shift) {
        for (const std::int32_t multiplier : {0x7FFFFFFF, 0x40000000, 0x5A827999, 3}) {
          const float scale = std::ldexp(static_cast<float>(multiplier), shift - 31);
          epilogue post;
          post.requantize = rule_of(rule, &scale, &multiplier, &shift);
          post.requantize.zero_point = 3;
          const std::int32_t want = by_rule(post.requantize, static_cast<std::int32_t>(sum));
          for_each_target([&](const char* target) {
            INFO("k " << e.k << ", rule " << static_cast<int>(rule) << ", " << multiplier << " 2^"
                      << shift << " on " << target);
            CHECK(codes_of(w, x, post, number_type::int8, options_of(compute_path::integer))[0] ==
                  want);
          });
        }
      }
    }
  }
}

TEST_CASE("requantized products: the reference's, whatever the shape, scales and instructions") {
  for (const char* name : {"int8_channel_f32", "uint8_channel_f32_z", "int4_channel_f32",
                           "int8_g32_f16", "uint4_channel_f32_zf"}) {
    if (left_out(name)) continue;
    const erased_gemm& g = gemm_named(name);
    for (const std::size_t k :
         {std::size_t{7}, std::size_t{300}, std::size_t{2500}, std::size_t{33000}}) {
      for (const std::size_t m : {std::size_t{1}, std::size_t{19}, std::size_t{35}}) {
        if (k == 33000 && m == 35) continue;
        constexpr std::size_t n = 70;
        random_bits random(seed_of(name, k, m));
        quantized_parts q(format_named(name), n, k, 0, 0, 0);
        const auto values = make_values(fill::normal, n * k, random.next());
        REQUIRE(format_named(name).quantize({values.data(), n, k}, q.writable(), {}) == errc::ok);
        for (std::size_t r = 0; r < n; ++r) {
          // Long rows of large codes, and scales of 1 in most rows.
          for (std::size_t i = 0; i < q.size(0).row_bytes; ++i) {
            q.row(0, r)[i] = static_cast<std::uint8_t>(r % 2 == 0 ? 0x7F : random.next() >> 9);
          }
          const float scale = r % 5 == 0 ? 1.5f : 1.0f;
          if (q.size(1).row_bytes == sizeof scale) std::memcpy(q.row(1, r), &scale, sizeof scale);
        }
        const weights w(g, std::move(q), n, k);
        std::vector<std::uint8_t> codes(m * k);
        for (std::uint8_t& c : codes) c = static_cast<std::uint8_t>(random.next() >> 5 | 0x40);
        std::vector<float> x_scales(m, 1.0f);
        if (m > 2) x_scales[2] = 0.75f;
        std::vector<std::int32_t> zeros;
        for (std::size_t i = 0; i < m; ++i) zeros.push_back(static_cast<std::int32_t>(i));
        const activations of_int8(matrix_view<const std::int8_t>(
                                      reinterpret_cast<const std::int8_t*>(codes.data()), m, k),
                                  x_scales.data());
        const activations of_uint8(matrix_view<const std::uint8_t>(codes.data(), m, k),
                                   x_scales.data(), zeros.data());
        const std::vector<float> scale(n, std::ldexp(0.9f, -18));
        const std::vector<std::int32_t> multiplier(n, 0x71234567);
        const std::vector<std::int32_t> shift(n, k < 100 ? -8 : -18);
        for (const activations& x : {of_int8, of_uint8}) {
          const auto floats = gemm_integer(w.apart, x);
          const auto whole = gemm_int32(w.apart, x);
          for (const requantize_rule rule : whole_rules) {
            epilogue post;
            post.requantize = rule_of(rule, scale.data(), multiplier.data(), shift.data());
            post.requantize.per_channel = true;
            for (const bool is_pure : {true, false}) {
              if (!is_pure) post.low = -3e38f;  // one more member: sums are floats again
              std::vector<std::uint8_t> want(m * n);
              results to;
              to.data = want.data();
              to.type = number_type::int8;
              to.rows = m;
              to.cols = to.stride = n;
              nibble::reference::apply_epilogue(floats, whole, to, post);
              for_each_target([&](const char* target) {
                for (const nibble::extension set : extension_sets()) {
                  INFO(name << ", k " << k << ", m " << m << ", rule " << static_cast<int>(rule)
                            << ", pure " << is_pure << " on " << target);
                  const auto got = codes_of(w, x, post, number_type::int8,
                                            options_of(compute_path::integer, set));
                  std::size_t wrong = 0;
                  for (std::size_t i = 0; i < got.size(); ++i) {
                    wrong += got[i] != static_cast<std::int8_t>(want[i]);
                  }
                  CHECK(wrong == 0);
                }
              });
            }
          }
        }
      }
    }
  }
}
