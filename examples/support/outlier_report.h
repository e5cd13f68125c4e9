// SPDX-License-Identifier: Apache-2.0 OR MIT
// The results of nibble_outliers: tables for people, CSV and JSON for programs.
#ifndef NIBBLE_EXAMPLES_SUPPORT_OUTLIER_REPORT_H_
#define NIBBLE_EXAMPLES_SUPPORT_OUTLIER_REPORT_H_

#include <nlohmann/json.hpp>

#include "columns.h"
#include "machine.h"
#include "outlier_methods.h"

namespace examples {

/// A case, or a model's weights, in one format.
struct row {
  outlier_case of;
  bool is_model = false;
  measured_format format;

  [[nodiscard]] std::string text() const { return is_model ? "weights of tinylm" : of.text(); }
};

/// How many codes of int8_channel_f32 are large.
struct code_counts {
  std::string of;
  std::size_t num_codes = 0;
  std::size_t above_15 = 0;
  std::size_t above_63 = 0;

  void add(const dense_matrix& w) {
    const auto q = value_of(nibble::quantize<nibble::int8_channel_f32>(w.view()));
    const auto codes = q.view().sections[0];
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (std::size_t c = 0; c < w.cols; ++c) {
        const int code = static_cast<std::int8_t>(codes.data[r * codes.stride + c]);
        above_15 += std::abs(code) > 15 ? 1 : 0;
        above_63 += std::abs(code) > 63 ? 1 : 0;
      }
    }
    num_codes += w.values.size();
  }
  [[nodiscard]] double percent(std::size_t count) const {
    return 100 * static_cast<double>(count) / static_cast<double>(num_codes);
  }
};

// --- tables ---

using table = std::vector<std::vector<std::string>>;

/// Markdown that is readable as it is. The first row is the head, the first column is text.
inline void print_table(const table& t) {
  std::vector<std::size_t> width(t.front().size());
  for (const auto& line : t) {
    for (std::size_t i = 0; i < line.size(); ++i) width[i] = std::max(width[i], line[i].size());
  }
  for (std::size_t n = 0; n < t.size(); ++n) {
    for (std::size_t i = 0; i < t[n].size(); ++i) {
      if (i == 0) {
        fmt::print("| {:<{}} |", t[n][i], width[i]);
      } else {
        fmt::print(" {:>{}} |", t[n][i], width[i]);
      }
    }
    fmt::print("\n");
    if (n != 0) continue;
    fmt::print("|{}|", std::string(width[0] + 2, '-'));
    for (std::size_t i = 1; i < width.size(); ++i) {
      fmt::print("{}:|", std::string(width[i] + 1, '-'));
    }
    fmt::print("\n");
  }
}

struct shown_way {
  const char* head;
  storage kept;
  method how;
};

inline constexpr std::array<shown_way, 13> shown_ways = {{
    {"plain", storage::plain, method::exact},
    {"largest", storage::singles, method::exact},
    {"of matrix", storage::singles_of_matrix, method::exact},
    {"sensitive", storage::sensitive, method::exact},
    {"columns", storage::columns, method::exact},
    {"by loss", storage::columns_by_loss, method::exact},
    {"int8", storage::plain, method::integer},
    {"int8, sensitive", storage::sensitive, method::integer},
    {"int8, columns", storage::columns, method::integer},
    {"LLM.int8", storage::plain, method::llm_int8},
    {"LLM.int8, sensitive", storage::sensitive, method::llm_int8},
    {"static", storage::plain, method::fixed},
    {"static, columns", storage::columns, method::fixed},
}};

/// What tells most: half a percent, and of weights the middle factor.
inline bool is_telling(const outlier_case& c) {
  if (c.place == outlier_place::nowhere) return true;
  return c.percent == 0.5 && (c.place == outlier_place::x_columns || c.factor == 30);
}

inline void print_products(const std::vector<row>& rows, const compared_format& f, bool all) {
  table t(2);
  t[0] = {std::string(f.name)};
  t[1] = {"bits per weight"};
  for (const row& r : rows) {
    if (r.is_model || r.format.name() != f.name || !(all || is_telling(r.of))) continue;
    const bool is_first = t.size() == 2;
    t.push_back({r.of.text()});
    for (const shown_way& way : shown_ways) {
      const measurement& m = r.format.at(way.kept, way.how);
      if (m.weights == 0) continue;  // no integer path
      if (is_first) {
        t[0].emplace_back(way.head);
        t[1].push_back(fmt::format("{:.2f}", m.bits()));
      }
      t.back().push_back(fixed_text(m.error.db(), 1));
    }
  }
  print_table(t);
  fmt::print("\n");
}

/// The best of what keeps 0.5 % of the weights or columns apart; of a model, single weights.
inline const measurement& best_split(const measured_format& f) {
  const measurement* best = &f.at(storage::singles, method::exact);
  for (const storage s : {storage::singles_of_matrix, storage::sensitive, storage::columns,
                          storage::columns_by_loss}) {
    const measurement& m = f.at(s, method::exact);
    if (m.weights != 0 && m.error.ratio() < best->error.ratio()) best = &m;
  }
  return *best;
}

inline void print_halved(const std::vector<row>& rows, const std::vector<compared_format>& formats,
                         bool all) {
  table t(4, {"format"});
  t[1] = {"plain: bits"};
  t[2] = {"split, halved: bits"};
  t[3] = {"halved is"};
  for (const compared_format& f : formats) {
    t[0].emplace_back(f.name);
    t[3].emplace_back(f.half_text);
  }
  for (std::size_t i = 0; i < formats.size(); ++i) {
    const measured_format& f = rows[i].format;
    t[1].push_back(fmt::format("{:.2f}", f.at(storage::plain, method::exact).bits()));
    t[2].push_back(fmt::format("{:.2f}, {:.2f}", f.at(storage::singles, method::exact).bits(),
                               f.at(storage::halved, method::exact).bits()));
  }
  for (std::size_t i = 0; i < rows.size(); i += formats.size()) {
    if (!(all || rows[i].is_model || is_telling(rows[i].of))) continue;
    t.push_back({rows[i].text()});
    for (std::size_t j = i; j < i + formats.size(); ++j) {
      const measured_format& f = rows[j].format;
      const double plain = f.at(storage::plain, method::exact).error.db();
      const double split = best_split(f).error.db() - plain;
      const double halved = f.at(storage::halved, method::exact).error.db() - plain;
      t.back().push_back(fmt::format("{} {} {}", fixed_text(split, 1), split < halved ? '<' : '>',
                                     fixed_text(halved, 1)));
    }
  }
  print_table(t);
  fmt::print("\n");
}

inline void print_codes(const std::vector<code_counts>& all) {
  table t(1, {"int8_channel_f32", "|code| > 15", "|code| > 63"});
  for (const code_counts& c : all) {
    t.push_back({c.of, fmt::format("{:.1f} %", c.percent(c.above_15)),
                 fmt::format("{:.2f} %", c.percent(c.above_63))});
  }
  print_table(t);
}

// --- files ---

inline void for_each_measurement(
    const std::vector<row>& rows,
    const std::function<void(const row&, const char* kept, const char* how, const measurement&)>&
        fn) {
  for (const row& r : rows) {
    for (std::size_t s = 0; s < storage_names.size(); ++s) {
      for (std::size_t m = 0; m < method_names.size(); ++m) {
        const measurement& at = r.format.at(static_cast<storage>(s), static_cast<method>(m));
        if (at.weights != 0) fn(r, storage_names[s], method_names[m], at);
      }
    }
  }
}

inline std::string csv_of(const std::vector<row>& rows) {
  std::string text =
      "outliers,percent,factor,format,weights,product,path,bits_per_weight,error_percent,sqnr_db,"
      "found\n";
  for_each_measurement(
      rows, [&](const row& r, const char* kept, const char* how, const measurement& m) {
        text += fmt::format(
            "{},{},{},{},{},{},{},{},{},{},{}\n", r.is_model ? "tinylm" : r.of.where(),
            r.of.percent, r.of.factor, r.format.name(), kept, how, m.path, fixed_text(m.bits(), 4),
            short_text(100 * m.error.ratio(), 5), fixed_text(m.error.db(), 3), m.found);
      });
  return text;
}

inline nlohmann::ordered_json json_of(const product_shape& s, std::uint64_t num_seeds,
                                      const std::vector<row>& rows,
                                      const std::vector<code_counts>& codes) {
  nlohmann::ordered_json j;
  j["format_version"] = 1;
  j["nibble"] = NIBBLE_VERSION_STRING;
  j["cpu"] = cpu_name();
  j["target"] = nibble::current_target();
  j["shape"] = {{"m", s.m}, {"n", s.n}, {"k", s.k}, {"seeds", num_seeds}};
  auto& products = j["errors"] = nlohmann::ordered_json::array();
  for_each_measurement(rows,
                       [&](const row& r, const char* kept, const char* how, const measurement& m) {
                         products.push_back({{"outliers", r.is_model ? "tinylm" : r.of.where()},
                                             {"percent", r.of.percent},
                                             {"factor", r.of.factor},
                                             {"format", r.format.name()},
                                             {"weights", kept},
                                             {"product", how},
                                             {"path", m.path},
                                             {"bits_per_weight", m.bits()},
                                             {"error", m.error.ratio()},
                                             {"sqnr_db", m.error.db()},
                                             {"found", m.found}});
                       });
  auto& shares = j["int8_codes"] = nlohmann::ordered_json::array();
  for (const code_counts& c : codes) {
    shares.push_back({{"of", c.of},
                      {"percent_above_15", c.percent(c.above_15)},
                      {"percent_above_63", c.percent(c.above_63)}});
  }
  return j;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_OUTLIER_REPORT_H_
