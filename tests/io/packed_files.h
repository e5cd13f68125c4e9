// SPDX-License-Identifier: Apache-2.0 OR MIT
// For tests of packed files: matrices saved to bytes, a field made wrong and the checksum right
// again, a read that watches memory.
#ifndef NIBBLE_TESTS_IO_PACKED_FILES_H_
#define NIBBLE_TESTS_IO_PACKED_FILES_H_

#include <cstdlib>

#include "io/files.h"
#include "nibble/io/packed_file.h"
#include "nibble/quantize.h"

namespace nibble_test {

using namespace nibble;

inline constexpr std::size_t rows = 19;
inline constexpr std::size_t cols = 96;

inline std::vector<float> some_floats(std::size_t n, std::size_t k) {
  std::vector<float> x(n * k);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) * 0.02f - 1.0f;
  return x;
}

template <class F>
packed_matrix<F> make_packed(std::size_t n = rows, std::size_t k = cols) {
  const std::vector<float> x = some_floats(n, k);
  const auto q = quantize<F>(matrix_view<const float>(x.data(), n, k));
  REQUIRE(q.has_value());
  auto p = pack(*q);
  REQUIRE(p.has_value());
  return std::move(*p);
}

struct temporary_path {
  static inline int count = 0;
  std::string name = "packed_file_test." + std::to_string(getpid()) + '.' + std::to_string(++count);
  ~temporary_path() { std::remove(name.c_str()); }
};

inline std::string bytes_of(const char* path) {
  std::string all;
  std::FILE* const file = std::fopen(path, "rb");
  REQUIRE(file != nullptr);
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) != 0;) all.append(buffer, n);
  std::fclose(file);
  return all;
}

inline std::string saved(const std::vector<named_packed>& matrices) {
  const temporary_path path;
  REQUIRE(save_packed(path.name.c_str(), matrices) == errc::ok);
  return bytes_of(path.name.c_str());
}

constexpr std::size_t entry(std::size_t i) {
  return detail::packed_header_bytes + i * detail::packed_entry_bytes;
}

// The table's checksum made right again, so that the field itself is what is wrong.
inline std::string with_checksum(std::string file) {
  using detail::packed_header_bytes;
  if (file.size() < packed_header_bytes) return file;
  const auto at = [&file](std::size_t i) {
    std::uint64_t v;
    std::memcpy(&v, file.data() + i, 8);
    return v;
  };
  const std::uint64_t end = packed_header_bytes + at(16) * detail::packed_entry_bytes + at(24);
  if (end > file.size() || at(16) > file.size()) return file;
  std::memset(file.data() + detail::packed_checksum_at, 0, 8);
  const std::uint64_t sum =
      detail::hash_bytes(std::as_bytes(std::span(file)).first(static_cast<std::size_t>(end)));
  std::memcpy(file.data() + detail::packed_checksum_at, &sum, 8);
  return file;
}

template <class T>
std::string with(std::string file, std::size_t at, T value) {
  std::memcpy(file.data() + at, &value, sizeof value);
  return with_checksum(std::move(file));
}

template <class Check>
void read_and(std::string_view file, Check check) {
  const guarded copy(file);
  error_note note;
  const std::size_t before = allocation_count::live;
  allocation_count::peak = before;
  const auto result = read_packed(copy.bytes(), &note);
  INFO("note: " << note.text);
  CHECK(allocation_count::peak - before <= file.size() + (std::size_t{1} << 20));
  check(result, note, copy.bytes());
}

inline void require_error(std::string_view file, errc expected) {
  read_and(file, [expected](const auto& result, const error_note& note, auto) {
    INFO("got: " << message(result.error()));
    CHECK(static_cast<int>(result.error()) == static_cast<int>(expected));
    CHECK(note.text[0] != '\0');
  });
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_IO_PACKED_FILES_H_
