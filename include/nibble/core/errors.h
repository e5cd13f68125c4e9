// SPDX-License-Identifier: Apache-2.0 OR MIT
// Error codes and a value-or-error: for data from outside, and for calls whose sizes, pointers or
// choices do not fit. NIBBLE_ASSERT is for what no input can cause.
#ifndef NIBBLE_CORE_ERRORS_H_
#define NIBBLE_CORE_ERRORS_H_

#include <optional>
#include <utility>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

enum class errc : std::uint8_t {
  ok,
  not_found,         // no such file, tensor or format
  io,                // the operating system refused to open, map or read
  out_of_memory,     // an allocation failed
  bad_magic,         // not a file of this kind
  bad_version,       // a version this reader does not know
  truncated,         // the file ends before what its header promises
  malformed,         // syntax or structure against the file format's rules
  overflow,          // a size or offset does not fit 64 bits or the address space
  out_of_bounds,     // an offset or range lies outside the file
  overlap,           // two tensors claim the same bytes
  duplicate_name,    // two tensors or keys of one name
  unknown_type,      // an element type this reader does not know
  shape_mismatch,    // sizes do not agree with each other
  limit_exceeded,    // larger than the documented limits of a reader or function
  non_finite,        // NaN or infinity where the caller asked for none
  invalid_argument,  // an argument is outside its range
};

/// One lower-case sentence fragment for messages: "the file is truncated".
[[nodiscard]] constexpr const char* message(errc e) noexcept {
  switch (e) {
    case errc::ok: return "success";
    case errc::not_found: return "not found";
    case errc::io: return "the operating system could not open, map or read the file";
    case errc::out_of_memory: return "out of memory";
    case errc::bad_magic: return "not a file of this kind (wrong magic bytes)";
    case errc::bad_version: return "unsupported file version";
    case errc::truncated: return "the file is truncated";
    case errc::malformed: return "the file is malformed";
    case errc::overflow: return "a size or offset in the file overflows";
    case errc::out_of_bounds: return "an offset in the file points outside of it";
    case errc::overlap: return "two tensors in the file overlap";
    case errc::duplicate_name: return "a name occurs twice in the file";
    case errc::unknown_type: return "an element type in the file is unknown";
    case errc::shape_mismatch: return "sizes do not match";
    case errc::limit_exceeded: return "a size exceeds the documented limit";
    case errc::non_finite: return "the data holds NaN or infinity";
    case errc::invalid_argument: return "an argument is outside its range";
  }
  return "unknown error";
}

/// A value or the reason why there is none. Never both, never neither.
template <class T>
class [[nodiscard]] result {
 public:
  constexpr result(T value) noexcept : value_(std::move(value)) {}  // NOLINT: implicit by design
  constexpr result(errc error) noexcept : error_(error) {           // NOLINT: implicit by design
    NIBBLE_ASSERT(error != errc::ok, "a result without a value needs an error");
  }

  [[nodiscard]] constexpr bool has_value() const noexcept { return value_.has_value(); }
  constexpr explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] constexpr errc error() const noexcept { return has_value() ? errc::ok : error_; }

  /// The value; the caller has checked has_value().
  [[nodiscard]] constexpr T& value() & noexcept { return check(), *value_; }
  [[nodiscard]] constexpr const T& value() const& noexcept { return check(), *value_; }
  [[nodiscard]] constexpr T&& value() && noexcept { return check(), *std::move(value_); }
  constexpr T* operator->() noexcept { return check(), &*value_; }
  constexpr const T* operator->() const noexcept { return check(), &*value_; }
  constexpr T& operator*() & noexcept { return value(); }
  constexpr const T& operator*() const& noexcept { return value(); }
  constexpr T&& operator*() && noexcept { return std::move(*this).value(); }

  /// The value, or `other` if there is none.
  template <class U>
  [[nodiscard]] constexpr T value_or(U&& other) const& noexcept {
    return has_value() ? *value_ : static_cast<T>(std::forward<U>(other));
  }
  template <class U>
  [[nodiscard]] constexpr T value_or(U&& other) && noexcept {
    return has_value() ? *std::move(value_) : static_cast<T>(std::forward<U>(other));
  }

 private:
  constexpr void check() const noexcept {
    NIBBLE_ASSERT(value_.has_value(), "this result holds an error, not a value");
  }
  std::optional<T> value_;
  errc error_ = errc::ok;
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_CORE_ERRORS_H_
