// SPDX-License-Identifier: Apache-2.0 OR MIT
// Joins the parts of the run-time table of packed products.
#include "support/gemm_table.h"

#include <cstdio>
#include <cstdlib>

namespace nibble_test {

std::vector<erased_gemm> gemm_table_of_float();
std::vector<erased_gemm> gemm_table_of_integer();
std::vector<erased_gemm> gemm_table_of_gguf();

const std::vector<erased_gemm>& gemm_catalogue() {
  static const std::vector<erased_gemm> table = [] {
    std::vector<erased_gemm> all = gemm_table_of_float();
    for (const auto part : {&gemm_table_of_integer, &gemm_table_of_gguf}) {
      const std::vector<erased_gemm> more = part();
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return table;
}

const erased_gemm& gemm_named(std::string_view name) {
  for (const erased_gemm& g : gemm_catalogue()) {
    if (g.name == name) return g;
  }
  std::fprintf(stderr, "no format is called %.*s\n", static_cast<int>(name.size()), name.data());
  std::abort();
}

}  // namespace nibble_test
