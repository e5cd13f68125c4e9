// SPDX-License-Identifier: Apache-2.0 OR MIT
// The results of nibble_compare as a table for people and as one JSON document for programs.
#ifndef NIBBLE_EXAMPLES_SUPPORT_REPORT_H_
#define NIBBLE_EXAMPLES_SUPPORT_REPORT_H_

#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "columns.h"
#include "machine.h"
#include "measure.h"

namespace examples {

/// What was asked and found, apart from the formats' rows.
struct run_info {
  std::string cpu;
  std::string target;
  std::vector<std::string> targets;  ///< all that this CPU and program have
  std::string rule;
  std::vector<std::string> files;
  std::vector<weight> weights;
  std::vector<skipped_tensor> skipped;
  std::size_t speed_bytes = 0;  ///< floats of the matrix that speed was measured on; 0: it was not
  std::size_t cache_bytes = 0;  ///< last-level cache, 0: unknown
  memory_speed memory;

  [[nodiscard]] std::size_t num_values() const {
    std::size_t n = 0;
    for (const weight& w : weights) n += w.size();
    return n;
  }
  /// Whether the speed matrix lies in memory rather than in a cache.
  [[nodiscard]] bool in_memory() const { return speed_bytes >= 2 * cache_bytes; }
};

namespace detail {

/// Formats that differ little in size stand together.
inline int bits_group(double bits) {
  if (bits >= 10) return 16;
  return bits >= 7 ? 8 : bits < 2 ? 1 : static_cast<int>(bits);
}

inline std::string group_title(int group) {
  if (group == 16) return "no quantization";
  if (group == 8) return "about 8 bits per weight";
  return group == 1 ? "less than 2 bits per weight"
                    : fmt::format("{} to {} bits per weight", group, group + 1);
}

inline std::string reasons_of(const std::vector<skipped_tensor>& skipped) {
  std::map<std::string, std::size_t> counts;
  for (const skipped_tensor& s : skipped) ++counts[s.reason];
  std::string text;
  for (const auto& [reason, count] : counts) {
    text += fmt::format("{}{} with {}", text.empty() ? "" : ", ", count, reason);
  }
  return text;
}

inline std::string megabytes(std::size_t bytes) {
  const double mb = 1e-6 * static_cast<double>(bytes);
  return mb < 0.1 ? short_text(mb, 2) : fixed_text(mb, 2);
}

inline std::string gbps(double value) {
  return value == 0 ? "-" : fixed_text(value, value < 0.995 ? 2 : 1);
}

inline std::string sqnr_text(const nibble::error_metrics& errors) {
  return errors.noise == 0 ? "exact" : fixed_text(errors.sqnr(), 1);
}

inline void print_head(std::FILE* out, const run_info& run) {
  fmt::print(out, "nibble {} on {}, target {}, one thread\n", NIBBLE_VERSION_STRING, run.cpu,
             run.target);
  for (const std::string& file : run.files) fmt::print(out, "{}\n", file);
  fmt::print(out, "{} weight {}, {} values, {} MB as float32", run.weights.size(),
             run.weights.size() == 1 ? "matrix" : "matrices", run.num_values(),
             megabytes(4 * run.num_values()));
  if (!run.skipped.empty()) {
    fmt::print(out, "; {} {} left out: {}", run.skipped.size(),
               run.skipped.size() == 1 ? "tensor" : "tensors", reasons_of(run.skipped));
  }
  fmt::print(out, "\n");
  std::size_t decoded = 0;
  for (const weight& w : run.weights) decoded += w.stored_as != nullptr ? 1 : 0;
  if (decoded != 0) {
    fmt::print(out,
               "{} of them are quantized in the file: errors are against what they decode to\n",
               decoded);
  }
  if (run.speed_bytes != 0) {
    fmt::print(
        out,
        "speed: {:.0f} MiB of floats {}; a read makes {:.1f} GB/s, a write {:.1f}, a copy {:.1f}\n",
        static_cast<double>(run.speed_bytes) / 1048576,
        run.in_memory() ? "in memory" : "partly in cache", run.memory.read, run.memory.write,
        run.memory.copy);
  }
}

inline void print_rows(std::FILE* out, const std::vector<format_row>& rows, bool grouped) {
  columns t({25, 6, 7, 6, 8, 8, 9, 11}, 1);
  t.add({"format", "bits/", "size", "SQNR", "largest", "mean", "quantize", "dequantize"});
  t.add({"", "weight", "MB", "dB", "error", "error", "GB/s", "GB/s"});
  int group = -1;
  for (const format_row& row : rows) {
    if (grouped && bits_group(row.bits()) != group) {
      group = bits_group(row.bits());
      t.add_title(group_title(group));
    }
    t.add({std::string(row.format->name), fixed_text(row.bits(), 2), megabytes(row.bytes),
           sqnr_text(row.errors), short_text(row.errors.max_error, 2),
           short_text(row.errors.mean_error(), 2), gbps(row.quantize_gbps),
           gbps(row.dequantize_gbps)});
  }
  fmt::print(out, "\n{}", t.text());
}

}  // namespace detail

/// The table. `grouped`: rows are sorted by size, with a line between sizes.
inline void print_table(std::FILE* out, const run_info& run, const std::vector<format_row>& rows,
                        bool grouped) {
  detail::print_head(out, run);
  detail::print_rows(out, rows, grouped);
  fmt::print(
      out,
      "\nbits/weight and size include the scales. SQNR: power of the weights over that of the\n"
      "error; 6 dB more halve the error. Errors: |weight - what is read back|. GB/s: float32\n"
      "bytes read (quantize) or written (dequantize) in a second, by 10^9.\n");
  if (std::any_of(rows.begin(), rows.end(),
                  [](const format_row& r) { return std::isnan(r.errors.max_error); })) {
    fmt::print(
        out,
        "nan: some weights are read back as NaN or as infinities, so errors have no number.\n");
  }
  for (const format_row& row : rows) {
    const nibble::quantize_report& r = row.report;
    if (r.scale_overflow + r.scale_underflow != 0) {
      fmt::print(out, "{}: {} scales too large and {} too small for their type\n", row.format->name,
                 r.scale_overflow, r.scale_underflow);
    }
  }
}

/// Everything, every tensor of every format included. What has no number (an SQNR without error, a
/// speed not measured) is null.
inline nlohmann::ordered_json to_json(const run_info& run, const std::vector<format_row>& rows) {
  using json = nlohmann::ordered_json;
  const auto speed = [](double gbps) { return gbps == 0 ? json(nullptr) : json(gbps); };
  const auto figures = [](json& j, const nibble::error_metrics& e, std::size_t bytes) {
    j["bytes"] = bytes;
    j["bits_per_weight"] = 8.0 * static_cast<double>(bytes) / static_cast<double>(e.count);
    j["sqnr_db"] = std::isfinite(e.sqnr()) ? json(e.sqnr()) : json(nullptr);
    j["max_error"] = e.max_error;
    j["mean_error"] = e.mean_error();
    j["rms_error"] = e.rms_error();
    j["cosine"] = e.cosine();
  };
  json j;
  j["tool"] = "nibble_compare";
  j["format_version"] = 1;
  j["version"] = NIBBLE_VERSION_STRING;
  j["machine"] = {{"cpu", run.cpu},
                  {"target", run.target},
                  {"targets", run.targets},
                  {"compiler", compiler_name()},
                  {"threads", 1}};
  j["rule"] = run.rule;
  j["files"] = run.files;
  j["num_values"] = run.num_values();
  j["speed"] = {{"float_bytes", run.speed_bytes},
                {"in_memory", run.speed_bytes != 0 && run.in_memory()},
                {"read_gbps", speed(run.memory.read)},
                {"write_gbps", speed(run.memory.write)},
                {"copy_gbps", speed(run.memory.copy)}};
  j["skipped"] = json::array();
  for (const skipped_tensor& s : run.skipped) {
    j["skipped"].push_back({{"file", run.files[s.file]}, {"tensor", s.name}, {"reason", s.reason}});
  }
  j["formats"] = json::array();
  for (const format_row& row : rows) {
    json f;
    f["name"] = row.format->name;
    figures(f, row.errors, row.bytes);
    f["quantize_gbps"] = speed(row.quantize_gbps);
    f["dequantize_gbps"] = speed(row.dequantize_gbps);
    f["scale_overflows"] = row.report.scale_overflow;
    f["scale_underflows"] = row.report.scale_underflow;
    f["tensors"] = json::array();
    for (const tensor_row& t : row.tensors) {
      const weight& w = run.weights[t.weight];
      json one = {
          {"file", run.files[w.file]}, {"tensor", w.name}, {"rows", w.rows()}, {"cols", w.cols()}};
      one["decoded_from"] = w.stored_as != nullptr ? json(w.stored_as->name) : json(nullptr);
      figures(one, t.errors, t.bytes);
      f["tensors"].push_back(std::move(one));
    }
    j["formats"].push_back(std::move(f));
  }
  return j;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_REPORT_H_
