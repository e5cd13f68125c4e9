// SPDX-License-Identifier: Apache-2.0 OR MIT
// Threads and scratch memory of packed products, both owned by the caller.
#ifndef NIBBLE_CORE_CONTEXT_H_
#define NIBBLE_CORE_CONTEXT_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>

#include "nibble/config.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace nibble::inline NIBBLE_ABI {

/// One task: called once for every index below the number of tasks, by any thread. `worker` is
/// below the thread count, and no two tasks run with the same one at the same time.
using task_function = void (*)(void* tasks, std::size_t index, std::size_t worker);

/// Threads to run tasks on. The caller's own pool takes two functions:
///
///   run(pool, num_tasks, fn, tasks)   calls fn(tasks, i, worker) for all i < num_tasks and returns
///                                     when all are done
///   num_threads                       workers at most
///
/// Calls of one product may overlap with those of another; run() must allow that.
struct parallel {
  void (*run)(void* pool, std::size_t num_tasks, task_function fn, void* tasks) = nullptr;
  void* pool = nullptr;
  std::size_t num_threads = 1;
  /// Nanoseconds that sharing a product costs, whatever its size. A product that gains less stays
  /// on the calling thread: same bits, sooner. 0: always shared. `measured` (of openmp()): a
  /// context times five empty runs when it first has to know, 5 us where threads wait actively for
  /// work and some 100 us where they sleep (OMP_WAIT_POLICY=passive).
  std::uint32_t sharing_ns = 0;
  static constexpr std::uint32_t measured = ~std::uint32_t{0};

  /// The calling thread alone.
  [[nodiscard]] static parallel serial() noexcept { return {}; }

#ifdef _OPENMP
  /// OpenMP, where this file is compiled with it. 0: as many threads as omp_get_max_threads() says.
  [[nodiscard]] static parallel openmp(std::size_t threads = 0) noexcept {
    parallel p;
    p.num_threads = threads != 0 ? threads : static_cast<std::size_t>(omp_get_max_threads());
    // The thread count travels in the pool pointer, which nothing else needs.
    p.pool = reinterpret_cast<void*>(p.num_threads);
    p.sharing_ns = measured;
    p.run = [](void* count, std::size_t num_tasks, task_function fn, void* tasks) {
      const int threads_wanted = static_cast<int>(reinterpret_cast<std::uintptr_t>(count));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads_wanted)
      for (std::size_t i = 0; i < num_tasks; ++i) {
        fn(tasks, i, static_cast<std::size_t>(omp_get_thread_num()));
      }
    };
    return p;
  }
#endif
};

#ifdef _OPENMP
#define NIBBLE_DEFAULT_PARALLEL ::nibble::parallel::openmp()
#else
#define NIBBLE_DEFAULT_PARALLEL ::nibble::parallel::serial()
#endif

/// Scratch memory and threads for pack(), gemv() and gemm(). One context may serve any number of
/// threads at once; memory grows with the largest call and the number of calls at one time, and
/// nothing is allocated once it is warm. Neither copied nor moved.
class context {
 private:
  struct block {
    block* next;
    std::size_t bytes;
  };

 public:
  explicit context(const parallel& threads = NIBBLE_DEFAULT_PARALLEL) noexcept : threads_(threads) {
    if (threads_.run == nullptr || threads_.num_threads == 0) threads_ = parallel::serial();
    sharing_ns_.store(threads_.sharing_ns, std::memory_order_relaxed);
  }
  context(const context&) = delete;
  context& operator=(const context&) = delete;
  ~context() {
    for (block* b = free_; b != nullptr;) {
      block* const next = b->next;
      release(b);
      b = next;
    }
  }

  [[nodiscard]] std::size_t num_threads() const noexcept { return threads_.num_threads; }

  /// Calls fn(tasks, i, worker) for all i < num_tasks; with one task or thread on this thread.
  void run(std::size_t num_tasks, task_function fn, void* tasks) const {
    if (threads_.run == nullptr || threads_.num_threads == 1 || num_tasks <= 1) {
      for (std::size_t i = 0; i < num_tasks; ++i) fn(tasks, i, 0);
    } else {
      threads_.run(threads_.pool, num_tasks, fn, tasks);
    }
  }

  /// run() where it is worth it: on this thread if all tasks together take so little time that
  /// sharing them would take longer.
  ///
  /// @param work_ns  about what they take on one thread
  void run(std::size_t num_tasks, double work_ns, task_function fn, void* tasks) const {
    if (num_tasks > 1 && threads_.num_threads > 1 && !is_worth_sharing(num_tasks, work_ns)) {
      for (std::size_t i = 0; i < num_tasks; ++i) fn(tasks, i, 0);
    } else {
      run(num_tasks, fn, tasks);
    }
  }

  /// Calls fn(i, worker) for all i < num_tasks: for what lies between two products.
  template <class Fn>
  requires std::invocable<Fn&, std::size_t, std::size_t>
  void run(std::size_t num_tasks, Fn&& fn) const {
    using function = std::remove_reference_t<Fn>;
    run(
        num_tasks,
        [](void* f, std::size_t i, std::size_t worker) { (*static_cast<function*>(f))(i, worker); },
        const_cast<std::remove_const_t<function>*>(std::addressof(fn)));
  }

  /// Scratch bytes of one call, 64-byte aligned, given back when it goes out of scope.
  class lease {
   public:
    lease(context& owner, std::size_t bytes) noexcept;
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease();
    /// nullptr if there was no memory.
    [[nodiscard]] std::uint8_t* data() const noexcept {
      return block_ == nullptr ? nullptr : reinterpret_cast<std::uint8_t*>(block_) + alignment;
    }

   private:
    friend class context;
    context& owner_;
    block* block_;
  };

 private:
  static constexpr std::size_t alignment = 64;

  bool is_worth_sharing(std::size_t num_tasks, double work_ns) const {
    std::uint32_t cost = sharing_ns_.load(std::memory_order_relaxed);
    if (cost == parallel::measured) {
      cost = measure_sharing();
      sharing_ns_.store(cost, std::memory_order_relaxed);
    }
    const auto threads = static_cast<double>(std::min(num_tasks, threads_.num_threads));
    return work_ns * (1 - 1 / threads) > cost;
  }

  /// The median of empty runs: threads that sleep at once cost the same every time, and those that
  /// look for work next to nothing.
  std::uint32_t measure_sharing() const {
    constexpr std::size_t runs = 5;
    std::int64_t times[runs];
    for (std::int64_t& t : times) {
      const auto start = std::chrono::steady_clock::now();
      threads_.run(
          threads_.pool, threads_.num_threads, [](void*, std::size_t, std::size_t) {}, nullptr);
      t = std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count();
    }
    std::sort(times, times + runs);
    return static_cast<std::uint32_t>(std::min<std::int64_t>(times[runs / 2], 1000000000));
  }

  static void release(block* b) noexcept { ::operator delete (b, std::align_val_t{alignment}); }

  block* take(std::size_t bytes) noexcept {
    {
      const std::lock_guard lock(mutex_);
      for (block** at = &free_; *at != nullptr; at = &(*at)->next) {
        if ((*at)->bytes >= bytes) {
          block* const found = *at;
          *at = found->next;
          return found;
        }
      }
      if (free_ != nullptr) {  // too small: replaced by a larger one
        block* const small = free_;
        free_ = small->next;
        release(small);
      }
    }
    void* const memory =
        ::operator new (bytes + alignment, std::align_val_t{alignment}, std::nothrow);
    return memory == nullptr ? nullptr : new (memory) block{nullptr, bytes};
  }

  void give_back(block* b) noexcept {
    const std::lock_guard lock(mutex_);
    b->next = free_;
    free_ = b;
  }

  parallel threads_;
  mutable std::atomic<std::uint32_t> sharing_ns_{0};
  std::mutex mutex_;
  block* free_ = nullptr;
};

inline context::lease::lease(context& owner, std::size_t bytes) noexcept
    : owner_(owner), block_(owner.take(bytes)) {}

inline context::lease::~lease() {
  if (block_ != nullptr) owner_.give_back(block_);
}

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_CORE_CONTEXT_H_
