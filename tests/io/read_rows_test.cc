// SPDX-License-Identifier: Apache-2.0 OR MIT
// read_rows_f32(): every plain type, any rows, both orders.
#include "nibble/io/read_rows.h"

#include <cmath>
#include <limits>

#include "io/files.h"

using namespace nibble;
using namespace nibble_test;

namespace {

// A 1-D tensor over `bytes`, which must outlive it.
tensor_info row_of(tensor_type type, const std::string& bytes) {
  tensor_info t;
  t.type = type;
  t.rank = 1;
  t.dims[0] = bytes.size() / describe(type).block_bytes * describe(type).block_values;
  t.data = std::as_bytes(std::span<const char>(bytes));
  return t;
}

std::vector<float> values_of(tensor_type type, const std::string& bytes) {
  const guarded copy("?" + bytes);  // at an odd address
  tensor_info t = row_of(type, bytes);
  t.data = copy.bytes().subspan(1);
  std::vector<float> out(t.cols());
  REQUIRE(read_rows_f32(t, 0, {out.data(), 1, out.size()}) == errc::ok);
  return out;
}

// Bytes of int16 0, 1, 2, ... and the tensor of that shape over them.
struct counting {
  std::string bytes;
  tensor_info t;
  counting(std::initializer_list<std::uint64_t> dims, bool fortran_order) {
    t.type = tensor_type::i16;
    t.fortran_order = fortran_order;
    for (const std::uint64_t d : dims) t.dims[t.rank++] = d;
    for (std::uint64_t i = 0; i < t.num_values(); ++i) bytes += le(static_cast<std::int16_t>(i));
    t.data = std::as_bytes(std::span<const char>(bytes));
  }
  std::vector<float> rows(std::uint64_t first, std::size_t n) const {
    const std::size_t cols = t.cols();
    std::vector<float> out(n * (cols + 3), -1.0f);
    REQUIRE(read_rows_f32(t, first, {out.data(), n, cols, cols + 3}) == errc::ok);
    std::vector<float> packed;
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t c = 0; c < cols + 3; ++c) {
        if (c < cols) packed.push_back(out[r * (cols + 3) + c]);
        if (c >= cols) CHECK(out[r * (cols + 3) + c] == -1.0f);
      }
    }
    return packed;
  }
};

using floats = std::vector<float>;

}  // namespace

TEST_CASE("read_rows: every plain type becomes float") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(values_of(tensor_type::f32, data_of({1.5f, -inf, 1e-45f})) == floats{1.5f, -inf, 1e-45f});
  // 1 + 2^-24 is a tie between two floats: to even.
  CHECK(values_of(tensor_type::f64, le(1.0 + 0x1p-24) + le(1.0 + 0x1.8p-23) + le(1e300)) ==
        floats{1.0f, 1.0f + 0x1p-22f, inf});
  CHECK(values_of(tensor_type::f16, std::string("\x00\x3C\x00\xFC\x01\x00", 6)) ==
        floats{1.0f, -inf, 0x1p-24f});
  CHECK(values_of(tensor_type::bf16, std::string("\x80\x3F\x80\xFF", 4)) == floats{1.0f, -inf});
  CHECK(values_of(tensor_type::i8, "\x7F\x80") == floats{127.0f, -128.0f});
  CHECK(values_of(tensor_type::u8, "\x7F\x80") == floats{127.0f, 128.0f});
  CHECK(values_of(tensor_type::i16, le(std::int16_t{-32768})) == floats{-32768.0f});
  CHECK(values_of(tensor_type::u16, le(std::uint16_t{65535})) == floats{65535.0f});
  CHECK(values_of(tensor_type::i32, le(std::int32_t{-16777217})) == floats{-16777216.0f});
  CHECK(values_of(tensor_type::u32, le(std::uint32_t{16777219})) == floats{16777220.0f});
  CHECK(values_of(tensor_type::i64, le(std::int64_t{-5})) == floats{-5.0f});
  CHECK(values_of(tensor_type::u64, le(max_u64)) == floats{0x1p64f});
  CHECK(values_of(tensor_type::boolean, std::string("\0\1\2", 3)) == floats{0.0f, 1.0f, 1.0f});
  CHECK(values_of(tensor_type::f8_e4m3, "\x38\x7E") == floats{1.0f, 448.0f});
  CHECK(values_of(tensor_type::f8_e5m2, "\x3C\xFC") == floats{1.0f, -inf});
  CHECK(values_of(tensor_type::f8_e4m3fnuz, "\x40\x7F") == floats{1.0f, 240.0f});
  CHECK(values_of(tensor_type::f8_e5m2fnuz, "\x40\x7F") == floats{1.0f, 57344.0f});
  CHECK(values_of(tensor_type::f8_e8m0, "\x7F\x80") == floats{1.0f, 2.0f});
}

TEST_CASE("read_rows: codes of less than a byte follow each other from the low bits up") {
  CHECK(values_of(tensor_type::f4, "\x21\xF7") == floats{0.5f, 1.0f, 6.0f, -6.0f});
  // 1, 2, 3 and 63 of 6 bits: 000001 000010 000011 111111 from the low end.
  CHECK(values_of(tensor_type::f6_e2m3, "\x81\x30\xFC") == floats{0.125f, 0.25f, 0.375f, -7.5f});
  CHECK(values_of(tensor_type::f6_e3m2, "\x81\x30\xFC") ==
        floats{0.0625f, 0.125f, 0.1875f, -28.0f});
}

TEST_CASE("read_rows: every code of FP4 and FP6 at every place in its bytes, across rows") {
  const auto check = [](tensor_type type, unsigned bits, auto decode) {
    const std::size_t num_codes = std::size_t{1} << bits;
    for (std::size_t shift = 0; shift < 4; ++shift) {
      // An odd number of columns: rows begin inside of bytes.
      const std::size_t cols = num_codes - 1;
      const std::size_t rows = 8;
      std::string bytes(rows * cols * bits / 8, '\0');
      const auto code_at = [&](std::size_t i) { return (i * 5 + shift) % num_codes; };
      for (std::size_t i = 0; i < rows * cols; ++i) {
        for (unsigned b = 0; b < bits; ++b) {
          const std::size_t at = i * bits + b;
          if ((code_at(i) >> b & 1) != 0) {
            bytes[at / 8] = static_cast<char>(bytes[at / 8] | 1 << at % 8);
          }
        }
      }
      const guarded copy(bytes);
      tensor_info t;
      t.type = type;
      t.rank = 2;
      t.dims[0] = rows;
      t.dims[1] = cols;
      t.data = copy.bytes();
      for (std::size_t r = 0; r < rows; ++r) {
        std::vector<float> row(cols);
        REQUIRE(read_rows_f32(t, r, {row.data(), 1, cols}) == errc::ok);
        for (std::size_t c = 0; c < cols; ++c) REQUIRE(row[c] == decode(code_at(r * cols + c)));
      }
    }
  };
  // sign, exponent, mantissa
  const auto value = [](std::size_t code, int mantissa_bits, int exponent_bits, int bias) {
    const int m = static_cast<int>(code) & ((1 << mantissa_bits) - 1);
    const int e = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const bool negative = code >> (mantissa_bits + exponent_bits) != 0;
    const float size =
        e == 0 ? std::ldexp(static_cast<float>(m), 1 - bias - mantissa_bits)
               : std::ldexp(static_cast<float>(m + (1 << mantissa_bits)), e - bias - mantissa_bits);
    return negative ? -size : size;
  };
  check(tensor_type::f4, 4, [&](std::size_t c) { return value(c, 1, 2, 1); });
  check(tensor_type::f6_e2m3, 6, [&](std::size_t c) { return value(c, 3, 2, 1); });
  check(tensor_type::f6_e3m2, 6, [&](std::size_t c) { return value(c, 2, 3, 3); });
}

TEST_CASE("read_rows: any rows into any stride") {
  const counting t({2, 2, 3}, false);
  CHECK(t.rows(0, 4) == floats{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(t.rows(2, 1) == floats{6, 7, 8});
  CHECK(t.rows(4, 0).empty());
  CHECK(counting({}, false).rows(0, 1) == floats{0});
  CHECK(counting({3}, false).rows(0, 1) == floats{0, 1, 2});
}

TEST_CASE("read_rows: Fortran order is turned round") {
  CHECK(counting({2, 3}, true).rows(0, 2) == floats{0, 2, 4, 1, 3, 5});
  CHECK(counting({2, 3}, true).rows(1, 1) == floats{1, 3, 5});
  // [i, j, k] lies at i + 2 j + 4 k.
  CHECK(counting({2, 2, 3}, true).rows(0, 4) == floats{0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11});
  CHECK(counting({3}, true).rows(0, 1) == floats{0, 1, 2});
  CHECK(counting({}, true).rows(0, 1) == floats{0});
}

TEST_CASE("read_rows: wrong types, shapes and rows are errors") {
  const counting t({2, 3}, false);
  float out[12] = {};
  CHECK(read_rows_f32(t.t, 0, {out, 2, 2}) == errc::shape_mismatch);
  CHECK(read_rows_f32(t.t, 0, {out, 3, 3}) == errc::out_of_bounds);
  CHECK(read_rows_f32(t.t, 2, {out, 1, 3}) == errc::out_of_bounds);
  CHECK(read_rows_f32(t.t, max_u64, {out, 1, 3}) == errc::out_of_bounds);
  for (const tensor_type type : {tensor_type::c64, tensor_type::c128, tensor_type::iq2_xxs,
                                 tensor_type::iq1_m, tensor_type::opaque8, tensor_type::opaque16}) {
    tensor_info other = t.t;
    other.type = type;
    CHECK(read_rows_f32(other, 0, {out, 1, 3}) == errc::unknown_type);
  }
}

TEST_CASE("retype: the same bytes as values of another type, the last dimension follows") {
  const std::string bytes("\x21\xF7\x80\x3F\x00\xC0\x38\xB8", 8);
  tensor_info t = row_of(tensor_type::opaque16, bytes);
  t.rank = 2;
  t.dims[0] = 2;
  t.dims[1] = 2;
  const auto values = [&t](tensor_type type) {
    const auto r = retype(t, type);
    REQUIRE(r.has_value());
    CHECK(r->rows() == 2);
    std::vector<float> out(r->num_values());
    REQUIRE(read_rows_f32(*r, 0, {out.data(), 2, out.size() / 2}) == errc::ok);
    return out;
  };
  CHECK(read_rows_f32(t, 0, {nullptr, 0, 2}) == errc::unknown_type);
  CHECK(values(tensor_type::bf16)[1] == 1.0f);
  CHECK(values(tensor_type::bf16)[2] == -2.0f);
  CHECK(values(tensor_type::f8_e4m3).size() == 8);
  CHECK(values(tensor_type::f8_e4m3)[6] == 1.0f);
  CHECK(values(tensor_type::f8_e4m3)[7] == -1.0f);
  CHECK(values(tensor_type::f32).size() == 2);
  const floats fp4 = values(tensor_type::f4);
  REQUIRE(fp4.size() == 16);
  CHECK(fp4[0] == 0.5f);
  CHECK(fp4[1] == 1.0f);
  CHECK(fp4[3] == -6.0f);

  CHECK(retype(t, tensor_type::f64).error() == errc::shape_mismatch);  // 4 bytes a row
  CHECK(retype(t, tensor_type::f6_e2m3).error() == errc::shape_mismatch);
  CHECK(retype(t, tensor_type::q4_0).error() == errc::shape_mismatch);
  t.fortran_order = true;
  CHECK(retype(t, tensor_type::u8).error() == errc::shape_mismatch);
  CHECK(retype(t, tensor_type::f16).has_value());
  tensor_info one;
  one.type = tensor_type::opaque8;
  one.data = t.data.first(1);
  CHECK(retype(one, tensor_type::f8_e5m2).has_value());
  CHECK(retype(one, tensor_type::f4).error() == errc::shape_mismatch);
  tensor_info odd = row_of(tensor_type::f4, "xyz");
  odd.rank = 2;
  odd.dims[0] = 2;
  odd.dims[1] = 3;  // rows end inside of bytes
  CHECK(retype(odd, tensor_type::u8).error() == errc::shape_mismatch);
  tensor_info none = row_of(tensor_type::f32, "");
  none.rank = 2;
  none.dims[0] = 0;
  none.dims[1] = max_u64;
  CHECK(retype(none, tensor_type::u8).error() == errc::shape_mismatch);
}
