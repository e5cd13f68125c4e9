// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed products against the reference: every format, path and target, every remainder of m, n and
// k. NIBBLE_TEST_HEAVY=1 runs every shape with every format.
#include "support/gemm_checks.h"

using namespace nibble_test;

namespace {

constexpr std::size_t most_rows = 33;
constexpr std::size_t some_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17};
constexpr std::size_t some_n[] = {1, 15, 16, 17, 33, 64, 65, 130};

std::vector<std::size_t> some_k() {
  std::vector<std::size_t> all;
  for (std::size_t k = 1; k <= 33; ++k) all.push_back(k);
  for (const std::size_t k : {48u, 64u, 65u, 100u, 127u, 255u, 256u, 257u, 300u}) all.push_back(k);
  return all;
}

std::vector<shape> shapes_for(std::uint64_t seed, std::size_t count) {
  std::vector<shape> all;
  for (const std::size_t n : some_n) {
    for (const std::size_t k : some_k()) all.push_back({n, k});
  }
  if (heavy()) return all;
  random_bits random(seed);
  std::vector<shape> picked;
  for (std::size_t i = 0; i < count; ++i) picked.push_back(all[random.below(all.size())]);
  return picked;
}

constexpr fill kinds_of_x[] = {fill::normal, fill::heavy_tailed, fill::ties, fill::outlier,
                               fill::positive};

/// All paths and targets of one shape; then fewer rows, which must get the same bits.
std::size_t check_shape(const erased_gemm& g, shape size, std::size_t rows, closeness& close) {
  const std::uint64_t seed = seed_of(g.name, size.rows, size.cols);
  random_bits random(seed);
  const weights w(g, size.rows, size.cols, random.next());
  const std::vector<float> values =
      make_values(kinds_of_x[random.below(5)], rows * size.cols, random.next());
  const activations x = as_activations(values, rows, size.cols);
  const expectation want(w, x);
  std::size_t bad = 0;
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    for (const compute_path path : all_paths) {
      if (!can(g, path)) continue;
      const auto say = [&](std::size_t m, const std::string& text) {
        if (text.empty() || ++bad > 3) return;
        FAIL_CHECK(g.name << " " << m << " x " << size.rows << " x " << size.cols << ", "
                          << name_of(path) << " on " << target << ": " << text);
      };
      const auto y = multiply(w, x, with, options_of(path));
      say(rows, disagreement(y, want, path, close));
      for (const nibble::extension some : extension_sets()) {
        const auto other = multiply(w, x, with, options_of(path, some));
        const std::string text = disagreement(other, want, path, close);
        if (!text.empty()) say(rows, text + "; extensions " + std::to_string(unsigned(some)));
      }
      for (const std::size_t m : some_rows) {
        if (m >= rows || (!heavy() && random.below(3) != 0)) continue;
        const auto fewer = multiply(w, first_rows(x, m), with, options_of(path));
        say(m, difference(fewer, std::span(y).first(fewer.size())));
      }
    }
  });
  return bad;
}

void print_line(const erased_gemm& g, const closeness& close) {
  std::printf("%-25s", std::string(g.name).c_str());
  for (const compute_path path : all_paths) {
    if (can(g, path)) {
      std::printf(" %5.2f", close.of(path));
    } else {
      std::printf("     -");
    }
  }
  std::printf("\n");
}

}  // namespace

TEST_CASE("the table of products has a line for every format, in order") {
  REQUIRE(gemm_catalogue().size() == catalogue().size());
  for (std::size_t i = 0; i < catalogue().size(); ++i) {
    CHECK(gemm_catalogue()[i].name == catalogue()[i].name);
  }
}

// A bound that nothing comes near is too loose to find an error: docs/accuracy.md has this table.
TEST_CASE("every format, path and target agrees with the reference") {
  closeness of_all;
  std::printf("largest error / bound   integer bf16 exact\n");
  for (const erased_gemm& g : gemm_catalogue()) {
    closeness close;
    for (const shape size : shapes_for(seed_of(g.name), 30)) {
      CHECK(check_shape(g, size, most_rows, close) == 0);
    }
    print_line(g, close);
    of_all.add(close);
    for (const compute_path path : all_paths) {
      INFO(g.name << ", " << name_of(path));
      CHECK((!can(g, path) || close.of(path) > 0.2));
    }
  }
  of_all.print("small shapes");
  if (gemm_catalogue().size() < 10) return;  // the mutation check's tables: chance decides
  for (const compute_path path : all_paths) CHECK(of_all.of(path) > 0.5);
}

TEST_CASE("long rows agree with the reference") {
  closeness close;
  for (const erased_gemm& g : gemm_catalogue()) {
    random_bits random(seed_of(g.name, 4096));
    constexpr std::size_t long_k[] = {2048, 4095, 4096, 4097, 4128};
    CHECK(check_shape(g, {17, long_k[random.below(5)]}, 5, close) == 0);
  }
  close.print("long rows");
}

TEST_CASE("rows that share a scale of scales agree with the reference, wherever they begin") {
  closeness close;
  for (const erased_gemm& g : gemm_catalogue()) {
    CHECK(check_shape(g, {100, 192}, 3, close) == 0);  // 3 blocks of 64 a row, 256 to a scale
  }
  close.print("shared scales of scales");
}

TEST_CASE("every remainder of m, n and k, for formats of each sort of block") {
  closeness close;
  for (const char* name : {"int8_channel_f32", "uint4_g32_f16_z", "q6_K", "nf4_g64_dq"}) {
    const erased_gemm& g = gemm_named(name);
    for (const std::size_t n : some_n) {
      for (const std::size_t k : some_k()) {
        if (!heavy() && n > 33 && k < 30 && k % 5 != 0) continue;
        CHECK(check_shape(g, {n, k}, 18, close) == 0);
      }
    }
  }
  close.print("all remainders");
}

TEST_CASE("rows longer than an int32 sum may be are several segments") {
  closeness close;
  for (const char* name :
       {"int8_channel_f32", "uint8_channel_f32_z", "int4_channel_f32", "uint4_channel_f32_zf",
        "ternary_tensor_f32", "fp8_e4m3fn_channel_f32"}) {
    for (const std::size_t k : {std::size_t{32768}, std::size_t{32769}, std::size_t{70001}}) {
      CHECK(check_shape(gemm_named(name), {3, k}, 3, close) == 0);
    }
  }
  close.print("several segments");
}
