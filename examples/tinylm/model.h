// SPDX-License-Identifier: Apache-2.0 OR MIT
// A model ready to run: packed matrices, norms, the embedding. Made from a checkpoint, by packing,
// or from a packed file, in place.
#ifndef NIBBLE_EXAMPLES_TINYLM_MODEL_H_
#define NIBBLE_EXAMPLES_TINYLM_MODEL_H_

#include <memory>
#include <vector>

#include "checkpoint.h"
#include "formats.h"
#include "nibble/io/any_packed_file.h"

namespace tinylm {

struct layer {
  std::vector<float> attention_norm, ffn_norm;
  nibble::any_packed_view q, k, v, o, gate, up, down;
};

struct model {
  model_config config;
  nibble::tensor_info embedding;  ///< a row per token, looked up where the file has it
  std::vector<layer> layers;
  std::vector<float> output_norm;
  nibble::any_packed_view output;

  /// What the views above point into.
  std::vector<nibble::any_packed_matrix> matrices;
  std::shared_ptr<const checkpoint> source;
  std::optional<nibble::packed_file> file;

  /// Bytes and weights of the packed matrices, and of everything.
  struct size_info {
    std::size_t matrix_bytes = 0;
    std::size_t matrix_weights = 0;
    std::size_t all_bytes = 0;
    std::size_t all_weights = 0;
  };
  [[nodiscard]] size_info size() const;
};

/// Every tensor of the model, once: matrix(name, view, rows, cols) and norm(name, floats, length).
/// Names are those of Hugging Face's checkpoints, without ".weight".
template <class Model, class Matrix, class Norm>
void for_each_tensor(Model& m, Matrix matrix, Norm norm) {
  const model_config& c = m.config;
  for (std::size_t i = 0; i < c.num_layers; ++i) {
    auto& l = m.layers[i];
    const std::string prefix = fmt::format("model.layers.{}.", i);
    norm(prefix + "input_layernorm", l.attention_norm, c.dim);
    matrix(prefix + "self_attn.q_proj", l.q, c.q_dim(), c.dim);
    matrix(prefix + "self_attn.k_proj", l.k, c.kv_dim(), c.dim);
    matrix(prefix + "self_attn.v_proj", l.v, c.kv_dim(), c.dim);
    matrix(prefix + "self_attn.o_proj", l.o, c.dim, c.q_dim());
    norm(prefix + "post_attention_layernorm", l.ffn_norm, c.dim);
    matrix(prefix + "mlp.gate_proj", l.gate, c.ffn_dim, c.dim);
    matrix(prefix + "mlp.up_proj", l.up, c.ffn_dim, c.dim);
    matrix(prefix + "mlp.down_proj", l.down, c.dim, c.ffn_dim);
  }
  norm(std::string("model.norm"), m.output_norm, c.dim);
  matrix(std::string("lm_head"), m.output, vocabulary, c.dim);
}

inline constexpr char embedding_name[] = "model.embed_tokens.weight";
inline constexpr char config_name[] = "config.json";

inline model::size_info model::size() const {
  size_info s;
  s.all_bytes = embedding.data.size();
  s.all_weights = static_cast<std::size_t>(embedding.num_values());
  for_each_tensor(
      *this,
      [&s](const std::string&, const nibble::any_packed_view& w, std::size_t, std::size_t) {
        s.matrix_bytes += w.bytes();
        s.matrix_weights += w.rows() * w.cols();
      },
      [&s](const std::string&, const std::vector<float>& norm, std::size_t) {
        s.all_bytes += norm.size() * sizeof(float);
        s.all_weights += norm.size();
      });
  s.all_bytes += s.matrix_bytes;
  s.all_weights += s.matrix_weights;
  return s;
}

/// SwiGLU multiplies both products in one pass.
inline void check_gated_formats(const model& m) {
  for (const layer& l : m.layers) {
    if (l.gate.format->fingerprint != l.up.format->fingerprint) {
      throw failure{wrong_usage, fmt::format("gate_proj is {} and up_proj {}: both need one format",
                                             l.gate.name(), l.up.name())};
    }
  }
}

/// Packs every matrix of a checkpoint.
[[nodiscard]] inline model pack_model(std::shared_ptr<const checkpoint> from, const packing& how,
                                      nibble::context& with) {
  model m;
  m.config = from->config();
  m.layers.resize(m.config.num_layers);
  m.source = from;
  const std::uint64_t embedding_shape[] = {vocabulary, m.config.dim};
  m.embedding = from->tensor(embedding_name, embedding_shape);

  const auto pack = [&](const std::string& name, nibble::any_packed_view& view, std::size_t rows,
                        std::size_t cols) {
    const std::uint64_t shape[] = {rows, cols};
    const bool tied = m.config.tied_output && name == "lm_head";
    const std::vector<float> w =
        floats_of(tied ? m.embedding : from->tensor(name + ".weight", shape));
    const nibble::matrix_view<const float> floats(w.data(), rows, cols);
    const nibble::any_format& f = how.format_of(name);
    auto packed = how.outliers > 0
                      ? nibble::pack_with_outliers(
                            f, floats, nibble::outlier_rule::largest(how.outliers), with)
                      : nibble::pack(f, floats, with);
    if (!packed) {
      throw failure{run_failed,
                    fmt::format("{} as {}: {}", name, f.name, nibble::message(packed.error()))};
    }
    m.matrices.push_back(std::move(*packed));
    view = m.matrices.back();
  };
  const auto read = [&](const std::string& name, std::vector<float>& norm, std::size_t length) {
    const std::uint64_t shape[] = {length};
    norm = floats_of(from->tensor(name + ".weight", shape));
  };
  for (const packing::exception& e : how.exceptions) {
    bool used = false;
    for_each_tensor(
        m,
        [&](const std::string& name, const auto&, std::size_t, std::size_t) {
          used = used || examples::matches(e.pattern, name);
        },
        [](const std::string&, const auto&, std::size_t) {});
    if (!used) {
      throw failure{wrong_usage, fmt::format("--format-for: no matrix is called '{}'; they are "
                                             "lm_head, model.layers.0.self_attn.q_proj ...",
                                             examples::printable(e.pattern))};
    }
  }
  for_each_tensor(m, pack, read);
  check_gated_formats(m);
  return m;
}

/// Writes a model to one file: matrices as they are packed, norms, embedding, configuration.
inline void save_model(const model& m, const std::string& path) {
  std::vector<std::string> names;  // views point here, so it may not grow out of its place
  names.reserve(m.layers.size() * 9 + 2);
  std::vector<nibble::named_packed> entries{nibble::named_text(config_name, m.config.text),
                                            nibble::named(embedding_name, m.embedding)};
  for_each_tensor(
      m,
      [&](const std::string& name, const nibble::any_packed_view& w, std::size_t, std::size_t) {
        entries.push_back(nibble::named(names.emplace_back(name + ".weight"), w));
      },
      [&](const std::string& name, const std::vector<float>& norm, std::size_t) {
        entries.push_back(nibble::named(names.emplace_back(name + ".weight"), norm));
      });
  nibble::error_note note;
  const nibble::errc e = nibble::save_packed(path.c_str(), entries, &note);
  if (e != nibble::errc::ok) throw file_failure(path, e, note);
}

/// Maps a file that save_model() wrote. Matrices and embedding stay where they are in it.
[[nodiscard]] inline model open_model(const std::string& path) {
  nibble::error_note note;
  auto file = nibble::load_packed(path.c_str(), &note);
  if (!file) throw file_failure(path, file.error(), note);
  model m;
  m.file = std::move(*file);
  const auto fail = [&path](std::string_view entry, nibble::errc e) {
    const char* const what = e == nibble::errc::not_found ? "is missing"
                             : e == nibble::errc::unknown_type
                                 ? "is of a kind or format that this program does not know"
                                 : "does not have the shape that the configuration says";
    return failure{file_malformed, fmt::format("{}: '{}' {}", path, entry, what)};
  };
  const auto config = m.file->text(config_name);
  if (!config) throw fail(config_name, config.error());
  m.config = parse_config(std::string(*config), path + ": " + config_name);
  m.layers.resize(m.config.num_layers);

  const auto tensor = [&](const std::string& name, std::span<const std::uint64_t> shape) {
    const auto t = m.file->tensor(name);
    if (!t) throw fail(name, t.error());
    if (!std::equal(shape.begin(), shape.end(), t->shape().begin(), t->shape().end())) {
      throw fail(name, nibble::errc::shape_mismatch);
    }
    return *t;
  };
  const std::uint64_t embedding_shape[] = {vocabulary, m.config.dim};
  m.embedding = tensor(embedding_name, embedding_shape);
  for_each_tensor(
      m,
      [&](const std::string& name, nibble::any_packed_view& view, std::size_t rows,
          std::size_t cols) {
        const auto w = nibble::get_any(*m.file, name + ".weight");
        if (!w) throw fail(name, w.error());
        if (w->rows() != rows || w->cols() != cols) {
          throw fail(name, nibble::errc::shape_mismatch);
        }
        view = *w;
      },
      [&](const std::string& name, std::vector<float>& norm, std::size_t length) {
        const std::uint64_t shape[] = {length};
        norm = floats_of(tensor(name + ".weight", shape));
      });
  check_gated_formats(m);
  return m;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_MODEL_H_
