// SPDX-License-Identifier: Apache-2.0 OR MIT
// The rows of `tinylm eval`: as a table, as JSON, as CSV.
#ifndef NIBBLE_EXAMPLES_TINYLM_REPORT_H_
#define NIBBLE_EXAMPLES_TINYLM_REPORT_H_

#include <cstdio>
#include <nlohmann/json.hpp>

#include "evaluate.h"
#include "support/columns.h"
#include "support/machine.h"

namespace tinylm {

struct eval_row {
  std::string format;  ///< or what was asked for: "packed file", "int4_g32_f16 + exceptions"
  std::string path;
  model::size_info size;
  quality found;
  std::vector<speed> speeds;
  double load_seconds = 0;

  [[nodiscard]] double matrix_bits() const {
    return 8.0 * static_cast<double>(size.matrix_bytes) / static_cast<double>(size.matrix_weights);
  }
  [[nodiscard]] double all_bits() const {
    return 8.0 * static_cast<double>(size.all_bytes) / static_cast<double>(size.all_weights);
  }
  [[nodiscard]] double megabytes() const { return 1e-6 * static_cast<double>(size.all_bytes); }
};

struct eval_report {
  std::string model;
  std::string text;
  std::string reference;  ///< how the first row was computed
  std::size_t windows = 0;
  std::size_t window_bytes = 0;
  std::vector<std::size_t> threads;  ///< that speeds were measured with; empty: not measured
  std::vector<eval_row> rows;        ///< the first one is the unquantized model

  /// Loss against the first row, in percent of its bits per byte.
  [[nodiscard]] double loss(const eval_row& r) const {
    return 100 * (r.found.bits_per_byte / rows.front().found.bits_per_byte - 1);
  }
};

inline void print_table(std::FILE* out, const eval_report& report) {
  fmt::print(out, "{}: {} windows of {} bytes of {}, {}, {}\n", report.model, report.windows,
             report.window_bytes, report.text, examples::cpu_name(), nibble::current_target());
  fmt::print(out, "reference: {}\n\n", report.reference);
  using examples::fixed_text;
  std::vector<std::size_t> widths = {27, 10, 6, 7, 7, 9, 8, 9, 7};
  std::vector<std::string> head = {"format", "path",   "bits", "all",  "MB",
                                   "bits/B", "loss %", "KL",   "top-1"};
  for (const std::size_t t : report.threads) {
    widths.insert(widths.end(), {9, 8});
    head.push_back(fmt::format("pre/s {}", t));
    head.push_back(fmt::format("dec/s {}", t));
  }
  widths.push_back(8);
  head.emplace_back("load ms");
  examples::columns table(widths, 2);
  table.add(head);
  for (const eval_row& r : report.rows) {
    std::vector<std::string> cells = {r.format,
                                      r.path,
                                      fixed_text(r.matrix_bits(), 2),
                                      fixed_text(r.all_bits(), 2),
                                      fixed_text(r.megabytes(), 2),
                                      fixed_text(r.found.bits_per_byte, 5),
                                      fixed_text(report.loss(r), 2),
                                      fixed_text(r.found.kl, 5),
                                      fixed_text(100 * r.found.top1, 2)};
    for (const speed& s : r.speeds) {
      cells.push_back(fixed_text(s.prefill, 0));
      cells.push_back(fixed_text(s.decode, 0));
    }
    cells.push_back(fixed_text(1e3 * r.load_seconds, 1));
    table.add(std::move(cells));
  }
  fmt::print(out, "{}", table.text());
  fmt::print(out,
             "\nbits: per weight of the packed matrices, scales included; all: with embedding and\n"
             "norms. MB: 10^6 bytes of all. bits/B: bits per byte of the text, less is better.\n"
             "loss: of bits/B, KL: nats per byte, top-1: % of bytes, against the reference.\n");
  if (!report.threads.empty()) {
    fmt::print(out, "pre/s, dec/s: tokens per second in prompts and one by one, with N threads.\n");
  }
}

[[nodiscard]] inline nlohmann::ordered_json to_json(const eval_report& report) {
  using json = nlohmann::ordered_json;
  json j;
  j["tool"] = "tinylm eval";
  j["format_version"] = 1;
  j["version"] = NIBBLE_VERSION_STRING;
  j["machine"] = {{"cpu", examples::cpu_name()},
                  {"target", nibble::current_target()},
                  {"compiler", examples::compiler_name()}};
  j["model"] = report.model;
  j["text"] = report.text;
  j["reference"] = report.reference;
  j["windows"] = report.windows;
  j["window_bytes"] = report.window_bytes;
  j["rows"] = json::array();
  for (const eval_row& r : report.rows) {
    json row;
    row["format"] = r.format;
    row["path"] = r.path;
    row["matrix_bytes"] = r.size.matrix_bytes;
    row["matrix_bits_per_weight"] = r.matrix_bits();
    row["bytes"] = r.size.all_bytes;
    row["bits_per_weight"] = r.all_bits();
    row["bits_per_byte"] = r.found.bits_per_byte;
    row["loss_percent"] = report.loss(r);
    row["kl_nats"] = r.found.kl;
    row["top1_agreement"] = r.found.top1;
    row["load_seconds"] = r.load_seconds;
    row["speed"] = json::array();
    for (const speed& s : r.speeds) {
      row["speed"].push_back({{"threads", s.threads},
                              {"prefill_tokens_per_second", s.prefill},
                              {"decode_tokens_per_second", s.decode}});
    }
    j["rows"].push_back(std::move(row));
  }
  return j;
}

/// One line per row, names of columns first.
[[nodiscard]] inline std::string to_csv(const eval_report& report) {
  std::string text =
      "format,path,matrix_bits_per_weight,bits_per_weight,megabytes,bits_per_byte,loss_percent,"
      "kl_nats,top1_agreement,load_seconds";
  for (const std::size_t t : report.threads) {
    text += fmt::format(",prefill_per_second_{0},decode_per_second_{0}", t);
  }
  text += '\n';
  for (const eval_row& r : report.rows) {
    text += fmt::format("{},{},{:.4f},{:.4f},{:.6f},{:.6f},{:.4f},{:.6g},{:.6f},{:.6f}", r.format,
                        r.path, r.matrix_bits(), r.all_bits(), r.megabytes(), r.found.bits_per_byte,
                        report.loss(r), r.found.kl, r.found.top1, r.load_seconds);
    for (const speed& s : r.speeds) text += fmt::format(",{:.1f},{:.1f}", s.prefill, s.decode);
    text += '\n';
  }
  return text;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_REPORT_H_
