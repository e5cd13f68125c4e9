// SPDX-License-Identifier: Apache-2.0 OR MIT
// What can be done about outliers: how weights are kept, how the product is computed, and the error
// of each pair.
#ifndef NIBBLE_EXAMPLES_SUPPORT_OUTLIER_METHODS_H_
#define NIBBLE_EXAMPLES_SUPPORT_OUTLIER_METHODS_H_

#include <array>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "nibble/any.h"
#include "nibble/metrics.h"
#include "nibble/recipes/observers.h"
#include "outlier_cases.h"

namespace examples {

/// How the weights are kept.
enum class storage : std::uint8_t {
  plain,
  singles,            ///< the largest weights of every row apart
  singles_of_matrix,  ///< the largest weights
  sensitive,          ///< weights with the largest w^2 E[x^2], of every row
  columns,            ///< columns of which the largest activation is largest
  columns_by_loss,    ///< columns with the largest sum of w^2 E[x^2]
  halved,             ///< nothing apart, but blocks of half the length
};
inline constexpr std::array<const char*, 7> storage_names = {
    "plain", "singles", "singles_of_matrix", "sensitive", "columns", "columns_by_loss", "halved"};

/// How the product is computed.
enum class method : std::uint8_t {
  exact,      ///< activations as they are: the weights' loss alone
  integer,    ///< int8 activations with scales of their own
  llm_int8,   ///< the same, activations above the threshold as they are
  fixed,      ///< int8 activations, one scale found before
  automatic,  ///< the library's choice on this CPU
};
inline constexpr std::array<const char*, 5> method_names = {"exact", "integer", "llm_int8",
                                                            "static", "automatic"};

inline constexpr double split_fraction = 0.005;

/// Sums of squares of an error and of what it is an error of.
struct relative_error {
  double noise = 0;
  double signal = 0;

  void add(const relative_error& other) {
    noise += other.noise;
    signal += other.signal;
  }
  [[nodiscard]] double ratio() const { return std::sqrt(noise / signal); }
  [[nodiscard]] double db() const { return 10 * std::log10(signal / noise); }
};

/// One way to multiply, over all seeds; or the weights themselves, over the matrices of a model.
struct measurement {
  relative_error error;
  std::size_t bytes = 0;    ///< of weights
  std::size_t weights = 0;  ///< 0: there is no such way
  std::string path;         ///< that was taken
  std::size_t found = 0;    ///< activations that LLM.int8 multiplied as they are

  [[nodiscard]] double bits() const {
    return 8 * static_cast<double>(bytes) / static_cast<double>(weights);
  }
};

/// A format, and what has blocks half as long.
///
/// A row of whole-row blocks is two rows of half the length. And int4_channel_f16 on rows of 16
/// values is what int4_g16_f16 would be. So blocks of any length need no format of their own.
struct compared_format {
  std::string_view name;
  std::string_view half;      ///< empty: not compared
  std::size_t half_cols = 0;  ///< 0: as they are; 1: half of a row; else columns of a row
  const char* half_text = "";
};

inline constexpr std::array<compared_format, 6> compared_formats = {{
    {"int8_channel_f32", "int8_channel_f32", 1, "half rows"},
    {"fp8_e4m3fn_channel_f32", "fp8_e4m3fn_channel_f32", 1, "half rows"},
    {"int4_g32_f16", "int4_channel_f16", 16, "blocks of 16"},
    {"int4_g64_f16", "int4_g32_f16", 0, "int4_g32_f16"},
    {"int4_g128_f16", "int4_g64_f16", 0, "int4_g64_f16"},
    {"nf4_g64_f32", "nf4_g32_f16", 0, "nf4_g32_f16"},
}};

/// Throws where the library returns an error: nothing here can go wrong but memory.
template <class Result>
auto value_of(Result r) {
  if (!r) throw std::runtime_error(nibble::message(r.error()));
  return std::move(r).value();
}
inline void require(nibble::errc e) {
  if (e != nibble::errc::ok) throw std::runtime_error(nibble::message(e));
}

/// One scale for all activations, from a histogram of those that were seen; columns that the
/// weights keep apart are not quantized, so they are not looked at.
inline float scale_of(const dense_matrix& seen, const nibble::outlier_data& apart) {
  auto observer = value_of(nibble::histogram_observer::create(nibble::slot_layout::per_tensor()));
  dense_matrix rest(seen.rows, seen.cols - apart.num_columns);
  float* to = rest.values.data();
  for (std::size_t r = 0; r < seen.rows; ++r) {
    const std::uint32_t* next = apart.columns;
    for (std::size_t c = 0; c < seen.cols; ++c) {
      const bool skip = next != apart.columns + apart.num_columns && *next == c;
      if (skip) {
        ++next;
      } else {
        *to++ = seen.values[r * seen.cols + c];
      }
    }
  }
  require(observer.observe(rest.view()));
  return nibble::symmetric_scale(value_of(observer[0].mse())).scale;
}

/// What observers say about the activations.
struct observed {
  std::vector<float> amax;
  std::vector<float> second_moments;
  std::vector<float> loss;  ///< per column, what a product loses without it: E[x^2] * sum of w^2
  float scale = 0;          ///< static, for all columns

  observed() = default;
  observed(const dense_matrix& seen, const dense_matrix& w)
      : amax(seen.cols), second_moments(seen.cols), loss(seen.cols), scale(scale_of(seen, {})) {
    auto observer = value_of(
        nibble::second_moment_observer::create(nibble::slot_layout::per_channel(seen.cols)));
    require(observer.observe(seen.view()));
    require(observer.copy_amax(amax));
    require(observer.copy_mean_squares(second_moments));
    std::vector<double> sum(seen.cols);
    for (std::size_t i = 0; i < w.values.size(); ++i) {
      sum[i % w.cols] += static_cast<double>(w.values[i]) * static_cast<double>(w.values[i]);
    }
    for (std::size_t c = 0; c < loss.size(); ++c) {
      loss[c] = static_cast<float>(sum[c] * static_cast<double>(second_moments[c]));
    }
  }
};

inline nibble::outlier_rule rule_of(storage s, const observed& o) {
  using rule = nibble::outlier_rule;
  switch (s) {
    case storage::sensitive: return rule::sensitive(split_fraction, o.second_moments);
    case storage::singles_of_matrix:
      return rule::largest(split_fraction, nibble::outlier_scope::tensor);
    case storage::columns: return rule::columns_largest(o.amax, split_fraction);
    case storage::columns_by_loss: return rule::columns_largest(o.loss, split_fraction);
    default: return rule::largest(split_fraction);
  }
}

/// Quantizes w in another shape: the same values, rows of `cols`.
inline nibble::any_packed_matrix pack_as(const nibble::any_format& f, const dense_matrix& w,
                                         std::size_t cols, nibble::context& with) {
  return value_of(nibble::pack(
      f, nibble::matrix_view<const float>(w.values.data(), w.values.size() / cols, cols), with));
}

/// Weights that were quantized in blocks half as long, and their bytes.
struct halved_weights {
  dense_matrix w;
  std::size_t bytes = 0;
};

inline halved_weights halve_blocks(const compared_format& f, const dense_matrix& w,
                                   nibble::context& with) {
  const nibble::any_format& half = *nibble::find_format(f.half);
  const std::size_t cols = f.half_cols == 0 ? w.cols : f.half_cols == 1 ? w.cols / 2 : f.half_cols;
  const nibble::any_packed_matrix packed = pack_as(half, w, cols, with);
  halved_weights h;
  h.w = dense_matrix(w.rows, w.cols);
  require(nibble::dequantize(
      packed, nibble::matrix_view<float>(h.w.values.data(), packed.rows(), packed.cols())));
  // Rows of 16 are padded when packed; what counts is what quantized rows take.
  h.bytes = half.quantized_bytes(packed.rows(), packed.cols());
  return h;
}

/// All storages and methods of a format, over seeds.
class measured_format {
 public:
  explicit measured_format(const compared_format& f)
      : info_(&f), format_(nibble::find_format(f.name)) {}

  [[nodiscard]] std::string_view name() const { return info_->name; }
  [[nodiscard]] const compared_format& info() const { return *info_; }
  [[nodiscard]] const measurement& at(storage s, method m) const {
    return all_[static_cast<std::size_t>(s)][static_cast<std::size_t>(m)];
  }

  void add(const outlier_matrices& a, const observed& seen, const std::vector<double>& exact,
           nibble::context& with) {
    for (std::size_t s = 0; s < storage_names.size(); ++s) {
      const auto kept = static_cast<storage>(s);
      if (kept == storage::halved) {
        add_halved(a, exact, with);
        continue;
      }
      const nibble::any_packed_matrix w = pack(kept, a.w, seen, with);
      for (std::size_t m = 0; m < method_names.size(); ++m) {
        add_product(a, seen, exact, kept, static_cast<method>(m), w, with);
      }
    }
  }

  /// Weights alone: their own error, which is a product's where all columns of x are alike.
  void add_weights(const dense_matrix& w, nibble::context& with) {
    for (const storage s : {storage::plain, storage::singles, storage::halved}) {
      dense_matrix back(w.rows, w.cols);
      measurement& to = at(s, method::exact);
      if (s == storage::halved) {
        halved_weights h = halve_blocks(*info_, w, with);
        back = std::move(h.w);
        to.bytes += h.bytes;
      } else {
        const nibble::any_packed_matrix packed = pack(s, w, {}, with);
        require(nibble::dequantize(packed, back.view()));
        to.bytes += packed.bytes();
      }
      const nibble::error_metrics e = nibble::compare(w.view(), std::as_const(back).view());
      to.error.add({e.noise, e.signal});
      to.weights += w.values.size();
      to.path = "weights";
    }
  }

 private:
  [[nodiscard]] nibble::any_packed_matrix pack(storage s, const dense_matrix& w, const observed& o,
                                               nibble::context& with) const {
    return value_of(s == storage::plain
                        ? nibble::pack(*format_, w.view(), with)
                        : nibble::pack_with_outliers(*format_, w.view(), rule_of(s, o), with));
  }

  measurement& at(storage s, method m) {
    return all_[static_cast<std::size_t>(s)][static_cast<std::size_t>(m)];
  }

  void add_product(const outlier_matrices& a, const observed& seen,
                   const std::vector<double>& exact, storage s, method m,
                   const nibble::any_packed_matrix& w, nibble::context& with) {
    nibble::gemm_options options;
    options.path = nibble::compute_path::integer;
    if (m == method::exact) options.path = nibble::compute_path::exact;
    if (m == method::automatic) options.path = nibble::compute_path::automatic;
    if (!format_->supports(options.path) && m != method::automatic) return;
    nibble::outlier_statistics found;
    if (m == method::llm_int8) {
      options.outlier_threshold = nibble::llm_int8_threshold;
      options.outliers_found = &found;
    }
    nibble::activations x = a.x.view();
    float scale = seen.scale;
    if (m == method::fixed) {
      const nibble::outlier_data& apart = w.view().data.outliers;
      if (apart.num_columns != 0) scale = scale_of(a.seen, apart);
      x = x.quantized_by(&scale);
    }
    dense_matrix y(a.x.rows, a.w.rows);
    require(nibble::gemm(w, x, y.view(), with, {}, options));

    measurement& to = at(s, m);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const double e = static_cast<double>(y.values[i]) - exact[i];
      to.error.add({e * e, exact[i] * exact[i]});
    }
    to.bytes += w.bytes();
    to.weights += a.w.values.size();
    to.path = nibble::name_of(nibble::explain(w, x, with, options).path);
    to.found += found.num_values;
  }

  void add_halved(const outlier_matrices& a, const std::vector<double>& exact,
                  nibble::context& with) {
    halved_weights h = halve_blocks(*info_, a.w, with);
    for (std::size_t i = 0; i < h.w.values.size(); ++i) h.w.values[i] -= a.w.values[i];
    measurement& to = at(storage::halved, method::exact);
    to.bytes += h.bytes;
    to.weights += h.w.values.size();
    to.path = "exact";
    for (const float e : multiply<float>(a.x, h.w)) to.error.noise += double{e} * double{e};
    for (const double y : exact) to.error.signal += y * y;
  }

  const compared_format* info_;
  const nibble::any_format* format_;
  std::array<std::array<measurement, method_names.size()>, storage_names.size()> all_;
};

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_OUTLIER_METHODS_H_
