// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels for formats of your own in compiled mode. libnibble has those of the catalogue; one
// source file of your program makes the others:
//
//   #include "nibble/impl.h"       // first, before any other nibble header
//   #include "my_formats.h"
//   NIBBLE_INSTANTIATE_FORMAT(my_format);
//
// Every other file just calls quantize() and dequantize(). This one needs Highway's headers. In the
// other modes it does no harm: kernels are made where they are called.
#ifndef NIBBLE_IMPL_H_
#define NIBBLE_IMPL_H_

#ifdef NIBBLE_COMPILED
#if defined(NIBBLE_QUANTIZE_H_) && !defined(NIBBLE_BUILDING)
#error "nibble: include nibble/impl.h before every other nibble header"
#endif
#ifndef NIBBLE_BUILDING
#define NIBBLE_BUILDING
#endif
#endif

#include "nibble/quantize.h"

/// Makes quantize() and dequantize() of one format, given by its full name, at namespace scope.
#define NIBBLE_INSTANTIATE_FORMAT(...)                                              \
  template nibble::errc nibble::detail::quantize_entry<__VA_ARGS__>(                \
      nibble::matrix_view<const float>, const nibble::basic_section<std::uint8_t>*, \
      const nibble::quantize_options&) noexcept;                                    \
  template void nibble::detail::dequantize_entry<__VA_ARGS__>(                      \
      const nibble::detail::dequantize_args&) noexcept

#endif  // NIBBLE_IMPL_H_
