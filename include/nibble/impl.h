// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels for formats of your own in compiled mode. libnibble has those of the catalogue; one
// source file of your program makes the others:
//
//   #include "nibble/impl.h"       // first, before any other nibble header
//   #include "my_formats.h"
//   NIBBLE_INSTANTIATE_FORMAT(my_format);
//
// Every other file just calls quantize(), dequantize() and gemm(). This one needs Highway's
// headers. In the other modes it does no harm: kernels are made where they are called.
#ifndef NIBBLE_IMPL_H_
#define NIBBLE_IMPL_H_

#ifdef NIBBLE_COMPILED
#if (defined(NIBBLE_QUANTIZE_H_) || defined(NIBBLE_GEMM_H_)) && !defined(NIBBLE_BUILDING)
#error "nibble: include nibble/impl.h before every other nibble header"
#endif
#ifndef NIBBLE_BUILDING
#define NIBBLE_BUILDING
#endif
#endif

#include "nibble/gemm.h"
#include "nibble/quantize.h"

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// What names a function has it made. Not by name: formats share kernels of packed products, and
/// nothing may be instantiated by name twice.
template <format F>
struct packed_functions {
  static constexpr auto gemm = &gemm_entry<kind_of<F>>;
  static constexpr auto plan = &plan_entry<kind_of<F>>;
};

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

/// Makes quantize(), dequantize(), gemm() and explain() of one format, given by its full name, at
/// namespace scope.
#define NIBBLE_INSTANTIATE_FORMAT(...)      \
  NIBBLE_INSTANTIATE_QUANTIZE(__VA_ARGS__); \
  template struct nibble::detail::packed_functions<__VA_ARGS__>

/// quantize() and dequantize() alone.
#define NIBBLE_INSTANTIATE_QUANTIZE(...)                                            \
  template nibble::errc nibble::detail::quantize_entry<__VA_ARGS__>(                \
      nibble::matrix_view<const float>, const nibble::basic_section<std::uint8_t>*, \
      const nibble::quantize_options&) noexcept;                                    \
  template void nibble::detail::dequantize_entry<__VA_ARGS__>(                      \
      const nibble::detail::dequantize_args&) noexcept

#endif  // NIBBLE_IMPL_H_
