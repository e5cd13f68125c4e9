// SPDX-License-Identifier: Apache-2.0 OR MIT
// Threads that are none: tasks in any order and with any worker, on the calling thread. What a
// fuzzer finds with it happens again.
#ifndef NIBBLE_TESTS_FUZZ_SHUFFLED_H_
#define NIBBLE_TESTS_FUZZ_SHUFFLED_H_

#include <numeric>
#include <utility>
#include <vector>

#include "nibble/core/context.h"
#include "support/cases.h"

namespace fuzz {

class shuffled {
 public:
  shuffled(std::uint64_t seed, std::size_t num_threads)
      : random_(seed), num_threads_(num_threads) {}

  [[nodiscard]] nibble::parallel threads() {
    nibble::parallel p;
    p.pool = this;
    p.num_threads = num_threads_;
    p.run = [](void* pool, std::size_t num_tasks, nibble::task_function fn, void* tasks) {
      static_cast<shuffled*>(pool)->run(num_tasks, fn, tasks);
    };
    return p;
  }

 private:
  void run(std::size_t num_tasks, nibble::task_function fn, void* tasks) {
    std::vector<std::size_t> order(num_tasks);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = num_tasks; i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
    for (const std::size_t i : order) fn(tasks, i, random_.below(num_threads_));
  }

  nibble_test::random_bits random_;
  std::size_t num_threads_;
};

}  // namespace fuzz

#endif  // NIBBLE_TESTS_FUZZ_SHUFFLED_H_
