// SPDX-License-Identifier: Apache-2.0 OR MIT
// The searching GGUF quantizers: the scalar ones give the original's bytes, the vector ones those
// of the scalar on every target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "format/gguf_search_test.cc"
// The targets of dispatch.h. -march=haswell has no AES, so Highway's baseline would be SSSE3.
#if defined(__x86_64__) && !defined(HWY_DISABLED_TARGETS)
#define HWY_DISABLED_TARGETS (HWY_SSE2 | HWY_SSSE3 | HWY_AVX3_DL | HWY_AVX3_ZEN4 | HWY_AVX3_SPR)
#if !defined(__SSE4_2__) || !defined(__AES__) || !defined(__PCLMUL__)
#define HWY_BASELINE_TARGETS HWY_SSE4
#endif
#endif
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "nibble/kernel/gguf_search-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {

/// FitBlocks as a function that has an address.
template <class Type>
HWY_NOINLINE void FitBlocksHere(const float* x, size_t num_blocks, size_t blocks_per_row,
                                const float* importance, const float* row_mean_square,
                                typename Type::block* out) {
  FitBlocks<Type>(x, num_blocks, blocks_per_row, importance, row_mean_square, out);
}

/// NearestInBook of n values; n is a multiple of 16.
HWY_NOINLINE void NearestOfIq4(const float* v, size_t n, float* position, float* entry) {
  const hn::CappedTag<float, 16> df;
  for (size_t i = 0; i < n; i += hn::Lanes(df)) {
    const auto value = hn::LoadU(df, v + i);
    hn::StoreU(NearestInBook<iq4_nl, true>(df, value), df, position + i);
    hn::StoreU(NearestInBook<iq4_nl, false>(df, value), df, entry + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "nibble/format/gguf.h"
#include "support/catch.h"
#include "support/golden.h"

namespace nibble::inline NIBBLE_ABI {

template <class Type>
void fit_blocks(const float* x, std::size_t num_blocks, std::size_t blocks_per_row,
                const float* importance, const float* row_mean_square, typename Type::block* out) {
  HWY_EXPORT_T(table, FitBlocksHere<Type>);
  HWY_DYNAMIC_DISPATCH_T(table)(x, num_blocks, blocks_per_row, importance, row_mean_square, out);
}

void nearest_of_iq4(const std::vector<float>& v, std::vector<float>& position,
                    std::vector<float>& entry) {
  HWY_EXPORT_T(table, NearestOfIq4);
  HWY_DYNAMIC_DISPATCH_T(table)(v.data(), v.size(), position.data(), entry.data());
}

}  // namespace nibble::inline NIBBLE_ABI

namespace {

using namespace nibble;
namespace search = gguf::search;
using nibble_test::golden;

template <class Fn>
void for_each_target(Fn fn) {
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    const std::int64_t target = left & -left;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    fn(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

/// A search type, the record its fields go to, and the name of both in the golden vectors.
template <class Search, class Wire>
struct pair {
  using type = Search;
  using wire = Wire;
};
using always_searching =
    std::tuple<pair<search::q2_k, gguf::q2_K>, pair<search::q3_k, gguf::q3_K>,
               pair<search::q4_k, gguf::q4_K>, pair<search::q5_k, gguf::q5_K>,
               pair<search::q6_k, gguf::q6_K>, pair<search::iq4_nl, gguf::iq4_nl>,
               pair<search::iq4_xs, gguf::iq4_xs>>;
using searching_with_importance =
    std::tuple<pair<search::q2_k, gguf::q2_K>, pair<search::q3_k, gguf::q3_K>,
               pair<search::q4_k, gguf::q4_K>, pair<search::q5_k, gguf::q5_K>,
               pair<search::q6_k, gguf::q6_K>, pair<search::iq4_nl, gguf::iq4_nl>,
               pair<search::iq4_xs, gguf::iq4_xs>, pair<search::q4_0, gguf::q4_0>,
               pair<search::q4_1, gguf::q4_1>, pair<search::q5_0, gguf::q5_0>,
               pair<search::q5_1, gguf::q5_1>>;

const char* const input_names[] = {"normal",   "weights",  "heavy",    "laplace", "outliers",
                                   "uniform",  "positive", "negative", "zeros",   "const",
                                   "constneg", "spike",    "tiny",     "tinier",  "big",
                                   "ternary",  "grid",     "ties"};
constexpr std::size_t golden_cols = 512;

/// The bytes of a record from its fields; sections are in the order of format/wire.h.
template <class P>
void pack(const typename P::type::block& b, std::uint8_t* bytes) {
  using T = typename P::type;
  using L = typename P::wire::layout;
  std::size_t section = 0;
  const auto put = [&](auto code, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) store_bits(bytes, L::locate(section, i), code(i));
    ++section;
  };
  const std::size_t num_scales = T::max_scale != 0 ? T::num_sub : 0;
  put([&](std::size_t i) { return b.codes[i]; }, T::values);
  if (num_scales != 0) put([&](std::size_t i) { return b.scales[i]; }, num_scales);
  put([&](std::size_t) { return b.d; }, 1);
  if (T::how != search::kind::affine) return;
  if (num_scales != 0) put([&](std::size_t i) { return b.mins[i]; }, num_scales);
  put([&](std::size_t) { return b.dmin; }, 1);
}

float mean_square(const float* x, std::size_t n) {
  return gguf::detail::sum_of_squares(x, n) / static_cast<float>(n);
}

template <class Type>
std::vector<typename Type::block> scalar_fit(const std::vector<float>& x, std::size_t cols,
                                             const float* importance) {
  std::vector<typename Type::block> out(x.size() / Type::values);
  for (std::size_t b = 0; b < out.size(); ++b) {
    const std::size_t first = b * Type::values;
    const std::size_t row = first / cols;
    const float ms = mean_square(x.data() + row * cols, cols);
    const float* imp = importance == nullptr ? nullptr : importance + first % cols;
    gguf::search_fit<Type>(x.data() + first, imp, ms, out[b]);
  }
  return out;
}

template <class Type>
std::vector<typename Type::block> vector_fit(const std::vector<float>& x, std::size_t cols,
                                             const float* importance) {
  std::vector<float> ms;
  for (std::size_t i = 0; i < x.size(); i += cols) {
    ms.push_back(mean_square(x.data() + i, std::min(cols, x.size() - i)));
  }
  const std::size_t num = x.size() / Type::values;
  std::vector<typename Type::block> out(num + 1);
  std::memset(static_cast<void*>(&out[num]), 0xA5, sizeof(out[num]));  // must not be written
  const auto guard = out[num];
  fit_blocks<Type>(x.data(), num, cols / Type::values, importance, ms.data(), out.data());
  REQUIRE(std::memcmp(&guard, &out[num], sizeof(guard)) == 0);
  out.pop_back();
  return out;
}

template <class P>
void check_golden(bool weighted) {
  const std::string type{P::wire::name};
  const auto importance = golden::load<float>("imatrix");
  for (const std::string input : input_names) {
    INFO(type << " " << input << (weighted ? " with importance" : ""));
    const auto x = golden::load<float>("in." + input);
    const auto expected =
        golden::load<std::uint8_t>("ggml.q." + type + "." + input + (weighted ? ".imat" : ""));
    const float* imp = weighted ? importance.data() : nullptr;
    const auto blocks = scalar_fit<typename P::type>(x, golden_cols, imp);
    std::vector<std::uint8_t> bytes(blocks.size() * P::wire::block_bytes);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      pack<P>(blocks[b], bytes.data() + b * P::wire::block_bytes);
    }
    REQUIRE(bytes == expected);
  }
}

/// Inputs of many kinds; each kind fills a quarter to all of its blocks.
std::vector<float> make_values(int kind, std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float g = normal(random);
    const float u = uniform(random);
    const std::size_t block = i / 256;
    switch (kind) {
      case 0: x[i] = g; break;
      case 1: x[i] = g / (u * u + 1e-4f); break;                         // heavy tails
      case 2: x[i] = block % 2 == 0 ? -0.37f : 0.61f; break;             // constants
      case 3: x[i] = i / 16 % 3 == 0 ? g : 0.0f; break;                  // zero sub-blocks
      case 4: x[i] = i % 256 == block % 256 ? 100.0f * g : 0.0f; break;  // one outlier
      case 5: x[i] = g * 1e-38f; break;
      case 6: x[i] = u * 3e38f; break;
      case 7: x[i] = static_cast<float>(static_cast<int>(random() % 33) - 16) * 0.5f; break;
      case 8: x[i] = static_cast<float>(static_cast<int>(random() % 256) - 128); break;
      case 9: x[i] = std::ldexp(g, static_cast<int>(random() % 240) - 120); break;
      case 10: x[i] = -100.0f + static_cast<float>(random() % 3) * 7.6e-6f; break;  // ulps
      case 11: x[i] = u > 0.97f ? u : 0.0f; break;
      case 12: x[i] = std::fabs(g); break;
      case 13: x[i] = std::ldexp(g, -static_cast<int>(i / 32 % 30)); break;  // scales of all sizes
      case 14: x[i] = std::ldexp(g, -static_cast<int>(block % 50) - 10); break;
      default: x[i] = g * 1e-20f; break;
    }
  }
  return x;
}
constexpr int num_kinds = 16;

std::vector<float> make_importance(int kind, std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  std::vector<float> w(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float u = uniform(random);
    w[i] = kind % 4 == 0   ? u * u * 10
           : kind % 4 == 1 ? (u < 0.5f ? 0.0f : u)  // columns that never were active
           : kind % 4 == 2 ? 1.0f
                           : u * (i / 256 % 2 == 0 ? 1e30f : 1e-30f);
  }
  return w;
}

template <class Type>
void check_equal(const std::vector<float>& x, std::size_t cols, const float* importance) {
  const auto expected = scalar_fit<Type>(x, cols, importance);
  for_each_target([&](const char* target) {
    INFO(target);
    const auto got = vector_fit<Type>(x, cols, importance);
    std::size_t first = 0;
    while (first < got.size() && std::memcmp(&got[first], &expected[first], sizeof(got[0])) == 0) {
      ++first;
    }
    INFO("first block that differs: " << first);
    REQUIRE(first == got.size());
  });
}

// Of each of the 16 kinds: 10240 in all, for every type and target.
constexpr std::size_t num_super_blocks = 640;

}  // namespace

TEMPLATE_LIST_TEST_CASE("searched blocks are ggml's bytes", "[gguf_search]", always_searching) {
  check_golden<TestType>(false);
}

TEMPLATE_LIST_TEST_CASE("searched blocks with importance are ggml's bytes", "[gguf_search]",
                        searching_with_importance) {
  check_golden<TestType>(true);
}

TEMPLATE_LIST_TEST_CASE("vector search equals the scalar search", "[gguf_search]",
                        always_searching) {
  for (int kind = 0; kind < num_kinds; ++kind) {
    INFO("kind " << kind);
    const auto x = make_values(kind, 256 * num_super_blocks, 17u + static_cast<unsigned>(kind));
    check_equal<typename TestType::type>(x, 1024, nullptr);
  }
}

TEMPLATE_LIST_TEST_CASE("vector search with importance equals the scalar search", "[gguf_search]",
                        searching_with_importance) {
  for (int kind = 0; kind < num_kinds; ++kind) {
    INFO("kind " << kind);
    const auto x = make_values(kind, 256 * num_super_blocks, 99u + static_cast<unsigned>(kind));
    const auto importance = make_importance(kind / 4 + kind, 1280, 5u);
    check_equal<typename TestType::type>(x, 1280, importance.data());
  }
}

TEMPLATE_LIST_TEST_CASE("vector search of any number of blocks writes these and no others",
                        "[gguf_search]", searching_with_importance) {
  using type = typename TestType::type;
  const auto importance = make_importance(0, type::values * 3, 6u);
  for (std::size_t num = 0; num <= 35; ++num) {
    INFO(num << " blocks");
    const auto x = make_values(0, type::values * num, 1000u + static_cast<unsigned>(num));
    if (num % 3 == 0) check_equal<type>(x, type::values * 3, importance.data());
    if (num != 0 && type::weight != search::plain::none) {
      check_equal<type>(x, type::values * num, nullptr);
    }
  }
}

TEST_CASE("the nearest IQ4 entry is that of the rounded distances, on every target",
          "[gguf_search]") {
  const auto& book = nibble::iq4_nl::table;
  std::vector<float> values{-1e30f,
                            1e30f,
                            -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::infinity(),
                            0.0f,
                            -0.0f,
                            1e-40f,
                            -1e-40f};
  for (std::size_t i = 0; i + 1 < book.size(); ++i) {
    for (const float start : {book[i], (book[i] + book[i + 1]) * 0.5f}) {
      float down = start;
      float up = start;
      for (int ulps = 0; ulps < 1000; ++ulps) {
        values.push_back(down);
        values.push_back(up);
        down = std::nextafter(down, -1e9f);
        up = std::nextafter(up, 1e9f);
      }
    }
  }
  for (float v = -160; v < 160; v += 0.03125f) values.push_back(v);
  while (values.size() % 16 != 0) values.push_back(0);
  for (const float v : values) {
    std::size_t i = 0;  // as written in the format's description
    if (v >= book[15]) {
      i = 15;
    } else if (v > book[0]) {
      while (v >= book[i + 1]) ++i;
      const float below = v - book[i];
      const float above = book[i + 1] - v;
      if (!(below < above)) ++i;
    }
    CAPTURE(v);
    REQUIRE(nearest_in_book(book, v) == static_cast<float>(i));
  }
  REQUIRE(nearest_in_book(book, std::numeric_limits<float>::quiet_NaN()) == 0);
  for_each_target([&](const char* target) {
    std::vector<float> position(values.size());
    std::vector<float> entry(values.size());
    nearest_of_iq4(values, position, entry);
    for (std::size_t i = 0; i < values.size(); ++i) {
      INFO(target << " " << values[i]);
      REQUIRE(position[i] == nearest_in_book(book, values[i]));
      REQUIRE(entry[i] == book[static_cast<std::size_t>(position[i])]);
    }
  });
}

#endif  // HWY_ONCE
