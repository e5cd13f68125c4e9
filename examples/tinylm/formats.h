// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which matrix of a model is packed in which format.
#ifndef NIBBLE_EXAMPLES_TINYLM_FORMATS_H_
#define NIBBLE_EXAMPLES_TINYLM_FORMATS_H_

#include <array>
#include <vector>

#include "failure.h"
#include "nibble/any.h"
#include "support/names.h"

namespace tinylm {

/// Formats of the catalogue that match a pattern, but that this libnibble was built without.
[[nodiscard]] inline std::vector<std::string_view> formats_not_built(const std::string& pattern) {
  std::vector<std::string_view> names;
  for (const std::string_view name : nibble::format_names()) {
    if (examples::matches(pattern, name) && nibble::find_format(name) == nullptr) {
      names.push_back(name);
    }
  }
  return names;
}

[[nodiscard]] inline failure unknown_format(const std::string& name) {
  if (!formats_not_built(name).empty()) {
    return {wrong_usage, fmt::format("'{0}' is not in this build; CMake's -DNIBBLE_FORMATS={0},... "
                                     "adds it, and so does `sh cmake/bootstrap.sh tinylm`",
                                     examples::printable(name))};
  }
  std::array<std::string_view, 3> near;
  const std::size_t n = nibble::nearest_names(name, nibble::format_names(), near);
  std::string text = fmt::format("no format is called '{}'; near it:", examples::printable(name));
  for (std::size_t i = 0; i < n; ++i) text.append(i == 0 ? " " : ", ").append(near[i]);
  return {wrong_usage, text};
}

[[nodiscard]] inline const nibble::any_format& format_named(const std::string& name) {
  const nibble::any_format* f = nibble::find_format(name);
  if (f == nullptr) throw unknown_format(name);
  return *f;
}

/// Formats whose names match any of the patterns (* and ?), in the catalogue's order.
[[nodiscard]] inline std::vector<const nibble::any_format*> formats_like(
    const std::vector<std::string>& patterns) {
  std::vector<bool> chosen(nibble::catalogue().size(), patterns.empty());
  std::vector<const nibble::any_format*> formats;
  for (const std::string& pattern : patterns) {
    bool found = false;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (!examples::matches(pattern, nibble::catalogue()[i].name)) continue;
      chosen[i] = found = true;
    }
    if (!found) throw unknown_format(pattern);
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i]) formats.push_back(&nibble::catalogue()[i]);
  }
  return formats;
}

/// How the matrices of a model are packed: one format for all, others for those that match.
struct packing {
  struct exception {
    std::string pattern;  ///< of names without ".weight": "lm_head", "*.down_proj"
    const nibble::any_format* format = nullptr;
  };
  const nibble::any_format* format = nullptr;
  std::vector<exception> exceptions;  ///< the first that matches counts
  double outliers = 0;                ///< share of weights of every row that are kept apart

  [[nodiscard]] const nibble::any_format& format_of(std::string_view matrix) const {
    for (const exception& e : exceptions) {
      if (examples::matches(e.pattern, matrix)) return *e.format;
    }
    return *format;
  }
};

/// "lm_head=int8_channel_f32" and so on.
[[nodiscard]] inline std::vector<packing::exception> parse_exceptions(
    const std::vector<std::string>& texts) {
  std::vector<packing::exception> exceptions;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw failure{wrong_usage, fmt::format("--format-for '{}': PATTERN=FORMAT is expected",
                                             examples::printable(text))};
    }
    exceptions.push_back({text.substr(0, equals), &format_named(text.substr(equals + 1))});
  }
  return exceptions;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_FORMATS_H_
