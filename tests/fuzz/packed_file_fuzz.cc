// SPDX-License-Identifier: Apache-2.0 OR MIT
// Fuzzes the reader of packed files. cmake/fuzz.sh builds and runs it.
//
// Stops at a crash, an over-read, more memory than promised, or an accepted file that breaks what
// packed_file promises. Every input is read twice: as it is, and with the checksum of its table
// made right, which else keeps all but a few from being accepted.
#include <cstring>
#include <vector>

#include "nibble/io/packed_file.h"
#include "watch.h"

namespace {

using fuzz::allocated;
using fuzz::require;

template <class F>
void check_format(const nibble::packed_file& file, const nibble::packed_entry& e) {
  const auto w = file.get<F>(e.name);
  if (!w) return;
  require(e.format == F::name, "a matrix has the format of its name");
  const auto z = nibble::detail::packed_sizes_of<F>(w->data.shape, w->data.super_every);
  require(z.total + e.sizes_of_outliers().total == e.bytes.size(),
          "a matrix has the size of its shape");
  std::uint8_t all = 0;  // every byte can be read
  for (std::size_t i = 0; i < z.bytes[0]; ++i) all |= w->data.codes[i];
  for (std::size_t p = 0; p < nibble::detail::num_parts; ++p) {
    for (std::size_t i = 0; i < z.bytes[1 + p]; ++i) all |= w->data.parts[p][i];
  }
  float sum = 0;
  nibble::for_each_outlier(w->data.outliers, w->rows(), w->cols(),
                           [&](std::size_t row, std::size_t col, float v) {
                             require(row < w->rows() && col < w->cols(), "outliers lie in w");
                             sum += v;
                           });
  require((all == 0 && sum == 0) || e.bytes.size() != 0, "bytes come from the file");
}

void run(std::span<const std::byte> bytes) {
  nibble::error_note note;
  allocated = 0;
  const auto file = nibble::read_packed(bytes, &note);
  require(allocated <= bytes.size() + (std::size_t{1} << 20), "memory is bounded");
  require(std::memchr(note.text, 0, sizeof(note.text)) != nullptr, "the note ends");
  if (!file) {
    require(note.text[0] != '\0', "an error has a note");
    return;
  }
  std::uint64_t used = 0;
  for (const nibble::packed_entry& e : file->entries()) {
    require(file->find(e.name) == &e, "a matrix is found by its name");
    require(e.bytes.data() >= bytes.data() &&
                e.bytes.data() + e.bytes.size() <= bytes.data() + bytes.size(),
            "data lies in the file");
    require(e.total() == e.bytes.size(), "data has the size of its shape");
    used += e.bytes.size();
    const auto tensor = file->tensor(e.name);
    const auto text = file->text(e.name);
    require(tensor.has_value() == (e.content == nibble::packed_content::tensor),
            "tensors are found");
    require(text.has_value() == (e.content == nibble::packed_content::text), "texts are found");
    std::byte all{};  // every byte can be read
    for (const std::byte b : e.plain()) all |= b;
    require(all == std::byte{0} || e.content != nibble::packed_content::matrix, "plain bytes");
    if (tensor) require(tensor->num_values() <= tensor->data.size(), "a tensor has its bytes");
    check_format<nibble::int4_g32_f16>(*file, e);
    check_format<nibble::gguf::q4_K>(*file, e);
    check_format<nibble::nf4_g64_dq>(*file, e);
    static_cast<void>(file->verify(e));
  }
  require(used <= bytes.size(), "no two matrices share a byte");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::watch_malloc();
  run(std::as_bytes(std::span(data, size)));
  if (size < nibble::detail::packed_header_bytes) return 0;
  std::vector<std::byte> copy(size);
  std::memcpy(copy.data(), data, size);
  const auto count = nibble::detail::load_le<std::uint64_t>(copy.data() + 16);
  const auto text = nibble::detail::load_le<std::uint64_t>(copy.data() + 24);
  if (count > size || text > size) return 0;
  const std::uint64_t end =
      nibble::detail::packed_header_bytes + count * nibble::detail::packed_entry_bytes + text;
  if (end > size) return 0;
  std::byte* const sum = copy.data() + nibble::detail::packed_checksum_at;
  std::memset(sum, 0, 8);
  const std::uint64_t right =
      nibble::detail::hash_bytes(std::span(copy).first(static_cast<std::size_t>(end)));
  std::memcpy(sum, &right, 8);
  run(copy);
  return 0;
}
