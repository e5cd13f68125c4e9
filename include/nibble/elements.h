// SPDX-License-Identifier: Apache-2.0 OR MIT
// Element types, and arrays of floats to and from arrays of their codes.
#ifndef NIBBLE_ELEMENTS_H_
#define NIBBLE_ELEMENTS_H_

#include <span>

#include "nibble/core/errors.h"
#include "nibble/element/all.h"

namespace nibble::inline NIBBLE_ABI {

/// Encodes every value: codes[i] = E::encode(values[i], policy).
///
/// @param values  any floats; NaN and infinities as the element says (docs/numerics.md).
/// @param codes   as many, one per code unit; 4-bit codes are not packed. Must not overlap values.
///
/// The same bits on every target as E::encode. Any length and alignment; nothing outside the spans
/// is touched. shape_mismatch: the spans differ in length, and nothing is written. Allocates
/// nothing, never throws.
template <element E>
[[nodiscard]] errc encode_values(std::span<const float> values, std::span<typename E::code> codes,
                                 encode_policy policy = {}) noexcept;

/// Decodes every code: values[i] = E::decode(codes[i]). Bits above E::bits are ignored. The rest as
/// in encode_values().
template <element E>
[[nodiscard]] errc decode_values(std::span<const typename E::code> codes,
                                 std::span<float> values) noexcept;

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_ELEMENTS_H_

#include "nibble/dispatch.h"

#if !defined(NIBBLE_ELEMENTS_SHIMS_) && \
    (defined(NIBBLE_CALLS_LIBRARY) || (defined(NIBBLE_HAS_KERNELS) && HWY_ONCE))
#define NIBBLE_ELEMENTS_SHIMS_
#ifdef NIBBLE_CALLS_LIBRARY
#include "nibble/format/library.h"
#endif
namespace nibble::inline NIBBLE_ABI {
namespace detail {

#ifdef NIBBLE_CALLS_LIBRARY

template <element E>
void encode_values(const float* values, std::size_t n, typename E::code* codes,
                   encode_policy policy) noexcept {
  NIBBLE_LIBRARY_ABI::encode<element_key<E>>(values, n, codes, &policy);
}

template <element E>
void decode_values(const typename E::code* codes, std::size_t n, float* values) noexcept {
  NIBBLE_LIBRARY_ABI::decode<element_key<E>>(codes, n, values);
}

#else

template <element E, std::int64_t Targets = HWY_TARGETS>
void encode_values(const float* values, std::size_t n, typename E::code* codes,
                   encode_policy policy) noexcept {
  NIBBLE_DISPATCH(table, EncodeValues<E>)(values, n, codes, policy);
}

template <element E, std::int64_t Targets = HWY_TARGETS>
void decode_values(const typename E::code* codes, std::size_t n, float* values) noexcept {
  NIBBLE_DISPATCH(table, DecodeValues<E>)(codes, n, values);
}

#endif

}  // namespace detail

template <element E>
NIBBLE_SHIM errc encode_values(std::span<const float> values, std::span<typename E::code> codes,
                               encode_policy policy) noexcept {
  if (values.size() != codes.size()) return errc::shape_mismatch;
  detail::encode_values<E>(values.data(), values.size(), codes.data(), policy);
  return errc::ok;
}

template <element E>
NIBBLE_SHIM errc decode_values(std::span<const typename E::code> codes,
                               std::span<float> values) noexcept {
  if (values.size() != codes.size()) return errc::shape_mismatch;
  detail::decode_values<E>(codes.data(), codes.size(), values.data());
  return errc::ok;
}

}  // namespace nibble::inline NIBBLE_ABI
#endif
