// SPDX-License-Identifier: Apache-2.0 OR MIT
// The catalogue: every shipped format, once. Tests, benches, the compiled library, the tools and
// the documentation's table iterate over these lists; no other list of formats exists.
//
// Names: <element>_<extent>_<scale>[_z | _zf], or the standard's own. Extents: tensor, channel (one
// row), g<n> (n neighbours in a row), t<n> (n x n tile). _z: integer zero point, _zf: float zero
// point in the scale's type. This header has types only; kernels come with quantize.h.
#ifndef NIBBLE_FORMATS_H_
#define NIBBLE_FORMATS_H_

#include "nibble/element/codebook.h"
#include "nibble/element/exponent.h"
#include "nibble/element/integer.h"
#include "nibble/element/minifloat.h"
#include "nibble/format/gguf.h"
#include "nibble/format/storage.h"

// clang-format off
/// 8-bit integers.
#define NIBBLE_FORMATS_INT8(X)                                                       \
  X(int8_tensor_f32,      block<int8, whole_tensor, scale<f32>>)                     \
  X(int8_channel_f32,     block<int8, whole_row, scale<f32>>)                        \
  X(int8_g32_f16,         block<int8, 32, scale<f16>>)                               \
  X(int8_g128_f16,        block<int8, 128, scale<f16>>)                              \
  X(uint8_tensor_f32_z,   block<uint8, whole_tensor, scale<f32>, zero<uint8>>)       \
  X(uint8_channel_f32_z,  block<uint8, whole_row, scale<f32>, zero<uint8>>)          \
  X(uint8_g32_f16_z,      block<uint8, 32, scale<f16>, zero<uint8>>)                 \
  X(uint8_g128_f16_z,     block<uint8, 128, scale<f16>, zero<uint8>>)

/// 4-bit integers, symmetric.
#define NIBBLE_FORMATS_INT4(X)                                                       \
  X(int4_g32_f16,         block<int4, 32, scale<f16>>)                               \
  X(int4_g64_f16,         block<int4, 64, scale<f16>>)                               \
  X(int4_g128_f16,        block<int4, 128, scale<f16>>)                              \
  X(int4_channel_f16,     block<int4, whole_row, scale<f16>>)                        \
  X(int4_g32_bf16,        block<int4, 32, scale<bf16>>)                              \
  X(int4_g64_bf16,        block<int4, 64, scale<bf16>>)                              \
  X(int4_g128_bf16,       block<int4, 128, scale<bf16>>)                             \
  X(int4_channel_bf16,    block<int4, whole_row, scale<bf16>>)                       \
  X(int4_g32_f32,         block<int4, 32, scale<f32>>)                               \
  X(int4_g64_f32,         block<int4, 64, scale<f32>>)                               \
  X(int4_g128_f32,        block<int4, 128, scale<f32>>)                              \
  X(int4_channel_f32,     block<int4, whole_row, scale<f32>>)

/// 4-bit integers with a zero point.
#define NIBBLE_FORMATS_UINT4(X)                                                      \
  X(uint4_g32_f16_z,      block<uint4, 32, scale<f16>, zero<uint4>>)                 \
  X(uint4_g64_f16_z,      block<uint4, 64, scale<f16>, zero<uint4>>)                 \
  X(uint4_g128_f16_z,     block<uint4, 128, scale<f16>, zero<uint4>>)                \
  X(uint4_channel_f16_z,  block<uint4, whole_row, scale<f16>, zero<uint4>>)          \
  X(uint4_g32_bf16_z,     block<uint4, 32, scale<bf16>, zero<uint4>>)                \
  X(uint4_g64_bf16_z,     block<uint4, 64, scale<bf16>, zero<uint4>>)                \
  X(uint4_g128_bf16_z,    block<uint4, 128, scale<bf16>, zero<uint4>>)               \
  X(uint4_channel_bf16_z, block<uint4, whole_row, scale<bf16>, zero<uint4>>)         \
  X(uint4_g32_f32_z,      block<uint4, 32, scale<f32>, zero<uint4>>)                 \
  X(uint4_g64_f32_z,      block<uint4, 64, scale<f32>, zero<uint4>>)                 \
  X(uint4_g128_f32_z,     block<uint4, 128, scale<f32>, zero<uint4>>)                \
  X(uint4_channel_f32_z,  block<uint4, whole_row, scale<f32>, zero<uint4>>)          \
  X(uint4_g32_f16_zf,     block<uint4, 32, scale<f16>, zero<f16>>)                   \
  X(uint4_g64_f16_zf,     block<uint4, 64, scale<f16>, zero<f16>>)                   \
  X(uint4_g128_f16_zf,    block<uint4, 128, scale<f16>, zero<f16>>)                  \
  X(uint4_channel_f32_zf, block<uint4, whole_row, scale<f32>, zero<f32>>)

/// Other integer widths.
#define NIBBLE_FORMATS_INTN(X)                                                       \
  X(int6_g32_f16,         block<int6, 32, scale<f16>>)                               \
  X(uint6_g32_f16_z,      block<uint6, 32, scale<f16>, zero<uint6>>)                 \
  X(int5_g32_f16,         block<int5, 32, scale<f16>>)                               \
  X(uint5_g32_f16_z,      block<uint5, 32, scale<f16>, zero<uint5>>)                 \
  X(int3_g32_f16,         block<int3, 32, scale<f16>>)                               \
  X(uint3_g32_f16_z,      block<uint3, 32, scale<f16>, zero<uint3>>)                 \
  X(int2_g32_f16,         block<int2, 32, scale<f16>>)                               \
  X(uint2_g32_f16_z,      block<uint2, 32, scale<f16>, zero<uint2>>)                 \
  X(ternary_tensor_f32,   block<ternary, whole_tensor, scale<f32>>)                  \
  X(ternary_channel_f32,  block<ternary, whole_row, scale<f32>>)                     \
  X(ternary_g64_f16,      block<ternary, 64, scale<f16>>)                            \
  X(binary_g128_f16,      block<binary, 128, scale<f16>>)

/// 8-bit floats with scales of their own.
#define NIBBLE_FORMATS_FP8(X)                                                        \
  X(fp8_e4m3fn_tensor_f32,    block<fp8_e4m3fn, whole_tensor, scale<f32>>)           \
  X(fp8_e4m3fn_channel_f32,   block<fp8_e4m3fn, whole_row, scale<f32>>)              \
  X(fp8_e4m3fn_g128_f32,      block<fp8_e4m3fn, 128, scale<f32>>)                    \
  X(fp8_e4m3fn_t128_f32,      block<fp8_e4m3fn, tile(128, 128), scale<f32>>)         \
  X(fp8_e5m2_tensor_f32,      block<fp8_e5m2, whole_tensor, scale<f32>>)             \
  X(fp8_e5m2_channel_f32,     block<fp8_e5m2, whole_row, scale<f32>>)                \
  X(fp8_e5m2_g128_f32,        block<fp8_e5m2, 128, scale<f32>>)                      \
  X(fp8_e4m3fnuz_channel_f32, block<fp8_e4m3fnuz, whole_row, scale<f32>>)            \
  X(fp8_e5m2fnuz_channel_f32, block<fp8_e5m2fnuz, whole_row, scale<f32>>)            \
  X(fp8_e3m4_channel_f32,     block<fp8_e3m4, whole_row, scale<f32>>)                \
  X(dynamic8_g256_f32,        block<dynamic8, 256, scale<f32>>)

/// OCP MX and NVFP4.
#define NIBBLE_FORMATS_MX(X)                                                         \
  X(mxfp8_e4m3,           block<fp8_e4m3fn, 32, scale<e8m0>>)                        \
  X(mxfp8_e5m2,           block<fp8_e5m2, 32, scale<e8m0>>)                          \
  X(mxfp6_e2m3,           block<fp6_e2m3, 32, scale<e8m0>>)                          \
  X(mxfp6_e3m2,           block<fp6_e3m2, 32, scale<e8m0>>)                          \
  X(mxfp4,                block<fp4_e2m1, 32, scale<e8m0>>)                          \
  X(mxint8,               block<mxint8_element, 32, scale<e8m0>>)                    \
  X(nvfp4,                block<fp4_e2m1, 16, scale<block<ue4m3, whole_tensor, scale<f32>>>>)

/// 4-bit floats and codebooks.
#define NIBBLE_FORMATS_FP4(X)                                                        \
  X(nf4_g64_f32,          block<nf4, 64, scale<f32>>)                                \
  X(nf4_g64_dq,           block<nf4, 64, scale<double_quantized>>)                   \
  X(nf4_g32_f16,          block<nf4, 32, scale<f16>>)                                \
  X(bnb_fp4_g64_f32,      block<bnb_fp4, 64, scale<f32>>)                            \
  X(bnb_fp4_g64_dq,       block<bnb_fp4, 64, scale<double_quantized>>)               \
  X(af4_g64_f32,          block<af4, 64, scale<f32>>)                                \
  X(fp4_e2m1_g32_f16,     block<fp4_e2m1, 32, scale<f16>>)                           \
  X(fp4_e2m1_channel_f32, block<fp4_e2m1, whole_row, scale<f32>>)

/// GGUF block types: the bytes of GGUF files.
#define NIBBLE_FORMATS_GGUF(X)                                                       \
  X(gguf::q4_0) X(gguf::q4_1) X(gguf::q5_0) X(gguf::q5_1) X(gguf::q8_0) X(gguf::q8_1) \
  X(gguf::tq1_0) X(gguf::tq2_0) X(gguf::mxfp4) X(gguf::nvfp4) X(gguf::q1_0) X(gguf::q2_0)
#define NIBBLE_FORMATS_GGUF_K(X)                                                     \
  X(gguf::q2_K) X(gguf::q3_K) X(gguf::q4_K) X(gguf::q5_K) X(gguf::q6_K) X(gguf::q8_K) \
  X(gguf::iq4_nl) X(gguf::iq4_xs)

/// No quantization, for comparison.
#define NIBBLE_FORMATS_PLAIN(X) X(f32) X(f16) X(bf16)

/// The groups that are declared here (GGUF's are declared in format/gguf.h, plain ones are elements).
#define NIBBLE_FORMAT_GROUPS_DECLARED(G)                                             \
  G(NIBBLE_FORMATS_INT8) G(NIBBLE_FORMATS_INT4) G(NIBBLE_FORMATS_UINT4)              \
  G(NIBBLE_FORMATS_INTN) G(NIBBLE_FORMATS_FP8) G(NIBBLE_FORMATS_MX) G(NIBBLE_FORMATS_FP4)
// clang-format on

namespace nibble::inline NIBBLE_ABI {

/// Scales of bitsandbytes' double quantization: 8-bit codes, a float per 256, one mean per tensor.
using double_quantized = block<dynamic8, flat(256), scale<f32>, center<f32, whole_tensor>>;

#define NIBBLE_DECLARE_FORMAT(format_name, ...)            \
  struct format_name : __VA_ARGS__ {                       \
    static constexpr std::string_view name = #format_name; \
  };
#define NIBBLE_DECLARE_GROUP(GROUP) GROUP(NIBBLE_DECLARE_FORMAT)
NIBBLE_FORMAT_GROUPS_DECLARED(NIBBLE_DECLARE_GROUP)
#undef NIBBLE_DECLARE_GROUP
#undef NIBBLE_DECLARE_FORMAT

template <class... F>
struct type_list {
  static constexpr std::size_t size = sizeof...(F);
};

namespace detail {
struct end_of_list {};
template <class List>
struct drop_end;
template <class... F>
struct drop_end<type_list<end_of_list, F...>> {
  using type = type_list<F...>;
};
}  // namespace detail

#define NIBBLE_LIST_FORMAT(format_name, ...) , format_name
#define NIBBLE_LIST_GROUP(GROUP) GROUP(NIBBLE_LIST_FORMAT)
/// Every format of the catalogue.
using all_formats = detail::drop_end<
    type_list<detail::end_of_list NIBBLE_FORMATS_PLAIN(NIBBLE_LIST_FORMAT)
                  NIBBLE_FORMAT_GROUPS_DECLARED(NIBBLE_LIST_GROUP) NIBBLE_FORMATS_GGUF(
                      NIBBLE_LIST_FORMAT) NIBBLE_FORMATS_GGUF_K(NIBBLE_LIST_FORMAT)>>::type;
#undef NIBBLE_LIST_GROUP
#undef NIBBLE_LIST_FORMAT

inline constexpr std::size_t num_formats = all_formats::size;

/// Calls fn.operator()<F>() for every format, in the order of the catalogue.
template <class Fn>
constexpr void for_each_format(Fn&& fn) {
  [&]<class... F>(type_list<F...>) { (fn.template operator()<F>(), ...); }(all_formats{});
}

/// Calls fn.operator()<F>() for the format of that name. False if there is none.
template <class Fn>
constexpr bool visit_format(std::string_view name, Fn&& fn) {
  return [&]<class... F>(type_list<F...>) {
    return ((F::name == name && (fn.template operator()<F>(), true)) || ...);
  }(all_formats{});
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMATS_H_
