// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codebook elements: the code is an index into a table of up to 256 values.
//
// A book of your own is a struct with a name and values, in any order:
//
//   struct thirds {
//     static constexpr std::string_view name = "thirds";
//     static constexpr std::array<float, 4> values{-1.0f, -1.0f / 3, 1.0f / 3, 1.0f};
//   };
//   using thirds_element = nibble::codebook<thirds>;
//
// Encoding takes the nearest value. "Nearest" is decided by one comparison with each boundary
// between neighbours, so it is a search in a sorted list:
//
//   sorted     v0        v1             v2
//   boundary        b0          b1               rank of x = how many boundaries are below x
//
// b is the float nearest to the middle. A value exactly on it goes down, unless the book has a
// `ties` member or the policy asks for another rounding: each is only another list of boundaries.
#ifndef NIBBLE_ELEMENT_CODEBOOK_H_
#define NIBBLE_ELEMENT_CODEBOOK_H_

#include <array>

#include "nibble/element/element.h"

namespace nibble::inline NIBBLE_ABI {

/// Where a value half way between two entries of a book goes.
enum class book_ties : std::uint8_t { down, up, toward_zero };

namespace detail {

/// The next float below x. For finite x.
constexpr float next_below(float x) noexcept {
  const std::uint32_t b = bits_of(x);
  if ((b & ~f32_sign) == 0) return float_of(f32_sign | 1);
  return float_of((b & f32_sign) != 0 ? b + 1 : b - 1);
}

/// x goes to `hi` exactly when x > the boundary, otherwise to `lo`. Needs lo <= hi.
constexpr float book_boundary(float lo, float hi, rounding round, book_ties ties) noexcept {
  const float lo_size = lo < 0 ? -lo : lo;
  const float hi_size = hi < 0 ? -hi : hi;
  if (round == rounding::toward_zero || round == rounding::away_from_zero || lo == hi) {
    if (lo_size == hi_size) return next_below(0.0f);  // -v and v, or -0 and 0: the sign decides
    // One neighbour is the smaller magnitude; it, or the other, takes all between the two.
    const bool all_to_lo = (lo_size < hi_size) == (round == rounding::toward_zero);
    return all_to_lo ? next_below(hi) : lo;
  }
  const float middle = (lo + hi) * 0.5f;
  bool up = false;  // the middle itself
  switch (round) {
    case rounding::nearest_up: up = true; break;
    case rounding::nearest_away: up = middle >= 0; break;
    case rounding::nearest_down_magnitude: up = middle < 0; break;
    default: up = ties == book_ties::up || (ties == book_ties::toward_zero && middle < 0);
  }
  return up ? next_below(middle) : middle;
}

template <class Book>
constexpr book_ties ties_of() noexcept {
  if constexpr (requires { Book::ties; }) {
    return Book::ties;
  } else {
    return book_ties::down;
  }
}

template <class Book>
consteval bool values_are_finite() noexcept {
  for (const float v : Book::values) {
    if (!(v >= -0x1p126f && v <= 0x1p126f)) return false;
  }
  return true;
}

}  // namespace detail

template <class Book>
struct codebook {
  using code = std::uint8_t;
  static constexpr std::size_t num_values = Book::values.size();
  static_assert(num_values >= 2 && num_values <= 256, "nibble: a codebook has 2 to 256 values");
  static_assert(
      detail::values_are_finite<Book>(),
      "nibble: a codebook's values are finite, and at most 2^126; infinities and NaN in a weight "
      "become the book's ends and its zero");

  static constexpr std::string_view name = Book::name;
  static constexpr int bits = std::bit_width(num_values - 1);
  static constexpr bool has_nan = false;
  static constexpr bool has_inf = false;
  static constexpr book_ties ties = detail::ties_of<Book>();

  /// The value of each code. Codes above the book's values repeat the last one.
  static constexpr auto table = [] {
    std::array<float, std::size_t{1} << bits> t{};
    for (std::size_t i = 0; i < t.size(); ++i) {
      t[i] = Book::values[i < num_values ? i : num_values - 1];
    }
    return t;
  }();

  /// Codes by growing value; of equal values only the lowest code, -0 before 0.
  struct sorted_codes {
    std::array<code, num_values> codes{};
    std::size_t size = 0;
  };
  static constexpr sorted_codes sorted = [] {
    const auto before = [](float a, float b) {
      return a < b || (a == b && detail::bits_of(a) > detail::bits_of(b));
    };
    sorted_codes s;
    for (std::size_t c = 0; c < num_values; ++c) {
      const float v = table[c];
      std::size_t at = s.size;
      while (at > 0 && before(v, table[s.codes[at - 1]])) --at;
      if (at > 0 && detail::bits_of(table[s.codes[at - 1]]) == detail::bits_of(v)) continue;
      for (std::size_t i = s.size; i > at; --i) s.codes[i] = s.codes[i - 1];
      s.codes[at] = static_cast<code>(c);
      ++s.size;
    }
    return s;
  }();
  static constexpr std::size_t num_boundaries = sorted.size - 1;
  static_assert(num_boundaries >= 1, "nibble: a codebook has at least two different values");

  /// Increasing. The rank of x is the number of boundaries b with x > b; its code
  /// sorted.codes[rank].
  template <rounding Round>
  static constexpr auto boundaries = [] {
    std::array<float, num_boundaries> b{};
    for (std::size_t i = 0; i < num_boundaries; ++i) {
      b[i] = detail::book_boundary(table[sorted.codes[i]], table[sorted.codes[i + 1]], Round, ties);
    }
    return b;
  }();

  static constexpr const float* boundaries_for(rounding round) noexcept {
    switch (round) {
      case rounding::nearest_even: break;
      case rounding::nearest_away: return boundaries<rounding::nearest_away>.data();
      case rounding::nearest_up: return boundaries<rounding::nearest_up>.data();
      case rounding::nearest_down_magnitude:
        return boundaries<rounding::nearest_down_magnitude>.data();
      case rounding::toward_zero: return boundaries<rounding::toward_zero>.data();
      case rounding::away_from_zero: return boundaries<rounding::away_from_zero>.data();
    }
    return boundaries<rounding::nearest_even>.data();
  }

  static constexpr float decode(code c) noexcept { return table[c & ((1u << bits) - 1)]; }

  /// NaN becomes zero_code; infinities the end of the book.
  static constexpr code encode(float x, encode_policy policy = {}) noexcept {
    if (detail::is_nan(x)) return zero_code;
    return search(x, boundaries_for(policy.round));
  }

 private:
  // Halves the list of boundaries until one rank is left; no branch depends on x.
  static constexpr code search(float x, const float* boundary) noexcept {
    std::size_t rank = 0;
    for (std::size_t left = num_boundaries; left > 0;) {
      const std::size_t half = (left + 1) / 2;
      rank += x > boundary[rank + half - 1] ? half : 0;
      left -= half;
    }
    return sorted.codes[rank];
  }

 public:
  static constexpr float max = table[sorted.codes[num_boundaries]];
  static constexpr float lowest = table[sorted.codes[0]];
  static constexpr code zero_code = search(0.0f, boundaries<rounding::nearest_even>.data());
};

namespace detail {

// bitsandbytes create_normal_map: quantiles of the normal distribution, made symmetric in count by
// an exact zero (QLoRA, arXiv:2305.14314). Bits as published; decimals do not always round-trip.
struct nf4_book {
  static constexpr std::string_view name = "nf4";
  static constexpr std::array<float, 16> values{-1.0f,
                                                float_of(0xBF3239B1),
                                                float_of(0xBF066B30),
                                                float_of(0xBECA32A0),
                                                float_of(0xBE91A24D),
                                                float_of(0xBE3D353F),
                                                float_of(0xBDBA7871),
                                                0.0f,
                                                float_of(0x3DA2FAFF),
                                                float_of(0x3E24CAE3),
                                                float_of(0x3E7C04DD),
                                                float_of(0x3EAD033A),
                                                float_of(0x3EE1A4B8),
                                                float_of(0x3F1007AB),
                                                float_of(0x3F3913B3),
                                                1.0f};
};

// bitsandbytes FP4: neither E2M1 nor sorted by code. In twelfths: 0 1/16 8 12 4 6 2 3. Code 8 is a
// second +0, as in bitsandbytes' Python table, and never made.
struct bnb_fp4_book {
  static constexpr std::string_view name = "bnb_fp4";
  static constexpr std::array<float, 8> positive{0.0f,
                                                 float_of(0x3BAAAAAB),
                                                 float_of(0x3F2AAAAB),
                                                 1.0f,
                                                 float_of(0x3EAAAAAB),
                                                 0.5f,
                                                 float_of(0x3E2AAAAB),
                                                 0.25f};
  static constexpr std::array<float, 16> values = [] {
    std::array<float, 16> v{};
    for (std::size_t i = 0; i < 16; ++i) v[i] = i <= 8 ? positive[i % 8] : -positive[i - 8];
    return v;
  }();
};

// AbnormalFloat4 for blocks of 64 (bitsandbytes create_af4_map): descending, as it lists them.
struct af4_book {
  static constexpr std::string_view name = "af4";
  static constexpr std::array<float, 16> values{
      1.0f,        0.72424863f,  0.55496234f,  0.42563882f,  0.31675666f,  0.21961274f,
      0.12934483f, 0.04273164f,  0.0f,         -0.04934812f, -0.14982478f, -0.25607552f,
      -0.3736951f, -0.51243739f, -0.69441008f, -1.0f};
};

// GGUF's IQ4_NL: whole numbers, no exact zero, ties up.
struct iq4_nl_book {
  static constexpr std::string_view name = "iq4_nl";
  static constexpr book_ties ties = book_ties::up;
  static constexpr std::array<float, 16> values{-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};
};

// bitsandbytes create_dynamic_map: in each decade 10^(i-7) .. 10^(i-6) the middles of 2^i (signed)
// or 2^(i+1) equal intervals, i = 0 .. 6, and 0 and 1. Decades follow each other, so filling them
// in order sorts the table. Bit-exact: torch.linspace makes an interval's end with one fused
// multiply-add, which double arithmetic reproduces (a 24-bit step times a 7-bit count is exact, and
// so is the sum), then all is float.
template <bool Signed>
constexpr std::array<float, 256> dynamic_map() noexcept {
  constexpr float decades[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
  constexpr float first = 0.1f;
  constexpr int zero = Signed ? 127 : 0;
  std::array<float, 256> map{};
  int at = zero;
  for (int i = 0; i < 7; ++i) {
    const int n = 1 << (Signed ? i : i + 1);
    const float step = (1.0f - first) / static_cast<float>(n);
    const auto end = [&](int k) {
      const double s = step;
      return static_cast<float>(k < (n + 1) / 2 ? double{first} + s * k : 1.0 - s * (n - k));
    };
    for (int k = 0; k < n; ++k) {
      const float v = (end(k) + end(k + 1)) / 2.0f * decades[i];
      ++at;
      map[static_cast<std::size_t>(at)] = v;
      if (Signed) map[static_cast<std::size_t>(2 * zero - at)] = -v;
    }
  }
  map[255] = 1.0f;
  return map;
}

struct dynamic8_book {
  static constexpr std::string_view name = "dynamic8";
  static constexpr std::array<float, 256> values = dynamic_map<true>();
};
struct dynamic8u_book {
  static constexpr std::string_view name = "dynamic8u";
  static constexpr std::array<float, 256> values = dynamic_map<false>();
};

// One bit: -1 or 1; zero counts as positive, as in GGUF's Q1_0.
struct binary_book {
  static constexpr std::string_view name = "binary";
  static constexpr book_ties ties = book_ties::up;
  static constexpr std::array<float, 2> values{-1.0f, 1.0f};
};

}  // namespace detail

// Structs, not aliases: error messages and symbols then show the short name.
struct nf4 : codebook<detail::nf4_book> {};
struct bnb_fp4 : codebook<detail::bnb_fp4_book> {};
struct af4 : codebook<detail::af4_book> {};
struct iq4_nl : codebook<detail::iq4_nl_book> {};
struct dynamic8 : codebook<detail::dynamic8_book> {};
struct dynamic8u : codebook<detail::dynamic8u_book> {};
struct binary : codebook<detail::binary_book> {};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_CODEBOOK_H_
