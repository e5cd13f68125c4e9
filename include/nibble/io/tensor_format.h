// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which format the bytes of a tensor in a file already are: by the type's number, not by its name,
// for names differ ("Q4_K", "q4_K") and one name can mean two layouts ("mxfp4" of GGUF and of OCP).
#ifndef NIBBLE_IO_TENSOR_FORMAT_H_
#define NIBBLE_IO_TENSOR_FORMAT_H_

#include "nibble/formats.h"
#include "nibble/io/tensor_type.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// Calls fn.operator()<E>() for the element whose codes the values of a type are. False: there is
/// none.
template <class Fn>
constexpr bool visit_element_of(tensor_type type, Fn&& fn) {
  switch (type) {
    case tensor_type::f32: return fn.template operator()<f32>(), true;
    case tensor_type::f16: return fn.template operator()<f16>(), true;
    case tensor_type::bf16: return fn.template operator()<bf16>(), true;
    case tensor_type::f8_e4m3: return fn.template operator()<fp8_e4m3fn>(), true;
    case tensor_type::f8_e5m2: return fn.template operator()<fp8_e5m2>(), true;
    case tensor_type::f8_e4m3fnuz: return fn.template operator()<fp8_e4m3fnuz>(), true;
    case tensor_type::f8_e5m2fnuz: return fn.template operator()<fp8_e5m2fnuz>(), true;
    case tensor_type::f8_e8m0: return fn.template operator()<e8m0>(), true;
    case tensor_type::f6_e2m3: return fn.template operator()<fp6_e2m3>(), true;
    case tensor_type::f6_e3m2: return fn.template operator()<fp6_e3m2>(), true;
    case tensor_type::f4: return fn.template operator()<fp4_e2m1>(), true;
    default: return false;
  }
}

/// Calls fn.operator()<F>() for the wire format whose records the blocks of a type are. False: the
/// catalogue has none.
template <class Fn>
constexpr bool visit_blocks_of(tensor_type type, Fn&& fn) {
  const int id = describe(type).ggml_id;
  bool found = false;
  for_each_format([&]<class F>() {
    if constexpr (requires { F::type_id; }) {
      if (found || F::type_id != id) return;
      found = true;
      fn.template operator()<F>();
    }
  });
  return found;
}

}  // namespace detail

/// Calls fn.operator()<F>() for the format whose rows a tensor of that type holds, byte for byte:
/// GGML's block types, f32, f16 and bf16. False: none.
///
/// All other numbers of 8 bits and less are codes whose scales, if any, are tensors of their own.
/// Only who knows where those are can say what the codes mean: FP8 with a scale per tensor, row or
/// tile, MXFP4, NVFP4 of .safetensors. quantized_view joins codes and scales.
template <class Fn>
constexpr bool visit_format_of(tensor_type type, Fn&& fn) {
  if (detail::visit_blocks_of(type, fn)) return true;
  bool found = false;
  detail::visit_element_of(type, [&]<class E>() {
    if constexpr (E::bits >= 16) {
      found = true;
      fn.template operator()<E>();
    }
  });
  return found;
}

/// Its name; empty: there is none.
[[nodiscard]] constexpr std::string_view format_name_of(tensor_type type) noexcept {
  std::string_view name;
  visit_format_of(type, [&name]<class F>() { name = F::name; });
  return name;
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_IO_TENSOR_FORMAT_H_
