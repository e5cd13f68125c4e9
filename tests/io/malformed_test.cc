// SPDX-License-Identifier: Apache-2.0 OR MIT
// One malformed file for each known way that readers of such files have broken, in one table: what
// is wrong, which class of bug it is, what must come out. Every file is read from memory that ends
// at a guard page, and opened from disk, while malloc() and mmap() are counted: at most the size of
// the file and 1 MiB more, whatever the file claims.
//
// The tests of each reader have more files and exact messages; this one is for auditing.
#include <sys/syscall.h>

#include <algorithm>
#include <set>

#include "fuzz/watch.h"
#include "io/packed_files.h"

namespace {
inline std::size_t mapped = 0;
}

#if defined(__GLIBC__) && defined(SYS_mmap) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#if !defined(__has_feature)
#define NIBBLE_COUNTS_MALLOC
#elif !__has_feature(address_sanitizer) && !__has_feature(memory_sanitizer) && \
    !__has_feature(thread_sanitizer)
#define NIBBLE_COUNTS_MALLOC
#endif
#endif

#ifdef NIBBLE_COUNTS_MALLOC
// This program's malloc() and mmap(), of all libraries too. Sanitizers count by themselves.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* malloc(std::size_t size) noexcept {
  fuzz::allocated += size;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  fuzz::allocated += count * size;
  return __libc_calloc(count, size);
}
void* realloc(void* p, std::size_t size) noexcept {
  fuzz::allocated += size;
  return __libc_realloc(p, size);
}
void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  mapped += size;
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, file, offset));
}
}
#endif

using namespace nibble_test;

namespace {

enum class kind : std::uint8_t { in_gguf, in_safetensors, in_npy, in_packed };

struct row {
  kind of;
  const char* bug;   ///< its class
  const char* what;  ///< in this file
  std::string file;
  errc expected;
};

// --- files -------------------------------------------------------------------

constexpr std::uint32_t u8_id = 0, u32_id = 4, bool_id = 7, string_id = 8, array_id = 9;
constexpr std::uint32_t f32_tensor = 0, q4_0_tensor = 2;

std::string gguf_of(const std::vector<std::string>& tensors, std::size_t bytes,
                    const std::vector<std::string>& keys = {}) {
  nibble_test::gguf_file g;
  g.tensors = tensors;
  g.keys = keys;
  g.data = std::string(bytes, 'x');
  return g.file();
}
/// One tensor of four floats, and a key.
std::string gguf_with(const std::string& key) {
  return gguf_of({gguf_tensor("w", {4}, f32_tensor, 0)}, 16, {key});
}
std::string gguf_counts(std::uint64_t tensors, std::uint64_t keys) {
  return "GGUF" + u32(3) + u64(tensors) + u64(keys) + std::string(64, '\0');
}

/// A safetensors file with one tensor of four bytes, or what is said of it.
std::string st(const std::string& of_w, std::size_t bytes = 4) {
  return safetensors("{\"w\":" + of_w + "}", std::string(bytes, 'x'));
}
std::string st_shape(const std::string& shape, const std::string& offsets = "[0,4]") {
  return st(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}");
}

std::string npy_of(const std::string& descr, const std::string& shape, std::size_t bytes = 16) {
  return npy("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }",
             std::string(bytes, 'x'));
}

/// Two matrices; see io/detail/packed_layout.h for the places of fields.
const std::string& packed_good() {
  static const std::string file = [] {
    const auto a = make_packed<int4_g32_f16>(3, 40);
    return saved({{"a", a}, {"b", a}});
  }();
  return file;
}
template <class T>
std::string packed_with(std::size_t at, T value) {
  return with(packed_good(), at, value);
}

const std::vector<row>& table() {
  using enum kind;
  const std::string g_name = gguf_string("k");
  const std::string deep(100'000, '[');
  static const std::vector<row> rows = {
      // A first look at the file.
      {in_gguf, "magic", "GGUF in lower case", "gguf" + gguf_counts(0, 0).substr(4), errc::bad_magic},
      {in_npy, "magic", "NUMPX", "\x93NUMPX" + npy_of("<f4", "(4,)").substr(6), errc::bad_magic},
      {in_packed, "magic", "another first line", with(packed_good(), 3, 'X'), errc::bad_magic},
      {in_safetensors, "magic", "no header but a tensor", u64(4) + "xxxx", errc::malformed},
      {in_gguf, "version", "version 1", "GGUF" + u32(1) + gguf_counts(0, 0).substr(8),
       errc::bad_version},
      {in_gguf, "version", "big-endian", "GGUF" + std::string("\0\0\0\3", 4) + std::string(16, '\0'),
       errc::bad_version},
      {in_npy, "version", "version 4.0", npy_of("<f4", "(4,)").replace(6, 1, 1, '\4'),
       errc::bad_version},
      {in_packed, "version", "version 3", packed_with(8, std::uint32_t{3}), errc::bad_version},

      // Counts and lengths that the file cannot hold.
      {in_gguf, "huge count", "2^64 - 1 tensors", gguf_counts(max_u64, 0), errc::truncated},
      {in_gguf, "huge count", "2^61 keys", gguf_counts(0, std::uint64_t{1} << 61), errc::truncated},
      {in_gguf, "huge count", "an array of 2^64 - 1 strings",
       gguf_with(gguf_key("k", array_id, u32(string_id) + u64(max_u64))), errc::truncated},
      {in_gguf, "size overflow", "an array of 2^62 u32: its size wraps to 0",
       gguf_with(gguf_key("k", array_id, u32(u32_id) + u64(std::uint64_t{1} << 62))),
       errc::truncated},
      {in_packed, "huge count", "2^32 matrices", packed_with(16, std::uint64_t{1} << 32),
       errc::truncated},
      {in_packed, "size overflow", "matrices whose table wraps to 128 bytes",
       packed_with(16, max_u64 / 128 + 2), errc::overflow},
      {in_gguf, "long string", "a key of 2^64 - 1 bytes", "GGUF" + u32(3) + u64(0) + u64(1) +
       u64(max_u64) + std::string(64, 'k'), errc::truncated},
      {in_gguf, "long string", "a value a byte longer than the file",
       "GGUF" + u32(3) + u64(0) + u64(1) + g_name + u32(string_id) + u64(4) + "abc",
       errc::truncated},
      {in_gguf, "long string", "a tensor's name of 2^63 bytes",
       "GGUF" + u32(3) + u64(1) + u64(0) + u64(std::uint64_t{1} << 63) + std::string(64, 'k'),
       errc::truncated},
      {in_safetensors, "long string", "a header of 2^64 - 1 bytes", u64(max_u64) + "{}",
       errc::limit_exceeded},
      {in_safetensors, "long string", "a header a byte longer than the file", u64(3) + "{}",
       errc::truncated},
      {in_safetensors, "long string", "a name without an end", safetensors("{\"w"), errc::malformed},
      {in_npy, "long string", "a header longer than the file",
       npy_of("<f4", "(4,)").replace(8, 2, "\xFF\xFF"), errc::truncated},
      {in_npy, "long string", "version 2 with a header of 4 GiB",
       "\x93NUMPY" + std::string("\2\0", 2) + u32(0xFFFFFFFFu) + "{", errc::limit_exceeded},
      {in_packed, "long string", "a name of 4 GiB", packed_with(entry(0) + 8, ~std::uint32_t{0}),
       errc::limit_exceeded},
      {in_packed, "long string", "a name that runs into the data",
       packed_with(entry(1) + 8, std::uint32_t{40}), errc::out_of_bounds},

      // Shapes.
      {in_gguf, "size overflow", "dimensions whose product is 0 modulo 2^64",
       gguf_of({gguf_tensor("w", {1u << 31, 1u << 31, 4}, f32_tensor, 0)}, 16), errc::overflow},
      {in_gguf, "size overflow", "a size in bytes of 16 modulo 2^64",
       gguf_of({gguf_tensor("w", {(std::uint64_t{1} << 62) + 4}, f32_tensor, 0)}, 16),
       errc::overflow},
      {in_safetensors, "size overflow", "dimensions whose product wraps to 1",
       st_shape("[4294967297,4294967295,2]"), errc::overflow},
      {in_safetensors, "size overflow", "an overflow hidden behind a 0",
       st_shape("[4294967296,4294967296,0]", "[0,0]"), errc::overflow},
      {in_npy, "size overflow", "2^62 + 1 floats", npy_of("<f4", "(4611686018427387905,)"),
       errc::overflow},
      {in_npy, "size overflow", "2^32 x 2^32", npy_of("<f4", "(4294967296, 4294967296)"),
       errc::overflow},
      {in_packed, "size overflow", "2^64 - 1 rows", packed_with(entry(0) + 24, max_u64),
       errc::overflow},
      {in_packed, "wrapped padding", "rows that padding to 16 wraps to 0",
       packed_with(entry(0) + 24, max_u64 - 3), errc::overflow},
      {in_packed, "wrapped padding", "columns that padding to 32 wraps to 0",
       packed_with(entry(0) + 32, max_u64 - 7), errc::overflow},
      {in_gguf, "wrapped padding", "an offset that alignment wraps",
       gguf_of({gguf_tensor("w", {4}, f32_tensor, max_u64 - 31)}, 16), errc::out_of_bounds},
      {in_gguf, "zero dimension", "[4, 0] with bytes",
       gguf_of({gguf_tensor("w", {4, 0}, f32_tensor, 0)}, 32), errc::malformed},
      {in_gguf, "zero dimension", "[0, 2^64 - 1], which hides an overflow",
       gguf_of({gguf_tensor("w", {max_u64, 0}, f32_tensor, 0)}, 16), errc::overflow},
      {in_packed, "zero dimension", "no columns, but the bytes of some",
       packed_with(entry(0) + 32, std::uint64_t{0}), errc::shape_mismatch},
      {in_packed, "zero dimension", "a super-scale per 0 blocks",
       packed_with(entry(0) + 56, std::uint64_t{0}), errc::malformed},
      {in_safetensors, "zero dimension", "an empty tensor with bytes", st_shape("[0]"),
       errc::shape_mismatch},
      {in_gguf, "rank", "five dimensions",
       gguf_of({gguf_tensor("w", {1, 1, 1, 1, 4}, f32_tensor, 0)}, 16), errc::limit_exceeded},
      {in_gguf, "rank", "2^32 - 1 dimensions",
       "GGUF" + u32(3) + u64(1) + u64(0) + gguf_string("w") + u32(~0u) + std::string(64, '\1'),
       errc::limit_exceeded},
      {in_safetensors, "rank", "nine dimensions", st_shape("[1,1,1,1,1,1,1,1,1]"),
       errc::limit_exceeded},
      {in_npy, "rank", "nine dimensions", npy_of("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 4)"),
       errc::limit_exceeded},
      {in_gguf, "wrong size", "rows of 33 values, whole blocks in all",
       gguf_of({gguf_tensor("w", {33, 32}, q4_0_tensor, 0)}, 594), errc::shape_mismatch},
      {in_gguf, "wrong size", "a row that is no whole block",
       gguf_of({gguf_tensor("w", {33}, q4_0_tensor, 0)}, 32), errc::shape_mismatch},
      {in_safetensors, "wrong size", "more bytes than the shape has", st_shape("[2]"),
       errc::shape_mismatch},
      {in_packed, "wrong size", "a row of panels more", packed_with(entry(0) + 24, std::uint64_t{17}),
       errc::shape_mismatch},

      // Types.
      {in_gguf, "wrong type", "a tensor of type 200", gguf_of({gguf_tensor("w", {4}, 200, 0)}, 16),
       errc::unknown_type},
      {in_gguf, "wrong type", "a value of type 13", gguf_with(gguf_key("k", 13, "x")),
       errc::unknown_type},
      {in_gguf, "wrong type", "a boolean of 2", gguf_with(gguf_key("k", bool_id, "\2")),
       errc::malformed},
      {in_safetensors, "wrong type", "F33",
       st(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})"), errc::unknown_type},
      {in_safetensors, "wrong type", "a shape of strings", st_shape(R"(["1"])"), errc::malformed},
      {in_npy, "wrong type", "Python objects", npy_of("|O", "(2,)"), errc::unknown_type},
      {in_npy, "wrong type", "big-endian", npy_of(">f4", "(4,)"), errc::unknown_type},
      {in_npy, "wrong type", "a structure",
       npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }", "x"),
       errc::unknown_type},
      {in_packed, "wrong type", "codes of 9 bits", packed_with(entry(0) + 48, '\x09'),
       errc::malformed},
      {in_packed, "wrong type", "scales of 3 bytes", packed_with(entry(0) + 49, '\3'),
       errc::malformed},

      // Names.
      {in_gguf, "duplicate name", "two tensors",
       gguf_of({gguf_tensor("w", {4}, f32_tensor, 0), gguf_tensor("w", {4}, f32_tensor, 32)}, 48),
       errc::duplicate_name},
      {in_gguf, "duplicate name", "two keys",
       gguf_of({}, 0, {gguf_key("k", u8_id, "a"), gguf_key("k", u8_id, "b")}),
       errc::duplicate_name},
      {in_safetensors, "duplicate name", "two tensors, one with an escape",
       safetensors(R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("\u0077":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})",
                   "xxxx"),
       errc::duplicate_name},
      {in_safetensors, "duplicate key", "dtype",
       st(R"({"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]})"),
       errc::duplicate_name},
      {in_safetensors, "duplicate key", "__metadata__",
       safetensors(R"({"__metadata__":{},"__metadata__":{}})"), errc::duplicate_name},
      {in_npy, "duplicate key", "shape",
       npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'shape': (4,), }",
           std::string(16, 'x')),
       errc::duplicate_name},
      {in_packed, "duplicate name", "two matrices", [] {
         std::string twins = packed_good();
         twins[entry(2) + 1 + 12] = 'a';  // "aint4_g32_f16b..."
         return with_checksum(twins);
       }(), errc::duplicate_name},
      {in_gguf, "no UTF-8", "a key", gguf_with(gguf_key("\xFF", u8_id, "x")), errc::malformed},
      {in_gguf, "no UTF-8", "a tensor's name, overlong",
       gguf_of({gguf_tensor("\xC0\xAF", {4}, f32_tensor, 0)}, 16), errc::malformed},
      {in_safetensors, "no UTF-8", "a lone continuation byte",
       safetensors("{\"\x80\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
       errc::malformed},
      {in_safetensors, "no UTF-8", "a high surrogate and no low one",
       safetensors(R"({"\ud800\uffff":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
       errc::malformed},
      {in_safetensors, "no UTF-8", "a raw control character",
       safetensors("{\"\x1F\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
       errc::malformed},
      {in_safetensors, "no UTF-8", "half a surrogate pair",
       safetensors(R"({"\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
       errc::malformed},

      // Places.
      {in_gguf, "alignment", "an alignment of 0",
       gguf_with(gguf_key("general.alignment", u32_id, u32(0))), errc::malformed},
      {in_gguf, "alignment", "an alignment of 4, which the data keep",
       [] {
         nibble_test::gguf_file g;
         g.tensors = {gguf_tensor("w", {4}, f32_tensor, 0)};
         g.keys = {gguf_key("general.alignment", u32_id, u32(4))};
         g.data = std::string(16, 'x');
         g.alignment = 4;
         return g.file();
       }(),
       errc::malformed},
      {in_gguf, "alignment", "an alignment of 24",
       gguf_with(gguf_key("general.alignment", u32_id, u32(24))), errc::malformed},
      {in_gguf, "alignment", "an alignment of 2^31",
       gguf_with(gguf_key("general.alignment", u32_id, u32(1u << 31))), errc::malformed},
      {in_gguf, "alignment", "an offset of 8", gguf_of({gguf_tensor("w", {4}, f32_tensor, 8)}, 24),
       errc::malformed},
      {in_gguf, "alignment", "an offset of 4", gguf_of({gguf_tensor("w", {4}, f32_tensor, 4)}, 20),
       errc::malformed},
      {in_packed, "alignment", "an offset of 32 modulo 64", packed_with(entry(0) + 80, '\x20'),
       errc::malformed},
      {in_gguf, "offset", "behind the end", gguf_of({gguf_tensor("w", {4}, f32_tensor, 64)}, 16),
       errc::out_of_bounds},
      {in_safetensors, "offset", "negative", st_shape("[1]", "[-4,0]"), errc::malformed},
      {in_safetensors, "offset", "2^64", st_shape("[1]", "[0,18446744073709551616]"),
       errc::overflow},
      {in_safetensors, "offset", "end before begin", st_shape("[1]", "[4,0]"), errc::malformed},
      {in_safetensors, "offset", "begin and end near 2^64",
       st_shape("[1]", "[18446744073709551608,18446744073709551612]"), errc::out_of_bounds},
      {in_packed, "offset", "2^64 - 64", packed_with(entry(0) + 80, max_u64 - 63),
       errc::out_of_bounds},
      {in_gguf, "overlap", "two tensors on the same bytes",
       gguf_of({gguf_tensor("a", {4}, f32_tensor, 0), gguf_tensor("b", {4}, f32_tensor, 0)}, 16),
       errc::overlap},
      {in_safetensors, "overlap", "two tensors share a byte",
       safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                   R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                   "xxxx"),
       errc::overlap},
      {in_packed, "overlap", "a matrix in the table", packed_with(entry(0) + 80, std::uint64_t{0}),
       errc::overlap},
      {in_gguf, "uncovered bytes", "64 bytes behind the last tensor",
       gguf_of({gguf_tensor("w", {4}, f32_tensor, 0)}, 80), errc::malformed},
      {in_safetensors, "uncovered bytes", "a byte between two tensors",
       safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                   "xxx"),
       errc::malformed},
      {in_npy, "uncovered bytes", "a byte behind the array", npy_of("<f4", "(4,)", 17),
       errc::malformed},
      {in_packed, "uncovered bytes", "a byte more than the header says", packed_good() + "x",
       errc::malformed},
      {in_packed, "uncovered bytes", "64 bytes behind the last matrix",
       with(packed_good() + std::string(64, '\0'), 32, std::uint64_t{packed_good().size() + 64}),
       errc::malformed},
      {in_npy, "truncated data", "a byte short", npy_of("<f4", "(4,)", 15), errc::truncated},
      {in_packed, "truncated data", "a byte short", packed_good().substr(0, packed_good().size() - 1),
       errc::truncated},

      // Nesting and numbers.
      {in_gguf, "nesting", "arrays in arrays, five deep",
       gguf_with(gguf_key("k", array_id,
                          u32(array_id) + u64(1) + u32(array_id) + u64(1) + u32(array_id) +
                              u64(1) + u32(array_id) + u64(1) + u32(u8_id) + u64(1) + "x")),
       errc::limit_exceeded},
      {in_safetensors, "nesting", "100,000 brackets", st("{\"x\":" + deep), errc::limit_exceeded},
      {in_safetensors, "nesting", "100,000 braces in braces",
       [] {
         std::string text;
         for (int i = 0; i < 100'000; ++i) text += "{\"x\":";
         return st(text);
       }(),
       errc::limit_exceeded},
      {in_safetensors, "number", "1e999999999 as a dimension", st_shape("[1e999999999]"),
       errc::malformed},
      {in_safetensors, "number", "a number of 10,000 digits",
       st_shape("[1" + std::string(10'000, '0') + "]"), errc::overflow},
      {in_safetensors, "number", "1e999999999 in a key that is skipped, then no dtype",
       st(R"({"x":1e999999999})"), errc::malformed},
      {in_npy, "number", "a dimension of 10,000 digits",
       npy_of("<f4", "(1" + std::string(10'000, '0') + ",)"), errc::overflow},
      {in_npy, "number", "a negative dimension", npy_of("<f4", "(-4,)"), errc::malformed},
      {in_npy, "number", "no tuple", npy_of("<f4", "(4)"), errc::malformed},

      // What nobody reads, and sums.
      {in_packed, "reserved", "a byte of the header", packed_with(12, '\1'), errc::malformed},
      {in_packed, "reserved", "a byte of an entry", packed_with(entry(0) + 127, '\1'),
       errc::malformed},
      {in_packed, "checksum", "a bit of the table",
       std::string(packed_good())
           .replace(packed_good().size() > 40 ? 40 : 0, 1, 1, static_cast<char>(packed_good()[40] ^ 1)),
       errc::malformed},
  };
  return rows;
}

errc read(kind of, std::span<const std::byte> bytes) {
  switch (of) {
    case kind::in_gguf: return nibble::read_gguf(bytes).error();
    case kind::in_safetensors: return nibble::read_safetensors(bytes).error();
    case kind::in_npy: return nibble::read_npy(bytes).error();
    default: return nibble::read_packed(bytes).error();
  }
}

errc open(kind of, const char* path) {
  if (of == kind::in_packed) return nibble::load_packed(path).error();
  return nibble::open_tensors(path).error();
}

void write(const temporary_path& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.name.c_str(), "wb");
  REQUIRE(file != nullptr);
  REQUIRE(std::fwrite(text.data(), 1, text.size(), file) == text.size());
  REQUIRE(std::fclose(file) == 0);
}

/// What fn allocates in all, freed or not; checked against the promise.
template <class Fn>
errc within_memory(std::size_t file_bytes, Fn&& fn) {
  fuzz::watch_malloc();
  fuzz::allocated = 0;
  mapped = 0;
  const errc e = fn();
  const std::size_t allocated = fuzz::allocated;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  CHECK(allocated <= file_bytes + (std::size_t{1} << 20));
  CHECK(mapped <= (file_bytes + page - 1) / page * page);
  return e;
}

}  // namespace

TEST_CASE("malformed files: every class of bug gives its error in bounded memory") {
  CHECK(table().size() >= 60);
  std::set<std::string> names;
  std::set<std::string> bugs;
  for (const row& r : table()) {
    INFO(r.bug << ": " << r.what);
    bugs.insert(r.bug);
    CHECK(names.insert(std::to_string(int(r.of)) + r.bug + r.what).second);
    const guarded copy(r.file);
    const errc in_memory = within_memory(r.file.size(), [&] { return read(r.of, copy.bytes()); });
    INFO("got: " << nibble::message(in_memory));
    CHECK(static_cast<int>(in_memory) == static_cast<int>(r.expected));
    const temporary_path path;
    write(path, r.file);
    const errc on_disk =
        within_memory(r.file.size(), [&] { return open(r.of, path.name.c_str()); });
    // open_tensors() goes by the first bytes, and may find another error in these.
    const bool by_magic = r.file.size() < 9 || std::string_view(r.bug) == "magic" ||
                          (r.of == kind::in_safetensors && r.file[8] != '{');
    CHECK(on_disk != errc::ok);
    if (!by_magic) CHECK(static_cast<int>(on_disk) == static_cast<int>(r.expected));
  }
  std::printf("%zu malformed files of %zu classes of bugs\n", table().size(), bugs.size());
}

TEST_CASE("malformed files: a good file cut anywhere is an error in bounded memory") {
  const row good[] = {
      {kind::in_gguf, "", "", gguf_of({gguf_tensor("w", {4}, f32_tensor, 0)}, 16), errc::ok},
      {kind::in_safetensors, "", "", st_shape("[1]"), errc::ok},
      {kind::in_npy, "", "", npy_of("<f4", "(4,)"), errc::ok},
      {kind::in_packed, "", "", packed_good(), errc::ok},
  };
  for (const row& g : good) {
    const guarded whole(g.file);
    INFO(static_cast<int>(g.of));
    CHECK(read(g.of, whole.bytes()) == errc::ok);
    for (std::size_t n = 0; n < g.file.size(); ++n) {
      INFO(n << " of " << g.file.size() << " bytes");
      const guarded cut(std::string_view(g.file).substr(0, n));
      const errc e = within_memory(n, [&] { return read(g.of, cut.bytes()); });
      const bool in_magic = g.of != kind::in_safetensors && n < 8;  // too short to be of its kind
      CHECK(
          (e == errc::truncated || e == errc::out_of_bounds || (in_magic && e == errc::bad_magic)));
    }
  }
}

TEST_CASE("malformed files: the longest key that is allowed, and one byte more") {
  const auto file = [](std::size_t n) {
    return gguf_of({}, 0, {gguf_key(std::string(n, 'k'), u8_id, "x")});
  };
  const guarded longest(file(65535));
  const guarded longer(file(65536));
  CHECK(read(kind::in_gguf, longest.bytes()) == errc::ok);
  CHECK(read(kind::in_gguf, longer.bytes()) == errc::limit_exceeded);
}
