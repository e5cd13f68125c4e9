// SPDX-License-Identifier: Apache-2.0 OR MIT
// Speed of encode_values() and decode_values() for every element type on every target, beside
// copies, reads and writes of the same floats. bench/README.md says how to run and read it.
#include "nibble/elements.h"
#include "support/roofline.h"

namespace {

struct any_element {
  std::string_view name;
  void (*encode)(const float* x, std::size_t n, std::uint8_t* codes) = nullptr;
  void (*decode)(const std::uint8_t* codes, std::size_t n, float* y) = nullptr;
};

template <nibble::element E>
any_element make_any_element() {
  using code = typename E::code;
  return {
      E::name,
      [](const float* x, std::size_t n, std::uint8_t* codes) {
        static_cast<void>(nibble::encode_values<E>({x, n}, {reinterpret_cast<code*>(codes), n}));
      },
      [](const std::uint8_t* codes, std::size_t n, float* y) {
        static_cast<void>(
            nibble::decode_values<E>({reinterpret_cast<const code*>(codes), n}, {y, n}));
      }};
}

template <class... E>
std::vector<any_element> all_of(nibble::element_list<E...>) {
  return {make_any_element<E>()...};
}

void run(benchmark::State& state, const any_element& e, const bench::area& a,
         const std::string& target, bool decode) {
  bench::buffers& b = bench::buffers::get();
  const float* const x = b.input(a);
  float* const y = b.output(a);
  std::uint8_t* const codes = b.w.resize(a.size() * sizeof(float));
  std::memset(codes, 0, a.size() * sizeof(float));
  nibble::force_target(target.c_str());
  e.encode(x, a.size(), codes);
  bench::run_beside_roofs(state, a, decode ? bench::roof::write : bench::roof::read, [&] {
    decode ? e.decode(codes, a.size(), y) : e.encode(x, a.size(), codes);
    benchmark::ClobberMemory();
  });
}

void register_area(const bench::options& o, const bench::area& a) {
  static const std::vector<any_element> elements = all_of(nibble::all_elements{});
  for (const any_element& e : elements) {
    if (!examples::matches(o.names, e.name)) continue;
    for (const bool decode : {true, false}) {
      for (const std::string& target : o.targets) {
        const std::string name = std::string(decode ? "decode/" : "encode/") + std::string(e.name) +
                                 "/" + a.name + "/" + target;
        benchmark::RegisterBenchmark(
            name.c_str(), [=, &e, &a](benchmark::State& s) { run(s, e, a, target, decode); })
            ->UseManualTime()
            ->Iterations(1);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) { return bench::roof_main(argc, argv, register_area); }
