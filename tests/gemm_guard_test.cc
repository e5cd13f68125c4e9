// SPDX-License-Identifier: Apache-2.0 OR MIT
// pack(), unpack() and products touch no byte outside their arrays: each array lies against a page
// that must not be touched, once with its end, once with its beginning, and inputs are read-only.
// Where an array begins makes no difference: every offset from a multiple of 64 bytes.
#include <cstring>

#include "support/gemm_checks.h"
#include "support/guarded.h"

using namespace nibble_test;

namespace {

using nibble::number_type;

constexpr side both_sides[] = {side::begin, side::end};
constexpr number_type types_of_x[] = {number_type::f32, number_type::bf16, number_type::f16,
                                      number_type::int8, number_type::uint8};

/// A format of each sort: widths, shifts, nested scales, records, floats, books.
constexpr const char* sorts[] = {"int8_channel_f32",
                                 "uint8_g32_f16_z",
                                 "int4_g32_f16",
                                 "uint4_g128_f16_zf",
                                 "uint3_g32_f16_z",
                                 "binary_g128_f16",
                                 "fp8_e4m3fn_t128_f32",
                                 "mxfp4",
                                 "nf4_g64_dq",
                                 "q4_K",
                                 "q6_K",
                                 "bf16"};

/// A copy of values at the guard, which cannot be written.
template <class T>
guarded_array<T> guarded_copy(const std::vector<T>& values, side where) {
  guarded_array<T> g(values.size(), where);
  if (!values.empty()) std::memcpy(g.data(), values.data(), values.size() * sizeof(T));
  g.make_read_only();
  return g;
}

/// A packed matrix in read-only memory at the guard.
struct guarded_weights {
  guarded_array<std::uint8_t> bytes;
  packed_data data;

  guarded_weights(const packed_any& packed, side where)
      : bytes(guarded_copy(std::vector(packed.buffer, packed.buffer + packed.bytes), where)),
        data(packed.data) {
    const auto moved = [&](const std::uint8_t* p) {
      return p == nullptr ? p : bytes.data() + (p - packed.buffer);
    };
    data.codes = moved(data.codes);
    for (auto& p : data.parts) p = moved(p);
  }
};

/// Values as bytes of a type; codes are random.
std::vector<std::uint8_t> bytes_of(number_type type, const std::vector<float>& values) {
  std::vector<std::uint8_t> bytes(values.size() * size_of(type));
  random_bits random(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float v = values[i];
    const std::uint16_t half =
        type == number_type::bf16 ? nibble::bf16::encode(v) : nibble::f16::encode(v);
    if (type == number_type::f32) std::memcpy(&bytes[4 * i], &v, 4);
    if (size_of(type) == 2) std::memcpy(&bytes[2 * i], &half, 2);
    if (size_of(type) == 1) bytes[i] = random.byte();
  }
  return bytes;
}

std::string text_of(const erased_gemm& g, compute_path path, const char* target) {
  return std::string(g.name) + ", " + name_of(path) + " on " + target;
}

/// The bytes of y, which lay between bytes that nobody wrote.
bool only_y_was_written(const guarded_array<float>& y, std::size_t n, std::size_t gap) {
  bool good = y.check_margin();
  for (std::size_t i = 0; i < y.size(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, y.data() + i, 4);
    good = good && (bits == 0xA5A5A5A5) == (i % (n + gap) >= n);
  }
  return good;
}

}  // namespace

TEST_CASE("no byte is touched outside w, x and y") {
  for (const erased_gemm& g : gemm_catalogue()) {
    random_bits random(seed_of(g.name));
    for (const side where : both_sides) {
      const std::size_t n = 1 + random.below(40);
      std::size_t k = 1 + random.below(300);
      if (random.below(2) == 0) k = (k + 63) / 64 * 64;  // x may be read in place
      const std::size_t gap = random.below(3);
      const weights w(g, n, k, random.next());
      const guarded_weights data(w.packed, where);
      for (const std::size_t m : {std::size_t{1}, 1 + random.below(18)}) {
        const auto x = guarded_copy(make_values(fill::normal, m * (k + gap) - gap, 1), where);
        for_each_target([&](const char* target) {
          for (const compute_path path : all_paths) {
            if (!can(g, path)) continue;
            INFO(text_of(g, path, target) << ", " << m << " x " << n << " x " << k);
            const guarded_array<float> y(m * (n + gap) - gap, where);
            context with(parallel::serial());
            REQUIRE(g.gemm(data.data, matrix_view<const float>(x.data(), m, k, k + gap),
                           matrix_view<float>(y.data(), m, n, n + gap), with, {},
                           options_of(path)) == errc::ok);
            CHECK(only_y_was_written(y, n, gap));
          }
        });
      }
    }
  }
}

TEST_CASE("no byte is touched outside x of any type, its scales, zero points and order") {
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    random_bits random(seed_of(name));
    for (const side where : both_sides) {
      for (const number_type type : types_of_x) {
        const std::size_t n = 1 + random.below(40);
        const std::size_t k = random.below(2) == 0 ? 64 : 1 + random.below(200);
        const std::size_t m = 1 + random.below(18);
        const weights w(g, n, k, random.next());
        const guarded_weights data(w.packed, where);
        const auto bytes =
            guarded_copy(bytes_of(type, make_values(fill::normal, m * k, random.next())), where);
        const auto scales = guarded_copy(make_values(fill::positive, m, 1), where);
        const auto zeros = guarded_copy(std::vector<std::int32_t>(m, 3), where);
        std::vector<std::uint32_t> backwards(k);
        for (std::size_t i = 0; i < k; ++i) backwards[i] = static_cast<std::uint32_t>(k - 1 - i);
        const auto order = guarded_copy(backwards, where);
        activations x;
        x.data = bytes.data();
        x.type = type;
        x.rows = m;
        x.cols = k;
        x.stride = k;
        for (const bool ordered : {false, true}) {
          x.order = ordered ? order.data() : nullptr;
          if (size_of(type) == 1 || random.below(2) == 0) {  // floats: static scales
            x.scales = scales.data();
            x.zero_points = zeros.data();
          }
          for_each_target([&](const char* target) {
            for (const compute_path path : all_paths) {
              if (!can(g, path)) continue;
              INFO(text_of(g, path, target)
                   << ", x of " << name_of(type) << ", " << m << " x " << n << " x " << k);
              const guarded_array<float> y(m * n, where);
              context with(parallel::serial());
              REQUIRE(g.gemm(data.data, x, matrix_view<float>(y.data(), m, n), with, {},
                             options_of(path)) == errc::ok);
              CHECK(only_y_was_written(y, n, 0));
            }
          });
        }
      }
    }
  }
}

namespace {

/// All that an epilogue can be given, for n columns and m rows, at the guard.
struct guarded_epilogue {
  guarded_array<float> channel_scale, bias, scale;
  guarded_array<std::uint8_t> residual;
  guarded_array<std::int32_t> multiplier, shift;
  epilogue post;

  guarded_epilogue(std::size_t m, std::size_t n, number_type residual_type, side where)
      : channel_scale(guarded_copy(make_values(fill::positive, n, 1), where)),
        bias(guarded_copy(make_values(fill::normal, n, 2), where)),
        scale(guarded_copy(make_values(fill::positive, n, 3), where)),
        residual(guarded_copy(bytes_of(residual_type, make_values(fill::normal, m * n, 4)), where)),
        multiplier(guarded_copy(std::vector<std::int32_t>(n, 1 << 30), where)),
        shift(guarded_copy(std::vector<std::int32_t>(n, -2), where)) {
    post.channel_scale = channel_scale.data();
    post.bias = bias.data();
    post.act = nibble::activation::silu;
    post.residual = residual.data();
    post.residual_type = residual_type;
    post.residual_stride = n;
    post.low = -100;
    post.high = 100;
    post.requantize.per_channel = true;
    post.requantize.scale = scale.data();
    post.requantize.multiplier = multiplier.data();
    post.requantize.shift = shift.data();
  }
};

struct result_case {
  number_type type;
  nibble::requantize_rule rule = nibble::requantize_rule::float_scale;
};
constexpr result_case result_cases[] = {{number_type::f32},
                                        {number_type::bf16},
                                        {number_type::f16},
                                        {number_type::int8},
                                        {number_type::uint8},
                                        {number_type::int8, nibble::requantize_rule::fixed_double},
                                        {number_type::int8, nibble::requantize_rule::fixed_single}};

}  // namespace

TEST_CASE("no byte is touched outside the arrays of an epilogue and y of any type") {
  const erased_gemm& g = gemm_named("int4_g32_f16");
  constexpr std::size_t k = 64;
  for (const side where : both_sides) {
    for (std::size_t n = 1; n <= 70; n += n < 36 ? 1 : 11) {
      const std::size_t m = 1 + n % 3;
      const weights w(g, n, k, n);
      const guarded_weights data(w.packed, where);
      const auto x = guarded_copy(make_values(fill::normal, m * k, n), where);
      for (const result_case& r : result_cases) {
        for (const number_type residual : {number_type::f32, number_type::bf16, number_type::f16}) {
          guarded_epilogue e(m, n, residual, where);
          e.post.requantize.rule = r.rule;
          if (r.type == number_type::uint8) {
            e.post.requantize.low = 0;
            e.post.requantize.high = 255;
          }
          for_each_target([&](const char* target) {
            INFO(n << " columns of " << name_of(r.type) << ", residual of " << name_of(residual)
                   << " on " << target);
            const guarded_array<std::uint8_t> bytes(m * n * size_of(r.type), where);
            results y;
            y.data = bytes.data();
            y.type = r.type;
            y.rows = m;
            y.cols = n;
            y.stride = n;
            context with(parallel::serial());
            const matrix_view<const float> x_view(x.data(), m, k);
            CHECK(g.gemm(data.data, x_view, y, with, e.post, {}) == errc::ok);
            CHECK(bytes.check_margin());
            const nibble::second_channels second{e.channel_scale.data(), e.bias.data()};
            CHECK(g.gemm_gated(data.data, data.data, x_view, y, with, e.post, second, {}) ==
                  errc::ok);
            CHECK(bytes.check_margin());
          });
        }
      }
    }
  }
}

TEST_CASE("pack reads and unpack writes inside their arrays, for every format") {
  for (const erased_gemm& g : gemm_catalogue()) {
    const erased_format& f = format_named(g.name);
    random_bits random(seed_of(g.name));
    for (const side where : both_sides) {
      for (int repeat = 0; repeat < 6; ++repeat) {
        const std::size_t n = 1 + random.below(repeat == 0 ? 140 : 40);
        const std::size_t k = 1 + random.below(300);
        INFO(g.name << " " << n << " x " << k << ", guard at the "
                    << (where == side::begin ? "beginning" : "end"));
        const weights w(g, n, k, random.next());
        std::vector<guarded_array<std::uint8_t>> from;
        std::vector<guarded_array<std::uint8_t>> to;
        std::vector<basic_section<const std::uint8_t>> from_sections;
        std::vector<basic_section<std::uint8_t>> to_sections;
        for (std::size_t s = 0; s < w.parts.count(); ++s) {
          const std::size_t row_bytes = w.parts.size(s).row_bytes;
          from.push_back(guarded_copy(w.parts.packed(s), where));
          from_sections.push_back({from.back().data(), row_bytes});
          to.emplace_back(from.back().size(), where);
          to_sections.push_back({to.back().data(), row_bytes});
        }
        context with(parallel::serial());
        for_each_target([&](const char* target) {
          INFO(target);
          const packed_any p = g.pack(from_sections.data(), n, k, with);
          REQUIRE(p.bytes == w.packed.bytes);
          CHECK(std::equal(p.buffer, p.buffer + p.bytes, w.packed.buffer));
        });
        if (g.unpack == nullptr) continue;
        const guarded_weights data(w.packed, where);
        REQUIRE(g.unpack(data.data, to_sections.data()) == errc::ok);
        for (const auto& section : to) CHECK(section.check_margin());
        std::vector<float> got(n * k);
        f.reference_dequantize(
            std::vector<basic_section<const std::uint8_t>>(to_sections.begin(), to_sections.end())
                .data(),
            {got.data(), n, k});
        CHECK(difference(got, w.apart.value) == "");
      }
    }
  }
}

namespace {

/// A copy that begins `offset` bytes after a multiple of 64.
class at_offset {
 public:
  at_offset(const void* from, std::size_t bytes, std::size_t offset) : memory_(bytes + 128, 0xFF) {
    const auto base = reinterpret_cast<std::uintptr_t>(memory_.data());
    at_ = memory_.data() + (64 - base % 64) % 64 + offset;
    if (from != nullptr && bytes != 0) std::memcpy(at_, from, bytes);
  }
  [[nodiscard]] std::uint8_t* bytes() { return at_; }
  template <class T>
  [[nodiscard]] T* as() {
    return reinterpret_cast<T*>(at_);
  }

 private:
  std::vector<std::uint8_t> memory_;
  std::uint8_t* at_;
};

}  // namespace

TEST_CASE("x and y may begin anywhere: all offsets from 0 to 63 bytes") {
  constexpr std::size_t m = 3;
  constexpr std::size_t n = 37;
  for (const char* name : sorts) {
    const erased_gemm& g = gemm_named(name);
    for (const std::size_t k : {std::size_t{64}, std::size_t{83}}) {  // read in place, or padded
      const weights w(g, n, k, seed_of(name));
      const std::vector<float> scales(m, 0.25f);
      const auto bias = make_values(fill::normal, n, 1);
      const auto residual = make_values(fill::normal, m * n, 2);
      context with(parallel::serial());
      for (const number_type type : types_of_x) {
        const auto bytes = bytes_of(type, make_values(fill::normal, m * k, 3));
        for_each_target([&](const char* target) {
          for (const compute_path path : all_paths) {
            if (!can(g, path)) continue;
            INFO(text_of(g, path, target) << ", x of " << name_of(type) << ", k " << k);
            const auto run = [&](std::size_t of_x, std::size_t of_y) {
              at_offset x_bytes(bytes.data(), bytes.size(), of_x);
              at_offset y_bytes(nullptr, m * n * 4, of_y);
              at_offset bias_bytes(bias.data(), n * 4, of_y);
              at_offset residual_bytes(residual.data(), m * n * 4, 60 - of_y);
              activations x;
              x.data = x_bytes.bytes();
              x.type = type;
              x.rows = m;
              x.cols = k;
              x.stride = k;
              if (size_of(type) == 1) x.scales = scales.data();
              epilogue post;
              post.bias = bias_bytes.as<const float>();
              post.residual = residual_bytes.bytes();
              post.residual_stride = n;
              float* const y = y_bytes.as<float>();
              CHECK(g.gemm(w.packed.data, x, matrix_view<float>(y, m, n), with, post,
                           options_of(path)) == errc::ok);
              return std::vector<float>(y, y + m * n);
            };
            const auto want = run(0, 0);
            std::size_t wrong = 0;
            for (std::size_t offset = 0; offset < 64; offset += size_of(type)) {
              wrong += !difference(run(offset, (offset * 12 + 4) % 64), want).empty();
            }
            CHECK(wrong == 0);
          }
        });
      }
    }
  }
}
