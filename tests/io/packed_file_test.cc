// SPDX-License-Identifier: Apache-2.0 OR MIT
// Files of packed matrices: what is saved comes back in place, every wrong field is named.
#include "nibble/io/packed_file.h"

#include "io/packed_files.h"
#include "nibble/io/any_packed_file.h"
#include "nibble/target.h"
#include "support/targets.h"

using namespace nibble;
using namespace nibble_test;

namespace {

// Two small matrices: 64 + 2 * 128 + names, data at 384.
std::string two_matrices() {
  const auto a = make_packed<int4_g32_f16>(3, 40);
  const auto b = make_packed<uint4_g32_f16_z>(2, 32);
  return saved({{"a", a}, {"b.w", b}});
}

}  // namespace

TEST_CASE("packed file: every format comes back, in place, in every bit") {
  context with(parallel::serial());
  const std::vector<float> x = some_floats(rows, cols);
  for (const any_format& format : catalogue()) {
    INFO(format.name);
    const auto m = pack(format, matrix_view<const float>(x.data(), rows, cols), with);
    REQUIRE(m.has_value());
    const packed_data& expected = m->view().data;
    const std::string bytes = saved({named("w", *m)});
    read_and(bytes, [&](const auto& file, const auto&, auto in_file) {
      REQUIRE(file.has_value());
      REQUIRE(file->entries().size() == 1);
      CHECK(file->entries()[0].format == format.name);
      CHECK(file->verify() == errc::ok);
      const auto w = get_any(*file, "w");
      REQUIRE(w.has_value());
      CHECK(w->format == &format);
      CHECK(w->data.shape == expected.shape);
      CHECK(w->data.super_every == expected.super_every);
      CHECK(w->data.center == expected.center);
      CHECK(w->data.codes >= reinterpret_cast<const std::uint8_t*>(in_file.data()));
      const auto z = file->entries()[0].sizes();
      CHECK(std::memcmp(w->data.codes, expected.codes, z.bytes[0]) == 0);
      for (std::size_t i = 0; i < detail::num_parts; ++i) {
        REQUIRE((w->data.parts[i] == nullptr) == (expected.parts[i] == nullptr));
        if (z.bytes[1 + i] != 0) {
          CHECK(std::memcmp(w->data.parts[i], expected.parts[i], z.bytes[1 + i]) == 0);
        }
      }
      CHECK(saved({named("w", *w)}) == bytes);
    });
  }
}

TEST_CASE("packed file: many matrices of several formats, empty ones, odd names") {
  const auto a = make_packed<int4_g32_f16>();
  const auto b = make_packed<nibble::gguf::q4_K>(5, 512);
  const auto none = make_packed<int8_channel_f32>(0, 7);
  const auto flat = make_packed<int8_channel_f32>(7, 0);
  const std::string odd("\0\xFF/..", 5);
  const std::string file = saved({{"a", a}, {"", b}, {odd, none}, {"flat", flat}, {"z", a}});
  read_and(file, [&](const auto& packed, const auto&, auto bytes) {
    REQUIRE(packed.has_value());
    REQUIRE(packed->entries().size() == 5);
    for (const packed_entry& e : packed->entries()) {
      CHECK(packed->find(e.name) == &e);
      CHECK((e.bytes.data() - bytes.data()) % 64 == 0);
    }
    CHECK(packed->entries()[1].name.empty());
    CHECK(packed->entries()[2].name == odd);
    CHECK(packed->template get<int8_channel_f32>(odd)->rows() == 0);
    CHECK(packed->template get<int8_channel_f32>("flat")->rows() == 7);
    CHECK(packed->template get<nibble::gguf::q4_K>("")->cols() == 512);
    CHECK(packed->template get<int4_g32_f16>("b").error() == errc::not_found);
    CHECK(packed->template get<int4_g64_f16>("a").error() == errc::unknown_type);
    CHECK(get_any(*packed, "a", any_formats<nibble::gguf::q4_K>::list).error() ==
          errc::unknown_type);
    CHECK(get_any(*packed, "b").error() == errc::not_found);
  });
  read_and(saved({}), [](const auto& packed, const auto&, auto) {
    REQUIRE(packed.has_value());
    CHECK(packed->entries().empty());
    CHECK(packed->find("") == nullptr);
  });
}

namespace {
struct changed : block<int4, 32, scale<bf16>> {  // the name of another format
  static constexpr std::string_view name = "int4_g32_f16";
};
}  // namespace

TEST_CASE("packed file: a format that means something else is refused") {
  const auto a = make_packed<int4_g32_f16>();
  read_and(saved({{"a", a}}), [](const auto& file, const auto&, auto) {
    REQUIRE(file.has_value());
    CHECK(file->template get<int4_g32_f16>("a").has_value());
    CHECK(file->template get<changed>("a").error() == errc::shape_mismatch);
  });
}

TEST_CASE("packed file: fingerprints tell meanings apart") {
  STATIC_REQUIRE(fingerprint_of<int4_g32_f16>() != fingerprint_of<int4_g64_f16>());
  STATIC_REQUIRE(fingerprint_of<int4_g32_f16>() != fingerprint_of<int4_g32_bf16>());
  STATIC_REQUIRE(fingerprint_of<nf4_g64_f32>() != fingerprint_of<af4_g64_f32>());
  STATIC_REQUIRE(fingerprint_of<uint4_g32_f16_z>() != fingerprint_of<uint4_g32_f16_zf>());
  STATIC_REQUIRE(fingerprint_of<nf4_g64_dq>() != fingerprint_of<nf4_g64_f32>());
  STATIC_REQUIRE(fingerprint_of<fp8_e4m3fn_channel_f32>() !=
                 fingerprint_of<fp8_e4m3fn_tensor_f32>());
}

TEST_CASE("packed file: numbers that files carry never change") {
  CHECK(fingerprint_of<int4_g32_f16>() == 0x8F1936DC51C453EBu);
  CHECK(fingerprint_of<nibble::gguf::q4_K>() == 0xA15EC9B066405C8Cu);
  CHECK(fingerprint_of<nvfp4>() == 0x36ACADBFAC48A889u);
  // The checksum by its definition in another language.
  std::byte bytes[100];
  for (int i = 0; i < 100; ++i) bytes[i] = static_cast<std::byte>(i);
  CHECK(detail::hash_bytes({}) == 0xDAAA9AD1FCA1A52Eu);
  CHECK(detail::hash_bytes(bytes) == 0xF50A8D6ABD3684F6u);
}

TEST_CASE("packed file: a checksum finds a changed byte") {
  const std::string file = two_matrices();
  const std::size_t data = file.size() - 64;
  for (std::size_t i = data - 256; i < data; i += 7) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    read_and(damaged, [](const auto& packed, const auto&, auto) {
      REQUIRE(packed.has_value());
      CHECK(packed->verify() == errc::malformed);
    });
  }
  const std::byte zeros[64] = {};
  CHECK(detail::hash_bytes(std::span(zeros, 31)) != detail::hash_bytes(std::span(zeros, 32)));
}

TEST_CASE("packed file: every wrong field is an error") {
  const std::string good = two_matrices();
  read_and(good, [](const auto& packed, const auto&, auto) { REQUIRE(packed.has_value()); });
  const std::uint64_t size = good.size();
  const std::size_t a = entry(0);
  const std::size_t b = entry(1);
  std::uint64_t first_data = 0;
  std::uint64_t second_data = 0;
  std::memcpy(&first_data, good.data() + a + 80, 8);
  std::memcpy(&second_data, good.data() + b + 80, 8);
  std::string moved = good;
  moved.insert(first_data, 64, '\0');
  moved = with(with(with(moved, 32, size + 64), a + 80, first_data + 64), b + 80, second_data + 64);
  const std::vector<malformed_file> table = {
      {"empty", "", errc::truncated},
      {"other magic", with(good, 3, 'X'), errc::bad_magic},
      {"version 0", with(good, 8, std::uint32_t{0}), errc::bad_version},
      {"version 3", with(good, 8, std::uint32_t{3}), errc::bad_version},
      {"reserved 12", with(good, 12, std::uint32_t{1}), errc::malformed},
      {"reserved 48", with(good, 48, std::uint64_t{1}), errc::malformed},
      {"reserved 63", with(good, 63, '\1'), errc::malformed},
      {"no matrices", with(good, 16, std::uint64_t{0}), errc::malformed},
      {"one matrix", with(good, 16, std::uint64_t{1}), errc::malformed},
      {"three matrices", with(good, 16, std::uint64_t{3}), errc::overlap},
      {"many matrices", with(good, 16, std::uint64_t{1} << 32), errc::truncated},
      {"2^64 / 128 matrices", with(good, 16, max_u64 / 128 + 1), errc::overflow},
      {"2^64 - 1 matrices", with(good, 16, max_u64), errc::overflow},
      {"text too long", with(good, 24, size), errc::truncated},
      {"text of 2^64 - 1", with(good, 24, max_u64), errc::overflow},
      {"text a byte longer", with(good, 24, std::uint64_t{32}), errc::malformed},
      {"text a byte shorter", with(good, 24, std::uint64_t{30}), errc::out_of_bounds},
      {"file should be longer", with(good, 32, size + 1), errc::truncated},
      {"file should be shorter", with(good, 32, size - 1), errc::malformed},
      {"checksum", std::string(good).replace(40, 1, 1, static_cast<char>(good[40] ^ 1)),
       errc::malformed},
      {"name elsewhere", with(good, a, std::uint64_t{1}), errc::malformed},
      {"name far away", with(good, a, max_u64), errc::malformed},
      {"name too long", with(good, a + 8, std::uint32_t{70000}), errc::limit_exceeded},
      {"name longer than the text", with(good, a + 8, std::uint32_t{20}), errc::out_of_bounds},
      {"format's name too long", with(good, a + 12, ~std::uint32_t{0}), errc::limit_exceeded},
      {"name and format meet elsewhere", with(good, a + 8, std::uint32_t{2}), errc::malformed},
      {"more rows", with(good, a + 24, std::uint64_t{17}), errc::shape_mismatch},
      {"2^64 - 1 rows", with(good, a + 24, max_u64), errc::overflow},
      {"2^48 rows of 40", with(good, a + 24, std::uint64_t{1} << 48), errc::overflow},
      {"more columns", with(good, a + 32, std::uint64_t{65}), errc::shape_mismatch},
      {"2^64 - 1 columns", with(good, a + 32, max_u64), errc::overflow},
      {"2^46 columns", with(good, a + 32, std::uint64_t{1} << 46), errc::shape_mismatch},
      {"no columns", with(good, a + 32, std::uint64_t{0}), errc::shape_mismatch},
      {"blocks of 16", with(good, a + 40, std::uint64_t{16}), errc::shape_mismatch},
      {"blocks of 1", with(good, a + 40, std::uint64_t{1}), errc::shape_mismatch},
      {"blocks of 2^64 - 1", with(good, a + 40, max_u64), errc::overflow},
      {"codes of 0 bits", with(good, a + 48, '\0'), errc::malformed},
      {"codes of 5 bits", with(good, a + 48, '\5'), errc::shape_mismatch},
      {"codes of 9 bits", with(good, a + 48, '\x09'), errc::malformed},
      {"codes of 255 bits", with(good, a + 48, '\xFF'), errc::malformed},
      {"scales of 3 bytes", with(good, a + 49, '\3'), errc::malformed},
      {"no scales", with(good, a + 49, '\0'), errc::shape_mismatch},
      {"super-scales", with(good, a + 50, '\2'), errc::shape_mismatch},
      {"reserved 53", with(good, a + 53, '\1'), errc::malformed},
      {"super-scales per 0 blocks", with(good, a + 56, std::uint64_t{0}), errc::malformed},
      {"super-shifts per 0 blocks", with(good, a + 64, std::uint64_t{0}), errc::malformed},
      {"super-scales per 2^64 - 1", with(good, a + 56, max_u64), errc::malformed},
      {"offset no multiple of 64", with(good, a + 80, first_data + 32), errc::malformed},
      {"offset 0", with(good, a + 80, std::uint64_t{0}), errc::overlap},
      {"offset in the names", with(good, a + 80, std::uint64_t{320}), errc::overlap},
      {"offset behind the end", with(good, a + 80, (size + 63) / 64 * 64 + 64),
       errc::out_of_bounds},
      {"offset 2^64 - 64", with(good, a + 80, max_u64 - 63), errc::out_of_bounds},
      {"data ends behind the end", with(good, b + 80, size - 64), errc::truncated},
      {"the same data", with(good, b + 80, first_data), errc::overlap},
      {"data that overlap", with(good, b + 80, first_data + 64), errc::overlap},
      {"fewer bytes", with(good, a + 88, std::uint64_t{64}), errc::shape_mismatch},
      {"2^64 - 1 bytes", with(good, a + 88, max_u64), errc::shape_mismatch},
      {"reserved 122", with(good, a + 122, '\1'), errc::malformed},
      {"reserved 127", with(good, a + 127, '\1'), errc::malformed},
      {"bytes after the end", with(good + std::string(64, '\0'), 32, size + 64), errc::malformed},
      {"a hole before the data", moved, errc::malformed},
  };
  for (const malformed_file& f : table) {
    INFO(f.what);
    require_error(f.file, f.expected);
  }
  // Sizes that agree by chance are refused by the format.
  read_and(with(good, a + 40, std::uint64_t{0}), [](const auto& packed, const auto&, auto) {
    REQUIRE(packed.has_value());
    CHECK(packed->template get<int4_g32_f16>("a").error() == errc::shape_mismatch);
    CHECK(get_any(*packed, "a").error() == errc::shape_mismatch);
  });
  const auto m = make_packed<int4_g32_f16>(1, 32);
  std::string twins = saved({{"x", m}, {"y", m}});
  twins[64 + 256 + 1 + 12] = 'x';
  require_error(with_checksum(twins), errc::duplicate_name);
}

TEST_CASE("packed file: cut anywhere it is truncated") {
  const std::string good = two_matrices();
  for (std::size_t n = 0; n < good.size(); ++n) require_error(good.substr(0, n), errc::truncated);
}

TEST_CASE("packed file: damaged anywhere it breaks no promise") {
  const std::string good = two_matrices();
  for (std::size_t i = 0; i < entry(2) + 32; ++i) {
    for (const int change : {0x01, 0x02, 0x10, 0x40, 0x80, 0xFF}) {
      std::string file = good;
      file[i] = static_cast<char>(file[i] ^ change);
      read_and(file, [](const auto& packed, const error_note& note, auto) {
        CHECK(packed.has_value() == (note.text[0] == '\0'));
      });
      read_and(with_checksum(file), [](const auto& packed, const auto&, auto bytes) {
        if (!packed) return;
        for (const packed_entry& e : packed->entries()) {
          REQUIRE(e.bytes.data() >= bytes.data());
          REQUIRE(e.bytes.data() + e.bytes.size() <= bytes.data() + bytes.size());
          REQUIRE(packed->find(e.name) == &e);
          static_cast<void>(packed->template get<int4_g32_f16>(e.name));
          static_cast<void>(get_any(*packed, e.name));
        }
        static_cast<void>(packed->verify());
      });
    }
  }
}

TEST_CASE("packed file: what cannot be saved") {
  const auto m = make_packed<int4_g32_f16>(1, 32);
  const temporary_path path;
  const auto error = [&](const std::vector<named_packed>& matrices) {
    error_note note;
    const errc e = save_packed(path.name.c_str(), matrices, &note);
    CHECK(note.text[0] != '\0');
    return e;
  };
  CHECK(error({{"a", m}, {"b", m}, {"a", m}}) == errc::duplicate_name);
  const std::string long_name(70000, 'n');
  CHECK(error({{long_name, m}}) == errc::limit_exceeded);
  CHECK(save_packed("/no/such/folder/file", {}) == errc::io);
  CHECK(load_packed("no such file").error() == errc::not_found);
}

TEST_CASE("packed file: saving replaces a file whose mapping stays whole") {
  const auto a = make_packed<int4_g32_f16>();
  const auto b = make_packed<int8_g32_f16>();
  const temporary_path path;
  REQUIRE(save_packed(path.name.c_str(), std::vector<named_packed>{{"w", a}}) == errc::ok);
  auto first = load_packed(path.name.c_str());
  REQUIRE(first.has_value());
  REQUIRE(save_packed(path.name.c_str(), std::vector<named_packed>{{"w", b}}) == errc::ok);
  const packed_file moved = std::move(*first);  // views stay valid
  CHECK(moved.verify() == errc::ok);
  CHECK(moved.get<int4_g32_f16>("w").has_value());
  CHECK(load_packed(path.name.c_str())->get<int8_g32_f16>("w").has_value());
}

TEST_CASE("packed file: saved under one target, the same bits under every other") {
  const temporary_path path;
  std::vector<float> x(cols);
  for (std::size_t i = 0; i < cols; ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  std::vector<std::string> files;
  std::vector<std::vector<float>> results;
  for_each_target([&](const char*) {
    const auto w = make_packed<nibble::gguf::q4_0>();
    if (files.empty()) {
      REQUIRE(save_packed(path.name.c_str(), std::vector<named_packed>{{"w", w}}) == errc::ok);
    }
    files.push_back(saved({{"w", w}}));
    const auto file = load_packed(path.name.c_str());
    REQUIRE(file.has_value());
    context with(parallel::serial());
    std::vector<float> y(rows);
    gemm_options integer;
    integer.path = compute_path::integer;
    const auto loaded = get_any(*file, "w");
    REQUIRE(loaded.has_value());
    REQUIRE(gemv(*loaded, x, y, with, {}, integer) == errc::ok);
    results.push_back(y);
  });
  for (std::size_t i = 1; i < files.size(); ++i) {
    CHECK(files[i] == files[0]);
    CHECK(std::memcmp(results[i].data(), results[0].data(), rows * sizeof(float)) == 0);
  }
}
