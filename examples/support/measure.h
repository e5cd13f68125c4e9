// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a format costs and keeps: errors over the weights of a model, speed on one large matrix.
#ifndef NIBBLE_EXAMPLES_SUPPORT_MEASURE_H_
#define NIBBLE_EXAMPLES_SUPPORT_MEASURE_H_

#include <cstring>
#include <string>
#include <vector>

#include "any_format.h"
#include "memory_roof.h"
#include "nibble/metrics.h"
#include "stopwatch.h"
#include "weights.h"

namespace examples {

/// One format on one weight.
struct tensor_row {
  std::size_t weight = 0;  ///< its number
  std::size_t bytes = 0;
  nibble::error_metrics errors;
};

/// One format on all weights.
struct format_row {
  const any_format* format = nullptr;
  std::size_t bytes = 0;
  nibble::error_metrics errors;
  nibble::quantize_report report;
  double quantize_gbps = 0;  ///< 10^9 bytes of float32 per second; 0: not measured
  double dequantize_gbps = 0;
  std::vector<tensor_row> tensors;

  [[nodiscard]] double bits() const {
    return errors.count == 0 ? 0
                             : 8.0 * static_cast<double>(bytes) / static_cast<double>(errors.count);
  }
};

/// Buffers that all measurements share, so that pages are touched once.
struct workspace {
  aligned_buffer<std::uint8_t> packed;
  aligned_buffer<float> floats;
};

/// Quantizes x, turns it back and adds what was lost to the row.
[[nodiscard]] inline nibble::errc add_errors(nibble::matrix_view<const float> x, std::size_t weight,
                                             nibble::quantize_options options, workspace& space,
                                             format_row& row) {
  std::uint8_t* const packed = space.packed.resize(row.format->buffer_bytes(x.rows, x.cols));
  const nibble::matrix_view<float> y(space.floats.resize(x.size()), x.rows, x.cols);
  options.report = &row.report;
  const nibble::quantize_report before = row.report;
  const nibble::errc e = row.format->quantize(x, packed, options);
  if (e != nibble::errc::ok) return e;
  row.report.non_finite += before.non_finite;
  row.report.scale_overflow += before.scale_overflow;
  row.report.scale_underflow += before.scale_underflow;
  row.format->dequantize(packed, y);
  const nibble::error_metrics errors = nibble::compare(x, y);
  row.errors.add(errors);
  const std::size_t bytes = row.format->storage_bytes(x.rows, x.cols);
  row.bytes += bytes;
  row.tensors.push_back({weight, bytes, errors});
  return nibble::errc::ok;
}

/// A matrix of about `bytes` bytes that repeats the rows of x.
inline nibble::matrix_view<const float> repeat_rows(nibble::matrix_view<const float> x,
                                                    std::size_t bytes,
                                                    aligned_buffer<float>& buffer) {
  const std::size_t rows = std::max<std::size_t>(64, bytes / (x.cols * sizeof(float)) / 64 * 64);
  float* const to = buffer.resize(rows * x.cols);
  for (std::size_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * x.cols, x.row_data(r % x.rows), x.cols * sizeof(float));
  }
  return {to, rows, x.cols};
}

inline double gigabytes(std::size_t floats) { return 4e-9 * static_cast<double>(floats); }

/// GB/s that one thread reads, writes and copies, of floats, on buffers of this size.
struct memory_speed {
  double read = 0;
  double write = 0;
  double copy = 0;
};

inline memory_speed measure_memory(nibble::matrix_view<const float> x, workspace& space) {
  const std::size_t n = x.size() / 64 * 64;
  float* const y = space.floats.resize(x.size());
  std::memset(y, 0, x.size() * sizeof(float));  // no page fault is timed, here and later
  volatile float keep = 0;
  memory_speed speed;
  speed.write = gigabytes(n) / median_seconds([&] { roof_write(y, n); });
  speed.read = gigabytes(n) / median_seconds([&] { keep = roof_read(x.data, n); });
  speed.copy = gigabytes(n) / median_seconds([&] { roof_copy(x.data, y, n); });
  return speed;
}

/// Fills in the GB/s of a row.
inline void measure_speed(nibble::matrix_view<const float> x,
                          const nibble::quantize_options& options, workspace& space,
                          format_row& row) {
  const std::size_t bytes = row.format->buffer_bytes(x.rows, x.cols);
  std::uint8_t* const packed = space.packed.resize(bytes);
  const nibble::matrix_view<float> y(space.floats.resize(x.size()), x.rows, x.cols);
  std::memset(packed, 0, bytes);
  row.quantize_gbps = gigabytes(x.size()) / median_seconds([&] {
                        static_cast<void>(row.format->quantize(x, packed, options));
                      });
  row.dequantize_gbps =
      gigabytes(x.size()) / median_seconds([&] { row.format->dequantize(packed, y); });
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_MEASURE_H_
