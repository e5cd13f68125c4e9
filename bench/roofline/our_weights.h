// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble's packed products at run time: one object per format of the catalogue, with as many copies
// of the weights as it takes to come from memory.
#ifndef NIBBLE_BENCH_ROOFLINE_OUR_WEIGHTS_H_
#define NIBBLE_BENCH_ROOFLINE_OUR_WEIGHTS_H_

#include <memory>
#include <string_view>
#include <vector>

#include "nibble/explain.h"

namespace bench {

class our_weights {
 public:
  our_weights() = default;
  our_weights(const our_weights&) = delete;
  our_weights& operator=(const our_weights&) = delete;
  virtual ~our_weights() = default;

  /// Quantizes and packs w [n x k]; `back` [n x k] takes what the format made of it.
  virtual bool prepare(nibble::matrix_view<const float> w, nibble::matrix_view<float> back,
                       std::size_t cache_bytes) = 0;
  /// Bytes of one copy as the format stores it; packing may pad a little.
  [[nodiscard]] virtual std::size_t weight_bytes() const = 0;
  [[nodiscard]] virtual std::size_t num_copies() const = 0;
  /// Columns that share a scale.
  [[nodiscard]] virtual std::size_t scale_cols() const = 0;
  /// Whether the format has a path that may be asked for.
  [[nodiscard]] virtual bool supports(nibble::compute_path path) const = 0;
  /// What run() with these arguments would do.
  [[nodiscard]] virtual nibble::call_plan explain(nibble::matrix_view<const float> x,
                                                  const nibble::context& with,
                                                  const nibble::gemm_options& options) const = 0;
  /// y = x w^T by the next copy.
  virtual bool run(nibble::matrix_view<const float> x, nibble::matrix_view<float> y,
                   nibble::context& with, const nibble::gemm_options& options) = 0;
};

/// A format of the catalogue.
struct our_format {
  std::string_view name;
  double bits = 0;
  std::unique_ptr<our_weights> (*make)() = nullptr;
};

/// f32, which all are compared with; then the other formats of the catalogue, in its order.
std::vector<our_format> our_formats();

}  // namespace bench

#endif  // NIBBLE_BENCH_ROOFLINE_OUR_WEIGHTS_H_
