// SPDX-License-Identifier: Apache-2.0 OR MIT
// Takes outliers out of a matrix of floats: dense rest + sparse part, in every bit the input.
//
// Single weights: v = w rounded to the type of the part, rest = w - v. Both are exact. Rounding to
// nearest gives v = 0 or |w - v| <= |v| / 2, because v is a multiple of the grid it was rounded to;
// so v / 2 <= w <= 3 v / 2, and such a difference is a float, subnormal or not (Sterbenz 1974). And
// rest + v is the float w. A v of 0 is no outlier: that weight stays whole. The sum is compared all
// the same: a CPU that flushes subnormals to zero would lose some, and these weights stay as well.
//
// Columns: v = w replaces what the packed matrix has, so there is no rest, and a type must hold
// all.
#ifndef NIBBLE_FORMAT_SPLIT_OUTLIERS_H_
#define NIBBLE_FORMAT_SPLIT_OUTLIERS_H_

#include <algorithm>

#include "nibble/format/outlier_rule.h"
#include "nibble/format/outliers.h"

namespace nibble::inline NIBBLE_ABI {

/// What split_outliers() makes: rest with add_outliers(part) is the matrix.
struct outlier_split {
  packed_outliers part;
  detail::packed_buffer rest_memory;

  /// [n x k]: the matrix without its outliers, to be quantized.
  [[nodiscard]] matrix_view<const float> rest() const noexcept {
    return {reinterpret_cast<const float*>(rest_memory.get()), part.rows(), part.cols()};
  }
};

namespace detail {

constexpr bool is_zero(float v) noexcept { return (bits_of(v) & ~f32_sign) == 0; }

constexpr float round_to(number_type t, float v) noexcept {
  constexpr encode_policy to_infinity{rounding::nearest_even, overflow::to_special};
  switch (t) {
    case number_type::bf16: return bf16::decode(bf16::encode(v, to_infinity));
    case number_type::f16: return f16::decode(f16::encode(v, to_infinity));
    default: return v;
  }
}

/// Stores a number of that type.
inline void store_number(number_type t, void* p, std::size_t i, float v) noexcept {
  switch (t) {
    case number_type::bf16: static_cast<std::uint16_t*>(p)[i] = bf16::encode(v); break;
    case number_type::f16: static_cast<std::uint16_t*>(p)[i] = f16::encode(v); break;
    default: static_cast<float*>(p)[i] = v;
  }
}

/// Which types hold all values seen.
class exact_types {
 public:
  constexpr void see(float v) noexcept {
    bf16_ = bf16_ && bits_of(round_to(number_type::bf16, v)) == bits_of(v);
    f16_ = f16_ && bits_of(round_to(number_type::f16, v)) == bits_of(v);
  }
  /// The type asked for if it holds all, else f32.
  [[nodiscard]] constexpr number_type choose(outlier_type asked) const noexcept {
    const bool narrowest = asked == outlier_type::automatic;
    if (bf16_ && (narrowest || asked == outlier_type::bf16)) return number_type::bf16;
    if (f16_ && (narrowest || asked == outlier_type::f16)) return number_type::f16;
    return number_type::f32;
  }

 private:
  bool bf16_ = true;
  bool f16_ = true;
};

class outlier_splitter {
 public:
  outlier_splitter(matrix_view<const float> w, const outlier_rule& rule, outlier_type type,
                   std::size_t max_values) noexcept
      : w_(w), rule_(rule), asked_(type), max_values_(max_values) {}

  [[nodiscard]] result<outlier_split> split() noexcept {
    if (!w_.valid() || asked_ > outlier_type::f32) return errc::invalid_argument;
    if (const errc e = check_rule(rule_, w_.cols); e != errc::ok) return e;
    if (!is_finite(w_)) return errc::non_finite;
    if (!w_.empty()) {
      split_.rest_memory = make_packed_buffer(w_.size() * sizeof(float));
      if (split_.rest_memory == nullptr) return errc::out_of_memory;
    }
    const errc e = picks_columns(rule_) ? split_columns() : split_singles();
    if (e != errc::ok) return e;
    return std::move(split_);
  }

 private:
  [[nodiscard]] static bool is_finite(matrix_view<const float> w) noexcept {
    std::uint32_t largest = 0;
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (const float v : w.row(r)) largest = std::max(largest, bits_of(v) & ~f32_sign);
    }
    return largest < f32_inf;
  }
  [[nodiscard]] float* rest_row(std::size_t r) const noexcept {
    return reinterpret_cast<float*>(split_.rest_memory.get()) + r * w_.cols;
  }
  [[nodiscard]] errc create(const outlier_data& sizes) noexcept {
    auto part = packed_outliers::create(w_.rows, w_.cols, sizes);
    if (part) split_.part = std::move(*part);
    return part.error();
  }
  template <class T>
  [[nodiscard]] T* array(std::size_t i) noexcept {
    return reinterpret_cast<T*>(split_.part.array(i));
  }

  // --- single weights ---

  [[nodiscard]] std::uint64_t score(float w, std::size_t col) const noexcept {
    const double size = std::fabs(static_cast<double>(w));
    return score_bits(rule_.kind == outlier_kind::sensitive
                          ? size * size * static_cast<double>(rule_.statistic[col])
                          : size);
  }
  /// The cut of num_rows rows.
  [[nodiscard]] outlier_cut cut_of(std::size_t first, std::size_t num_rows) const noexcept {
    const std::size_t count = count_of(rule_.fraction, num_rows * w_.cols);
    return cut_of_largest(count, [&](auto&& fn) {
      for (std::size_t r = first; r < first + num_rows; ++r) {
        for (std::size_t c = 0; c < w_.cols; ++c) {
          const float v = w_.row_data(r)[c];
          if (!is_zero(v)) fn(score(v, c));
        }
      }
    });
  }

  /// What single weights are rounded to. Automatic: known when all are found, and nothing rounds.
  [[nodiscard]] number_type value_type() const noexcept {
    switch (asked_) {
      case outlier_type::bf16: return number_type::bf16;
      case outlier_type::f16: return number_type::f16;
      case outlier_type::automatic: return types_.choose(asked_);
      default: return number_type::f32;
    }
  }

  // Takes the outliers out of a row: what is not zero in w and zero in rest is one.
  [[nodiscard]] errc mark_row(std::size_t r, outlier_cut& cut) noexcept {
    const float* w = w_.row_data(r);
    float* rest = rest_row(r);
    for (std::size_t c = 0; c < w_.cols; ++c) {
      rest[c] = w[c];
      if (is_zero(w[c]) || !cut.takes(score(w[c], c))) continue;
      const float v = asked_ == outlier_type::automatic ? w[c] : round_to(value_type(), w[c]);
      if ((bits_of(v) & ~f32_sign) == f32_inf) return errc::overflow;
      if (is_zero(v) || bits_of((w[c] - v) + v) != bits_of(w[c])) continue;
      rest[c] = 0.0f;
      ++num_values_;
      types_.see(v);
    }
    return errc::ok;
  }

  [[nodiscard]] errc split_singles() noexcept {
    outlier_cut cut;
    cut.key = score_bits(std::fabs(static_cast<double>(rule_.threshold)));
    const bool by_fraction = rule_.kind != outlier_kind::above;
    if (by_fraction && rule_.scope == outlier_scope::tensor) cut = cut_of(0, w_.rows);
    for (std::size_t r = 0; r < w_.rows; ++r) {
      if (by_fraction && rule_.scope == outlier_scope::row) cut = cut_of(r, 1);
      if (const errc e = mark_row(r, cut); e != errc::ok) return e;
    }
    if (num_values_ > max_values_) return errc::limit_exceeded;
    outlier_data sizes;
    sizes.num_values = num_values_;
    if (num_values_ != 0) sizes.value_type = value_type();
    if (const errc e = create(sizes); e != errc::ok) return e;
    if (num_values_ != 0) move_singles();
    return errc::ok;
  }

  // What mark_row() took goes to the part.
  void move_singles() noexcept {
    const number_type type = split_.part.view().value_type;
    auto* begin = array<std::uint32_t>(0);
    auto* cols = array<std::uint16_t>(1);
    std::uint32_t num = 0;
    for (std::size_t r = 0; r < w_.rows; ++r) {
      const float* w = w_.row_data(r);
      float* rest = rest_row(r);
      for (std::size_t c = 0; c < w_.cols; ++c) {
        if (c % outlier_span == 0) *begin++ = num;
        if (!is_zero(rest[c]) || is_zero(w[c])) continue;
        const float v = round_to(type, w[c]);
        rest[c] = bits_of(v) == bits_of(w[c]) ? 0.0f : w[c] - v;
        cols[num] = static_cast<std::uint16_t>(c % outlier_span);
        store_number(type, split_.part.array(2), num, v);
        ++num;
      }
    }
    *begin = num;
  }

  // --- columns ---

  [[nodiscard]] std::uint64_t column_score(std::size_t c) const noexcept {
    return score_bits(std::fabs(static_cast<double>(rule_.statistic[c])));
  }

  /// Calls fn(column) for every outlier column, in no order, perhaps twice.
  template <class Fn>
  void for_each_column(Fn&& fn) const noexcept {
    if (rule_.kind == outlier_kind::columns) {
      for (const std::uint32_t c : rule_.list) fn(std::size_t{c});
      return;
    }
    outlier_cut cut;
    if (rule_.kind == outlier_kind::columns_largest) {
      cut = cut_of_largest(count_of(rule_.fraction, w_.cols), [&](auto&& fn_score) {
        for (std::size_t c = 0; c < w_.cols; ++c) fn_score(column_score(c));
      });
    } else {
      cut.key = score_bits(std::fabs(static_cast<double>(rule_.threshold)));
      if (cut.key == score_bits(std::numeric_limits<double>::infinity())) return;
    }
    for (std::size_t c = 0; c < w_.cols; ++c) {
      if (cut.takes(column_score(c))) fn(c);
    }
  }

  [[nodiscard]] errc split_columns() noexcept {
    const std::unique_ptr<bool[]> is_outlier(new (std::nothrow) bool[w_.cols]());
    if (is_outlier == nullptr) return errc::out_of_memory;
    outlier_data sizes;
    for_each_column([&](std::size_t c) {
      sizes.num_columns += is_outlier[c] ? 0 : 1;
      is_outlier[c] = true;
    });
    for (std::size_t r = 0; r < w_.rows; ++r) {
      const float* w = w_.row_data(r);
      float* rest = rest_row(r);
      for (std::size_t c = 0; c < w_.cols; ++c) {
        rest[c] = is_outlier[c] ? 0.0f : w[c];
        if (is_outlier[c]) types_.see(w[c]);
      }
    }
    if (sizes.num_columns != 0) sizes.column_type = types_.choose(asked_);
    if (const errc e = create(sizes); e != errc::ok) return e;
    if (sizes.num_columns != 0) copy_columns(is_outlier.get());
    return errc::ok;
  }

  void copy_columns(const bool* is_outlier) noexcept {
    const outlier_data& o = split_.part.view();
    auto* columns = array<std::uint32_t>(3);
    for (std::size_t c = 0; c < w_.cols; ++c) {
      if (is_outlier[c]) *columns++ = static_cast<std::uint32_t>(c);
    }
    const std::size_t rows = (w_.rows + panel_rows - 1) / panel_rows * panel_rows;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < o.num_columns; ++i) {
        const std::size_t at = (r / panel_rows * o.num_columns + i) * panel_rows + r % panel_rows;
        store_number(o.column_type, split_.part.array(4), at,
                     r < w_.rows ? w_.row_data(r)[o.columns[i]] : 0.0f);
      }
    }
  }

  matrix_view<const float> w_;
  const outlier_rule& rule_;
  outlier_type asked_;
  std::size_t max_values_;
  std::size_t num_values_ = 0;
  exact_types types_;
  outlier_split split_;
};

}  // namespace detail
}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_FORMAT_SPLIT_OUTLIERS_H_
