// SPDX-License-Identifier: Apache-2.0 OR MIT
// A pool that shares out every product, however small: so that tests see threads.
#ifndef NIBBLE_TESTS_SUPPORT_POOL_H_
#define NIBBLE_TESTS_SUPPORT_POOL_H_

#include "nibble/thread_pool.h"

class sharing_pool : public nibble::thread_pool {
 public:
  using nibble::thread_pool::thread_pool;
  [[nodiscard]] nibble::parallel threads() noexcept {
    return shared(nibble::thread_pool::threads());
  }

  [[nodiscard]] static nibble::parallel shared(nibble::parallel p) noexcept {
    p.sharing_ns = 0;
    return p;
  }
};

#endif  // NIBBLE_TESTS_SUPPORT_POOL_H_
