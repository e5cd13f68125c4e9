// SPDX-License-Identifier: Apache-2.0 OR MIT
// AMX kernels on a CPU without: their own code, with tile registers emulated. Levels get the bits
// of the vector kernels, bf16 stays within rounding of the same products in double.
#ifdef __x86_64__
#include "support/emulated_tiles.h"

#define NIBBLE_EMULATE_AMX ::nibble_test::emulated_tiles
// Tiles belong to one target. Another one is left so that targets are chosen as ever.
#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS \
  (HWY_SSE2 | HWY_SSSE3 | HWY_AVX2 | HWY_AVX3 | HWY_AVX3_ZEN4 | HWY_AVX3_SPR)
#include <thread>

#include "nibble/gemm.h"
#include "nibble/quantize.h"
#include "nibble/target.h"
#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;
using namespace nibble_test;

namespace {

using tiles = emulated_tiles;

/// Segments that are neither 16, 32 nor a multiple of 64.
struct int4_g160 : block<int4, 160, scale<f16>> {
  static constexpr std::string_view name = "int4_g160";
};
struct int4_g96_z : block<uint4, 96, scale<f32>, zero<uint4>> {
  static constexpr std::string_view name = "int4_g96_z";
};

bool has_target() { return force_target("AVX3_DL"); }

gemm_options with_tiles(compute_path path) {
  gemm_options o;
  o.path = path;
  return o;
}
gemm_options without_tiles(compute_path path) {
  gemm_options o;
  o.path = path;
  o.extensions = extension::none;
  return o;
}

template <format F>
struct weights {
  std::vector<float> values;  ///< dequantized
  packed_matrix<F> packed;
};
template <format F>
weights<F> make_weights(std::size_t n, std::size_t k, fill kind = fill::normal) {
  weights<F> w;
  w.values = make_values(kind, n * k, seed_of(F::name, n, k));
  const auto q = quantize<F>(matrix_view<const float>(w.values.data(), n, k));
  REQUIRE(q);
  REQUIRE(dequantize(*q, matrix_view<float>(w.values.data(), n, k)) == errc::ok);
  auto packed = pack<F>(*q);
  REQUIRE(packed);
  w.packed = std::move(*packed);
  return w;
}

template <format F>
std::vector<float> product_of(const weights<F>& w, const activations& x, const gemm_options& o,
                              const parallel& threads = parallel::serial()) {
  context with(threads);
  std::vector<float> y(x.rows * w.packed.rows(), quiet_nan);
  REQUIRE(gemm<F>(w.packed, x, matrix_view<float>(y.data(), x.rows, w.packed.rows()), with, {},
                  o) == errc::ok);
  CHECK_FALSE(tiles::configured());
  return y;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

activations view_of(const std::vector<float>& x, std::size_t rows, std::size_t cols) {
  return matrix_view<const float>(x.data(), rows, cols);
}

/// Two threads.
parallel two_threads() {
  parallel p;
  p.num_threads = 2;
  p.run = [](void*, std::size_t num_tasks, task_function fn, void* tasks) {
    std::thread other([&] {
      for (std::size_t i = 1; i < num_tasks; i += 2) fn(tasks, i, 1);
    });
    for (std::size_t i = 0; i < num_tasks; i += 2) fn(tasks, i, 0);
    other.join();
  };
  return p;
}

struct size {
  std::size_t m;
  std::size_t n;
  std::size_t k;
};
// Whole and half tiles of x, odd panels, ends of k of every kind, several chunks of k and of rows.
constexpr size sizes[] = {{16, 16, 32},   {17, 33, 64},   {31, 48, 96},   {32, 64, 128},
                          {33, 80, 224},  {48, 130, 480}, {40, 20, 672},  {70, 70, 1600},
                          {19, 16, 4160}, {35, 40, 6176}, {530, 17, 192}, {20, 1, 7},
                          {16, 18, 40}};

template <format F>
void check_levels() {
  for (const size s : sizes) {
    INFO(F::name << " " << s.m << " x " << s.n << " x " << s.k);
    const auto w = make_weights<F>(s.n, s.k);
    const auto x = make_values(fill::heavy_tailed, s.m * s.k, seed_of("x", s.m, s.k));
    const long before = tiles::signed_dots + tiles::unsigned_dots;
    const auto y = product_of(w, view_of(x, s.m, s.k), with_tiles(compute_path::integer));
    CHECK(tiles::signed_dots + tiles::unsigned_dots > before);
    const long after = tiles::signed_dots + tiles::unsigned_dots;
    const auto want = product_of(w, view_of(x, s.m, s.k), without_tiles(compute_path::integer));
    CHECK(tiles::signed_dots + tiles::unsigned_dots == after);
    CHECK(same_bits(y, want));
  }
}

/// Codes as activations, with and without zero points, the extremes among them.
template <format F>
void check_codes() {
  for (const size s : sizes) {
    INFO(F::name << " " << s.m << " x " << s.n << " x " << s.k);
    const auto w = make_weights<F>(s.n, s.k);
    random_bits random(seed_of(F::name, s.m, s.k));
    std::vector<std::uint8_t> codes(s.m * s.k);
    for (auto& c : codes)
      c = random.below(3) == 0 ? 0x80 : random.below(3) == 0 ? 0x7F : random.byte();
    std::vector<float> scales(s.m);
    std::vector<std::int32_t> zeros(s.m);
    for (std::size_t r = 0; r < s.m; ++r) {
      scales[r] = random.uniform() + 0.1f;
      zeros[r] = random.byte();
    }
    const activations by_row[] = {
        activations(matrix_view<const std::int8_t>(
                        reinterpret_cast<const std::int8_t*>(codes.data()), s.m, s.k),
                    scales.data()),
        activations(matrix_view<const std::uint8_t>(codes.data(), s.m, s.k), scales.data(),
                    zeros.data())};
    for (const activations& x : by_row) {
      CHECK(same_bits(product_of(w, x, with_tiles(compute_path::integer)),
                      product_of(w, x, without_tiles(compute_path::integer))));
    }
  }
}

float nearest_bf16(float v) { return bf16::decode(bf16::encode(v)); }

/// Largest error over its bound.
template <format F>
double check_halves() {
  double closest = 0;
  for (const size s : sizes) {
    INFO(F::name << " " << s.m << " x " << s.n << " x " << s.k);
    const auto w = make_weights<F>(s.n, s.k);
    const auto x = make_values(fill::normal, s.m * s.k, seed_of("x", s.m, s.k));
    const long before = tiles::half_dots;
    const auto y = product_of(w, view_of(x, s.m, s.k), with_tiles(compute_path::bf16));
    CHECK(tiles::half_dots > before);
    // Sums of at most k products, in any order: k roundings, and some to leave the tiles.
    const double roundings = static_cast<double>(s.k + 16) * 0x1p-24;
    for (std::size_t m = 0; m < s.m; ++m) {
      for (std::size_t n = 0; n < s.n; ++n) {
        double exact = 0;
        double sizes_sum = 0;
        for (std::size_t k = 0; k < s.k; ++k) {
          const double t = static_cast<double>(nearest_bf16(w.values[n * s.k + k])) *
                           static_cast<double>(nearest_bf16(x[m * s.k + k]));
          exact += t;
          sizes_sum += std::fabs(t);
        }
        const double error = std::fabs(static_cast<double>(y[m * s.n + n]) - exact);
        const double bound = roundings / (1 - roundings) * sizes_sum;
        if (!(error <= bound)) FAIL_CHECK(m << ", " << n << ": " << error << " > " << bound);
        if (bound > 0) closest = std::max(closest, error / bound);
      }
    }
    // Any rows and threads: the same bits.
    CHECK(same_bits(
        y, product_of(w, view_of(x, s.m, s.k), with_tiles(compute_path::bf16), two_threads())));
    for (const std::size_t rows : {std::size_t{1}, s.m / 2}) {
      const auto part = product_of(w, view_of(x, rows, s.k), with_tiles(compute_path::bf16));
      CHECK(same_bits(part, std::vector<float>(y.begin(), y.begin() + std::ptrdiff_t(rows * s.n))));
    }
  }
  return closest;
}

}  // namespace

TEST_CASE("tiles multiply levels to the bits of vectors") {
  if (!has_target()) return;
  check_levels<int8_channel_f32>();
  check_levels<uint8_g32_f16_z>();
  check_levels<int4_g32_f16>();
  check_levels<int4_g128_f16>();
  check_levels<int4_g160>();
  check_levels<int4_g96_z>();
  check_levels<uint4_channel_f32_zf>();
  check_levels<gguf::q4_K>();
  check_levels<gguf::q6_K>();
  check_levels<gguf::iq4_nl>();
  check_levels<nvfp4>();
}

TEST_CASE("tiles take activations that are codes, with zero points") {
  if (!has_target()) return;
  check_codes<int8_channel_f32>();
  check_codes<uint8_g32_f16_z>();
  check_codes<int4_g32_f16>();
  check_codes<int4_g160>();
  check_codes<uint4_channel_f32_zf>();
}

TEST_CASE("tiles do not saturate") {
  if (!has_target()) return;
  constexpr std::size_t n = 32;
  constexpr std::size_t k = 4096;
  auto w = make_weights<int8_channel_f32>(n, k, fill::negative);
  std::memset(w.packed.buffer(), 0, n * k);  // the codes: all -128
  const std::vector<std::int8_t> x(16 * k, std::int8_t{-128});
  const std::vector<float> scales(16, 1.0f);
  const activations codes(matrix_view<const std::int8_t>(x.data(), 16, k), scales.data());
  const auto y = product_of(w, codes, with_tiles(compute_path::integer));
  CHECK(same_bits(y, product_of(w, codes, without_tiles(compute_path::integer))));
  CHECK(y[0] != 0);
}

TEST_CASE("tiles multiply bf16 within the roundings of a sum") {
  if (!has_target()) return;
  double closest = 0;
  closest = std::max(closest, check_halves<int4_g32_f16>());
  closest = std::max(closest, check_halves<int4_g160>());
  closest = std::max(closest, check_halves<gguf::q6_K>());
  closest = std::max(closest, check_halves<nf4_g64_f32>());
  closest = std::max(closest, check_halves<fp8_e4m3fn_channel_f32>());
  closest = std::max(closest, check_halves<bf16>());
  std::printf("bf16 tiles: largest error / bound: %.2f\n", closest);
  CHECK(closest > 0.001);
}

TEST_CASE("tiles multiply the rows that are routed to an expert") {
  if (!has_target()) return;
  constexpr std::size_t m = 60;
  constexpr std::size_t n = 50;
  constexpr std::size_t k = 416;
  const auto w = make_weights<int4_g32_f16>(n, k);
  const auto x = make_values(fill::normal, m * k, 1);
  random_bits random(7);
  std::vector<std::uint32_t> rows[3];  // many, few, two in three
  std::vector<std::uint32_t> to[3];
  for (std::uint32_t r = 0; r < m; ++r) {
    const std::size_t e = r % 20 == 3 ? 1 : r % 3 == 0 ? 2 : 0;
    rows[e].push_back(m - 1 - r);
    to[e].push_back(r);
  }
  for (const compute_path path : {compute_path::integer, compute_path::bf16}) {
    std::vector<float> y[2];
    for (const bool with : {false, true}) {
      y[with].assign(m * n, quiet_nan);
      product<int4_g32_f16> products[3];
      for (std::size_t e = 0; e < 3; ++e) {
        products[e].w = w.packed.view();
        products[e].y = matrix_view<float>(y[with].data(), m, n);
        products[e].x_rows = rows[e].data();
        products[e].y_rows = to[e].data();
        products[e].num_rows = rows[e].size();
      }
      context serial(parallel::serial());
      REQUIRE(gemm_many<int4_g32_f16>(products, view_of(x, m, k), serial,
                                      with ? with_tiles(path) : without_tiles(path)) == errc::ok);
    }
    if (path == compute_path::integer) {
      CHECK(same_bits(y[0], y[1]));
    } else {
      const auto plain = product_of(w, view_of(x, m, k), with_tiles(path));
      for (std::size_t r = 0; r < m; ++r) {
        CHECK(std::memcmp(&y[1][r * n], &plain[(m - 1 - r) * n], n * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("tiles are chosen for many rows, and only where allowed") {
  if (!has_target()) return;
  constexpr std::size_t k = 64;
  const auto w = make_weights<fp8_e4m3fn_channel_f32>(16, k);
  const auto x = make_values(fill::normal, 16 * k, 1);
  const auto dots = [&](std::size_t m, const gemm_options& o) {
    const long before = tiles::half_dots;
    product_of(w, view_of(x, m, k), o);
    return tiles::half_dots - before;
  };
  CHECK(dots(16, with_tiles(compute_path::automatic)) > 0);
  CHECK(dots(15, with_tiles(compute_path::automatic)) == 0);
  CHECK(dots(16, without_tiles(compute_path::automatic)) == 0);
  CHECK(dots(16, with_tiles(compute_path::exact)) == 0);
  CHECK(dots(1, with_tiles(compute_path::bf16)) > 0);
  if (force_target("SSE4")) CHECK(dots(16, with_tiles(compute_path::bf16)) == 0);
}
#endif  // __x86_64__
