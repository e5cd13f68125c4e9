// SPDX-License-Identifier: Apache-2.0 OR MIT
// The run-time tables of formats and products with a few formats only: those of
// NIBBLE_MUTATION_FORMATS. A test that asks for another one by name gets one of them. Products have
// their kernels; weights are quantized by the reference.
#include "nibble/gemm.h"

#include "format/user_formats.h"
#include "support/make_erased_gemm.h"
#include "support/reference_line.h"

namespace nibble_test {
namespace {

using namespace nibble;
using formats = type_list<NIBBLE_MUTATION_FORMATS>;

template <class Table>
const auto& named(const Table& table, std::string_view name) {
  std::size_t sum = 0;
  for (const char c : name) sum = sum * 31 + static_cast<unsigned char>(c);
  for (const auto& line : table) {
    if (line.name == name) return line;
  }
  return table[sum % table.size()];
}

}  // namespace

const std::vector<erased_format>& catalogue() {
  static const auto table = []<class... F>(type_list<F...>) {
    return std::vector<erased_format>{make_reference_line<F>()...};
  }(formats{});
  return table;
}
const std::vector<erased_gemm>& gemm_catalogue() {
  static const auto table = []<class... F>(type_list<F...>) {
    return std::vector<erased_gemm>{make_erased_gemm<F>()...};
  }(formats{});
  return table;
}
const erased_format& format_named(std::string_view name) { return named(catalogue(), name); }
const erased_gemm& gemm_named(std::string_view name) { return named(gemm_catalogue(), name); }
bool left_out(std::string_view) { return false; }  // named() finds one for every name

}  // namespace nibble_test
