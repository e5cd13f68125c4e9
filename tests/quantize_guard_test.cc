// SPDX-License-Identifier: Apache-2.0 OR MIT
// No kernel touches a byte outside its arrays: each lies against a page that must not be touched,
// once with its end, once with its beginning; inputs are read-only. Where an array begins makes no
// difference: every offset from a multiple of 64 bytes.
#include <algorithm>
#include <string>
#include <vector>

#include "support/agreement.h"
#include "support/guarded.h"

using namespace nibble_test;

namespace {

/// A quantized matrix whose sections are separate guarded arrays without gaps.
struct guarded_parts {
  std::vector<guarded_array<std::uint8_t>> arrays;
  std::vector<basic_section<std::uint8_t>> writable;
  std::vector<basic_section<const std::uint8_t>> readable;

  guarded_parts(const erased_format& f, shape size, side where) {
    for (const section_size& s : f.section_sizes(size.rows, size.cols)) {
      arrays.emplace_back(s.rows * s.row_bytes, where);
      writable.push_back({arrays.back().data(), s.row_bytes});
      readable.push_back(writable.back());
    }
  }
};

std::size_t check_guarded(const erased_format& f, const rule_case& rule, fill kind, shape size,
                          side where) {
  const std::size_t count = size.rows * size.cols;
  const std::vector<float> values = make_values(kind, count, seed_of(f.name, count));
  const guarded_array<float> x(count, where);
  std::copy(values.begin(), values.end(), x.data());
  x.make_read_only();
  const guarded_array<float> importance(size.cols, where);
  std::fill_n(importance.data(), size.cols, 0.5f);
  importance.make_read_only();
  quantize_options o;
  o.rule = rule.rule;
  o.percentile = rule.percentile;
  o.mx = rule.mx;
  o.divide = rule.divide;
  o.importance = {importance.data(), importance.size()};

  quantized_parts want(f, size.rows, size.cols);
  f.reference_quantize({x.data(), size.rows, size.cols}, want.writable(), o);
  std::vector<float> want_values(count);
  f.reference_dequantize(want.readable(), {want_values.data(), size.rows, size.cols});

  std::size_t failures = 0;
  for_each_target([&](const char* target) {
    guarded_parts w(f, size, where);
    const errc error = f.quantize({x.data(), size.rows, size.cols}, w.writable.data(), o);
    bool good = error == errc::ok;
    for (std::size_t s = 0; s < w.arrays.size(); ++s) {
      const auto bytes = want.packed(s);
      good = good && w.arrays[s].check_margin() &&
             std::equal(bytes.begin(), bytes.end(), w.arrays[s].data());
      w.arrays[s].make_read_only();
    }
    const guarded_array<float> y(count, where);
    f.dequantize(w.readable.data(), {y.data(), size.rows, size.cols});
    good = good && y.check_margin() && difference({y.data(), count}, want_values).empty();
    if (!good && failures++ < 3) {
      FAIL_CHECK(f.name << " [" << size.rows << " x " << size.cols << "] " << rule.name << " on "
                        << target);
    }
  });
  return failures;
}

}  // namespace

TEST_CASE("quantize and dequantize stay inside their arrays: every format, ragged shapes") {
  for (const erased_format& f : catalogue()) {
    std::size_t failures = 0;
    const bool tall = f.block_rows > 1 && f.block_rows != nibble::all;
    for (const side where : {side::begin, side::end}) {
      for (const shape size : ragged_shapes(seed_of(f.name, 1), 40, tall)) {
        failures += check_guarded(f, rule_cases[0], fill::normal, size, where);
      }
    }
    CHECK(failures == 0);
  }
}

TEST_CASE("quantize stays inside its arrays under every rule") {
  for (const erased_format& f : catalogue()) {
    std::size_t failures = 0;
    for (const rule_case& rule : rules_for(f)) {
      for (const shape size : ragged_shapes(seed_of(f.name, 2), heavy() ? 1000 : 4, false)) {
        if (!heavy() && size.rows * size.cols > 1200) continue;
        for (const side where : {side::begin, side::end}) {
          failures += check_guarded(f, rule, fill::non_finite, size, where);
          failures += check_guarded(f, rule, fill::heavy_tailed, size, where);
        }
      }
    }
    CHECK(failures == 0);
  }
}

TEST_CASE("quantize and dequantize take arrays at every offset from 0 to 63 bytes") {
  for (const erased_format& f : catalogue()) {
    for (const shape size : {shape{3, 64}, shape{2, 147}}) {
      const std::size_t count = size.rows * size.cols;
      const std::vector<float> values = make_values(fill::normal, count, seed_of(f.name));
      quantized_parts want(f, size.rows, size.cols);
      f.reference_quantize({values.data(), size.rows, size.cols}, want.writable(), {});
      std::vector<float> want_values(count);
      f.reference_dequantize(want.readable(), {want_values.data(), size.rows, size.cols});
      for_each_target([&](const char* target) {
        std::size_t wrong = 0;
        for (std::size_t offset = 0; offset < 64; ++offset) {
          const std::size_t of_x = offset % 16;  // in floats
          const std::size_t of_y = (offset * 5 + 3) % 16;
          std::vector<float> x(of_x, quiet_nan);
          x.insert(x.end(), values.begin(), values.end());
          quantized_parts w(f, size.rows, size.cols, 0, offset);
          const errc error = f.quantize({x.data() + of_x, size.rows, size.cols}, w.writable(), {});
          const float mark = 12345.0f;
          std::vector<float> y(of_y + count + 1, mark);
          f.dequantize(w.readable(), {y.data() + of_y, size.rows, size.cols});
          const bool good = error == errc::ok && difference(w, want).empty() &&
                            w.gaps_untouched() && y.back() == mark &&
                            difference(std::span(y).subspan(of_y, count), want_values).empty();
          wrong += !good;
        }
        INFO(f.name << " [" << size.rows << " x " << size.cols << "] on " << target);
        CHECK(wrong == 0);
      });
    }
  }
}
