// SPDX-License-Identifier: Apache-2.0 OR MIT
// Arrays between two pages that must not be touched: one byte too far is a crash, not a maybe.
//
//   | no access | ....... | x x x x x | no access |      side::end: the array ends at the guard
//   | no access | x x x x x | ....... | no access |      side::begin: it begins there
//
// The rest of the mapped page holds `poison`; check_margin() says whether it still does.
#ifndef NIBBLE_TESTS_SUPPORT_GUARDED_H_
#define NIBBLE_TESTS_SUPPORT_GUARDED_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace nibble_test {

enum class side : std::uint8_t { begin, end };

template <class T>
class guarded_array {
 public:
  static constexpr unsigned char poison = 0xA5;

  guarded_array(std::size_t count, side where) : count_(count) {
    const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T);
    inner_ = (bytes + page - 1) / page * page;
    mapped_ = inner_ + 2 * page;
    void* base = ::mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
      std::perror("guarded_array: mmap");
      std::abort();
    }
    base_ = static_cast<unsigned char*>(base);
    unsigned char* first = base_ + page;
    if (inner_ != 0) {
      if (::mprotect(first, inner_, PROT_READ | PROT_WRITE) != 0) {
        std::perror("guarded_array: mprotect");
        std::abort();
      }
      std::memset(first, poison, inner_);
    }
    // An array of no bytes lies on the guard itself.
    at_ = where == side::end ? first + inner_ - bytes : first;
  }
  guarded_array(guarded_array&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)),
        at_(other.at_),
        count_(other.count_),
        inner_(other.inner_),
        mapped_(other.mapped_) {}
  guarded_array& operator=(guarded_array&&) = delete;
  ~guarded_array() {
    if (base_ != nullptr) ::munmap(base_, mapped_);
  }

  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(at_); }
  [[nodiscard]] std::size_t size() const { return count_; }
  T& operator[](std::size_t i) const { return data()[i]; }

  /// The array may be read from here on, but not written.
  void make_read_only() const {
    if (inner_ != 0) ::mprotect(base_ + (mapped_ - inner_) / 2, inner_, PROT_READ);
  }

  /// Is the rest of the array's pages as it was?
  [[nodiscard]] bool check_margin() const {
    const unsigned char* first = base_ + (mapped_ - inner_) / 2;
    for (const unsigned char* p = first; p < first + inner_; ++p) {
      const bool inside = p >= at_ && p < at_ + count_ * sizeof(T);
      if (!inside && *p != poison) return false;
    }
    return true;
  }

 private:
  unsigned char* base_ = nullptr;
  unsigned char* at_ = nullptr;
  std::size_t count_ = 0;
  std::size_t inner_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_GUARDED_H_
