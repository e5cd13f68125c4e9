// SPDX-License-Identifier: Apache-2.0 OR MIT
// The run-time table of formats with the formats of NIBBLE_MUTATION_FORMATS alone, kernels
// included.
#include "support/make_erased.h"

namespace nibble_test {

const std::vector<erased_format>& catalogue() {
  using namespace nibble;
  static const auto table = []<class... F>(type_list<F...>) {
    return std::vector<erased_format>{make_erased<F>()...};
  }(type_list<NIBBLE_MUTATION_FORMATS>{});
  return table;
}

}  // namespace nibble_test
