// SPDX-License-Identifier: Apache-2.0 OR MIT
// Threads for nibble::context: OpenMP's where the compiler has it, else a pool of std::threads.
#ifndef NIBBLE_EXAMPLES_TINYLM_THREADS_H_
#define NIBBLE_EXAMPLES_TINYLM_THREADS_H_

#include <algorithm>
#include <thread>

#include "nibble/core/context.h"

#ifndef _OPENMP
#include "std_thread_pool.h"
#endif

namespace tinylm {

/// 0: as many as the machine runs at once.
[[nodiscard]] inline std::size_t num_threads_of(std::size_t wanted) {
  return wanted != 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
}

class thread_team {
 public:
#ifdef _OPENMP
  explicit thread_team(std::size_t threads)
      : with_(nibble::parallel::openmp(num_threads_of(threads))) {}
#else
  explicit thread_team(std::size_t threads)
      : pool_(num_threads_of(threads)), with_(pool_.threads()) {}
#endif

  [[nodiscard]] nibble::context& with() { return with_; }

 private:
#ifndef _OPENMP
  std_thread_pool pool_;
#endif
  nibble::context with_;
};

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_THREADS_H_
