// SPDX-License-Identifier: Apache-2.0 OR MIT
// What happens to a product before it is written: plain data, applied in the order of its members.
//
//   v = sum_k x[m, k] w[n, k]
//   v = v * channel_scale[n]
//   v = v + bias[n]
//   v = act(v), or act(v) * (the same of a second matrix) in gemm_gated()
//   v = v + residual[m, n]
//   v = min(max(v, low), high)
//   y[m, n] = v as f32, bf16, f16 (to nearest even), or requantized to int8 / uint8
//
// Every operation rounds to f32 by itself, so the same sums give the same y on every target.
// format/epilogue_math.h is the definition.
#ifndef NIBBLE_FORMAT_EPILOGUE_H_
#define NIBBLE_FORMAT_EPILOGUE_H_

#include <limits>

#include "nibble/format/number_type.h"

namespace nibble::inline NIBBLE_ABI {

enum class activation : std::uint8_t {
  none,
  relu,       ///< max(v, 0)
  gelu,       ///< v * Phi(v), by erf
  gelu_tanh,  ///< the tanh form of GPT-2
  silu,       ///< v / (1 + exp(-v))
};

/// How a result becomes int8 or uint8.
enum class requantize_rule : std::uint8_t {
  float_scale,   ///< nearest_even(v / scale) + zero_point, as ONNX QuantizeLinear
  fixed_double,  ///< TFLite: saturating rounding doubling high multiply, then rounding right shift
  fixed_single,  ///< TFLite: one 64-bit product, one rounding shift
  float_multiplier,  ///< nearest_even(v * scale) + zero_point, as ONNX Runtime's QLinearMatMul;
                     ///< its scale is x_scale * w_scale / y_scale, in f32 and that order
};

namespace detail {
/// A fixed-point rule?
constexpr bool is_fixed(requantize_rule r) noexcept {
  return r == requantize_rule::fixed_double || r == requantize_rule::fixed_single;
}
}  // namespace detail

/// Requantization, per channel (arrays of n) or per tensor (arrays of 1). NaN becomes the zero
/// point.
///
/// The fixed-point rules and float_multiplier are for integer sums: pack w's codes with a scale of
/// 1, give x's codes one of 1, and put the real scales here. Where the epilogue is nothing else,
/// the int32 sum itself is requantized (docs/numerics.md, part 9). Otherwise the fixed-point rules
/// round v to an int32 first (nearest even, saturating).
struct requantization {
  requantize_rule rule = requantize_rule::float_scale;
  bool per_channel = false;
  const float* scale = nullptr;              ///< float_*: > 0
  const std::int32_t* multiplier = nullptr;  ///< fixed_*: Q31, >= 0
  const std::int32_t* shift = nullptr;       ///< fixed_*: left if positive, in [-31, 30]
  std::int32_t zero_point = 0;               ///< in [low, high]
  std::int32_t low = -128;                   ///< result clamped to [low, high]; 0 and 255 for uint8
  std::int32_t high = 127;
};

struct epilogue {
  const float* channel_scale = nullptr;  ///< [n]
  const float* bias = nullptr;           ///< [n]
  activation act = activation::none;
  const void* residual =
      nullptr;  ///< [m x n] of residual_type; may be y itself, element by element
  number_type residual_type = number_type::f32;  ///< f32, bf16 or f16
  std::size_t residual_stride = 0;               ///< in elements; 0: all rows share one
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  requantization requantize{};  ///< for results of int8 and uint8
};

/// gemm_gated(): what the sums of the second matrix go through before act(first) is multiplied by
/// them. `epilogue` has the same of the first matrix, and all that follows.
struct second_channels {
  const float* channel_scale = nullptr;  ///< [n]
  const float* bias = nullptr;           ///< [n]
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_EPILOGUE_H_
