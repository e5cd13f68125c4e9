// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels against the reference, for one format: every rule, every kind of input, ragged shapes,
// any stride and alignment, every target.
#ifndef NIBBLE_TESTS_SUPPORT_AGREEMENT_H_
#define NIBBLE_TESTS_SUPPORT_AGREEMENT_H_

#include <string>
#include <vector>

#include "support/cases.h"
#include "support/checks.h"

namespace nibble_test {

struct rule_case {
  const char* name;
  nibble::scale_rule rule = nibble::scale_rule::standard;
  float percentile = 99.9f;
  nibble::mx_scale mx = nibble::mx_scale::floor;
  bool divide = false;
};

inline constexpr rule_case rule_cases[] = {
    {"standard"},
    {"standard, divide", nibble::scale_rule::standard, 99.9f, nibble::mx_scale::floor, true},
    {"absmax", nibble::scale_rule::absmax},
    {"min_max", nibble::scale_rule::min_max},
    {"percentile 99.9", nibble::scale_rule::percentile, 99.9f},
    {"percentile 80", nibble::scale_rule::percentile, 80.0f},
    {"percentile 100", nibble::scale_rule::percentile, 100.0f},
    {"mse", nibble::scale_rule::mse},
    {"weighted", nibble::scale_rule::weighted},
    {"ceil", nibble::scale_rule::standard, 99.9f, nibble::mx_scale::ceil},
    {"even", nibble::scale_rule::standard, 99.9f, nibble::mx_scale::even},
    {"round_up", nibble::scale_rule::standard, 99.9f, nibble::mx_scale::round_up},
    {"mse, divide", nibble::scale_rule::mse, 99.9f, nibble::mx_scale::round_up, true},
};

/// Values in memory as a caller may have them: odd alignment, NaN between the rows.
struct strided_input {
  std::vector<float> memory;
  matrix_view<const float> view;

  strided_input(fill kind, shape size, std::uint64_t seed) {
    random_bits random(seed);
    const std::size_t gap = random.below(3) == 0 ? 1 + random.below(9) : 0;
    const std::size_t offset = random.below(5);
    const std::size_t stride = size.cols + gap;
    const std::vector<float> values = make_values(kind, size.rows * size.cols, random.next());
    memory.assign(offset + size.rows * stride + 1, quiet_nan);
    for (std::size_t r = 0; r < size.rows; ++r) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * size.cols), size.cols,
                  memory.begin() + static_cast<std::ptrdiff_t>(offset + r * stride));
    }
    view = {memory.data() + offset, size.rows, size.cols, stride};
  }
};

/// Counts cases that differ; says how for the first few of a format.
class disagreements {
 public:
  explicit disagreements(std::string_view format) : format_(format) {}
  void add(shape size, const std::string& what, const char* target, const std::string& text) {
    if (count_++ < 4) {
      FAIL_CHECK(format_ << " [" << size.rows << " x " << size.cols << "], " << what << ", on "
                         << target << ": " << text);
    }
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  std::string_view format_;
  std::size_t count_ = 0;
};

/// Quantizes one matrix by reference and kernels. `more` makes another one of the same kind.
inline void check_quantize_case(const erased_format& f, const rule_case& rule, fill kind,
                                shape size, disagreements& found, std::uint64_t more = 0) {
  const std::uint64_t seed = seed_of(f.name, size.rows, size.cols) ^
                             seed_of(rule.name, static_cast<std::uint64_t>(kind)) ^ more;
  random_bits random(seed);
  const strided_input x(kind, size, random.next());
  std::vector<float> importance;
  quantize_options o;
  o.rule = rule.rule;
  o.percentile = rule.percentile;
  o.mx = rule.mx;
  o.divide = rule.divide;
  if (rule.rule == nibble::scale_rule::weighted) {
    for (std::size_t c = 0; c < size.cols; ++c) {
      importance.push_back(random.below(8) == 0 ? 0.0f : random.uniform() * 10);
    }
    o.importance = importance;
  }
  const std::size_t gap = random.below(2) * 3;
  const std::size_t offset = random.below(4);

  quantize_report want_report;
  quantized_parts want(f, size.rows, size.cols, 0, 0, 0x5A);
  o.report = &want_report;
  const errc want_error = f.reference_quantize(x.view, want.writable(), o);
  for_each_target([&](const char* target) {
    quantize_report report;
    quantized_parts got(f, size.rows, size.cols, gap, offset);
    o.report = &report;
    const errc error = f.quantize(x.view, got.writable(), o);
    std::string text = difference(got, want);
    if (error != want_error) text = "errors differ";
    if (text.empty()) text = difference(report, want_report);
    if (text.empty() && !got.gaps_untouched()) text = "wrote outside the rows";
    if (!text.empty()) {
      found.add(size, std::string(rule.name) + ", " + name_of(kind), target, text);
    }
  });
}

/// Dequantizes random bytes by reference and kernels.
inline void check_dequantize_case(const erased_format& f, shape size, disagreements& found,
                                  std::uint64_t more = 0) {
  random_bits random(seed_of(f.name, size.rows, size.cols) ^ more);
  quantized_parts w(f, size.rows, size.cols, random.below(2) * 3, random.below(4));
  for (std::size_t s = 0; s < w.count(); ++s) {
    for (std::size_t r = 0; r < w.size(s).rows; ++r) {
      for (std::size_t b = 0; b < w.size(s).row_bytes; ++b) w.row(s, r)[b] = random.byte();
    }
  }
  std::vector<float> want(size.rows * size.cols);
  f.reference_dequantize(w.readable(), {want.data(), size.rows, size.cols});
  const std::size_t gap = random.below(2) * random.below(9);
  const std::size_t offset = random.below(5);
  const std::size_t stride = size.cols + gap;
  for_each_target([&](const char* target) {
    const float mark = 12345.0f;
    std::vector<float> memory(offset + size.rows * stride + 1, mark);
    f.dequantize(w.readable(), {memory.data() + offset, size.rows, size.cols, stride});
    std::string text;
    for (std::size_t at = 0; at < memory.size() && text.empty(); ++at) {
      const std::size_t past = at - offset;
      const bool inside =
          at >= offset && past < size.rows * stride && stride != 0 && past % stride < size.cols;
      if (!inside) {
        if (memory[at] != mark) text = "wrote outside the rows";
        continue;
      }
      const std::size_t r = past / stride;
      const std::size_t c = past % stride;
      if (!same_float(memory[at], want[r * size.cols + c])) {
        text = "value (" + std::to_string(r) + ", " + std::to_string(c) + ") is " +
               show(memory[at]) + ", expected " + show(want[r * size.cols + c]);
      }
    }
    if (!text.empty()) found.add(size, "random bytes", target, text);
  });
}

/// Rules that make a difference to the format.
inline std::vector<rule_case> rules_for(const erased_format& f) {
  std::vector<rule_case> rules;
  const bool mx = f.name.starts_with("mx");
  for (const rule_case& r : rule_cases) {
    if (r.mx != nibble::mx_scale::floor && !mx && !r.divide) continue;
    if (f.has_searches || r.rule == nibble::scale_rule::standard) rules.push_back(r);
  }
  return rules;
}

/// Every rule and every kind of input meets several ragged shapes; heavily, all of them. Returns
/// the number of cases that differ.
inline std::size_t check_quantize(const erased_format& f) {
  disagreements found(f.name);
  const std::vector<rule_case> rules = rules_for(f);
  const bool tall = f.block_rows > 1 && f.block_rows != nibble::all;
  for (std::size_t r = 0; r < rules.size(); ++r) {
    const bool slow =
        rules[r].rule == nibble::scale_rule::mse || rules[r].rule == nibble::scale_rule::weighted;
    for (std::size_t kind = 0; kind <= static_cast<std::size_t>(fill::last); ++kind) {
      const std::uint64_t seed = seed_of(f.name, r, kind);
      for (const shape size : ragged_shapes(seed, slow ? 3 : 8, tall)) {
        if (slow && !heavy() && size.rows * size.cols > 2000) continue;
        check_quantize_case(f, rules[r], static_cast<fill>(kind), size, found);
      }
    }
  }
  return found.count();
}

/// All ragged shapes.
inline std::size_t check_dequantize(const erased_format& f) {
  disagreements found(f.name);
  const bool tall = f.block_rows > 1 && f.block_rows != nibble::all;
  for (const shape size : ragged_shapes(0, 1000, tall)) check_dequantize_case(f, size, found);
  return found.count();
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_AGREEMENT_H_
