// SPDX-License-Identifier: Apache-2.0 OR MIT
// The JSON cursor and the UTF-8 check: what RFC 8259 and Unicode allow, and nothing else.
#include "nibble/io/detail/json.h"

#include <string>

#include "nibble/io/detail/utf8.h"
#include "support/catch.h"

using namespace nibble;
using nibble::detail::json_reader;
using nibble::detail::json_string;

namespace {

errc skip(std::string_view text) {
  json_reader json(text);
  json.skip_value() && json.end();
  return json.error();
}

std::string unescaped(std::string_view text) {
  json_reader json(text);
  json_string string;
  REQUIRE(json.string(string));
  REQUIRE(json.end());
  std::string out;
  nibble::detail::unescape(string, [&out](char c) { out += c; });
  CHECK(nibble::detail::equals(string, out));
  CHECK_FALSE(nibble::detail::equals(string, out + "x"));
  return out;
}

errc number_error(std::string_view text) {
  json_reader json(text);
  std::uint64_t n = 0;
  json.number(n) && json.end();
  return json.error();
}

}  // namespace

TEST_CASE("json: every valid kind of value is passed over") {
  for (const char* text : {"0",
                           "-0",
                           "10",
                           "1.5",
                           "-1.5e10",
                           "1E+2",
                           "0.0e-0",
                           "true",
                           "false",
                           "null",
                           "\"\"",
                           "\"a\\n\"",
                           "[]",
                           "{}",
                           "[ ]",
                           "{ }",
                           "[1,2]",
                           "{\"a\":1,\"b\":[{},[],\"\"]}",
                           " \t\r\n[ 1 , { \"a\" : [ ] } ] \n",
                           "[[[[]]]]",
                           "\"\xC3\xA9\""}) {
    INFO(text);
    CHECK(skip(text) == errc::ok);
  }
}

TEST_CASE("json: what RFC 8259 does not allow is malformed") {
  for (const char* text : {"",
                           " ",
                           "01",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "1e+",
                           "0x10",
                           "NaN",
                           "Infinity",
                           "tru",
                           "truex",
                           "nul",
                           "'a'",
                           "\"a",
                           "\"\\",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12G4\"",
                           "\"\t\"",
                           "\"\\ud800\"",
                           "\"\\ud800x\"",
                           "\"\\ud800\\n\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "[",
                           "]",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{",
                           "}",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{\"a\":1,}",
                           "{,}",
                           "{a:1}",
                           "{1:1}",
                           "{\"a\" 1}",
                           "[}",
                           "{]",
                           "1 1",
                           "// no\n1",
                           "[1]]"}) {
    INFO(text);
    CHECK(skip(text) == errc::malformed);
  }
  CHECK(skip(std::string_view("\0", 1)) == errc::malformed);
  CHECK(skip(std::string_view("\"\0\"", 3)) == errc::malformed);
}

TEST_CASE("json: every proper prefix of a value is malformed") {
  const std::string_view text = R"({"a":[1.5e3,"\u00e9\ud83d\ude00",{"b":null}],"c":true})";
  REQUIRE(skip(text) == errc::ok);
  for (std::size_t n = 0; n < text.size(); ++n) CHECK(skip(text.substr(0, n)) == errc::malformed);
}

TEST_CASE("json: nesting is bounded, and deep nesting costs no stack") {
  const auto nested = [](std::size_t depth, const char* open, const char* close) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += open;
    text += "0";
    for (std::size_t i = 0; i < depth; ++i) text += close;
    return text;
  };
  CHECK(skip(nested(32, "[", "]")) == errc::ok);
  CHECK(skip(nested(33, "[", "]")) == errc::limit_exceeded);
  CHECK(skip(nested(32, "{\"a\":", "}")) == errc::ok);
  CHECK(skip(nested(33, "{\"a\":", "}")) == errc::limit_exceeded);
  CHECK(skip(std::string(1'000'000, '[')) == errc::limit_exceeded);
}

TEST_CASE("json: strings mean what their escapes say") {
  CHECK(unescaped(R"("")") == "");
  CHECK(unescaped(R"("plain")") == "plain");
  CHECK(unescaped(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(unescaped(R"("\u0041\u00e9\u20AC")") == "A\xC3\xA9\xE2\x82\xAC");
  CHECK(unescaped(R"("\ud83d\ude00")") == "\xF0\x9F\x98\x80");
  CHECK(unescaped(R"("\uDBFF\uDFFF")") == "\xF4\x8F\xBF\xBF");
  CHECK(unescaped(R"("a\u0000b")") == std::string("a\0b", 3));
}

TEST_CASE("json: numbers are whole, not negative and fit 64 bits") {
  json_reader json("[0, 18446744073709551615]");
  std::uint64_t n = 1;
  CHECK((json.expect('[') && json.number(n)));
  CHECK(n == 0);
  CHECK((json.expect(',') && json.number(n) && json.expect(']') && json.end()));
  CHECK(n == ~std::uint64_t{0});
  CHECK(number_error("18446744073709551616") == errc::overflow);
  CHECK(number_error("99999999999999999999999") == errc::overflow);
  for (const char* text : {"-1", "1.0", "1e3", "01", "\"1\"", "", "true"}) {
    INFO(text);
    CHECK(number_error(text) == errc::malformed);
  }
}

TEST_CASE("json: after the first error nothing more is read") {
  json_reader json("x[1]");
  json_string string;
  std::uint64_t n = 0;
  bool first = true;
  CHECK_FALSE(json.expect('['));
  CHECK_FALSE(json.take('x'));
  CHECK_FALSE(json.string(string));
  CHECK_FALSE(json.number(n));
  CHECK_FALSE(json.next_item(first));
  CHECK_FALSE(json.skip_value());
  CHECK_FALSE(json.end());
  CHECK(json.error() == errc::malformed);
}

TEST_CASE("utf-8: exactly the well-formed sequences are accepted") {
  const auto valid = [](std::initializer_list<int> bytes) {
    std::string s;
    for (const int b : bytes) s += static_cast<char>(b);
    return nibble::detail::valid_utf8(s);
  };
  CHECK(valid({}));
  CHECK(valid({0x00, 0x7F}));
  // Every code point, encoded by hand, and every surrogate.
  for (int p = 0x80; p < 0x800; ++p) CHECK(valid({0xC0 | p >> 6, 0x80 | (p & 63)}));
  bool all = true;
  for (int p = 0x800; p < 0x10000; ++p) {
    const bool surrogate = p >= 0xD800 && p < 0xE000;
    all = all && valid({0xE0 | p >> 12, 0x80 | (p >> 6 & 63), 0x80 | (p & 63)}) == !surrogate;
  }
  for (int p = 0x10000; p < 0x140000; ++p) {
    all = all && valid({0xF0 | p >> 18, 0x80 | (p >> 12 & 63), 0x80 | (p >> 6 & 63),
                        0x80 | (p & 63)}) == (p < 0x110000);
  }
  CHECK(all);
  // Overlong, stray, cut and impossible bytes.
  CHECK_FALSE(valid({0xC0, 0x80}));
  CHECK_FALSE(valid({0xC1, 0xBF}));
  CHECK_FALSE(valid({0xE0, 0x9F, 0xBF}));
  CHECK_FALSE(valid({0xF0, 0x8F, 0xBF, 0xBF}));
  CHECK_FALSE(valid({0x80}));
  CHECK_FALSE(valid({0xC3}));
  CHECK_FALSE(valid({0xE2, 0x82}));
  CHECK_FALSE(valid({0xF0, 0x9F, 0x98}));
  CHECK_FALSE(valid({0xC3, 0x41}));
  CHECK_FALSE(valid({0xE2, 0x82, 0x41}));
  CHECK_FALSE(valid({0xF8, 0x88, 0x80, 0x80, 0x80}));
  CHECK_FALSE(valid({0xFF}));
}
