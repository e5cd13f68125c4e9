// SPDX-License-Identifier: Apache-2.0 OR MIT
// The packed layout is a bijection, and packing loses nothing: every format, every remainder.
#include "nibble/pack.h"

#include "support/agreement.h"
#include "support/gemm_checks.h"
#include "support/pool.h"

using namespace nibble_test;

namespace {

using nibble::panel_rows;
using nibble::strip_cols;

/// Every bit of a strip is one bit of one code, and every bit of every code is in the strip.
constexpr bool is_bijection(int bits) {
  const std::size_t strip_bits = nibble::detail::strip_bytes(bits) * 8;
  constexpr std::size_t most = 32 * panel_rows * strip_cols;
  if (strip_bits != static_cast<std::size_t>(bits) * panel_rows * strip_cols) return false;
  std::array<bool, most> used{};
  for (std::size_t row = 0; row < panel_rows; ++row) {
    for (std::size_t col = 0; col < strip_cols; ++col) {
      int seen = 0;
      for (std::size_t plane = 0; plane < 3; ++plane) {
        const auto p = nibble::detail::locate_packed(bits, plane, row, col);
        if (p.width != 0 && p.to != seen) return false;
        seen += p.width;
        for (int i = 0; i < p.width; ++i) {
          const std::size_t at = p.byte * 8 + static_cast<std::size_t>(p.shift + i);
          if (at >= strip_bits || used[at]) return false;
          used[at] = true;
        }
      }
      if (seen != bits) return false;
    }
  }
  return true;
}

constexpr std::size_t pack_n[] = {1, 2, 15, 16, 17, 33};
constexpr std::size_t pack_k[] = {1,  15,  16,  17,  31,  32,  33,  48,  63,  64,  65,
                                  96, 127, 128, 129, 160, 255, 256, 257, 300, 512, 513};

std::vector<std::uint8_t> bytes_of(const packed_any& p) { return {p.buffer, p.buffer + p.bytes}; }

bool same_floats(const std::vector<float>& a, const std::vector<float>& b) {
  return difference(a, b).empty();
}

/// Packs, unpacks and packs again.
std::string round_trip_difference(const erased_gemm& g, const weights& w) {
  if (g.unpack == nullptr) return {};
  quantized_parts back(format_named(g.name), w.n, w.k);
  if (g.unpack(w.packed.data, back.writable()) != errc::ok) return "unpack failed";
  const weights again(g, std::move(back), w.n, w.k);
  const std::string bytes = difference(bytes_of(again.packed), bytes_of(w.packed));
  if (!bytes.empty()) return "packed again: " + bytes;
  if (again.apart.level != w.apart.level) return "levels differ";
  if (!same_floats(again.apart.scale, w.apart.scale)) return "scales differ";
  if (!same_floats(again.apart.shift, w.apart.shift)) return "shifts differ";
  if (!same_floats(again.apart.value, w.apart.value)) return "values differ";
  // Records hold padding and fields that no reader needs; those may differ.
  const erased_format& f = format_named(g.name);
  const bool derived = g.name == "q8_1" || g.name == "q8_K";
  if (!f.is_wire || (w.k % f.block_cols == 0 && !derived)) {
    for (std::size_t s = 0; s < w.parts.count(); ++s) {
      const std::string text = difference(again.parts.packed(s), w.parts.packed(s));
      if (!text.empty()) return "section " + std::to_string(s) + ": " + text;
    }
  }
  return {};
}

}  // namespace

TEST_CASE("the layout of every width is a bijection") {
  static_assert(is_bijection(1) && is_bijection(2) && is_bijection(3) && is_bijection(4));
  static_assert(is_bijection(5) && is_bijection(6) && is_bijection(7) && is_bijection(8));
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8, 16, 32}) {
    INFO(bits);
    CHECK(is_bijection(bits));
  }
  // As the head of format/packed.h draws it.
  CHECK(nibble::detail::locate_packed(8, 0, 3, 6).byte == 64 + 3 * 4 + 2);
  CHECK(nibble::detail::locate_packed(4, 0, 3, 6).byte == 3 * 4 + 2);
  CHECK(nibble::detail::locate_packed(4, 0, 3, 6).shift == 4);
  CHECK(nibble::detail::locate_packed(1, 0, 15, 31).byte == 63);
  CHECK(nibble::detail::locate_packed(1, 0, 15, 31).shift == 7);
}

TEST_CASE("every column has one place in packed order, for every length of block") {
  for (const std::size_t block :
       {1u, 2u, 8u, 15u, 16u, 17u, 24u, 32u, 40u, 48u, 64u, 80u, 100u, 256u}) {
    for (std::size_t k = 1; k <= 130; ++k) {
      INFO("block " << block << ", k " << k);
      const nibble::packed_shape s = nibble::make_packed_shape(3, k, block);
      std::size_t next = 0;
      for (std::size_t p = 0; p < s.packed_cols; ++p) {
        const std::size_t c = nibble::detail::source_column(s, p);
        if (c == k) continue;
        REQUIRE(c == next);
        ++next;
      }
      REQUIRE(next == k);
      REQUIRE(s.packed_cols % strip_cols == 0);
      REQUIRE(s.packed_cols == s.num_segments() * s.segment_cols);
      REQUIRE(s.segment_cols <= nibble::max_segment_cols);
    }
  }
}

TEST_CASE("pack and unpack lose nothing, for every format") {
  for (const erased_gemm& g : gemm_catalogue()) {
    for (const std::size_t n : pack_n) {
      for (const std::size_t k : pack_k) {
        if (!heavy() && n * k > 2000 && (n + k) % 3 != 0) continue;
        const weights w(g, n, k, seed_of(g.name, n, k), fill::heavy_tailed);
        INFO(g.name << " " << n << " x " << k);
        CHECK(round_trip_difference(g, w) == "");
      }
    }
  }
}

TEST_CASE("every code and every scale survives, whatever the bytes") {
  for (const erased_gemm& g : gemm_catalogue()) {
    const erased_format& f = format_named(g.name);
    if (g.unpack == nullptr) continue;
    const std::size_t n = 130;
    const std::size_t k = 512;
    random_bits random(seed_of(g.name));
    quantized_parts q(f, n, k);
    for (std::size_t s = 0; s < q.count(); ++s) {
      for (std::size_t r = 0; r < q.size(s).rows; ++r) {
        for (std::size_t b = 0; b < q.size(s).row_bytes; ++b) q.row(s, r)[b] = random.byte();
      }
    }
    const weights w(g, std::move(q), n, k);
    quantized_parts back(f, n, k);
    REQUIRE(g.unpack(w.packed.data, back.writable()) == errc::ok);
    INFO(g.name);
    std::vector<float> want(n * k);
    std::vector<float> got(n * k);
    f.reference_dequantize(w.parts.readable(), {want.data(), n, k});
    f.reference_dequantize(back.readable(), {got.data(), n, k});
    CHECK(difference(got, want) == "");
    const weights again(g, std::move(back), n, k);
    CHECK(difference(bytes_of(again.packed), bytes_of(w.packed)) == "");
  }
}

TEST_CASE("threads pack the same bytes") {
  sharing_pool pool(3);
  context with(pool.threads());
  for (const erased_gemm& g : gemm_catalogue()) {
    const weights w(g, 100, 130, seed_of(g.name));
    const packed_any p = g.pack(w.parts.readable(), w.n, w.k, with);
    INFO(g.name);
    CHECK(difference(bytes_of(p), bytes_of(w.packed)) == "");
  }
}

TEST_CASE("matrices without rows or columns are packed, too") {
  for (const erased_gemm& g : gemm_catalogue()) {
    for (const shape size : {shape{0, 0}, shape{0, 64}, shape{5, 0}}) {
      const weights w(g, size.rows, size.cols, 1);
      INFO(g.name << " " << size.rows << " x " << size.cols);
      CHECK(w.packed.data.shape.rows == size.rows);
      CHECK(w.packed.data.shape.cols == size.cols);
      CHECK(round_trip_difference(g, w) == "");
    }
  }
}
