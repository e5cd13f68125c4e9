// SPDX-License-Identifier: Apache-2.0 OR MIT
// What tests of packed products share: a matrix of weights in every form, one call, and what its
// result must be.
#ifndef NIBBLE_TESTS_SUPPORT_GEMM_CHECKS_H_
#define NIBBLE_TESTS_SUPPORT_GEMM_CHECKS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "nibble/format/cpu_extensions.h"

#include "support/cases.h"
#include "support/catch.h"
#include "support/gemm_table.h"
#include "support/print.h"
#include "support/targets.h"

namespace nibble_test {

using nibble::parallel;
using nibble::product_sums;
using nibble::reference::weight_parts;

inline constexpr compute_path all_paths[] = {compute_path::integer, compute_path::bf16,
                                             compute_path::exact};
inline bool can(const erased_gemm& g, compute_path path) {
  return path != compute_path::integer || g.has_levels;
}
inline gemm_options options_of(compute_path path,
                               nibble::extension extensions = nibble::extension::any) {
  gemm_options o;
  o.path = path;
  o.extensions = extensions;
  return o;
}

/// Sets of extensions that this CPU tells apart: none, all, and each alone.
inline std::vector<nibble::extension> extension_sets() {
  using nibble::extension;
  std::vector<extension> sets;
  const auto add = [&](extension wanted) {
    const extension found = nibble::detail::available_extensions(wanted);
    if (std::find(sets.begin(), sets.end(), found) == sets.end()) sets.push_back(found);
  };
  add(extension::none);
  add(extension::any);
  for (const auto& one : nibble::named_extensions) add(one.value);
  return sets;
}

/// Weights: quantized, taken apart, and packed.
struct weights {
  const erased_gemm& ops;
  std::size_t n;
  std::size_t k;
  quantized_parts parts;
  weight_parts apart;
  packed_any packed;
  nibble::packed_outliers outliers;

  void attach(nibble::packed_outliers some) {
    outliers = std::move(some);
    packed.data.outliers = outliers.view();
    nibble::reference::take_outliers(apart, outliers.view());
  }

  /// The sections as they are.
  weights(const erased_gemm& g, quantized_parts&& from, std::size_t rows, std::size_t cols)
      : ops(g),
        n(rows),
        k(cols),
        parts(std::move(from)),
        apart(g.take_apart(parts.readable(), n, k)) {
    context with(parallel::serial());
    packed = g.pack(parts.readable(), n, k, with);
  }
  /// Values of a kind, quantized.
  weights(const erased_format& f, const erased_gemm& g, std::size_t rows, std::size_t cols,
          std::uint64_t seed, fill kind = fill::normal)
      : weights(g, quantized(f, rows, cols, seed, kind), rows, cols) {}
  weights(const erased_gemm& g, std::size_t rows, std::size_t cols, std::uint64_t seed,
          fill kind = fill::normal)
      : weights(format_named(g.name), g, rows, cols, seed, kind) {}

 private:
  static quantized_parts quantized(const erased_format& f, std::size_t rows, std::size_t cols,
                                   std::uint64_t seed, fill kind) {
    quantized_parts q(f, rows, cols, 0, 0, 0);
    const std::vector<float> values = make_values(kind, rows * cols, seed);
    REQUIRE(f.quantize({values.data(), rows, cols}, q.writable(), {}) == errc::ok);
    return q;
  }
};

inline activations as_activations(const std::vector<float>& x, std::size_t rows, std::size_t cols) {
  return matrix_view<const float>(x.data(), rows, cols);
}
inline activations first_rows(activations x, std::size_t rows) {
  x.rows = rows;
  return x;
}

/// One call. What was in y before is NaN.
inline std::vector<float> multiply(const weights& w, const activations& x, context& with,
                                   const gemm_options& o, const epilogue& post = {}) {
  std::vector<float> y(x.rows * w.n, quiet_nan);
  const errc error =
      w.ops.gemm(w.packed.data, x, matrix_view<float>(y.data(), x.rows, w.n), with, post, o);
  REQUIRE(error == errc::ok);
  return y;
}

/// What gemm_error_bound() wants to know of y[m, n].
inline product_sums sums_of(const weight_parts& w, const nibble::reference::quantized_row& q,
                            const activations& x, std::size_t m, std::size_t n) {
  using nibble::detail::shift_use;
  namespace reference = nibble::reference;
  product_sums s;
  const std::size_t k = w.shape.cols;
  for (std::size_t c = 0; c < k; ++c) {
    const std::size_t b = n * w.shape.num_blocks + w.block_of(c);
    const double size = std::fabs(reference::exact_of(x, m, reference::column_of(x, c)));
    const double value = static_cast<double>(w.value[n * k + c]);
    const double scale = static_cast<double>(w.scale[b]);
    double shift = static_cast<double>(w.shift[b]);
    if (w.use == shift_use::zero_int || w.use == shift_use::zero_float) shift *= -scale;
    const double amax = static_cast<double>(q.amax[c]);
    if (nibble::reference::is_outlier_column(w, c)) continue;
    s.wx += std::fabs(value) * size;
    if (q.kept[c] != 0) {
      s.outliers_x += std::fabs(value) * size;
      ++s.num_outliers;
      continue;
    }
    s.parts_x += (std::fabs(value - shift) + std::fabs(shift)) * size;
    s.w_amax += std::fabs(value) * amax;
    s.scale_x += std::fabs(scale) * (size + amax);
  }
  for (const auto* some : {&w.columns, &w.singles}) {
    for (std::size_t i = 0; !some->empty() && i < (*some)[n].size(); ++i) {
      const auto& o = (*some)[n][i];
      const double x_size = std::fabs(reference::exact_of(x, m, reference::column_of(x, o.col)));
      s.outliers_x += std::fabs(static_cast<double>(o.value)) * x_size;
      ++s.num_outliers;
    }
  }
  return s;
}

/// What products must be: exactly, or within a bound.
struct expectation {
  std::vector<float> integer;
  std::vector<double> exact;
  std::vector<double> bounds[3];  ///< by path, in the order of all_paths

  expectation(const weights& w, const activations& x,
              nibble::activation_scale scale = nibble::activation_scale::automatic,
              float threshold = 0)
      : exact(gemm_exact(w.apart, x)) {
    if (w.ops.has_levels) integer = gemm_integer(w.apart, x, scale, threshold);
    for (std::size_t m = 0; m < x.rows && w.k != 0; ++m) {
      const auto q = quantize_row(w.apart, x, m, scale, threshold);
      for (std::size_t n = 0; n < w.n; ++n) {
        const product_sums s = sums_of(w.apart, q, x, m, n);
        for (std::size_t p = 0; p < 3; ++p) {
          bounds[p].push_back(w.ops.bound(all_paths[p], w.k, s, scale));
        }
      }
    }
    for (auto& b : bounds) b.resize(exact.size());
  }
};

/// Largest error / bound seen, by path.
struct closeness {
  double ratio[3] = {};
  [[nodiscard]] double of(compute_path path) const {
    return ratio[static_cast<std::size_t>(path) - 1];
  }
  void add(const closeness& more) {
    for (std::size_t p = 0; p < 3; ++p) ratio[p] = std::max(ratio[p], more.ratio[p]);
  }
  void print(const char* what) const {
    std::printf("%s: largest error / bound: integer %.2f, bf16 %.2f, exact %.2f\n", what, ratio[0],
                ratio[1], ratio[2]);
  }
};

/// Empty if y is what the path promises. Rows beyond those of y are ignored.
inline std::string disagreement(const std::vector<float>& y, const expectation& want,
                                compute_path path, closeness& close) {
  const std::size_t p = static_cast<std::size_t>(path) - 1;
  if (path == compute_path::integer) {
    const std::string text = difference(y, std::span(want.integer).first(y.size()));
    if (!text.empty()) return "not the reference's bits: " + text;
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double error = std::fabs(static_cast<double>(y[i]) - want.exact[i]);
    const double bound = want.bounds[p][i];
    if (!(error <= bound)) {
      return "value " + std::to_string(i) + " is " + show(y[i]) + ", exactly " +
             std::to_string(want.exact[i]) + "; bound " + std::to_string(bound);
    }
    if (error != 0) close.ratio[p] = std::max(close.ratio[p], error / bound);
  }
  return {};
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_GEMM_CHECKS_H_
