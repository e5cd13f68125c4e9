// SPDX-License-Identifier: Apache-2.0 OR MIT
// The shape of a model, from the config.json beside it: Llama's architecture, tokens that are
// bytes.
#ifndef NIBBLE_EXAMPLES_TINYLM_CONFIG_H_
#define NIBBLE_EXAMPLES_TINYLM_CONFIG_H_

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "failure.h"

namespace tinylm {

inline constexpr std::size_t vocabulary = 256;  // token = byte

struct model_config {
  std::size_t dim = 0;
  std::size_t ffn_dim = 0;
  std::size_t num_layers = 0;
  std::size_t num_heads = 0;
  std::size_t num_kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t max_positions = 0;
  float rms_eps = 0;
  double rope_theta = 0;
  bool tied_output = false;  ///< the embedding is the output matrix, too
  std::string text;          ///< config.json as it was read

  [[nodiscard]] std::size_t q_dim() const { return num_heads * head_dim; }
  [[nodiscard]] std::size_t kv_dim() const { return num_kv_heads * head_dim; }
};

namespace detail {

class config_reader {
 public:
  config_reader(const std::string& text, const std::string& file) : file_(file) {
    json_ = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json_.is_object()) fail("no JSON object");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw failure{file_malformed, file_ + ": " + what};
  }

  /// A whole number in 1 .. `most`.
  [[nodiscard]] std::size_t size(const char* key, std::size_t most,
                                 std::optional<std::size_t> otherwise = {}) const {
    const auto it = json_.find(key);
    if ((it == json_.end() || it->is_null()) && otherwise) return *otherwise;
    if (it == json_.end()) fail(fmt::format("'{}' is missing", key));
    if (!it->is_number_unsigned() || it->get<std::size_t>() < 1 || it->get<std::size_t>() > most) {
      fail(fmt::format("'{}' is {}, but should be a whole number from 1 to {}", key, shown(*it),
                       most));
    }
    return it->get<std::size_t>();
  }
  /// A number above 0.
  [[nodiscard]] double number(const char* key, double otherwise) const {
    const auto it = json_.find(key);
    if (it == json_.end()) return otherwise;
    if (!it->is_number() || !(it->get<double>() > 0)) {
      fail(fmt::format("'{}' is {}, but should be a number above 0", key, shown(*it)));
    }
    return it->get<double>();
  }
  /// What this engine computes is one choice of several; a file that chose another is refused.
  void expect(const char* key, const nlohmann::json& wanted) const {
    const auto it = json_.find(key);
    if (it == json_.end() || it->is_null() || *it == wanted) return;
    fail(fmt::format("'{}' is {}; this engine knows only {}", key, shown(*it), wanted.dump()));
  }
  [[nodiscard]] bool flag(const char* key) const {
    const auto it = json_.find(key);
    return it != json_.end() && it->is_boolean() && it->get<bool>();
  }
  [[nodiscard]] bool has(const char* key) const { return json_.contains(key); }

 private:
  static std::string shown(const nlohmann::json& value) {
    const std::string text =
        value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 60);
    return text;
  }

  std::string file_;
  nlohmann::json json_;
};

}  // namespace detail

/// @param file  its name, for messages
[[nodiscard]] inline model_config parse_config(const std::string& text, const std::string& file) {
  const detail::config_reader in(text, file);
  if (!in.has("architectures") && !in.has("model_type")) {
    in.fail("neither 'architectures' nor 'model_type': no config of a model");
  }
  in.expect("architectures", {"LlamaForCausalLM"});
  in.expect("model_type", "llama");
  in.expect("hidden_act", "silu");
  in.expect("attention_bias", false);
  in.expect("mlp_bias", false);
  in.expect("rope_scaling", nullptr);
  in.expect("vocab_size", vocabulary);

  constexpr std::size_t most = 1 << 20;
  model_config c;
  c.dim = in.size("hidden_size", most);
  c.ffn_dim = in.size("intermediate_size", most);
  c.num_layers = in.size("num_hidden_layers", 1024);
  c.num_heads = in.size("num_attention_heads", 1024);
  c.num_kv_heads = in.size("num_key_value_heads", 1024, c.num_heads);
  c.head_dim = in.size("head_dim", 4096, std::max<std::size_t>(c.dim / c.num_heads, 1));
  c.max_positions = in.size("max_position_embeddings", most);
  c.rms_eps = static_cast<float>(in.number("rms_norm_eps", 1e-6));
  c.rope_theta = in.number("rope_theta", 10000.0);
  c.tied_output = in.flag("tie_word_embeddings");
  c.text = text;
  if (c.head_dim % 2 != 0) in.fail("'head_dim' is odd: RoPE turns pairs");
  if (c.num_heads % c.num_kv_heads != 0) {
    in.fail("'num_attention_heads' is no multiple of 'num_key_value_heads'");
  }
  return c;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_CONFIG_H_
