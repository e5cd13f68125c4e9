// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a format costs a model: bits per byte of a text, distance from the unquantized model, speed.
#ifndef NIBBLE_EXAMPLES_TINYLM_EVALUATE_H_
#define NIBBLE_EXAMPLES_TINYLM_EVALUATE_H_

#include <array>
#include <string_view>

#include "engine.h"
#include "support/stopwatch.h"

namespace tinylm {

/// A text in consecutive windows that know nothing of each other. Every byte of a window predicts
/// the next one of the text.
struct windows {
  std::string_view text;
  std::size_t length = 0;
  std::size_t count = 0;

  /// @param most  windows at most
  windows(std::string_view from, const model_config& c, std::size_t most, std::size_t bytes = 256)
      : text(from), length(std::min(bytes, c.max_positions)) {
    count = text.empty() ? 0 : std::min(most, (text.size() - 1) / length);
  }
  [[nodiscard]] std::size_t num_positions() const { return count * length; }
};

/// Logarithms of probabilities, a row of 256 per position: what the unquantized model says.
using log_probabilities = std::vector<float>;

struct quality {
  double bits_per_byte = 0;
  double kl = 0;    ///< mean of sum p log(p / q), in nats; p: the unquantized model
  double top1 = 0;  ///< share of positions at which both hold the same byte likeliest
};

namespace detail {

inline void log_softmax(std::span<const float> logits, std::span<double, vocabulary> out) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float v : logits) sum += std::exp(v - largest);
  const double shift = largest + std::log(sum);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = logits[i] - shift;
}

struct position_quality {
  double bits = 0;
  double kl = 0;
  bool same = true;
};

// `reference`: 256 logarithms; written if `keep`.
inline position_quality judge(std::span<const float> logits, std::uint8_t next, float* reference,
                              bool keep) {
  std::array<double, vocabulary> log_q;
  log_softmax(logits, log_q);
  position_quality r;
  r.bits = -log_q[next] / std::log(2.0);
  if (keep) {
    for (std::size_t i = 0; i < vocabulary; ++i) reference[i] = static_cast<float>(log_q[i]);
    return r;
  }
  for (std::size_t i = 0; i < vocabulary; ++i) {
    r.kl += std::exp(static_cast<double>(reference[i])) * (reference[i] - log_q[i]);
  }
  r.same = std::max_element(reference, reference + vocabulary) - reference ==
           std::max_element(logits.begin(), logits.end()) - logits.begin();
  return r;
}

}  // namespace detail

/// Calls visit(position, logits, next byte) for all positions, batch by batch, on all threads, and
/// progress() after every batch.
template <class Visit, class Progress>
void for_each_position(engine& e, const model_config& c, nibble::context& with, const windows& w,
                       Visit visit, Progress progress) {
  constexpr std::size_t batch = 8;  // windows: 2048 rows are plenty for a gemm
  for (std::size_t first = 0; first < w.count; first += batch) {
    const std::size_t n = std::min(batch, w.count - first);
    kv_cache cache(c, n);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(w.text.data()) + first * w.length;
    const auto logits = e.forward({bytes, n * w.length}, cache);
    with.run(logits.rows, [&](std::size_t r, std::size_t) {
      visit(first * w.length + r, logits.row(r), bytes[r + 1]);
    });
    progress();
  }
}

/// Bits per byte, and how far the model is from `reference`. If that is empty, this model becomes
/// the reference: 1 KiB per position.
template <class Progress>
quality measure_quality(engine& e, const model_config& c, nibble::context& with, const windows& w,
                        log_probabilities& reference, Progress progress) {
  std::vector<detail::position_quality> all(w.num_positions());
  const bool keep = reference.empty();
  if (keep) reference.resize(w.num_positions() * vocabulary);
  for_each_position(
      e, c, with, w,
      [&](std::size_t position, std::span<const float> logits, std::uint8_t next) {
        all[position] = detail::judge(logits, next, &reference[position * vocabulary], keep);
      },
      progress);
  quality q;
  for (const detail::position_quality& p : all) {  // in order: the same for any threads
    q.bits_per_byte += p.bits;
    q.kl += p.kl;
    q.top1 += p.same ? 1 : 0;
  }
  const auto n = static_cast<double>(std::max<std::size_t>(all.size(), 1));
  q.bits_per_byte /= n;
  q.kl /= n;
  q.top1 /= n;
  return q;
}

/// Tokens per second.
struct speed {
  std::size_t threads = 0;
  double prefill = 0;
  double decode = 0;
};

/// Medians of `runs` runs: a prompt that fills half of the context, then single bytes.
inline speed measure_speed(engine& e, const model_config& c, std::string_view text,
                           std::size_t threads, int runs) {
  const std::size_t prompt = std::min(text.size(), std::max<std::size_t>(c.max_positions / 2, 1));
  const std::size_t steps = std::min<std::size_t>(32, c.max_positions - prompt);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  kv_cache cache(c, 1);
  const auto prefill = [&] {
    cache.shorten(0);
    static_cast<void>(e.forward({bytes, prompt}, cache, /*last_only=*/true));
  };
  const auto decode = [&] {
    cache.shorten(prompt);
    for (std::size_t i = 0; i < steps; ++i) {
      static_cast<void>(e.forward({bytes + i % prompt, 1}, cache, /*last_only=*/true));
    }
  };
  speed s;
  s.threads = threads;
  s.prefill = static_cast<double>(prompt) / examples::median_seconds(prefill, runs);
  if (steps != 0) s.decode = static_cast<double>(steps) / examples::median_seconds(decode, runs);
  return s;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_EVALUATE_H_
