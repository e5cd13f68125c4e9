// SPDX-License-Identifier: Apache-2.0 OR MIT
// Whoever computes on the integer path gets the same bits: on whatever CPU, with vectors of any
// length, with or without instructions for dot products, with any number of threads, and for
// however many rows at once. One number stands for all of them.
#include <memory>

#include "support/gemm_checks.h"
#include "support/pool.h"

using namespace nibble_test;

namespace {

constexpr const char* sorts[] = {"int8_channel_f32",
                                 "uint8_g32_f16_z",
                                 "int4_g32_f16",
                                 "uint4_g128_f16_zf",
                                 "int3_g32_f16",
                                 "ternary_g64_f16",
                                 "mxfp4",
                                 "nvfp4",
                                 "nf4_g64_dq",
                                 "q4_K",
                                 "q6_K"};
constexpr std::size_t most_rows = 18;

/// Threads that count how often a product was shared among them.
class counting_pool {
 public:
  explicit counting_pool(std::size_t threads) : pool_(threads), inner_(pool_.threads()) {}
  [[nodiscard]] parallel threads() {
    parallel p;
    p.num_threads = inner_.num_threads;
    p.pool = this;
    p.run = [](void* self, std::size_t num_tasks, nibble::task_function fn, void* tasks) {
      counting_pool& pool = *static_cast<counting_pool*>(self);
      ++pool.shared_;
      pool.inner_.run(pool.inner_.pool, num_tasks, fn, tasks);
    };
    return p;
  }
  [[nodiscard]] std::size_t shared() const { return shared_; }

 private:
  sharing_pool pool_;
  parallel inner_;
  std::size_t shared_ = 0;
};

/// All rows of x by w, `batch` at a time; the last batch may be smaller.
std::vector<float> in_batches(const weights& w, const std::vector<float>& x, std::size_t batch,
                              context& with, nibble::extension extensions) {
  std::vector<float> y;
  for (std::size_t first = 0; first < most_rows; first += batch) {
    const std::size_t rows = std::min(batch, most_rows - first);
    const activations some = matrix_view<const float>(x.data() + first * w.k, rows, w.k);
    const auto part = multiply(w, some, with, options_of(compute_path::integer, extensions));
    y.insert(y.end(), part.begin(), part.end());
  }
  return y;
}

/// Of the results' bits, matrix after matrix.
struct result_hash {
  std::uint64_t of_5_rows = 0;
  std::uint64_t of_all = 0;

  void add(std::span<const float> y) {
    const std::size_t rows_5 = y.size() / most_rows * 5;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(y[i]);
      if (i < rows_5) of_5_rows = seed_of("", of_5_rows, bits);
      of_all = seed_of("", of_all, bits);
    }
  }
};

void check_hash(std::size_t n, std::size_t k, const result_hash& golden) {
  const auto x = make_values(fill::heavy_tailed, most_rows * k, 2);
  std::vector<weights> all;
  result_hash of_reference;
  for (const char* name : sorts) {
    all.emplace_back(gemm_named(name), n, k, 1);
    of_reference.add(gemm_integer(all.back().apart, as_activations(x, most_rows, k)));
  }
  CHECK(of_reference.of_5_rows == golden.of_5_rows);
  CHECK(of_reference.of_all == golden.of_all);
  for (const std::size_t threads : {1u, 2u, 3u, 8u}) {
    counting_pool pool(threads);
    context with(pool.threads());
    for_each_target([&](const char* target) {
      for (const nibble::extension extensions : extension_sets()) {
        for (std::size_t batch = 1; batch <= most_rows; ++batch) {
          INFO(target << ", " << threads << " threads, " << batch << " rows at a time, extensions "
                      << unsigned(extensions));
          result_hash hash;
          for (const weights& w : all) hash.add(in_batches(w, x, batch, with, extensions));
          CHECK(hash.of_5_rows == golden.of_5_rows);
          CHECK(hash.of_all == golden.of_all);
        }
      }
    });
    INFO(threads << " threads");
    CHECK((pool.shared() > 0) == (threads > 1));
  }
}

}  // namespace

TEST_CASE("the integer path has one result, whatever computes it: its hash") {
  check_hash(40, 288, {0xA0786A73DEF93AE0, 0xA246A21498C8BD98});
}

TEST_CASE("the integer path has one result where many threads share a matrix: its hash") {
  check_hash(520, 96, {0x415122ACCF8F3B6F, 0xBCE76EAA65D21BEA});
}
