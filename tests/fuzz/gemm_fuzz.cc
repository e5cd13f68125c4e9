// SPDX-License-Identifier: Apache-2.0 OR MIT
// Differential fuzzing of all kernels against the reference: quantize() and dequantize() to the
// byte; products to the bit on the integer path, within their bound on the others; for any shape,
// target, order of tasks, type of activations, outliers and epilogue.
//
// The fuzzer chooses the case; values come from seeds that it chooses, too. NIBBLE_FUZZ_FORMATS:
// few formats, as kernels take long to compile with sanitizers. Others, and other targets, to
// order:
//   CXXFLAGS='-march=haswell -DNIBBLE_FUZZ_FORMATS=nvfp4,gguf::q4_K' sh cmake/fuzz.sh 10 gemm
#include "nibble/outliers.h"

#include "no_catch.h"
#include "shuffled.h"
#include "support/agreement.h"
#include "support/gemm_checks.h"
#include "support/make_erased.h"
#include "support/make_erased_gemm.h"

#ifndef NIBBLE_FUZZ_FORMATS
#define NIBBLE_FUZZ_FORMATS uint4_g32_f16_z, nf4_g64_dq
#endif

namespace {

using namespace nibble_test;
using nibble::number_type;

struct line {
  erased_format format;
  erased_gemm gemm;
};

template <class... F>
std::vector<line> lines_of(nibble::type_list<F...>) {
  return {{make_erased<F>(), make_erased_gemm<F>()}...};
}

const std::vector<line>& table() {
  using namespace nibble;
  static const std::vector<line> lines = lines_of(type_list<NIBBLE_FUZZ_FORMATS>{});
  return lines;
}

fill any_fill(fuzz::choices& in) {
  return static_cast<fill>(in.below(static_cast<std::size_t>(fill::last) + 1));
}
/// Values whose products no bound excludes.
bool is_tame(fill kind) {
  return kind != fill::denormals && kind != fill::huge && kind != fill::any_bits &&
         kind != fill::non_finite;
}

// --- quantize and dequantize -------------------------------------------------

void run_quantize(const erased_format& f, fuzz::choices& in) {
  const shape size{in.below(6), in.below(4) == 0 ? in.below(3000) : in.below(300)};
  disagreements found(f.name);
  if (in.flip()) {
    check_dequantize_case(f, size, found, in.take<std::uint64_t>());
    return;
  }
  const std::vector<rule_case> rules = rules_for(f);
  rule_case rule = rules[in.below(rules.size())];
  if (rule.rule == nibble::scale_rule::percentile) {
    rule.percentile = 50 + static_cast<float>(1 + in.below(500)) * 0.1f;
  }
  const fill kind = any_fill(in);
  check_quantize_case(f, rule, kind, size, found, in.take<std::uint64_t>());
}

// --- products ----------------------------------------------------------------

/// Activations of any type, stride and alignment, with all that they point to.
struct any_activations {
  std::vector<std::uint8_t> memory;
  std::vector<float> scales;
  std::vector<std::int32_t> zeros;
  std::vector<std::uint32_t> order;
  activations x;
  bool clips = false;  ///< given scales clip floats, which no bound knows

  any_activations(fuzz::choices& in, std::size_t m, std::size_t k, std::size_t block, fill kind) {
    constexpr number_type types[] = {number_type::f32, number_type::bf16, number_type::f16,
                                     number_type::int8, number_type::uint8};
    x.type = in.one_of(types);
    x.rows = m;
    x.cols = k;
    x.stride = k + in.below(5);
    const std::size_t size = size_of(x.type);
    const std::size_t offset = in.below(9) * size;
    random_bits random(in.take<std::uint64_t>());
    memory.assign(offset + m * x.stride * size + 1, 0xFF);  // NaN between the rows
    x.data = memory.data() + offset;
    const std::vector<float> values = make_values(kind, m * k, random.next());
    for (std::size_t i = 0; i < m * k; ++i) {
      std::uint8_t* const to = memory.data() + offset + (i / k * x.stride + i % k) * size;
      store(values[i] * 10, random, to);
    }
    take_scales(in, block, random);
    if (x.scale_cols == 0 && in.below(4) == 0) {
      for (std::size_t c = 0; c < k; ++c) order.push_back(static_cast<std::uint32_t>(c));
      for (std::size_t c = k; c > 1; --c) std::swap(order[c - 1], order[random.below(c)]);
      x.order = order.data();
    }
  }

 private:
  void store(float v, random_bits& random, std::uint8_t* to) const {
    const std::uint16_t half =
        x.type == number_type::bf16 ? nibble::bf16::encode(v) : nibble::f16::encode(v);
    if (x.type == number_type::f32) std::memcpy(to, &v, sizeof v);
    if (size_of(x.type) == 2) std::memcpy(to, &half, sizeof half);
    if (size_of(x.type) == 1) *to = random.byte();
  }

  void take_scales(fuzz::choices& in, std::size_t block, random_bits& random) {
    const bool codes = size_of(x.type) == 1;
    const bool given = !codes && in.below(4) == 0;
    if (!codes && !given) return;
    std::size_t groups = 1;
    std::size_t scale_cols = 0;
    if (in.flip() && block >= 32 && block < x.cols) {
      scale_cols = block * (1 + in.below(2));
      groups = (x.cols + scale_cols - 1) / scale_cols;
    }
    const int lowest = x.type == number_type::uint8 ? 0 : -128;
    for (std::size_t i = 0; i < x.rows * groups; ++i) scales.push_back(0.01f + random.uniform());
    for (std::size_t i = 0; i < x.rows; ++i) {
      zeros.push_back(static_cast<std::int32_t>(random.below(256)) + lowest);
    }
    if (scales.empty()) scales.push_back(1);
    if (zeros.empty()) zeros.push_back(0);
    if (given) {
      x = scale_cols == 0 ? x.quantized_by(scales.data(), zeros.data())
                          : x.quantized_by(scales.data(), scale_cols, zeros.data());
      clips = true;
    } else {
      x.scales = scales.data();
      x.scale_stride = groups;
      x.scale_cols = scale_cols;
      if (in.flip()) x.zero_points = zeros.data();
    }
  }
};

/// An epilogue of any members, and results of any type and stride.
struct any_epilogue {
  std::vector<float> channels;
  std::vector<float> bias;
  std::vector<float> residual;
  std::vector<float> scale;
  std::vector<std::int32_t> multiplier;
  std::vector<std::int32_t> shift;
  epilogue post;
  number_type type;
  std::size_t stride;

  any_epilogue(fuzz::choices& in, std::size_t m, std::size_t n) {
    constexpr nibble::activation acts[] = {nibble::activation::none, nibble::activation::relu,
                                           nibble::activation::gelu, nibble::activation::gelu_tanh,
                                           nibble::activation::silu};
    constexpr number_type types[] = {number_type::f32, number_type::bf16, number_type::f16,
                                     number_type::int8, number_type::uint8};
    constexpr nibble::requantize_rule rules[] = {
        nibble::requantize_rule::float_scale, nibble::requantize_rule::fixed_double,
        nibble::requantize_rule::fixed_single, nibble::requantize_rule::float_multiplier};
    type = in.one_of(types);
    stride = n + in.below(5);
    random_bits random(in.take<std::uint64_t>());
    channels = make_values(fill::positive, n, random.next());
    bias = make_values(fill::normal, n, random.next());
    residual = make_values(fill::heavy_tailed, m * n, random.next());
    for (std::size_t i = 0; i < n; ++i) {
      scale.push_back(0.01f + random.uniform());
      multiplier.push_back(static_cast<std::int32_t>(random.bits32() >> 1));
      shift.push_back(static_cast<std::int32_t>(random.below(62)) - 31);
    }
    post.act = in.one_of(acts);
    if (in.flip()) post.channel_scale = channels.data();
    if (in.flip()) post.bias = bias.data();
    if (in.flip()) post.residual = residual.data();
    post.residual_stride = n;
    if (in.flip()) post.low = -static_cast<float>(in.below(100));
    if (in.flip()) post.high = static_cast<float>(in.below(100));
    const bool is_signed = type == number_type::int8;
    const std::int32_t low = is_signed ? -128 : 0;
    post.requantize = {in.one_of(rules),
                       in.flip(),
                       scale.data(),
                       multiplier.data(),
                       shift.data(),
                       low + static_cast<std::int32_t>(in.below(256)),
                       low,
                       low + 255};
  }
};

/// The bytes of results [m x n] of any type, 0xA5 between the rows.
struct result_bytes {
  std::vector<std::uint8_t> bytes;
  nibble::results y;

  result_bytes(number_type type, std::size_t m, std::size_t n, std::size_t stride)
      : bytes(m * stride * size_of(type) + 1, 0xA5) {
    y.data = bytes.data();
    y.type = type;
    y.rows = m;
    y.cols = n;
    y.stride = stride;
  }
};

weights make_weights(const line& f, shape size, fill kind, fuzz::choices& in) {
  const std::vector<float> values =
      make_values(kind, size.rows * size.cols, in.take<std::uint64_t>());
  matrix_view<const float> rest(values.data(), size.rows, size.cols);
  const bool split = is_tame(kind) && in.below(4) == 0;
  nibble::outlier_split parts;
  if (split) {
    std::vector<std::uint32_t> list;
    for (std::size_t i = 0; i < 5 && size.cols != 0; ++i) {
      list.push_back(static_cast<std::uint32_t>(in.below(size.cols)));
    }
    const auto rule = in.flip()
                          ? nibble::outlier_rule::columns(list)
                          : nibble::outlier_rule::largest(0.001 * (1 + double(in.below(200))));
    auto made = nibble::split_outliers(rest, rule, static_cast<nibble::outlier_type>(in.below(4)));
    fuzz::require(made.has_value(), "outliers are split");
    parts = std::move(*made);
    rest = parts.rest();
  }
  quantized_parts q(f.format, size.rows, size.cols, 0, 0, 0);
  fuzz::require(f.format.quantize(rest, q.writable(), {}) == errc::ok, "weights are quantized");
  weights w(f.gemm, std::move(q), size.rows, size.cols);
  if (split) w.attach(std::move(parts.part));
  return w;
}

void run_gemm(const line& f, fuzz::choices& in) {
  const shape size{1 + in.below(100), in.below(8) == 0 ? in.below(2500) : in.below(350)};
  const std::size_t m = 1 + (in.below(4) == 0 ? in.below(70) : in.below(9));
  const fill w_kind = any_fill(in);
  const fill x_kind = any_fill(in);
  const weights w = make_weights(f, size, w_kind, in);
  const auto is_finite = [](float v) { return std::isfinite(v); };
  // Undecided: NaN or an infinity where a scale is infinite (docs/accuracy.md).
  if (!std::all_of(w.apart.scale.begin(), w.apart.scale.end(), is_finite)) return;
  const any_activations from(in, m, size.cols, w.apart.shape.block, x_kind);

  compute_path path = all_paths[in.below(3)];
  if (!can(w.ops, path)) path = compute_path::exact;
  gemm_options o = options_of(path, in.flip() ? nibble::extension::any : nibble::extension::none);
  o.scale = static_cast<nibble::activation_scale>(in.below(4));
  if (in.below(4) == 0) o.outlier_threshold = 0.1f * static_cast<float>(in.below(200));
  fuzz::shuffled pool(in.take<std::uint32_t>(), 1 + in.below(4));
  context with(pool.threads());

  const expectation want(w, from.x, o.scale, o.outlier_threshold);
  const std::vector<float> sums = multiply(w, from.x, with, o);
  closeness close;
  const bool bounded = is_tame(w_kind) && is_tame(x_kind) && !from.clips;
  std::string text;
  if (bounded) {
    text = disagreement(sums, want, path, close);
  } else if (path == compute_path::integer) {
    text = difference(sums, want.integer);
  }
  fuzz::require(text.empty(), text.c_str());
  if (!std::all_of(sums.begin(), sums.end(), is_finite)) return;  // which NaN is the CPU's choice
  const any_epilogue e(in, m, size.rows);
  result_bytes expected(e.type, m, size.rows, e.stride);
  result_bytes got(e.type, m, size.rows, e.stride);
  if (path == compute_path::integer) {
    const auto whole = gemm_int32(w.apart, from.x, o.scale, o.outlier_threshold);
    nibble::reference::apply_epilogue(sums, whole, expected.y, e.post);
  } else {
    nibble::reference::apply_epilogue(sums, expected.y, e.post);
  }
  fuzz::require(w.ops.gemm(w.packed.data, from.x, got.y, with, e.post, o) == errc::ok, "gemm");
  text = difference(got.bytes, expected.bytes);
  fuzz::require(text.empty(), text.c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::choices in(data, size);
  const line& f = table()[in.below(table().size())];
  const bool quantize = in.below(3) == 0;
  if (quantize) {
    run_quantize(f.format, in);  // on every target
  } else {
    nibble::force_target(nibble::target_name(in.below(nibble::num_targets())));
    run_gemm(f, in);
    nibble::force_target(nullptr);
  }
  return 0;
}
