// SPDX-License-Identifier: Apache-2.0 OR MIT
// Some thirty kernels, one after the other, each between two marks for callgrind: how many
// instructions each takes is repeatable where times are not. check.cmake runs this under valgrind
// and compares; alone it only runs them. AVX2, since valgrind knows no AVX-512.
#include <valgrind/callgrind.h>

#include <cstdio>

#include "nibble/any.h"
#include "nibble/target.h"
#include "support/any_format.h"
#include "support/random_floats.h"
#include "support/weights.h"

namespace {

constexpr std::size_t n = 256;
constexpr std::size_t k = 1024;

constexpr const char* element_formats[] = {"int8_channel_f32",
                                           "int4_g32_f16",
                                           "uint4_g32_f16_z",
                                           "nf4_g64_f32",
                                           "mxfp4",
                                           "nvfp4",
                                           "q4_0",
                                           "q4_K"};
constexpr const char* packed_formats[] = {"int8_channel_f32", "int4_g32_f16", "q4_K"};
constexpr const char* product_formats[] = {
    "int8_channel_f32", "int4_g32_f16", "int4_g128_f16", "q8_0", "q4_K", "q6_K", "mxfp4",
    "nf4_g64_f32",      "bf16"};

/// Stops if anything fails: a count of a call that did nothing would look like progress.
void expect(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "%s failed\n", what.c_str());
  std::exit(1);
}

template <class Fn>
void count(const std::string& name, Fn&& fn) {
  fn();  // allocations, choices of targets and tables are made once
  CALLGRIND_ZERO_STATS;
  CALLGRIND_START_INSTRUMENTATION;
  fn();
  CALLGRIND_STOP_INSTRUMENTATION;
  CALLGRIND_DUMP_STATS_AT(name.c_str());
}

const std::vector<float>& weights() {
  static const std::vector<float> w = bench::random_floats(n * k, 1, 0.02f);
  return w;
}

void count_quantizing(const examples::any_format& f) {
  const std::string name(f.name);
  examples::aligned_buffer<std::uint8_t> bytes;
  std::uint8_t* const w = bytes.resize(f.buffer_bytes(n, k));
  std::vector<float> y(n * k);
  count("quantize " + name, [&] {
    expect(f.quantize({weights().data(), n, k}, w, {}) == nibble::errc::ok, "quantize " + name);
  });
  count("dequantize " + name, [&] { f.dequantize(w, {y.data(), n, k}); });
  const auto is_it = [&](const char* packed) { return name == packed; };
  if (std::none_of(std::begin(packed_formats), std::end(packed_formats), is_it)) return;
  const nibble::any_format* const packed = nibble::find_format(name);
  nibble::context with;
  count("pack " + name, [&] {
    const std::span<const std::byte> from(reinterpret_cast<const std::byte*>(w),
                                          packed->quantized_bytes(n, k));
    expect(nibble::pack(*packed, from, n, k, with).has_value(), "pack " + name);
  });
}

void count_product(const char* name, std::size_t m) {
  nibble::context with;
  const auto w = nibble::pack(name, {weights().data(), n, k}, with);
  expect(w.has_value(), std::string("pack ") + name);
  const std::vector<float> x = bench::random_floats(m * k, 2);
  std::vector<float> y(m * n);
  count((m == 1 ? "gemv " : "gemm ") + std::string(name) + " m=" + std::to_string(m), [&] {
    expect(nibble::gemm(*w, nibble::matrix_view<const float>(x.data(), m, k),
                        nibble::matrix_view<float>(y.data(), m, n), with) == nibble::errc::ok,
           std::string("gemm ") + name);
  });
}

}  // namespace

int main() {
  if (!nibble::force_target("AVX2")) {
    std::fputs("this CPU has no AVX2\n", stderr);
    return 1;
  }
  for (const examples::any_format& f : examples::catalogue()) {
    const auto is_it = [&](const char* name) { return f.name == name; };
    if (std::any_of(std::begin(element_formats), std::end(element_formats), is_it)) {
      count_quantizing(f);
    }
  }
  for (const std::size_t m : {1u, 16u}) {
    for (const char* name : product_formats) count_product(name, m);
  }
  return 0;
}
