// SPDX-License-Identifier: Apache-2.0 OR MIT
// The epilogue: its definition against exact arithmetic and hand-made numbers, and the kernel
// against its definition, bit by bit on every target.
#include "nibble/target.h"

#include "nibble/format/epilogue_math.h"

#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "support/cases.h"
#include "support/catch.h"
#include "support/guarded.h"
#include "support/targets.h"

namespace nibble::inline NIBBLE_ABI {
// The kernel has no public function of its own.
template <std::int64_t Targets = HWY_TARGETS>
void apply_epilogue(const epilogue& e, const float* sums, const float* second, std::size_t row,
                    std::size_t col0, std::size_t count, void* y_row, number_type y_type,
                    const second_channels& channels = {}) {
  NIBBLE_DISPATCH(table, ApplyEpilogue<>)
  (e, sums, second, row, col0, count, y_row, y_type, channels);
}
}  // namespace nibble::inline NIBBLE_ABI

namespace {

using namespace nibble_test;
using namespace nibble;

using detail::int32_max;
using detail::int32_min;

constexpr number_type all_types[] = {number_type::f32, number_type::bf16, number_type::f16,
                                     number_type::int8, number_type::uint8};
constexpr activation all_activations[] = {activation::none, activation::relu, activation::gelu,
                                          activation::gelu_tanh, activation::silu};

/// The same bits, or both NaN: which NaN is not promised.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

// -------------------------------------------------------------- activations

long double exact_silu(long double v) { return v / (1 + std::exp(-v)); }
long double exact_gelu(long double v) { return v * std::erfc(-v / std::sqrt(2.0L)) / 2; }
long double exact_gelu_tanh(long double v) {
  const long double x = std::sqrt(2 / std::acos(-1.0L)) * (v + 0.044715L * v * v * v);
  return v / (1 + std::exp(-2 * x));
}

/// |got - exact| in units of the last place of a float of that size, subnormals included.
double error_in_ulp(float got, long double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  const long double ulp = std::ldexp(1.0L, std::max(exponent, -125) - 24);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / ulp);
}

struct worst {
  double ulp = 0;
  double absolute = 0;
};

/// Over all floats of [from, to] with bits a multiple of a step.
template <class Got, class Exact>
worst worst_error(float from, float to, Got&& got, Exact&& exact) {
  const std::uint32_t step = heavy() ? 53 : 5003;
  const auto bits = [](float v) { return std::bit_cast<std::uint32_t>(std::fabs(v)); };
  worst w;
  for (std::uint32_t b = std::min(bits(from), bits(to)); b < std::max(bits(from), bits(to));
       b += step) {
    const float v = std::copysign(std::bit_cast<float>(b), from + to);
    const float g = got(v);
    const long double e = exact(static_cast<long double>(v));
    w.ulp = std::max(w.ulp, error_in_ulp(g, e));
    w.absolute =
        std::max(w.absolute, static_cast<double>(std::fabs(static_cast<long double>(g) - e)));
  }
  return w;
}

}  // namespace

TEST_CASE("silu and gelu: within a few last places of the exact value everywhere", "[epilogue]") {
  const worst silu_low = worst_error(-120.0f, -0.0f, detail::silu, exact_silu);
  const worst silu_high = worst_error(0.0f, 1e30f, detail::silu, exact_silu);
  CHECK(silu_low.ulp <= 3.5);
  CHECK(silu_low.ulp >= 2);  // a bound never nearly reached is too loose
  CHECK(silu_high.ulp <= 2);
  const worst gelu_low = worst_error(-15.0f, -0.0f, detail::gelu, exact_gelu);
  const worst gelu_high = worst_error(0.0f, 1e30f, detail::gelu, exact_gelu);
  CHECK(gelu_low.ulp <= 5);
  CHECK(gelu_low.ulp >= 3);
  CHECK(gelu_high.ulp <= 3.5);
}

TEST_CASE("gelu_tanh: last places above -1, an absolute bound below", "[epilogue]") {
  CHECK(worst_error(0.0f, 1e30f, detail::gelu_tanh, exact_gelu_tanh).ulp <= 2);
  CHECK(worst_error(-1.0f, -0.0f, detail::gelu_tanh, exact_gelu_tanh).ulp <= 3.5);
  CHECK(worst_error(-20.0f, -0.0f, detail::gelu_tanh, exact_gelu_tanh).absolute <= 6e-8);
  // x has six roundings of at most 2^-24, constants included, which e^-x multiplies by x: 6 x last
  // places if all were as bad as can be. Measured: 2.6 x.
  for (const float v : {-2.0f, -3.0f, -4.0f, -6.0f, -9.0f}) {
    const double x = 1.59577 * (v + 0.044715 * v * v * v);
    INFO(v);
    CHECK(worst_error(v, v * 0.9f, detail::gelu_tanh, exact_gelu_tanh).ulp <= 3 + 3 * -x);
  }
}

TEST_CASE("activations: infinities, NaN, zeros and tiny values", "[epilogue]") {
  for (const activation act : all_activations) {
    INFO(static_cast<int>(act));
    const auto f = [&](float v) { return detail::activate(act, v); };
    REQUIRE(f(infinity) == infinity);
    REQUIRE(std::isnan(f(quiet_nan)));
    REQUIRE(same(f(0.0f), 0.0f));
    REQUIRE(same(f(-0.0f), -0.0f));
    REQUIRE(f(3.0e38f) == 3.0e38f);
    if (act == activation::none) continue;
    REQUIRE(same(f(-infinity), 0.0f));
    REQUIRE(same(f(-3.0e38f), 0.0f));
    REQUIRE(same(f(-1000.0f), 0.0f));
  }
}

// ------------------------------------------------------------ requantization

namespace {

// Rounded a / 2^shift from its floor and remainder, in 128 bits.
enum class ties : std::uint8_t { up, away };
__int128 divided(__int128 a, int shift, ties t) {
  const __int128 unit = static_cast<__int128>(1) << shift;
  __int128 q = a / unit;
  __int128 rest = a % unit;
  if (rest < 0) {
    --q;
    rest += unit;
  }
  const bool up = 2 * rest > unit || (2 * rest == unit && (t == ties::up || a > 0));
  return q + (up ? 1 : 0);
}
std::int32_t saturated(__int128 v) {
  return static_cast<std::int32_t>(v < int32_min ? int32_min : v > int32_max ? int32_max : v);
}
std::int32_t exact_double(std::int32_t x, std::int32_t multiplier, std::int32_t shift) {
  const __int128 left = saturated(static_cast<__int128>(x) << std::max(shift, 0));
  const __int128 high = saturated(divided(left * multiplier, 31, ties::up));
  return saturated(divided(high, std::max(-shift, 0), ties::away));
}
std::int32_t exact_single(std::int32_t x, std::int32_t multiplier, std::int32_t shift) {
  return saturated(divided(static_cast<__int128>(x) * multiplier, 31 - shift, ties::up));
}

const std::int32_t extreme_ints[] = {0,
                                     1,
                                     -1,
                                     2,
                                     -2,
                                     3,
                                     -3,
                                     127,
                                     -128,
                                     255,
                                     65536,
                                     -65536,
                                     (1 << 23),
                                     -(1 << 23),
                                     (1 << 24),
                                     -(1 << 24),
                                     (1 << 30),
                                     -(1 << 30),
                                     (1 << 30) + 128,
                                     int32_max,
                                     int32_max - 127,
                                     int32_min + 128,
                                     int32_min};
const std::int32_t multipliers[] = {
    0, 1, 2, (1 << 30), (1 << 30) + 1, 1518500250 /* 2^31 / sqrt 2 */, int32_max - 1, int32_max};

}  // namespace

TEST_CASE("fixed-point rules: numbers made by hand", "[epilogue]") {
  using namespace nibble::detail;
  constexpr std::int32_t half = 1 << 30;  // 0.5 in Q31
  // 5 / 2 = 2.5 and -5 / 2 = -2.5: up.
  REQUIRE(doubling_high_multiply(5, half) == 3);
  REQUIRE(doubling_high_multiply(-5, half) == -2);
  REQUIRE(doubling_high_multiply(int32_min, int32_min) == int32_max);
  REQUIRE(doubling_high_multiply(int32_min, int32_max) == -int32_max);
  // 6 / 4 = 1.5 and its negative: away from zero.
  REQUIRE(rounding_shift_right(6, 2) == 2);
  REQUIRE(rounding_shift_right(-6, 2) == -2);
  REQUIRE(rounding_shift_right(5, 2) == 1);
  REQUIRE(rounding_shift_right(-7, 0) == -7);
  REQUIRE(rounding_shift_right(int32_min, 31) == -1);
  REQUIRE(rounding_shift_right(int32_max, 31) == 1);
  // 11 * 0.5 / 4 = 1.375. Twice: 5.5 -> 6, 6 / 4 = 1.5 -> 2. Once: 1.
  REQUIRE(multiply_fixed_double(11, half, -2) == 2);
  REQUIRE(multiply_fixed_single(11, half, -2) == 1);
  // -3 * 0.5 = -1.5: both up; -6 * 0.5 / 2 = -1.5: away, up.
  REQUIRE(multiply_fixed_double(-3, half, 0) == -1);
  REQUIRE(multiply_fixed_single(-3, half, 0) == -1);
  REQUIRE(multiply_fixed_double(-6, half, -1) == -2);
  REQUIRE(multiply_fixed_single(-6, half, -1) == -1);
  // Left shifts, and what does not fit.
  REQUIRE(multiply_fixed_double(100, half, 3) == 400);
  REQUIRE(multiply_fixed_single(100, half, 3) == 400);
  REQUIRE(multiply_fixed_double(1 << 20, half, 30) == half);
  REQUIRE(multiply_fixed_single(1 << 20, half, 30) == int32_max);
  REQUIRE(multiply_fixed_single(-(1 << 20), half, 30) == int32_min);
}

TEST_CASE("fixed-point rules: equal to their definition in 128 bits", "[epilogue]") {
  random_bits random(7);
  std::size_t wrong = 0;
  const auto check = [&](std::int32_t x, std::int32_t m, std::int32_t shift) {
    wrong += detail::multiply_fixed_double(x, m, shift) != exact_double(x, m, shift);
    wrong += detail::multiply_fixed_single(x, m, shift) != exact_single(x, m, shift);
  };
  for (std::int32_t shift = -31; shift <= 30; ++shift) {
    for (const std::int32_t m : multipliers) {
      for (const std::int32_t x : extreme_ints) check(x, m, shift);
    }
    for (int i = 0; i < 20000; ++i) {
      const int drop = static_cast<int>(random.below(32));
      const auto x = static_cast<std::int32_t>(random.bits32()) >> drop;
      check(x, static_cast<std::int32_t>(random.bits32() >> 1), shift);
    }
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("to_int32: nearest even, saturating, NaN is zero", "[epilogue]") {
  REQUIRE(detail::to_int32(0.5f) == 0);
  REQUIRE(detail::to_int32(1.5f) == 2);
  REQUIRE(detail::to_int32(-2.5f) == -2);
  REQUIRE(detail::to_int32(-0.4f) == 0);
  REQUIRE(detail::to_int32(8388607.5f) == 8388608);
  REQUIRE(detail::to_int32(4194305.5f) == 4194306);
  REQUIRE(detail::to_int32(-4194304.5f) == -4194304);
  REQUIRE(detail::to_int32(16777215.0f) == 16777215);
  REQUIRE(detail::to_int32(2147483520.0f) == 2147483520);
  REQUIRE(detail::to_int32(2147483648.0f) == int32_max);
  REQUIRE(detail::to_int32(-2147483648.0f) == int32_min);
  REQUIRE(detail::to_int32(infinity) == int32_max);
  REQUIRE(detail::to_int32(-infinity) == int32_min);
  REQUIRE(detail::to_int32(quiet_nan) == 0);
}

TEST_CASE("float rule: as ONNX QuantizeLinear", "[epilogue]") {
  const float scale = 0.25f;
  requantization q;
  q.scale = &scale;
  q.zero_point = 3;
  const auto code = [&](float v) { return detail::requantize(q, v, 5); };
  REQUIRE(code(0.0f) == 3);
  REQUIRE(code(0.125f) == 3);  // 0.5: to even
  REQUIRE(code(0.375f) == 5);  // 1.5
  REQUIRE(code(-0.375f) == 1);
  REQUIRE(code(31.0f) == 127);
  REQUIRE(code(31.125f) == 127);
  REQUIRE(code(-32.75f) == -128);
  REQUIRE(code(-32.5f) == -127);
  REQUIRE(code(infinity) == 127);
  REQUIRE(code(-infinity) == -128);
  REQUIRE(code(quiet_nan) == 3);
  q.low = 10;  // a fused relu whose zero point lies below the clamp
  REQUIRE(code(quiet_nan) == 10);

  // Against division in long double, rounded once, where float division is exact or no tie is near.
  random_bits random(11);
  std::size_t wrong = 0;
  for (int i = 0; i < 100000; ++i) {
    requantization r;
    const float s = 0.001f + random.uniform();
    r.scale = &s;
    r.zero_point = static_cast<std::int32_t>(random.below(256)) - 128;
    const float v = random.normal() * 60;
    const long double t = static_cast<long double>(v) / s;
    if (std::fabs(std::fabs(t - std::floor(t)) - 0.5L) < 1e-4L) continue;
    const long double want =
        std::fmin(std::fmax(std::nearbyint(t) + r.zero_point, -128.0L), 127.0L);
    wrong += detail::requantize(r, v, 0) != static_cast<std::int32_t>(want);
  }
  REQUIRE(wrong == 0);
}

// ------------------------------------------------------------------ kernel

namespace {

constexpr std::size_t max_count = 96;
constexpr std::size_t num_cols = 128;

/// Arrays that an epilogue may point to, with values of every kind.
struct arrays {
  alignas(64) float sums[max_count + 16];
  alignas(64) float second[max_count + 16];
  float scale[num_cols];
  float bias[num_cols];
  float second_scale[num_cols];
  float second_bias[num_cols];
  float residual_f32[3 * num_cols];
  std::uint16_t residual_16[3 * num_cols];
  float out_scale[num_cols];
  std::int32_t multiplier[num_cols];
  std::int32_t shift[num_cols];

  explicit arrays(std::uint64_t seed) {
    random_bits random(seed);
    const float special[] = {0.0f,    -0.0f,      infinity,    -infinity,    quiet_nan, 1e-40f,
                             -1e-40f, 3e38f,      -3e38f,      65520.0f,     0.5f,      -1.5f,
                             2.5f,    8388607.5f, -4194305.5f, 2147483648.0f};
    const auto value = [&](float size) {
      return random.below(16) == 0 ? special[random.below(16)] : random.normal() * size;
    };
    for (float& v : sums) v = value(random.below(4) == 0 ? 1e6f : 5);
    for (float& v : second) v = value(2);
    for (std::size_t i = 0; i < num_cols; ++i) {
      scale[i] = random.normal();
      bias[i] = random.normal() * 3;
      second_scale[i] = random.normal();
      second_bias[i] = random.normal();
      out_scale[i] = 0.01f + random.uniform();
      multiplier[i] = random.below(8) == 0 ? multipliers[random.below(8)]
                                           : static_cast<std::int32_t>(random.bits32() >> 1);
      shift[i] = static_cast<std::int32_t>(random.below(62)) - 31;
    }
    for (float& v : residual_f32) v = value(4);
    for (std::uint16_t& v : residual_16) v = static_cast<std::uint16_t>(random.bits32());
  }
};

// Members of an epilogue, to be switched on one by one or together.
enum member : unsigned {
  has_scale = 1,
  has_bias = 2,
  has_second = 4,
  has_second_scale = 8,
  has_second_bias = 16,
  has_residual = 32,
  has_low = 64,
  has_high = 128,
  per_channel = 256,
};

struct setup {
  epilogue e;
  second_channels channels;
  const float* second = nullptr;
};

setup make_setup(const arrays& a, unsigned members, activation act, number_type residual_type,
                 requantize_rule rule, number_type y_type) {
  setup s;
  s.e.act = act;
  if (members & has_scale) s.e.channel_scale = a.scale;
  if (members & has_bias) s.e.bias = a.bias;
  if (members & has_second) s.second = a.second;
  if (members & has_second_scale) s.channels.channel_scale = a.second_scale;
  if (members & has_second_bias) s.channels.bias = a.second_bias;
  if (members & has_residual) {
    s.e.residual = residual_type == number_type::f32 ? static_cast<const void*>(a.residual_f32)
                                                     : a.residual_16;
    s.e.residual_type = residual_type;
    s.e.residual_stride = num_cols;
  }
  if (members & has_low) s.e.low = -1.0f;
  if (members & has_high) s.e.high = 6.0f;
  s.e.requantize.rule = rule;
  s.e.requantize.per_channel = (members & per_channel) != 0;
  s.e.requantize.scale = a.out_scale;
  s.e.requantize.multiplier = a.multiplier;
  s.e.requantize.shift = a.shift;
  s.e.requantize.zero_point = y_type == number_type::uint8 ? 100 : -7;
  if (y_type == number_type::uint8) {
    s.e.requantize.low = 0;
    s.e.requantize.high = 250;
  }
  return s;
}

float float_at(number_type type, const std::uint8_t* p, std::size_t i) {
  return detail::load_number(type, p, i);
}

/// Elements of two rows of y that differ, NaN being equal to NaN.
std::size_t count_different(number_type type, const std::uint8_t* a, const std::uint8_t* b,
                            std::size_t n) {
  std::size_t different = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t size = size_of(type);
    if (std::memcmp(a + i * size, b + i * size, size) == 0) continue;
    different +=
        size == 1 || !std::isnan(float_at(type, a, i)) || !std::isnan(float_at(type, b, i));
  }
  return different;
}

/// Runs the kernel and its definition; y ends at a page that must not be touched, and what lies
/// before it must stay. With `alias` the residual is y.
void check_row(setup s, const arrays& a, std::size_t row, std::size_t col0, std::size_t count,
               number_type y_type, bool alias) {
  const std::size_t size = size_of(y_type);
  const std::size_t cols = col0 + count;
  std::vector<std::uint8_t> want(cols * size, guarded_array<std::uint8_t>::poison);
  static guarded_array<std::uint8_t> y(num_cols * sizeof(float), side::end);
  std::uint8_t* got = y.data() + y.size() - cols * size;
  std::memset(y.data(), guarded_array<std::uint8_t>::poison, y.size());
  if (alias) {
    random_bits random(count);
    for (std::size_t i = 0; i < cols; ++i) {
      const float v = random.normal();
      detail::store_number({}, v, i, got, y_type);
      detail::store_number({}, v, i, want.data(), y_type);
    }
    s.e.residual = got;
    s.e.residual_type = y_type;
    s.e.residual_stride = 0;
  }
  apply_epilogue(s.e, a.sums, s.second, row, col0, count, got, y_type, s.channels);
  if (alias) s.e.residual = want.data();
  for (std::size_t i = 0; i < count; ++i) {
    const float v = detail::epilogue_value(
        s.e, a.sums[i], s.second != nullptr ? s.second + i : s.second, row, col0 + i, s.channels);
    detail::store_number(s.e, v, col0 + i, want.data(), y_type);
  }
  if (count_different(y_type, got, want.data(), cols) != 0) {
    for (std::size_t i = 0; i < cols; ++i) {
      if (count_different(y_type, got + i * size, want.data() + i * size, 1) == 0) continue;
      INFO("count " << count << " col0 " << col0 << " y " << name_of(y_type) << " act "
                    << static_cast<int>(s.e.act) << " rule "
                    << static_cast<int>(s.e.requantize.rule) << " sum "
                    << (i < col0 ? 0 : a.sums[i - col0]));
      FAIL("column " << i);
    }
  }
  for (const std::uint8_t* p = y.data(); p < got; ++p) {
    if (*p != guarded_array<std::uint8_t>::poison) FAIL("written before y");
  }
}

constexpr requantize_rule all_rules[] = {
    requantize_rule::float_scale, requantize_rule::fixed_double, requantize_rule::fixed_single,
    requantize_rule::float_multiplier};

/// Calls fn(setup, y type) with everything that `members` leaves open.
template <class Fn>
void for_each_setup(const arrays& a, unsigned members, activation act, Fn&& fn) {
  for (const number_type y_type : all_types) {
    for (const requantize_rule rule : all_rules) {
      if (size_of(y_type) != 1 && rule != requantize_rule::float_scale) continue;
      for (const number_type residual : {number_type::f32, number_type::bf16, number_type::f16}) {
        if (!(members & has_residual) && residual != number_type::f32) continue;
        fn(make_setup(a, members, act, residual, rule, y_type), y_type);
      }
    }
  }
}

}  // namespace

TEST_CASE("epilogue: the members apply in their order", "[epilogue]") {
  // By hand: ((10 * 0.5 - 9 = -4) -> relu 0; second: (3 * 2 + 1 = 7)) 0 * 7 = 0; + 2.5 = 2.5.
  //          ((10 * 2 + 1 = 21) -> 21;       second: (3 * -1 + 1 = -2)) -42; + 1 = -41; low -8.
  alignas(64) const float sums[16] = {10, 10};
  alignas(64) const float second[16] = {3, 3};
  const float scale[] = {0.5f, 2};
  const float bias[] = {-9, 1};
  const float second_scale[] = {2, -1};
  const float second_bias[] = {1, 1};
  const float residual[] = {2.5f, 1};
  epilogue e;
  e.channel_scale = scale;
  e.bias = bias;
  e.act = activation::relu;
  e.residual = residual;
  e.low = -8;
  e.high = 100;
  const float out_scale = 0.5f;
  e.requantize.scale = &out_scale;
  e.requantize.zero_point = 1;
  for_each_target([&](const char* target) {
    INFO(target);
    float y[2];
    apply_epilogue(e, sums, second, 0, 0, 2, y, number_type::f32, {second_scale, second_bias});
    REQUIRE(y[0] == 2.5f);
    REQUIRE(y[1] == -8.0f);
    std::int8_t code[2];
    apply_epilogue(e, sums, second, 0, 0, 2, code, number_type::int8, {second_scale, second_bias});
    REQUIRE(code[0] == 6);
    REQUIRE(code[1] == -15);
    std::uint16_t half[2];
    apply_epilogue(e, sums, nullptr, 0, 0, 2, half, number_type::bf16);
    REQUIRE(half[0] == 0x4020);  // 0 + 2.5
    REQUIRE(half[1] == 0x41B0);  // 21 + 1 = 22
  });
}

TEST_CASE("epilogue: each member alone, every count, every type of result", "[epilogue]") {
  const arrays a(1);
  for_each_target([&](const char* target) {
    INFO(target);
    for (std::size_t count = 1; count <= 40; ++count) {
      for (unsigned m = 0; m <= 9; ++m) {
        const unsigned members =
            m == 0 ? 0u : (1u << (m - 1)) | (m >= 4 && m <= 5 ? has_second : 0u);
        for_each_setup(a, members, activation::none, [&](const setup& s, number_type y_type) {
          check_row(s, a, 2, count % 5, count, y_type, false);
        });
      }
      for (const activation act : all_activations) {
        for_each_setup(a, 0, act, [&](const setup& s, number_type y_type) {
          check_row(s, a, 0, 0, count, y_type, false);
        });
      }
    }
  });
}

TEST_CASE("epilogue: any set of members, long rows too", "[epilogue]") {
  for_each_target([&](const char* target) {
    INFO(target);
    for (unsigned members = 0; members < 512; ++members) {
      const arrays a(100 + members);
      const activation act = all_activations[members % 5];
      const std::size_t count = 1 + members * 7 % max_count;
      for_each_setup(a, members, act, [&](const setup& s, number_type y_type) {
        check_row(s, a, members % 3, members % 17, count, y_type, false);
      });
    }
  });
}

TEST_CASE("epilogue: the residual may be y itself", "[epilogue]") {
  const arrays a(2);
  for_each_target([&](const char* target) {
    INFO(target);
    for (std::size_t count = 1; count <= 40; ++count) {
      for (const number_type y_type : {number_type::f32, number_type::bf16, number_type::f16}) {
        for (const activation act : all_activations) {
          const setup s = make_setup(a, has_scale | has_bias, act, y_type,
                                     requantize_rule::float_scale, y_type);
          check_row(s, a, 0, count % 3, count, y_type, true);
        }
      }
    }
  });
}

TEST_CASE("epilogue: no array is read past its last column", "[epilogue]") {
  const arrays a(4);
  const auto guarded = []<class T>(const T* from, std::size_t n) {
    guarded_array<T> g(n, side::end);
    std::memcpy(g.data(), from, n * sizeof(T));
    g.make_read_only();
    return g;
  };
  for_each_target([&](const char* target) {
    INFO(target);
    for (std::size_t count = 1; count <= 33; ++count) {
      const auto scale = guarded(a.scale, count);
      const auto bias = guarded(a.bias, count);
      const auto second_scale = guarded(a.second_scale, count);
      const auto second_bias = guarded(a.second_bias, count);
      const auto residual_f32 = guarded(a.residual_f32, count);
      const auto residual_16 = guarded(a.residual_16, count);
      const auto out_scale = guarded(a.out_scale, count);
      const auto multiplier = guarded(a.multiplier, count);
      const auto shift = guarded(a.shift, count);
      for_each_setup(a, 511, activation::silu, [&](setup s, number_type y_type) {
        s.e.channel_scale = scale.data();
        s.e.bias = bias.data();
        s.channels.channel_scale = second_scale.data();
        s.channels.bias = second_bias.data();
        s.e.residual = s.e.residual_type == number_type::f32
                           ? static_cast<const void*>(residual_f32.data())
                           : residual_16.data();
        s.e.requantize.scale = out_scale.data();
        s.e.requantize.multiplier = multiplier.data();
        s.e.requantize.shift = shift.data();
        check_row(s, a, 0, 0, count, y_type, false);
      });
    }
  });
}

TEST_CASE("epilogue: nothing set is a copy of the bits", "[epilogue]") {
  alignas(64) std::uint32_t bits[48];
  random_bits random(3);
  for (std::uint32_t& b : bits) b = random.bits32();
  bits[5] = 0xFF812345;  // a signalling NaN
  float sums[48];
  std::memcpy(sums, bits, sizeof(sums));
  for_each_target([&](const char* target) {
    INFO(target);
    for (std::size_t count = 0; count <= 40; ++count) {
      float y[48] = {};
      apply_epilogue({}, sums, nullptr, 0, 1, count, y, number_type::f32);
      REQUIRE(std::memcmp(y + 1, sums, count * sizeof(float)) == 0);
      for (std::size_t i = count + 1; i < 48; ++i) REQUIRE(y[i] == 0.0f);
      REQUIRE(y[0] == 0.0f);
    }
  });
}

TEST_CASE("epilogue: activations are the same bits on every target, over all exponents",
          "[epilogue]") {
  const std::uint32_t step = heavy() ? 101 : 20011;
  for_each_target([&](const char* target) {
    INFO(target);
    for (const activation act : all_activations) {
      epilogue e;
      e.act = act;
      std::size_t wrong = 0;
      std::uint64_t b = 0;
      while (b < std::uint64_t{1} << 32) {
        alignas(64) float sums[64];
        float y[64];
        for (float& v : sums) {
          v = std::bit_cast<float>(static_cast<std::uint32_t>(b));
          b += step;
        }
        apply_epilogue(e, sums, nullptr, 0, 0, 64, y, number_type::f32);
        for (std::size_t i = 0; i < 64; ++i) wrong += !same(y[i], detail::activate(act, sums[i]));
      }
      CAPTURE(static_cast<int>(act));
      REQUIRE(wrong == 0);
    }
  });
}

TEST_CASE("epilogue: fixed-point rules are exact on every target", "[epilogue]") {
  for_each_target([&](const char* target) {
    INFO(target);
    random_bits random(5);
    for (const requantize_rule rule :
         {requantize_rule::fixed_double, requantize_rule::fixed_single}) {
      std::size_t wrong = 0;
      for (int round = 0; round < 20000; ++round) {
        alignas(64) float sums[32];
        std::int32_t multiplier[32];
        std::int32_t shift[32];
        // Wide enough a range that the result's every bit shows over the rounds.
        const std::int32_t zero_point = static_cast<std::int32_t>(random.below(200)) - 100;
        for (std::size_t i = 0; i < 32; ++i) {
          const auto any = static_cast<std::int32_t>(random.bits32()) >> random.below(32);
          const std::int32_t x = random.below(8) == 0 ? extreme_ints[random.below(23)] : any;
          sums[i] = static_cast<float>(x);
          multiplier[i] = random.below(8) == 0 ? multipliers[random.below(8)]
                                               : static_cast<std::int32_t>(random.bits32() >> 1);
          // Mostly a shift that brings the result near the range of a code.
          const int log2_x = x == 0 ? 0
                                    : 32 - std::countl_zero(static_cast<std::uint32_t>(
                                               std::abs(static_cast<std::int64_t>(x))));
          shift[i] = random.below(4) == 0 ? static_cast<std::int32_t>(random.below(62)) - 31
                                          : std::clamp(8 - log2_x, -31, 30);
        }
        epilogue e;
        e.requantize.rule = rule;
        e.requantize.per_channel = true;
        e.requantize.multiplier = multiplier;
        e.requantize.shift = shift;
        e.requantize.zero_point = zero_point;
        std::int8_t y[32];
        apply_epilogue(e, sums, nullptr, 0, 0, 32, y, number_type::int8);
        for (std::size_t i = 0; i < 32; ++i) {
          const float f = sums[i];
          const std::int32_t x = f >= 2147483648.0f ? int32_max : static_cast<std::int32_t>(f);
          const std::int64_t t = rule == requantize_rule::fixed_double
                                     ? exact_double(x, multiplier[i], shift[i])
                                     : exact_single(x, multiplier[i], shift[i]);
          wrong += y[i] != std::clamp<std::int64_t>(t + zero_point, -128, 127);
        }
      }
      REQUIRE(wrong == 0);
    }
  });
}
