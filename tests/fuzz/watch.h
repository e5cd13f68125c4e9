// SPDX-License-Identifier: Apache-2.0 OR MIT
// What fuzz targets share: a promise that is checked, memory that is counted, and a reader that
// makes choices out of the fuzzer's bytes.
#ifndef NIBBLE_TESTS_FUZZ_WATCH_H_
#define NIBBLE_TESTS_FUZZ_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// Sanitizers have it. Without them corpus_main.cc counts.
extern "C" [[gnu::weak]] int __sanitizer_install_malloc_and_free_hooks(
    void (*malloc_hook)(const volatile void*, std::size_t),
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
  static const bool hooks = __sanitizer_install_malloc_and_free_hooks == nullptr ||
                            __sanitizer_install_malloc_and_free_hooks(count_malloc, ignore_free);
  require(hooks, "malloc is watched");
}

/// The fuzzer's bytes as choices; zeros when they are used up.
class choices {
 public:
  choices(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  template <class T>
  T take() {
    T v{};
    const std::size_t n = left_ < sizeof v ? left_ : sizeof v;
    if (n != 0) std::memcpy(&v, data_, n);
    data_ += n;
    left_ -= n;
    return v;
  }
  /// Below n, which is at most 65536.
  std::size_t below(std::size_t n) {
    return n <= 256 ? take<std::uint8_t>() % n : take<std::uint16_t>() % n;
  }
  bool flip() { return below(2) != 0; }
  template <class T, std::size_t N>
  const T& one_of(const T (&some)[N]) {
    return some[below(N)];
  }
  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace fuzz

#endif  // NIBBLE_TESTS_FUZZ_WATCH_H_
