// SPDX-License-Identifier: Apache-2.0 OR MIT
// Products at the ends of the range of floats: subnormal scales, weights and activations, huge
// ones, tiny by huge, and bytes that mean anything. docs/numerics.md, part 10, says what is
// promised, of rows of weights whose scales, shifts and values are finite: bounds hold but for what
// underflow takes, and the integer path equals its reference.
#include <cstring>

#include "support/environment.h"
#include "support/gemm_checks.h"

using namespace nibble_test;

namespace {

constexpr double largest_float = static_cast<double>(std::numeric_limits<float>::max());

/// What the matrix of weights is made of.
enum class make : std::uint8_t { denormals, huge, any_bits, subnormal_scales, random_bytes, last };
constexpr const char* names_of_make[] = {"subnormal weights", "huge weights", "any weights",
                                         "subnormal scales", "random bytes"};

/// Bytes of a scale in section 1, of formats that have them there.
std::size_t scale_bytes(const erased_format& f) {
  const auto has = [&](const char* text) { return f.name.find(text) != std::string_view::npos; };
  if (f.is_wire || f.is_plain) return 0;
  if (has("_f32")) return 4;
  if (has("_f16") || has("_bf16")) return 2;
  return has("mx") ? 1 : 0;
}

quantized_parts make_parts(const erased_format& f, make how, std::size_t n, std::size_t k,
                           random_bits& random) {
  quantized_parts q(f, n, k, 0, 0, 0);
  const fill kinds[] = {fill::denormals, fill::huge, fill::any_bits, fill::normal, fill::normal};
  const auto values = make_values(kinds[static_cast<std::size_t>(how)], n * k, random.next());
  REQUIRE(f.quantize({values.data(), n, k}, q.writable(), {}) == errc::ok);
  if (how == make::subnormal_scales) {
    const std::size_t size = scale_bytes(f);
    const std::uint32_t below = size == 4                                        ? 1u << 23
                                : size == 1                                      ? 3
                                : f.name.find("_bf16") != std::string_view::npos ? 1u << 7
                                                                                 : 1u << 10;
    for (std::size_t r = 0; r < q.size(1).rows; ++r) {
      for (std::size_t b = 0; b < q.size(1).row_bytes; b += size) {
        const auto scale = static_cast<std::uint32_t>(random.below(below));
        std::memcpy(q.row(1, r) + b, &scale, size);
      }
    }
  }
  for (std::size_t s = 0; how == make::random_bytes && s < q.count(); ++s) {
    for (std::size_t r = 0; r < q.size(s).rows; ++r) {
      for (std::size_t b = 0; b < q.size(s).row_bytes; ++b) q.row(s, r)[b] = random.byte();
    }
  }
  return q;
}

double largest_of(const std::vector<float>& values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::fabs(static_cast<double>(v)));
  return most;
}

/// Whether all that row r of w is made of is finite.
bool is_finite_row(const weight_parts& w, std::size_t r) {
  const std::size_t blocks = w.shape.num_blocks;
  const auto all_finite = [](const std::vector<float>& v, std::size_t from, std::size_t count) {
    return std::all_of(v.data() + from, v.data() + from + count,
                       [](float value) { return std::isfinite(value); });
  };
  return all_finite(w.scale, r * blocks, blocks) && all_finite(w.shift, r * blocks, blocks) &&
         all_finite(w.value, r * w.shape.cols, w.shape.cols);
}

/// What a result may be: within `allowed` of `exact` where the path promises that no step
/// overflows, and not finite where the exact value is not.
struct range_expectation {
  struct result {
    double exact;
    double allowed[3];
    bool is_safe[3];
    bool is_finite;  // weights; nothing is promised of others
  };
  std::vector<result> results;

  range_expectation(const weights& w, const std::vector<float>& x, std::size_t m, bool flushed) {
    const activations rows = as_activations(x, m, w.k);
    const expectation usual(w, rows);
    const double smallest = flushed ? 0x1p-126 : 0x1p-150;  // what one step may lose
    const double scale = largest_of(w.apart.scale);
    const double shift = largest_of(w.apart.shift);
    const double count = static_cast<double>(w.k);
    for (std::size_t r = 0; r < m; ++r) {
      double sum_x = 0;
      double amax = 0;
      for (std::size_t c = 0; c < w.k; ++c) {
        const double size = std::fabs(static_cast<double>(x[r * w.k + c]));
        sum_x += size;
        amax = std::max(amax, size);
      }
      for (std::size_t i = 0; i < w.n; ++i) {
        double sum_w = 0;
        double wx = 0;
        double w_max = 0;
        for (std::size_t c = 0; c < w.k; ++c) {
          const double size = std::fabs(static_cast<double>(w.apart.value[i * w.k + c]));
          sum_w += size;
          w_max = std::max(w_max, size);
          wx += size * std::fabs(static_cast<double>(x[r * w.k + c]));
        }
        result e{};
        e.exact = usual.exact[r * w.n + i];
        e.is_finite = is_finite_row(w.apart, i);
        for (std::size_t p = 0; p < 3; ++p) e.allowed[p] = usual.bounds[p][r * w.n + i];
        // Rows of x below 2^-119 count as zero, and every step of a block may lose a little.
        e.allowed[0] += 0x1p-119 * sum_w + 0x1p-111 * count * (1 + amax + scale + shift);
        // Instructions for bf16 always flush.
        e.allowed[1] += 0x1.04p-126 * (sum_w + sum_x + 2 * count + 2);
        e.allowed[2] += smallest * (count + 1);
        if (flushed) {
          e.allowed[1] += 0x1p-109 * sum_x;
          e.allowed[2] += smallest * sum_w + 0x1p-109 * sum_x;  // a scale, times a level < 2^17
        }
        const double steps = scale * 0x1p17 + shift;  // a level is below 2^17
        e.is_safe[0] = (steps + sum_w + 1) * (amax + 1) * count < largest_float;
        e.is_safe[1] = steps < largest_float && wx < largest_float * 0.96 &&
                       std::max(amax, w_max) <= 0x1.FEp127;
        e.is_safe[2] = steps < largest_float && wx < largest_float * 0.9999;
        results.push_back(e);
      }
    }
  }

  /// Empty if y is as the plain loops have it. Padding has a scale, too (q3_K's is no zero), which
  /// may overflow where nothing else does but the sum.
  [[nodiscard]] std::string unequal(const std::vector<float>& y,
                                    const std::vector<float>& want) const {
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool both_overflow = std::isnan(y[i]) && std::isinf(want[i]) && !results[i].is_safe[0];
      if (results[i].is_finite && !same_float(y[i], want[i]) && !both_overflow) {
        return "value " + std::to_string(i) + " is " + show(y[i]) + ", not " + show(want[i]);
      }
    }
    return {};
  }

  /// Empty if y is as promised.
  [[nodiscard]] std::string wrong(const std::vector<float>& y, compute_path path,
                                  std::size_t& num_safe) const {
    const std::size_t p = static_cast<std::size_t>(path) - 1;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const result& e = results[i];
      const bool within = std::fabs(static_cast<double>(y[i]) - e.exact) <= e.allowed[p];
      if (!e.is_finite) continue;
      const bool good = !std::isfinite(e.exact) ? !std::isfinite(y[i]) : !e.is_safe[p] || within;
      if (!good) {
        char text[160];
        std::snprintf(text, sizeof text, "value %zu is %s, exactly %g; allowed %g", i,
                      show(y[i]).c_str(), e.exact, e.allowed[p]);
        return text;
      }
      num_safe += e.is_safe[p] && std::isfinite(e.exact);
    }
    return {};
  }
};

constexpr fill kinds_of_x[] = {fill::normal, fill::denormals, fill::huge, fill::any_bits,
                               fill::outlier};
constexpr nibble::extension some_extensions[] = {nibble::extension::any, nibble::extension::none};

std::vector<float> multiply_under([[maybe_unused]] bool flushed, const weights& w,
                                  const activations& x, context& with, const gemm_options& o) {
#if NIBBLE_TEST_ENVIRONMENT
  const environment e(flushed ? flush : default_setting);
#endif
  return multiply(w, x, with, o);
}

/// Every path and target.
void check(const weights& w, const char* of_what, fill kind, bool flushed,
           std::size_t (&num_safe)[3]) {
  constexpr std::size_t m = 3;
  const auto values = make_values(kind, m * w.k, seed_of(w.ops.name, 9));
  const activations x = as_activations(values, m, w.k);
  const range_expectation want(w, values, m, flushed);
  const auto integer = w.ops.has_levels ? gemm_integer(w.apart, x) : std::vector<float>();
  context with(parallel::serial());
  for_each_target([&](const char* target) {
    for (const compute_path path : all_paths) {
      if (!can(w.ops, path)) continue;
      for (const nibble::extension extensions : some_extensions) {
        INFO(w.ops.name << ", " << of_what << ", x " << name_of(kind) << ", " << name_of(path)
                        << " on " << target << (flushed ? ", flushed" : "")
                        << (extensions == nibble::extension::none ? ", no extensions" : ""));
        const auto y = multiply_under(flushed, w, x, with, options_of(path, extensions));
        if (path == compute_path::integer && !flushed) CHECK(want.unequal(y, integer) == "");
        CHECK(want.wrong(y, path, num_safe[static_cast<std::size_t>(path) - 1]) == "");
      }
    }
  });
}

void check_all(bool flushed) {
  std::size_t num_safe[3] = {};
  for (const erased_gemm& g : gemm_catalogue()) {
    const erased_format& f = format_named(g.name);
    random_bits random(seed_of(g.name, flushed));
    for (std::size_t i = 0; i < static_cast<std::size_t>(make::last); ++i) {
      const make how = static_cast<make>(i);
      if (how == make::subnormal_scales && scale_bytes(f) == 0) continue;
      // A random zero point in f32, times a scale that is flushed, may be anything.
      if (how == make::random_bytes && flushed) continue;
      for (const std::size_t k : {std::size_t{1}, std::size_t{70}}) {
        const weights w(g, make_parts(f, how, 19, k, random), 19, k);
        for (const fill kind : kinds_of_x) check(w, names_of_make[i], kind, flushed, num_safe);
      }
    }
  }
  std::printf("%s: %zu, %zu, %zu results within their bounds, by path\n",
              flushed ? "subnormals flushed" : "as usual", num_safe[0], num_safe[1], num_safe[2]);
  for (const std::size_t count : num_safe) CHECK(count > 10000);
}

}  // namespace

TEST_CASE("subnormal, huge and any weights and activations: bounds hold, and the integer path") {
  check_all(false);
}

#if NIBBLE_TEST_ENVIRONMENT
TEST_CASE("flushed subnormals count as zero, and no more is lost") { check_all(true); }
#endif

TEST_CASE("one product is rounded once: it overflows and underflows where that does") {
  constexpr std::size_t n = 40;
  std::vector<float> x;
  for (int e = -149; e < 128; ++e) {
    for (const float v : {1.0f, -1.9999999f, 1.3125f}) x.push_back(std::ldexp(v, e));
  }
  for (const erased_gemm& g : gemm_catalogue()) {
    for (const fill kind : {fill::huge, fill::denormals, fill::any_bits}) {
      const weights w(g, n, 1, seed_of(g.name), kind);
      context with(parallel::serial());
      for_each_target([&](const char* target) {
        INFO(g.name << ", " << name_of(kind) << " weights, on " << target);
        const auto y =
            multiply(w, as_activations(x, x.size(), 1), with, options_of(compute_path::exact));
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
          // A product of two floats is exact in double.
          const double exact =
              static_cast<double>(x[i / n]) * static_cast<double>(w.apart.value[i % n]);
          const float want = static_cast<float>(exact);
          wrong += is_finite_row(w.apart, i % n) && !same_float(y[i], want) && y[i] != want;
        }
        CHECK(wrong == 0);
      });
    }
  }
}
