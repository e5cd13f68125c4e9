// SPDX-License-Identifier: Apache-2.0 OR MIT
// The same model in plain loops and doubles, for tests: what the engine should come to.
#ifndef NIBBLE_EXAMPLES_TINYLM_REFERENCE_H_
#define NIBBLE_EXAMPLES_TINYLM_REFERENCE_H_

#include <cmath>
#include <string>
#include <vector>

#include "checkpoint.h"

namespace tinylm::reference {

using row = std::vector<double>;

/// A checkpoint's tensors as doubles.
class forward_pass {
 public:
  explicit forward_pass(const checkpoint& from) : from_(from), c_(from.config()) {}

  /// Logits after each of the tokens.
  std::vector<row> logits(std::span<const std::uint8_t> tokens) const {
    const auto embedding = matrix("model.embed_tokens", vocabulary, c_.dim);
    std::vector<row> x;
    for (const std::uint8_t t : tokens) x.push_back(embedding[t]);
    for (std::size_t l = 0; l < c_.num_layers; ++l) {
      const std::string prefix = "model.layers." + std::to_string(l) + ".";
      attention(prefix, x);
      ffn(prefix, x);
    }
    const row norm = vector("model.norm", c_.dim);
    const auto output = c_.tied_output ? embedding : matrix("lm_head", vocabulary, c_.dim);
    std::vector<row> y;
    for (const row& r : x) y.push_back(multiply(output, normalised(r, norm)));
    return y;
  }

  /// Bits to say `next` after these logits.
  static double bits(const row& logits, std::uint8_t next) {
    double sum = 0;
    for (const double v : logits) sum += std::exp(v - logits[next]);
    return std::log2(sum);
  }

 private:
  std::vector<row> matrix(const std::string& name, std::size_t rows, std::size_t cols) const {
    const std::uint64_t shape[] = {rows, cols};
    const std::vector<float> w = floats_of(from_.tensor(name + ".weight", shape));
    std::vector<row> m(rows);
    for (std::size_t r = 0; r < rows; ++r) m[r].assign(&w[r * cols], &w[r * cols] + cols);
    return m;
  }
  row vector(const std::string& name, std::size_t length) const {
    const std::uint64_t shape[] = {length};
    const std::vector<float> w = floats_of(from_.tensor(name + ".weight", shape));
    return {w.begin(), w.end()};
  }
  static row multiply(const std::vector<row>& w, const row& x) {
    row y;
    for (const row& r : w) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += r[i] * x[i];
      y.push_back(sum);
    }
    return y;
  }
  row normalised(const row& x, const row& weight) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double scale = 1 / std::sqrt(sum / static_cast<double>(x.size()) + c_.rms_eps);
    row y;
    for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * scale * weight[i]);
    return y;
  }
  void rotate(row& x, std::size_t position) const {
    const std::size_t half = c_.head_dim / 2;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i % c_.head_dim >= half) continue;
      const double exponent = -2.0 * static_cast<double>(i % c_.head_dim);
      const double angle = static_cast<double>(position) *
                           std::pow(c_.rope_theta, exponent / static_cast<double>(c_.head_dim));
      const double a = x[i];
      const double b = x[i + half];
      x[i] = a * std::cos(angle) - b * std::sin(angle);
      x[i + half] = b * std::cos(angle) + a * std::sin(angle);
    }
  }

  void attention(const std::string& prefix, std::vector<row>& x) const {
    const row norm = vector(prefix + "input_layernorm", c_.dim);
    const auto wq = matrix(prefix + "self_attn.q_proj", c_.q_dim(), c_.dim);
    const auto wk = matrix(prefix + "self_attn.k_proj", c_.kv_dim(), c_.dim);
    const auto wv = matrix(prefix + "self_attn.v_proj", c_.kv_dim(), c_.dim);
    const auto wo = matrix(prefix + "self_attn.o_proj", c_.dim, c_.q_dim());
    std::vector<row> k, v;
    for (std::size_t t = 0; t < x.size(); ++t) {
      const row h = normalised(x[t], norm);
      row q = multiply(wq, h);
      k.push_back(multiply(wk, h));
      v.push_back(multiply(wv, h));
      rotate(q, t);
      rotate(k.back(), t);
      const row y = multiply(wo, attended(q, k, v));
      for (std::size_t i = 0; i < y.size(); ++i) x[t][i] += y[i];
    }
  }
  row attended(const row& q, const std::vector<row>& k, const std::vector<row>& v) const {
    row y(c_.q_dim());
    const std::size_t dim = c_.head_dim;
    for (std::size_t head = 0; head < c_.num_heads; ++head) {
      const std::size_t kv = head / (c_.num_heads / c_.num_kv_heads) * dim;
      row p;
      double sum = 0;
      for (const row& key : k) {
        double score = 0;
        for (std::size_t d = 0; d < dim; ++d) score += q[head * dim + d] * key[kv + d];
        p.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
        sum += p.back();
      }
      for (std::size_t t = 0; t < v.size(); ++t) {
        for (std::size_t d = 0; d < dim; ++d) y[head * dim + d] += p[t] / sum * v[t][kv + d];
      }
    }
    return y;
  }

  void ffn(const std::string& prefix, std::vector<row>& x) const {
    const row norm = vector(prefix + "post_attention_layernorm", c_.dim);
    const auto gate = matrix(prefix + "mlp.gate_proj", c_.ffn_dim, c_.dim);
    const auto up = matrix(prefix + "mlp.up_proj", c_.ffn_dim, c_.dim);
    const auto down = matrix(prefix + "mlp.down_proj", c_.dim, c_.ffn_dim);
    for (row& r : x) {
      const row h = normalised(r, norm);
      row g = multiply(gate, h);
      const row u = multiply(up, h);
      for (std::size_t i = 0; i < g.size(); ++i) g[i] = g[i] / (1 + std::exp(-g[i])) * u[i];
      const row y = multiply(down, g);
      for (std::size_t i = 0; i < y.size(); ++i) r[i] += y[i];
    }
  }

  const checkpoint& from_;
  const model_config& c_;
};

}  // namespace tinylm::reference

#endif  // NIBBLE_EXAMPLES_TINYLM_REFERENCE_H_
