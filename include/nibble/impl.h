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
#if (defined(NIBBLE_QUANTIZE_H_) || defined(NIBBLE_GEMM_H_) || defined(NIBBLE_ROWS_H_)) && \
    !defined(NIBBLE_BUILDING)
#error "nibble: include nibble/impl.h before every other nibble header"
#endif
#ifndef NIBBLE_BUILDING
#define NIBBLE_BUILDING
#endif
#endif

#include "nibble/gemm.h"
#include "nibble/quantize.h"
#include "nibble/rows.h"

#ifdef NIBBLE_COMPILED
#include "nibble/format/library.h"

/// Makes quantize(), dequantize(), gemm(), get_rows() and explain() of one format, given by its
/// full name, in the global namespace. Formats of one program differ in name or in meaning.
#define NIBBLE_INSTANTIATE_FORMAT(...)                                                          \
  NIBBLE_INSTANTIATE_QUANTIZE(__VA_ARGS__);                                                     \
  template <>                                                                                   \
  std::uint8_t NIBBLE_LIBRARY_ABI::gemm<nibble::detail::format_key<__VA_ARGS__>>(               \
      const void* args) noexcept {                                                              \
    return static_cast<std::uint8_t>(nibble::detail::gemm_entry<__VA_ARGS__>(                   \
        *static_cast<const nibble::detail::gemm_args*>(args)));                                 \
  }                                                                                             \
  template <>                                                                                   \
  void NIBBLE_LIBRARY_ABI::plan<nibble::detail::format_key<__VA_ARGS__>>(const void* args,      \
                                                                         void* plan) noexcept { \
    *static_cast<nibble::detail::gemm_plan*>(plan) = nibble::detail::plan_entry<__VA_ARGS__>(   \
        *static_cast<const nibble::detail::gemm_args*>(args));                                  \
  }                                                                                             \
  template <>                                                                                   \
  void NIBBLE_LIBRARY_ABI::rows<nibble::detail::format_key<__VA_ARGS__>>(                       \
      const void* args) noexcept {                                                              \
    nibble::detail::rows_entry<__VA_ARGS__>(                                                    \
        *static_cast<const nibble::detail::packed_rows_args*>(args));                           \
  }                                                                                             \
  static_assert(true)

/// quantize() and dequantize() alone.
#define NIBBLE_INSTANTIATE_QUANTIZE(...)                                              \
  template <>                                                                         \
  std::uint8_t NIBBLE_LIBRARY_ABI::quantize<nibble::detail::format_key<__VA_ARGS__>>( \
      const void* x, const void* sections, const void* options) noexcept {            \
    return static_cast<std::uint8_t>(nibble::detail::quantize_entry<__VA_ARGS__>(     \
        *static_cast<const nibble::matrix_view<const float>*>(x),                     \
        static_cast<const nibble::basic_section<std::uint8_t>*>(sections),            \
        *static_cast<const nibble::quantize_options*>(options)));                     \
  }                                                                                   \
  template <>                                                                         \
  void NIBBLE_LIBRARY_ABI::dequantize<nibble::detail::format_key<__VA_ARGS__>>(       \
      const void* args) noexcept {                                                    \
    nibble::detail::dequantize_entry<__VA_ARGS__>(                                    \
        *static_cast<const nibble::detail::dequantize_args*>(args));                  \
  }                                                                                   \
  static_assert(true)

#else

// Kernels are made where they are called.
#define NIBBLE_INSTANTIATE_FORMAT(...) \
  static_assert(nibble::format<__VA_ARGS__>, "nibble: no format")
#define NIBBLE_INSTANTIATE_QUANTIZE(...) NIBBLE_INSTANTIATE_FORMAT(__VA_ARGS__)

#endif

#endif  // NIBBLE_IMPL_H_
