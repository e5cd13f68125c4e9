// SPDX-License-Identifier: Apache-2.0 OR MIT
// The engine against plain loops and against PyTorch, writing with one thread and with two, and
// what it says to files and names that are wrong.
#include <cstring>
#include <functional>

#include "evaluate.h"
#include "generate.h"
#include "reference.h"
#include "support/catch.h"
#include "support/machine.h"
#include "threads.h"

using namespace tinylm;

namespace {

std::shared_ptr<const checkpoint> shipped() {
  static const auto c = std::make_shared<const checkpoint>(examples::example_data("tinylm"));
  return c;
}
const std::string& eval_text() {
  static const std::string text = read_text(examples::example_data("tinylm/eval.txt"));
  return text;
}
std::span<const std::uint8_t> tokens_of(const std::string& text, std::size_t n) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), n};
}

model packed(const std::string& format, const std::vector<std::string>& exceptions = {}) {
  packing how;
  how.format = &format_named(format);
  how.exceptions = parse_exceptions(exceptions);
  nibble::context with(nibble::parallel::serial());
  return pack_model(shipped(), how, with);
}
// The weights of the file in every bit, products in f32.
const model& unquantized() {
  static const model m = packed("bf16");
  return m;
}
nibble::gemm_options path(nibble::compute_path p) {
  nibble::gemm_options o;
  o.path = p;
  return o;
}
nibble::gemm_options exact() { return path(nibble::compute_path::exact); }

// f32 sums of up to 768 terms in 43 products one after another, against doubles: steps of 2^-24 of
// logits up to 22 add up to about sqrt(43 * 768) * 22 * 2^-24 = 2.4e-4 if they do not help each
// other. Seen: 2e-5.
constexpr double tolerance = 2.4e-4;

template <class Row>
double worst_difference(nibble::matrix_view<const float> y, const Row& expected) {
  double worst = 0;
  for (std::size_t r = 0; r < y.rows; ++r) {
    for (std::size_t i = 0; i < y.cols; ++i) {
      worst = std::max(worst, std::abs(y(r, i) - static_cast<double>(expected(r, i))));
    }
  }
  return worst;
}

std::string written(const model& m, std::size_t threads, const nibble::gemm_options& options,
                    sampler choose, std::size_t n = 60) {
  thread_team team(threads);
  engine e(m, team.with(), options);
  std::string text;
  generate(e, m.config, "import os\n\ndef ", n, choose,
           [&text](std::uint8_t byte) { text += static_cast<char>(byte); });
  return text;
}

std::string message_of(const std::function<void()>& call, exit_code code) {
  try {
    call();
  } catch (const failure& f) {
    CHECK(f.code == code);
    return f.text;
  }
  FAIL("no failure");
  return {};
}

struct folder {
  std::filesystem::path path;
  explicit folder(const std::string& name)
      : path(std::filesystem::temp_directory_path() /
             fmt::format("tinylm_test_{}_{}", name, static_cast<const void*>(this))) {
    std::filesystem::create_directories(path);
    const auto from = examples::example_data("tinylm");
    std::filesystem::copy(from / "config.json", path / "config.json");
    std::filesystem::copy(from / "model.safetensors", path / "model.safetensors");
  }
  ~folder() { std::filesystem::remove_all(path); }

  void config(const std::string& from, const std::string& to) const {
    std::string text = read_text(examples::example_data("tinylm/config.json"));
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    std::ofstream(path / "config.json") << text;
  }
};

}  // namespace

TEST_CASE("tinylm: f32 products agree with PyTorch's logits and with plain loops") {
  thread_team team(1);
  engine e(unquantized(), team.with(), exact());
  kv_cache cache(unquantized().config, 1);
  const auto y = e.forward(tokens_of(eval_text(), 64), cache);
  REQUIRE(y.rows == 64);

  const std::string file = read_text(examples::example_data("tinylm/logits_first64_f32.bin"));
  std::vector<float> expected(64 * vocabulary);
  REQUIRE(file.size() == expected.size() * sizeof(float));
  std::memcpy(expected.data(), file.data(), file.size());
  CHECK(worst_difference(y, [&](std::size_t r, std::size_t i) {
          return expected[r * vocabulary + i];
        }) < tolerance);

  const auto plain = reference::forward_pass(*shipped()).logits(tokens_of(eval_text(), 12));
  const nibble::matrix_view<const float> first(y.data, plain.size(), vocabulary);
  CHECK(worst_difference(first, [&](std::size_t r, std::size_t i) { return plain[r][i]; }) <
        tolerance);
}

TEST_CASE("tinylm: bits per byte are those of plain loops") {
  thread_team team(2);
  engine e(unquantized(), team.with(), exact());
  const windows one(eval_text(), unquantized().config, 1, 64);
  log_probabilities kept;
  std::size_t batches = 0;
  const quality q =
      measure_quality(e, unquantized().config, team.with(), one, kept, [&batches] { ++batches; });
  CHECK(batches == 1);
  const auto plain = reference::forward_pass(*shipped()).logits(tokens_of(eval_text(), 64));
  double bits = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    bits += reference::forward_pass::bits(plain[i], static_cast<std::uint8_t>(eval_text()[i + 1]));
  }
  CHECK(q.bits_per_byte == Approx(bits / 64).margin(1e-5));

  // The same model again is no distance away; a coarse one is.
  const quality again = measure_quality(e, unquantized().config, team.with(), one, kept, [] {});
  CHECK(again.bits_per_byte == q.bits_per_byte);
  CHECK(std::abs(again.kl) < 1e-6);
  CHECK(again.top1 == 1);
  const model coarse = packed("int4_channel_f32");
  engine rough(coarse, team.with());
  const quality lost = measure_quality(rough, coarse.config, team.with(), one, kept, [] {});
  CHECK(lost.kl > 1e-3);
  CHECK(lost.top1 < 1);
}

TEST_CASE("tinylm: a row has the same bits in a prompt, in a batch and alone") {
  for (const auto p : {nibble::compute_path::integer, nibble::compute_path::exact}) {
    const model m = packed("int4_g32_f16");
    thread_team team(2);
    engine e(m, team.with(), path(p));
    kv_cache one(m.config, 1);
    const auto y = e.forward(tokens_of(eval_text(), 20), one);
    std::vector<float> expected(y.data, y.data + y.size());

    kv_cache slow(m.config, 1);
    for (std::size_t t = 0; t < 20; ++t) {
      const auto row = e.forward(tokens_of(eval_text(), 20).subspan(t, 1), slow);
      REQUIRE(std::memcmp(row.data, &expected[t * vocabulary], vocabulary * sizeof(float)) == 0);
    }
    kv_cache pair(m.config, 2);
    const std::string twice = eval_text().substr(0, 20) + eval_text().substr(0, 20);
    const auto last = e.forward(tokens_of(twice, 40), pair, /*last_only=*/true);
    REQUIRE(last.rows == 2);
    for (std::size_t s = 0; s < 2; ++s) {
      CHECK(std::memcmp(last.row_data(s), &expected[19 * vocabulary], vocabulary * sizeof(float)) ==
            0);
    }
  }
}

TEST_CASE("tinylm: the same text for any number of threads") {
  const model m = packed("int4_g32_f16", {"lm_head=int8_channel_f32", "*.v_proj=q6_K"});
  CHECK(m.output.name() == "int8_channel_f32");
  CHECK(m.layers[5].v.name() == "q6_K");
  CHECK(m.layers[5].k.name() == "int4_g32_f16");
  const auto integer = path(nibble::compute_path::integer);
  const sampler greedy(0, 1, 0);
  const std::string text = written(m, 1, integer, greedy);
  CHECK(text.size() == 60);
  CHECK(written(m, 2, integer, greedy) == text);
  CHECK(written(m, 3, integer, greedy) == text);
  const sampler warm(0.8, 0.9, 7);
  const std::string drawn = written(m, 1, integer, warm);
  CHECK(written(m, 2, integer, warm) == drawn);
  CHECK(drawn != text);
  CHECK(written(m, 1, integer, sampler(0.8, 0.9, 8)) != drawn);
}

TEST_CASE("tinylm: a packed file is the model, in place") {
  const model m = packed("int4_g32_f16", {"*.down_proj=q8_0"});
  const folder f("packed");
  const std::string path_name = (f.path / "model.nibble").string();
  save_model(m, path_name);
  const model mapped = open_model(path_name);
  CHECK(mapped.config.text == m.config.text);
  CHECK(mapped.matrices.empty());
  CHECK(mapped.layers[2].down.name() == "q8_0");
  CHECK(mapped.size().all_bytes == m.size().all_bytes);
  const auto integer = path(nibble::compute_path::integer);
  const sampler greedy(0, 1, 0);
  CHECK(written(mapped, 2, integer, greedy) == written(m, 1, integer, greedy));

  // A file that lacks what an engine needs.
  REQUIRE(nibble::save_packed(path_name.c_str(), std::vector<nibble::named_packed>{nibble::named(
                                                     "w", m.output)}) == nibble::errc::ok);
  const auto open = [&] { static_cast<void>(open_model(path_name)); };
  CHECK(message_of(open, file_malformed).find("'config.json' is missing") != std::string::npos);
  REQUIRE(nibble::save_packed(path_name.c_str(),
                              std::vector<nibble::named_packed>{nibble::named_text(
                                  "config.json", m.config.text)}) == nibble::errc::ok);
  CHECK(message_of(open, file_malformed).find("'model.embed_tokens.weight' is missing") !=
        std::string::npos);
}

TEST_CASE("tinylm: draws come from the likely bytes alone") {
  std::vector<float> logits(vocabulary, -20.0f);
  logits['a'] = 2;
  logits['b'] = 1;
  logits['c'] = 0;
  sampler none(0, 1, 1), first(1, 0.5, 1), two(1, 0.9, 1), all(1, 1, 1);
  std::array<int, 256> seen{};
  for (int i = 0; i < 2000; ++i) {
    CHECK(none.choose(logits) == 'a');
    CHECK(first.choose(logits) == 'a');
    const std::uint8_t t = two.choose(logits);
    CHECK((t == 'a' || t == 'b'));
    ++seen[all.choose(logits)];
  }
  // Shares 0.665, 0.245, 0.090: of 2000 draws within four standard deviations.
  CHECK(std::abs(seen['a'] - 1331) < 85);
  CHECK(std::abs(seen['b'] - 490) < 77);
  CHECK(std::abs(seen['c'] - 180) < 52);
}

TEST_CASE("tinylm: the context is a limit that is named") {
  const model& m = unquantized();
  thread_team team(1);
  engine e(m, team.with(), exact());
  sampler greedy(0, 1, 0);
  const std::string prompt = eval_text().substr(0, 250);
  const generation g = generate(e, m.config, prompt, 50, greedy, [](std::uint8_t) {});
  CHECK(g.context_full);
  CHECK(g.num_tokens == 7);  // the last one needs no place of its own
  const auto write = [&](const std::string& from) {
    return [&e, &m, &greedy, from] {
      static_cast<void>(generate(e, m.config, from, 1, greedy, [](std::uint8_t) {}));
    };
  };
  CHECK(message_of(write(std::string(257, 'x')), wrong_usage) ==
        "the prompt has 257 bytes, but the context of this model only 256");
  CHECK(message_of(write(""), wrong_usage).find("empty") != std::string::npos);
}

TEST_CASE("tinylm: f32 gives the bits of bf16 weights") {
  const model plain = packed("bf16");
  const model wide = packed("f32");
  nibble::context with(nibble::parallel::serial());
  engine a(plain, with, exact());
  engine b(wide, with, exact());
  const std::string text = "def main():";
  const std::vector<std::uint8_t> tokens(text.begin(), text.end());
  kv_cache cache_a(plain.config, 1);
  kv_cache cache_b(wide.config, 1);
  const auto y = a.forward(tokens, cache_a);
  const auto z = b.forward(tokens, cache_b);
  CHECK(std::memcmp(y.data, z.data, y.size() * sizeof(float)) == 0);
  CHECK(wide.size().matrix_bytes == 2 * plain.size().matrix_bytes);
  CHECK(formats_like({"f32", "q4_?"}).front()->name == "f32");
}

TEST_CASE("tinylm: wrong models are refused with a reason") {
  const auto refused = [](const folder& f, exit_code code) {
    return message_of(
        [&f] {
          packing how;
          how.format = &format_named("bf16");
          nibble::context with(nibble::parallel::serial());
          static_cast<void>(pack_model(std::make_shared<const checkpoint>(f.path), how, with));
        },
        code);
  };
  const auto says = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  const folder f("config");
  const auto changed = [&](const char* from, const char* to, const char* part) {
    f.config(from, to);
    says(refused(f, file_malformed), part);
  };
  changed(
      "LlamaForCausalLM", "GPT2LMHeadModel",
      "'architectures' is [\"GPT2LMHeadModel\"]; this engine knows only [\"LlamaForCausalLM\"]");
  changed("\"llama\"", "\"mistral\"", "'model_type' is \"mistral\"");
  changed("silu", "gelu", "'hidden_act' is \"gelu\"");
  changed("\"vocab_size\": 256", "\"vocab_size\": 32000", "'vocab_size' is 32000");
  changed("\"hidden_size\": 256", "\"hidden_size\": -1", "'hidden_size' is -1");
  changed("\"hidden_size\": 256,", "", "'hidden_size' is missing");
  changed("\"head_dim\": 64", "\"head_dim\": 63", "odd");
  changed("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "no multiple");
  changed("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7",
          "tensor 'model.layers.6.input_layernorm.weight' is missing");
  changed("\"intermediate_size\": 768", "\"intermediate_size\": 512",
          "tensor 'model.layers.0.mlp.gate_proj.weight' has the shape [768 x 256], but by "
          "config.json it is [512 x 256]");
  changed("{", "", "no JSON object");

  const folder g("weights");
  std::filesystem::resize_file(g.path / "model.safetensors", 1000000);
  says(refused(g, file_malformed), "model.safetensors: the file is truncated");
  std::ofstream(g.path / "model.safetensors") << "this is no file of tensors";
  says(refused(g, file_malformed), "not a file of this kind");
  std::filesystem::remove(g.path / "model.safetensors");
  says(refused(g, file_unreadable), "not found");
  std::filesystem::remove(g.path / "config.json");
  says(refused(g, file_unreadable), "config.json");
}

TEST_CASE("tinylm: wrong formats are refused with their neighbours") {
  CHECK(message_of([] { static_cast<void>(format_named("int4_g32_f61")); }, wrong_usage)
            .find("no format is called 'int4_g32_f61'; near it: int4_g32_f16") == 0);
  CHECK(message_of([] { static_cast<void>(packed("q8_0", {"*.no_such=q8_0"})); }, wrong_usage)
            .find("no matrix is called '*.no_such'") != std::string::npos);
  CHECK(message_of([] { static_cast<void>(packed("q8_0", {"lm_head"})); }, wrong_usage)
            .find("PATTERN=FORMAT") != std::string::npos);
  CHECK(message_of([] { static_cast<void>(packed("q8_0", {"*.up_proj=q4_K"})); }, wrong_usage) ==
        "gate_proj is q8_0 and up_proj q4_K: both need one format");
  const model m = packed("mxfp8_e4m3");
  thread_team team(1);
  CHECK(
      message_of([&] { engine(m, team.with(), path(nibble::compute_path::integer)); }, wrong_usage)
          .find("has no integer path") != std::string::npos);
}
