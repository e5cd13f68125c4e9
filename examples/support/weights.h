// SPDX-License-Identifier: Apache-2.0 OR MIT
// The weight matrices of model files: which tensors they are, which are not and why, and their
// floats.
#ifndef NIBBLE_EXAMPLES_SUPPORT_WEIGHTS_H_
#define NIBBLE_EXAMPLES_SUPPORT_WEIGHTS_H_

#include <cmath>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "any_format.h"
#include "names.h"
#include "nibble/io/open_tensors.h"
#include "nibble/io/read_rows.h"
#include "nibble/io/tensor_format.h"

namespace examples {

/// Floats at a 64-byte boundary, for streaming stores. Grows, never shrinks; not initialised.
template <class T>
class aligned_buffer {
 public:
  T* resize(std::size_t count) {
    if (count > capacity_) {
      data_.reset();  // first, so that old and new never stand side by side
      capacity_ = 0;
      data_.reset(static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64})));
      capacity_ = count;
    }
    return data_.get();
  }

 private:
  struct aligned_delete {
    void operator()(T* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<T[], aligned_delete> data_;
  std::size_t capacity_ = 0;
};

/// One tensor that will be quantized.
struct weight {
  const nibble::tensor_info* tensor = nullptr;
  std::size_t file = 0;                   ///< number of the file it is in
  std::string name;                       ///< fit for a terminal
  const any_format* stored_as = nullptr;  ///< null: plain floats

  [[nodiscard]] std::size_t rows() const { return static_cast<std::size_t>(tensor->rows()); }
  [[nodiscard]] std::size_t cols() const { return static_cast<std::size_t>(tensor->cols()); }
  [[nodiscard]] std::size_t size() const { return rows() * cols(); }
};

struct skipped_tensor {
  std::size_t file = 0;
  std::string name;
  std::string reason;
};

namespace detail {

/// The catalogue's format of GGUF blocks of that type, or null.
inline const any_format* find_stored_format(const std::vector<any_format>& formats,
                                            nibble::tensor_type type) {
  const std::string_view name = nibble::format_name_of(type);
  for (const any_format& f : formats) {
    if (f.is_wire && f.name == name) return &f;
  }
  return nullptr;
}

inline bool is_plain_float(nibble::tensor_type t) {
  return t == nibble::tensor_type::f64 || t == nibble::tensor_type::f32 ||
         t == nibble::tensor_type::f16 || t == nibble::tensor_type::bf16;
}

}  // namespace detail

/// Sorts the tensors of a file into weights and others. Weights are matrices, or stacks of them
/// (experts), of floats or of GGUF blocks that are in the catalogue.
inline void find_weights(const nibble::tensor_file& file, std::size_t file_number,
                         const std::vector<any_format>& formats, std::string_view pattern,
                         std::vector<weight>& weights, std::vector<skipped_tensor>& skipped) {
  for (const nibble::tensor_info& t : file.tensors()) {
    if (!matches(pattern, t.name)) continue;
    weight w{&t, file_number, t.name.empty() ? "(the array)" : printable(t.name), nullptr};
    std::string reason;
    if (t.rank < 2 || t.rank > 3) {
      reason = std::to_string(t.rank) + (t.rank == 1 ? " dimension" : " dimensions");
    } else if (t.num_values() == 0) {
      reason = "no values";
    } else if (!detail::is_plain_float(t.type)) {
      w.stored_as = detail::find_stored_format(formats, t.type);
      if (w.stored_as == nullptr) {
        reason = "type " + std::string(nibble::describe(t.type).name);
      }
    }
    if (reason.empty()) {
      weights.push_back(std::move(w));
    } else {
      skipped.push_back({file_number, std::move(w.name), std::move(reason)});
    }
  }
}

/// The floats of a weight, valid until the next load(). Nothing: the file cannot be decoded.
class weight_loader {
 public:
  [[nodiscard]] std::optional<nibble::matrix_view<const float>> load(const weight& w) {
    const nibble::matrix_view<float> to(buffer_.resize(w.size()), w.rows(), w.cols());
    if (w.stored_as != nullptr) {
      w.stored_as->dequantize(reinterpret_cast<const std::uint8_t*>(w.tensor->data.data()), to);
    } else if (nibble::read_rows_f32(*w.tensor, 0, to) != nibble::errc::ok) {
      return std::nullopt;
    }
    return to;
  }

 private:
  aligned_buffer<float> buffer_;
};

/// How many of the values are NaN or infinite.
inline std::size_t count_non_finite(nibble::matrix_view<const float> x) {
  std::size_t count = 0;
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (const float v : x.row(r)) count += std::isfinite(v) ? 0 : 1;
  }
  return count;
}

}  // namespace examples

#endif  // NIBBLE_EXAMPLES_SUPPORT_WEIGHTS_H_
