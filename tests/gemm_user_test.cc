// SPDX-License-Identifier: Apache-2.0 OR MIT
// Packed products of formats of a user's own: lengths of blocks that no shipped format has, tiles,
// nested scales, records. Kernels are made here, for one target.
#include "nibble/gemm.h"

#include "format/user_formats.h"
#include "nibble/reference.h"
#include "support/gemm_checks.h"
#include "support/make_erased_gemm.h"

/// Blocks shorter than a packed block.
struct user_short : nibble::block<nibble::int4, 8, nibble::scale<nibble::f16>> {
  static constexpr std::string_view name = "user_short";
};

/// Blocks that are padded to two strips; 7-bit levels with a bias.
struct user_40 : nibble::block<nibble::offset_int<6, 32>, 40, nibble::scale<nibble::bf16>> {
  static constexpr std::string_view name = "user_40";
};

/// Scales that are codes with a least value of their own.
struct user_shifted_scale
    : nibble::block<nibble::int4, 32,
                    nibble::scale<nibble::block<nibble::uint8, 8, nibble::scale<nibble::f16>,
                                                nibble::offset<nibble::f16>>>> {
  static constexpr std::string_view name = "user_shifted_scale";
};

/// 8 bits with an integer zero point per 16.
struct user_16
    : nibble::block<nibble::uint8, 16, nibble::scale<nibble::f32>, nibble::zero<nibble::uint8>> {
  static constexpr std::string_view name = "user_16";
};

using namespace nibble_test;

namespace {

/// The parts of a line of the run-time table that need no kernel.
template <class F>
erased_format reference_format() {
  erased_format f{};
  f.name = F::name;
  f.is_wire = nibble::wire_format<F>;
  f.section_sizes = [](std::size_t rows, std::size_t cols) {
    std::vector<section_size> sizes;
    nibble::detail::for_each_section<F>(rows, cols, [&](std::size_t r, std::size_t b) {
      sizes.push_back({r, b});
    });
    return sizes;
  };
  f.quantize = [](matrix_view<const float> x, sections w, const quantize_options& o) {
    return nibble::reference::quantize<F>(x, nibble_test::detail::view_of<F>(w, x.rows, x.cols), o);
  };
  f.reference_dequantize = [](const_sections w, matrix_view<float> y) {
    nibble::reference::dequantize<F>(nibble_test::detail::view_of<F>(w, y.rows, y.cols), y);
  };
  return f;
}

struct user_format {
  erased_format format;
  erased_gemm ops;
};

template <class... F>
std::vector<user_format> make_table() {
  return {{reference_format<F>(), make_erased_gemm<F>()}...};
}

const std::vector<user_format>& user_formats() {
  static const auto table =
      make_table<user_5bit, user_6bit, user_fp8, user_nested, user_tiles, user_book, user_record,
                 user_centered, user_short, user_40, user_shifted_scale, user_16>();
  return table;
}

constexpr shape user_shapes[] = {{1, 1},    {3, 7},   {16, 16},  {17, 24},  {5, 40},  {20, 47},
                                 {33, 48},  {16, 49}, {2, 79},   {70, 81},  {9, 128}, {40, 129},
                                 {18, 240}, {7, 300}, {130, 20}, {16, 520}, {4, 2049}};

}  // namespace

TEST_CASE("a user's formats agree with the reference on every path and target") {
  closeness close;
  for (const user_format& f : user_formats()) {
    for (const shape size : user_shapes) {
      random_bits random(seed_of(f.format.name, size.rows, size.cols));
      const weights w(f.format, f.ops, size.rows, size.cols, random.next());
      constexpr std::size_t m = 10;
      const auto values = make_values(fill::normal, m * size.cols, random.next());
      const activations x = as_activations(values, m, size.cols);
      const expectation want(w, x);
      context with(parallel::serial());
      for_each_target([&](const char* target) {
        for (const compute_path path : all_paths) {
          if (!can(f.ops, path)) continue;
          INFO(f.format.name << " " << size.rows << " x " << size.cols << ", " << name_of(path)
                             << " on " << target);
          const auto y = multiply(w, x, with, options_of(path));
          CHECK(disagreement(y, want, path, close) == "");
          const auto one = multiply(w, first_rows(x, 1), with, options_of(path));
          CHECK(difference(one, std::span(y).first(one.size())) == "");
        }
      });
    }
  }
  close.print("a user's formats");
}

TEST_CASE("a user's formats come back from packing, unless their scales were made floats") {
  for (const user_format& f : user_formats()) {
    const bool lossy = f.format.name == "user_nested" || f.format.name == "user_shifted_scale";
    CHECK((f.ops.unpack == nullptr) == lossy);
    for (const shape size : user_shapes) {
      INFO(f.format.name << " " << size.rows << " x " << size.cols);
      const weights w(f.format, f.ops, size.rows, size.cols, 1, fill::heavy_tailed);
      if (lossy) continue;
      quantized_parts back(f.format, size.rows, size.cols);
      REQUIRE(f.ops.unpack(w.packed.data, back.writable()) == errc::ok);
      std::vector<float> got(size.rows * size.cols);
      f.format.reference_dequantize(back.readable(), {got.data(), size.rows, size.cols});
      CHECK(difference(got, w.apart.value) == "");
      const weights again(f.ops, std::move(back), size.rows, size.cols);
      CHECK(difference(std::span<const std::uint8_t>(again.packed.buffer, again.packed.bytes),
                       std::span<const std::uint8_t>(w.packed.buffer, w.packed.bytes)) == "");
    }
  }
}

TEST_CASE("gemv is gemm with one row") {
  constexpr std::size_t n = 37;
  constexpr std::size_t k = 96;
  const auto values = make_values(fill::normal, n * k, 1);
  const auto x = make_values(fill::normal, k, 2);
  auto q = nibble::quantized_matrix<user_5bit>::create(n, k);
  REQUIRE(q);
  REQUIRE(nibble::reference::quantize<user_5bit>(matrix_view<const float>(values.data(), n, k),
                                                 q->view()) == errc::ok);
  const auto w = nibble::pack<user_5bit>(*q);
  REQUIRE(w);
  CHECK(w->rows() == n);
  CHECK(w->cols() == k);
  context with(parallel::serial());
  std::vector<float> one(n, quiet_nan);
  std::vector<float> same(n, quiet_nan);
  REQUIRE(nibble::gemv<user_5bit>(*w, x, one, with) == errc::ok);
  REQUIRE(nibble::gemm<user_5bit>(*w, as_activations(x, 1, k),
                                  matrix_view<float>(same.data(), 1, n), with) == errc::ok);
  CHECK(difference(one, same) == "");
}
