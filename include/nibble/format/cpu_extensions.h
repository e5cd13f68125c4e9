// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which instructions beyond its target's own this CPU has, and whether the system lets us use them.
//
// Targets are coarse: AVX3_DL is any CPU with VNNI, and AMX, AVX512_BF16 and AVX_VNNI come on top,
// on some. Asked once per process, since CPUID is slow in virtual machines.
//
//   avx_vnni      CPUID 7.1 EAX bit 4
//   avx512_bf16   CPUID 7.1 EAX bit 5; products on AMD only: on Intel, vdpbf16ps runs at half the
//                 rate of widening and FMA (77 and 152 GFLOP/s on Sapphire Rapids)
//   amx           CPUID 7.0 EDX bits 22, 24, 25; XCR0 bits 17, 18; Linux: a permission that a
//                 process asks for before its first tile
//
// Arm (Linux: getauxval; Apple: sysctl; other systems: none). NEON is any ARMv8 CPU, SVE any with
// SVE:
//
//   arm_dotprod   AT_HWCAP bit 20; hw.optional.arm.FEAT_DotProd
//   arm_i8mm      NEON: AT_HWCAP2 bit 13, SVE: bit 9 (not implied by bit 13); FEAT_I8MM
//   arm_bf16      NEON: AT_HWCAP2 bit 14, SVE: bit 12; FEAT_BF16
#ifndef NIBBLE_FORMAT_CPU_EXTENSIONS_H_
#define NIBBLE_FORMAT_CPU_EXTENSIONS_H_

#include <atomic>

#include "nibble/format/gemm_args.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define NIBBLE_X86_64 1
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#else
#define NIBBLE_X86_64 0
#endif

#if defined(__aarch64__) && defined(__GNUC__) && (defined(__linux__) || defined(__APPLE__))
#define NIBBLE_AARCH64 1
#ifdef __linux__
#include <sys/auxv.h>
#else
#include <sys/sysctl.h>
#endif
#else
#define NIBBLE_AARCH64 0
#endif

namespace nibble::inline NIBBLE_ABI {
namespace detail {

/// What was found: bits of `extension`, and whether CPUID (1) and the system (2) were asked.
inline std::atomic<unsigned> found_extensions{0};
inline constexpr unsigned found_amd = 1u << 10;
inline constexpr unsigned found_sve_i8mm = 1u << 11;
inline constexpr unsigned found_sve_bf16 = 1u << 12;

// Inlined always: files compiled with different flags must not share a body.
#if NIBBLE_X86_64
[[gnu::always_inline]] inline unsigned ask_cpu() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return 0;
  const unsigned subleaves = a;
  unsigned found = 0;
  const unsigned tiles = 1u << 22 | 1u << 24 | 1u << 25;
  const bool has_tiles = (d & tiles) == tiles;
  if (subleaves >= 1) {
    __cpuid_count(7, 1, a, b, c, d);
    if ((a & 1u << 4) != 0) found |= static_cast<unsigned>(extension::avx_vnni);
    unsigned vendor = 0;
    if ((a & 1u << 5) != 0) found |= static_cast<unsigned>(extension::avx512_bf16);
    __cpuid(0, a, vendor, c, d);
    if (vendor == 0x68747541u) found |= found_amd;  // "Auth"enticAMD
  }
  __cpuid(1, a, b, c, d);
  if (has_tiles && (c & 1u << 27) != 0) {  // OSXSAVE
    unsigned low = 0;
    unsigned high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const unsigned state = 1u << 17 | 1u << 18;
    if ((low & state) == state) found |= static_cast<unsigned>(extension::amx);
  }
  return found;
}

/// Whether the system grants tile registers to this process.
[[gnu::always_inline]] inline bool ask_for_tiles() noexcept {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long request = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;    // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return false;
#endif
}
#endif

#if NIBBLE_AARCH64
[[gnu::always_inline]] inline unsigned ask_cpu() noexcept {
  constexpr auto dotprod = static_cast<unsigned>(extension::arm_dotprod);
  constexpr auto i8mm = static_cast<unsigned>(extension::arm_i8mm);
  constexpr auto bf16 = static_cast<unsigned>(extension::arm_bf16);
  unsigned found = 0;
#ifdef __linux__
  // Bits as the kernel has them (arch/arm64/include/uapi/asm/hwcap.h): older headers lack names.
  const unsigned long first = getauxval(AT_HWCAP);
  const unsigned long second = getauxval(AT_HWCAP2);
  if ((first & 1ul << 20) != 0) found |= dotprod;
  if ((second & 1ul << 13) != 0) found |= i8mm;
  if ((second & 1ul << 14) != 0) found |= bf16;
  if ((second & 1ul << 9) != 0) found |= found_sve_i8mm;
  if ((second & 1ul << 12) != 0) found |= found_sve_bf16;
#else
  const auto ask = [](const char* name) {
    int value = 0;
    std::size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  if (ask("hw.optional.arm.FEAT_DotProd")) found |= dotprod;
  if (ask("hw.optional.arm.FEAT_I8MM")) found |= i8mm;
  if (ask("hw.optional.arm.FEAT_BF16")) found |= bf16;
#endif
  return found;
}
#endif

/// Those of `wanted` that can be used here. Tiles are asked for only if wanted.
[[gnu::always_inline]] inline extension available_extensions(extension wanted) noexcept {
#if NIBBLE_X86_64 || NIBBLE_AARCH64
  constexpr unsigned cpu_asked = 1u << 8;
  // Two threads may both ask; they get the same answer.
  unsigned found = found_extensions.load(std::memory_order_relaxed);
  if ((found & cpu_asked) == 0) {
    found = ask_cpu() | cpu_asked;
    found_extensions.store(found, std::memory_order_relaxed);
  }
#if NIBBLE_X86_64
  constexpr unsigned tiles_asked = 1u << 9;
  constexpr auto amx = static_cast<unsigned>(extension::amx);
  if ((found & tiles_asked) == 0 && (found & amx) != 0 && has(wanted, extension::amx)) {
    if (!ask_for_tiles()) found &= ~amx;
    found |= tiles_asked;
    found_extensions.store(found, std::memory_order_relaxed);
  }
#endif
#if NIBBLE_X86_64 && defined(NIBBLE_EMULATE_AMX)  // a test brings tiles of its own
  found |= amx;
#endif
  return static_cast<extension>(found & static_cast<unsigned>(wanted));
#else
  static_cast<void>(wanted);
  return extension::none;
#endif
}

/// The same for kernels in SVE's registers: their i8mm and bf16 are features of their own.
[[gnu::always_inline]] inline extension available_sve_extensions(extension wanted) noexcept {
  static_cast<void>(available_extensions(wanted));
  const unsigned found = found_extensions.load(std::memory_order_relaxed);
  unsigned sve = 0;
  if ((found & found_sve_i8mm) != 0) sve |= static_cast<unsigned>(extension::arm_i8mm);
  if ((found & found_sve_bf16) != 0) sve |= static_cast<unsigned>(extension::arm_bf16);
  return static_cast<extension>(sve & static_cast<unsigned>(wanted));
}

/// Whether AVX512_BF16 multiplies faster than FMA. After available_extensions().
[[gnu::always_inline]] inline bool bf16_dot_is_fast() noexcept {
  return (found_extensions.load(std::memory_order_relaxed) & found_amd) != 0;
}

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_CPU_EXTENSIONS_H_
