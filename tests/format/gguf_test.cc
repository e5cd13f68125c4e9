// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tests of format/gguf.h and format/wire.h: every bit of a record has exactly one meaning, and
// records survive the way to sections and back.
#include "nibble/format/gguf.h"

#include "nibble/format/codes.h"
#include "nibble/formats.h"
#include "format/user_formats.h"
#include "support/cases.h"
#include "support/catch.h"
#include "support/print.h"

using namespace nibble;
using nibble_test::difference;
using nibble_test::fill_random;
using nibble_test::seed_of;

namespace {

template <class Fn>
void for_each_wire_format(Fn&& fn) {
  for_each_format([&]<class F>() {
    if constexpr (wire_format<F>) fn.template operator()<F>();
  });
  fn.template operator()<user_record>();
}

template <wire_format F>
inline constexpr bool has_base3 = F::layout::locate(0, 0).pieces[0].base3;

/// Bytes made from the others: Q8_1's sum and Q8_K's sums of 16.
template <wire_format F>
constexpr bool is_derived(std::size_t byte) {
  if (std::is_same_v<F, gguf::q8_1>) return byte == 2 || byte == 3;
  if (std::is_same_v<F, gguf::q8_K>) return byte >= 4 + 256;
  return false;
}

}  // namespace

TEST_CASE("GGUF: sizes and type numbers are those of ggml") {
  struct row {
    std::string_view name;
    int id;
    std::size_t values;
    std::size_t bytes;
  };
  constexpr row rows[] = {
      {"q4_0", 2, 32, 18},    {"q4_1", 3, 32, 20},        {"q5_0", 6, 32, 22},
      {"q5_1", 7, 32, 24},    {"q8_0", 8, 32, 34},        {"q8_1", 9, 32, 36},
      {"q2_K", 10, 256, 84},  {"q3_K", 11, 256, 110},     {"q4_K", 12, 256, 144},
      {"q5_K", 13, 256, 176}, {"q6_K", 14, 256, 210},     {"q8_K", 15, 256, 292},
      {"iq4_nl", 20, 32, 18}, {"iq4_xs", 23, 256, 136},   {"tq1_0", 34, 256, 54},
      {"tq2_0", 35, 256, 66}, {"mxfp4_gguf", 39, 32, 17}, {"nvfp4_gguf", 40, 64, 36},
      {"q1_0", 41, 128, 18},  {"q2_0", 42, 64, 18},
  };
  std::size_t count = 0;
  for_each_format([&]<class F>() {
    if constexpr (wire_format<F>) {
      bool found = false;
      for (const row& r : rows) {
        if (r.name != F::name) continue;
        found = true;
        CHECK(F::type_id == r.id);
        CHECK(F::block_values == r.values);
        CHECK(F::block_bytes == r.bytes);
      }
      INFO(F::name);
      CHECK(found);
      ++count;
    }
  });
  CHECK(count == std::size(rows));
}

TEST_CASE("wire layouts: every bit of a record belongs to exactly one bit of one code") {
  for_each_wire_format([]<class F>() {
    INFO(F::name);
    std::vector<int> used(8 * F::block_bytes, 0);
    std::vector<int> digits(F::block_bytes, 0);  // base 3: which of a byte's digits are used
    std::size_t num_codes = 0;
    detail::for_each_record_part<F>([&]<class E>(std::size_t section, std::size_t count) {
      num_codes += count;
      for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t code_bits = 0;
        for (const bit_piece& p : F::layout::locate(section, i).pieces) {
          if (p.width == 0) continue;
          REQUIRE(p.byte < F::block_bytes);
          if (p.base3) {
            CHECK(p.shift < 5);
            CHECK((digits[p.byte] & 1 << p.shift) == 0);
            digits[p.byte] |= 1 << p.shift;
            code_bits |= 3;
            continue;
          }
          for (unsigned b = 0; b < p.width; ++b) {
            REQUIRE(p.shift + b < 8);
            ++used[8u * p.byte + p.shift + b];
            CHECK((code_bits >> (p.to + b) & 1) == 0);
            code_bits |= 1u << (p.to + b);
          }
        }
        // A field has all bits of its element: ternary's are 2, also in base 3.
        const std::uint32_t all_bits = E::bits == 32 ? ~0u : (1u << E::bits) - 1;
        CHECK(code_bits == all_bits);
      }
    });
    for (std::size_t byte = 0; byte < F::block_bytes; ++byte) {
      INFO("byte " << byte);
      if (digits[byte] != 0) {
        // TQ1_0: five digits in 48 bytes, four in the last 4. No plain bits beside them.
        CHECK(digits[byte] == (byte < 48 ? 0b11111 : 0b01111));
      }
      const bool free = digits[byte] != 0 || is_derived<F>(byte);
      for (std::size_t b = 0; b < 8; ++b) CHECK(used[8 * byte + b] == (free ? 0 : 1));
    }
    CHECK(num_codes > F::block_values);
  });
}

TEST_CASE("wire layouts: records come back from their sections") {
  for_each_wire_format([]<class F>() {
    INFO(F::name);
    using M = typename F::meaning;
    for (const std::size_t records : {1u, 2u, 3u}) {
      const std::size_t rows = 2;
      const std::size_t cols = records * F::block_values;
      std::vector<std::uint8_t> bytes(rows * records * F::block_bytes);
      fill_random(bytes, seed_of(F::name, records));
      std::vector<std::uint8_t> part_bytes(quantized_view<M>::buffer_bytes(rows, cols), 0xEE);
      const quantized_view<M> parts(part_bytes.data(), rows, cols);
      const quantized_view<F> view(bytes.data(), rows, cols);
      if (has_base3<F>) {
        // 13 of 256 bytes are no five digits' byte: make all of them one.
        REQUIRE(from_wire<F>(view, parts) == errc::ok);
        REQUIRE(to_wire<F>(parts, view) == errc::ok);
      }
      REQUIRE(from_wire<F>(view, parts) == errc::ok);
      std::vector<std::uint8_t> back(bytes.size(), 0xEE);
      REQUIRE(to_wire<F>(parts, quantized_view<F>(back.data(), rows, cols)) == errc::ok);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (is_derived<F>(i % F::block_bytes)) back[i] = bytes[i];
      }
      CHECK(difference(back, bytes) == "");
    }
  });
}

TEST_CASE("wire layouts: sections come back from records, short rows too") {
  for_each_wire_format([]<class F>() {
    INFO(F::name);
    using M = typename F::meaning;
    for (const std::size_t cols : {F::block_values, F::block_values + 1, 2 * F::block_values - 1,
                                   std::size_t{1}, F::block_values / 2 + 3}) {
      const std::size_t rows = 3;
      INFO(cols << " columns");
      std::vector<std::uint8_t> part_bytes(quantized_view<M>::buffer_bytes(rows, cols));
      std::vector<std::uint8_t> back_bytes(part_bytes.size());
      const quantized_view<M> parts(part_bytes.data(), rows, cols);
      const quantized_view<M> back(back_bytes.data(), rows, cols);
      nibble_test::random_bits random(seed_of(F::name, cols));
      detail::for_each_part<M>(
          rows, cols, [&]<class E>(std::size_t section, std::size_t r, std::size_t c) {
            for (std::size_t i = 0; i < r * c; ++i) {
              auto code = static_cast<typename E::code>(
                  random.bits32() & static_cast<std::uint32_t>((std::uint64_t{1} << E::bits) - 1));
              if (has_base3<F> && section == 0) code = static_cast<typename E::code>(code % 3);
              store_code<E>(parts.sections[section], i / c, i % c, code);
            }
          });
      std::vector<std::uint8_t> records(quantized_view<F>::buffer_bytes(rows, cols), 0xEE);
      const quantized_view<F> view(records.data(), rows, cols);
      REQUIRE(to_wire<F>(parts, view) == errc::ok);
      REQUIRE(from_wire<F>(view, back) == errc::ok);
      CHECK(difference(back_bytes, part_bytes) == "");
      // Values after the row's end are zeros.
      for (std::size_t i = cols % F::block_values; i != 0 && i < F::block_values; ++i) {
        const std::uint8_t* record =
            view.sections[0].data + cols / F::block_values * F::block_bytes;
        CHECK(load_bits(record, F::layout::locate(0, i)) == F::element::zero_code);
      }
    }
  });
}

TEST_CASE("Q8_1 and Q8_K: to_wire makes the sums anew") {
  std::vector<std::uint8_t> bytes(gguf::q8_1::block_bytes + gguf::q8_K::block_bytes);
  {
    using M = gguf::q8_1::meaning;
    std::vector<std::uint8_t> part(quantized_view<M>::buffer_bytes(1, 32));
    const quantized_view<M> parts(part.data(), 1, 32);
    for (std::size_t i = 0; i < 32; ++i) {
      store_code<int8>(parts.sections[0], 0, i, static_cast<std::uint8_t>(i % 2 == 0 ? 10 : -3));
    }
    store_code<f16>(parts.sections[1], 0, 0, f16::encode(0.5f));
    REQUIRE(to_wire<gguf::q8_1>(parts, quantized_view<gguf::q8_1>(bytes.data(), 1, 32)) ==
            errc::ok);
    // 16 * (10 - 3) = 112 codes, times 0.5.
    CHECK(f16::decode(static_cast<f16::code>(load_bits(bytes.data(), byte_field(2, 2)))) == 56);
  }
  {
    using M = gguf::q8_K::meaning;
    std::vector<std::uint8_t> part(quantized_view<M>::buffer_bytes(1, 256));
    const quantized_view<M> parts(part.data(), 1, 256);
    for (std::size_t i = 0; i < 256; ++i) {
      store_code<int8>(parts.sections[0], 0, i,
                       static_cast<std::uint8_t>(-(static_cast<int>(i) / 16)));
    }
    REQUIRE(to_wire<gguf::q8_K>(parts, quantized_view<gguf::q8_K>(bytes.data(), 1, 256)) ==
            errc::ok);
    for (std::size_t s = 0; s < 16; ++s) {
      const auto sum =
          static_cast<std::int16_t>(load_bits(bytes.data(), byte_field(260 + 2 * s, 2)));
      CHECK(sum == -16 * static_cast<int>(s));
    }
  }
}

TEST_CASE("GGUF: where value i of a record lies, spelled out for four types") {
  const auto one = [](bit_field f) { return f.pieces[0]; };
  // Q4_0: scale in bytes 0 and 1, value 3 in byte 5's low nibble, value 19 in its high nibble.
  CHECK(one(gguf::q4_0::layout::locate(0, 3)) == bit_piece{5, 0, 4, 0});
  CHECK(one(gguf::q4_0::layout::locate(0, 19)) == bit_piece{5, 4, 4, 0});
  // Q5_1: scale, least value, 4 bytes of fifth bits, nibbles.
  const bit_field q5 = gguf::q5_1::layout::locate(0, 17);
  CHECK(q5.pieces[0] == bit_piece{9, 4, 4, 0});
  CHECK(q5.pieces[1] == bit_piece{6, 1, 1, 4});
  // Q4_K: sub-block 6 has its scale's low bits in byte 4 + 10, its upper pair in byte 4 + 2.
  const bit_field k = gguf::q4_K::layout::locate(1, 6);
  CHECK(k.pieces[0] == bit_piece{14, 0, 4, 0});
  CHECK(k.pieces[1] == bit_piece{6, 6, 2, 4});
  // Q6_K: value 200 is in the second half, its third row: high nibble, bits 4 and 5 of qh.
  const bit_field q6 = gguf::q6_K::layout::locate(0, 200);
  CHECK(q6.pieces[0] == bit_piece{64 + 8, 4, 4, 0});
  CHECK(q6.pieces[1] == bit_piece{128 + 32 + 8, 4, 2, 4});
}
