// SPDX-License-Identifier: Apache-2.0 OR MIT
// Arrays of codes into quantized matrices and out of them: every section of every format.
#include "nibble/format/code_arrays.h"

#include <vector>

#include "nibble/formats.h"
#include "support/cases.h"
#include "support/catch.h"

using namespace nibble;
using nibble_test::random_bits;
using nibble_test::seed_of;

namespace {

constexpr std::size_t rows = 3;

/// The matrix's bytes.
template <class F>
std::vector<std::uint8_t> bytes_of(const quantized_matrix<F>& w) {
  const std::uint8_t* data = w.view().sections[0].data;
  return {data, data + quantized_view<F>::buffer_bytes(w.rows(), w.cols())};
}

template <class F>
constexpr std::size_t num_arrays = num_sections<typename detail::meaning_of<F>::type>;

/// fn.operator()<Section>() for every section of F or of its meaning.
template <class F, class Fn>
void for_each_array(Fn&& fn) {
  [&]<std::size_t... S>(std::index_sequence<S...>) { (fn.template operator()<S>(), ...); }
  (std::make_index_sequence<num_arrays<F>>{});
}

/// Random codes for a section; those of base-3 digits are at most 2.
template <class F, std::size_t Section>
std::vector<section_code<F, Section>> random_codes(std::size_t count, std::uint64_t seed) {
  using E = typename decltype(detail::section_element<typename detail::meaning_of<F>::type,
                                                      Section>())::type;
  random_bits random(seed);
  std::vector<section_code<F, Section>> codes(count);
  const bool ternary_codes = std::is_same_v<E, ternary>;
  for (auto& c : codes) {
    const std::uint32_t bits = random.bits32();
    const std::uint32_t mask =
        E::bits == 32 ? 0xFFFFFFFFu : (std::uint32_t{1} << (E::bits % 32)) - 1;
    c = static_cast<section_code<F, Section>>(ternary_codes ? bits % 3 : bits & mask);
  }
  return codes;
}

}  // namespace

TEST_CASE("codes of one's own: every section of every format, in and out again") {
  for_each_format([]<class F>() {
    for (const std::size_t cols : {std::size_t{1}, std::size_t{33}, std::size_t{512 + 48}}) {
      INFO(F::name << ", " << cols << " columns");
      auto w = *quantized_matrix<F>::create(rows, cols);
      using meaning = typename detail::meaning_of<F>::type;
      auto parts = *quantized_matrix<meaning>::create(rows, cols);
      for_each_array<F>([&]<std::size_t Section>() {
        INFO("section " << Section);
        const grid_shape shape = detail::section_shape<F>(Section, rows, cols);
        const auto codes =
            random_codes<F, Section>(shape.rows * shape.cols, seed_of(F::name, Section, cols));
        REQUIRE(store_codes<Section>(w, {codes.data(), shape.rows, shape.cols}) == errc::ok);
        // One at a time, into the sections of the meaning.
        using E = typename decltype(detail::section_element<meaning, Section>())::type;
        for (std::size_t i = 0; i < codes.size(); ++i) {
          store_code<E>(parts.view().sections[Section], i / shape.cols, i % shape.cols, codes[i]);
        }
      });
      for_each_array<F>([&]<std::size_t Section>() {
        INFO("section " << Section);
        const grid_shape shape = detail::section_shape<F>(Section, rows, cols);
        std::vector<section_code<F, Section>> got(shape.rows * shape.cols);
        REQUIRE(load_codes<Section>(w, {got.data(), shape.rows, shape.cols}) == errc::ok);
        CHECK(got ==
              random_codes<F, Section>(shape.rows * shape.cols, seed_of(F::name, Section, cols)));
      });
      if constexpr (wire_format<F>) {  // the same record as from all sections
        auto records = *quantized_matrix<F>::create(rows, cols);
        REQUIRE(to_wire<F>(parts.view(), records.view()) == errc::ok);
        CHECK(bytes_of(records) == bytes_of(w));
      }
    }
  });
}

TEST_CASE("codes of one's own: rows are padded with codes of zero") {
  auto w = *quantized_matrix<nf4_g64_f32>::create(2, 3);
  const std::vector<std::uint8_t> codes{1, 2, 3, 4, 5, 6};
  REQUIRE(store_codes(w, {codes.data(), 2, 3}) == errc::ok);
  const std::vector<std::uint8_t> want{0x21, 0x73, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77};
  const std::uint8_t* row = w.view().sections[0].data;
  CHECK(std::vector<std::uint8_t>(row, row + 8) == want);
  // Codes of a row in a matrix that is wider: a stride.
  REQUIRE(store_codes(w, {codes.data(), 2, 3, 1 + 2}) == errc::ok);
}

TEST_CASE("codes of one's own: what does not fit is refused, and nothing is written") {
  auto w = *quantized_matrix<gguf::tq1_0>::create(2, 256);
  std::vector<std::uint8_t> codes(512, 1);
  REQUIRE(store_codes(w, {codes.data(), 2, 256}) == errc::ok);
  const auto before = bytes_of(w);
  CHECK(store_codes(w, {codes.data(), 2, 255}) == errc::shape_mismatch);
  CHECK(store_codes(w, {codes.data(), 1, 256}) == errc::shape_mismatch);
  codes[511] = 3;  // no digit of base 3
  codes[0] = 2;
  CHECK(store_codes(w, {codes.data(), 2, 256}) == errc::invalid_argument);
  CHECK(bytes_of(w) == before);
  matrix_view<const std::uint8_t> nothing;
  nothing.rows = 2;
  nothing.cols = 256;
  CHECK(store_codes(w, nothing) == errc::invalid_argument);
  std::vector<std::uint8_t> got(512, 9);
  CHECK(load_codes(w, {got.data(), 2, 200}) == errc::shape_mismatch);
  CHECK(got == std::vector<std::uint8_t>(512, 9));
}
