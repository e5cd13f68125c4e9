// SPDX-License-Identifier: Apache-2.0 OR MIT
// The machine in words, and where this program's own files are.
#ifndef NIBBLE_EXAMPLES_SUPPORT_MACHINE_H_
#define NIBBLE_EXAMPLES_SUPPORT_MACHINE_H_

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "nibble/target.h"

namespace examples {

/// The CPU's name where the system tells it, else its architecture.
inline std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
#if defined(__x86_64__)
  return "x86-64";
#elif defined(__aarch64__)
  return "AArch64";
#else
  return "this CPU";
#endif
}

/// Whether a program that emulates another CPU runs this one (qemu-user): the system's name for the
/// process is the emulator's, or the CPU that the system tells of is of another kind.
inline bool is_emulated() {
  std::ifstream name("/proc/self/comm");
  std::string text;
  if (std::getline(name, text) && text.starts_with("qemu-")) return true;
#if defined(__aarch64__)
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("vendor_id")) return true;  // an x86 CPU's
  }
#endif
  return false;
}

/// Compiler and version.
inline std::string compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "";
#endif
}

/// Bytes of the last-level cache; 0 where the system does not tell. Not sysconf(): it may give the
/// sum over a socket that a virtual machine has only a part of.
inline std::size_t last_level_cache() {
  std::size_t largest = 0;
  for (int i = 0; i < 5; ++i) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/size");
    std::size_t size = 0;
    char unit = 0;
    if (!(file >> size >> unit)) continue;
    largest = std::max(largest, size << (unit == 'M' ? 20 : unit == 'K' ? 10 : 0));
  }
  return largest;
}

/// Targets that nibble::force_target() takes, best first.
inline std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < nibble::num_targets(); ++i)
    names.emplace_back(nibble::target_name(i));
  return names;
}

/// A file shipped with the examples: beside the installed program, else in the source tree.
inline std::filesystem::path example_data(const std::filesystem::path& name) {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (!failed) {
    const auto installed = program.parent_path().parent_path() / "share" / "nibble" / name;
    if (std::filesystem::exists(installed, failed)) return installed;
  }
  return std::filesystem::path(NIBBLE_EXAMPLE_DATA) / name;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_MACHINE_H_
