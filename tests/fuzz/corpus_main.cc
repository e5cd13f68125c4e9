// SPDX-License-Identifier: Apache-2.0 OR MIT
// main() of a fuzz target without libFuzzer: runs every file of the directories that are named, and
// MUTATIONS random changes of each, the same ones every time.
//
//   usage: <program> DIRECTORY... [MUTATIONS]
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "support/cases.h"
#include "watch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Sanitizers count allocations themselves (watch.h).
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define NIBBLE_HAS_SANITIZER
#endif
#endif
#ifndef NIBBLE_HAS_SANITIZER
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  fuzz::allocated += size;
  return std::malloc(size);
}
void* operator new(std::size_t size) {
  void* const p = operator new(size, std::nothrow);
  if (p == nullptr) std::abort();
  return p;
}
// Not inlined: GCC takes a free() that it sees beside a `new` that it does not for a mismatch.
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif
#endif

namespace {

using bytes = std::vector<std::uint8_t>;

bytes read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A few changes of the sort that parsers mind.
bytes changed(bytes input, nibble_test::random_bits& random) {
  for (std::size_t n = 1 + random.below(4); n > 0 && !input.empty(); --n) {
    const std::size_t at = random.below(input.size());
    switch (random.below(6)) {
      case 0: input[at] = random.byte(); break;
      case 1: input[at] = static_cast<std::uint8_t>(input[at] ^ (1u << random.below(8))); break;
      case 2: input[at] = random.below(2) != 0 ? 0xFF : 0x00; break;
      case 3: input.resize(at); break;
      case 4: input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), random.byte()); break;
      default: input.erase(input.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  return input;
}

void run(const bytes& input) {
  // Memory of exactly this size, so that sanitizers see a read behind it.
  const bytes copy(input);
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  std::size_t mutations = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      mutations = std::stoul(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  fuzz::require(!files.empty(), "there is a corpus");
  std::sort(files.begin(), files.end());
  run({});
  for (const auto& path : files) {
    std::fprintf(stderr, "%s\n", path.filename().c_str());
    const bytes input = read(path);
    run(input);
    nibble_test::random_bits random(nibble_test::seed_of(path.filename().string()));
    for (std::size_t i = 0; i < mutations; ++i) run(changed(input, random));
  }
  std::printf("%zu inputs, %zu changes of each\n", files.size(), mutations);
}
