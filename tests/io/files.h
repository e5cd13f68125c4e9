// SPDX-License-Identifier: Apache-2.0 OR MIT
// For the reader tests: small files made in memory, memory that ends at a guard page, and a count
// of what a reader allocates.
#ifndef NIBBLE_TESTS_IO_FILES_H_
#define NIBBLE_TESTS_IO_FILES_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/io/open_tensors.h"
#include "support/catch.h"

namespace nibble_test {

// --- counting: one program, one thread, so plain variables do ---------------------------------

struct allocation_count {
  static inline std::size_t live = 0;
  static inline std::size_t peak = 0;
  static inline bool fail_all = false;  // operator new(nothrow) returns null
};

}  // namespace nibble_test

// The size stands in front of each block. This header is included by one file per program.
inline void* counted_new(std::size_t size) noexcept {
  using count = nibble_test::allocation_count;
  auto* block = static_cast<std::size_t*>(std::malloc(size + 16));
  if (block == nullptr) return nullptr;
  *block = size;
  count::live += size;
  if (count::live > count::peak) count::peak = count::live;
  return block + 16 / sizeof(std::size_t);
}

void* operator new(std::size_t size) {
  void* const p = counted_new(size);
  if (p == nullptr) std::abort();
  return p;
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return nibble_test::allocation_count::fail_all ? nullptr : counted_new(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* p) noexcept {
  if (p == nullptr) return;
  auto* const block = static_cast<std::size_t*>(p) - 16 / sizeof(std::size_t);
  nibble_test::allocation_count::live -= *block;
  std::free(block);
}
void operator delete[](void* p) noexcept { operator delete(p); }
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
void operator delete[](void* p, std::size_t) noexcept { operator delete(p); }

namespace nibble_test {

// Bytes that end where an unreadable page begins: one byte read too far stops the test.
class guarded {
 public:
  explicit guarded(std::string_view text) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t room = (text.size() + page - 1) / page * page;
    mapped_bytes_ = room + page;
    mapping_ = static_cast<char*>(
        mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (mapping_ == MAP_FAILED || mprotect(mapping_ + room, page, PROT_NONE) != 0) std::abort();
    char* const begin = mapping_ + room - text.size();
    if (!text.empty()) std::memcpy(begin, text.data(), text.size());
    bytes_ = std::as_bytes(std::span<const char>(begin, text.size()));
  }
  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;
  ~guarded() { munmap(mapping_, mapped_bytes_); }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  char* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::span<const std::byte> bytes_;
};

// --- little-endian fields ---------------------------------------------------------------------

template <class T>
std::string le(T value) {
  std::string out;
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));  // the test machine is little-endian
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}
inline std::string u32(std::uint32_t v) { return le(v); }
inline std::string u64(std::uint64_t v) { return le(v); }

inline std::string data_of(std::initializer_list<float> values) {
  std::string out;
  for (const float v : values) out += le(v);
  return out;
}

inline constexpr std::uint64_t max_u64 = ~std::uint64_t{0};

// --- safetensors and npy ----------------------------------------------------------------------

inline std::string safetensors(const std::string& header, const std::string& data = "") {
  return u64(header.size()) + header + data;
}

// Version 1, header padded as NumPy pads it.
inline std::string npy(const std::string& dictionary, const std::string& data = "") {
  std::string header = dictionary;
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  return "\x93NUMPY" + std::string("\x01\x00", 2) + le(static_cast<std::uint16_t>(header.size())) +
         header + data;
}

// --- gguf -------------------------------------------------------------------------------------

inline std::string gguf_string(const std::string& s) { return u64(s.size()) + s; }

inline std::string gguf_key(const std::string& key, std::uint32_t type, const std::string& value) {
  return gguf_string(key) + u32(type) + value;
}

// Dimensions innermost first, as the file has them.
inline std::string gguf_tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                               std::uint32_t type, std::uint64_t offset) {
  std::string out = gguf_string(name) + u32(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t d : dims) out += u64(d);
  return out + u32(type) + u64(offset);
}

struct gguf_file {
  std::vector<std::string> keys;
  std::vector<std::string> tensors;
  std::string data;
  std::uint32_t version = 3;
  std::size_t alignment = 32;

  std::string file() const {
    std::string out = "GGUF" + u32(version) + u64(tensors.size()) + u64(keys.size());
    for (const std::string& key : keys) out += key;
    for (const std::string& tensor : tensors) out += tensor;
    if (!data.empty()) {
      while (out.size() % alignment != 0) out += '\0';
    }
    return out + data;
  }
};

// --- expectations -----------------------------------------------------------------------------

using reader = nibble::result<nibble::tensor_file>(std::span<const std::byte>,
                                                   nibble::error_note*) noexcept;

// Runs the reader on a guarded copy and checks that it keeps to its memory limit.
template <class Check>
void read_guarded(reader* read, std::string_view file, Check check) {
  const guarded copy(file);
  nibble::error_note note;
  const std::size_t before = allocation_count::live;
  allocation_count::peak = before;
  const nibble::result<nibble::tensor_file> result = read(copy.bytes(), &note);
  const std::size_t allocated = allocation_count::peak - before;
  INFO("note: " << note.text);
  CHECK(allocated <= file.size() + (std::size_t{1} << 20));
  check(result, note);
}

inline void require_error(reader* read, std::string_view file, nibble::errc expected) {
  read_guarded(read, file, [expected](const auto& result, const nibble::error_note& note) {
    INFO("got: " << nibble::message(result.error()));
    CHECK(static_cast<int>(result.error()) == static_cast<int>(expected));
    CHECK(note.text[0] != '\0');
    for (const char* c = note.text; *c != '\0'; ++c) CHECK((*c >= ' ' && *c <= '~'));
  });
}

// What every accepted file has, however it was made.
inline void check_invariants(const nibble::tensor_file& file, std::span<const std::byte> bytes) {
  std::vector<char> taken(bytes.size());
  for (const nibble::tensor_info& t : file.tensors()) {
    const auto begin = static_cast<std::size_t>(t.data.data() - bytes.data());
    REQUIRE(begin <= bytes.size());
    REQUIRE(t.data.size() <= bytes.size() - begin);
    const nibble::tensor_type_info& type = describe(t.type);
    REQUIRE(t.num_values() / type.block_values * type.block_bytes == t.data.size());
    for (std::size_t i = begin; i < begin + t.data.size(); ++i) REQUIRE(taken[i]++ == 0);
    REQUIRE(file.find(t.name) == &t);
  }
  for (const nibble::metadata_entry& e : file.metadata()) {
    REQUIRE(file.find_metadata(e.key) == &e);
  }
}

// One malformed file of a table: the bug class, the file, what must come out.
struct malformed_file {
  const char* what;
  std::string file;
  nibble::errc expected;
};

inline void require_errors(reader* read, const std::vector<malformed_file>& table) {
  for (const malformed_file& f : table) {
    INFO(f.what);
    require_error(read, f.file, f.expected);
    // Found by its first bytes it gives the same, unless these are what is wrong.
    read_guarded(nibble::read_tensors, f.file,
                 [](const auto& result, const auto&) { CHECK_FALSE(result.has_value()); });
  }
}

// Every byte of a valid file replaced by others: no crash, no over-read, no broken promise.
inline void require_no_surprise_after_damage(reader* read, const std::string& valid) {
  for (std::size_t i = 0; i < valid.size(); ++i) {
    for (const int change : {0x01, 0x02, 0x10, 0x20, 0x80, 0xFF}) {
      std::string file = valid;
      file[i] = static_cast<char>(file[i] ^ change);
      const guarded copy(file);
      const auto result = read(copy.bytes(), nullptr);
      if (result) check_invariants(*result, copy.bytes());
    }
  }
}

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_IO_FILES_H_
