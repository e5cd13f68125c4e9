// SPDX-License-Identifier: Apache-2.0 OR MIT
// How far a product may be from exact arithmetic, for every path. Derivation: docs/numerics.md,
// part 10.
#ifndef NIBBLE_GEMM_BOUND_H_
#define NIBBLE_GEMM_BOUND_H_

#include "nibble/format/gemm_args.h"

namespace nibble::inline NIBBLE_ABI {

/// What the bound of one y[m, n] is made of. All sums are over k.
///
/// w is a dequantized weight; it is made of scale * level and, in formats with one, a shift. amax
/// is the largest |x| among the activations that share a scale: a row's, or a block's. For int8 and
/// uint8 activations it is 0, because nothing is rounded.
struct product_sums {
  double wx = 0;       ///< sum |w| |x|
  double parts_x = 0;  ///< sum (|scale * level| + |shift|) |x|, the shift in units of w; no shift:
                       ///< as wx
  double w_amax = 0;   ///< sum |w| amax
  double scale_x = 0;  ///< sum |scale| (|x| + amax)
  double outliers_x = 0;         ///< sum |w| |x| over what is multiplied beside the packed matrix
  std::size_t num_outliers = 0;  ///< and how many products that is
};

namespace detail {

/// What of a format a bound depends on.
struct bound_traits {
  std::size_t block;   ///< values per block, `all` for rows
  double level_error;  ///< of the integer path's levels
};
template <class F>
constexpr bound_traits bound_traits_of() noexcept {
  using P = parts_of<typename meaning_of<F>::type>;
  return {P::shape.cols, static_cast<double>(codec_info_of<typename P::element>.error)};
}

/// n roundings to f32 change a product or a sum by a factor of 1 +- gamma(n) at most.
constexpr double gamma_f32(std::size_t n) noexcept {
  const double e = static_cast<double>(n) * 0x1p-24;
  return e / (1 - e);
}

constexpr double gemm_error_bound(const bound_traits& f, compute_path path, std::size_t k,
                                  const product_sums& s, activation_scale scale) noexcept {
  packed_shape shape = make_packed_shape(1, k, f.block == all ? k : f.block);
  if (scale == activation_scale::per_128) shape = with_short_segments(shape);
  switch (path) {
    case compute_path::integer: {
      // An activation moves by half a step, amax / 254; its scale and inverse are rounded.
      const double step = 0x1.0004p0 / 254;
      // Per segment: the sum to f32, two factors, product, shift; and its two additions to y.
      // Then two per outlier, and x of one from a code.
      const std::size_t roundings = 2 * shape.num_segments() + 8 + 2 * s.num_outliers;
      return s.w_amax * step + f.level_error * s.scale_x +
             gamma_f32(roundings) * (s.parts_x + s.w_amax * step + s.outliers_x);
    }
    case compute_path::bf16: {
      constexpr double half = 0x1p-8;  // of a unit in the last of 8 places
      return (2 * half + half * half) * s.wx +
             gamma_f32(k + 2 + 2 * s.num_outliers) * (1.01 * s.wx + s.outliers_x);
    }
    default:  // k fused multiply-adds, and x from a code
      return gamma_f32(k + 1 + 2 * s.num_outliers) * (s.wx + s.outliers_x);
  }
}

}  // namespace detail

/// |y[m, n] - exact| before the epilogue is at most this, if nothing overflows and no product is
/// subnormal. Exact: x as given (codes times their scales), times weights as dequantize() gives
/// them, in real numbers.
///
/// @param path  not automatic; explain() says which path a call takes
/// @param k     columns of w
/// @param scale of the call: sums of per_128 have more segments
template <format F>
[[nodiscard]] constexpr double gemm_error_bound(
    compute_path path, std::size_t k, const product_sums& sums,
    activation_scale scale = activation_scale::automatic) noexcept {
  return detail::gemm_error_bound(detail::bound_traits_of<F>(), path, k, sums, scale);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_GEMM_BOUND_H_
