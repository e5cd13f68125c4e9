// SPDX-License-Identifier: Apache-2.0 OR MIT
// Every shipped element type, and the one list of them.
#ifndef NIBBLE_ELEMENT_ALL_H_
#define NIBBLE_ELEMENT_ALL_H_

#include "nibble/element/codebook.h"
#include "nibble/element/exponent.h"
#include "nibble/element/ggml.h"
#include "nibble/element/integer.h"
#include "nibble/element/minifloat.h"

namespace nibble::inline NIBBLE_ABI {

template <element... E>
struct element_list {};

template <element... A, element... B, element... C>
constexpr auto concatenate(element_list<A...>, element_list<B...>, element_list<C...>) noexcept {
  return element_list<A..., B..., C...>{};
}

using integer_elements =
    element_list<int8, uint8, int6, uint6, int5, uint5, int4, uint4, int3, uint3, int2, uint2,
                 ternary, mxint8_element, offset_int<2, 1>, offset_int<3, 4>, offset_int<4, 8>,
                 offset_int<5, 16>, offset_int<6, 32>>;

using minifloat_elements =
    element_list<fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz, fp8_e4m3b11fnuz, fp8_e4m3,
                 fp8_e3m4, fp6_e2m3, fp6_e3m2, fp4_e2m1, ue4m3, f16, bf16>;

using book_elements = element_list<nf4, bnb_fp4, af4, iq4_nl, dynamic8, dynamic8u, binary,
                                   fp4_e2m1_x2, e8m0, e8m0_half, ue4m3_ggml, f32>;

using all_elements =
    decltype(concatenate(integer_elements{}, minifloat_elements{}, book_elements{}));

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENT_ALL_H_
