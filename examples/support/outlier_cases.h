// SPDX-License-Identifier: Apache-2.0 OR MIT
// Matrices with outliers: normal weights and activations, some columns or values of them larger.
//
//   weights      bf16 values, as those of models are; unit variance
//   activations  f32, unit variance, so that the usual threshold of LLM.int8 means something
//
// The normal part is the same in all cases of a seed, so that cases differ by their outliers alone.
#ifndef NIBBLE_EXAMPLES_SUPPORT_OUTLIER_CASES_H_
#define NIBBLE_EXAMPLES_SUPPORT_OUTLIER_CASES_H_

#include <cmath>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "nibble/elements.h"
#include "nibble/matrix.h"

namespace examples {

/// Where outliers are.
enum class outlier_place : std::uint8_t { nowhere, x_columns, w_columns, w_values };

struct outlier_case {
  outlier_place place = outlier_place::nowhere;
  double percent = 0;  ///< of columns or values that are outliers
  int factor = 1;      ///< how much larger

  [[nodiscard]] const char* where() const {
    switch (place) {
      case outlier_place::x_columns: return "columns of x";
      case outlier_place::w_columns: return "columns of w";
      case outlier_place::w_values: return "values of w";
      default: return "none";
    }
  }
  [[nodiscard]] std::string text() const {
    if (place == outlier_place::nowhere) return "no outliers";
    return fmt::format("{} % of {}, {} x", percent, where(), factor);
  }
};

/// y [m x n] = x [m x k] w [n x k]^T
struct product_shape {
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
};

struct dense_matrix {
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::vector<float> values;

  dense_matrix() = default;
  dense_matrix(std::size_t r, std::size_t c) : rows(r), cols(c), values(r * c) {}
  [[nodiscard]] nibble::matrix_view<const float> view() const {
    return {values.data(), rows, cols};
  }
  [[nodiscard]] nibble::matrix_view<float> view() { return {values.data(), rows, cols}; }
};

/// Random numbers that are the same with every standard library: its engines are specified, its
/// distributions are not. Logarithms and cosines are rounded to float, which hides their last bits.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) : engine_(seed) {}

  /// Box and Muller 1958.
  float normal() {
    const double u = uniform();
    const double v = uniform();
    return static_cast<float>(std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::numbers::pi * v));
  }
  /// `count` different numbers below `size`.
  std::vector<std::uint32_t> choose(std::size_t count, std::size_t size) {
    std::vector<std::uint32_t> all(size);
    std::iota(all.begin(), all.end(), 0u);
    for (std::size_t i = 0; i < count; ++i) std::swap(all[i], all[i + engine_() % (size - i)]);
    all.resize(count);
    return all;
  }

 private:
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // [0, 1)
  std::mt19937_64 engine_;
};

inline dense_matrix normal_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
  dense_matrix a(rows, cols);
  random_source random(seed);
  for (float& v : a.values) v = random.normal();
  return a;
}

/// The matrices of a case. `seen` is what observers are shown: other rows, the same columns large.
struct outlier_matrices {
  dense_matrix w;
  dense_matrix x;
  dense_matrix seen;
};

/// Those without outliers.
inline outlier_matrices normal_matrices(const product_shape& shape, std::uint64_t seed) {
  return {normal_matrix(shape.n, shape.k, 4 * seed), normal_matrix(shape.m, shape.k, 4 * seed + 1),
          normal_matrix(4 * shape.m, shape.k, 4 * seed + 2)};
}

/// Makes some of their columns or values larger, and weights bf16.
inline void add_outliers(const outlier_case& c, std::uint64_t seed, outlier_matrices& a) {
  const auto factor = static_cast<float>(c.factor);
  const auto scale_columns = [factor](dense_matrix& to, const std::vector<std::uint32_t>& columns) {
    for (std::size_t r = 0; r < to.rows; ++r) {
      for (const std::uint32_t j : columns) to.values[r * to.cols + j] *= factor;
    }
  };
  random_source places(4 * seed + 3);
  const std::size_t of = c.place == outlier_place::w_values ? a.w.values.size() : a.w.cols;
  const auto count =
      static_cast<std::size_t>(std::lround(c.percent / 100 * static_cast<double>(of)));
  const std::vector<std::uint32_t> large = places.choose(count, of);
  if (c.place == outlier_place::x_columns) {
    scale_columns(a.x, large);
    scale_columns(a.seen, large);
  } else if (c.place == outlier_place::w_columns) {
    scale_columns(a.w, large);
  } else {
    for (const std::uint32_t i : large) a.w.values[i] *= factor;
  }
  for (float& v : a.w.values) v = nibble::bf16::decode(nibble::bf16::encode(v));
}

/// x w^T in Sum, by columns of w^T, so that compilers make vectors of it.
template <class Sum>
std::vector<Sum> multiply(const dense_matrix& x, const dense_matrix& w) {
  std::vector<float> across(w.values.size());
  for (std::size_t j = 0; j < w.rows; ++j) {
    for (std::size_t c = 0; c < w.cols; ++c) across[c * w.rows + j] = w.values[j * w.cols + c];
  }
  std::vector<Sum> y(x.rows * w.rows);
  for (std::size_t r = 0; r < x.rows; ++r) {
    Sum* const row = y.data() + r * w.rows;
    for (std::size_t c = 0; c < x.cols; ++c) {
      const Sum v = x.values[r * x.cols + c];
      const float* const column = across.data() + c * w.rows;
      for (std::size_t j = 0; j < w.rows; ++j) row[j] += v * static_cast<Sum>(column[j]);
    }
  }
  return y;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_OUTLIER_CASES_H_
