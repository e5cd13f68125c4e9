// SPDX-License-Identifier: Apache-2.0 OR MIT
// A pool of threads for programs that have none: the caller owns it, and nibble starts no other.
//
//   nibble::thread_pool pool(4);
//   nibble::context with(pool.threads());
//   const nibble::errc e = nibble::gemm(w, x, y, with);
//
// Calls of several threads may overlap. Each is a job in a list; the pool's threads help with the
// first that has tasks left, and the caller works on its own job. So a caller never waits for a
// thread that has not woken up yet, which OpenMP's barrier does. Threads without work look for some
// for a while and then sleep: products that follow one another find them awake, and an idle pool
// takes no CPU.
#ifndef NIBBLE_THREAD_POOL_H_
#define NIBBLE_THREAD_POOL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "nibble/core/context.h"

namespace nibble::inline NIBBLE_ABI {

/// Nothing is allocated per call. Safe to use from several threads at once, and from a task of its
/// own (which then works on the new job alone or with idle threads).
class thread_pool {
 public:
  /// Starts threads - 1 threads: the caller of a product is the other one. 0 and 1 start none.
  ///
  /// @param on_start  each thread, numbered from 1, calls it first: to pin itself to a CPU
  /// @param spin      how long a thread looks for work before it sleeps: longer than the gap
  /// between
  ///                  two products, or 0 where other programs need the CPUs
  /// Throws what std::thread and std::vector throw if the system has no thread or memory left.
  explicit thread_pool(std::size_t threads, std::function<void(std::size_t)> on_start = {},
                       std::chrono::microseconds spin = default_spin)
      : spin_(spin) {
#ifdef __cpp_exceptions
    try {
      start(threads, on_start);
    } catch (...) {
      stop();
      throw;
    }
#else
    start(threads, on_start);
#endif
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  /// No call may be running.
  ~thread_pool() { stop(); }

  /// The caller included.
  [[nodiscard]] std::size_t num_threads() const noexcept { return helpers_.size() + 1; }

  /// For the constructor of context. The pool must outlive the context.
  [[nodiscard]] parallel threads() noexcept {
    parallel p;
    p.pool = this;
    p.num_threads = num_threads();
    p.sharing_ns = sharing_ns;
    p.run = [](void* pool, std::size_t num_tasks, task_function fn, void* tasks) {
      static_cast<thread_pool*>(pool)->run(num_tasks, fn, tasks);
    };
    return p;
  }

  static constexpr std::chrono::microseconds default_spin{50};
  /// What sharing costs the caller, who wakes threads but never waits for one that has not begun
  /// (docs/performance.md, threads).
  static constexpr std::uint32_t sharing_ns = 2000;

 private:
  struct job {
    task_function fn;
    void* tasks;
    std::size_t num_tasks;
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> busy{0};  ///< helpers at work
    std::size_t workers = 1;           ///< who ever joined; the caller is number 0
    job* after = nullptr;
  };

  static void work(job& j, std::size_t worker) {
    for (std::size_t i; (i = j.next.fetch_add(1, std::memory_order_relaxed)) < j.num_tasks;) {
      j.fn(j.tasks, i, worker);
    }
  }

  /// Looks at a condition for the time of a spin. False: it did not come true.
  template <class Condition>
  bool spin(Condition&& holds) const {
    const auto until = std::chrono::steady_clock::now() + spin_;
    do {
      for (int i = 0; i < 32; ++i) {
        if (holds()) return true;
        pause();
      }
    } while (std::chrono::steady_clock::now() < until);
    return holds();
  }
  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }

  void run(std::size_t num_tasks, task_function fn, void* tasks) {
    job j{fn, tasks, num_tasks};
    bool asleep = false;
    {
      const std::lock_guard lock(mutex_);
      j.after = jobs_;
      jobs_ = &j;
      asleep = num_asleep_ != 0;
      posted_.fetch_add(1, std::memory_order_release);
    }
    if (asleep) wake_.notify_all();
    work(j, 0);
    {
      const std::lock_guard lock(mutex_);
      job** at = &jobs_;
      while (*at != &j) at = &(*at)->after;
      *at = j.after;  // nobody joins from here on
    }
    const auto is_done = [&j] { return j.busy.load(std::memory_order_acquire) == 0; };
    if (spin(is_done)) return;
    std::unique_lock lock(mutex_);
    done_.wait(lock, is_done);
  }

  void help() {
    std::unique_lock lock(mutex_);
    for (;;) {
      job* j = jobs_;
      while (j != nullptr && j->next.load(std::memory_order_relaxed) >= j->num_tasks) j = j->after;
      if (j == nullptr) {
        if (stop_) return;
        const std::size_t seen = posted_.load(std::memory_order_relaxed);
        lock.unlock();
        const auto is_new = [&] { return posted_.load(std::memory_order_acquire) != seen; };
        const bool found = spin(is_new);
        lock.lock();
        if (found) continue;
        ++num_asleep_;
        wake_.wait(lock, [&] { return stop_ || posted_.load(std::memory_order_relaxed) != seen; });
        --num_asleep_;
        continue;
      }
      // A helper leaves a job when no task is left, so it never joins twice.
      const std::size_t worker = j->workers++;
      j->busy.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      work(*j, worker);
      lock.lock();
      // The job may be gone once nobody is busy with it.
      if (j->busy.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
    }
  }

  void start(std::size_t threads, const std::function<void(std::size_t)>& on_start) {
    for (std::size_t i = 1; i < threads; ++i) {
      helpers_.emplace_back([this, i, on_start] {
        if (on_start) on_start(i);
        help();
      });
    }
  }

  void stop() noexcept {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      posted_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& t : helpers_) t.join();
  }

  std::chrono::microseconds spin_;
  std::vector<std::thread> helpers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  /// Jobs ever: helpers see a new one without the lock.
  std::atomic<std::size_t> posted_{0};
  job* jobs_ = nullptr;
  std::size_t num_asleep_ = 0;
  bool stop_ = false;
};

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_THREAD_POOL_H_
