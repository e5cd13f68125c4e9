// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client of a libnibble of two formats (NIBBLE_FORMATS): they are there and work, others are
// named but not built.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "nibble/any.h"

namespace {

bool is_listed(std::string_view name) {
  const auto names = nibble::format_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool multiplies(const nibble::any_format& format) {
  const std::size_t n = 3, k = 64;
  std::vector<float> w(n * k), x(k, 1.0f), y(n);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 8) - 4.0f;
  nibble::context with;
  const auto packed = nibble::pack(format, nibble::matrix_view<const float>(w.data(), n, k), with);
  if (!packed) return false;
  const nibble::errc e = nibble::gemv(packed->view(), x, y, with);
  // A row is 8 times -4 .. 3: its sum is -32, in codes of 4 bits as in bf16.
  return e == nibble::errc::ok && std::abs(y[2] + 32.0f) < 0.5f;
}

}  // namespace

int main() {
  const auto formats = nibble::catalogue();
  const bool chosen = formats.size() == 2 && formats[0].name == "bf16" &&
                      formats[1].name == "int4_g32_f16";  // in the catalogue's order
  const bool others = is_listed("q4_K") && nibble::find_format("q4_K") == nullptr;
  const bool right = chosen && others && multiplies(formats[0]) && multiplies(formats[1]);
  std::printf("chosen formats: %s\n", right ? "ok" : "FAILED");
  return right ? 0 : 1;
}
