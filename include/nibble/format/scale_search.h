// SPDX-License-Identifier: Apache-2.0 OR MIT
// Weighted scale search: from a few values and their weights to the scale (and minimum) of a block.
//
// Every search tries a fixed small set of inverse scales around the obvious one, turns the values
// into codes with each, and fits the scale to those codes by weighted least squares. They are the
// searches of ggml's quantizers, operation by operation: sums run in index order in float32, every
// operation rounds. kernel/scale_search-inl.h does the same to one block per vector lane.
//
//   fit_affine       value = scale * code - minimum, code in [0, max]         GGUF Q2_K Q4_K Q5_K
//   fit_symmetric    value = scale * code, code in [-max, max - 1]            GGUF Q3_K Q6_K
//   fit_by_sweeps    the same; improves one code at a time                    GGUF Q3_K
//   fit_nonnegative  value = scale * code, code in [0, max]; for scales of scales
//   fit_book         value = scale * book[code], code in [0, 15]              GGUF IQ4
//
// Values must be finite. No input overflows an integer or loops for ever: codes are clamped while
// they are still floats, and NaN (which sums of huge values can make) clamps to the lower end.
#ifndef NIBBLE_FORMAT_SCALE_SEARCH_H_
#define NIBBLE_FORMAT_SCALE_SEARCH_H_

#include <algorithm>
#include <array>
#include <cmath>

#include "nibble/core/arith.h"
#include "nibble/element/codebook.h"

namespace nibble::inline NIBBLE_ABI {

/// A block whose largest magnitude is below this counts as all zeros.
inline constexpr float search_epsilon = 1e-15f;

/// The candidates of fit_affine: inverse scales ((first + step * k) + max) / (high - low) for
/// k = 0..steps; the error is a weighted sum of magnitudes or of squares.
struct affine_plan {
  float first;
  float step;
  int steps;
  bool absolute;
};

struct affine_fit {
  float scale = 0;
  float minimum = 0;
};

namespace detail {

/// The nearest integer in [low, high] as a float. NaN gives `low`.
constexpr float clamped_integer(float v, float low, float high) noexcept {
  v = nearest_integer(rounded(v));  // v is a product
  v = v > low ? v : low;
  return v < high ? v : high;
}

/// The value of largest magnitude, the first one of equals.
template <std::size_t N>
constexpr float extreme_of(const std::array<float, N>& x) noexcept {
  float extreme = 0;
  float amax = 0;
  for (const float v : x) {
    const float a = v < 0 ? -v : v;
    if (a > amax) {
      amax = a;
      extreme = v;
    }
  }
  return extreme;
}

/// Is scale^2 better for sums a than for the best so far? Cross-multiplied, so nothing divides.
constexpr bool better(float wxl, float wll, float best) noexcept {
  return wll > 0 && wxl * wxl > best * wll;
}

constexpr float ratio_or_zero(float a, float b) noexcept { return b > 0 ? a / b : 0.0f; }

}  // namespace detail

/// scale * code - minimum with minimum >= 0.
///
/// The first candidate keeps the range as it is, the others solve for scale and minimum. A
/// candidate that wins also replaces the low end of the range for the candidates after it.
template <std::size_t N>
affine_fit fit_affine(const std::array<float, N>& x, const std::array<float, N>& w, float max,
                      const affine_plan& plan, std::array<float, N>& codes) noexcept {
  using namespace detail;
  float low = x[0];
  float high = x[0];
  float sum_w = w[0];
  float sum_wx = rounded(w[0] * x[0]);
  for (std::size_t i = 1; i < N; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    sum_w += w[i];
    sum_wx = mul_then_add(w[i], x[i], sum_wx);
  }
  low = low > 0 ? 0.0f : low;
  codes.fill(0);
  if (!(high > low)) return {0.0f, -low};

  std::array<float, N> candidate;
  const auto encode = [&](float inverse, std::array<float, N>& l) {
    for (std::size_t i = 0; i < N; ++i) l[i] = clamped_integer(inverse * (x[i] - low), 0, max);
  };
  const auto error = [&](float scale, float least, const std::array<float, N>& l) {
    float sum = 0;
    for (std::size_t i = 0; i < N; ++i) {
      const float e = mul_then_add(scale, l[i], least) - x[i];
      sum = mul_then_add(w[i], plan.absolute ? std::fabs(e) : e * e, sum);
    }
    return sum;
  };
  const float inverse = max / (high - low);
  encode(inverse, codes);
  float scale = 1 / inverse;
  float best = error(scale, low, codes);
  for (int k = 0; k <= plan.steps; ++k) {
    encode((mul_then_add(plan.step, static_cast<float>(k), plan.first) + max) / (high - low),
           candidate);
    float wl = 0;
    float wll = 0;
    float wlx = 0;
    for (std::size_t i = 0; i < N; ++i) {
      const float l = candidate[i];
      const float product = rounded(w[i] * l);
      wl += product;
      wll = mul_then_add(product, l, wll);
      wlx = mul_then_add(product, x[i], wlx);
    }
    const float determinant = rounded(sum_w * wll) - rounded(wl * wl);
    if (!(determinant > 0)) continue;
    float new_scale = (rounded(sum_w * wlx) - rounded(sum_wx * wl)) / determinant;
    float new_low = (rounded(wll * sum_wx) - rounded(wl * wlx)) / determinant;
    if (new_low > 0) {
      new_low = 0;
      new_scale = wlx / wll;
    }
    const float e = error(new_scale, new_low, candidate);
    if (e < best) {
      best = e;
      codes = candidate;
      scale = new_scale;
      low = new_low;
    }
  }
  return {scale, -low};
}

namespace detail {

/// Weighted sums of values times codes and of squared codes: the best scale for these codes is
/// wxl / wll, and the larger wxl^2 / wll, the smaller the error.
struct code_sums {
  float wxl = 0;
  float wll = 0;
};

/// Encodes with one inverse scale.
template <std::size_t N>
code_sums encode_and_sum(const std::array<float, N>& x, const std::array<float, N>& w,
                         float inverse, float low, float high,
                         std::array<float, N>& codes) noexcept {
  code_sums s;
  for (std::size_t i = 0; i < N; ++i) {
    codes[i] = clamped_integer(inverse * x[i], low, high);
    s.wxl = mul_then_add(rounded(w[i] * x[i]), codes[i], s.wxl);
    s.wll = mul_then_add(rounded(w[i] * codes[i]), codes[i], s.wll);
  }
  return s;
}

/// Up to five sweeps that move one code at a time to where the scale of all others wants it, if
/// that is better.
template <std::size_t N>
code_sums improve_codes(const std::array<float, N>& x, const std::array<float, N>& w, float low,
                        float high, code_sums s, std::array<float, N>& codes) noexcept {
  bool changed = true;
  for (int sweep = 0; sweep < 5 && changed; ++sweep) {
    changed = false;
    for (std::size_t i = 0; i < N; ++i) {
      const float wx = rounded(w[i] * x[i]);
      code_sums other{s.wxl - rounded(wx * codes[i]),
                      s.wll - rounded(rounded(w[i] * codes[i]) * codes[i])};
      if (!(other.wxl > 0) || (low == 0 && !(other.wll > 0))) continue;
      const float l = clamped_integer(rounded(x[i] * other.wll) / other.wxl, low, high);
      if (l == codes[i]) continue;
      other.wxl = mul_then_add(wx, l, other.wxl);
      other.wll = mul_then_add(rounded(w[i] * l), l, other.wll);
      if (other.wll > 0 &&
          rounded(other.wxl * other.wxl) * s.wll > rounded(s.wxl * s.wxl) * other.wll) {
        codes[i] = l;
        s = other;
        changed = true;
      }
    }
  }
  return s;
}

}  // namespace detail

/// The scale for codes in [-max, max - 1]; `codes` are code + max, all 0 for a block of zeros.
template <std::size_t N>
float fit_symmetric(const std::array<float, N>& x, const std::array<float, N>& w, float max,
                    std::array<float, N>& codes) noexcept {
  using namespace detail;
  codes.fill(0);
  const float extreme = extreme_of(x);
  if (!(std::fabs(extreme) >= search_epsilon)) return 0;
  float scale = 0;
  float best = 0;
  for (int k = -10; k <= 9; ++k) {  // the plain one comes first, as k = -10
    if (k == 0) continue;
    const bool first = k == -10;
    const float steps = first ? max : mul_then_add(0.1f, static_cast<float>(k), max);
    std::array<float, N> candidate;
    const code_sums s = encode_and_sum(x, w, -steps / extreme, -max, max - 1, candidate);
    if (first || better(s.wxl, s.wll, best)) {
      codes = candidate;
      scale = ratio_or_zero(s.wxl, s.wll);
      best = scale * s.wxl;
    }
  }
  for (float& l : codes) l += max;
  return scale;
}

/// The scale for codes in [-max, max - 1], by sweeps; `codes` as fit_symmetric.
template <std::size_t N>
float fit_by_sweeps(const std::array<float, N>& x, const std::array<float, N>& w, float max,
                    std::array<float, N>& codes) noexcept {
  using namespace detail;
  codes.fill(0);
  const float extreme = extreme_of(x);
  if (!(std::fabs(extreme) >= search_epsilon)) return 0;
  const code_sums first = encode_and_sum(x, w, -max / extreme, -max, max - 1, codes);
  const code_sums s = improve_codes(x, w, -max, max - 1, first, codes);
  for (float& l : codes) l += max;
  return ratio_or_zero(s.wxl, s.wll);
}

/// The scale for codes in [0, max] of values that are not negative.
template <std::size_t N>
float fit_nonnegative(const std::array<float, N>& x, const std::array<float, N>& w, float max,
                      std::array<float, N>& codes) noexcept {
  using namespace detail;
  codes.fill(0);
  float high = 0;
  for (const float v : x) high = v > high ? v : high;
  if (!(high >= search_epsilon)) return 0;
  float inverse = max / high;
  float best = 0;
  for (int k = -5; k <= 4; ++k) {  // the plain one comes first, as k = -5
    if (k == 0) continue;
    const bool first = k == -5;
    const float candidate = first ? inverse : mul_then_add(0.1f, static_cast<float>(k), max) / high;
    const float scale = 1 / candidate;
    float error = 0;
    for (std::size_t i = 0; i < N; ++i) {
      const float e = x[i] - rounded(scale * clamped_integer(candidate * x[i], 0, max));
      error = mul_then_add(rounded(w[i] * e), e, error);
    }
    if (first || error < best) {
      best = error;
      inverse = candidate;
    }
  }
  const code_sums first = encode_and_sum(x, w, inverse, 0, max, codes);
  const code_sums s = improve_codes(x, w, 0, max, first, codes);
  return ratio_or_zero(s.wxl, s.wll);
}

/// The position of the book value nearest to v; ties go up. NaN gives 0. The middles are exact, and
/// v >= middle decides as comparing the rounded distances v - lower >= upper - v would: near a
/// middle both differences are exact (the test runs through the floats around each).
constexpr float nearest_in_book(const std::array<float, 16>& book, float v) noexcept {
  int below = 0;
  for (std::size_t i = 0; i < 15; ++i) below += v >= (book[i] + book[i + 1]) * 0.5f ? 1 : 0;
  return static_cast<float>(below);
}

/// The scale for codes into a book of 16 values. No codes: callers encode with what they make of
/// it.
template <std::size_t N>
float fit_book(const std::array<float, N>& x, const std::array<float, N>& w,
               const std::array<float, 16>& book) noexcept {
  using namespace detail;
  const float extreme = extreme_of(x);
  if (!(std::fabs(extreme) >= search_epsilon)) return 0;
  float scale = 0;
  float best = 0;
  for (int k = -8; k <= 7; ++k) {  // the plain one comes first, as k = -8
    const bool first = k == -8;
    const float inverse =
        first ? 1 / (-extreme / book[0]) : (static_cast<float>(k) + book[0]) / extreme;
    float wqx = 0;
    float wqq = 0;
    for (std::size_t i = 0; i < N; ++i) {
      const float q = book[static_cast<std::size_t>(nearest_in_book(book, inverse * x[i]))];
      const float wq = rounded(w[i] * q);
      wqx = mul_then_add(wq, x[i], wqx);
      wqq = mul_then_add(wq, q, wqq);
    }
    if (first || better(wqx, wqq, best)) {
      scale = ratio_or_zero(wqx, wqq);
      best = scale * wqx;
    }
  }
  return scale;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_SCALE_SEARCH_H_
