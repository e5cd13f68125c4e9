// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which instruction set the kernels run on, and how to choose another one for a test or a
// benchmark.
#ifndef NIBBLE_TARGET_H_
#define NIBBLE_TARGET_H_

#include <cstring>

#include "nibble/config.h"

namespace nibble::inline NIBBLE_ABI {

/// Number of targets that this CPU runs and this program has kernels for. 0 only on x86 without
/// SSE4.2 (before 2008), where a call that needs a kernel would stop with an illegal instruction.
[[nodiscard]] std::size_t num_targets() noexcept;

/// Name of target i of num_targets(), best first: "AVX3", "AVX2", "SSE4", "NEON", "SVE2" ...
[[nodiscard]] const char* target_name(std::size_t i) noexcept;

/// Name of the target that calls take at present: the best one, or the one forced.
[[nodiscard]] const char* current_target() noexcept;

/// Makes all later calls of the whole process take the named target; nullptr restores the best one.
/// Returns false, and changes nothing, if the target is not there. Not while other threads call
/// nibble. For tests and benchmarks.
bool force_target(const char* name) noexcept;

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_TARGET_H_

#include "nibble/dispatch.h"

#if defined(NIBBLE_CALLS_LIBRARY) && !defined(NIBBLE_TARGET_KERNELS_)
#define NIBBLE_TARGET_KERNELS_
#include "nibble/format/library.h"
namespace nibble::inline NIBBLE_ABI {

inline std::size_t num_targets() noexcept { return NIBBLE_LIBRARY_ABI::num_targets(); }
inline const char* target_name(std::size_t i) noexcept {
  return NIBBLE_LIBRARY_ABI::target_name(i);
}
inline const char* current_target() noexcept { return NIBBLE_LIBRARY_ABI::current_target(); }
inline bool force_target(const char* name) noexcept {
  return NIBBLE_LIBRARY_ABI::force_target(name);
}

}  // namespace nibble::inline NIBBLE_ABI
#endif

#if defined(NIBBLE_HAS_KERNELS) && HWY_ONCE && !defined(NIBBLE_TARGET_KERNELS_)
#define NIBBLE_TARGET_KERNELS_
namespace nibble::inline NIBBLE_ABI {
namespace detail {

#ifdef NIBBLE_STATIC_DISPATCH

constexpr std::int64_t available_targets() noexcept { return HWY_STATIC_TARGET; }
constexpr std::int64_t chosen_target() noexcept { return HWY_STATIC_TARGET; }
inline void choose_targets(std::int64_t /*targets*/) noexcept {}

#else

/// Targets with kernels in this translation unit that the CPU supports.
template <std::int64_t Targets = HWY_TARGETS>
inline std::int64_t available_targets() noexcept {
  // The supported targets as they were before any was forced.
  static const std::int64_t supported = []() -> std::int64_t {
    const std::int64_t targets = hwy::SupportedTargets() & Targets;
#if HWY_ARCH_X86 && HWY_COMPILER_GCC
    // Highway's SSE4 is AES, too, which no kernel uses. Nehalem has SSE4.2 alone; calls take the
    // lowest target there anyway.
    if (targets == 0 && __builtin_cpu_supports("sse4.2")) return Targets & HWY_SSE4;
#endif
    return targets;
  }();
  return supported;
}

template <std::int64_t Targets = HWY_TARGETS>
inline std::int64_t chosen_target() noexcept {
  std::int64_t t = hwy::SupportedTargets() & Targets;
  if (t == 0) t = available_targets<Targets>();
  return t & -t;  // lower bits are better targets
}

inline void choose_targets(std::int64_t targets) noexcept {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

#endif

}  // namespace detail

NIBBLE_SHIM std::size_t num_targets() noexcept {
  std::size_t n = 0;
  for (std::int64_t t = detail::available_targets(); t != 0; t &= t - 1) ++n;
  return n;
}

NIBBLE_SHIM const char* target_name(std::size_t i) noexcept {
  std::int64_t t = detail::available_targets();
  for (; i > 0 && t != 0; --i) t &= t - 1;
  return t != 0 ? hwy::TargetName(t & -t) : "";
}

NIBBLE_SHIM const char* current_target() noexcept {
  return hwy::TargetName(detail::chosen_target());
}

NIBBLE_SHIM bool force_target(const char* name) noexcept {
  if (name == nullptr) {
    detail::available_targets();
    detail::choose_targets(0);
    return true;
  }
  for (std::int64_t t = detail::available_targets(); t != 0; t &= t - 1) {
    if (std::strcmp(hwy::TargetName(t & -t), name) == 0) {
      detail::choose_targets(t & -t);
      return true;
    }
  }
  return false;
}

}  // namespace nibble::inline NIBBLE_ABI
#endif
