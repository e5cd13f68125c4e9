// SPDX-License-Identifier: Apache-2.0 OR MIT
// Formats of a user's own: kernels of every target agree with the reference, and what the parts of
// the algebra that no shipped format has mean, by hand-made examples.
#include "nibble/quantize.h"

#include "format/user_formats.h"
#include "support/agreement.h"
#include "support/make_erased.h"

using namespace nibble_test;

namespace {

using floats = std::vector<float>;

const std::vector<erased_format>& user_formats() {
  static const std::vector<erased_format> formats{
      make_erased<user_5bit>(),   make_erased<user_6bit>(),     make_erased<user_fp8>(),
      make_erased<user_nested>(), make_erased<user_tiles>(),    make_erased<user_book>(),
      make_erased<user_record>(), make_erased<user_centered>(),
  };
  return formats;
}

/// n values: those given, then the last of them repeated.
floats block(std::size_t n, floats first) {
  first.resize(n, first.back());
  return first;
}

template <class F>
round_trip_result one_row(const floats& x) {
  return round_trip(make_erased<F>(), x, 1, x.size());
}

std::uint32_t number(const std::vector<std::uint8_t>& bytes, std::size_t i, std::size_t size) {
  std::uint32_t v = 0;
  for (std::size_t b = 0; b < size; ++b) v |= std::uint32_t{bytes[i * size + b]} << (8 * b);
  return v;
}

}  // namespace

TEST_CASE("a user's formats are quantized as the reference does, under every rule") {
  for (const erased_format& f : user_formats()) CHECK(check_quantize(f) == 0);
}

TEST_CASE("a user's formats are dequantized as the reference does, whatever the bytes") {
  for (const erased_format& f : user_formats()) CHECK(check_dequantize(f) == 0);
}

TEST_CASE("5-bit codes, blocks of 48, bf16 scale, float zero point: by hand") {
  // [-7.75, 7.75] in 31 steps of 0.5; the zero point 15.5 is exact in f16.
  const auto r = one_row<user_5bit>(block(48, {-7.75f, 7.75f, 0.25f, -0.25f, 1.75f}));
  CHECK(number(r.w.parts.packed(1), 0, 2) == 0x3F00);  // 0.5
  CHECK(number(r.w.parts.packed(2), 0, 2) == nibble::f16::encode(15.5f));
  CHECK(floats(r.values.begin(), r.values.begin() + 5) ==
        floats{-7.75f, 7.75f, 0.25f, -0.25f, 1.75f});
  // Codes 0 31 16 15 19 19 ...: 8 bytes of low nibbles, then 2 of fifth bits.
  CHECK(hex({r.w.parts.packed(0).data(), 10}) == "f0 f0 33 33 33 33 33 33 f6 ff ");
}

TEST_CASE("offset: the least value is stored, zero need not be in the range") {
  // [8, 39.5] in 63 steps of 0.5.
  const auto r = one_row<user_6bit>(block(80, {8, 39.5f, 8.5f, 20.25f, 20.75f}));
  CHECK(number(r.w.parts.packed(1), 0, 2) == nibble::f16::encode(0.5f));
  CHECK(number(r.w.parts.packed(2), 0, 2) == 0x4100);  // 8
  CHECK(floats(r.values.begin(), r.values.begin() + 5) == floats{8, 39.5f, 8.5f, 20, 21});
}

TEST_CASE("minimum: its negative is stored, here as a byte with a scale per row of tiles") {
  // One tile of 4 x 16: [-2, 13] in 15 steps of 1; minimum 2 = 255 * (2 / 255).
  floats x(4 * 16, 0.0f);
  x[0] = -2;
  x[17] = 13;
  x[63] = 4.5f;
  const auto r = round_trip(make_erased<user_tiles>(), x, 4, 16);
  CHECK(number(r.w.parts.packed(1), 0, 2) == nibble::f16::encode(1));
  CHECK(r.w.parts.packed(2) == std::vector<std::uint8_t>{255});
  const float minimum = 255 * (2.0f / 255);
  CHECK(r.values[0] == 0 - minimum);
  CHECK(r.values[17] == 15 - minimum);
  CHECK(r.values[63] == 6 - minimum);  // 6.5 to even
}

TEST_CASE("center: deviations from the mean of the tensor") {
  // Mean 10; deviations up to 127 in the first block, up to 254 in the second.
  floats x(64, 10);
  x[0] = 137;
  x[1] = -117;
  x[40] = 264;
  x[41] = -244;
  x[42] = 12;
  x[43] = 8;
  const auto r = one_row<user_centered>(x);
  CHECK(number(r.w.parts.packed(1), 0, 4) == 0x3F800000);  // 1
  CHECK(number(r.w.parts.packed(1), 1, 4) == 0x40000000);  // 2
  CHECK(number(r.w.parts.packed(2), 0, 4) == 0x41200000);  // 10
  const auto codes = r.w.parts.packed(0);
  CHECK(hex({codes.data(), 3}) == "7f 81 00 ");
  CHECK(hex({codes.data() + 40, 5}) == "7f 81 01 ff 00 ");
  CHECK(r.values == x);
}

TEST_CASE("scales of scales of scales: each level is read back before the next is made") {
  // Row of 128: 8 blocks of 16, one group of 8 scales. max|x| 3 and 1.5: scales 1 and 0.5.
  floats x(128, 1.5f);
  std::fill_n(x.begin(), 16, 3.0f);
  const auto r = one_row<user_nested>(x);
  // Second level, 63 steps up to 1: 0.5 is just under 31.5 of them. Codes 63 and 7 times 31.
  CHECK(hex({r.w.parts.packed(1).data(), 12}) == "ff ff ff ff 00 00 00 00 57 55 00 00 ");
  // Third level: 1/63 is the only one, so that the top of e4m3 stands for it.
  CHECK(hex(r.w.parts.packed(2)) == "7e ");
  const float step = std::bit_cast<float>(number(r.w.parts.packed(3), 0, 4)) * 448;
  CHECK(std::fabs(step - 1.0f / 63) < 1e-8f);
  CHECK(r.values[0] == 3 * (63 * step));
  CHECK(r.values[16] == 3 * (31 * step));
}

TEST_CASE("a user's codebook: the nearest value, ties as it says") {
  const auto r = one_row<user_book>(block(32, {2, -2, 0.375f, 0.75f, -0.25f, 0.1f, 0}));
  CHECK(number(r.w.parts.packed(1), 0, 2) == nibble::f16::encode(2));
  // In halves: 0.1875 lies between 0.125 and 0.25, 0.375 between 0.25 and 0.5: both go down.
  CHECK(floats(r.values.begin(), r.values.begin() + 7) == floats{2, -2, 0.25f, 0.5f, -0.5f, 0, 0});
}

TEST_CASE("a user's wire layout: high nibble first, the scale at the end") {
  floats x{7, -7, 1, 2, 3, -1, -2, 0};
  x.resize(16, 0.0f);
  x.push_back(14);
  const auto r = one_row<user_record>(x);
  CHECK(hex(r.w.parts.packed(0)) == "79 12 3f e0 00 00 00 00 3c 70 00 00 00 00 00 00 00 40 ");
  CHECK(r.values == x);
}
