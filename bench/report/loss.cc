// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reading tables of losses.
#include "report/loss.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <sstream>
#include <vector>

#include "report/fields.h"
#include "support/names.h"

namespace report {

namespace {

using nlohmann::json;

loss_table read_compare(const json& j, const std::string& name) {
  loss_table to;
  to.title = "SQNR of the weights, dB";
  if (!j.contains("formats") || !j["formats"].is_array()) {
    throw bad_input(name + ": 'formats' is no array: not from nibble_compare --json");
  }
  std::size_t number = 0;
  for (const json& one : j["formats"]) {
    const fields in(one, fmt::format("{}: format {}", name, ++number));
    const std::string format = in.text("name");
    if (in.has("sqnr_db")) to.of[format] = in.number("sqnr_db", -1000);  // null: nothing is lost
  }
  return to;
}

// No column of `tinylm eval --csv` quotes anything.
std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) {
    if (!cell.empty() && cell.back() == '\r') cell.pop_back();
    cells.push_back(cell);
  }
  return cells;
}

std::size_t column_of(const std::vector<std::string>& heading, const char* column,
                      const std::string& name) {
  const auto at = std::find(heading.begin(), heading.end(), column);
  if (at == heading.end()) {
    throw bad_input(
        fmt::format("{}:1: no column '{}': neither JSON of nibble_compare nor CSV of "
                    "tinylm eval",
                    name, column));
  }
  return static_cast<std::size_t>(at - heading.begin());
}

loss_table read_tinylm(const std::string& text, const std::string& name) {
  loss_table to;
  to.title = "loss of bits per byte, %";
  to.more_is_better = false;
  to.logarithmic = true;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  const std::vector<std::string> heading = split(line);
  const std::size_t format = column_of(heading, "format", name);
  const std::size_t path = column_of(heading, "path", name);
  const std::size_t loss = column_of(heading, "loss_percent", name);
  for (std::size_t number = 2; std::getline(lines, line); ++number) {
    if (line.empty()) continue;
    const std::vector<std::string> cells = split(line);
    const std::string where = fmt::format("{}:{}", name, number);
    if (cells.size() != heading.size()) {
      throw bad_input(
          fmt::format("{}: {} cells, the heading has {}", where, cells.size(), heading.size()));
    }
    if (cells[path] != "automatic") continue;
    double value = 0;
    const char* end = cells[loss].data() + cells[loss].size();
    const auto [stop, error] = std::from_chars(cells[loss].data(), end, value);
    if (error != std::errc() || stop != end || !std::isfinite(value)) {
      throw bad_input(where + ": loss_percent is not a number");
    }
    if (value > 0) to.of[cells[format]] = value;  // noise of the text may make it a gain
  }
  return to;
}

}  // namespace

loss_table read_loss(const std::string& path) {
  const std::string text = read_file(path);
  const std::string name = examples::printable(path);
  const json j = json::parse(text, nullptr, false);
  loss_table to = j.is_object() ? read_compare(j, name) : read_tinylm(text, name);
  if (to.of.empty()) throw bad_input(name + ": no format with a loss");
  to.file = name;
  return to;
}

}  // namespace report
