// SPDX-License-Identifier: Apache-2.0 OR MIT
// explain(): what a gemm() would do, and what it must at least cost, without doing it.
#ifndef NIBBLE_EXPLAIN_H_
#define NIBBLE_EXPLAIN_H_

#include <cstdio>
#include <cstring>
#include <string_view>

#include "nibble/gemm.h"

namespace nibble::inline NIBBLE_ABI {

/// What a call comes to. Texts are static.
struct call_plan {
  errc error = errc::ok;    ///< what gemm() would return instead; the rest then says nothing
  const char* target = "";  ///< as current_target()
  compute_path path = compute_path::exact;
  const char* reason = "";        ///< why this path
  const char* kernel = "";        ///< the instruction, or pair, that multiplies
  const char* decode = "";        ///< how codes become what it multiplies
  std::size_t vector_bytes = 0;   ///< of a register of the kernel
  bool per_block_scales = false;  ///< integer path: activations have a scale per block, not row
  std::size_t scale_cols = 0;     ///< integer path: packed columns of x that share a scale
  std::size_t chunk_cols = 0;     ///< columns of w that are decoded at a time
  std::size_t task_rows = 0;      ///< a task makes task_rows x task_cols results
  std::size_t task_cols = 0;
  std::size_t num_tasks = 0;
  std::size_t threads = 0;  ///< that have something to do
  // Expected cost: what must be read and written at least, and counted from shapes.
  std::uint64_t weight_bytes = 0;  ///< packed, with scales, outliers and padding
  std::uint64_t x_bytes = 0;
  std::uint64_t y_bytes = 0;
  std::uint64_t operations = 0;  ///< 2 m n k, and 2 per row of x and outlier
  // Beside the packed matrix, in f32:
  std::size_t single_outliers = 0;
  std::size_t outlier_columns = 0;
  bool splits_x = false;  ///< LLM.int8: large activations are looked for and multiplied apart
};

/// What gemm(w, x, y, with, ..., options) would do on the current target, for y of y_type.
///
/// Nothing is computed or allocated, and x.data is not read: its type and shape are enough. A path
/// that the format lacks, an x that does not fit or a y_type outside its enumeration is told by
/// `error`.
template <format F>
[[nodiscard]] inline call_plan explain(packed_view<F> w, const activations& x, const context& with,
                                       const gemm_options& options = {},
                                       number_type y_type = number_type::f32) noexcept {
  call_plan c;
  c.error = detail::check_options(options, detail::codec_of_format<F>.has_levels);
  if (c.error == errc::ok) c.error = detail::check_shape(x, w.data.shape);
  if (c.error == errc::ok && !detail::is_number_type(y_type)) c.error = errc::invalid_argument;
  if (c.error != errc::ok) return c;
  detail::gemm_item item;
  item.w = &w.data;
  item.num_rows = x.rows;
  const detail::gemm_args args{{&item, 1},
                               x,
                               options,
                               &detail::codec_of_format<F>,
                               const_cast<context*>(&with)};  // only its number of threads is read
  const detail::gemm_plan p = detail::plan_entry<F>(args);
  const std::uint64_t m = x.rows;
  const std::uint64_t n = w.rows();
  const std::uint64_t k = w.cols();
  c.target = p.target;
  c.path = p.path;
  c.reason = p.reason;
  c.kernel = p.kernel;
  c.decode = p.decode;
  c.vector_bytes = p.vector_bytes;
  if (p.path == compute_path::integer) c.scale_cols = p.scale_cols;
  c.per_block_scales = c.scale_cols != 0 && c.scale_cols < w.data.shape.packed_cols;
  c.chunk_cols = p.chunk_cols;
  c.task_rows = p.task_rows;
  c.task_cols = p.task_cols;
  c.num_tasks = p.num_tasks;
  c.threads = p.num_tasks < with.num_threads() ? p.num_tasks : with.num_threads();
  const outlier_data& outliers = w.data.outliers;
  c.single_outliers = outliers.num_values;
  c.outlier_columns = outliers.num_columns;
  c.splits_x = p.path == compute_path::integer && options.outlier_threshold > 0 && !is_code(x.type);
  c.weight_bytes = detail::packed_sizes_of<F>(w.data.shape, w.data.super_every).total +
                   detail::outlier_sizes_of(outliers, w.rows(), w.cols()).total;
  c.x_bytes = m * k * size_of(x.type);
  c.y_bytes = m * n * size_of(y_type);
  c.operations = 2 * m * (n * k + c.single_outliers + n * c.outlier_columns);
  return c;
}

template <format F>
[[nodiscard]] inline call_plan explain(const packed_matrix<F>& w, const activations& x,
                                       const context& with, const gemm_options& options = {},
                                       number_type y_type = number_type::f32) noexcept {
  return explain<F>(w.view(), x, with, options, y_type);
}

/// A plan in words, a few lines. Allocates nothing.
struct plan_text {
  char text[800] = "";
  operator std::string_view() const noexcept { return text; }  // NOLINT: implicit by design
};

[[nodiscard]] inline plan_text to_text(const call_plan& c) noexcept {
  plan_text t;
  if (c.error != errc::ok) {
    std::snprintf(t.text, sizeof t.text, "refused: %s\n", message(c.error));
    return t;
  }
  char scales[48] = "";
  if (c.per_block_scales) {
    std::snprintf(scales, sizeof scales, "; a scale of x per %zu columns", c.scale_cols);
  }
  const auto mb = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  std::snprintf(t.text, sizeof t.text,
                "path %s on %s: %s\n"
                "kernel %s on %zu-byte vectors; codes by %s, %zu columns at a time%s\n"
                "%zu tasks of %zu x %zu results for %zu threads\n"
                "%.3f MB of weights, %.3f MB of x, %.3f MB of y; %.3f GFLOP, %.1f per byte\n",
                name_of(c.path), c.target, c.reason, c.kernel, c.vector_bytes, c.decode,
                c.chunk_cols, scales, c.num_tasks, c.task_rows, c.task_cols, c.threads,
                mb(c.weight_bytes), mb(c.x_bytes), mb(c.y_bytes),
                static_cast<double>(c.operations) / 1e9,
                static_cast<double>(c.operations) /
                    static_cast<double>(c.weight_bytes + c.x_bytes + c.y_bytes +
                                        (c.weight_bytes + c.x_bytes + c.y_bytes == 0)));
  if (c.single_outliers + c.outlier_columns != 0 || c.splits_x) {
    const std::size_t used = std::strlen(t.text);
    std::snprintf(t.text + used, sizeof t.text - used,
                  "in f32 beside it: %zu single weights, %zu columns%s\n", c.single_outliers,
                  c.outlier_columns, c.splits_x ? ", and activations from the threshold on" : "");
  }
  return t;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_EXPLAIN_H_

// Again, outside the guard: it is read once per target.
#include "nibble/gemm.h"
