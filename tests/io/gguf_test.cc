// SPDX-License-Identifier: Apache-2.0 OR MIT
// read_gguf(): good files, a table of malformed ones, files cut and damaged everywhere.
#include "nibble/io/gguf.h"

#include "io/files.h"
#include "nibble/io/read_rows.h"

using namespace nibble;
using namespace nibble_test;

namespace {

constexpr std::uint32_t u8_type = 0, u32_type = 4, bool_type = 7, string_type = 8, array_type = 9;
constexpr std::uint32_t f32_id = 0, q4_0_id = 2, i8_id = 24, q6_k_id = 14, f64_id = 28;

std::string array_of(std::uint32_t type, std::uint64_t count, const std::string& items = "") {
  return u32(type) + u64(count) + items;
}

// A Q4_0 matrix [2 x 64], three floats, one key of every kind.
gguf_file small() {
  gguf_file g;
  g.keys = {
      gguf_key("general.architecture", string_type, gguf_string("llama")),
      gguf_key("a.u8", 0, "\xFF"),
      gguf_key("a.i8", 1, "\xFF"),
      gguf_key("a.u16", 2, le(std::uint16_t{65535})),
      gguf_key("a.i16", 3, le(std::int16_t{-2})),
      gguf_key("a.u32", 4, u32(4000000000u)),
      gguf_key("a.i32", 5, le(std::int32_t{-3})),
      gguf_key("a.f32", 6, le(1.5f)),
      gguf_key("a.bool", 7, "\1"),
      gguf_key("a.u64", 10, u64(max_u64)),
      gguf_key("a.i64", 11, le(std::int64_t{-4})),
      gguf_key("a.f64", 12, le(-2.25)),
      gguf_key("a.empty", array_type, array_of(string_type, 0)),
      gguf_key("a.words", array_type,
               array_of(string_type, 2, gguf_string("one") + gguf_string(""))),
      gguf_key("a.nested", array_type,
               array_of(array_type, 2, array_of(u8_type, 3, "abc") + array_of(bool_type, 0))),
  };
  g.tensors = {gguf_tensor("blk.0.w", {64, 2}, q4_0_id, 0),
               gguf_tensor("blk.0.b", {3}, f32_id, 96)};
  g.data = std::string(2 * 2 * 18, 'q') + std::string(24, '\0') + data_of({1, 2, 3});
  return g;
}

// One f32 tensor of four values; `change` spoils it.
template <class Change>
std::string spoiled(Change change) {
  gguf_file g;
  g.tensors = {gguf_tensor("w", {4}, f32_id, 0)};
  g.data = std::string(16, 'x');
  change(g);
  return g.file();
}

std::string with_tensors(const std::vector<std::string>& tensors, std::size_t bytes) {
  return spoiled([&](gguf_file& g) {
    g.tensors = tensors;
    g.data = std::string(bytes, 'x');
  });
}

std::string with_key(const std::string& key) {
  return spoiled([&](gguf_file& g) { g.keys = {key}; });
}

std::string nested_array(int depth) {
  std::string value = u32(u8_type) + u64(0);
  for (int i = 1; i < depth; ++i) value = array_of(array_type, 1, value);
  return gguf_key("a", array_type, value);
}

}  // namespace

TEST_CASE("gguf: tensors are found, their dimensions outermost first") {
  for (const std::uint32_t version : {2u, 3u}) {
    gguf_file g = small();
    g.version = version;
    read_guarded(read_gguf, g.file(), [version](const auto& file, const auto&) {
      REQUIRE(file.has_value());
      CHECK(file->kind() == file_kind::gguf);
      CHECK(file->version() == version);
      REQUIRE(file->tensors().size() == 2);
      const tensor_info& w = file->tensors()[0];
      CHECK(file->find("blk.0.w") == &w);
      CHECK(w.type == tensor_type::q4_0);
      CHECK(w.rows() == 2);
      CHECK(w.cols() == 64);
      CHECK(w.data.size() == 72);
      CHECK(w.data[71] == std::byte{'q'});
      const tensor_info& b = file->tensors()[1];
      CHECK(b.rows() == 1);
      CHECK(b.cols() == 3);
      CHECK(detail::load_le<float>(b.data.data() + 8) == 3.0f);
    });
  }
}

TEST_CASE("gguf: metadata of every type is found") {
  read_guarded(read_gguf, small().file(), [](const auto& file, const auto&) {
    REQUIRE(file.has_value());
    const auto& get = [&file](const char* key) {
      const metadata_entry* entry = file->find_metadata(key);
      REQUIRE(entry != nullptr);
      return *entry;
    };
    CHECK(get("general.architecture").as_string() == "llama");
    CHECK_FALSE(get("general.architecture").as_f64().has_value());
    CHECK(get("a.u8").as_u64() == 255u);
    CHECK(get("a.u8").as_f64() == 255.0);
    CHECK_FALSE(get("a.i8").as_u64().has_value());
    CHECK(get("a.i8").as_f64() == -1.0);
    CHECK(get("a.u16").as_u64() == 65535u);
    CHECK(get("a.i16").as_f64() == -2.0);
    CHECK(get("a.u32").as_u64() == 4000000000u);
    CHECK(get("a.i32").as_f64() == -3.0);
    CHECK(get("a.f32").as_f64() == 1.5);
    CHECK_FALSE(get("a.f32").as_u64().has_value());
    CHECK_FALSE(get("a.f32").as_string().has_value());
    CHECK(get("a.bool").as_u64() == 1u);
    CHECK(get("a.u64").as_u64() == max_u64);
    CHECK(get("a.i64").as_f64() == -4.0);
    CHECK(get("a.f64").as_f64() == -2.25);
    CHECK_FALSE(get("a.f64").as_u64().has_value());
    CHECK(get("a.empty").count == 0);
    CHECK(get("a.empty").bytes.empty());
    CHECK(get("a.words").type == metadata_type::array);
    CHECK(get("a.words").item_type == metadata_type::string);
    CHECK(get("a.words").count == 2);
    CHECK(get("a.words").bytes.size() == 8 + 3 + 8);
    CHECK_FALSE(get("a.words").as_string().has_value());
    CHECK(get("a.nested").item_type == metadata_type::array);
    CHECK(get("a.nested").count == 2);
    CHECK(get("a.nested").bytes.size() == 12 + 3 + 12);
    CHECK(file->find_metadata("a") == nullptr);
  });
}

TEST_CASE("gguf: every type that GGML knows is listed with its size") {
  for (const tensor_type_info& type : tensor_types) {
    if (type.ggml_id < 0) continue;
    INFO(type.name);
    const std::string file =
        with_tensors({gguf_tensor("w", {std::uint64_t{2} * type.block_values, 3},
                                  static_cast<std::uint32_t>(type.ggml_id), 0)},
                     std::size_t{6} * type.block_bytes);
    read_guarded(read_gguf, file, [&](const auto& result, const auto&) {
      REQUIRE(result.has_value());
      CHECK(result->tensors()[0].type == type.type);
      CHECK(result->tensors()[0].data.size() == std::size_t{6} * type.block_bytes);
    });
  }
}

TEST_CASE("gguf: a single value, another alignment and padding at the end are legal") {
  const auto accepted = [](const std::string& file) {
    read_guarded(read_gguf, file, [](const auto& result, const auto& note) {
      INFO(note.text);
      CHECK(result.has_value());
    });
  };
  accepted(with_tensors({gguf_tensor("s", {}, f32_id, 0)}, 4));
  accepted(with_tensors({gguf_tensor("s", {}, f32_id, 0)}, 32));
  accepted(with_tensors({gguf_tensor("w", {1, 1, 1, 4}, i8_id, 0)}, 4));
  accepted(with_key(nested_array(4)));
  for (const std::uint32_t alignment : {8u, 64u, 4096u, 1048576u}) {
    gguf_file g;
    g.keys = {gguf_key("general.alignment", u32_type, u32(alignment))};
    g.alignment = alignment;
    g.tensors = {gguf_tensor("a", {1}, i8_id, 0), gguf_tensor("b", {1}, i8_id, alignment)};
    g.data = std::string(alignment + 1, '\0');
    accepted(g.file());
  }
  gguf_file empty;
  accepted(empty.file());
  empty.data = std::string(31, '\0');
  accepted(empty.file());
}

TEST_CASE("gguf: a dimension of 0 is a tensor without values") {
  const auto is_empty = [](const tensor_file& file, const char* name) {
    const tensor_info* t = file.find(name);
    REQUIRE(t != nullptr);
    CHECK(t->num_values() == 0);
    CHECK(t->data.empty());
    float none[1] = {};
    const auto n = static_cast<std::size_t>(t->rows());
    const auto k = static_cast<std::size_t>(t->cols());
    CHECK(read_rows_f32(*t, 0, {none, n, k}) == errc::ok);
  };
  // As gguf-py writes: each offset is the padded end of the tensor before it.
  const std::vector<std::string> tensors = {
      gguf_tensor("flag", {0}, f32_id, 0),     gguf_tensor("a", {4}, f32_id, 0),
      gguf_tensor("rows", {4, 0}, f32_id, 32), gguf_tensor("columns", {0, 3, 2}, q4_0_id, 32),
      gguf_tensor("b", {3}, f32_id, 32),       gguf_tensor("end", {5, 0, 7}, f32_id, 64)};
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{44}}) {  // the last padding or not
    INFO(bytes);
    read_guarded(read_gguf, with_tensors(tensors, bytes), [&](const auto& file, const auto&) {
      REQUIRE(file.has_value());
      for (const char* name : {"flag", "rows", "columns", "end"}) is_empty(*file, name);
      CHECK(file->find("rows")->rows() == 0);
      CHECK(file->find("rows")->cols() == 4);
      CHECK(file->find("columns")->rows() == 6);
      CHECK(file->find("columns")->cols() == 0);
      CHECK(file->find("a")->data.size() == 16);
      CHECK(file->find("b")->data.data() - file->find("a")->data.data() == 32);
    });
  }
  // Nothing but flags: the file may end before its data would begin.
  read_guarded(read_gguf, with_tensors({gguf_tensor("flag", {0}, f32_id, 0)}, 0),
               [&](const auto& file, const auto&) {
                 REQUIRE(file.has_value());
                 is_empty(*file, "flag");
               });
}

TEST_CASE("gguf: malformed files give their error") {
  const auto counts = [](std::uint64_t tensors, std::uint64_t keys) {
    return "GGUF" + u32(3) + u64(tensors) + u64(keys) + std::string(64, '\0');
  };
  const auto key = [](const std::string& name) { return gguf_key(name, u8_type, "x"); };
  const auto tensor = [](const std::vector<std::uint64_t>& dims, std::uint32_t type = f32_id,
                         std::uint64_t offset = 0) {
    return with_tensors({gguf_tensor("w", dims, type, offset)}, 16);
  };
  const auto aligned = [](std::uint32_t type, const std::string& value) {
    return with_key(gguf_key("general.alignment", type, value));
  };
  const std::string valid = small().file();
  require_errors(
      read_gguf,
      {
          {"empty file", "", errc::bad_magic},
          {"a magic backwards", "FUGG" + valid.substr(4), errc::bad_magic},
          {"the older GGJT format", "tjgg" + valid.substr(4), errc::bad_magic},
          {"version 0", "GGUF" + u32(0) + valid.substr(8), errc::bad_version},
          {"version 1, with 32-bit counts", "GGUF" + u32(1) + valid.substr(8), errc::bad_version},
          {"version 4", "GGUF" + u32(4) + valid.substr(8), errc::bad_version},
          {"a big-endian file", "GGUF" + u32(0x03000000) + valid.substr(8), errc::bad_version},
          {"nothing but the magic", "GGUF", errc::truncated},
          {"2^64 - 1 tensors", counts(max_u64, 0), errc::truncated},
          {"2^63 tensors", counts(std::uint64_t{1} << 63, 0), errc::truncated},
          {"2^64 - 1 keys", counts(0, max_u64), errc::truncated},
          {"2^60 keys, a size that wraps", counts(0, std::uint64_t{1} << 60), errc::truncated},
          {"one tensor more than there are", counts(4, 0), errc::truncated},
          {"a key of 2^64 - 1 bytes", with_key(u64(max_u64) + "k" + u32(u8_type) + "x"),
           errc::truncated},
          {"a key of 2^63 bytes", with_key(u64(std::uint64_t{1} << 63) + "k" + u32(u8_type) + "x"),
           errc::truncated},
          {"an empty key", with_key(key("")), errc::malformed},
          {"a key without UTF-8", with_key(key("\xFF")), errc::malformed},
          {"a key of 65,536 bytes", with_key(key(std::string(65536, 'k'))), errc::limit_exceeded},
          {"a key twice", spoiled([&](gguf_file& g) {
             g.keys = {key("a"), key("b"), key("a")};
           }),
           errc::duplicate_name},
          {"value type 13", with_key(gguf_key("k", 13, std::string(64, 'x'))), errc::unknown_type},
          {"value type 2^32 - 1", with_key(gguf_key("k", 0xFFFFFFFF, "x")), errc::unknown_type},
          {"a boolean of 2", with_key(gguf_key("k", bool_type, "\2")), errc::malformed},
          {"a boolean of 255 in an array",
           with_key(gguf_key("k", array_type, array_of(bool_type, 2, "\1\xFF"))), errc::malformed},
          {"a string longer than the file", with_key(gguf_key("k", string_type, u64(1000))),
           errc::truncated},
          {"a string of 2^64 - 8 bytes", with_key(gguf_key("k", string_type, u64(max_u64 - 7))),
           errc::truncated},
          {"an array of unknown type", with_key(gguf_key("k", array_type, array_of(99, 1))),
           errc::unknown_type},
          {"an array longer than the file",
           with_key(gguf_key("k", array_type, array_of(u8_type, 1000))), errc::truncated},
          {"an array whose size in bytes wraps to 0",
           with_key(gguf_key("k", array_type, array_of(10, std::uint64_t{1} << 61))),
           errc::truncated},
          {"an array of 2^64 - 1 strings",
           with_key(gguf_key("k", array_type, array_of(string_type, max_u64))), errc::truncated},
          {"an array of 2^64 - 1 arrays",
           with_key(gguf_key("k", array_type, array_of(array_type, max_u64, array_of(u8_type, 0)))),
           errc::truncated},
          {"an array in an array of unknown type",
           with_key(gguf_key("k", array_type, array_of(array_type, 1, array_of(77, 1)))),
           errc::unknown_type},
          {"arrays nested five deep", with_key(nested_array(5)), errc::limit_exceeded},
          {"arrays nested a thousand deep", with_key(nested_array(1000)), errc::limit_exceeded},
          {"an alignment of 0", aligned(u32_type, u32(0)), errc::malformed},
          {"an alignment of 4", aligned(u32_type, u32(4)), errc::malformed},
          {"an alignment of 33", aligned(u32_type, u32(33)), errc::malformed},
          {"an alignment of 2^31", aligned(u32_type, u32(0x80000000)), errc::malformed},
          {"an alignment of 2^32 - 1, whose padding wraps", aligned(u32_type, u32(0xFFFFFFFF)),
           errc::malformed},
          {"an alignment as u64", aligned(10, u64(32)), errc::malformed},
          {"an alignment as i32", aligned(5, u32(32)), errc::malformed},
          {"an alignment as a string", aligned(string_type, gguf_string("32")), errc::malformed},
          {"an alignment as an array", aligned(array_type, array_of(u32_type, 1, u32(32))),
           errc::malformed},
          {"two alignments", spoiled([&](gguf_file& g) {
             const std::string k = gguf_key("general.alignment", u32_type, u32(32));
             g.keys = {k, k};
           }),
           errc::duplicate_name},
          {"an empty tensor name", with_tensors({gguf_tensor("", {4}, f32_id, 0)}, 16),
           errc::malformed},
          {"a tensor name without UTF-8", with_tensors({gguf_tensor("\xC3", {4}, f32_id, 0)}, 16),
           errc::malformed},
          {"a tensor name longer than the file",
           spoiled([](gguf_file& g) { g.tensors = {u64(max_u64) + std::string(64, 'w')}; }),
           errc::truncated},
          {"five dimensions", tensor({1, 1, 1, 1, 4}), errc::limit_exceeded},
          {"2^32 - 1 dimensions", spoiled([](gguf_file& g) {
             g.tensors = {gguf_string("w") + u32(0xFFFFFFFF) + std::string(64, '\1')};
           }),
           errc::limit_exceeded},
          {"an empty tensor with bytes", with_tensors({gguf_tensor("w", {0}, f32_id, 0)}, 32),
           errc::malformed},
          {"an empty tensor behind the file", tensor({0}, f32_id, 64), errc::out_of_bounds},
          {"an empty tensor a whole alignment behind the file",
           with_tensors({gguf_tensor("w", {0}, f32_id, 64)}, 32), errc::out_of_bounds},
          {"an empty tensor inside another",
           with_tensors({gguf_tensor("v", {16}, f32_id, 0), gguf_tensor("w", {0}, f32_id, 32)}, 64),
           errc::overlap},
          {"a dimension of 0 that hides an overflow", tensor({max_u64, max_u64, 0}),
           errc::overflow},
          {"2^63 rows of nothing", tensor({0, std::uint64_t{1} << 63}), errc::overflow},
          {"no rows of 2^63", tensor({std::uint64_t{1} << 63, 0}), errc::overflow},
          {"a negative dimension", tensor({max_u64}), errc::overflow},
          {"a negative dimension of bytes", tensor({max_u64}, i8_id), errc::overflow},
          {"dimensions whose product wraps", tensor({4294967297, 4294967295, 2}), errc::overflow},
          {"a product of 0 modulo 2^64", tensor({4294967296, 4294967296}), errc::overflow},
          {"a size in bytes that wraps", tensor({(std::uint64_t{1} << 62) + 4}), errc::overflow},
          {"blocks whose size wraps", tensor({256, std::uint64_t{1} << 56}, q6_k_id),
           errc::overflow},
          {"a size just below 2^64, whose padding wraps", tensor({max_u64 / 8}, f64_id),
           errc::truncated},
          {"rows that are no whole blocks", tensor({16}, q4_0_id), errc::shape_mismatch},
          {"rows that make whole blocks only together", tensor({16, 2}, q4_0_id),
           errc::shape_mismatch},
          {"a single value of a block type", tensor({}, q4_0_id), errc::shape_mismatch},
          {"the retired type Q4_2", tensor({4}, 4), errc::unknown_type},
          {"the retired type Q4_0_4_4", tensor({4}, 31), errc::unknown_type},
          {"the retired type IQ4_NL_4_4", tensor({4}, 36), errc::unknown_type},
          {"type 43", tensor({4}, 43), errc::unknown_type},
          {"type -1", tensor({4}, 0xFFFFFFFF), errc::unknown_type},
          {"an offset that is not aligned", tensor({1}, f32_id, 4), errc::malformed},
          {"an offset behind the file", tensor({4}, f32_id, 32), errc::out_of_bounds},
          {"an offset of 2^64 - 32", tensor({4}, f32_id, max_u64 - 31), errc::out_of_bounds},
          {"an offset in the file, data that ends behind it",
           with_tensors({gguf_tensor("w", {8}, f32_id, 32)}, 48), errc::truncated},
          {"a file that ends before its data", with_tensors({gguf_tensor("w", {4}, f32_id, 0)}, 0),
           errc::truncated},
          {"two tensors on the same bytes",
           with_tensors({gguf_tensor("a", {4}, f32_id, 0), gguf_tensor("b", {4}, f32_id, 0)}, 16),
           errc::overlap},
          {"two tensors that share bytes",
           with_tensors({gguf_tensor("a", {16}, f32_id, 0), gguf_tensor("b", {4}, f32_id, 32)}, 64),
           errc::overlap},
          {"one name twice",
           with_tensors({gguf_tensor("a", {8}, f32_id, 0), gguf_tensor("a", {8}, f32_id, 32)}, 64),
           errc::duplicate_name},
          {"a hole before the first tensor", with_tensors({gguf_tensor("w", {8}, f32_id, 32)}, 64),
           errc::malformed},
          {"a hole between two tensors",
           with_tensors({gguf_tensor("a", {8}, f32_id, 0), gguf_tensor("b", {8}, f32_id, 64)}, 96),
           errc::malformed},
          {"data behind the last tensor", with_tensors({gguf_tensor("w", {4}, f32_id, 0)}, 16 + 32),
           errc::malformed},
          {"data without a tensor", with_tensors({}, 32), errc::malformed},
      });
}

TEST_CASE("gguf: a file cut anywhere is truncated") {
  const std::string valid = small().file();
  for (std::size_t n = 0; n < valid.size(); ++n) {
    INFO(n << " of " << valid.size());
    // Inside the first tensor the second one, 96 bytes on, is not looked at yet.
    const std::size_t data = valid.size() - small().data.size();
    const bool before_b = n >= data + 72 && n < data + 96;
    require_error(read_gguf, valid.substr(0, n),
                  n < 4      ? errc::bad_magic
                  : before_b ? errc::out_of_bounds
                             : errc::truncated);
  }
}

TEST_CASE("gguf: damage to any byte is harmless") {
  require_no_surprise_after_damage(read_gguf, small().file());
}

TEST_CASE("gguf: a file of names alone cannot take more memory than it may") {
  std::string file = "GGUF" + u32(3) + u64(100'000) + u64(0);
  for (int i = 0; i < 100'000; ++i) file += gguf_tensor(std::to_string(i), {}, i8_id, 0);
  require_error(read_gguf, file, errc::limit_exceeded);
  file = "GGUF" + u32(3) + u64(0) + u64(100'000);
  for (int i = 0; i < 100'000; ++i) file += gguf_key(std::to_string(i), u8_type, "x");
  require_error(read_gguf, file, errc::limit_exceeded);
}

TEST_CASE("gguf: long arrays are passed in time linear in the file") {
  gguf_file g;
  std::string items;
  for (int i = 0; i < 50'000; ++i) items += array_of(array_type, 1, array_of(string_type, 0));
  g.keys = {gguf_key("a", array_type, array_of(array_type, 50'000, items))};
  read_guarded(read_gguf, g.file(), [](const auto& file, const auto&) {
    REQUIRE(file.has_value());
    CHECK(file->metadata()[0].bytes.size() == 50'000 * 24);
  });
}

TEST_CASE("gguf: a failed allocation is an error") {
  const guarded copy(small().file());
  allocation_count::fail_all = true;
  const errc e = read_gguf(copy.bytes()).error();
  allocation_count::fail_all = false;
  CHECK(e == errc::out_of_memory);
}

TEST_CASE("gguf: an error names the key or the tensor that it is in") {
  const auto note_of = [](const std::string& file) {
    error_note note;
    CHECK_FALSE(read_gguf(std::as_bytes(std::span<const char>(file)), &note).has_value());
    return std::string(note.text);
  };
  // Cut anywhere behind the first name, which ends at byte 52: the names come in their order.
  const std::string valid = small().file();
  std::size_t last = 0;
  for (std::size_t n = 52; n < valid.size(); ++n) {
    const std::string note = note_of(valid.substr(0, n));
    INFO(n << ": " << note);
    const std::size_t quote = note.find("'");
    if (note.find(" do not fit the file") != std::string::npos) continue;
    REQUIRE(quote != std::string::npos);
    const std::string name = note.substr(quote + 1, note.find("'", quote + 1) - quote - 1);
    const std::size_t at = valid.find(name);
    REQUIRE(at != std::string::npos);
    CHECK((at >= last || name == "blk.0.w"));  // whose data the last cuts hit
    last = at;
  }
  CHECK(note_of(with_key(gguf_key("a.k", 13, "x"))) == "key 'a.k': value type 13");
  CHECK(note_of(with_key(gguf_key("a.k", bool_type, "\2"))) == "key 'a.k': a boolean is 2");
  CHECK(note_of(with_key(nested_array(5))).find("key '") == 0);
  CHECK(note_of(with_key(gguf_key("a.k", string_type, u64(1000)))).find("key 'a.k': a string") ==
        0);
  CHECK(note_of(with_tensors({gguf_tensor("w", {4}, 4, 0)}, 16)) == "tensor 'w' has GGML type 4");
}
