// SPDX-License-Identifier: Apache-2.0 OR MIT
// A pool of std::threads for nibble::context: what a program with threads of its own writes.
//
//   std_thread_pool pool(4);
//   nibble::context with(pool.threads());
//   nibble::gemm(w, x, y, with);
//
// Calls of several threads may overlap: each is a job in a list, the pool's threads help with the
// first that has tasks left, and the caller works on its own. Nothing is allocated per call.
#ifndef NIBBLE_EXAMPLES_STD_THREAD_POOL_H_
#define NIBBLE_EXAMPLES_STD_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "nibble/core/context.h"

class std_thread_pool {
 public:
  /// `threads` in all: the caller of run() is one of them. Each of the others, numbered from 1,
  /// calls on_start(number) first: to pin itself to a CPU, for example.
  explicit std_thread_pool(std::size_t threads, std::function<void(std::size_t)> on_start = {}) {
    for (std::size_t i = 1; i < threads; ++i) {
      helpers_.emplace_back([this, i, on_start] {
        if (on_start) on_start(i);
        help();
      });
    }
  }
  std_thread_pool(const std_thread_pool&) = delete;
  std_thread_pool& operator=(const std_thread_pool&) = delete;
  ~std_thread_pool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : helpers_) t.join();
  }

  /// For the constructor of nibble::context. The pool must outlive the context.
  [[nodiscard]] nibble::parallel threads() noexcept {
    nibble::parallel p;
    p.pool = this;
    p.num_threads = helpers_.size() + 1;
    p.run = [](void* pool, std::size_t num_tasks, nibble::task_function fn, void* tasks) {
      static_cast<std_thread_pool*>(pool)->run(num_tasks, fn, tasks);
    };
    return p;
  }

 private:
  struct job {
    nibble::task_function fn;
    void* tasks;
    std::size_t num_tasks;
    std::atomic<std::size_t> next{0};
    std::size_t workers = 1;  ///< who ever joined; the caller is number 0
    std::size_t busy = 0;     ///< helpers at work
    job* after = nullptr;
  };

  static void work(job& j, std::size_t worker) {
    for (std::size_t i; (i = j.next.fetch_add(1)) < j.num_tasks;) j.fn(j.tasks, i, worker);
  }

  void run(std::size_t num_tasks, nibble::task_function fn, void* tasks) {
    job j{fn, tasks, num_tasks};
    {
      const std::lock_guard lock(mutex_);
      j.after = jobs_;
      jobs_ = &j;
    }
    wake_.notify_all();
    work(j, 0);
    std::unique_lock lock(mutex_);
    job** at = &jobs_;
    while (*at != &j) at = &(*at)->after;
    *at = j.after;
    done_.wait(lock, [&] { return j.busy == 0; });
  }

  void help() {
    std::unique_lock lock(mutex_);
    for (;;) {
      job* j = nullptr;
      wake_.wait(lock, [&] {
        for (j = jobs_; j != nullptr && j->next >= j->num_tasks;) j = j->after;
        return stop_ || j != nullptr;
      });
      if (j == nullptr) return;
      // A helper leaves a job when no task is left, so it never joins twice.
      const std::size_t worker = j->workers++;
      ++j->busy;
      lock.unlock();
      work(*j, worker);
      lock.lock();
      if (--j->busy == 0) done_.notify_all();
    }
  }

  std::vector<std::thread> helpers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  job* jobs_ = nullptr;
  bool stop_ = false;
};

#endif  // NIBBLE_EXAMPLES_STD_THREAD_POOL_H_
