// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed products of books of a user's own, on every target: whole numbers of every span, and
// values that have no levels.
#include "nibble/gemm.h"

#include "nibble/explain.h"
#include "support/gemm_checks.h"
#include "support/make_erased_gemm.h"

using namespace nibble_test;

namespace {

/// 2^Bits - Missing whole numbers from Low to High, in steps as even as can be.
template <int Bits, int Low, int High, int Missing = 0>
struct whole_numbers {
  static constexpr std::string_view name = "whole_numbers";
  static constexpr auto values = [] {
    constexpr int last = (1 << Bits) - Missing - 1;
    std::array<float, last + 1> v{};
    for (int i = 0; i <= last; ++i) {
      v[static_cast<std::size_t>(i)] = static_cast<float>(Low + (High - Low) * i / last);
    }
    return v;
  }();
};
struct huge_value {
  static constexpr std::string_view name = "huge_value";
  static constexpr std::array<float, 8> values{-1e30f, -1, -0.5f, 0, 0.25f, 0.5f, 1, 2};
};
struct unlike_values {
  static constexpr std::string_view name = "unlike_values";
  static constexpr std::array<float, 4> values{-1000, 0, 1, 2};
};
struct tiny_values {
  static constexpr std::string_view name = "tiny_values";
  static constexpr std::array<float, 4> values{-3e-45f, 0, 3e-39f, 4e-39f};
};
struct fp4_ieee : nibble::minifloat<2, 1, 1, nibble::float_kind::ieee> {
  static constexpr std::string_view name = "fp4_ieee";
};

template <class Book>
inline constexpr int bound_of = nibble::detail::codec_of<nibble::codebook<Book>>::highest;

template <class Element>
struct of_element : nibble::block<Element, 32, nibble::scale<nibble::f16>> {
  static constexpr std::string_view name = Element::name;
};
template <class Book>
using of_book = of_element<nibble::codebook<Book>>;

template <class F>
erased_format sizes_of() {
  erased_format f{};
  f.name = F::name;
  f.section_sizes = [](std::size_t rows, std::size_t cols) {
    std::vector<section_size> sizes;
    nibble::detail::for_each_section<F>(rows, cols, [&](std::size_t r, std::size_t b) {
      sizes.push_back({r, b});
    });
    return sizes;
  };
  return f;
}

/// Weights of some codes with scales of 1.
template <class F, class CodeOf>
weights weights_of(const erased_gemm& ops, std::size_t n, std::size_t k, const CodeOf& code_of) {
  using E = typename F::element;
  const erased_format f = sizes_of<F>();
  quantized_parts q(f, n, k, 0, 0, 0);
  const auto view = nibble_test::detail::view_of<F>(q.writable(), n, k);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t c = 0; c < k; ++c) {
      nibble::store_code<E>(view.sections[0], r, c,
                            static_cast<typename E::code>(code_of(r, c) % (1u << E::bits)));
    }
    for (std::size_t b = 0; b < (k + 31) / 32; ++b) {
      nibble::store_code<nibble::f16>(view.sections[1], r, b, nibble::f16::encode(1));
    }
  }
  return weights(ops, std::move(q), n, k);
}

/// The code of the smallest, or largest, value.
template <class E>
unsigned extreme(bool largest) {
  unsigned best = 0;
  for (unsigned c = 1; c < 1u << E::bits; ++c) {
    const float v = E::decode(static_cast<typename E::code>(c));
    const float b = E::decode(static_cast<typename E::code>(best));
    if (largest ? v > b : v < b) best = c;
  }
  return best;
}

/// All codes, with random and with extreme activations, by every instruction of every target.
template <class F>
void check_levels(int bound) {
  using E = typename F::element;
  static_assert(nibble::supports<F>(compute_path::integer));
  CHECK(nibble::detail::codec_of<E>::highest == bound);
  constexpr std::size_t m = 18;
  constexpr std::size_t n = 35;
  constexpr std::size_t k = 256;
  const erased_gemm ops = make_erased_gemm<F>();
  random_bits random(seed_of("books", n, k));
  const unsigned low = extreme<E>(false);
  const unsigned high = extreme<E>(true);
  const weights some[] = {
      weights_of<F>(ops, n, k, [&](std::size_t, std::size_t) { return random.next() >> 7; }),
      weights_of<F>(ops, n, k, [&](std::size_t r, std::size_t) { return r % 2 == 0 ? high : low; }),
  };
  const auto values = make_values(fill::normal, m * k, 3);
  std::vector<std::int8_t> codes(m * k);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = i / k % 2 == 0 ? 127 : -128;
  const std::vector<float> ones(m, 1.0f);
  context with(parallel::serial());
  closeness close;
  for (const weights& w : some) {
    for (const activations& x :
         {as_activations(values, m, k),
          activations(matrix_view<const std::int8_t>(codes.data(), m, k), ones.data())}) {
      const expectation want(w, x);
      for_each_target([&](const char* target) {
        for (const nibble::extension set : extension_sets()) {
          INFO("highest level " << bound << " on " << target << ", extensions "
                                << static_cast<unsigned>(set));
          const auto o = options_of(compute_path::integer, set);
          CHECK(disagreement(multiply(w, x, with, o), want, compute_path::integer, close) == "");
          CHECK(disagreement(multiply(w, first_rows(x, 1), with, o), want, compute_path::integer,
                             close) == "");
        }
      });
    }
  }
}

/// No integer path: int8 activations on the automatic path are right all the same.
template <class F>
void check_without_levels(bool has_nan) {
  using E = typename F::element;
  static_assert(!nibble::supports<F>(compute_path::integer));
  constexpr std::size_t m = 3;
  constexpr std::size_t n = 20;
  constexpr std::size_t k = 64;
  const erased_gemm ops = make_erased_gemm<F>();
  CHECK_FALSE(ops.has_levels);
  // Finite codes but for the last row, which has all of them.
  const weights w = weights_of<F>(ops, n, k, [&](std::size_t r, std::size_t c) {
    const unsigned code = static_cast<unsigned>(r + c) % (1u << E::bits);
    const float v = E::decode(static_cast<typename E::code>(code));
    return r + 1 < n && !(std::fabs(v) < 1e30f) ? 0u : code;
  });
  std::vector<std::int8_t> codes(m * k);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int8_t>(i * 37);
  const std::vector<float> scales(m, 0.25f);
  const activations x(matrix_view<const std::int8_t>(codes.data(), m, k), scales.data());
  const expectation want(w, x);
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    INFO(F::name << " on " << target);
    const auto y = multiply(w, x, with, {});
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (i % n + 1 == n && has_nan) {
        CHECK(std::isnan(y[i]));
      } else {
        CHECK(std::fabs(static_cast<double>(y[i]) - want.exact[i]) <=
              want.bounds[2][i] + 0x1p-149 * static_cast<double>(k));
      }
    }
  });
}

}  // namespace

TEST_CASE("whole numbers of every span are multiplied exactly, whatever multiplies them") {
  check_levels<of_book<whole_numbers<5, -9, 22>>>(31);
  check_levels<of_book<whole_numbers<5, -40, 87>>>(127);
  check_levels<of_book<whole_numbers<5, -89, 55, 12>>>(255);    // 20 of them
  check_levels<of_book<whole_numbers<6, -127, 127, 31>>>(255);  // 33
}

TEST_CASE("the bound of levels is that of the book") {
  CHECK(bound_of<whole_numbers<5, -15, 16>> == 31);
  CHECK(bound_of<whole_numbers<5, -16, 16>> == 127);
  CHECK(bound_of<whole_numbers<6, -63, 64>> == 127);
  CHECK(bound_of<whole_numbers<6, -64, 64>> == 255);
  CHECK(bound_of<whole_numbers<4, 0, 31>> == 31);
  CHECK(bound_of<whole_numbers<4, 0, 32>> == 127);
  CHECK(bound_of<whole_numbers<4, -1, 127>> == 255);
  // 5 and 6 bits have levels only where they are exact.
  CHECK_FALSE(nibble::detail::codec_of<nibble::codebook<whole_numbers<6, -1, 128>>>::has_levels);
}

TEST_CASE("values without levels are multiplied as floats, int8 activations too") {
  check_without_levels<of_element<fp4_ieee>>(true);
  check_without_levels<of_book<huge_value>>(false);
  check_without_levels<of_book<unlike_values>>(false);
  check_without_levels<of_book<tiny_values>>(false);
}
