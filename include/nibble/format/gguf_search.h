// SPDX-License-Identifier: Apache-2.0 OR MIT
// The GGUF block types whose quantizer searches: which search each uses, with which weights, and
// how the found scales are themselves quantized. Bytes equal those of ggml's quantize functions.
//
// Three steps, for one block (256 values, or 32 of the simple types):
//
//   1. weights   of every value: from the value itself, or importance * sqrt(sigma2 + value^2)
//   2. search    of a scale (and minimum) for each sub-block of 16 or 32 values: scale_search.h
//   3. scales    are quantized to 4, 6 or 8 bits with a scale of their own, and the codes made
//   again
//                from the scales as stored
//
// What comes out are the fields of the block before their bits are packed: format/gguf.h packs
// them. The vector version is kernel/gguf_search-inl.h; this one is the specification.
#ifndef NIBBLE_FORMAT_GGUF_SEARCH_H_
#define NIBBLE_FORMAT_GGUF_SEARCH_H_

#include "nibble/element/minifloat.h"
#include "nibble/format/scale_range.h"
#include "nibble/format/scale_search.h"

namespace nibble::inline NIBBLE_ABI {
namespace gguf {

/// The fields of one block as the record stores them, one code per byte. Unused ones are 0.
template <std::size_t Values>
struct search_block {
  std::uint8_t codes[Values];  ///< with their offset: Q3_K value + 4, Q6_K value + 32, ...
  std::uint8_t scales[16];     ///< by sub-block; Q3_K and IQ4_XS: value + 32, Q6_K: int8 bits
  std::uint8_t mins[16];       ///< by sub-block; Q2_K, Q4_K, Q5_K
  std::uint16_t d;             ///< f16
  std::uint16_t dmin;          ///< f16; Q4_1 and Q5_1: the least value (field m)
};

namespace search {

enum class kind : std::uint8_t { affine, symmetric, book };

/// Where sigma2 of the weights importance * sqrt(sigma2 + x^2) comes from: nowhere (the weight is
/// the importance), the mean square of the row, or that of the block once or twice.
enum class spread : std::uint8_t { none, row, block, twice_block };

/// Weights where there is no importance.
enum class plain : std::uint8_t { magnitude, magnitude_and_rms, square, none };

/// What types share that differ only in how many codes they have and which candidates they try.
template <kind Kind, std::size_t Values, std::size_t SubValues, int MaxScale, spread Spread,
          plain Plain, bool Sweeps = false>
struct shape {
  using shape_type = shape;
  using block = search_block<Values>;
  static constexpr kind how = Kind;
  static constexpr std::size_t values = Values;
  static constexpr std::size_t sub_values = SubValues;
  static constexpr std::size_t num_sub = Values / SubValues;
  static constexpr float max_scale = MaxScale;  ///< for codes of scales, as max_code; 0: none
  static constexpr spread sigma = Spread;
  static constexpr plain weight = Plain;
  static constexpr bool sweeps = Sweeps;  ///< search by sweeps if there is no importance
  static constexpr affine_plan plan{};
  static constexpr affine_plan weighted_plan{-0.9f, 0.05f, 36, false};
};

// max_code: affine types have codes 0 .. max_code, symmetric ones -max_code .. max_code - 1.
struct q2_k : shape<kind::affine, 256, 16, 15, spread::block, plain::magnitude> {
  static constexpr float max_code = 3;
  static constexpr affine_plan plan{-0.5f, 0.1f, 15, true};
};
struct q3_k : shape<kind::symmetric, 256, 16, 32, spread::twice_block, plain::square, true> {
  static constexpr float max_code = 4;
};
struct q4_k : shape<kind::affine, 256, 32, 63, spread::twice_block, plain::magnitude_and_rms> {
  static constexpr float max_code = 15;
  static constexpr affine_plan plan{-1.0f, 0.1f, 20, false};
};
struct q5_k : shape<kind::affine, 256, 32, 63, spread::twice_block, plain::magnitude_and_rms> {
  static constexpr float max_code = 31;
  static constexpr affine_plan plan{-0.5f, 0.1f, 15, false};
};
struct q6_k : shape<kind::symmetric, 256, 16, 128, spread::none, plain::square> {
  static constexpr float max_code = 32;
};
struct iq4_nl : shape<kind::book, 32, 32, 0, spread::twice_block, plain::square> {
  static constexpr float max_code = 15;
};
struct iq4_xs : shape<kind::book, 256, 32, 32, spread::twice_block, plain::square> {
  static constexpr float max_code = 15;
};

// Without importance these four do not search (format/gguf.h has their rule).
struct q4_0 : shape<kind::symmetric, 32, 32, 0, spread::row, plain::none> {
  static constexpr float max_code = 8;
};
struct q5_0 : shape<kind::symmetric, 32, 32, 0, spread::row, plain::none> {
  static constexpr float max_code = 16;
};
struct q4_1 : shape<kind::affine, 32, 32, 0, spread::row, plain::none> {
  static constexpr float max_code = 15;
};
struct q5_1 : shape<kind::affine, 32, 32, 0, spread::row, plain::none> {
  static constexpr float max_code = 31;
};

/// Scales of the sub-blocks in stored form, and what they decode to.
template <class Type>
struct stored_scales {
  using floats = std::array<float, Type::num_sub>;
  floats scale_codes{};
  floats min_codes{};
  float d = 0;
  float dmin = 0;
};

}  // namespace search

namespace detail {

using nibble::detail::clamped_integer;
using nibble::detail::extreme_of;
using nibble::detail::f16_to_f32;
using nibble::detail::f32_to_f16;
using nibble::detail::mul_then_add;
using nibble::detail::rounded;

inline constexpr const std::array<float, 16>& iq4_book = nibble::iq4_nl::table;

inline float sum_of_squares(const float* x, std::size_t n) noexcept {
  float sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum = mul_then_add(x[i], x[i], sum);
  return sum;
}

/// The sigma2 of a block's weights.
template <class Type>
float search_sigma2(const float* x, float row_mean_square) noexcept {
  using search::spread;
  if constexpr (Type::sigma == spread::none) return 0;
  if constexpr (Type::sigma == spread::row) return row_mean_square;
  constexpr float factor = Type::sigma == spread::block ? 1.0f : 2.0f;
  return rounded(sum_of_squares(x, Type::values) * (factor / Type::values));
}

/// Step 1 for the values of one sub-block.
template <class Type>
void search_weights(const std::array<float, Type::sub_values>& x, const float* importance,
                    float sigma2, std::array<float, Type::sub_values>& w) noexcept {
  using search::plain;
  float rms = 0;
  if constexpr (Type::weight == plain::magnitude_and_rms) {
    rms = std::sqrt(sum_of_squares(x.data(), x.size()) / Type::sub_values);
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (importance == nullptr) {
      w[i] = Type::weight == plain::square ? rounded(x[i] * x[i]) : rms + std::fabs(x[i]);
    } else if (Type::sigma == search::spread::none) {
      w[i] = importance[i];
    } else {
      w[i] = rounded(importance[i] * std::sqrt(mul_then_add(x[i], x[i], sigma2)));
    }
  }
}

/// Codes of the scales in [0, max_scale] and their own scale, from the largest one. No search.
template <class Type>
float plain_scales(const std::array<float, Type::num_sub>& s,
                   std::array<float, Type::num_sub>& codes) noexcept {
  float high = 0;
  for (const float v : s) high = v > high ? v : high;
  const float inverse = high > 0 ? Type::max_scale / high : 0.0f;
  for (std::size_t i = 0; i < s.size(); ++i) {
    codes[i] = clamped_integer(inverse * s[i], 0, Type::max_scale);
  }
  return high / Type::max_scale;
}

/// Step 3, the scales: `w` are the sums of the weights of each sub-block.
template <class Type>
search::stored_scales<Type> store_scales(const std::array<float, Type::num_sub>& scales,
                                         const std::array<float, Type::num_sub>& mins,
                                         const std::array<float, Type::num_sub>& w,
                                         bool weighted) noexcept {
  search::stored_scales<Type> s;
  constexpr float max = Type::max_scale;
  if constexpr (max == 0) {
    s.d = scales[0];
    if (Type::how == search::kind::affine) s.dmin = -mins[0];
  } else if constexpr (Type::how == search::kind::affine) {
    s.d = weighted ? fit_nonnegative(scales, w, max, s.scale_codes)
                   : plain_scales<Type>(scales, s.scale_codes);
    s.dmin = weighted ? fit_nonnegative(mins, w, max, s.min_codes)
                      : plain_scales<Type>(mins, s.min_codes);
  } else if (Type::sweeps && weighted) {
    s.d = fit_symmetric(scales, w, max, s.scale_codes);
    for (float& c : s.scale_codes) c -= max;
  } else {
    const float extreme = extreme_of(scales);
    const float amax = std::fabs(extreme);
    bool zero = Type::max_scale == 128 ? !(amax >= search_epsilon) : !(amax > 0);
    float inverse = 0;
    if constexpr (Type::how == search::kind::book) {
      s.d = -extreme / max;  // -0 for a block of zeros, as the original
      zero = s.d == 0;
      inverse = 1 / s.d;
    } else if (!zero) {
      inverse = -max / extreme;
      s.d = 1 / inverse;
    }
    const float zero_code = Type::sweeps ? -max : 0.0f;  // Q3_K: stored as 0
    for (std::size_t i = 0; i < scales.size(); ++i) {
      s.scale_codes[i] = zero ? zero_code : clamped_integer(inverse * scales[i], -max, max - 1);
    }
  }
  return s;
}

/// Step 3, the codes of one sub-block: from value = step * code - offset.
template <class Type>
void store_codes(const std::array<float, Type::sub_values>& x, float step, float offset,
                 std::array<float, Type::sub_values>& codes) noexcept {
  if constexpr (Type::how == search::kind::book) {
    const float inverse = step != 0 ? 1 / step : 0.0f;
    for (std::size_t i = 0; i < x.size(); ++i) codes[i] = nearest_in_book(iq4_book, inverse * x[i]);
  } else if constexpr (Type::max_scale != 0) {
    if (step == 0) return;  // the codes of the search stay
    constexpr float max = Type::max_code;
    for (std::size_t i = 0; i < x.size(); ++i) {
      codes[i] = Type::how == search::kind::affine
                     ? clamped_integer((x[i] + offset) / step, 0, max)
                     : clamped_integer(x[i] / step, -max, max - 1) + max;
    }
  }
}

/// What a search found for one block, entry s of an array at s * step.
struct found_scales {
  const float* scales;  ///< of the sub-blocks
  const float* codes;   ///< of those; unused without sub-blocks
  std::size_t step;
  float d;
  float dmin;
};

/// Counts a block whose search gave no scale though its values need one: they are too small, or
/// their weights overflowed. A constant block below zero needs none where there is a minimum, and a
/// block without importance gets none. True if counted.
template <class Type>
bool count_missing_scale(const float* x, const float* importance,
                         quantize_report& report) noexcept {
  float low = 0;
  float high = Type::how == search::kind::affine ? x[0] : 0.0f;
  bool matters = importance == nullptr;
  for (std::size_t i = 0; i < Type::sub_values; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    matters = matters || importance[i] > 0;
  }
  if (!(high > low) || !matters) return false;
  const bool small = high < search_epsilon && low > -search_epsilon;
  ++(small ? report.scale_underflow : report.scale_overflow);
  return true;
}

/// Counts the scales of one block that did not survive. `x` are its values, `importance` is theirs
/// or null, max_code is that of the type (types of one shape share a kernel).
template <class Type>
void count_scales(const float* x, const float* importance, const found_scales& found,
                  float max_code, quantize_report& report) noexcept {
  using nibble::detail::count_element_scale;
  using nibble::detail::is_finite;
  constexpr bool affine = Type::how == search::kind::affine;
  const float slack = Type::how == search::kind::book
                          ? nibble::detail::top_step<nibble::iq4_nl>() * 0.5f
                          : 0.5f / max_code;
  const auto f16_scale = [&](float s) {
    const float stored = f16_to_f32(f32_to_f16(s));
    if (!is_finite(s)) {
      ++report.scale_overflow;
    } else if (s == 0 || !count_element_scale<f16>({s, stored}, slack, true, report)) {
      return false;
    }
    return true;
  };
  bool lost = f16_scale(found.d);
  const float d = f16_to_f32(f32_to_f16(found.d));
  if constexpr (Type::max_scale != 0) {
    for (std::size_t i = 0; i < Type::num_sub; ++i) {
      const float s = found.scales[i * found.step];
      const std::size_t at = i * Type::sub_values;
      if (!is_finite(s)) {
        ++report.scale_overflow;
      } else if (s == 0) {
        count_missing_scale<Type>(x + at, importance != nullptr ? importance + at : nullptr,
                                  report);
      } else if (d * found.codes[i * found.step] == 0) {
        ++report.scale_underflow;
      }
    }
    if constexpr (affine) f16_scale(found.dmin);
  } else {
    if (found.d == 0) lost = count_missing_scale<Type>(x, importance, report);
    if constexpr (affine) {  // the least value: all there is of a block without a scale
      const float m = f16_to_f32(f32_to_f16(found.dmin));
      if (lost) return;
      if (!is_finite(m)) ++report.scale_overflow;
      if (d == 0 && found.dmin != 0 && m == 0) ++report.scale_underflow;
    }
  }
}

}  // namespace detail

/// Quantizes one block.
///
/// @param x                Type::values floats, finite.
/// @param importance       As many weights >= 0, or null. Not null for q4_0, q4_1, q5_0 and q5_1.
/// @param row_mean_square  (sum x^2) / k over the row of x, summed in order; only those four use
/// it.
/// @param report           Null, or what counts scales that are lost.
template <class Type>
void search_fit(const float* x, const float* importance, float row_mean_square,
                typename Type::block& out, quantize_report* report = nullptr) noexcept {
  using namespace detail;
  constexpr std::size_t n = Type::sub_values;
  constexpr std::size_t num = Type::num_sub;
  std::array<std::array<float, n>, num> values;
  std::array<std::array<float, n>, num> codes;
  std::array<float, num> scales{};
  std::array<float, num> mins{};
  std::array<float, num> sums{};
  const bool weighted = importance != nullptr;
  const float sigma2 = weighted ? search_sigma2<Type>(x, row_mean_square) : 0.0f;
  for (std::size_t s = 0; s < num; ++s) {
    std::copy_n(x + s * n, n, values[s].begin());
    std::array<float, n> w;
    search_weights<Type>(values[s], weighted ? importance + s * n : nullptr, sigma2, w);
    for (const float v : w) sums[s] += v;
    if constexpr (Type::how == search::kind::affine) {
      const affine_fit fit = fit_affine(values[s], w, Type::max_code,
                                        weighted ? Type::weighted_plan : Type::plan, codes[s]);
      scales[s] = fit.scale;
      mins[s] = fit.minimum;
    } else if constexpr (Type::how == search::kind::symmetric) {
      scales[s] = Type::sweeps && !weighted ? fit_by_sweeps(values[s], w, Type::max_code, codes[s])
                                            : fit_symmetric(values[s], w, Type::max_code, codes[s]);
    } else {
      scales[s] = fit_book(values[s], w, iq4_book);
    }
  }
  const search::stored_scales<Type> stored = store_scales<Type>(scales, mins, sums, weighted);
  if (report != nullptr) {
    const found_scales found{scales.data(), stored.scale_codes.data(), 1, stored.d, stored.dmin};
    count_scales<Type>(x, importance, found, Type::max_code, *report);
  }
  out = {};
  out.d = f32_to_f16(stored.d);
  out.dmin = f32_to_f16(stored.dmin);
  // The K types make codes from d as stored, the IQ4 types from d before its rounding.
  const bool exact = Type::how == search::kind::book;
  const float d = exact ? stored.d : f16_to_f32(out.d);
  const float dmin = f16_to_f32(out.dmin);
  for (std::size_t s = 0; s < num; ++s) {
    float step = d;
    if constexpr (Type::max_scale != 0) {
      step = d * stored.scale_codes[s];
      constexpr int offset = Type::max_scale == 32 ? 32 : 0;
      out.scales[s] = static_cast<std::uint8_t>(static_cast<int>(stored.scale_codes[s]) + offset);
      out.mins[s] = static_cast<std::uint8_t>(stored.min_codes[s]);
    }
    store_codes<Type>(values[s], step, rounded(dmin * stored.min_codes[s]), codes[s]);
    for (std::size_t i = 0; i < n; ++i) {
      out.codes[s * n + i] = static_cast<std::uint8_t>(codes[s][i]);
    }
  }
}

}  // namespace gguf
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_GGUF_SEARCH_H_
