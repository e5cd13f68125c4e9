// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which byte comes next: the likeliest, or one drawn from the likely ones.
#ifndef NIBBLE_EXAMPLES_TINYLM_SAMPLER_H_
#define NIBBLE_EXAMPLES_TINYLM_SAMPLER_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <span>

#include "config.h"

namespace tinylm {

class sampler {
 public:
  /// @param temperature  0: always the likeliest byte, the lower one of two
  /// @param top_p        draws from the fewest likeliest bytes that have this share together
  ///                     (Holtzman et al. 2019)
  sampler(double temperature, double top_p, std::uint64_t seed)
      : temperature_(temperature), top_p_(top_p), random_(seed) {}

  /// @param logits  one per byte
  [[nodiscard]] std::uint8_t choose(std::span<const float> logits) {
    const auto likeliest = std::max_element(logits.begin(), logits.end());
    if (temperature_ == 0) return static_cast<std::uint8_t>(likeliest - logits.begin());

    std::array<double, vocabulary> p;
    for (std::size_t i = 0; i < p.size(); ++i) {
      p[i] = std::exp((static_cast<double>(logits[i]) - *likeliest) / temperature_);
    }
    std::array<std::size_t, vocabulary> order;
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&p](std::size_t a, std::size_t b) { return p[a] > p[b]; });

    const double wanted = top_p_ * std::accumulate(p.begin(), p.end(), 0.0);
    std::size_t kept = 0;
    double sum = 0;
    while (kept < order.size() && (kept == 0 || sum < wanted)) sum += p[order[kept++]];

    // Not std::uniform_real_distribution, whose numbers differ between standard libraries.
    double left = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
    for (std::size_t i = 0; i + 1 < kept; ++i) {
      left -= p[order[i]];
      if (left < 0) return static_cast<std::uint8_t>(order[i]);
    }
    return static_cast<std::uint8_t>(order[kept - 1]);
  }

 private:
  double temperature_;
  double top_p_;
  std::mt19937_64 random_;
};

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_SAMPLER_H_
