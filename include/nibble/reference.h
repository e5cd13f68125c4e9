// SPDX-License-Identifier: Apache-2.0 OR MIT
// The specification in plain loops: what quantize() and dequantize() mean, for every format.
// Kernels give the same bytes and the same floats. Slow; allocates and may throw bad_alloc.
#ifndef NIBBLE_REFERENCE_H_
#define NIBBLE_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "nibble/format/codes.h"
#include "nibble/format/gguf_search.h"
#include "nibble/format/importance.h"
#include "nibble/format/quantize_args.h"
#include "nibble/format/rules.h"
#include "nibble/format/values.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {
namespace reference {

using sections = const basic_section<std::uint8_t>*;
using const_sections = const basic_section<const std::uint8_t>*;

/// A dense matrix of floats.
struct float_matrix {
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::vector<float> values;

  float_matrix(std::size_t r, std::size_t c) : rows(r), cols(c), values(r * c) {}
  float& operator()(std::size_t r, std::size_t c) { return values[r * cols + c]; }
  [[nodiscard]] matrix_view<const float> view() const { return {values.data(), rows, cols}; }
};

using detail::block_of;
using detail::value_at;

// --- reading ---------------------------------------------------------------

/// y[r, c] = value (r, c) of w.
template <format F>
void dequantize(quantized_view<const F> w, matrix_view<float> y) {
  if constexpr (wire_format<F>) {
    using M = typename F::meaning;
    std::vector<std::uint8_t> bytes(quantized_view<M>::buffer_bytes(w.rows, w.cols));
    const quantized_view<M> parts(bytes.data(), w.rows, w.cols);
    static_cast<void>(from_wire<F>(w, parts));
    reference::dequantize<M>(parts, y);  // not the kernel, which argument lookup prefers
  } else {
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (std::size_t c = 0; c < w.cols; ++c) {
        y(r, c) = value_at<F>(w.sections.data(), w.rows, w.cols, r, c);
      }
    }
  }
}

// --- fitting one block -----------------------------------------------------

/// The values of one block, row by row, and the importance of each.
struct block_values {
  std::vector<float> x;
  std::vector<float> weight;
  std::size_t row_length = 0;  ///< sums run in 16 partial sums by position in the block's row
};

using detail::is_finite;

/// The k-th smallest of v, k from 1.
inline float kth_smallest(std::vector<float> v, std::size_t k) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(k - 1), v.end());
  return v[k - 1] == 0 ? 0.0f : v[k - 1];
}

/// Statistics over finite values; others count as zero. With percent < 100 the extremes are the
/// values at that rank (nearest-rank method).
inline detail::block_stats statistics(const block_values& b, float percent) {
  detail::block_stats s;
  std::vector<float> x = b.x;
  for (float& v : x) {
    if (!is_finite(v)) {
      s.finite = false;
      v = 0;
    }
  }
  if (x.empty()) return s;
  float sum = 0;
  s.low = s.high = x[0];
  for (const float v : x) {
    const float size = std::fabs(v);
    if (size > s.amax) {
      s.amax = size;
      s.extreme = v;
    }
    s.low = std::min(s.low, v);
    s.high = std::max(s.high, v);
    sum += size;
  }
  s.mean_abs = sum / static_cast<float>(x.size());
  const auto zero = std::find(x.begin(), x.end(), 0.0f);
  s.minus_zero = s.low == 0 && std::signbit(*zero);
  if (s.low == 0) s.low = 0;  // -0
  if (s.high == 0) s.high = 0;
  if (percent < 100) {
    const std::size_t n = x.size();
    const std::size_t k = detail::percentile_rank(percent, n);
    s.high = kth_smallest(x, k);
    s.low = kth_smallest(x, n + 1 - k);
    for (float& v : x) v = std::fabs(v);
    s.amax = kth_smallest(x, k);
  }
  return s;
}

/// Sum of weighted squared errors of a block under scale and shift, in 16 partial sums.
template <class F>
float block_error(const block_values& b, const detail::code_params& p, const quantizer_rule& rule) {
  using E = typename F::element;
  std::array<float, 16> part{};
  for (std::size_t j = 0; j < b.x.size(); ++j) {
    const float x = is_finite(b.x[j]) ? b.x[j] : 0.0f;
    const float got =
        detail::value_of<F>(E::decode(detail::code_of<F>(x, p, rule)), p.scale, p.shift);
    const float e = x - got;
    float& sum = part[j % b.row_length % 16];
    sum = detail::mul_then_add(detail::rounded(b.weight[j] * e), e, sum);
  }
  return detail::sum_of_parts(part);
}

/// Scale (not yet stored) and low end of one block.
template <class F>
detail::block_fit fit_block(const block_values& b, const quantizer_rule& rule,
                            const quantize_options& o) {
  const bool search = o.rule == scale_rule::mse || o.rule == scale_rule::weighted;
  const detail::block_stats stats =
      statistics(b, o.rule == scale_rule::percentile ? o.percentile : 100.0f);
  const detail::block_fit base = detail::fit_from_stats<F>(stats, rule, o.rule, o.mx);
  if (!search) return base;

  detail::block_fit best = base;
  float least = 0;
  for (int i = 0; i < detail::search_grid<F>::size; ++i) {
    const detail::block_fit f = detail::search_candidate<F>(base, i);
    const float error = block_error<F>(b, detail::candidate_params<F>(f, o.divide), rule);
    if (i == 0 || error < least) {
      least = error;
      best = f;
    }
  }
  return best;
}

// --- writing ---------------------------------------------------------------

/// How a matrix of scales or shifts is stored.
struct storing {
  bool is_scale = false;
  bool raw = false;
  float slack = 0;  ///< of scales
};

template <element E>
void store_matrix(float_matrix& x, sections s, const storing& how) {
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (std::size_t c = 0; c < x.cols; ++c) {
      const bool plain = !how.is_scale && !how.raw;
      store_code<E>(
          *s, r, c,
          plain ? E::encode(x(r, c), {}) : detail::encode_scale<E>(x(r, c), how.raw, how.slack));
    }
    if constexpr (E::bits < 8) {  // whole chunks
      for (std::size_t c = x.cols; c % chunk_size != 0; ++c) store_code<E>(*s, r, c, E::zero_code);
    }
  }
}

template <matrix_format F>
void read_back(float_matrix& x, sections s) {
  std::array<basic_section<const std::uint8_t>, num_sections<F>> read;
  std::copy_n(s, num_sections<F>, read.begin());
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (std::size_t c = 0; c < x.cols; ++c) {
      x(r, c) = value_at<F>(read.data(), x.rows, x.cols, r, c);
    }
  }
}

/// Quantizes x into the sections of F. Returns the scales as computed, for derived fields.
template <block_format F>
float_matrix quantize_blocks(matrix_view<const float> x, sections s, const quantizer_rule& rule,
                             const quantize_options& o, quantize_report& report);

/// Stores a matrix of scales or shifts and reads it back as stored.
template <matrix_format S>
void store_and_read(float_matrix& x, sections s, const storing& how, quantize_report& report) {
  if constexpr (element<S>) {
    store_matrix<S>(x, s, how);
  } else {
    const std::size_t non_finite = report.non_finite;  // counts blocks of values, not of scales
    quantize_blocks<S>(x.view(), s, S::rule, {}, report);
    report.non_finite = non_finite;
  }
  read_back<S>(x, s);
}

template <block_format F>
float_matrix quantize_blocks(matrix_view<const float> x, sections s, const quantizer_rule& rule,
                             const quantize_options& o, quantize_report& report) {
  using E = typename F::element;
  using S = typename F::scale_format;
  const std::size_t rows = x.rows;
  const std::size_t cols = x.cols;
  const grid_shape grid = F::shape.grid(rows, cols);
  const grid_shape shift_grid = F::shift_shape.grid(rows, cols);
  float_matrix scale(grid.rows, grid.cols);
  float_matrix inverse(grid.rows, grid.cols);
  float_matrix low(grid.rows, grid.cols);
  float_matrix shift(shift_grid.rows, shift_grid.cols);

  // 1. The values of each block, and for centred blocks less their mean.
  std::vector<block_values> blocks(grid.rows * grid.cols);
  if constexpr (F::shift_type::kind == shift_kind::center) {
    std::vector<double> sum(shift.values.size());
    std::vector<double> count(shift.values.size());
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        const grid_shape z = block_of(F::shift_shape, cols, r, c);
        const float v = x(r, c);
        sum[z.rows * shift_grid.cols + z.cols] += is_finite(v) ? static_cast<double>(v) : 0.0;
        count[z.rows * shift_grid.cols + z.cols] += 1;
      }
    }
    for (std::size_t i = 0; i < sum.size(); ++i) {
      shift.values[i] = static_cast<float>(sum[i] / count[i]);
    }
    store_and_read<typename F::shift_format>(shift, s + 1 + num_sections<S>, {}, report);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      const grid_shape b = block_of(F::shape, cols, r, c);
      block_values& block = blocks[b.rows * grid.cols + b.cols];
      float v = x(r, c);
      if constexpr (F::shift_type::kind == shift_kind::center) {
        const grid_shape z = block_of(F::shift_shape, cols, r, c);
        v = is_finite(v) ? detail::distance(v, shift(z.rows, z.cols)) : v;
      }
      block.x.push_back(v);
      block.weight.push_back(o.rule == scale_rule::weighted ? o.importance[c] : 1.0f);
      if (block.row_length == 0) {
        block.row_length = F::shape.cols == all ? cols : F::shape.cols;
        block.row_length = std::min(block.row_length, F::shape.flat ? rows * cols : cols - c);
      }
    }
  }

  // 2. Scales, first as computed, then as stored.
  std::vector<detail::stored_scale> fates(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const detail::block_fit f = fit_block<F>(blocks[i], rule, o);
    for (const float v : blocks[i].x) {
      if (!is_finite(v)) {
        ++report.non_finite;
        fates[i].finite = false;
        break;
      }
    }
    fates[i].computed = f.scale;
    fates[i].beyond = f.beyond;
    scale.values[i] = f.scale;
    inverse.values[i] = f.inverse;
    low.values[i] = f.low;
  }
  const float_matrix computed = scale;
  store_and_read<S>(scale, s + 1, {true, rule.raw_scale, detail::scale_slack<F>}, report);
  if (rule.stored_scale) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      inverse.values[i] = detail::inverse_or_zero(scale.values[i]);
    }
  }

  // 3. Shifts, from the scale that codes are made with.
  float_matrix computed_shift(0, 0);
  float_matrix stored_shift(0, 0);
  if constexpr (F::has_shift && F::shift_type::kind != shift_kind::center) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      shift.values[i] = detail::shift_of<F>(
          low.values[i], rule.stored_scale ? scale.values[i] : computed.values[i]);
    }
    computed_shift = shift;
    store_and_read<typename F::shift_format>(shift, s + 1 + num_sections<S>,
                                             {false, rule.raw_scale}, report);
    stored_shift = shift;
    if (!rule.stored_scale) shift = computed_shift;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const bool range = !computed_shift.values.empty();
    const float center = shift.values.empty() ? 0.0f : shift.values[0];
    fates[i].stored = scale.values[i];
    detail::count_block<F>(fates[i], range ? computed_shift.values[i] : center,
                           range ? stored_shift.values[i] : center, rule.raw_scale, report);
  }

  // 4. Codes.
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      const grid_shape b = block_of(F::shape, cols, r, c);
      const grid_shape z = block_of(F::shift_shape, cols, r, c);
      const float scale_here = scale(b.rows, b.cols);
      const detail::code_params p{scale_here, inverse(b.rows, b.cols),
                                  F::has_shift ? shift(z.rows, z.cols) : 0.0f,
                                  o.divide || detail::needs_division<F>(scale_here)};
      const auto code = detail::code_of<F>(x(r, c), p, rule);
      if (F::shape.flat) {
        store_code<E>(*s, 0, r * cols + c, code);
      } else {
        store_code<E>(*s, r, c, code);
      }
    }
    if constexpr (E::bits < 8 && !F::shape.flat) {
      for (std::size_t c = cols; c % chunk_size != 0; ++c) store_code<E>(*s, r, c, E::zero_code);
    }
  }
  return computed;
}

/// Fits one record by the search of its original and writes its fields.
template <class Search, wire_format F>
void search_record(matrix_view<const float> x, float row_mean_square, std::uint8_t* record,
                   const quantize_options& o, quantize_report& report) {
  std::vector<float> finite(x.data, x.data + F::block_values);
  bool clean = true;
  for (float& v : finite) {
    if (!is_finite(v)) {
      clean = false;
      v = 0;
    }
  }
  if (!clean) ++report.non_finite;
  typename Search::block out;
  gguf::search_fit<Search>(finite.data(),
                           o.rule == scale_rule::weighted ? o.importance.data() : nullptr,
                           row_mean_square, out, &report);
  std::memset(record, 0, F::block_bytes);
  detail::for_each_record_part<F>([&]<class E>(std::size_t section, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      store_bits(record, F::layout::locate(section, i), detail::search_field<F>(out, section, i));
    }
  });
}

/// Quantizes one record of wire format F, a row of block_values floats. `part` is room for the
/// record's sections; row_mean_square is that of the whole row.
template <wire_format F>
void quantize_record(matrix_view<const float> x, float row_mean_square,
                     quantized_view<typename F::meaning> part, std::uint8_t* record,
                     const quantize_options& o, quantize_report& report) {
  using M = typename F::meaning;
  if constexpr (requires { typename F::weighted_search_type; }) {
    if (o.rule == scale_rule::weighted) {
      return search_record<typename F::weighted_search_type, F>(x, row_mean_square, record, o,
                                                                report);
    }
  }
  if constexpr (requires { typename F::search_type; }) {
    if (o.rule == scale_rule::standard) {
      return search_record<typename F::search_type, F>(x, row_mean_square, record, o, report);
    }
  }
  float_matrix scales(0, 0);
  if constexpr (requires { F::rule; }) {
    if (o.rule == scale_rule::standard) {
      scales = quantize_blocks<M>(x, part.sections.data(), F::rule, o, report);
    }
  }
  if (scales.values.empty()) {
    scales = quantize_blocks<M>(x, part.sections.data(), M::rule, o, report);
  }
  static_cast<void>(to_wire<F>(part, quantized_view<F>(record, 1, F::block_values)));
  if constexpr (requires { F::layout::finish(record, record, scales.values.data()); }) {
    std::vector<std::uint8_t> codes(F::block_values);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<std::uint8_t>(load_bits(record, F::layout::locate(0, i)));
    }
    F::layout::finish(record, codes.data(), scales.values.data());
  }
}

/// Quantizes one matrix. @see nibble::quantize
template <format F>
errc quantize(matrix_view<const float> x, quantized_view<F> w,
              const quantize_options& options = {}) {
  quantize_report report;
  quantize_options o = options;
  std::vector<float> scaled(o.importance.size());
  if (o.rule == scale_rule::weighted) {
    const float largest = detail::largest_importance(o.importance);
    if (detail::is_nan(largest)) return errc::invalid_argument;
    detail::scale_importance(o.importance, detail::importance_factor(largest), scaled.data());
    o.importance = scaled;
  }
  if (o.reject_non_finite) {
    for (std::size_t r = 0; r < x.rows; ++r) {
      for (const float v : x.row(r)) {
        if (!is_finite(v)) return errc::non_finite;
      }
    }
  }
  if constexpr (element<F>) {
    float_matrix copy(x.rows, x.cols);
    for (std::size_t r = 0; r < x.rows; ++r) {
      std::copy(x.row(r).begin(), x.row(r).end(),
                copy.values.begin() + static_cast<std::ptrdiff_t>(r * x.cols));
    }
    store_matrix<F>(copy, w.sections.data(), {});
  } else if constexpr (block_format<F>) {
    quantize_blocks<F>(x, w.sections.data(), F::rule, o, report);
  } else {
    // A record at a time: padded with zeros, quantized as its meaning, its codes moved.
    using M = typename F::meaning;
    const std::size_t n = F::block_values;
    std::vector<std::uint8_t> bytes(quantized_view<M>::buffer_bytes(1, n));
    const quantized_view<M> part(bytes.data(), 1, n);
    std::vector<float> values(n);
    std::vector<float> weights(n);
    for (std::size_t r = 0; r < x.rows; ++r) {
      const float mean_square = detail::row_mean_square(x.row_data(r), x.cols);
      for (std::size_t c = 0; c < x.cols; c += n) {
        const std::size_t count = std::min(n, x.cols - c);
        std::fill(values.begin(), values.end(), 0.0f);
        std::copy_n(x.row_data(r) + c, count, values.begin());
        quantize_options local = o;
        if (o.rule == scale_rule::weighted) {
          std::fill(weights.begin(), weights.end(), 0.0f);
          std::copy_n(o.importance.begin() + static_cast<std::ptrdiff_t>(c), count,
                      weights.begin());
          local.importance = weights;
        }
        quantize_record<F>({values.data(), 1, n}, mean_square, part,
                           w.sections[0].data + r * w.sections[0].stride + c / n * F::block_bytes,
                           local, report);
      }
    }
  }
  if (o.report != nullptr) *o.report = report;
  return errc::ok;
}

}  // namespace reference
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_REFERENCE_H_
