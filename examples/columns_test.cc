// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tables of the tools: columns stand apart, and NaN has no sign.
#include "support/columns.h"

#include <limits>
#include <sstream>

#include "support/catch.h"
#include "support/report.h"

namespace {

using namespace examples;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

std::string printed(const run_info& run, const std::vector<format_row>& rows) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  print_table(file, run, rows, false);
  std::rewind(file);
  std::string text(1 << 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

}  // namespace

TEST_CASE("numbers are written without a sign of NaN") {
  CHECK(fixed_text(not_a_number, 1) == "nan");
  CHECK(fixed_text(-not_a_number, 1) == "nan");
  CHECK(short_text(-not_a_number, 2) == "nan");
  CHECK(fixed_text(-inf, 1) == "-inf");
  CHECK(fixed_text(-1.25, 1) == "-1.2");
  CHECK(short_text(0.00058, 2) == "0.00058");
}

TEST_CASE("columns keep their usual width, and grow where a cell needs more") {
  columns usual({8, 4, 5}, 1);
  usual.add({"name", "a", "b"});
  usual.add_title("title");
  usual.add({"x", "18.0", "0.58"});
  CHECK(usual.text() == "name       a    b\ntitle -----------\nx       18.0 0.58\n");

  columns wide({8, 4, 5}, 1);
  wide.add({"a_longer_name", "18.0", "0.00058"});
  wide.add({"x", "1", "2"});
  CHECK(wide.text() == "a_longer_name 18.0 0.00058\nx                1       2\n");
}

TEST_CASE("nibble_compare's columns stand apart for every magnitude") {
  const double values[] = {0,   5.8e-5, 1.234567e-38, 1e-9, 0.1,   12345.678,
                           1e8, 1e21,   3.4e38,       inf,  -1e-5, not_a_number};
  any_format format;
  format.name = "uint4_channel_bf16_z";
  run_info run;
  run.weights.resize(1);
  static const nibble::tensor_info tensor;
  run.weights[0].tensor = &tensor;
  std::vector<format_row> rows;
  for (const double v : values) {
    for (const std::size_t bytes : {std::size_t{58}, std::size_t{580}, std::size_t{123456789012}}) {
      format_row r;
      r.format = &format;
      r.bytes = bytes;
      r.errors.count = 1;
      r.errors.signal = 1;
      r.errors.noise = r.errors.abs_error = r.errors.max_error = v;
      r.quantize_gbps = r.dequantize_gbps = v;
      rows.push_back(r);
    }
  }
  std::istringstream lines(printed(run, rows));
  std::size_t found = 0;
  std::size_t width = 0;
  for (std::string line; std::getline(lines, line);) {
    CHECK(line.find("-nan") == std::string::npos);
    if (line.rfind(format.name, 0) != 0) continue;
    INFO(line);
    CHECK(words_of(line).size() == 8);
    if (found++ > 0) CHECK(line.size() == width);
    width = line.size();
  }
  CHECK(found == rows.size());
  CHECK(printed(run, rows).find("nan: some weights are read back as NaN") != std::string::npos);
  rows.resize(3);  // those without an error
  CHECK(printed(run, rows).find("nan") == std::string::npos);
}
