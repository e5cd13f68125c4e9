// SPDX-License-Identifier: Apache-2.0 OR MIT
// Says in words why a row of nibble_roofline is slow.
#ifndef NIBBLE_BENCH_ROOFLINE_REASONS_H_
#define NIBBLE_BENCH_ROOFLINE_REASONS_H_

#include <cstdio>
#include <string>

#include "nibble/target.h"
#include "support/machine_limits.h"
#include "support/rows.h"

namespace bench {

/// What is known of a row of ours besides its times.
struct circumstances {
  double one_thread_s = 0;     // of the same product; 0: not measured
  double f32_peak = 0;         // Gop/s of f32 multiply-adds
  std::size_t scale_cols = 0;  // columns that share a scale
  std::size_t num_tasks = 0;
  double moved_s = 0;  // that reading x and writing y takes at the speed of memory
};

/// Why a row is below three quarters of its limit or slower than f32, as far as numbers tell.
class reasons {
 public:
  reasons(const row& r, const circumstances& c, const machine_limits& on) : r_(r), c_(c), on_(on) {}

  std::string text() {
    if (r_.time.disturbed || r_.time.spread > 0.2) add("disturbed");
    if (r_.time.fraction >= 0.75 && !slower_than_f32()) return text_;
    if (slower_than_f32()) add("slower than f32");
    target();
    threads();
    if (r_.bound == limit::read) {
      few_rows();
    } else {
      many_rows();
    }
    return text_;
  }

 private:
  [[nodiscard]] bool slower_than_f32() const { return r_.f32_ratio > 0 && r_.f32_ratio < 0.97; }

  void target() {
    if (r_.target != nibble::target_name(0)) add(std::string("not on ") + nibble::target_name(0));
  }

  void threads() {
    if (r_.time.median_s < 50e-6) add("too short for threads and caches to settle");
    if (r_.threads == 1) return;
    if (c_.num_tasks < static_cast<std::size_t>(r_.threads)) {
      add("too small: work for " + std::to_string(c_.num_tasks) + " threads");
    } else if (c_.one_thread_s > 0 && c_.one_thread_s < 1.4 * r_.time.median_s) {
      char gain[64];
      std::snprintf(gain, sizeof gain, "%d threads gain only %.2f x", r_.threads,
                    c_.one_thread_s / r_.time.median_s);
      add(gain);
    }
  }

  // The limit is reading weights: what else takes time?
  void few_rows() {
    if (r_.format == "f32") return;
    if (r_.path == "exact") {
      add("values are made in f32, which takes more instructions than whole numbers");
    } else {
      add(c_.scale_cols <= 32 ? "unpacking codes and a scale every " +
                                    std::to_string(c_.scale_cols) + " columns, not memory"
                              : "unpacking codes, not memory");
    }
    if (r_.m > 1 && r_.m < 8) add("rows of x run one by one below 8");
    if (on_[limit::int8_vnni] > 0 && r_.gops > 0.6 * on_[limit::int8_vnni]) {
      add("near the arithmetic limit as well");
    }
  }

  // The limit is multiplying.
  void many_rows() {
    if (r_.path == "exact" && c_.f32_peak > 0 && r_.bound != limit::f32_sse &&
        r_.gops > 0.6 * c_.f32_peak) {
      return add("the exact path is at " +
                 std::to_string(static_cast<int>(100 * r_.gops / c_.f32_peak)) +
                 " % of f32's peak");
    }
    if (r_.m < 64) add("not enough rows of x: weights are unpacked for " + std::to_string(r_.m));
    if (c_.scale_cols <= 64) {
      add("scaling sums every " + std::to_string(c_.scale_cols) + " columns");
    }
    if (c_.moved_s > 0.15 * r_.time.median_s) {
      add("x and y do not fit the caches: " +
          std::to_string(static_cast<int>(100 * c_.moved_s / r_.time.median_s)) + " % of the time");
    }
  }

  void add(const std::string& why) { text_ += (text_.empty() ? "" : ", ") + why; }

  const row& r_;
  const circumstances& c_;
  const machine_limits& on_;
  std::string text_;
};

}  // namespace bench

#endif  // NIBBLE_BENCH_ROOFLINE_REASONS_H_
