// SPDX-License-Identifier: Apache-2.0 OR MIT
// explain(): every format takes vector code on every target and path, and the figures are right.
#include "nibble/explain.h"

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/target.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

#include "support/catch.h"
#include "support/targets.h"

namespace {

using namespace nibble;
using nibble_test::for_each_target;

constexpr compute_path all_paths[] = {compute_path::integer, compute_path::bf16,
                                      compute_path::exact};

template <class F>
call_plan explain_as(compute_path path, std::size_t m = 3) {
  const auto w = packed_matrix<F>::create(40, 512);
  REQUIRE(w.has_value());
  const std::vector<float> x(m * 512);
  const context with(parallel::serial());
  gemm_options options;
  options.path = path;
  return explain(*w, matrix_view<const float>(x.data(), m, 512), with, options);
}

// The one known exception, which explain() names: 256-entry tables without a gather instruction.
bool known_slow(std::string_view format, compute_path path, std::string_view target) {
  return format == "dynamic8_g256_f32" && path != compute_path::integer &&
         (target == "SSE4" || target.starts_with("NEON"));
}

}  // namespace

TEST_CASE("no format falls to scalar code on any target and path", "[explain]") {
  std::size_t calls = 0;
  for_each_target([&](const char* target) {
    for_each_format([&]<class F>() {
      for (const compute_path path : all_paths) {
        if (!supports<F>(path)) continue;
        INFO(target << ' ' << F::name << ' ' << name_of(path));
        const call_plan plan = explain_as<F>(path);
        CHECK(std::string_view(plan.target) == target);
        CHECK(plan.path == path);
        CHECK(std::string_view(plan.reason) == "asked for");
        CHECK(plan.vector_bytes >= 16);
        CHECK(!std::string_view(plan.kernel).empty());
        CHECK(std::string_view(plan.kernel).find("scalar") == std::string_view::npos);
        const bool one_lane =
            std::string_view(plan.decode).find("one lane") != std::string_view::npos;
        CHECK(one_lane == known_slow(F::name, path, target));
        ++calls;
      }
    });
  });
  CHECK(calls >= num_targets() * num_formats * 2);
}

#if defined(__aarch64__) && defined(__linux__)
TEST_CASE("on Arm the best instructions that the CPU has are taken", "[explain]") {
  const unsigned long first = getauxval(AT_HWCAP);
  const unsigned long second = getauxval(AT_HWCAP2);
  const auto w = packed_matrix<int4_g32_f16>::create(16, 512);
  REQUIRE(w.has_value());
  const std::vector<float> x(512);
  const context with(parallel::serial());
  const auto kernel = [&](compute_path path, extension some) -> std::string {
    gemm_options options;
    options.path = path;
    options.extensions = some;
    return explain(*w, matrix_view<const float>(x.data(), 1, 512), with, options).kernel;
  };
  for_each_target([&](const char* target) {
    const bool sve = std::string_view(target).starts_with("SVE");
    // Where more lanes are in a register than kernels use, blocks cannot be zipped.
    const unsigned vector_bytes = sve ? unsigned(prctl(PR_SVE_GET_VL)) & 0xFFFFu : 16;
    const bool whole = vector_bytes <= 64;
    const bool dotprod = sve || (first >> 20 & 1) != 0;
    const bool i8mm = whole && dotprod && (second >> (sve ? 9 : 13) & 1) != 0;
    const bool bf16 = whole && (second >> (sve ? 12 : 14) & 1) != 0;
    const char* const widened = "bf16 widened, f32 multiply-add";
    INFO(target << ", vectors of " << vector_bytes << " bytes");
    CHECK(kernel(compute_path::integer, extension::none) == (sve ? "sdot" : "smull"));
    CHECK(kernel(compute_path::integer, extension::arm_dotprod) == (dotprod ? "sdot" : "smull"));
    CHECK(kernel(compute_path::integer, extension::any) == (i8mm      ? "usmmla, usdot"
                                                            : dotprod ? "sdot"
                                                                      : "smull"));
    CHECK(kernel(compute_path::bf16, extension::none) == widened);
    CHECK(kernel(compute_path::bf16, extension::any) == (bf16 ? "bfmmla, bfdot" : widened));
  });
}
#endif

TEST_CASE("every format of whole numbers and of 4 bits has the integer path", "[explain]") {
  STATIC_REQUIRE(supports<int8_channel_f32>(compute_path::integer));
  STATIC_REQUIRE(supports<gguf::q4_K>(compute_path::integer));
  STATIC_REQUIRE(supports<nf4_g64_f32>(compute_path::integer));
  STATIC_REQUIRE(supports<mxfp6_e2m3>(compute_path::integer));
  STATIC_REQUIRE(!supports<mxfp6_e3m2>(compute_path::integer));
  STATIC_REQUIRE(!supports<fp8_e4m3fn_channel_f32>(compute_path::integer));
  STATIC_REQUIRE(!supports<f16>(compute_path::integer));
  for_each_format([]<class F>() {
    STATIC_REQUIRE(supports<F>(compute_path::automatic));
    STATIC_REQUIRE(supports<F>(compute_path::bf16));
    STATIC_REQUIRE(supports<F>(compute_path::exact));
    CHECK(supports<F>(explain_as<F>(compute_path::automatic).path));
  });
}

TEST_CASE("a plan counts what must be read, written and computed", "[explain]") {
  const auto w = packed_matrix<int4_g32_f16>::create(4096, 1024);
  REQUIRE(w.has_value());
  const std::vector<std::uint16_t> x(7 * 1024);
  const context with(parallel::serial());
  const call_plan plan = explain(
      *w, activations(matrix_view<const std::uint16_t>(x.data(), 7, 1024), number_type::bf16), with,
      {}, number_type::bf16);
  CHECK(plan.weight_bytes == w->bytes());
  CHECK(plan.weight_bytes == 4096 * 1024 * 9 / 16);
  CHECK(plan.x_bytes == 7 * 1024 * 2);
  CHECK(plan.y_bytes == 7 * 4096 * 2);
  CHECK(plan.operations == std::uint64_t{2} * 7 * 4096 * 1024);
  CHECK(plan.threads == 1);
  CHECK(plan.num_tasks * plan.task_rows * plan.task_cols >= 7 * 4096);
  CHECK(plan.path == compute_path::integer);
  CHECK(plan.per_block_scales);
  CHECK(plan.scale_cols == 32);
  const plan_text text = to_text(plan);
  CHECK(std::string_view(text).find("path integer on ") == 0);
  CHECK(std::string_view(text).size() < sizeof text.text - 100);
}

TEST_CASE("a plan tells which activations share a scale, and why nf4 is multiplied as integers",
          "[explain]") {
  const auto w = packed_matrix<int8_channel_f32>::create(64, 4096);
  REQUIRE(w.has_value());
  const std::vector<float> x(4096);
  const context with(parallel::serial());
  const matrix_view<const float> input(x.data(), 1, 4096);
  gemm_options options;
  const call_plan per_row = explain(*w, input, with, options);
  CHECK_FALSE(per_row.per_block_scales);
  CHECK(per_row.scale_cols == 4096);
  options.scale = activation_scale::per_128;
  const call_plan per_128 = explain(*w, input, with, options);
  CHECK(per_128.per_block_scales);
  CHECK(per_128.scale_cols == 128);
  CHECK(std::string_view(to_text(per_128)).find("a scale of x per 128 columns") !=
        std::string_view::npos);
  options.path = compute_path::exact;
  CHECK(explain(*w, input, with, options).scale_cols == 0);

  const call_plan nf4 = explain_as<nf4_g64_f32>(compute_path::automatic, 1);
  CHECK(nf4.path == compute_path::integer);
  CHECK(std::string_view(nf4.reason) == "the codes are whole numbers nearly");
}

TEST_CASE("nothing is nothing to do", "[explain]") {
  const call_plan plan = explain_as<int4_g32_f16>(compute_path::automatic, 0);
  CHECK(plan.num_tasks == 0);
  CHECK(plan.threads == 0);
  CHECK(plan.operations == 0);
}

TEST_CASE("a plan tells of outliers", "[explain]") {
  auto w = packed_matrix<int4_g32_f16>::create(64, 512);
  REQUIRE(w.has_value());
  const std::vector<float> x(3 * 512);
  const context with(parallel::serial());
  const matrix_view<const float> input(x.data(), 3, 512);
  gemm_options options;
  const call_plan before = explain(*w, input, with, options);
  CHECK(before.single_outliers + before.outlier_columns == 0);
  CHECK(!before.splits_x);
  CHECK(std::string_view(to_text(before)).find("f32 beside") == std::string_view::npos);

  outlier_data sizes;
  sizes.num_values = 10;
  sizes.num_columns = 2;
  sizes.value_type = number_type::bf16;
  auto outliers = packed_outliers::create(64, 512, sizes);
  REQUIRE(outliers.has_value());
  // Ten in row 0, columns 0 to 9; whole columns 0 and 1.
  std::memset(outliers->array(2), 0, 20);
  std::memset(outliers->array(4), 0, 512);
  for (std::uint16_t i = 0; i < 10; ++i) std::memcpy(outliers->array(1) + 2 * i, &i, 2);
  for (std::uint32_t r = 0; r <= 64; ++r) {
    const std::uint32_t begin = r == 0 ? 0 : 10;
    std::memcpy(outliers->array(0) + 4 * r, &begin, 4);
  }
  for (std::uint32_t i = 0; i < 2; ++i) std::memcpy(outliers->array(3) + 4 * i, &i, 4);
  REQUIRE(w->attach(std::move(*outliers)) == errc::ok);
  options.outlier_threshold = llm_int8_threshold;
  const call_plan plan = explain(*w, input, with, options);
  CHECK(plan.single_outliers == 10);
  CHECK(plan.outlier_columns == 2);
  CHECK(plan.splits_x);
  // 65 row_begin, 10 columns, 10 bf16, 2 columns' numbers, 2 x 64 floats, each to 64 bytes.
  CHECK(plan.weight_bytes == before.weight_bytes + 320 + 64 + 64 + 64 + 512);
  CHECK(plan.operations == before.operations + 2 * 3 * (10 + 2 * 64));
  CHECK(std::string_view(to_text(plan)).find("10 single weights, 2 columns") !=
        std::string_view::npos);
  options.path = compute_path::exact;
  CHECK(!explain(*w, input, with, options).splits_x);
}
