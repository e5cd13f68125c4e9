// SPDX-License-Identifier: Apache-2.0 OR MIT
// The format algebra: a block format is an element, an extent, a scale and perhaps a shift. A scale
// or shift is itself stored in a format, a plain element or again a block, to any depth.
//
//   value = scale * code                        no shift: symmetric
//           (code - zero) * scale               zero<Z>     integer or float zero point
//           scale * code + offset               offset<O>   the least value is stored (GGUF Q4_1)
//           scale * code - minimum              minimum<M>  its negative is stored (GGUF K-quants)
//           scale * code + center               center<C>   the mean is stored (bitsandbytes)
//
// Each line is float32 arithmetic with one rounding per operation, in that order, never fused.
#ifndef NIBBLE_FORMAT_BLOCK_H_
#define NIBBLE_FORMAT_BLOCK_H_

#include <string_view>
#include <type_traits>

#include "nibble/element/element.h"
#include "nibble/element/exponent.h"
#include "nibble/format/extent.h"

namespace nibble::inline NIBBLE_ABI {

/// The extent of a shift that has none of its own: that of its block.
inline constexpr extent same_extent{0, 0};

/// Where the scale of a block is stored: in any format.
template <class Format>
struct scale {
  using format = Format;
};

enum class shift_kind : std::uint8_t { none, zero, offset, minimum, center };

namespace detail {
template <shift_kind Kind, class Format, extent Extent>
struct shift {
  static constexpr shift_kind kind = Kind;
  static constexpr extent shape = Extent;
  using format = Format;
};
}  // namespace detail

struct no_shift {
  static constexpr shift_kind kind = shift_kind::none;
  static constexpr extent shape = same_extent;
  using format = void;
};
template <class Format>
struct zero : detail::shift<shift_kind::zero, Format, same_extent> {};
template <class Format>
struct offset : detail::shift<shift_kind::offset, Format, same_extent> {};
template <class Format>
struct minimum : detail::shift<shift_kind::minimum, Format, same_extent> {};
template <class Format, extent Extent = whole_tensor>
struct center : detail::shift<shift_kind::center, Format, Extent> {};

/// How the standard quantizer of a format finds scale and codes. Formats of our own use the default
/// of their kind; GGUF layouts say what the original does, rounding by rounding.
struct quantizer_rule {
  enum class fit : std::uint8_t {
    absmax,         // scale = max|x| / divisor
    signed_absmax,  // scale = (the value of largest magnitude) / divisor; the divisor is negative
    range,          // scale = (max - min) / divisor
    mean_abs,       // scale = mean|x|, summed in index order
    power_of_two,   // scale = 2^(floor(log2 max|x|) - divisor), the rule of OCP MX
    centered,       // center = mean, scale = max|x - center| / divisor
  };
  enum class code : std::uint8_t {
    element,          // element::encode of (x shifted) * (1 / scale)
    add_half,         // trunc(y + (bias + 0.5)): ties up, as GGML's Q4_0 to Q5_1
    nearest_product,  // the first code of least |level * scale - x| in floats, as GGML's FP4
  };
  fit how = fit::absmax;
  code codes = code::element;
  rounding round = rounding::nearest_even;
  float divisor = 1;
  bool range_includes_zero = true;
  bool stored_scale = true;    ///< codes from the scale as stored, not as computed
  bool inverse_first = false;  ///< 1 / scale = divisor / v is rounded, then the scale from it
  bool raw_scale = false;      ///< the scale's type may overflow to infinity and underflow to 0
};

namespace detail {
/// scale<F>, or a type of your own with `format`.
template <class S>
concept scale_type = requires {
  typename S::format;
};

/// no_shift, zero<Z>, offset<O>, minimum<M> or center<C>.
template <class S>
concept shift_type = requires {
  typename S::format;
  { S::kind } -> std::convertible_to<shift_kind>;
  { S::shape } -> std::convertible_to<extent>;
};
}  // namespace detail

template <class F>
concept block_format = requires {
  typename F::element;
  typename F::scale_format;
  typename F::shift_type;
  { F::shape } -> std::convertible_to<extent>;
};

/// Anything a matrix can be stored in: a plain element, or a block.
template <class F>
concept matrix_format = element<F> || block_format<F>;

namespace detail {

template <class E>
consteval float largest_magnitude() {
  return E::max > -E::lowest || integer_element<E> ? E::max : -E::lowest;
}

/// Highest power of two in an element's largest magnitude: emax of OCP MX.
template <class E>
consteval float exponent_of_max() {
  int e = 0;
  float m = largest_magnitude<E>();
  for (; m >= 2; m /= 2) ++e;
  for (; m < 1 && m > 0; m *= 2) --e;
  return static_cast<float>(e);
}

/// Scales that are powers of two follow the rule of OCP MX.
template <class S>
inline constexpr bool is_exponent_scale = false;
template <>
inline constexpr bool is_exponent_scale<e8m0> = true;
template <>
inline constexpr bool is_exponent_scale<e8m0_half> = true;

template <class E, class S, class Shift>
consteval quantizer_rule default_rule() {
  using fit = quantizer_rule::fit;
  quantizer_rule r;
  if constexpr (Shift::kind == shift_kind::center) {
    r.how = fit::centered;
    r.divisor = largest_magnitude<E>();
  } else if constexpr (Shift::kind != shift_kind::none) {
    r.how = fit::range;
    r.divisor = E::max - E::lowest;
    r.range_includes_zero = Shift::kind != shift_kind::offset;
  } else if constexpr (E::bits == 1) {
    r.how = fit::mean_abs;
  } else if constexpr (is_exponent_scale<S>) {
    r.how = fit::power_of_two;
    r.divisor = exponent_of_max<E>();
  } else {
    r.divisor = largest_magnitude<E>();
  }
  return r;
}

template <class F>
consteval bool is_row_local();

template <class F>
struct depth : std::integral_constant<int, 0> {};
template <block_format F>
struct depth<F> : std::integral_constant<int, 1 + depth<typename F::scale_format>::value> {};

}  // namespace detail

/// A block format. Derive a struct from it to give it a name:
///
///   struct my_format : nibble::block<uint5, 48, scale<bf16>, zero<f16>> {
///     static constexpr std::string_view name = "my_format";
///   };
template <class Element, extent Extent, class Scale, class Shift = no_shift>
struct block {
  static_assert(nibble::detail::scale_type<Scale>,
                "nibble: a block's third argument is scale<F>: block<int4, 32, scale<f16>>");
  static_assert(nibble::detail::shift_type<Shift>,
                "nibble: a block's fourth argument is zero<F>, offset<F>, minimum<F>, center<F> or "
                "nothing");
  using element = Element;
  using scale_type = Scale;
  using scale_format = typename Scale::format;
  using shift_type = Shift;
  using shift_format = typename Shift::format;
  static constexpr extent shape = Extent;
  /// The extent over which one shift is shared.
  static constexpr extent shift_shape = Shift::shape == same_extent ? Extent : Shift::shape;
  static constexpr bool has_shift = Shift::kind != shift_kind::none;

  static_assert(nibble::element<Element>, "nibble: a block's codes must be of an element type");
  static_assert(Element::bits <= 8,
                "nibble: a block's codes have at most 8 bits; store wider types plainly");
  static_assert(matrix_format<scale_format>, "nibble: scale<F> needs an element or a block format");
  static_assert(!has_shift || matrix_format<shift_format>,
                "nibble: zero<F>, offset<F>, minimum<F> and center<F> need an element or a block "
                "format");
  static_assert(Extent.rows > 0 && Extent.cols > 0, "nibble: a block's extent must not be empty");
  static_assert(!has_shift || Shift::kind == shift_kind::center || integer_element<Element>,
                "nibble: zero, offset and minimum need an integer element");
  static_assert(Shift::kind != shift_kind::center || shift_shape == whole_tensor,
                "nibble: a center is one per tensor: center<C, whole_tensor>");

  static constexpr quantizer_rule rule = detail::default_rule<Element, scale_format, Shift>();
};

namespace detail {

template <class F>
consteval bool is_row_local() {
  if constexpr (nibble::element<F>) {
    return true;
  } else {
    bool local = F::shape.rows == 1 && !F::shape.flat && is_row_local<typename F::scale_format>();
    if constexpr (F::has_shift) {
      local = local && F::shift_shape == F::shape && is_row_local<typename F::shift_format>();
    }
    return local;
  }
}

/// What holds at the top of a format, where the rows of a matrix are (not where scales of scales
/// are).
template <class F>
consteval bool is_legal_matrix_format() {
  if constexpr (block_format<F>) {
    static_assert(!F::shape.flat, "nibble: flat() extents are for scales of scales only");
    static_assert(F::shape.cols == all || F::shape.cols % 8 == 0,
                  "nibble: a block must be a multiple of 8 values long, or a whole row or tensor");
    static_assert(depth<F>::value <= 3, "nibble: scales can be nested twice, not deeper");
  }
  return true;
}

}  // namespace detail

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_BLOCK_H_
