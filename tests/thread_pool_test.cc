// SPDX-License-Identifier: Apache-2.0 OR MIT
// thread_pool: every task once, for any number of callers; and what a context shares out.
#include "nibble/thread_pool.h"

#include <array>
#include <numeric>

#include "support/catch.h"

using namespace nibble;

namespace {

/// Runs `num_tasks` tasks and checks that each ran once, with a worker of its own at a time.
void check_run(const context& with, std::size_t num_tasks, std::atomic<int>& faults) {
  std::vector<std::atomic<int>> times(num_tasks);
  std::array<std::atomic<int>, 8> at_work{};
  with.run(num_tasks, [&](std::size_t i, std::size_t worker) {
    if (worker >= with.num_threads() || ++at_work[worker] != 1) ++faults;
    ++times[i];
    --at_work[worker];
  });
  for (const std::atomic<int>& t : times) faults += t == 1 ? 0 : 1;
}

/// Counts how often a pool is asked.
struct counter {
  std::size_t calls = 0;

  [[nodiscard]] parallel threads(std::uint32_t sharing_ns) {
    parallel p;
    p.pool = this;
    p.num_threads = 4;
    p.sharing_ns = sharing_ns;
    p.run = [](void* self, std::size_t num_tasks, task_function fn, void* tasks) {
      ++static_cast<counter*>(self)->calls;
      for (std::size_t i = 0; i < num_tasks; ++i) fn(tasks, i, 0);
    };
    return p;
  }
};

constexpr task_function nothing = [](void*, std::size_t, std::size_t) {};

}  // namespace

TEST_CASE("thread_pool runs every task once, with any number of threads and tasks") {
  std::atomic<int> faults{0};
  for (const std::size_t threads : {0u, 1u, 2u, 3u, 8u}) {
    for (const std::chrono::microseconds spin :
         {std::chrono::microseconds(0), thread_pool::default_spin}) {
      thread_pool pool(threads, {}, spin);
      CHECK(pool.num_threads() == std::max<std::size_t>(threads, 1));
      const context with(pool.threads());
      for (std::size_t round = 0; round < 50; ++round) {
        for (const std::size_t tasks : {0u, 1u, 2u, 7u, 100u}) check_run(with, tasks, faults);
      }
      // Threads that went to sleep wake up.
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      check_run(with, 1000, faults);
    }
  }
  CHECK(faults == 0);
}

TEST_CASE("thread_pool serves several callers at once, and calls from its own tasks") {
  thread_pool pool(3);
  const context with(pool.threads());
  std::atomic<int> faults{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round) check_run(with, 20, faults);
    });
  }
  for (std::thread& t : callers) t.join();
  with.run(10, [&](std::size_t, std::size_t) { check_run(with, 10, faults); });
  CHECK(faults == 0);
}

TEST_CASE("thread_pool starts each thread with the caller's function") {
  std::atomic<std::size_t> started{0};
  {
    thread_pool pool(4, [&](std::size_t number) { started += number; });
  }
  CHECK(started == 1 + 2 + 3);
}

TEST_CASE("a context shares out what gains more than sharing costs") {
  counter pool;
  const auto calls = [&](std::uint32_t sharing_ns, std::size_t num_tasks, double work_ns) {
    const context with(pool.threads(sharing_ns));
    const std::size_t before = pool.calls;
    with.run(num_tasks, work_ns, nothing, nullptr);
    return pool.calls - before;
  };
  CHECK(calls(0, 8, 1) == 1);  // always
  CHECK(calls(0, 1, 1e9) == 0);
  CHECK(calls(1000, 8, 1300) == 0);  // four threads save three quarters: 975 ns
  CHECK(calls(1000, 8, 1400) == 1);
  CHECK(calls(1000, 2, 1900) == 0);  // two tasks save a half
  CHECK(calls(1000, 2, 2100) == 1);
}

TEST_CASE("a context measures once what sharing costs") {
  counter pool;
  const context with(pool.threads(parallel::measured));
  with.run(8, 1e12, nothing, nullptr);
  const std::size_t measured = pool.calls - 1;
  CHECK(measured > 0);
  with.run(8, 1e12, nothing, nullptr);
  CHECK(pool.calls == measured + 2);
  with.run(8, 0.0, nothing, nullptr);  // nothing gains nothing
  CHECK(pool.calls == measured + 2);
}
