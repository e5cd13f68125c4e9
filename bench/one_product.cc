// SPDX-License-Identifier: Apache-2.0 OR MIT
// One packed product, some number of times, and nothing else: for counting instructions and for
// profilers. What preparing costs is the same for every --repeat, so the difference between two
// runs is the cost of products alone. bench/arm_counts.sh uses it, and says how.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "nibble/any.h"
#include "nibble/target.h"
#include "support/paths.h"

namespace {

// Without libnibble a program lists the formats that it compiles.
#ifdef NIBBLE_ONE_PRODUCT_FORMATS
using namespace nibble;
template <class... F>
std::span<const nibble::any_format> list(nibble::type_list<F...>) {
  return nibble::any_formats<F...>::list;
}
std::span<const nibble::any_format> formats() {
  return list(nibble::type_list<NIBBLE_ONE_PRODUCT_FORMATS>());
}
#else
std::span<const nibble::any_format> formats() { return nibble::catalogue(); }
#endif

struct options {
  std::string format = "int4_g32_f16";
  std::size_t m = 1;
  std::size_t n = 1024;
  std::size_t k = 1024;
  nibble::compute_path path = nibble::compute_path::automatic;
  std::string target;
  std::vector<nibble::extension> extensions;
  std::size_t repeat = 1;
};

/// Normal enough, and the same on every machine.
std::vector<float> some_floats(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> v(count);
  for (float& f : v) {
    f = -2;
    for (int i = 0; i < 4; ++i) f += static_cast<float>(random() >> 8) * 0x1p-24f;
  }
  return v;
}

int complain(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  return 2;
}

int run(const options& o) {
  if (!o.target.empty() && !nibble::force_target(o.target.c_str())) {
    return complain("no target '" + o.target + "' on this CPU and in this program");
  }
  const nibble::any_format* const f = nibble::find_format(o.format, formats());
  if (f == nullptr) return complain("no format '" + o.format + "' in this program");
  if (!f->supports(o.path)) return complain("the format has no such path");
  nibble::gemm_options with_options;
  with_options.path = o.path;
  if (!o.extensions.empty()) {
    with_options.extensions = nibble::extension::none;
    for (const nibble::extension e : o.extensions) {
      with_options.extensions = with_options.extensions | e;
    }
  }
  nibble::context with(nibble::parallel::serial());
  const std::vector<float> w = some_floats(o.n * o.k, 1);
  const std::vector<float> x = some_floats(o.m * o.k, 2);
  std::vector<float> y(o.m * o.n);
  const auto packed = nibble::pack(*f, nibble::matrix_view<const float>(w.data(), o.n, o.k), with);
  if (!packed) return complain(nibble::message(packed.error()));
  const nibble::matrix_view<const float> x_view(x.data(), o.m, o.k);
  std::fputs(nibble::to_text(nibble::explain(*packed, x_view, with, with_options)).text, stdout);
  for (std::size_t i = 0; i < o.repeat; ++i) {
    const nibble::errc e = nibble::gemm(
        *packed, x_view, nibble::matrix_view<float>(y.data(), o.m, o.n), with, {}, with_options);
    if (e != nibble::errc::ok) return complain(nibble::message(e));
  }
  double sum = 0;
  for (const float v : y) sum += static_cast<double>(v);
  std::printf("%zu products; sum of y: %.9g\n", o.repeat, sum);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Multiplies --repeat times x [m x k] by the same packed w [n x k], on one thread.");
  std::map<std::string, nibble::extension> extensions = {{"none", nibble::extension::none},
                                                         {"any", nibble::extension::any}};
  for (const auto& e : nibble::named_extensions) extensions[e.name] = e.value;
  bool list_only = false;
  app.add_option("--format", o.format, "of w")->capture_default_str();
  app.add_option("--m", o.m, "rows of x")->capture_default_str();
  app.add_option("--n", o.n, "rows of w")->capture_default_str();
  app.add_option("--k", o.k, "columns of both")->capture_default_str();
  app.add_option("--path", o.path, "how to compute")
      ->transform(CLI::CheckedTransformer(bench::named_paths(), CLI::ignore_case));
  app.add_option("--target", o.target, "AVX3_DL, AVX2, NEON, ... (default: the best)");
  app.add_option("--extensions", o.extensions, "of the target that may be used (default: any)")
      ->delimiter(',')
      ->transform(CLI::CheckedTransformer(extensions, CLI::ignore_case));
  app.add_option("--repeat", o.repeat, "products; 0: only prepare")->capture_default_str();
  app.add_flag("--list", list_only, "print the formats and targets, and stop");
  CLI11_PARSE(app, argc, argv);
  if (list_only) {
    for (const nibble::any_format& f : formats()) std::printf("%s\n", std::string(f.name).c_str());
    for (std::size_t i = 0; i < nibble::num_targets(); ++i) {
      std::printf("target %s\n", nibble::target_name(i));
    }
    return 0;
  }
  return run(o);
}
