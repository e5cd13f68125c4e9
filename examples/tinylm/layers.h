// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a Llama computes between its matrix products: RMSNorm, RoPE and attention, in plain loops.
//
// Inner loops run over independent elements, never over a sum, so vectors change no bit. OpenMP's
// simd asks for them where a compiler would not make them on its own.
#ifndef NIBBLE_EXAMPLES_TINYLM_LAYERS_H_
#define NIBBLE_EXAMPLES_TINYLM_LAYERS_H_

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "config.h"

#ifdef _OPENMP
#define TINYLM_SIMD _Pragma("omp simd")
#else
#define TINYLM_SIMD
#endif

namespace tinylm {

/// y = x / sqrt(mean(x^2) + eps) * weight. Zhang and Sennrich 2019.
inline void rms_norm(std::span<const float> x, std::span<const float> weight, float eps, float* y) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  const float scale =
      1.0f / std::sqrt(static_cast<float>(sum / static_cast<double>(x.size())) + eps);
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
}

/// Rotary positions (Su et al. 2021) in split halves, as Hugging Face stores Llamas: element i and
/// element i + head_dim / 2 are turned by position * theta^(-2 i / head_dim).
class rope_table {
 public:
  rope_table(const model_config& c) : half_(c.head_dim / 2) {
    cos_.resize(c.max_positions * half_);
    sin_.resize(c.max_positions * half_);
    for (std::size_t i = 0; i < half_; ++i) {
      const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(c.head_dim);
      const float frequency = static_cast<float>(std::pow(c.rope_theta, exponent));
      for (std::size_t p = 0; p < c.max_positions; ++p) {
        const float angle = static_cast<float>(p) * frequency;
        cos_[p * half_ + i] = std::cos(angle);
        sin_[p * half_ + i] = std::sin(angle);
      }
    }
  }

  /// Turns the heads of one row in place.
  void rotate(float* x, std::size_t num_heads, std::size_t position) const {
    const float* c = &cos_[position * half_];
    const float* s = &sin_[position * half_];
    for (std::size_t h = 0; h < num_heads; ++h, x += 2 * half_) {
      for (std::size_t i = 0; i < half_; ++i) {
        const float a = x[i];
        const float b = x[i + half_];
        x[i] = a * c[i] - b * s[i];
        x[i + half_] = b * c[i] + a * s[i];
      }
    }
  }

 private:
  std::size_t half_;
  std::vector<float> cos_, sin_;
};

/// Keys and values of several sequences of one length.
///
/// Values lie row by row, keys turned: element d of all positions lie together, so that scores of
/// neighbouring positions are neighbours.
class kv_cache {
 public:
  kv_cache(const model_config& c, std::size_t num_sequences)
      : heads_(c.num_kv_heads),
        head_dim_(c.head_dim),
        positions_(c.max_positions),
        sequences_(num_sequences),
        keys_(c.num_layers * num_sequences * c.kv_dim() * c.max_positions),
        values_(keys_.size()) {}

  [[nodiscard]] std::size_t num_sequences() const { return sequences_; }
  [[nodiscard]] std::size_t length() const { return length_; }
  [[nodiscard]] std::size_t capacity() const { return positions_; }
  /// Takes back everything, or what came last.
  void shorten(std::size_t length) { length_ = std::min(length_, length); }
  void lengthen(std::size_t by) { length_ += by; }

  [[nodiscard]] float* keys(std::size_t layer, std::size_t sequence, std::size_t head) {
    return &keys_[((layer * sequences_ + sequence) * heads_ + head) * head_dim_ * positions_];
  }
  [[nodiscard]] float* values(std::size_t layer, std::size_t sequence, std::size_t head) {
    return &values_[((layer * sequences_ + sequence) * heads_ + head) * head_dim_ * positions_];
  }

  /// Stores the keys and values of one position, a row of all heads each.
  void store(std::size_t layer, std::size_t sequence, std::size_t position, const float* k,
             const float* v) {
    for (std::size_t h = 0; h < heads_; ++h, k += head_dim_, v += head_dim_) {
      float* const to = keys(layer, sequence, h) + position;
      for (std::size_t d = 0; d < head_dim_; ++d) to[d * positions_] = k[d];
      std::copy_n(v, head_dim_, values(layer, sequence, h) + position * head_dim_);
    }
  }

 private:
  std::size_t heads_, head_dim_, positions_, sequences_;
  std::size_t length_ = 0;
  std::vector<float> keys_, values_;
};

/// y[j] += sum_i factors[i] * rows[i * stride + j], for j < n: both halves of attention.
///
/// Eight rows at a time: one pass over y for all of them.
inline void add_rows(std::span<const float> factors, const float* rows, std::size_t stride,
                     std::size_t n, float* y) {
  std::size_t i = 0;
  for (; i + 8 <= factors.size(); i += 8) {
    const float* const r = rows + i * stride;
    const float f0 = factors[i], f1 = factors[i + 1], f2 = factors[i + 2], f3 = factors[i + 3];
    const float f4 = factors[i + 4], f5 = factors[i + 5], f6 = factors[i + 6], f7 = factors[i + 7];
    TINYLM_SIMD
    for (std::size_t j = 0; j < n; ++j) {
      const float a = f0 * r[j] + f1 * r[stride + j];
      const float b = f2 * r[2 * stride + j] + f3 * r[3 * stride + j];
      const float c = f4 * r[4 * stride + j] + f5 * r[5 * stride + j];
      const float d = f6 * r[6 * stride + j] + f7 * r[7 * stride + j];
      y[j] += (a + b) + (c + d);
    }
  }
  for (; i < factors.size(); ++i) {
    TINYLM_SIMD
    for (std::size_t j = 0; j < n; ++j) y[j] += factors[i] * rows[i * stride + j];
  }
}

/// One query head over `count` positions: y = softmax(q k / sqrt(head_dim)) v.
///
/// @param keys    element d of position j at keys[d * stride + j]
/// @param values  of position j at values[j * head_dim]
/// @param scores  scratch, `count` floats
inline void attend(std::span<const float> q, const float* keys, std::size_t stride,
                   const float* values, std::size_t count, float* scores, float* y) {
  const std::size_t dim = q.size();
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::fill_n(scores, count, 0.0f);
  add_rows(q, keys, stride, count, scores);
  const float largest = *std::max_element(scores, scores + count);
  float sum = 0;
  for (std::size_t j = 0; j < count; ++j) {
    scores[j] = std::exp((scores[j] - largest) * scale);
    sum += scores[j];
  }
  std::fill_n(y, dim, 0.0f);
  add_rows({scores, count}, values, dim, dim, y);
  for (std::size_t d = 0; d < dim; ++d) y[d] /= sum;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_LAYERS_H_
