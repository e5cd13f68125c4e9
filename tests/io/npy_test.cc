// SPDX-License-Identifier: Apache-2.0 OR MIT
// read_npy(): good files, a table of malformed ones, files cut and damaged everywhere.
#include "nibble/io/npy.h"

#include "io/files.h"
#include "nibble/io/read_rows.h"

using namespace nibble;
using namespace nibble_test;

namespace {

const std::string matrix_2x3 =
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", data_of({1, 2, 3, 4, 5, 6}));

std::string with_shape(const std::string& shape, std::size_t bytes = 4) {
  return npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }",
             std::string(bytes, 'x'));
}

std::string with_descr(const std::string& descr, std::size_t bytes = 4) {
  return npy("{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }",
             std::string(bytes, 'x'));
}

}  // namespace

TEST_CASE("npy: type, order, shape and data are found") {
  read_guarded(read_npy, matrix_2x3, [](const auto& file, const auto&) {
    REQUIRE(file.has_value());
    CHECK(file->kind() == file_kind::npy);
    CHECK(file->version() == 1);
    REQUIRE(file->tensors().size() == 1);
    const tensor_info& t = file->tensors()[0];
    CHECK(t.name.empty());
    CHECK(file->find("") == &t);
    CHECK(t.type == tensor_type::f32);
    CHECK_FALSE(t.fortran_order);
    CHECK(t.rows() == 2);
    CHECK(t.cols() == 3);
    CHECK(t.data.size() == 24);
    CHECK(detail::load_le<float>(t.data.data() + 20) == 6.0f);
  });
}

TEST_CASE("npy: versions 2 and 3 have a longer header length") {
  for (const char version : {'\2', '\3'}) {
    const std::string header = "{'descr': '<i2', 'fortran_order': True, 'shape': (2,)}\n";
    const std::string file = "\x93NUMPY" + std::string(1, version) + std::string(1, '\0') +
                             u32(static_cast<std::uint32_t>(header.size())) + header + "xxxx";
    read_guarded(read_npy, file, [&](const auto& result, const auto&) {
      REQUIRE(result.has_value());
      CHECK(result->version() == static_cast<std::uint32_t>(version));
      CHECK(result->tensors()[0].fortran_order);
    });
    for (std::size_t n = 0; n < file.size(); ++n) {
      require_error(read_npy, file.substr(0, n), n < 6 ? errc::bad_magic : errc::truncated);
    }
  }
}

TEST_CASE("npy: what NumPy versions write is read") {
  for (const char* dictionary : {
           "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1L,), }",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1), }",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }",
           "{'descr': '<i1', 'fortran_order': False, 'shape': (2, 2), }",
           "{'descr': '>i1', 'fortran_order': False, 'shape': (2, 2), }",
           "{\"shape\": (2,), \"fortran_order\": True, \"descr\": \"<f2\"}",
           "{ 'shape' : ( 2 , ) , 'descr' : '<u2' , 'fortran_order' : False }   ",
       }) {
    INFO(dictionary);
    read_guarded(read_npy, npy(dictionary, "xxxx"),
                 [](const auto& file, const auto&) { CHECK(file.has_value()); });
  }
  const std::pair<const char*, std::size_t> sizes[] = {
      {"'|b1'", 1}, {"'|i1'", 1}, {"'|u1'", 1}, {"'<i2'", 2},  {"'<u2'", 2},
      {"'<f2'", 2}, {"'<i4'", 4}, {"'<u4'", 4}, {"'<f4'", 4},  {"'<i8'", 8},
      {"'<u8'", 8}, {"'<f8'", 8}, {"'<c8'", 8}, {"'<c16'", 16}};
  for (const auto& [descr, bytes] : sizes) {
    INFO(descr);
    read_guarded(read_npy, with_descr(descr, bytes),
                 [](const auto& file, const auto&) { CHECK(file.has_value()); });
  }
  read_guarded(read_npy, with_shape("(3, 0, 5)", 0), [](const auto& file, const auto&) {
    REQUIRE(file.has_value());
    CHECK(file->tensors()[0].num_values() == 0);
  });
}

TEST_CASE("npy: what ml_dtypes writes is opaque until the caller names it") {
  const auto check = [](const char* descr, tensor_type found, tensor_type meant, float value) {
    INFO(descr);
    const std::string data = found == tensor_type::opaque16 ? std::string("\x20\xC0", 2) : "\x39";
    read_guarded(read_npy, with_descr(descr, 0) + data, [&](const auto& file, const auto&) {
      REQUIRE(file.has_value());
      const tensor_info& t = file->tensors()[0];
      CHECK(t.type == found);
      float v = 0;
      CHECK(read_rows_f32(t, 0, {&v, 1, 1}) == errc::unknown_type);
      const auto named = retype(t, meant);
      REQUIRE(named.has_value());
      REQUIRE(read_rows_f32(*named, 0, {&v, 1, 1}) == errc::ok);
      CHECK(v == value);
    });
  };
  check("'<V2'", tensor_type::opaque16, tensor_type::bf16, -2.5f);
  check("'|V2'", tensor_type::opaque16, tensor_type::bf16, -2.5f);
  check("'|V1'", tensor_type::opaque8, tensor_type::f8_e4m3, 1.125f);
  check("'<V1'", tensor_type::opaque8, tensor_type::f8_e5m2, 0.625f);
  check("'<f1'", tensor_type::opaque8, tensor_type::f8_e5m2, 0.625f);
  check("'|V1'", tensor_type::opaque8, tensor_type::u8, 57.0f);
}

TEST_CASE("npy: an error names the key that is wrong") {
  const auto note_of = [](const std::string& file) {
    error_note note;
    CHECK_FALSE(read_npy(std::as_bytes(std::span<const char>(file)), &note).has_value());
    return std::string(note.text);
  };
  for (const char* shape :
       {"1", "(1 1)", "(-1,)", "(18446744073709551616,)", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"}) {
    INFO(shape);
    CHECK(note_of(with_shape(shape)).find("'shape'") == 0);
  }
  CHECK(note_of(with_descr("4")).find("'descr'") == 0);
  CHECK(note_of(with_descr("'|V4'")).find("descr '|V4'") == 0);
}

TEST_CASE("npy: malformed files give their error") {
  const std::string magic = "\x93NUMPY";
  const std::string v1 = magic + std::string("\1\0", 2);
  const std::string v2 = magic + std::string("\2\0", 2);
  const auto raw = [&](const std::string& header) {
    return v1 + le(static_cast<std::uint16_t>(header.size())) + header + "xxxx";
  };
  require_errors(
      read_npy,
      {
          {"empty file", "", errc::bad_magic},
          {"another first byte", "\x92NUMPY" + matrix_2x3.substr(6), errc::bad_magic},
          {"a magic in lower case", "\x93numpy" + matrix_2x3.substr(6), errc::bad_magic},
          {"version 0", magic + std::string("\0\0", 2) + "xxxxxxxx", errc::bad_version},
          {"version 4", magic + std::string("\4\0", 2) + "xxxxxxxx", errc::bad_version},
          {"version 1.1", magic + "\1\1" + "xxxxxxxx", errc::bad_version},
          {"nothing but magic and version", v1, errc::truncated},
          {"a header longer than the file", v1 + "\xFF\xFF{}", errc::truncated},
          {"a header above the limit", v2 + u32(0x7FFFFFFF) + "{}", errc::limit_exceeded},
          {"a header length of 2^32 - 1", v2 + u32(0xFFFFFFFF) + "{}", errc::limit_exceeded},
          {"a header of no bytes", v1 + std::string(2, '\0'), errc::malformed},
          {"an empty dictionary", npy("{}"), errc::malformed},
          {"no newline", raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"),
           errc::malformed},
          {"text behind the dictionary",
           raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x\n"), errc::malformed},
          {"a second line", raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n\n"),
           errc::malformed},
          {"an unclosed dictionary",
           raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)\n"), errc::malformed},
          {"a list", npy("['<f4', False, (1,)]", "xxxx"), errc::malformed},
          {"no descr", npy("{'fortran_order': False, 'shape': (1,)}", "xxxx"), errc::malformed},
          {"no fortran_order", npy("{'descr': '<f4', 'shape': (1,)}", "xxxx"), errc::malformed},
          {"no shape", npy("{'descr': '<f4', 'fortran_order': False}", "xxxx"), errc::malformed},
          {"an unknown key",
           npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "xxxx"),
           errc::malformed},
          {"a key twice",
           npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}", "xxxx"),
           errc::duplicate_name},
          {"a key without quotes",
           npy("{descr: '<f4', 'fortran_order': False, 'shape': (1,)}", "xxxx"), errc::malformed},
          {"a key with an escape",
           npy("{'d\\x65scr': '<f4', 'fortran_order': False, 'shape': (1,)}", "xxxx"),
           errc::malformed},
          {"no comma", npy("{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", "xxxx"),
           errc::malformed},
          {"two commas", npy("{'descr': '<f4',, 'fortran_order': False, 'shape': (1,)}", "xxxx"),
           errc::malformed},
          {"a string without an end", npy("{'descr': '<f4", "xxxx"), errc::malformed},
          {"fortran_order as a number",
           npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "xxxx"), errc::malformed},
          {"fortran_order as a string",
           npy("{'descr': '<f4', 'fortran_order': 'False', 'shape': (1,)}", "xxxx"),
           errc::malformed},
          {"big-endian floats", with_descr("'>f4'"), errc::unknown_type},
          {"native byte order", with_descr("'=f4'"), errc::unknown_type},
          {"no byte order", with_descr("'f4'"), errc::unknown_type},
          {"no byte order where it matters", with_descr("'|f4'"), errc::unknown_type},
          {"an object, which is a pickle", with_descr("'|O'"), errc::unknown_type},
          {"text", with_descr("'<U1'"), errc::unknown_type},
          {"bytes", with_descr("'|S4'"), errc::unknown_type},
          {"raw void", with_descr("'|V4'"), errc::unknown_type},
          {"two bytes of a big-endian machine", with_descr("'>V2'", 2), errc::unknown_type},
          {"one byte of void with data of two", with_descr("'|V1'", 2), errc::malformed},
          {"dates", with_descr("'<M8[ns]'", 8), errc::unknown_type},
          {"a float of 16 bytes", with_descr("'<f16'", 16), errc::unknown_type},
          {"a structure", with_descr("[('a', '<f4')]"), errc::unknown_type},
          {"a subarray", with_descr("('<f4', (1,))"), errc::unknown_type},
          {"an empty descr", with_descr("''"), errc::malformed},
          {"a descr that is a number", with_descr("4"), errc::malformed},
          {"a shape that is a number", with_shape("1"), errc::malformed},
          {"a shape in parentheses", with_shape("(1)"), errc::malformed},
          {"a shape as a list", with_shape("[1]"), errc::malformed},
          {"a shape with a leading comma", with_shape("(,1)"), errc::malformed},
          {"a shape with a lone comma", with_shape("(,)"), errc::malformed},
          {"a shape without a comma", with_shape("(1 1)"), errc::malformed},
          {"a nested shape", with_shape("((1,),)"), errc::malformed},
          {"deeply nested parentheses", with_shape(std::string(10'000, '(')), errc::malformed},
          {"a negative dimension", with_shape("(-1,)"), errc::malformed},
          {"a dimension with a fraction", with_shape("(1.0,)"), errc::malformed},
          {"a dimension in hexadecimal", with_shape("(0x1,)"), errc::malformed},
          {"a dimension that is True", with_shape("(True,)"), errc::malformed},
          {"a dimension of 2^64", with_shape("(18446744073709551616,)"), errc::overflow},
          {"a dimension of 10^40", with_shape("(1" + std::string(40, '0') + ",)"), errc::overflow},
          {"a product that wraps", with_shape("(4294967297, 4294967295, 2)"), errc::overflow},
          {"a product of 0 modulo 2^64", with_shape("(4294967296, 4294967296)", 0), errc::overflow},
          {"bytes that wrap", with_shape("(4611686018427387905,)"), errc::overflow},
          {"nine dimensions", with_shape("(1, 1, 1, 1, 1, 1, 1, 1, 1)"), errc::limit_exceeded},
          {"less data than the shape needs", with_shape("(2,)"), errc::truncated},
          {"no data", with_shape("(1,)", 0), errc::truncated},
          {"a huge shape", with_shape("(1000000, 1000000)"), errc::truncated},
          {"more data than the shape needs", with_shape("(1,)", 5), errc::malformed},
          {"data behind an empty array", with_shape("(0,)", 1), errc::malformed},
      });
}

TEST_CASE("npy: a file cut anywhere is truncated") {
  for (std::size_t n = 0; n < matrix_2x3.size(); ++n) {
    INFO(n << " of " << matrix_2x3.size());
    require_error(read_npy, matrix_2x3.substr(0, n), n < 6 ? errc::bad_magic : errc::truncated);
  }
}

TEST_CASE("npy: damage to any byte is harmless") {
  require_no_surprise_after_damage(read_npy, matrix_2x3);
}

TEST_CASE("npy: a failed allocation is an error") {
  const guarded copy(matrix_2x3);
  allocation_count::fail_all = true;
  const errc e = read_npy(copy.bytes()).error();
  allocation_count::fail_all = false;
  CHECK(e == errc::out_of_memory);
}
