// SPDX-License-Identifier: Apache-2.0 OR MIT
// What packed products are given: activations, options, and the checked arguments of a kernel.
#ifndef NIBBLE_FORMAT_GEMM_ARGS_H_
#define NIBBLE_FORMAT_GEMM_ARGS_H_

#include <span>

#include "nibble/core/context.h"
#include "nibble/core/errors.h"
#include "nibble/format/codec.h"
#include "nibble/format/epilogue.h"
#include "nibble/format/packed.h"
#include "nibble/matrix.h"

namespace nibble::inline NIBBLE_ABI {

/// How products are computed.
enum class compute_path : std::uint8_t {
  automatic,  ///< the library's choice; explain() says which and why
  integer,    ///< int8 activations, int32 sums within a block; the same bits on every CPU
  bf16,       ///< weights and activations rounded to bf16, f32 sums
  exact,      ///< dequantized weights and activations in f32, fused multiply-add
};

[[nodiscard]] constexpr const char* name_of(compute_path p) noexcept {
  switch (p) {
    case compute_path::integer: return "integer";
    case compute_path::bf16: return "bf16";
    case compute_path::exact: return "exact";
    default: return "automatic";
  }
}

/// Which activations share a scale on the integer path.
enum class activation_scale : std::uint8_t {
  automatic,  ///< per_block for weights with blocks, per_row for whole rows
  per_row,
  per_block,  ///< the blocks of the weights, but at least 32 values
  per_128,    ///< the same; of longer blocks and whole rows, parts of 128 values, or of 64 or 32
              ///< where 128 do not divide them (with_short_segments())
};

/// Each of them, for programs that let their users choose.
struct named_activation_scale {
  const char* name;
  activation_scale value;
};
inline constexpr named_activation_scale named_activation_scales[] = {
    {"automatic", activation_scale::automatic},
    {"per_row", activation_scale::per_row},
    {"per_block", activation_scale::per_block},
    {"per_128", activation_scale::per_128},
};

/// Instructions beyond the target's own that a call may use. For tests and comparisons: kernels
/// with and without them agree as their path promises.
enum class extension : std::uint8_t {
  none = 0,
  avx_vnni = 1,
  avx512_bf16 = 2,
  amx = 4,
  arm_dotprod = 8,  ///< sdot on NEON; SVE has its own
  arm_i8mm = 16,    ///< usdot and usmmla; on NEON only beside arm_dotprod
  arm_bf16 = 32,    ///< bfdot and bfmmla
  any = 255
};
/// Each of them, for programs that let their users choose.
struct named_extension {
  const char* name;
  extension value;
};
inline constexpr named_extension named_extensions[] = {
    {"avx_vnni", extension::avx_vnni}, {"avx512_bf16", extension::avx512_bf16},
    {"amx", extension::amx},           {"arm_dotprod", extension::arm_dotprod},
    {"arm_i8mm", extension::arm_i8mm}, {"arm_bf16", extension::arm_bf16},
};
[[nodiscard]] constexpr bool has(extension set, extension one) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}
[[nodiscard]] constexpr extension operator|(extension a, extension b) noexcept {
  return static_cast<extension>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

/// What a call found in x with gemm_options::outlier_threshold.
struct outlier_statistics {
  std::size_t num_columns = 0;  ///< columns of x with an outlier, those of w.outliers not counted
  std::size_t num_values = 0;   ///< activations at or above the threshold
  float largest = 0;            ///< of them, as a magnitude
};

/// The usual threshold of LLM.int8 (Dettmers et al. 2022, section 3.2).
inline constexpr float llm_int8_threshold = 6.0f;

struct gemm_options {
  compute_path path = compute_path::automatic;
  activation_scale scale = activation_scale::automatic;
  extension extensions = extension::any;
  /// LLM.int8, on the integer path: float activations with |x| >= this are multiplied as they are,
  /// with dequantized weights, and only the others are quantized. 0: none (so are negative numbers
  /// and NaN). Each value for itself, so a row gets the same bits in every batch.
  float outlier_threshold = 0;
  outlier_statistics* outliers_found = nullptr;  ///< written if a threshold is given; or null
};

namespace detail {
/// A type of 16 bits, or one that no call takes.
constexpr number_type half_or_none(number_type t) noexcept {
  return t == number_type::bf16 || t == number_type::f16 ? t : static_cast<number_type>(255);
}
}  // namespace detail

/// Activations [m x k]: floats of some type, or int8 / uint8 codes with scales.
struct activations {
  const void* data = nullptr;
  number_type type = number_type::f32;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;  ///< in elements

  /// Codes: x = (code - zero_point) * scale. One scale per row, or one per `scale_cols` columns:
  /// the block length of the weights or a multiple of it, and columns in order. Floats with scales
  /// are quantized by them on the integer path (static quantization), instead of by their own
  /// largest values: code = nearest_even(x * (1 / scale)) + zero_point, clamped to -128 .. 127.
  /// Other paths multiply floats as they are. quantized_by() sets this.
  const float* scales = nullptr;
  std::size_t scale_stride = 1;  ///< floats from row to row; 0: all rows share them
  std::size_t scale_cols = 0;    ///< 0: whole rows
  /// [m] or null. Codes: 0 .. 255 for uint8, else -128 .. 127, which a call checks.
  const std::int32_t* zero_points = nullptr;
  std::size_t zero_stride = 1;  ///< 0: all rows share the first

  /// GPTQ's g_idx as a permutation: packed column j of w belongs to column order[j] of x. Null: in
  /// order. [k], a permutation of 0 .. k-1. Every call checks that entries are below k; that none
  /// occurs twice is up to who makes the list (the product is then of those columns).
  const std::uint32_t* order = nullptr;

  activations() = default;
  activations(const float* x, std::size_t m, std::size_t k) noexcept
      : data(x), rows(m), cols(k), stride(k) {}
  activations(matrix_view<const float> x) noexcept  // NOLINT: implicit by design
      : data(x.data), rows(x.rows), cols(x.cols), stride(x.stride) {}
  activations(matrix_view<float> x) noexcept  // NOLINT: implicit by design
      : activations(matrix_view<const float>(x)) {}
  /// bf16 or f16 bits; a call with another type gets invalid_argument.
  activations(matrix_view<const std::uint16_t> x, number_type half) noexcept
      : data(x.data),
        type(detail::half_or_none(half)),
        rows(x.rows),
        cols(x.cols),
        stride(x.stride) {}
  activations(matrix_view<const std::int8_t> x, const float* row_scales) noexcept
      : data(x.data),
        type(number_type::int8),
        rows(x.rows),
        cols(x.cols),
        stride(x.stride),
        scales(row_scales) {}
  activations(matrix_view<const std::uint8_t> x, const float* row_scales,
              const std::int32_t* zeros) noexcept
      : data(x.data),
        type(number_type::uint8),
        rows(x.rows),
        cols(x.cols),
        stride(x.stride),
        scales(row_scales),
        zero_points(zeros) {}

  /// These floats, quantized by a scale that was found beforehand (recipes/observers.h).
  /// @param zero_point  code of 0, or null: 0
  [[nodiscard]] activations quantized_by(const float* scale,
                                         const std::int32_t* zero_point = nullptr) const noexcept {
    return quantized_by(scale, 0, zero_point);
  }
  /// The same with a scale per `cols_per_scale` columns.
  [[nodiscard]] activations quantized_by(const float* group_scales, std::size_t cols_per_scale,
                                         const std::int32_t* zero_point = nullptr) const noexcept {
    activations x = *this;
    x.scales = group_scales;
    x.scale_stride = 0;
    x.scale_cols = cols_per_scale;
    x.zero_points = zero_point;
    x.zero_stride = 0;
    return x;
  }
  /// The zero point of row r, with codes or scales given.
  [[nodiscard]] std::int32_t zero_point(std::size_t r) const noexcept {
    return zero_points == nullptr ? 0 : zero_points[r * zero_stride];
  }
  /// The scale of x[r, c], likewise.
  [[nodiscard]] float scale_at(std::size_t r, std::size_t c) const noexcept {
    return scales[r * scale_stride + (scale_cols == 0 ? 0 : c / scale_cols)];
  }
};

/// Where a product goes: [m x n] of f32, bf16, f16, int8 or uint8.
struct results {
  void* data = nullptr;
  number_type type = number_type::f32;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;  ///< in elements

  results() = default;
  results(float* y, std::size_t m, std::size_t n) noexcept : data(y), rows(m), cols(n), stride(n) {}
  results(matrix_view<float> y) noexcept  // NOLINT: implicit by design
      : data(y.data), rows(y.rows), cols(y.cols), stride(y.stride) {}
  /// bf16 or f16; a call with another type gets invalid_argument.
  results(matrix_view<std::uint16_t> y, number_type half) noexcept
      : data(y.data),
        type(detail::half_or_none(half)),
        rows(y.rows),
        cols(y.cols),
        stride(y.stride) {}
  results(matrix_view<std::int8_t> y) noexcept  // NOLINT: implicit by design
      : data(y.data), type(number_type::int8), rows(y.rows), cols(y.cols), stride(y.stride) {}
  results(matrix_view<std::uint8_t> y) noexcept  // NOLINT: implicit by design
      : data(y.data), type(number_type::uint8), rows(y.rows), cols(y.cols), stride(y.stride) {}
};

namespace detail {

/// Kernels are made per kind: formats that differ in block length, sign or wire layout share one.
template <class Codec, shift_use Shift, class Scale, class ShiftFactor>
struct packed_kind {};
template <class F>
using kind_of = packed_kind<codec_of<typename parts_of<typename meaning_of<F>::type>::element>,
                            shift_use_of<typename meaning_of<F>::type>(),
                            typename parts_of<typename meaning_of<F>::type>::scale,
                            typename parts_of<typename meaning_of<F>::type>::shift>;

/// One product of a call: y = epilogue(x w^T), or of the rows that `rows` lists.
struct gemm_item {
  const packed_data* w = nullptr;
  const packed_data* pair = nullptr;  ///< gated: the matrix whose products multiply act(x w^T)
  results y;
  const epilogue* post = nullptr;
  second_channels pair_channels{};
  const std::uint32_t* x_rows = nullptr;  ///< rows of x, and of y; null: all, in order
  const std::uint32_t* y_rows = nullptr;
  std::size_t num_rows = 0;
};

struct gemm_args {
  std::span<const gemm_item> items;  ///< of one format and one k
  activations x;
  gemm_options options;
  const codec_info* codec = nullptr;
  context* with = nullptr;
};

/// What a call comes to: for explain() and for the driver, which needs less.
struct gemm_plan {
  compute_path path = compute_path::exact;
  const char* reason = "";
  bool short_segments = false;  ///< activation_scale::per_128
  std::size_t scale_cols = 0;   ///< integer path: packed columns of x that share a scale
  bool amx = false;
  bool bf16_dot = false;
  bool bf16_rounding = false;
  extension dot = extension::none;  ///< what multiplies levels, if not the target itself

  const char* target = "";
  const char* kernel = "";
  const char* decode = "";
  std::size_t vector_bytes = 0;
  std::size_t chunk_cols = 0;
  std::size_t task_rows = 0;
  std::size_t task_cols = 0;
  std::size_t num_tasks = 0;
};

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_GEMM_ARGS_H_
