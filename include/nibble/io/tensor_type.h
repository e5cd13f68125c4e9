// SPDX-License-Identifier: Apache-2.0 OR MIT
// The element and block types that tensors in files have, with their sizes and their names there.
#ifndef NIBBLE_IO_TENSOR_TYPE_H_
#define NIBBLE_IO_TENSOR_TYPE_H_

#include <string_view>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// Every type that the readers know, decodable here or not. Block types have GGML's names.
// clang-format off
enum class tensor_type : std::uint8_t {
  f64, f32, f16, bf16,
  i64, i32, i16, i8, u64, u32, u16, u8, boolean, c64, c128,
  f8_e4m3, f8_e5m2, f8_e4m3fnuz, f8_e5m2fnuz, f8_e8m0, f6_e2m3, f6_e3m2, f4,
  q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q2_k, q3_k, q4_k, q5_k, q6_k, q8_k,
  iq2_xxs, iq2_xs, iq3_xxs, iq1_s, iq4_nl, iq3_s, iq2_s, iq4_xs, iq1_m,
  tq1_0, tq2_0, mxfp4, nvfp4, q1_0, q2_0,
  opaque8, opaque16,  // numbers of 1 and 2 bytes; what they are, the file does not say
};
// clang-format on

/// What the files' formats say about a type. `block_bytes` hold `block_values` values in row order.
struct tensor_type_info {
  tensor_type type;
  /// For people: the format's in the catalogue where one has these bytes (tensor_format.h), else
  /// the file's own, in lower case, which is no format's.
  std::string_view name;
  std::uint16_t block_values;  ///< 1 for a plain type
  std::uint16_t block_bytes;
  int ggml_id;                   ///< type number in a .gguf file, -1: has none
  std::string_view safetensors;  ///< dtype in a .safetensors file, empty: has none
  std::string_view npy;          ///< kind and size in a .npy file's descr, empty: has none
};

// Sources: safetensors' Dtype (safetensors/src/tensor.rs), NumPy's array-protocol type strings,
// ggml.h and ggml-common.h. The types of less than a byte pack 2 or 4 values into whole bytes.
// clang-format off
inline constexpr tensor_type_info tensor_types[] = {
    {tensor_type::f64,         "f64",         1,   8,   28, "F64",         "f8"},
    {tensor_type::f32,         "f32",         1,   4,   0,  "F32",         "f4"},
    {tensor_type::f16,         "f16",         1,   2,   1,  "F16",         "f2"},
    {tensor_type::bf16,        "bf16",        1,   2,   30, "BF16",        ""},
    {tensor_type::i64,         "i64",         1,   8,   27, "I64",         "i8"},
    {tensor_type::i32,         "i32",         1,   4,   26, "I32",         "i4"},
    {tensor_type::i16,         "i16",         1,   2,   25, "I16",         "i2"},
    {tensor_type::i8,          "i8",          1,   1,   24, "I8",          "i1"},
    {tensor_type::u64,         "u64",         1,   8,   -1, "U64",         "u8"},
    {tensor_type::u32,         "u32",         1,   4,   -1, "U32",         "u4"},
    {tensor_type::u16,         "u16",         1,   2,   -1, "U16",         "u2"},
    {tensor_type::u8,          "u8",          1,   1,   -1, "U8",          "u1"},
    {tensor_type::boolean,     "bool",        1,   1,   -1, "BOOL",        "b1"},
    {tensor_type::c64,         "c64",         1,   8,   -1, "C64",         "c8"},
    {tensor_type::c128,        "c128",        1,   16,  -1, "",            "c16"},
    {tensor_type::f8_e4m3,     "f8_e4m3",     1,   1,   -1, "F8_E4M3",     ""},
    {tensor_type::f8_e5m2,     "f8_e5m2",     1,   1,   -1, "F8_E5M2",     ""},
    {tensor_type::f8_e4m3fnuz, "f8_e4m3fnuz", 1,   1,   -1, "F8_E4M3FNUZ", ""},
    {tensor_type::f8_e5m2fnuz, "f8_e5m2fnuz", 1,   1,   -1, "F8_E5M2FNUZ", ""},
    {tensor_type::f8_e8m0,     "f8_e8m0",     1,   1,   -1, "F8_E8M0",     ""},
    {tensor_type::f6_e2m3,     "f6_e2m3",     4,   3,   -1, "F6_E2M3",     ""},
    {tensor_type::f6_e3m2,     "f6_e3m2",     4,   3,   -1, "F6_E3M2",     ""},
    {tensor_type::f4,          "f4",          2,   1,   -1, "F4",          ""},
    {tensor_type::q4_0,        "q4_0",        32,  18,  2,  "",            ""},
    {tensor_type::q4_1,        "q4_1",        32,  20,  3,  "",            ""},
    {tensor_type::q5_0,        "q5_0",        32,  22,  6,  "",            ""},
    {tensor_type::q5_1,        "q5_1",        32,  24,  7,  "",            ""},
    {tensor_type::q8_0,        "q8_0",        32,  34,  8,  "",            ""},
    {tensor_type::q8_1,        "q8_1",        32,  36,  9,  "",            ""},
    {tensor_type::q2_k,        "q2_K",        256, 84,  10, "",            ""},
    {tensor_type::q3_k,        "q3_K",        256, 110, 11, "",            ""},
    {tensor_type::q4_k,        "q4_K",        256, 144, 12, "",            ""},
    {tensor_type::q5_k,        "q5_K",        256, 176, 13, "",            ""},
    {tensor_type::q6_k,        "q6_K",        256, 210, 14, "",            ""},
    {tensor_type::q8_k,        "q8_K",        256, 292, 15, "",            ""},
    {tensor_type::iq2_xxs,     "iq2_xxs",     256, 66,  16, "",            ""},
    {tensor_type::iq2_xs,      "iq2_xs",      256, 74,  17, "",            ""},
    {tensor_type::iq3_xxs,     "iq3_xxs",     256, 98,  18, "",            ""},
    {tensor_type::iq1_s,       "iq1_s",       256, 50,  19, "",            ""},
    {tensor_type::iq4_nl,      "iq4_nl",      32,  18,  20, "",            ""},
    {tensor_type::iq3_s,       "iq3_s",       256, 110, 21, "",            ""},
    {tensor_type::iq2_s,       "iq2_s",       256, 82,  22, "",            ""},
    {tensor_type::iq4_xs,      "iq4_xs",      256, 136, 23, "",            ""},
    {tensor_type::iq1_m,       "iq1_m",       256, 56,  29, "",            ""},
    {tensor_type::tq1_0,       "tq1_0",       256, 54,  34, "",            ""},
    {tensor_type::tq2_0,       "tq2_0",       256, 66,  35, "",            ""},
    {tensor_type::mxfp4,       "mxfp4_gguf",  32,  17,  39, "",            ""},
    {tensor_type::nvfp4,       "nvfp4_gguf",  64,  36,  40, "",            ""},
    {tensor_type::q1_0,        "q1_0",        128, 18,  41, "",            ""},
    {tensor_type::q2_0,        "q2_0",        64,  18,  42, "",            ""},
    {tensor_type::opaque8,     "opaque8",     1,   1,   -1, "",            "V1"},
    {tensor_type::opaque16,    "opaque16",    1,   2,   -1, "",            "V2"},
};
// clang-format on

/// Sizes and names of a type.
[[nodiscard]] constexpr const tensor_type_info& describe(tensor_type type) noexcept {
  return tensor_types[static_cast<std::size_t>(type)];
}

namespace detail {

consteval bool tensor_types_in_order() {
  std::size_t i = 0;
  for (const tensor_type_info& t : tensor_types) {
    if (static_cast<std::size_t>(t.type) != i++) return false;
  }
  return i == static_cast<std::size_t>(tensor_type::opaque16) + 1;
}
static_assert(tensor_types_in_order(), "nibble: tensor_types lists every tensor_type in its order");

// The first type for which `matches` holds, or null.
template <class Predicate>
[[nodiscard]] constexpr const tensor_type_info* find_tensor_type(Predicate matches) noexcept {
  for (const tensor_type_info& t : tensor_types) {
    if (matches(t)) return &t;
  }
  return nullptr;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_TENSOR_TYPE_H_
