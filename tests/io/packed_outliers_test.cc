// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed files with outliers: what is saved comes back, and no byte of their places is trusted.
#include "io/packed_files.h"
#include "nibble/gemm.h"
#include "nibble/outliers.h"
#include "support/cases.h"

using namespace nibble_test;

namespace {

using some_format = int8_g32_f16;
constexpr outlier_type every_type[] = {outlier_type::bf16, outlier_type::f16, outlier_type::f32};

/// Both kinds at once: columns 1 and `last` of a matrix that has single outliers, too.
packed_outliers both_kinds(matrix_view<const float> w, std::uint32_t last, outlier_type type) {
  const std::uint32_t list[] = {1, last};
  const auto singles = split_outliers(w, outlier_rule::largest(0.05), type);
  const auto columns = split_outliers(w, outlier_rule::columns(list), type);
  REQUIRE(singles.has_value());
  REQUIRE(columns.has_value());
  outlier_data sizes = singles->part.view();
  sizes.num_columns = columns->part.view().num_columns;
  sizes.column_type = columns->part.view().column_type;
  auto both = packed_outliers::create(w.rows, w.cols, sizes);
  REQUIRE(both.has_value());
  const auto z = detail::outlier_sizes_of(sizes, w.rows, w.cols);
  const outlier_data& s = singles->part.view();
  const outlier_data& c = columns->part.view();
  const void* const from[] = {s.row_begin, s.cols, s.values, c.columns, c.column_values};
  for (std::size_t i = 0; i < 5; ++i) {
    if (z.bytes[i] != 0) std::memcpy(both->array(i), from[i], z.bytes[i]);
  }
  return std::move(*both);
}

std::vector<float> some_halves(std::size_t n, std::size_t k) {
  std::vector<float> w(n * k);
  random_bits random(seed_of("halves", n, k));
  for (float& v : w) v = static_cast<float>(static_cast<int>(random.below(4001)) - 2000) * 0x1p-10f;
  return w;
}

packed_matrix<some_format> with_outliers(std::size_t n, std::size_t k, outlier_type type) {
  const std::vector<float> w = some_halves(n, k);
  auto m = make_packed<some_format>(n, k);
  REQUIRE(m.attach(both_kinds({w.data(), n, k}, static_cast<std::uint32_t>(k - 1), type)) ==
          errc::ok);
  return m;
}

std::string one_matrix() { return saved({{"w", with_outliers(3, 40, outlier_type::f16)}}); }

std::uint64_t field(const std::string& file, std::size_t at) {
  std::uint64_t v;
  std::memcpy(&v, file.data() + entry(0) + at, 8);
  return v;
}

/// Where the five arrays of one_matrix() begin in the file.
std::array<std::size_t, 5> arrays_of(const std::string& file) {
  const auto m = with_outliers(3, 40, outlier_type::f16);
  const auto z = detail::outlier_sizes_of(m.data().outliers, 3, 40);
  std::array<std::size_t, 5> at = z.offset;
  for (std::size_t& i : at) i += field(file, 80) + field(file, 88) - z.total;
  return at;
}

bool same_outliers(const outlier_data& a, const outlier_data& b, std::size_t n, std::size_t k) {
  const auto z = detail::outlier_sizes_of(b, n, k);
  if (a.num_values != b.num_values || a.num_columns != b.num_columns) return false;
  if (a.value_type != b.value_type || a.column_type != b.column_type) return false;
  const auto same = [&](const void* x, const void* y, std::size_t i) {
    return z.bytes[i] == 0 ? x == nullptr : std::memcmp(x, y, z.bytes[i]) == 0;
  };
  return same(a.row_begin, b.row_begin, 0) && same(a.cols, b.cols, 1) &&
         same(a.values, b.values, 2) && same(a.columns, b.columns, 3) &&
         same(a.column_values, b.column_values, 4);
}

}  // namespace

TEST_CASE("packed file: outliers of both kinds and every type come back in place") {
  for (const shape size : {shape{1, 2}, shape{16, 32}, shape{19, 96}, shape{2, 66000}}) {
    const std::size_t n = size.rows;
    const std::size_t k = size.cols;
    for (const outlier_type type : every_type) {
      INFO(n << " x " << k << ", type " << static_cast<int>(type));
      const auto m = with_outliers(n, k, type);
      const auto plain = make_packed<some_format>(n, k);
      const std::string file = saved({{"before", plain}, {"w", m}, {"after", plain}});
      read_and(file, [&](const auto& packed, const auto&, auto bytes) {
        REQUIRE(packed.has_value());
        CHECK(packed->verify() == errc::ok);
        const auto w = packed->template get<some_format>("w");
        REQUIRE(w.has_value());
        CHECK(same_outliers(w->data.outliers, m.data().outliers, n, k));
        CHECK(reinterpret_cast<const std::byte*>(w->data.outliers.columns) > bytes.data());
        CHECK(packed->find("w")->bytes.size() == m.bytes());
        CHECK(packed->template get<some_format>("after")->data.outliers.empty());
        CHECK(packed->find("after")->bytes.size() == plain.bytes());
        const auto after = packed->template get<some_format>("after");
        CHECK(saved({{"before", plain}, {"w", *w}, {"after", *after}}) == file);
      });
    }
  }
}

TEST_CASE("packed file: one kind of outliers, none, and matrices without rows") {
  const std::vector<float> x = some_halves(19, 96);
  const std::uint32_t list[] = {4, 90};
  context with(parallel::serial());
  for (const outlier_rule& rule :
       {outlier_rule::above(1.9f), outlier_rule::above(100), outlier_rule::columns(list)}) {
    for (const std::size_t n : {std::size_t{0}, std::size_t{19}}) {
      const auto m =
          pack_with_outliers<some_format>({x.data(), n, 96}, rule, with, {}, outlier_type::bf16);
      REQUIRE(m.has_value());
      read_and(saved({{"w", *m}}), [&](const auto& packed, const auto&, auto) {
        REQUIRE(packed.has_value());
        const auto w = packed->template get<some_format>("w");
        REQUIRE(w.has_value());
        CHECK(same_outliers(w->data.outliers, m->data().outliers, n, 96));
      });
    }
  }
}

TEST_CASE("packed file: padding of outliers is written as zeros") {
  const auto m = with_outliers(3, 40, outlier_type::f16);
  const auto z = detail::outlier_sizes_of(m.data().outliers, 3, 40);
  const std::string file = one_matrix();
  const auto at = arrays_of(file);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t b = z.bytes[i]; b % 64 != 0; ++b) CHECK(file[at[i] + b] == 0);
  }
}

TEST_CASE("packed file: every wrong field of outliers is an error") {
  const std::string good = one_matrix();
  read_and(good, [](const auto& packed, const auto&, auto) { REQUIRE(packed.has_value()); });
  const std::size_t a = entry(0);
  const auto [begins, cols_at, values, columns, column_values] = arrays_of(good);
  static_cast<void>(values);
  static_cast<void>(column_values);
  const std::uint64_t count = field(good, 104);
  REQUIRE(count == 6);  // 2 of 40 in every row
  REQUIRE(field(good, 112) == 2);
  const auto with32 = [&](std::size_t at, std::uint32_t v) {
    return nibble_test::with(good, at, v);
  };
  const auto with16 = [&](std::size_t at, std::uint16_t v) {
    return nibble_test::with(good, at, v);
  };
  const auto with64 = [&](std::size_t at, std::uint64_t v) {
    return nibble_test::with(good, at, v);
  };
  const std::vector<malformed_file> table = {
      {"a cache line more of outliers", with64(a + 104, 40), errc::shape_mismatch},
      {"no outliers", with64(a + 104, 0), errc::malformed},  // of a type
      {"as many as weights", with64(a + 104, 120), errc::shape_mismatch},
      {"more than weights", with64(a + 104, 121), errc::out_of_bounds},
      {"2^32 outliers", with64(a + 104, std::uint64_t{1} << 32), errc::out_of_bounds},
      {"2^64 - 1 outliers", with64(a + 104, max_u64), errc::out_of_bounds},
      {"one more outlier", with64(a + 104, count + 1), errc::malformed},
      {"one outlier less", with64(a + 104, count - 1), errc::malformed},
      {"no columns", with64(a + 112, 0), errc::malformed},
      {"all columns", with64(a + 112, 40), errc::shape_mismatch},
      {"more columns than there are", with64(a + 112, 41), errc::out_of_bounds},
      {"2^64 - 1 columns", with64(a + 112, max_u64), errc::out_of_bounds},
      {"type of outliers", nibble_test::with(good, a + 120, '\3'), errc::malformed},
      {"type of columns", nibble_test::with(good, a + 121, '\xFF'), errc::malformed},
      {"wider columns", nibble_test::with(good, a + 121, '\0'), errc::shape_mismatch},
      {"reserved 122", nibble_test::with(good, a + 122, '\1'), errc::malformed},
      {"reserved 127", nibble_test::with(good, a + 127, '\x80'), errc::malformed},
      {"bytes without outliers", with64(a + 88, field(good, 88) - 320), errc::shape_mismatch},
      {"fewer rows", with64(a + 24, 2), errc::malformed},
      {"the first begin", with32(begins, 1), errc::malformed},
      {"a begin behind the next", with32(begins + 4, 5), errc::malformed},
      {"a begin behind the end", with32(begins + 4, 7), errc::malformed},
      {"a begin far away", with32(begins + 8, 0xFFFFFFFF), errc::malformed},
      {"the last begin", with32(begins + 12, 5), errc::malformed},
      {"an index behind the row", with16(cols_at + 2, 40), errc::malformed},
      {"an index far away", with16(cols_at + 10, 65535), errc::malformed},
      {"indices that do not ascend", with16(cols_at + 2, 0), errc::malformed},
      {"an index twice", with16(cols_at + 2, static_cast<std::uint8_t>(good[cols_at])),
       errc::malformed},
      {"a column behind the row", with32(columns + 4, 40), errc::malformed},
      {"a column far away", with32(columns + 4, 0xFFFFFFFF), errc::malformed},
      {"a column twice", with32(columns + 4, 1), errc::malformed},
      {"columns that do not ascend", with32(columns, 39), errc::malformed},
  };
  for (const malformed_file& f : table) {
    INFO(f.what);
    require_error(f.file, f.expected);
  }
}

TEST_CASE("packed file: an outlier's value is anyone's, its place is not") {
  const std::string good = one_matrix();
  std::size_t accepted = 0;
  std::size_t refused = 0;
  const auto check = [&](const auto& packed, const error_note& note, auto) {
    CHECK(packed.has_value() == (note.text[0] == '\0'));
    packed.has_value() ? ++accepted : ++refused;
    if (!packed) return;
    const auto w = packed->template get<some_format>("w");
    if (!w) return;
    CHECK(detail::outliers_are_sound(w->data.outliers, w->rows(), w->cols()));
    std::size_t seen = 0;
    for_each_outlier(w->data.outliers, w->rows(), w->cols(),
                     [&](std::size_t r, std::size_t c, float) {
                       if (r < w->rows() && c < w->cols()) ++seen;
                     });
    CHECK(seen == w->data.outliers.num_values + w->data.outliers.num_columns * w->rows());
  };
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int change : {0x01, 0x02, 0x10, 0x80, 0xFF}) {
      std::string file = good;
      file[i] = static_cast<char>(file[i] ^ change);
      read_and(with_checksum(file), check);
    }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 300);
}

TEST_CASE("packed file: a changed outlier does not verify") {
  const std::string good = one_matrix();
  for (const std::size_t at : arrays_of(good)) {
    std::string file = good;
    file[at + 1] = static_cast<char>(file[at + 1] ^ 0x40);
    read_and(with_checksum(file), [](const auto& packed, const auto&, auto) {
      CHECK((!packed.has_value() || packed->verify() == errc::malformed));
    });
  }
}

TEST_CASE("packed file: cut anywhere, outliers too, it is truncated") {
  const std::string good = one_matrix();
  for (std::size_t n = 0; n < good.size(); ++n) require_error(good.substr(0, n), errc::truncated);
}

TEST_CASE("packed file: outliers want a file at a multiple of 4 in memory") {
  const std::string good = one_matrix();
  std::vector<std::uint32_t> memory(good.size() / 4 + 1);
  auto* const bytes = reinterpret_cast<std::byte*>(memory.data());
  for (const std::size_t shift : {0u, 1u, 2u, 3u, 4u}) {
    std::memcpy(bytes + shift, good.data(), good.size());
    const errc e = read_packed({bytes + shift, good.size()}).error();
    CHECK(e == (shift % 4 == 0 ? errc::ok : errc::invalid_argument));
  }
}

TEST_CASE("packed file: a mapped matrix with outliers multiplies as the one that was saved") {
  using F = int4_g32_f16;
  const std::vector<float> w = some_floats(rows, cols);
  const std::vector<float> x = some_floats(7, cols);
  context with(parallel::serial());
  const matrix_view<const float> input(x.data(), 7, cols);
  const auto multiply = [&](packed_view<F> view) {
    std::vector<float> y(7 * rows);
    REQUIRE(gemm<F>(view, input, matrix_view<float>(y.data(), 7, rows), with) == errc::ok);
    return y;
  };
  const matrix_view<const float> view(w.data(), rows, cols);
  const std::uint32_t list[] = {3, 70};
  for (const outlier_rule& rule : {outlier_rule::largest(0.05), outlier_rule::columns(list)}) {
    const auto m = pack_with_outliers<F>(view, rule, with);
    REQUIRE(m.has_value());
    const temporary_path path;
    const named_packed named("w", *m);
    REQUIRE(save_packed(path.name.c_str(), {&named, 1}) == errc::ok);
    const auto file = load_packed(path.name.c_str());
    REQUIRE(file.has_value());
    const auto mapped = file->get<F>("w");
    REQUIRE(mapped.has_value());
    const auto y = multiply(*mapped);
    CHECK(std::memcmp(y.data(), multiply(m->view()).data(), y.size() * sizeof(float)) == 0);
    const auto without = multiply(*pack<F>(*quantize<F>(view), with));
    CHECK(std::memcmp(y.data(), without.data(), y.size() * sizeof(float)) != 0);
  }
}
