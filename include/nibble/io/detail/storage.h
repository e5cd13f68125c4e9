// SPDX-License-Identifier: Apache-2.0 OR MIT
// Memory for what a reader remembers of a file, never more than a budget; and sorting in place.
#ifndef NIBBLE_IO_DETAIL_STORAGE_H_
#define NIBBLE_IO_DETAIL_STORAGE_H_

#include <new>
#include <span>
#include <utility>

#include "nibble/core/errors.h"
#include "nibble/io/detail/bytes.h"

namespace nibble::inline NIBBLE_ABI::detail {

/// Bytes that may still be allocated. Every allocation of a reader goes through one of these, so a
/// small file that promises a lot cannot take a lot of memory.
class memory_budget {
 public:
  explicit memory_budget(std::uint64_t file_bytes) noexcept
      : left_(file_bytes + (std::uint64_t{1} << 20)) {}

  [[nodiscard]] bool take(std::uint64_t count, std::size_t item_bytes) noexcept {
    std::uint64_t bytes = 0;
    if (!checked_multiply(count, item_bytes, bytes) || bytes > left_) return false;
    left_ -= bytes;
    return true;
  }

 private:
  std::uint64_t left_;
};

/// An array of a capacity chosen once; its items never move. Not std::vector: that cannot report a
/// failed allocation without exceptions, and costs clients a tenth of a second to compile.
template <class T>
class fixed_array {
 public:
  fixed_array() noexcept = default;
  fixed_array(fixed_array&& other) noexcept
      : items_(std::exchange(other.items_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  fixed_array& operator=(fixed_array&& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~fixed_array() { delete[] items_; }

  /// Makes room for `count` items; only while empty. limit_exceeded: the budget forbids it.
  [[nodiscard]] errc reserve(memory_budget& budget, std::uint64_t count) noexcept {
    NIBBLE_ASSERT(items_ == nullptr, "a fixed_array is reserved once");
    if (count == 0) return errc::ok;
    if (!budget.take(count, sizeof(T))) return errc::limit_exceeded;
    capacity_ = static_cast<std::size_t>(count);
    items_ = new (std::nothrow) T[capacity_];
    if (items_ != nullptr) return errc::ok;
    capacity_ = 0;
    return errc::out_of_memory;
  }

  void push(const T& item) noexcept {
    NIBBLE_ASSERT(size_ < capacity_, "a fixed_array holds what was reserved");
    items_[size_++] = item;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::span<T> items() noexcept { return {items_, size_}; }
  [[nodiscard]] std::span<const T> items() const noexcept { return {items_, size_}; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return items_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return items_[i]; }

 private:
  T* items_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Sorts numbers by less(a, b): heap sort, because hostile input must not find a slow case, and
/// <algorithm> costs every client 0.13 s to compile.
template <class Less>
void sort_indices(std::span<std::uint32_t> items, Less less) noexcept {
  const auto sift_down = [&](std::size_t root, std::size_t end) {
    for (std::size_t child; (child = 2 * root + 1) < end; root = child) {
      if (child + 1 < end && less(items[child], items[child + 1])) ++child;
      if (!less(items[root], items[child])) return;
      std::swap(items[root], items[child]);
    }
  };
  for (std::size_t i = items.size() / 2; i-- > 0;) sift_down(i, items.size());
  for (std::size_t end = items.size(); end > 1; --end) {
    std::swap(items[0], items[end - 1]);
    sift_down(0, end - 1);
  }
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_STORAGE_H_
