// SPDX-License-Identifier: Apache-2.0 OR MIT
// The run-time table of all formats without kernels: both columns are the reference. Faults in code
// that kernels and reference share show in hand-made examples and golden bytes alone, and these
// compile in a tenth of the time so.
#include <cstdlib>

#include "support/reference_line.h"

namespace nibble_test {

const std::vector<erased_format>& catalogue() {
  static const auto table = [] {
    std::vector<erased_format> all;
    nibble::for_each_format([&]<class F>() { all.push_back(make_reference_line<F>()); });
    return all;
  }();
  return table;
}

const erased_format& format_named(std::string_view name) {
  for (const erased_format& f : catalogue()) {
    if (f.name == name) return f;
  }
  std::abort();
}
bool left_out(std::string_view) { return false; }

}  // namespace nibble_test
