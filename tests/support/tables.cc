// SPDX-License-Identifier: Apache-2.0 OR MIT
// The run-time tables, joined.
#include "support/tables.h"

#include "support/format_table.h"
#include "support/gemm_table.h"

namespace nibble_test {

const std::vector<erased_format>& catalogue() { return whole_table<erased_format>(); }
const std::vector<erased_gemm>& gemm_catalogue() { return whole_table<erased_gemm>(); }

const erased_format& format_named(std::string_view name) { return line_named<erased_format>(name); }
const erased_gemm& gemm_named(std::string_view name) { return line_named<erased_gemm>(name); }

bool left_out(std::string_view name) {
#ifdef NIBBLE_TEST_FEW_FORMATS
  for (const erased_format& f : catalogue()) {
    if (f.name == name) return false;
  }
  std::printf("left out: %.*s\n", static_cast<int>(name.size()), name.data());
  return true;
#else
  static_cast<void>(name);
  return false;
#endif
}

}  // namespace nibble_test
