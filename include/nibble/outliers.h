// SPDX-License-Identifier: Apache-2.0 OR MIT
// Outlier splitting: the few weights that would spoil the scales of all others are kept apart, and
// products add them.
//
//   w [n x k] --split_outliers--> rest --quantize, pack--> packed matrix --gemm--> y
//                       |                                       ^
//                       +-----> part: single weights, columns --+ attach
//
// Single weights by magnitude or by what they mean for a product (SpQR, Dettmers et al. 2023, keeps
// less than 1 %); whole columns where activations are large (LLM.int8, Dettmers et al. 2022).
#ifndef NIBBLE_OUTLIERS_H_
#define NIBBLE_OUTLIERS_H_

#include "nibble/format/split_outliers.h"
#include "nibble/pack.h"
#include "nibble/quantize.h"

namespace nibble::inline NIBBLE_ABI {

/// Splits a matrix: add_outliers(part) to the rest gives w again, in every bit.
///
/// @param w     [n x k], finite. Only read.
/// @param rule  which weights; see outlier_rule (format/outlier_rule.h)
/// @param type  of outliers. bf16 and f16: single weights are rounded and what is left stays in the
///              rest; columns become f32 where some weight is not exact.
/// @return invalid_argument: a threshold, a fraction (0 to 1) or a statistic is NaN or negative, or
/// a
///         listed column is not below k; w has no data, or a choice is outside its enumeration.
///         shape_mismatch: not k statistics. non_finite: a NaN or an
///         infinity in w. overflow: a single outlier is too large for the type asked for.
///         limit_exceeded: 2^32 single outliers and more, or columns. out_of_memory.
///
/// The rest is +0 where outliers are exact. Weights that the type would round to 0 stay in the
/// rest. One thread. Reads w three times, by a fraction eleven times; allocates rest and part, for
/// columns k bytes besides.
[[nodiscard]] inline result<outlier_split> split_outliers(
    matrix_view<const float> w, const outlier_rule& rule,
    outlier_type type = outlier_type::automatic) noexcept {
  return detail::outlier_splitter(w, rule, type, std::numeric_limits<std::uint32_t>::max()).split();
}

/// Splits, quantizes the rest, packs it and attaches the part. bytes() of the result counts all.
///
/// Errors: those of split_outliers(), quantize() and pack().
template <format F>
[[nodiscard]] result<packed_matrix<F>> pack_with_outliers(
    matrix_view<const float> w, const outlier_rule& rule, context& with,
    const quantize_options& options = {}, outlier_type type = outlier_type::automatic) noexcept {
  auto parts = split_outliers(w, rule, type);
  if (!parts) return parts.error();
  const auto rest = quantize<F>(parts->rest(), options);
  if (!rest) return rest.error();
  auto packed = pack<F>(*rest, with);
  if (!packed) return packed;
  if (const errc e = packed->attach(std::move(parts->part)); e != errc::ok) return e;
  return packed;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_OUTLIERS_H_

// Again, outside the guard: it is read once per target.
#include "nibble/quantize.h"
