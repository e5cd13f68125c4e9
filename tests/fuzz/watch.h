// SPDX-License-Identifier: Apache-2.0 OR MIT
// What every fuzz target of a reader checks besides: no broken promise, and bounded memory.
#ifndef NIBBLE_TESTS_FUZZ_WATCH_H_
#define NIBBLE_TESTS_FUZZ_WATCH_H_

#include <cstddef>
#include <cstdio>
#include <cstdlib>

extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void*,
                                                                             std::size_t),
                                                         void (*free_hook)(const volatile void*));

namespace fuzz {

inline std::size_t allocated = 0;  // since the reader began; what it frees does not count down

inline void count_malloc(const volatile void*, std::size_t size) { allocated += size; }
inline void ignore_free(const volatile void*) {}

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// Counts what is allocated from now on.
inline void watch_malloc() {
  static const int hooks = __sanitizer_install_malloc_and_free_hooks(count_malloc, ignore_free);
  require(hooks != 0, "malloc is watched");
}

}  // namespace fuzz

#endif  // NIBBLE_TESTS_FUZZ_WATCH_H_
