// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tensors and texts in files of packed matrices: they come back in place, every wrong field is
// named, and files without them are as before.
#include "io/packed_files.h"
#include "nibble/io/packed_file.h"
#include "nibble/io/read_rows.h"

using namespace nibble;
using namespace nibble_test;

namespace {

constexpr std::uint16_t halves[6] = {0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0};  // 1 .. 6

tensor_info bf16_rows() {
  tensor_info t;
  t.type = tensor_type::bf16;
  t.rank = 2;
  t.dims[0] = 2;
  t.dims[1] = 3;
  t.data = std::as_bytes(std::span(halves));
  return t;
}

// Entries: 0 "e" [2 x 3] bf16, 1 "n" [3] f32, 2 "t" a text, 3 "w" a matrix.
std::string all_kinds() {
  const std::vector<float> norm = {1.5f, -2.0f, 0.25f};
  const auto w = make_packed<int4_g32_f16>(3, 40);
  return saved(
      {named("e", bf16_rows()), named("n", norm), named_text("t", "{\"a\": 1}"), {"w", w}});
}

}  // namespace

TEST_CASE("packed file: tensors and texts come back in place") {
  const std::string bytes = all_kinds();
  read_and(bytes, [](const auto& file, const auto&, auto in_file) {
    REQUIRE(file.has_value());
    CHECK(file->verify() == errc::ok);
    const auto e = file->tensor("e");
    REQUIRE(e.has_value());
    CHECK(e->name == "e");
    CHECK(e->type == tensor_type::bf16);
    CHECK(e->rank == 2);
    CHECK((e->rows() == 2 && e->cols() == 3));
    CHECK(e->data.size() == sizeof halves);
    CHECK(std::memcmp(e->data.data(), halves, sizeof halves) == 0);
    CHECK((e->data.data() - in_file.data()) % 64 == 0);
    float row[3];
    REQUIRE(read_rows_f32(*e, 1, {row, 1, 3}) == errc::ok);
    CHECK((row[0] == 4 && row[1] == 5 && row[2] == 6));
    const auto n = file->tensor("n");
    REQUIRE(n.has_value());
    CHECK((n->rank == 1 && n->cols() == 3 && n->type == tensor_type::f32));
    CHECK(file->text("t").value() == "{\"a\": 1}");

    CHECK(file->template get<int4_g32_f16>("w").has_value());
    CHECK(file->template get<int4_g32_f16>("e").error() == errc::unknown_type);
    CHECK(file->template get<bf16>("e").error() == errc::unknown_type);  // not packed
    CHECK(file->tensor("w").error() == errc::unknown_type);
    CHECK(file->tensor("t").error() == errc::unknown_type);
    CHECK(file->text("e").error() == errc::unknown_type);
    CHECK(file->text("x").error() == errc::not_found);
    CHECK(file->tensor("x").error() == errc::not_found);
    CHECK(file->entries()[3].plain().empty());
    CHECK(file->entries()[0].data().codes == nullptr);
    CHECK(saved({named("e", *e),
                 named("n", *n),
                 named_text("t", *file->text("t")),
                 {"w", *file->template get<int4_g32_f16>("w")}}) ==
          std::string(reinterpret_cast<const char*>(in_file.data()), in_file.size()));
  });
}

TEST_CASE("packed file: empty tensors and texts, single values") {
  tensor_info one;
  const float pi = 3.14f;
  one.data = std::as_bytes(std::span(&pi, 1));
  tensor_info none = bf16_rows();
  none.dims[0] = 0;
  none.data = {};
  read_and(saved({named("one", one), named("none", none), named_text("text", "")}),
           [](const auto& file, const auto&, auto) {
             REQUIRE(file.has_value());
             CHECK((file->tensor("one")->rank == 0 && file->tensor("one")->num_values() == 1));
             CHECK((file->tensor("none")->rows() == 0 && file->tensor("none")->cols() == 3));
             CHECK(file->text("text")->empty());
           });
}

TEST_CASE("packed file: files of matrices alone are of version 1") {
  const auto w = make_packed<int4_g32_f16>(3, 40);
  CHECK(saved({{"w", w}})[8] == 1);
  CHECK(all_kinds()[8] == 2);
  read_and(with(saved({{"w", w}}), 8, std::uint32_t{2}),
           [](const auto& file, const auto&, auto) { CHECK(file.has_value()); });
  require_error(with(all_kinds(), 8, std::uint32_t{1}), errc::malformed);
  require_error(with(all_kinds(), 8, std::uint32_t{3}), errc::bad_version);
}

TEST_CASE("packed file: every wrong field of a tensor or a text is an error") {
  const std::string good = all_kinds();
  const std::size_t e = entry(0), n = entry(1), t = entry(2), w = entry(3);
  const std::size_t text = entry(4);  // "ebf16nf32ttextwint4_g32_f16"
  std::string unknown = good;
  unknown[text + 1] = 'x';
  std::string block = good;  // q8_1 has blocks; as long a name as bf16
  block.replace(text + 1, 4, "q8_1");
  std::string no_text = good;
  no_text[text + 11] = 'x';
  const struct {
    const char* what;
    std::string file;
    errc expected;
  } table[] = {
      {"content 3", with(good, e + 53, '\3'), errc::malformed},
      {"a tensor as a text", with(good, e + 53, '\2'), errc::unknown_type},
      {"a text as a tensor", with(good, t + 53, '\1'), errc::unknown_type},
      {"a tensor as a matrix", with(good, e + 53, '\0'), errc::malformed},
      {"a matrix as a tensor", with(good, w + 53, '\1'), errc::malformed},
      {"rank of a matrix", with(good, w + 54, '\1'), errc::malformed},
      {"rank 3", with(good, e + 54, '\3'), errc::malformed},
      {"rank 1 of two rows", with(good, e + 54, '\1'), errc::malformed},
      {"rank 0 of a vector", with(good, n + 54, '\0'), errc::malformed},
      {"rank 2 of a text", with(good, t + 54, '\2'), errc::malformed},
      {"fingerprint", with(good, e + 16, '\1'), errc::malformed},
      {"block", with(good, e + 40, '\1'), errc::malformed},
      {"bits", with(good, e + 48, '\x10'), errc::malformed},
      {"bytes of a scale", with(good, e + 52, '\1'), errc::malformed},
      {"reserved 55", with(good, e + 55, '\1'), errc::malformed},
      {"super-scales", with(good, e + 56, '\1'), errc::malformed},
      {"centre", with(good, e + 79, '\1'), errc::malformed},
      {"outliers", with(good, e + 104, '\1'), errc::malformed},
      {"reserved 127", with(good, e + 127, '\1'), errc::malformed},
      {"unknown type", with_checksum(unknown), errc::unknown_type},
      {"a block type", with_checksum(block), errc::unknown_type},
      {"another text", with_checksum(no_text), errc::unknown_type},
      {"more rows", with(good, e + 24, std::uint64_t{22}), errc::shape_mismatch},
      {"2^64 - 1 rows", with(good, e + 24, max_u64), errc::overflow},
      {"2^64 - 1 columns", with(good, n + 32, max_u64), errc::overflow},
      {"2^47 columns", with(good, n + 32, std::uint64_t{1} << 47), errc::shape_mismatch},
      {"a longer text", with(good, t + 32, std::uint64_t{65}), errc::shape_mismatch},
      {"more bytes", with(good, e + 88, std::uint64_t{128}), errc::shape_mismatch},
      {"offset no multiple of 64", with(good, e + 80, '\x20'), errc::malformed},
  };
  for (const auto& f : table) {
    INFO(f.what);
    require_error(f.file, f.expected);
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    require_error(good.substr(0, size), errc::truncated);
  }
  std::string damaged = good;
  damaged[good.size() - 1] = 'x';
  damaged[entry(4) + 64] = 'x';
  read_and(damaged, [](const auto& file, const auto&, auto) {
    if (file.has_value()) CHECK(file->verify() == errc::malformed);
  });
}

TEST_CASE("packed file: a change of any bit is seen, padding included") {
  // The last two have no data.
  for (const std::string& good : {all_kinds(), saved({}), saved({named_text("t", "")})}) {
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      INFO("byte " << bit / 8 << ", bit " << bit % 8);
      std::string damaged = good;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      const guarded copy(damaged);
      const auto file = read_packed(copy.bytes());
      CHECK((!file.has_value() || file->verify() != errc::ok));
    }
  }
}

TEST_CASE("packed file: less than 64 bytes may follow the data, all of them zeros") {
  const std::string good = all_kinds();
  const auto longer = [&good](const std::string& end) {
    return with(good + end, 32, std::uint64_t{good.size() + end.size()});
  };
  read_and(longer(std::string(63, '\0')),
           [](const auto& file, const auto&, auto) { CHECK(file.has_value()); });
  require_error(longer(std::string(62, '\0') + '\1'), errc::malformed);
  require_error(longer("\1"), errc::malformed);
}

TEST_CASE("packed file: tensors that cannot be saved") {
  const temporary_path path;
  const auto error = [&](const tensor_info& t) {
    error_note note;
    const errc e = save_packed(path.name.c_str(), std::vector<named_packed>{named("t", t)}, &note);
    CHECK(note.text[0] != '\0');
    return e;
  };
  tensor_info cube = bf16_rows();
  cube.rank = 3;
  cube.dims[2] = 1;
  CHECK(error(cube) == errc::unknown_type);
  tensor_info turned = bf16_rows();
  turned.fortran_order = true;
  CHECK(error(turned) == errc::unknown_type);
  tensor_info block = bf16_rows();
  block.type = tensor_type::q8_0;
  CHECK(error(block) == errc::unknown_type);
  tensor_info shorter = bf16_rows();
  shorter.data = shorter.data.first(10);
  CHECK(error(shorter) == errc::shape_mismatch);
}
