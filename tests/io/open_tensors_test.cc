// SPDX-License-Identifier: Apache-2.0 OR MIT
// open_tensors(): telling files apart, and the small language model as a real file.
#include "nibble/io/open_tensors.h"

#include <cmath>

#include "io/files.h"
#include "nibble/io/read_rows.h"

using namespace nibble;
using namespace nibble_test;

namespace {

const char* const model = NIBBLE_SOURCE_DIR "/examples/data/tinylm/model.safetensors";

void check_kind(const std::string& file, file_kind kind) {
  read_guarded(read_tensors, file, [kind](const auto& result, const auto&) {
    REQUIRE(result.has_value());
    CHECK(result->kind() == kind);
  });
}

void check_note(const std::string& file, errc expected, const char* words) {
  const guarded copy(file);
  error_note note;
  CHECK(read_tensors(copy.bytes(), &note).error() == expected);
  INFO(note.text);
  CHECK(std::strstr(note.text, words) != nullptr);
}

}  // namespace

TEST_CASE("open_tensors: the first bytes decide which reader reads") {
  check_kind(safetensors("{}"), file_kind::safetensors);
  check_kind(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", "xx"), file_kind::npy);
  check_kind(gguf_file{}.file(), file_kind::gguf);
}

TEST_CASE("open_tensors: files of other kinds are told apart") {
  check_note("", errc::truncated, "0 bytes");
  check_note("12345678", errc::truncated, "8 bytes");
  check_note("some text file", errc::bad_magic, "no .safetensors");
  check_note("PK\x03\x04 and more", errc::bad_magic, "zip");
  check_note("version https://git-lfs.github.com/spec/v1\noid", errc::bad_magic, "Git LFS");
  check_note("\x89HDF\r\n\x1a\n and more", errc::bad_magic, "HDF5");
}

TEST_CASE("open_tensors: a path that does not lead to a file is an error") {
  error_note note;
  CHECK(open_tensors("/no/such/file", &note).error() == errc::not_found);
  CHECK(std::string(note.text) == "cannot open '/no/such/file'");
  CHECK(open_tensors("/", &note).error() == errc::io);
}

TEST_CASE("open_tensors: the file stays mapped as long as the result lives") {
  tensor_file file = [] {
    result<tensor_file> opened = open_tensors(model);
    REQUIRE(opened.has_value());
    return std::move(*opened);
  }();
  const tensor_info* t = file.find("model.norm.weight");
  REQUIRE(t != nullptr);
  float row[256] = {};
  CHECK(read_rows_f32(*t, 0, {row, 1, 256}) == errc::ok);
  CHECK(row[0] > 0.0f);
}

TEST_CASE("open_tensors: the small language model has the tensors of its description") {
  const std::size_t before = allocation_count::live;
  allocation_count::peak = before;
  const result<tensor_file> file = open_tensors(model);
  const std::size_t allocated = allocation_count::peak - before;
  REQUIRE(file.has_value());
  CHECK(file->kind() == file_kind::safetensors);
  CHECK(file->find_metadata("format")->as_string() == "pt");
  REQUIRE(file->tensors().size() == 3 + 6 * 9);
  CHECK(allocated < 57 * 150);

  std::uint64_t parameters = 0;
  bool all_small = true;
  std::vector<float> row;
  for (const tensor_info& t : file->tensors()) {
    parameters += t.num_values();
    CHECK(t.type == tensor_type::bf16);
    CHECK(t.cols() % 256 == 0);
    row.resize(t.cols());
    for (std::uint64_t r = 0; r < t.rows(); ++r) {
      REQUIRE(read_rows_f32(t, r, {row.data(), 1, row.size()}) == errc::ok);
      for (const float x : row) all_small = all_small && std::abs(x) < 100.0f;  // also no NaN
    }
  }
  CHECK(parameters == 4'852'992);
  CHECK(all_small);
  const tensor_info* down = file->find("model.layers.3.mlp.down_proj.weight");
  REQUIRE(down != nullptr);
  CHECK(down->rows() == 256);
  CHECK(down->cols() == 768);
}
