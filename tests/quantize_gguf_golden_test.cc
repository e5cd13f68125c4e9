// SPDX-License-Identifier: Apache-2.0 OR MIT
// GGUF block types against libggml: the same bytes from quantize(), the same floats back.
#include "support/cases.h"
#include "support/checks.h"
#include "support/golden.h"

using namespace nibble_test;
using nibble::scale_rule;

namespace {

constexpr const char* inputs[] = {"normal",   "weights",  "heavy", "laplace", "outliers", "uniform",
                                  "positive", "negative", "zeros", "const",   "constneg", "spike",
                                  "tiny",     "tinier",   "big",   "ternary", "grid",     "ties"};
constexpr std::size_t rows = 2;
constexpr std::size_t cols = 512;

/// Types whose bytes quantize() makes: by a plain rule, or by the original's search.
constexpr const char* all_types[] = {"q4_0",  "q4_1",       "q5_0",       "q5_1",   "q8_0",
                                     "q8_1",  "q8_K",       "q2_K",       "q3_K",   "q4_K",
                                     "q5_K",  "q6_K",       "q1_0",       "q2_0",   "tq1_0",
                                     "tq2_0", "mxfp4_gguf", "nvfp4_gguf", "iq4_nl", "iq4_xs"};
constexpr const char* weighted_types[] = {"q4_0", "q4_1", "q5_0", "q5_1",   "q2_K",  "q3_K",
                                          "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs"};

/// Our name without the suffix that tells GGUF's types from nibble's own.
std::string ggml_name(std::string name) {
  const std::size_t at = name.find("_gguf");
  return at == std::string::npos ? name : name.substr(0, at);
}

/// Q8_1 and Q8_K are only ever made from activations; libggml has them as reference functions.
bool only_reference(const std::string& name) { return name == "q8_1" || name == "q8_K"; }

/// Dequantizes the record bytes on every target.
std::vector<float> values_of(const erased_format& f, std::vector<std::uint8_t> bytes,
                             std::size_t num_rows, std::size_t num_cols) {
  const basic_section<const std::uint8_t> section{bytes.data(), bytes.size() / num_rows};
  return dequantize_everywhere(f, &section, num_rows, num_cols);
}

}  // namespace

TEST_CASE("GGUF: quantize makes libggml's bytes") {
  for (const std::string& name : present(all_types)) {
    const erased_format& f = format_named(name);
    for (const std::string input : inputs) {
      INFO(name << " of " << input);
      const auto x = golden::load<float>("in." + input);
      const auto want = golden::load<std::uint8_t>(
          (only_reference(name) ? "ggml.qref." : "ggml.q.") + ggml_name(name) + "." + input);
      const quantized got = quantize_everywhere(f, as_matrix(x, rows, cols));
      CHECK(difference(got.parts.packed(0), want) == "");
    }
  }
}

TEST_CASE("GGUF: quantize weighted by importance makes libggml's bytes") {
  const auto importance = golden::load<float>("imatrix");
  quantize_options o;
  o.rule = scale_rule::weighted;
  o.importance = importance;
  for (const std::string& name : present(weighted_types)) {
    const erased_format& f = format_named(name);
    for (const std::string input : inputs) {
      INFO(name << " of " << input);
      const auto x = golden::load<float>("in." + input);
      const auto want = golden::load<std::uint8_t>("ggml.q." + name + "." + input + ".imat");
      const quantized got = quantize_everywhere(f, as_matrix(x, rows, cols), o);
      CHECK(difference(got.parts.packed(0), want) == "");
    }
  }
}

TEST_CASE("GGUF: dequantize makes libggml's floats from its own bytes") {
  for (const std::string& name : present(all_types)) {
    if (only_reference(name)) continue;
    const erased_format& f = format_named(name);
    for (const std::string input : inputs) {
      const std::string key = "." + ggml_name(name) + "." + input;
      INFO(name << " of " << input);
      const auto got = values_of(f, golden::load<std::uint8_t>("ggml.q" + key), rows, cols);
      CHECK(difference(got, golden::load<float>("ggml.d" + key)) == "");
    }
  }
  for (const std::string& name : present(weighted_types)) {
    const erased_format& f = format_named(name);
    for (const std::string input : inputs) {
      const std::string key = "." + name + "." + input + ".imat";
      INFO(name << " of " << input << ", weighted");
      const auto got = values_of(f, golden::load<std::uint8_t>("ggml.q" + key), rows, cols);
      CHECK(difference(got, golden::load<float>("ggml.d" + key)) == "");
    }
  }
}

TEST_CASE("GGUF: dequantize makes libggml's floats from random bytes") {
  for (const std::string& name : present(all_types)) {
    if (only_reference(name)) continue;
    INFO(name);
    const auto want = golden::load<float>("ggml.rawd." + ggml_name(name));
    const auto bytes = golden::load<std::uint8_t>("ggml.raw." + ggml_name(name));
    const auto got = values_of(format_named(name), bytes, 1, want.size());
    CHECK(difference(got, want) == "");
  }
}

TEST_CASE("GGUF: dequantize makes libggml's floats from every scale byte of MXFP4 and NVFP4") {
  constexpr const char* types[] = {"mxfp4_gguf", "nvfp4_gguf"};
  for (const std::string& name : present(types)) {
    INFO(name);
    const auto want = golden::load<float>("ggml.allscalesd." + ggml_name(name));
    const auto bytes = golden::load<std::uint8_t>("ggml.allscales." + ggml_name(name));
    const auto got = values_of(format_named(name), bytes, 1, want.size());
    CHECK(difference(got, want) == "");
  }
}

TEST_CASE("GGUF: the other variant of IQ4_NL is read just as well") {
  if (left_out("iq4_nl")) return;
  for (const std::string input : inputs) {
    // libggml leaves code bytes of all-zero blocks unset in this variant: no vectors for those.
    if (input == "zeros" || input == "const" || input == "spike" || input == "tinier") continue;
    INFO(input);
    const auto bytes = golden::load<std::uint8_t>("ggml.qref.iq4_nl." + input);
    const auto got = values_of(format_named("iq4_nl"), bytes, rows, cols);
    CHECK(difference(got, golden::load<float>("ggml.dref.iq4_nl." + input)) == "");
  }
}
