// SPDX-License-Identifier: Apache-2.0 OR MIT
// The ends of a scale's range: every format, every rule. What is lost there is counted, and
// reference and kernels lose and count the same.
#include <algorithm>
#include <cmath>

#include "support/cases.h"
#include "support/checks.h"

using namespace nibble_test;
using nibble::quantize_options;
using nibble::scale_rule;
using floats = std::vector<float>;

namespace {

constexpr std::size_t rows = 2;
constexpr std::size_t cols = 512;
constexpr float largest = 3.40282347e+38f;

struct rule_case {
  const char* name;
  scale_rule rule;
  bool divide = false;
};
constexpr rule_case all_rules[] = {
    {"standard", scale_rule::standard},     {"standard, divide", scale_rule::standard, true},
    {"absmax", scale_rule::absmax},         {"min_max", scale_rule::min_max},
    {"percentile", scale_rule::percentile}, {"mse", scale_rule::mse},
    {"weighted", scale_rule::weighted}};

/// Sizes of waves, and constants that are all a block has.
struct input {
  const char* name;
  float size;
  bool constant = false;
};
constexpr input inputs[] = {{"1e8", 1e8f},
                            {"1e20", 1e20f},
                            {"1e36", 1e36f},
                            {"the largest float", largest},
                            {"1e-7", 1e-7f},
                            {"1e-9", 1e-9f},
                            {"1e-16", 1e-16f},
                            {"1e-36", 1e-36f},
                            {"1e-38", 1e-38f},
                            {"1e-45", 1e-45f},
                            {"1e-9 everywhere", 1e-9f, true},
                            {"-1e-9 everywhere", -1e-9f, true},
                            {"1e8 everywhere", 1e8f, true},
                            {"-1e8 everywhere", -1e8f, true}};

floats make(const input& in) {
  floats x(rows * cols);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double wave = in.constant ? 1 : std::sin(1.7 * static_cast<double>(i));
    x[i] = static_cast<float>(wave * static_cast<double>(in.size));
  }
  return x;
}

/// The part of the largest magnitude of each run of 32 values that is lost, at worst.
double loss(const floats& x, const floats& y) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); i += 32) {
    double amax = 0;
    double off = 0;
    for (std::size_t j = i; j < i + 32; ++j) {
      amax = std::max(amax, std::fabs(static_cast<double>(x[j])));
      const double error = std::fabs(static_cast<double>(x[j]) - static_cast<double>(y[j]));
      off = std::isfinite(error) ? std::max(off, error) : infinity;
    }
    if (amax > 0) worst = std::max(worst, off / amax);
  }
  return worst;
}

struct outcome {
  double lost;
  bool all_zero;
  quantize_report report;
};

outcome run(const erased_format& f, const rule_case& rule, const floats& x) {
  floats importance(cols);
  for (std::size_t c = 0; c < cols; ++c) importance[c] = static_cast<float>(1 + c % 5);
  quantize_options o;
  o.rule = rule.rule;
  o.divide = rule.divide;
  if (rule.rule == scale_rule::weighted) o.importance = importance;
  const round_trip_result r = round_trip(f, x, rows, cols, o);
  const bool all_zero =
      std::all_of(r.values.begin(), r.values.end(), [](float v) { return v == 0; });
  return {loss(x, r.values), all_zero, r.w.report};
}

/// One bit and ternary codes lose much of every block.
double ordinary_loss(const erased_format& f, const rule_case& rule) {
  return run(f, rule, make({"1", 1})).lost;
}

}  // namespace

TEST_CASE("scales that overflow or underflow are counted: every format, every rule") {
  std::size_t counted = 0;
  for (const erased_format& f : catalogue()) {
    if (f.is_plain) continue;
    for (const rule_case& rule : all_rules) {
      const double usual = ordinary_loss(f, rule);
      CHECK(run(f, rule, make({"1", 1})).report.scale_overflow == 0);
      CHECK(run(f, rule, make({"1", 1})).report.scale_underflow == 0);
      for (const input& in : inputs) {
        INFO(f.name << ", " << rule.name << ", " << in.name);
        const outcome got = run(f, rule, make(in));
        CAPTURE(got.lost, usual, got.report.scale_overflow, got.report.scale_underflow);
        const std::size_t count = got.report.scale_overflow + got.report.scale_underflow;
        CHECK(got.report.non_finite == 0);
        if (got.lost > std::max(usual + 0.3, 0.6) || got.all_zero) CHECK(count > 0);
        counted += count;
      }
    }
  }
  CHECK(counted > 0);
}
