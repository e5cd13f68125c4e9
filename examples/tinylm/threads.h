// SPDX-License-Identifier: Apache-2.0 OR MIT
// Threads for nibble::context: nibble's own pool, or OpenMP's where the compiler has it.
#ifndef NIBBLE_EXAMPLES_TINYLM_THREADS_H_
#define NIBBLE_EXAMPLES_TINYLM_THREADS_H_

#include <algorithm>
#include <optional>
#include <thread>

#include "nibble/thread_pool.h"

namespace tinylm {

/// 0: as many as the machine runs at once.
[[nodiscard]] inline std::size_t num_threads_of(std::size_t wanted) {
  return wanted != 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
}

enum class pool_kind { nibble, openmp };

class thread_team {
 public:
  explicit thread_team(std::size_t threads, pool_kind kind = pool_kind::nibble) {
    threads = num_threads_of(threads);
#ifdef _OPENMP
    if (kind == pool_kind::openmp) {
      with_.emplace(nibble::parallel::openmp(threads));
      return;
    }
#else
    static_cast<void>(kind);
#endif
    pool_.emplace(threads);
    with_.emplace(pool_->threads());
  }

  [[nodiscard]] nibble::context& with() { return *with_; }

 private:
  std::optional<nibble::thread_pool> pool_;
  std::optional<nibble::context> with_;
};

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_THREADS_H_
