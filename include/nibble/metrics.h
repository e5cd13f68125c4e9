// SPDX-License-Identifier: Apache-2.0 OR MIT
// What quantization lost: signal to noise, errors and cosine between two matrices.
#ifndef NIBBLE_METRICS_H_
#define NIBBLE_METRICS_H_

#include <cmath>
#include <limits>

#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// Sums over pairs of values; add up any number of matrices, then ask. All sums are double.
struct error_metrics {
  double signal = 0;     ///< sum of x^2
  double noise = 0;      ///< sum of (x - y)^2
  double abs_error = 0;  ///< sum of |x - y|
  double max_error = 0;  ///< largest |x - y|
  double energy = 0;     ///< sum of y^2
  double dot = 0;        ///< sum of x * y
  std::size_t count = 0;

  /// Adds the differences of y from x, two matrices of one shape. NaN makes every figure NaN, and
  /// so do matrices of two shapes or without data.
  void add(matrix_view<const float> x, matrix_view<const float> y) noexcept {
    if (x.rows != y.rows || x.cols != y.cols || !x.valid() || !y.valid()) {
      signal = noise = abs_error = max_error = energy = dot =
          std::numeric_limits<double>::quiet_NaN();
      ++count;
      return;
    }
    for (std::size_t r = 0; r < x.rows; ++r) {
      const float* a = x.row_data(r);
      const float* b = y.row_data(r);
      for (std::size_t c = 0; c < x.cols; ++c) {
        const double u = a[c];
        const double v = b[c];
        const double e = std::fabs(u - v);
        signal += u * u;
        energy += v * v;
        dot += u * v;
        noise += e * e;
        abs_error += e;
        max_error = larger(max_error, e);
      }
    }
    count += x.size();
  }

  /// Joins the sums of other matrices.
  void add(const error_metrics& other) noexcept {
    signal += other.signal;
    noise += other.noise;
    abs_error += other.abs_error;
    energy += other.energy;
    dot += other.dot;
    max_error = larger(max_error, other.max_error);
    count += other.count;
  }

  /// 10 log10(signal / noise), in dB. Infinity when nothing was lost, NaN for all-zero signals with
  /// noise in them.
  [[nodiscard]] double sqnr() const noexcept {
    if (noise == 0) return std::numeric_limits<double>::infinity();
    if (signal == 0) return std::numeric_limits<double>::quiet_NaN();
    return 10 * std::log10(signal / noise);
  }
  /// Mean of |x - y|; 0 for no values.
  [[nodiscard]] double mean_error() const noexcept {
    return count == 0 ? 0 : abs_error / static_cast<double>(count);
  }
  /// Root of the mean squared error; 0 for no values.
  [[nodiscard]] double rms_error() const noexcept {
    return count == 0 ? 0 : std::sqrt(noise / static_cast<double>(count));
  }
  /// Cosine of the angle between x and y; 1 if both are zero, 0 if one is.
  [[nodiscard]] double cosine() const noexcept {
    if (signal == 0 || energy == 0) return signal == energy ? 1 : 0;
    return dot / (std::sqrt(signal) * std::sqrt(energy));
  }

 private:
  /// NaN if either is.
  static double larger(double a, double b) noexcept { return a >= b || a != a ? a : b; }
};

/// All figures of one pair of matrices.
[[nodiscard]] inline error_metrics compare(matrix_view<const float> x,
                                           matrix_view<const float> y) noexcept {
  error_metrics m;
  m.add(x, y);
  return m;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_METRICS_H_
