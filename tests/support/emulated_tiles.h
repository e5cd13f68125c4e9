// SPDX-License-Identifier: Apache-2.0 OR MIT
// AMX tile registers in plain C++, after the pseudo code of Intel's Software Developer's Manual:
// the kernel of kernel/gemm_amx-inl.h runs on any CPU. Define NIBBLE_EMULATE_AMX as the name of
// this class before the first nibble header. Whatever would fault stops the test.
#ifndef NIBBLE_TESTS_SUPPORT_EMULATED_TILES_H_
#define NIBBLE_TESTS_SUPPORT_EMULATED_TILES_H_

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace nibble_test {

class emulated_tiles {
 public:
  static void Configure(const auto& config) {
    registers& r = mine();
    require(config.palette == 1 && config.start_row == 0, "palette 1, row 0");
    for (int t = 0; t < 8; ++t) {
      require(config.rows[t] <= 16 && config.row_bytes[t] <= 64, "at most 16 rows of 64 bytes");
      r.t[t] = tile();
      r.t[t].rows = config.rows[t];
      r.t[t].bytes = config.row_bytes[t];
    }
    r.on = true;
  }
  static void Release() {
    require(mine().on, "released twice");
    mine().on = false;
  }
  /// Whether this thread's tiles are configured.
  static bool configured() { return mine().on; }
  /// Products of tiles of each type so far, by all threads.
  static inline std::atomic<long> unsigned_dots{0};
  static inline std::atomic<long> signed_dots{0};
  static inline std::atomic<long> half_dots{0};

  template <int kTile>
  static void Zero() {
    std::memset(get<kTile>().data, 0, sizeof(tile::data));
  }
  template <int kTile>
  static void Load(const void* from, std::size_t stride) {
    tile& t = get<kTile>();
    std::memset(t.data, 0, sizeof t.data);
    for (std::size_t r = 0; r < t.rows; ++r) {
      std::memcpy(t.data[r], static_cast<const std::uint8_t*>(from) + r * stride, t.bytes);
    }
  }
  template <int kTile>
  static void Store(void* to, std::size_t stride) {
    const tile& t = get<kTile>();
    for (std::size_t r = 0; r < t.rows; ++r) {
      std::memcpy(static_cast<std::uint8_t*>(to) + r * stride, t.data[r], t.bytes);
    }
  }
  template <int kC, int kA, int kB>
  static void DotUnsigned() {
    ++unsigned_dots;
    dot_bytes<std::uint8_t>(get<kC>(), get<kA>(), get<kB>());
  }
  template <int kC, int kA, int kB>
  static void DotSigned() {
    ++signed_dots;
    dot_bytes<std::int8_t>(get<kC>(), get<kA>(), get<kB>());
  }
  template <int kC, int kA, int kB>
  static void DotHalves() {
    ++half_dots;
    tile& c = get<kC>();
    const tile& a = get<kA>();
    const tile& b = get<kB>();
    require_fit(c, a, b);
    for (std::size_t m = 0; m < c.rows; ++m) {
      for (std::size_t n = 0; n < c.bytes / 4; ++n) {
        float even = 0;
        float odd = 0;
        for (std::size_t k = 0; k < a.bytes / 4; ++k) {
          even = fused(bf16_at(a, m, 2 * k), bf16_at(b, k, 2 * n), even);
          odd = fused(bf16_at(a, m, 2 * k + 1), bf16_at(b, k, 2 * n + 1), odd);
        }
        float sum;
        std::memcpy(&sum, c.data[m] + 4 * n, 4);
        sum = flush(flush(sum) + flush(even + odd));
        std::memcpy(c.data[m] + 4 * n, &sum, 4);
      }
    }
  }

 private:
  struct tile {
    std::size_t rows = 0;
    std::size_t bytes = 0;
    std::uint8_t data[16][64] = {};
  };
  struct registers {
    bool on = false;
    tile t[8];
  };
  static registers& mine() {
    static thread_local registers r;
    return r;
  }
  static void require(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "emulated tiles: %s\n", what);
    std::abort();
  }
  template <int kTile>
  static tile& get() {
    require(mine().on, "not configured");
    return mine().t[kTile];
  }
  static void require_fit(const tile& c, const tile& a, const tile& b) {
    require(a.bytes % 4 == 0 && a.bytes / 4 == b.rows && a.rows == c.rows && b.bytes == c.bytes,
            "tiles do not fit");
  }
  template <class B>
  static void dot_bytes(tile& c, const tile& a, const tile& b) {
    require_fit(c, a, b);
    for (std::size_t m = 0; m < c.rows; ++m) {
      for (std::size_t k = 0; k < a.bytes / 4; ++k) {
        for (std::size_t n = 0; n < c.bytes / 4; ++n) {
          std::uint32_t sum;  // wraps
          std::memcpy(&sum, c.data[m] + 4 * n, 4);
          for (std::size_t j = 0; j < 4; ++j) {
            const std::int32_t x = static_cast<std::int8_t>(a.data[m][4 * k + j]);
            const std::int32_t w = static_cast<B>(b.data[k][4 * n + j]);
            sum += static_cast<std::uint32_t>(x * w);
          }
          std::memcpy(c.data[m] + 4 * n, &sum, 4);
        }
      }
    }
  }
  // Subnormals count as zero, going in and coming out; round to nearest even.
  static float flush(float v) { return std::fabs(v) < 0x1p-126f ? std::copysign(0.0f, v) : v; }
  static float bf16_at(const tile& t, std::size_t row, std::size_t i) {
    std::uint16_t half;
    std::memcpy(&half, t.data[row] + 2 * i, 2);
    const std::uint32_t bits = std::uint32_t{half} << 16;
    float v;
    std::memcpy(&v, &bits, 4);
    return flush(v);
  }
  static float fused(float a, float b, float c) { return flush(std::fma(a, b, c)); }
};

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_EMULATED_TILES_H_
