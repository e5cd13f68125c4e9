// SPDX-License-Identifier: Apache-2.0 OR MIT
// The catalogue's floats and codebooks as lines of the run-time table of packed products.
#include "support/make_erased_gemm.h"

namespace nibble_test {

std::vector<erased_gemm> gemm_table_of_float() {
  using namespace nibble;
  std::vector<erased_gemm> table;
#define NIBBLE_ADD(format_name, ...) table.push_back(make_erased_gemm<format_name>());
  NIBBLE_FORMATS_PLAIN(NIBBLE_ADD)
  NIBBLE_FORMATS_FP8(NIBBLE_ADD)
  NIBBLE_FORMATS_MX(NIBBLE_ADD)
  NIBBLE_FORMATS_FP4(NIBBLE_ADD)
#undef NIBBLE_ADD
  return table;
}

}  // namespace nibble_test
