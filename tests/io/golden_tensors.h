// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tensors as files hold them, of every type that a format stands for, and their values: libggml's
// bytes and floats from the golden vectors.
#ifndef NIBBLE_TESTS_IO_GOLDEN_TENSORS_H_
#define NIBBLE_TESTS_IO_GOLDEN_TENSORS_H_

#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "nibble/io/tensor_file.h"
#include "support/golden.h"

namespace nibble_test {

/// A tensor [rows x cols], its bytes and what they mean.
struct golden_tensor {
  std::vector<std::uint8_t> bytes;
  std::vector<float> values;
  std::size_t rows = 0;
  std::size_t cols = 0;

  [[nodiscard]] nibble::tensor_info info(nibble::tensor_type type) const {
    nibble::tensor_info t;
    t.type = type;
    t.rank = 2;
    t.dims[0] = rows;
    t.dims[1] = cols;
    t.data = std::as_bytes(std::span(bytes));
    return t;
  }
};

/// Of q8_1 and q8_K, which libggml makes of activations and never decodes: a scale (positive, in
/// q8_1 a normal half), at byte 4 the codes.
inline std::vector<float> values_of_q8(const std::vector<std::uint8_t>& bytes,
                                       const nibble::tensor_type_info& type) {
  std::vector<float> values;
  for (std::size_t at = 0; at < bytes.size(); at += type.block_bytes) {
    float scale = 0;
    if (type.type == nibble::tensor_type::q8_1) {
      const int half = bytes[at] | bytes[at + 1] << 8;
      scale = std::ldexp(static_cast<float>(1024 + (half & 1023)), (half >> 10) - 25);
    } else {
      std::memcpy(&scale, bytes.data() + at, 4);
    }
    for (std::size_t i = 0; i < type.block_values; ++i) {
      values.push_back(scale * static_cast<float>(static_cast<std::int8_t>(bytes[at + 4 + i])));
    }
  }
  return values;
}

/// Rows of random blocks; of f32, f16 and bf16 four numbers.
inline golden_tensor golden_tensor_of(nibble::tensor_type type) {
  const nibble::tensor_type_info& d = describe(type);
  golden_tensor t;
  if (d.block_values == 1) {
    t.values = {1.0f, -2.5f, 0.0f, 3.0f};
    if (type == nibble::tensor_type::f32) {
      t.bytes = {0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0, 0, 0, 0, 0, 0, 0, 0x40, 0x40};
    } else if (type == nibble::tensor_type::bf16) {
      t.bytes = {0x80, 0x3F, 0x20, 0xC0, 0, 0, 0x40, 0x40};
    } else {
      t.bytes = {0x00, 0x3C, 0x00, 0xC1, 0, 0, 0x00, 0x42};
    }
  } else {
    // libggml calls them as we do, without the suffix.
    std::string name(d.name);
    name = name.substr(0, name.find("_gguf"));
    const bool activations = type == nibble::tensor_type::q8_1 || type == nibble::tensor_type::q8_k;
    t.bytes = golden::load<std::uint8_t>(activations ? "ggml.qref." + name + ".normal"
                                                     : "ggml.raw." + name);
    t.values = activations ? values_of_q8(t.bytes, d) : golden::load<float>("ggml.rawd." + name);
  }
  t.rows = 2;
  t.cols = t.values.size() / t.rows;
  return t;
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_IO_GOLDEN_TENSORS_H_
