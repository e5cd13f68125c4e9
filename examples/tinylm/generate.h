// SPDX-License-Identifier: Apache-2.0 OR MIT
// Writes on: the prompt in one pass (gemm), then byte after byte (gemv).
#ifndef NIBBLE_EXAMPLES_TINYLM_GENERATE_H_
#define NIBBLE_EXAMPLES_TINYLM_GENERATE_H_

#include <string_view>

#include "engine.h"
#include "sampler.h"
#include "support/stopwatch.h"

namespace tinylm {

struct generation {
  std::size_t num_tokens = 0;
  bool context_full = false;  ///< it ended before all tokens that were asked for
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

/// Calls emit(byte) for each of `num_tokens` bytes after the prompt, as soon as it is chosen.
template <class Emit>
generation generate(engine& e, const model_config& c, std::string_view prompt,
                    std::size_t num_tokens, sampler& choose, Emit emit) {
  if (prompt.empty()) throw failure{wrong_usage, "the prompt is empty: give at least one byte"};
  if (prompt.size() > c.max_positions) {
    throw failure{wrong_usage,
                  fmt::format("the prompt has {} bytes, but the context of this model only {}",
                              prompt.size(), c.max_positions)};
  }
  kv_cache cache(c, 1);
  std::vector<std::uint8_t> tokens(prompt.begin(), prompt.end());
  generation g;
  while (g.num_tokens < num_tokens) {
    if (cache.length() + tokens.size() > cache.capacity()) {
      g.context_full = true;
      break;
    }
    double& seconds = g.num_tokens == 0 ? g.prefill_seconds : g.decode_seconds;
    seconds += examples::seconds_of([&] {
      const auto logits = e.forward(tokens, cache, /*last_only=*/true);
      tokens.assign(1, choose.choose(logits.row(0)));
    });
    ++g.num_tokens;
    emit(tokens[0]);
  }
  return g;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_GENERATE_H_
