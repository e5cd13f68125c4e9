// SPDX-License-Identifier: Apache-2.0 OR MIT
// What most tests of quantize() and dequantize() do: run the reference, run every target, demand
// the same bytes and floats, hand back the result.
#ifndef NIBBLE_TESTS_SUPPORT_CHECKS_H_
#define NIBBLE_TESTS_SUPPORT_CHECKS_H_

#include <span>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/format_table.h"
#include "support/print.h"
#include "support/targets.h"

namespace nibble_test {

using nibble::quantize_report;

inline matrix_view<const float> as_matrix(const std::vector<float>& values, std::size_t rows,
                                          std::size_t cols) {
  return {values.data(), rows, cols};
}

/// Empty if the sections hold the same bytes, else where they first differ.
inline std::string difference(const quantized_parts& got, const quantized_parts& want) {
  for (std::size_t s = 0; s < want.count(); ++s) {
    const std::string text = difference(got.packed(s), want.packed(s));
    if (!text.empty()) return "section " + std::to_string(s) + ", " + text;
  }
  return {};
}

inline std::string difference(const quantize_report& got, const quantize_report& want) {
  if (got.non_finite == want.non_finite && got.scale_overflow == want.scale_overflow &&
      got.scale_underflow == want.scale_underflow) {
    return {};
  }
  const auto text = [](const quantize_report& r) {
    return std::to_string(r.non_finite) + " non-finite, " + std::to_string(r.scale_overflow) +
           " overflows, " + std::to_string(r.scale_underflow) + " underflows";
  };
  return "report says " + text(got) + "; expected " + text(want);
}

/// Those of the names that are not left out: at least one.
inline std::vector<std::string> present(std::span<const char* const> names) {
  std::vector<std::string> there;
  for (const char* name : names) {
    if (!left_out(name)) there.emplace_back(name);
  }
  REQUIRE(!there.empty());
  return there;
}

struct quantized {
  quantized_parts parts;
  quantize_report report;
  errc error = errc::ok;
};

/// Quantizes by the reference, and demands the same of every target.
inline quantized quantize_everywhere(const erased_format& f, matrix_view<const float> x,
                                     quantize_options o = {}) {
  // Another poison than the kernels': a byte that neither writes is a difference as well.
  quantized want{quantized_parts(f, x.rows, x.cols, 0, 0, 0x5A), {}};
  o.report = &want.report;
  want.error = f.reference_quantize(x, want.parts.writable(), o);
  for_each_target([&](const char* target) {
    INFO(f.name << " on " << target);
    quantized got{quantized_parts(f, x.rows, x.cols), {}};
    o.report = &got.report;
    got.error = f.quantize(x, got.parts.writable(), o);
    CHECK(got.error == want.error);
    if (want.error != errc::ok) return;
    CHECK(difference(got.parts, want.parts) == "");
    CHECK(difference(got.report, want.report) == "");
    CHECK(got.parts.gaps_untouched());
  });
  return want;
}

/// Dequantizes by the reference, and demands the same of every target.
inline std::vector<float> dequantize_everywhere(const erased_format& f, const_sections w,
                                                std::size_t rows, std::size_t cols) {
  std::vector<float> want(rows * cols, -12345.0f);
  f.reference_dequantize(w, {want.data(), rows, cols});
  for_each_target([&](const char* target) {
    INFO(f.name << " on " << target);
    std::vector<float> got(rows * cols, -54321.0f);
    f.dequantize(w, {got.data(), rows, cols});
    CHECK(difference(got, want) == "");
  });
  return want;
}

/// Both, for values of one row.
struct round_trip_result {
  quantized w;
  std::vector<float> values;
};
inline round_trip_result round_trip(const erased_format& f, const std::vector<float>& x,
                                    std::size_t rows, std::size_t cols,
                                    const quantize_options& o = {}) {
  round_trip_result r{quantize_everywhere(f, as_matrix(x, rows, cols), o), {}};
  r.values = dequantize_everywhere(f, r.w.parts.readable(), rows, cols);
  return r;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_CHECKS_H_
