// SPDX-License-Identifier: Apache-2.0 OR MIT
// Fuzzes the readers of .safetensors, .npy and .gguf files. cmake/fuzz.sh builds and runs it.
//
// Stops at a crash, an over-read, more memory than promised, or an accepted file that breaks what
// tensor_file promises.
#include <cstring>

#include "nibble/io/open_tensors.h"
#include "nibble/io/read_rows.h"
#include "watch.h"

namespace {

using fuzz::allocated;
using fuzz::require;

using reader = nibble::result<nibble::tensor_file>(std::span<const std::byte>,
                                                   nibble::error_note*) noexcept;

void check_tensor(const nibble::tensor_file& file, const nibble::tensor_info& t,
                  std::span<const std::byte> bytes) {
  require(file.find(t.name) == &t, "a tensor is found by its name");
  require(
      t.data.data() >= bytes.data() && t.data.data() + t.data.size() <= bytes.data() + bytes.size(),
      "data lies in the file");
  const nibble::tensor_type_info& type = nibble::describe(t.type);
  require(t.num_values() / type.block_values * type.block_bytes == t.data.size(),
          "data has the size of its shape");
  if (t.rows() == 0 || t.cols() > 4096) return;
  float row[4096];
  const auto cols = static_cast<std::size_t>(t.cols());
  for (const std::uint64_t r : {std::uint64_t{0}, t.rows() - 1}) {
    const nibble::errc e = nibble::read_rows_f32(t, r, {row, 1, cols});
    require(e == nibble::errc::ok || e == nibble::errc::unknown_type, "rows can be read");
  }
}

void run(reader* read, std::span<const std::byte> bytes) {
  nibble::error_note note;
  allocated = 0;
  const nibble::result<nibble::tensor_file> file = read(bytes, &note);
  require(allocated <= bytes.size() + (std::size_t{1} << 20), "memory is bounded");
  require(std::memchr(note.text, 0, sizeof(note.text)) != nullptr, "the note ends");
  if (!file) {
    require(note.text[0] != '\0', "an error has a note");
    return;
  }
  std::uint64_t used = 0;
  for (const nibble::tensor_info& t : file->tensors()) {
    check_tensor(*file, t, bytes);
    used += t.data.size();
  }
  require(used <= bytes.size(), "no two tensors share a byte");
  for (const nibble::metadata_entry& e : file->metadata()) {
    require(file->find_metadata(e.key) == &e, "a key is found");
    require(e.as_string().has_value() + e.as_f64().has_value() <= 1, "a value has one type");
    if (e.as_u64()) require(e.as_f64().has_value(), "an integer is a number");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::watch_malloc();
  const auto bytes = std::as_bytes(std::span(data, size));
  run(nibble::read_tensors, bytes);
  // Without the hurdle of the first bytes, which say which reader reads.
  run(nibble::read_safetensors, bytes);
  return 0;
}
