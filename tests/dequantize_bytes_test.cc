// SPDX-License-Identifier: Apache-2.0 OR MIT
// Every byte value at every byte position of every section or record dequantizes as the reference
// says, alone and among others, on every target.
#include "support/cases.h"
#include "support/checks.h"

using namespace nibble_test;

namespace {

/// Puts `value` into one byte of random others and compares. Empty if all targets agree.
std::string compare(const erased_format& f, quantized_parts& w, shape size, std::size_t section,
                    std::size_t row, std::size_t byte, unsigned value,
                    const std::vector<std::string>& targets, std::vector<float>& want,
                    std::vector<float>& got) {
  std::uint8_t& at = w.row(section, row)[byte];
  const std::uint8_t before = at;
  at = static_cast<std::uint8_t>(value);
  f.reference_dequantize(w.readable(), {want.data(), size.rows, size.cols});
  std::string text;
  for (const std::string& target : targets) {
    nibble::force_target(target.c_str());
    f.dequantize(w.readable(), {got.data(), size.rows, size.cols});
    text = difference(got, want);
    if (!text.empty()) {
      text = std::string(f.name) + " on " + target + ", section " + std::to_string(section) +
             ", byte " + std::to_string(byte) + " = " + std::to_string(value) + ": " + text;
      break;
    }
  }
  at = before;
  return text;
}

/// All positions of all rows of a matrix; all 256 values, or `num_values` random ones.
std::size_t sweep(const erased_format& f, shape size, unsigned num_values) {
  std::vector<std::string> targets;
  for_each_target([&](const char* target) { targets.push_back(target); });
  random_bits random(seed_of(f.name, size.rows, size.cols));
  quantized_parts w(f, size.rows, size.cols);
  for (std::size_t s = 0; s < w.count(); ++s) {
    for (std::size_t r = 0; r < w.size(s).rows; ++r) {
      for (std::size_t b = 0; b < w.size(s).row_bytes; ++b) w.row(s, r)[b] = random.byte();
    }
  }
  std::vector<float> want(size.rows * size.cols);
  std::vector<float> got(size.rows * size.cols);
  std::size_t failures = 0;
  for (std::size_t s = 0; s < w.count(); ++s) {
    for (std::size_t r = 0; r < w.size(s).rows; ++r) {
      for (std::size_t b = 0; b < w.size(s).row_bytes; ++b) {
        for (unsigned i = 0; i < num_values; ++i) {
          const unsigned value = num_values == 256 ? i : random.byte();
          const std::string text = compare(f, w, size, s, r, b, value, targets, want, got);
          if (!text.empty() && failures++ < 4) FAIL_CHECK(text);
        }
      }
    }
  }
  nibble::force_target(nullptr);
  return failures;
}

}  // namespace

TEST_CASE("every byte value at every position of one block dequantizes as the reference says") {
  for (const erased_format& f : catalogue()) {
    const std::size_t cols = f.is_plain ? 19 : f.block_cols <= 256 ? f.block_cols : 33;
    CHECK(sweep(f, {1, cols}, 256) == 0);
  }
}

TEST_CASE("byte values at every position of several blocks and a rest dequantize alike") {
  for (const erased_format& f : catalogue()) {
    const std::size_t block = f.block_cols <= 256 ? f.block_cols : 48;
    const std::size_t cols = (block < 64 ? 5 : 2) * block + 11;
    CHECK(sweep(f, {2, cols}, heavy() ? 256 : 3) == 0);
  }
}
