// SPDX-License-Identifier: Apache-2.0 OR MIT
// The forward pass: packed products by nibble, the rest by layers.h.
//
//   x = embedding[token]
//   per layer   x += o(attention(q, k, v of norm(x)))       one gemm_many: x is quantized once
//               x += down(silu(gate) * up of norm(x))       one gemm_gated
//   logits = output(norm(x))
//
// Rows are tokens: all of a prompt at once, or of many windows of text, or one when writing.
#ifndef NIBBLE_EXAMPLES_TINYLM_ENGINE_H_
#define NIBBLE_EXAMPLES_TINYLM_ENGINE_H_

#include "layers.h"
#include "model.h"

namespace tinylm {

using nibble::matrix_view;

/// Runs one model. Rows of a forward pass may be cut anywhere and run by any number of threads: the
/// bits of a row stay the same.
class engine {
 public:
  /// @param model  and `with` outlive the engine
  engine(const model& model, nibble::context& with, const nibble::gemm_options& options = {})
      : m_(model), c_(model.config), with_(with), options_(options), rope_(model.config) {
    check_path();
  }

  /// Appends tokens to the sequences of a cache, equally many to each, and says what may follow
  /// them.
  ///
  /// @param tokens  those of the first sequence, then those of the second ...
  /// @return        logits, valid until the next call: a row per token, or, of the last token of
  ///                every sequence alone, a row per sequence
  matrix_view<const float> forward(std::span<const std::uint8_t> tokens, kv_cache& cache,
                                   bool last_only = false) {
    const std::size_t rows = tokens.size();
    resize(rows);
    look_up(tokens);
    for (std::size_t l = 0; l < m_.layers.size(); ++l) {
      add_attention(l, rows, cache);
      add_ffn(m_.layers[l], rows);
    }
    cache.lengthen(rows / cache.num_sequences());

    normalise(m_.output_norm, rows);
    matrix_view<const float> x(normed_.data(), rows, c_.dim);
    if (last_only) {
      const std::size_t n = rows / cache.num_sequences();
      x = {x.row_data(n - 1), cache.num_sequences(), c_.dim, n * c_.dim};
    }
    const matrix_view<float> y(logits_.data(), x.rows, vocabulary);
    check(nibble::gemm(m_.output, x, y, with_, {}, options_));
    return y;
  }

 private:
  void check(nibble::errc e) const { require_ok(e, "forward pass"); }

  void check_path() const {
    for_each_tensor(
        m_,
        [this](const std::string& name, const nibble::any_packed_view& w, std::size_t,
               std::size_t) {
          if (w.format->supports(options_.path)) return;
          throw failure{wrong_usage, fmt::format("{} is {}, which has no {} path", name, w.name(),
                                                 nibble::name_of(options_.path))};
        },
        [](const std::string&, const auto&, std::size_t) {});
  }

  void resize(std::size_t rows) {
    if (rows <= capacity_) return;
    capacity_ = rows;
    x_.resize(rows * c_.dim);
    normed_.resize(rows * c_.dim);
    q_.resize(rows * c_.q_dim());
    k_.resize(rows * c_.kv_dim());
    v_.resize(rows * c_.kv_dim());
    attended_.resize(rows * c_.q_dim());
    gated_.resize(rows * c_.ffn_dim);
    logits_.resize(rows * vocabulary);
    scores_.resize(with_.num_threads() * c_.max_positions);
  }

  void look_up(std::span<const std::uint8_t> tokens) {
    for (std::size_t r = 0; r < tokens.size(); ++r) {
      check(nibble::read_rows_f32(m_.embedding, tokens[r], {&x_[r * c_.dim], 1, c_.dim}));
    }
  }

  void normalise(std::span<const float> weight, std::size_t rows) {
    with_.run(rows, [&](std::size_t r, std::size_t) {
      rms_norm({&x_[r * c_.dim], c_.dim}, weight, c_.rms_eps, &normed_[r * c_.dim]);
    });
  }

  /// A product that is added to x.
  void add_product(const nibble::any_packed_view& w, matrix_view<const float> x) {
    nibble::epilogue add;
    add.residual = x_.data();
    add.residual_stride = c_.dim;
    check(nibble::gemm(w, x, matrix_view<float>(x_.data(), x.rows, c_.dim), with_, add, options_));
  }

  void add_attention(std::size_t layer_index, std::size_t rows, kv_cache& cache) {
    const layer& l = m_.layers[layer_index];
    normalise(l.attention_norm, rows);
    const matrix_view<const float> x(normed_.data(), rows, c_.dim);
    const nibble::any_product qkv[] = {{l.q, matrix_view<float>(q_.data(), rows, c_.q_dim())},
                                       {l.k, matrix_view<float>(k_.data(), rows, c_.kv_dim())},
                                       {l.v, matrix_view<float>(v_.data(), rows, c_.kv_dim())}};
    check(nibble::gemm_many(qkv, x, with_, options_));

    const std::size_t sequences = cache.num_sequences();
    const std::size_t n = rows / sequences;
    const std::size_t start = cache.length();
    with_.run(rows, [&](std::size_t r, std::size_t) {
      const std::size_t position = start + r % n;
      rope_.rotate(&q_[r * c_.q_dim()], c_.num_heads, position);
      rope_.rotate(&k_[r * c_.kv_dim()], c_.num_kv_heads, position);
      cache.store(layer_index, r / n, position, &k_[r * c_.kv_dim()], &v_[r * c_.kv_dim()]);
    });
    with_.run(sequences * c_.num_heads, [&](std::size_t task, std::size_t worker) {
      const std::size_t s = task / c_.num_heads;
      const std::size_t head = task % c_.num_heads;
      const std::size_t kv_head = head / (c_.num_heads / c_.num_kv_heads);
      const float* const keys = cache.keys(layer_index, s, kv_head);
      const float* const values = cache.values(layer_index, s, kv_head);
      for (std::size_t t = 0; t < n; ++t) {
        const std::size_t at = (s * n + t) * c_.q_dim() + head * c_.head_dim;
        attend({&q_[at], c_.head_dim}, keys, cache.capacity(), values, start + t + 1,
               &scores_[worker * c_.max_positions], &attended_[at]);
      }
    });
    add_product(l.o, {attended_.data(), rows, c_.q_dim()});
  }

  void add_ffn(const layer& l, std::size_t rows) {
    normalise(l.ffn_norm, rows);
    nibble::epilogue silu;
    silu.act = nibble::activation::silu;
    check(nibble::gemm_gated(l.gate, l.up, matrix_view<const float>(normed_.data(), rows, c_.dim),
                             matrix_view<float>(gated_.data(), rows, c_.ffn_dim), with_, silu, {},
                             options_));
    add_product(l.down, {gated_.data(), rows, c_.ffn_dim});
  }

  const model& m_;
  const model_config& c_;
  nibble::context& with_;
  nibble::gemm_options options_;
  rope_table rope_;
  std::size_t capacity_ = 0;
  std::vector<float> x_, normed_, q_, k_, v_, attended_, gated_, logits_, scores_;
};

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_ENGINE_H_
