// SPDX-License-Identifier: Apache-2.0 OR MIT
// A model as it was trained: config.json and model.safetensors of one folder, every tensor checked.
#ifndef NIBBLE_EXAMPLES_TINYLM_CHECKPOINT_H_
#define NIBBLE_EXAMPLES_TINYLM_CHECKPOINT_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "config.h"
#include "nibble/io/open_tensors.h"
#include "nibble/io/read_rows.h"

namespace tinylm {

[[nodiscard]] inline std::string read_text(const std::filesystem::path& path) {
  nibble::error_note note;
  const auto file = nibble::mapped_file::open(path.string().c_str(), &note);
  if (!file) throw file_failure(path.string(), file.error(), note);
  const auto bytes = file->bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class checkpoint {
 public:
  explicit checkpoint(const std::filesystem::path& folder)
      : config_(parse_config(read_text(folder / "config.json"), (folder / "config.json").string())),
        path_((folder / "model.safetensors").string()),
        file_(open(path_)) {}

  [[nodiscard]] const model_config& config() const { return config_; }

  /// The tensor of this name and shape, a vector or a matrix; it points into the mapped file.
  [[nodiscard]] const nibble::tensor_info& tensor(const std::string& name,
                                                  std::span<const std::uint64_t> wanted) const {
    const nibble::tensor_info* t = file_.find(name);
    if (t == nullptr) fail(name, "is missing");
    if (!std::equal(wanted.begin(), wanted.end(), t->shape().begin(), t->shape().end())) {
      fail(name, fmt::format("has the shape [{}], but by config.json it is [{}]",
                             fmt::join(t->shape(), " x "), fmt::join(wanted, " x ")));
    }
    using enum nibble::tensor_type;
    if (t->type != bf16 && t->type != f16 && t->type != f32) {
      fail(name, fmt::format("is of type {}; bf16, f16 and f32 are known",
                             nibble::describe(t->type).name));
    }
    return *t;
  }

  /// Type of the numbers of its matrices: that of the first one.
  [[nodiscard]] nibble::tensor_type matrix_type() const {
    const std::uint64_t shape[] = {config_.q_dim(), config_.dim};
    return tensor("model.layers.0.self_attn.q_proj.weight", shape).type;
  }

 private:
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    throw failure{file_malformed, fmt::format("{}: tensor '{}' {}", path_, tensor, what)};
  }
  static nibble::tensor_file open(const std::string& path) {
    nibble::error_note note;
    auto file = nibble::open_tensors(path.c_str(), &note);
    if (!file) throw file_failure(path, file.error(), note);
    return std::move(file).value();
  }

  model_config config_;
  std::string path_;
  nibble::tensor_file file_;
};

/// All values of a tensor.
[[nodiscard]] inline std::vector<float> floats_of(const nibble::tensor_info& t) {
  const auto rows = static_cast<std::size_t>(t.rows());
  const auto cols = static_cast<std::size_t>(t.cols());
  std::vector<float> values(rows * cols);
  require_ok(nibble::read_rows_f32(t, 0, {values.data(), rows, cols}), t.name);
  return values;
}

}  // namespace tinylm

#endif  // NIBBLE_EXAMPLES_TINYLM_CHECKPOINT_H_
