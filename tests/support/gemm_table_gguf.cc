// SPDX-License-Identifier: Apache-2.0 OR MIT
// The catalogue's GGUF block types as lines of the run-time table of packed products.
#include "support/make_erased_gemm.h"

namespace nibble_test {

std::vector<erased_gemm> gemm_table_of_gguf() {
  using namespace nibble;
  std::vector<erased_gemm> table;
#define NIBBLE_ADD(format_name, ...) table.push_back(make_erased_gemm<format_name>());
  NIBBLE_FORMATS_GGUF(NIBBLE_ADD)
  NIBBLE_FORMATS_GGUF_K(NIBBLE_ADD)
#undef NIBBLE_ADD
  return table;
}

}  // namespace nibble_test
