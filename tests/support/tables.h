// SPDX-License-Identifier: Apache-2.0 OR MIT
// The run-time tables of formats: which formats they have, how they are made in parts, looked up.
#ifndef NIBBLE_TESTS_SUPPORT_TABLES_H_
#define NIBBLE_TESTS_SUPPORT_TABLES_H_

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "nibble/formats.h"

namespace nibble_test {

/// NIBBLE_TEST_FORMATS=few: every width of codes, every way to store a scale or a shift, every
/// extent, searches of GGUF, and all that tests of products name.
namespace few {
using namespace nibble;
using formats =
    type_list<f32, f16, bf16, int8_tensor_f32, int8_channel_f32, int8_g32_f16, uint8_channel_f32_z,
              uint8_g32_f16_z, int4_g32_f16, int4_g128_f16, int4_channel_f32, int4_g32_f32,
              uint4_g32_f16_z, uint4_g32_f32_z, uint4_g32_f16_zf, uint4_g128_f16_zf,
              uint4_channel_f32_zf, uint6_g32_f16_z, int5_g32_f16, int3_g32_f16, uint3_g32_f16_z,
              int2_g32_f16, ternary_tensor_f32, ternary_g64_f16, binary_g128_f16,
              fp8_e4m3fn_channel_f32, fp8_e4m3fn_t128_f32, fp8_e4m3fn_g128_f32, dynamic8_g256_f32,
              mxfp8_e4m3, mxfp6_e3m2, mxfp4, mxint8, nvfp4, nf4_g64_f32, nf4_g64_dq, nf4_g32_f16,
              gguf::q4_0, gguf::q5_1, gguf::q8_0, gguf::q8_1, gguf::tq1_0, gguf::nvfp4, gguf::q2_K,
              gguf::q4_K, gguf::q6_K, gguf::q8_K, gguf::iq4_xs>;
}  // namespace few

/// The formats that the tables have.
#ifdef NIBBLE_TEST_FEW_FORMATS
using test_formats = few::formats;
#else
using test_formats = nibble::all_formats;
#endif
static_assert(test_formats::size > 0);

/// Tables are compiled in this many units (CMake says it).
inline constexpr std::size_t table_parts = NIBBLE_TEST_TABLE_PARTS;

/// Lines of one part, in order: defined by the units that CMake makes from table_part.cc.in.
template <class Line, std::size_t Part>
std::vector<Line> table_part();

/// make.operator()<F>() for the formats of one part.
template <class Line, std::size_t Part, class Make>
std::vector<Line> lines_of_part(const Make& make) {
  std::vector<Line> lines;
  const auto add = [&]<std::size_t I, class F>() {
    if constexpr (I * table_parts / test_formats::size == Part) {
      lines.push_back(make.template operator()<F>());
    }
  };
  [&]<class... F, std::size_t... I>(nibble::type_list<F...>, std::index_sequence<I...>) {
    (add.template operator()<I, F>(), ...);
  }(test_formats{}, std::make_index_sequence<test_formats::size>{});
  return lines;
}

/// All parts.
template <class Line>
const std::vector<Line>& whole_table() {
  static const std::vector<Line> table = []<std::size_t... P>(std::index_sequence<P...>) {
    std::vector<Line> all;
    for (const auto part : {&table_part<Line, P>...}) {
      const std::vector<Line> lines = part();
      all.insert(all.end(), lines.begin(), lines.end());
    }
    std::printf("the table has %zu of %zu formats\n", all.size(), nibble::num_formats);
    return all;
  }
  (std::make_index_sequence<table_parts>{});
  return table;
}

template <class Line>
const Line& line_named(std::string_view name) {
  for (const Line& line : whole_table<Line>()) {
    if (line.name == name) return line;
  }
  std::fprintf(stderr, "no format is called %.*s\n", static_cast<int>(name.size()), name.data());
  std::abort();
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_TABLES_H_
