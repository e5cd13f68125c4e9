// SPDX-License-Identifier: Apache-2.0 OR MIT
// Speed of quantize() and dequantize() for every format of the catalogue on every target, beside
// copies, reads and writes of the same floats. bench/README.md says how to run and read it.
#include <map>

#include "support/roofline.h"

namespace {

using examples::any_format;

// The quantized input of a format, made once for all targets; the bytes do not depend on them.
const std::uint8_t* quantized_input(const any_format& f, const bench::area& a) {
  static const any_format* made = nullptr;
  static const char* where = nullptr;
  bench::buffers& b = bench::buffers::get();
  const float* const x = b.input(a);
  std::uint8_t* const w = b.w.resize(f.buffer_bytes(a.rows, a.cols));
  if (made != &f || where != a.name) {
    nibble::force_target(nullptr);
    static_cast<void>(f.quantize({x, a.rows, a.cols}, w, {}));
    made = &f;
    where = a.name;
  }
  return w;
}

void dequantize(benchmark::State& state, const any_format& f, const bench::area& a,
                const std::string& target) {
  const std::uint8_t* const w = quantized_input(f, a);
  nibble::force_target(target.c_str());
  float* const y = bench::buffers::get().output(a);
  bench::run_beside_roofs(state, a, bench::roof::write, [&] {
    f.dequantize(w, {y, a.rows, a.cols});
    benchmark::ClobberMemory();
  });
}

void quantize(benchmark::State& state, const any_format& f, const bench::area& a,
              const std::string& target) {
  static examples::aligned_buffer<std::uint8_t> to;
  const std::size_t bytes = f.buffer_bytes(a.rows, a.cols);
  std::uint8_t* const w = to.resize(bytes);
  std::memset(w, 0, bytes);
  nibble::force_target(target.c_str());
  const float* const x = bench::buffers::get().input(a);
  bench::run_beside_roofs(state, a, bench::roof::read, [&] {
    static_cast<void>(f.quantize({x, a.rows, a.cols}, w, {}));
    benchmark::ClobberMemory();
  });
}

void register_area(const bench::options& o, const bench::area& a) {
  static const std::vector<any_format> formats = examples::catalogue();
  const auto add = [&a](const char* what, auto fn, const any_format& f, const std::string& target) {
    const std::string name =
        std::string(what) + "/" + std::string(f.name) + "/" + a.name + "/" + target;
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=, &f, &a](benchmark::State& s) { fn(s, f, a, target); })
        ->UseManualTime()
        ->Iterations(1);
  };
  for (const any_format& f : formats) {
    if (!examples::matches(o.names, f.name)) continue;
    for (const std::string& target : o.targets) add("dequantize", dequantize, f, target);
    for (const std::string& target : o.targets) add("quantize", quantize, f, target);
  }
}

}  // namespace

int main(int argc, char** argv) { return bench::roof_main(argc, argv, register_area); }
