// SPDX-License-Identifier: Apache-2.0 OR MIT
// Elements of a user: a codebook, and a type with nothing but the two functions.
#include "element/vector_cases.h"

namespace {

struct unsorted_book {
  static constexpr std::string_view name = "unsorted";
  static constexpr std::array<float, 5> values{0.5f, -1.0f, 0.0f, 1.0f, -0.0f};
};

// 200 values out of order: more than a register holds, and ranks are not codes.
struct big_book {
  static constexpr std::string_view name = "big";
  static constexpr nibble::book_ties ties = nibble::book_ties::toward_zero;
  static constexpr std::array<float, 200> values = [] {
    std::array<float, 200> v{};
    for (std::size_t i = 0; i < v.size(); ++i) {
      const auto at = static_cast<float>(i * 77 % 200);
      v[i] = at * at * 0.01f - 100.0f;
    }
    return v;
  }();
};

struct fractions_of_seven {
  using code = std::uint8_t;
  static constexpr std::string_view name = "fractions_of_seven";
  static constexpr int bits = 5;
  static constexpr float max = 31.0f / 7;
  static constexpr float lowest = 0.0f;
  static constexpr bool has_nan = false;
  static constexpr bool has_inf = false;
  static constexpr code zero_code = 0;
  static constexpr float decode(code c) noexcept { return static_cast<float>(c & 31) / 7.0f; }
  static constexpr code encode(float x, nibble::encode_policy = {}) noexcept {
    if (!(x > 0)) return 0;
    return static_cast<code>(x >= max ? 31 : static_cast<int>(x * 7.0f + 0.5f));
  }
};

}  // namespace

TEST_CASE("a user's elements: the vector codecs are the scalar ones on every target",
          "[elements]") {
  nibble_test::check_vector_codecs(
      nibble::element_list<nibble::codebook<unsorted_book>, nibble::codebook<big_book>,
                           fractions_of_seven>{});
}
