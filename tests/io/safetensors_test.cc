// SPDX-License-Identifier: Apache-2.0 OR MIT
// read_safetensors(): good files, a table of malformed ones, files cut and damaged everywhere.
#include "nibble/io/safetensors.h"

#include "io/files.h"
#include "nibble/io/read_rows.h"

using namespace nibble;
using namespace nibble_test;

namespace {

// Two tensors, one of them out of order, metadata, escapes, white space as writers pad it.
const std::string two_tensors = safetensors(
    R"({"__metadata__":{"format":"pt","a\tb":"\u00e9"}, "b":{"dtype":"F32","shape":[2,3],)"
    R"("data_offsets":[4,28]},"\u0061":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}   )",
    std::string(28, 'x'));

// A tensor entry; `rest` replaces the part behind the name.
std::string one(const std::string& rest, std::size_t data = 4) {
  return safetensors("{\"w\":" + rest + "}", std::string(data, 'x'));
}

}  // namespace

TEST_CASE("safetensors: names, types, shapes, data and metadata are found") {
  read_guarded(read_safetensors, two_tensors, [](const auto& file, const auto&) {
    REQUIRE(file.has_value());
    CHECK(file->kind() == file_kind::safetensors);
    REQUIRE(file->tensors().size() == 2);
    const tensor_info& b = file->tensors()[0];
    CHECK(b.name == "b");
    CHECK(b.type == tensor_type::f32);
    CHECK(b.shape().size() == 2);
    CHECK(b.rows() == 2);
    CHECK(b.cols() == 3);
    CHECK(b.num_values() == 6);
    CHECK(b.data.size() == 24);
    const tensor_info* a = file->find("a");
    REQUIRE(a == &file->tensors()[1]);
    CHECK(a->type == tensor_type::bf16);
    CHECK(a->data.data() + 4 == b.data.data());
    CHECK(file->find("c") == nullptr);
    REQUIRE(file->metadata().size() == 2);
    CHECK(file->find_metadata("format")->as_string() == "pt");
    CHECK(file->find_metadata("a\tb")->as_string() == "\xC3\xA9");
    CHECK_FALSE(file->find_metadata("format")->as_u64().has_value());
  });
}

TEST_CASE("safetensors: scalars, empty tensors and empty files are legal") {
  read_guarded(
      read_safetensors,
      safetensors(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                  R"("e":{"dtype":"F16","shape":[3,0],"data_offsets":[8,8]},)"
                  R"("f":{"dtype":"U8","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}})",
                  std::string(8, 'x')),
      [](const auto& file, const auto&) {
        REQUIRE(file.has_value());
        CHECK(file->find("s")->rank == 0);
        CHECK(file->find("s")->num_values() == 1);
        CHECK(file->find("e")->rows() == 3);
        CHECK(file->find("e")->num_values() == 0);
        CHECK(file->find("f")->rows() == 0);
      });
  read_guarded(read_safetensors, safetensors("{}"), [](const auto& file, const auto&) {
    REQUIRE(file.has_value());
    CHECK(file->tensors().empty());
    CHECK(file->find("") == nullptr);
  });
}

TEST_CASE("safetensors: every dtype has its size") {
  const std::pair<const char*, unsigned> bits[] = {
      {"BOOL", 8}, {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},
      {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},     {"F8_E4M3FNUZ", 8},
      {"I16", 16}, {"U16", 16},    {"F16", 16},    {"F8_E5M2FNUZ", 8}, {"BF16", 16},
      {"I32", 32}, {"U32", 32},    {"F32", 32},    {"C64", 64},        {"F64", 64},
      {"I64", 64}, {"U64", 64}};
  for (const auto& [dtype, size] : bits) {
    INFO(dtype);
    const std::size_t bytes = 4 * size / 8;
    const std::string entry = std::string(R"({"dtype":")") + dtype +
                              R"(","shape":[4],"data_offsets":[0,)" + std::to_string(bytes) + "]}";
    read_guarded(read_safetensors, one(entry, bytes),
                 [](const auto& file, const auto&) { CHECK(file.has_value()); });
  }
}

TEST_CASE("safetensors: unknown keys of a tensor are skipped") {
  read_guarded(read_safetensors,
               one(R"({"x":[{"y":[1.5,null]}],"dtype":"F32","shape":[1],"data_offsets":[0,4]})"),
               [](const auto& file, const auto&) { CHECK(file.has_value()); });
}

TEST_CASE("safetensors: malformed files give their error") {
  const std::string ok = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::string deep(40, '[');
  std::string wide = "[1";
  for (int i = 0; i < 8; ++i) wide += ",1";
  wide += "]";
  require_errors(
      read_safetensors,
      {
          {"empty file", "", errc::truncated},
          {"no room for the length", "\x10\0\0\0", errc::truncated},
          {"header longer than the file", u64(100) + "{}", errc::truncated},
          {"header length 2^64 - 1", u64(max_u64) + "{}", errc::limit_exceeded},
          {"header length that wraps when 8 is added", u64(max_u64 - 7) + "{}",
           errc::limit_exceeded},
          {"header above the limit", u64(max_safetensors_header + 1) + "{}", errc::limit_exceeded},
          {"header of no bytes", u64(0) + "{}", errc::malformed},
          {"header that begins with a space", safetensors(" {}"), errc::malformed},
          {"header that is an array", safetensors("[]"), errc::malformed},
          {"header cut in the middle", safetensors("{\"w\":"), errc::malformed},
          {"text behind the header", safetensors("{}x"), errc::malformed},
          {"zeros behind the header", safetensors(std::string("{}\0\0", 4)), errc::malformed},
          {"no UTF-8", safetensors("{\"\xFF\":" + ok + "}", "xxxx"), errc::malformed},
          {"overlong UTF-8", safetensors("{\"\xC0\xAF\":" + ok + "}", "xxxx"), errc::malformed},
          {"half a surrogate pair", safetensors("{\"\\ud800\":" + ok + "}", "xxxx"),
           errc::malformed},
          {"a control character in a name", safetensors("{\"\n\":" + ok + "}", "xxxx"),
           errc::malformed},
          {"a comma too many", safetensors("{\"w\":" + ok + ",}", "xxxx"), errc::malformed},
          {"an entry that is a number", one("1"), errc::malformed},
          {"an entry that is null", one("null"), errc::malformed},
          {"an entry that is an array", one("[1]"), errc::malformed},
          {"no dtype", one(R"({"shape":[1],"data_offsets":[0,4]})"), errc::malformed},
          {"no shape", one(R"({"dtype":"F32","data_offsets":[0,4]})"), errc::malformed},
          {"no data_offsets", one(R"({"dtype":"F32","shape":[1]})"), errc::malformed},
          {"an empty entry", one("{}"), errc::malformed},
          {"an unknown dtype", one(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})"),
           errc::unknown_type},
          {"a dtype in lower case", one(R"({"dtype":"f32","shape":[1],"data_offsets":[0,4]})"),
           errc::unknown_type},
          {"an empty dtype", one(R"({"dtype":"","shape":[1],"data_offsets":[0,4]})"),
           errc::unknown_type},
          {"a block type as dtype", one(R"({"dtype":"Q8_0","shape":[1],"data_offsets":[0,4]})"),
           errc::unknown_type},
          {"a dtype that is a number", one(R"({"dtype":32,"shape":[1],"data_offsets":[0,4]})"),
           errc::malformed},
          {"a shape that is a number", one(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"),
           errc::malformed},
          {"a negative dimension", one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
           errc::malformed},
          {"a dimension with a fraction",
           one(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"), errc::malformed},
          {"a dimension with an exponent",
           one(R"({"dtype":"F32","shape":[1e0],"data_offsets":[0,4]})"), errc::malformed},
          {"a dimension that is a string",
           one(R"({"dtype":"F32","shape":["1"],"data_offsets":[0,4]})"), errc::malformed},
          {"a nested shape", one(R"({"dtype":"F32","shape":[[1]],"data_offsets":[0,4]})"),
           errc::malformed},
          {"a dimension of 2^64",
           one(R"({"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]})"),
           errc::overflow},
          {"dimensions whose product wraps to 1",
           one(R"({"dtype":"F32","shape":[4294967297,4294967295,2],"data_offsets":[0,4]})"),
           errc::overflow},
          {"2^32 x 2^32, a product of 0 modulo 2^64",
           one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0),
           errc::overflow},
          {"a size in bytes that wraps to 4",
           one(R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})"),
           errc::overflow},
          {"an overflow hidden behind a 0",
           one(R"({"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]})", 0),
           errc::overflow},
          {"nine dimensions",
           one("{\"dtype\":\"F32\",\"shape\":" + wide + ",\"data_offsets\":[0,4]}"),
           errc::limit_exceeded},
          {"half a byte", one(R"({"dtype":"F4","shape":[7],"data_offsets":[0,4]})"),
           errc::shape_mismatch},
          {"six-bit values that end inside a byte",
           one(R"({"dtype":"F6_E2M3","shape":[5],"data_offsets":[0,4]})"), errc::shape_mismatch},
          {"fewer bytes than the shape needs",
           one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), errc::shape_mismatch},
          {"more bytes than the shape needs",
           one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})", 8), errc::shape_mismatch},
          {"an empty tensor with bytes", one(R"({"dtype":"F32","shape":[0],"data_offsets":[0,4]})"),
           errc::shape_mismatch},
          {"a huge shape on few bytes",
           one(R"({"dtype":"F32","shape":[1000,1000],"data_offsets":[0,4]})"),
           errc::shape_mismatch},
          {"offsets in the wrong order", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"),
           errc::malformed},
          {"one offset", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4]})"), errc::malformed},
          {"three offsets", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,8]})"),
           errc::malformed},
          {"offsets as an object", one(R"({"dtype":"F32","shape":[1],"data_offsets":{"0":4}})"),
           errc::malformed},
          {"a negative offset", one(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})"),
           errc::malformed},
          {"an offset of 2^64",
           one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]})"),
           errc::overflow},
          {"offsets that wrap",
           one(R"({"dtype":"F32","shape":[1],"data_offsets":[18446744073709551614,2]})"),
           errc::malformed},
          {"data that begins behind the file",
           one(R"({"dtype":"F32","shape":[1],"data_offsets":[8,12]})"), errc::out_of_bounds},
          {"data that begins near 2^64",
           one(R"({"dtype":"F32","shape":[1],)"
               R"("data_offsets":[18446744073709551608,18446744073709551612]})"),
           errc::out_of_bounds},
          {"data that ends behind the file",
           one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"), errc::truncated},
          {"no data", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 0),
           errc::truncated},
          {"a byte before the first tensor",
           one(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})"), errc::malformed},
          {"a byte behind the last tensor",
           one(R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})"), errc::malformed},
          {"bytes without any tensor", safetensors("{}", "x"), errc::malformed},
          {"a hole between two tensors",
           safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                       "xxx"),
           errc::malformed},
          {"two tensors on the same bytes",
           safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                       "xxxx"),
           errc::overlap},
          {"two tensors that share a byte",
           safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                       "xxxx"),
           errc::overlap},
          {"a tensor inside another",
           safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                       "xxxx"),
           errc::overlap},
          {"an empty tensor inside another",
           safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
                       "xxxx"),
           errc::overlap},
          {"one name twice, one after the other",
           safetensors(R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                       R"("w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                       "xxxxxxxx"),
           errc::duplicate_name},
          {"one name in two spellings",
           safetensors(R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                       R"("\u0077":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})",
                       "xxxx"),
           errc::duplicate_name},
          {"dtype twice", one(R"({"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]})"),
           errc::duplicate_name},
          {"shape twice, the second escaped",
           one(R"({"dtype":"F32","shape":[9],"\u0073hape":[1],"data_offsets":[0,4]})"),
           errc::duplicate_name},
          {"data_offsets twice",
           one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]})"),
           errc::duplicate_name},
          {"two sets of metadata", safetensors(R"({"__metadata__":{},"__metadata__":{}})"),
           errc::duplicate_name},
          {"a metadata key twice", safetensors(R"({"__metadata__":{"a":"1","a":"2"}})"),
           errc::duplicate_name},
          {"metadata that is a string", safetensors(R"({"__metadata__":"a"})"), errc::malformed},
          {"metadata that is nothing", safetensors(R"({"__metadata__":})"), errc::malformed},
          {"metadata that begins like null", safetensors(R"({"__metadata__":nullx})"),
           errc::malformed},
          {"metadata null and again", safetensors(R"({"__metadata__":null,"__metadata__":{}})"),
           errc::duplicate_name},
          {"metadata with null", safetensors(R"({"__metadata__":{"a":null}})"), errc::malformed},
          {"metadata with a number", safetensors(R"({"__metadata__":{"a":1}})"), errc::malformed},
          {"metadata with an object", safetensors(R"({"__metadata__":{"a":{}}})"), errc::malformed},
          {"deep nesting in an unknown key",
           one("{\"x\":" + deep + std::string(40, ']') +
               R"(,"dtype":"F32","shape":[1],"data_offsets":[0,4]})"),
           errc::limit_exceeded},
          {"deep nesting without an end", one("{\"x\":" + std::string(100'000, '[')),
           errc::limit_exceeded},
      });
}

TEST_CASE("safetensors: a file cut anywhere is truncated") {
  for (std::size_t n = 0; n < two_tensors.size(); ++n) {
    INFO(n << " of " << two_tensors.size());
    // "b" is listed first and lies last: with less than 4 bytes of data it begins behind the end.
    const std::size_t data = two_tensors.size() - 28;
    const bool before_b = n >= data && n < data + 4;
    require_error(read_safetensors, two_tensors.substr(0, n),
                  before_b ? errc::out_of_bounds : errc::truncated);
  }
  require_error(read_safetensors, two_tensors + "x", errc::malformed);
}

TEST_CASE("safetensors: damage to any byte is harmless") {
  require_no_surprise_after_damage(read_safetensors, two_tensors);
}

TEST_CASE("safetensors: a file of names alone cannot take more memory than it may") {
  std::string header = "{";
  for (int i = 0; i < 40'000; ++i) {
    if (i > 0) header += ",";
    header += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  require_error(read_safetensors, safetensors(header + "}"), errc::limit_exceeded);
  header = R"({"__metadata__":{)";
  for (int i = 0; i < 100'000; ++i) {
    if (i > 0) header += ",";
    header += "\"\\u0041" + std::to_string(i) + "\":\"\"";
  }
  require_error(read_safetensors, safetensors(header + "}}"), errc::limit_exceeded);
}

TEST_CASE("safetensors: a failed allocation is an error") {
  const guarded copy(two_tensors);
  allocation_count::fail_all = true;
  const errc e = read_safetensors(copy.bytes()).error();
  allocation_count::fail_all = false;
  CHECK(e == errc::out_of_memory);
}

TEST_CASE("safetensors: the note names the tensor and hides what a terminal would obey") {
  error_note note;
  const guarded copy(safetensors(
      "{\"w\\u001b[31m\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", "xxxx"));
  CHECK(read_safetensors(copy.bytes(), &note).error() == errc::unknown_type);
  CHECK(std::string(note.text) == "tensor 'w?[31m': dtype \"F33\"");
  const guarded other(safetensors("{\"" + std::string(500, 'n') + "\":{}}"));
  CHECK(read_safetensors(other.bytes(), &note).error() == errc::malformed);
  CHECK(std::string(note.text) ==
        "tensor '" + std::string(80, 'n') + "...' lacks dtype, shape or data_offsets");
}

TEST_CASE("safetensors: an error in the text names what it is in") {
  const auto note_of = [](const std::string& header) {
    error_note note;
    const std::string file = safetensors(header, "xxxx");
    CHECK_FALSE(read_safetensors(std::as_bytes(std::span<const char>(file)), &note).has_value());
    return std::string(note.text);
  };
  CHECK(note_of(R"({"a":{},"w":{"dtype" 1}})").find("in 'w', at byte ") == 0);
  CHECK(note_of(R"({"w":{"dtype":1}})").find("in 'w', dtype, at byte ") == 0);
  CHECK(note_of(R"({"w":{"dtype":"F32","shape":["1"]}})").find("in 'w', shape, at byte ") == 0);
  CHECK(note_of(R"({"w":{"data_offsets":[0]}})").find("in 'w', data_offsets, at byte ") == 0);
  CHECK(note_of(R"({"w":[]})").find("in 'w', at byte ") == 0);
  CHECK(note_of(R"({"__metadata__":{"k":1}})").find("in 'k', which is no string, at byte ") == 0);
  CHECK(note_of(R"({"__metadata__":3})").find("in '__metadata__', at byte ") == 0);
  CHECK(note_of(R"({1})") == "at byte 1 of the header");
}

TEST_CASE("safetensors: metadata that is null is none") {
  for (const char* header :
       {R"({"__metadata__":null,"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
        R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}, "__metadata__" : null })"}) {
    INFO(header);
    read_guarded(read_safetensors, safetensors(header, "xxxx"), [](const auto& file, const auto&) {
      REQUIRE(file.has_value());
      CHECK(file->tensors().size() == 1);
      CHECK(file->metadata().empty());
    });
  }
}

TEST_CASE("safetensors: values of less than a byte are read, rows that begin inside one, too") {
  const std::string file =
      safetensors(R"({"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},)"
                  R"("b":{"dtype":"F6_E2M3","shape":[2,2],"data_offsets":[3,6]},)"
                  R"("c":{"dtype":"F8_E8M0","shape":[2,1],"data_offsets":[6,8]}})",
                  "\x21\xF7\xA2\x81\x30\xFC\x80\x7E");
  read_guarded(read_safetensors, file, [](const auto& result, const auto&) {
    REQUIRE(result.has_value());
    const auto row = [&](const char* name, std::size_t r) {
      const tensor_info* t = result->find(name);
      REQUIRE(t != nullptr);
      std::vector<float> values(t->cols());
      REQUIRE(read_rows_f32(*t, r, {values.data(), 1, values.size()}) == errc::ok);
      return values;
    };
    CHECK(row("a", 0) == std::vector<float>{0.5f, 1.0f, 6.0f});
    CHECK(row("a", 1) == std::vector<float>{-6.0f, 1.0f, -1.0f});
    CHECK(row("b", 1) == std::vector<float>{0.375f, -7.5f});
    CHECK(row("c", 0) == std::vector<float>{2.0f});
    CHECK(row("c", 1) == std::vector<float>{0.5f});
  });
}
