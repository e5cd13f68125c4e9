// SPDX-License-Identifier: Apache-2.0 OR MIT
// Members of a JSON object from outside, each checked for its type and range.
#ifndef NIBBLE_BENCH_REPORT_FIELDS_H_
#define NIBBLE_BENCH_REPORT_FIELDS_H_

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "report/measured.h"

namespace report {

class fields {
 public:
  /// @param where  what messages begin with: "run.jsonl:3"
  fields(const nlohmann::json& object, std::string where)
      : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("not a JSON object");
  }

  [[nodiscard]] bool has(const char* key) const {
    return object_.contains(key) && !object_[key].is_null();
  }
  [[nodiscard]] std::string text(const char* key) const {
    const nlohmann::json& value = at(key);
    if (!value.is_string()) fail(std::string("'") + key + "' is not a string");
    return value.get<std::string>();
  }
  [[nodiscard]] std::string text_or_empty(const char* key) const {
    return has(key) ? text(key) : std::string();
  }
  [[nodiscard]] bool flag(const char* key) const {
    if (!has(key)) return false;
    if (!object_[key].is_boolean()) fail(std::string("'") + key + "' is neither true nor false");
    return object_[key].get<bool>();
  }
  /// A finite number from `least` on.
  [[nodiscard]] double number(const char* key, double least) const {
    const nlohmann::json& value = at(key);
    if (!value.is_number()) fail(std::string("'") + key + "' is not a number");
    const double number = value.get<double>();
    if (!std::isfinite(number) || number < least || number > largest) {
      fail(std::string("'") + key + "' is " + value.dump() + ", which cannot be");
    }
    return number;
  }
  [[nodiscard]] double number_or(const char* key, double least, double otherwise) const {
    return has(key) ? number(key, least) : otherwise;
  }
  /// Above zero.
  [[nodiscard]] double positive(const char* key) const {
    return number(key, std::numeric_limits<double>::min());
  }
  [[nodiscard]] std::size_t count(const char* key) const {
    const double value = number(key, 1);
    if (value != std::floor(value) || value > 1e12) {
      fail(std::string("'") + key + "' is " + at(key).dump() + ", not a number of things");
    }
    return static_cast<std::size_t>(value);
  }

  [[noreturn]] void fail(const std::string& why) const { throw bad_input(where_ + ": " + why); }

 private:
  static constexpr double largest = 1e30;  // what sums and products of a few still hold

  [[nodiscard]] const nlohmann::json& at(const char* key) const {
    if (!object_.contains(key)) fail(std::string("'") + key + "' is missing");
    if (object_[key].is_null()) fail(std::string("'") + key + "' is null");
    return object_[key];
  }

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_FIELDS_H_
