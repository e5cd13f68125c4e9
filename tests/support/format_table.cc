// SPDX-License-Identifier: Apache-2.0 OR MIT
// Joins the parts of the run-time table of formats.
#include "support/format_table.h"

#include <cstdio>
#include <cstdlib>

namespace nibble_test {

std::vector<erased_format> table_of_float();
std::vector<erased_format> table_of_integer();
std::vector<erased_format> table_of_gguf();

const std::vector<erased_format>& catalogue() {
  static const std::vector<erased_format> table = [] {
    std::vector<erased_format> all = table_of_float();
    for (const auto part : {&table_of_integer, &table_of_gguf}) {
      const std::vector<erased_format> more = part();
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return table;
}

const erased_format& format_named(std::string_view name) {
  for (const erased_format& f : catalogue()) {
    if (f.name == name) return f;
  }
  std::fprintf(stderr, "no format is called %.*s\n", static_cast<int>(name.size()), name.data());
  std::abort();
}

}  // namespace nibble_test
