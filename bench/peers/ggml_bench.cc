// SPDX-License-Identifier: Apache-2.0 OR MIT
// nibble beside libggml on the same bytes, in turns: GB/s of float32 for every GGUF type of the
// catalogue, and whether both decode to the same floats. cmake/peers.sh builds and runs it.
#include <dlfcn.h>
#include <ggml.h>

#include <cctype>
#include <cstdio>
#include <cstring>

#include "support/roofline.h"

namespace {

using examples::any_format;
using from_float = void (*)(const float*, void*, std::int64_t);

// What ggml's CPU backend returns: only the first member matters here.
struct cpu_traits {
  from_float quantize;
};

std::string lower(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// The GGML type with these bytes, or GGML_TYPE_COUNT.
ggml_type find_type(const any_format& f) {
  for (int t = 0; t < GGML_TYPE_COUNT; ++t) {
    const char* const name = ggml_get_type_traits(static_cast<ggml_type>(t))->type_name;
    if (name == nullptr) continue;
    const std::string mine = lower(f.name);
    const bool plain = !f.is_wire && (mine == "f16" || mine == "bf16");
    if ((plain && lower(name) == mine) ||
        (f.is_wire && (lower(name) == mine || lower(name) + "_gguf" == mine))) {
      return static_cast<ggml_type>(t);
    }
  }
  return GGML_TYPE_COUNT;
}

struct pair {
  double nibble = 0;
  double ggml = 0;
};

// GB/s of both, medians. Each is timed right after a run of its own: ordinary stores leave dirty
// lines in the caches that the next one pays for, streaming stores leave none.
template <class Ours, class Theirs>
pair in_turns(std::size_t floats, Ours&& ours, Theirs&& theirs) {
  ours();
  const double warm_up = examples::seconds_of(theirs);
  std::vector<double> a, b;
  for (int i = 0; i < (warm_up > 0.3 ? 1 : 11); ++i) {
    ours();
    a.push_back(examples::seconds_of(ours));
    theirs();
    b.push_back(examples::seconds_of(theirs));
  }
  return {bench::gbps(floats, examples::median(a)), bench::gbps(floats, examples::median(b))};
}

void compare(const any_format& f, ggml_type type, const bench::area& a, from_float simd) {
  const ggml_type_traits& traits = *ggml_get_type_traits(type);
  bench::buffers& b = bench::buffers::get();
  const float* const x = b.input(a);
  float* const y = b.output(a);
  std::uint8_t* const w = b.w.resize(f.buffer_bytes(a.rows, a.cols));
  const auto n = static_cast<std::int64_t>(a.size());
  // Searches are slow: a quarter of a percent of the floats is enough, and fits no cache either
  // way.
  const bench::area few{"", 32, a.cols, false};
  pair quantize = in_turns(
      few.size(),
      [&] {
        static_cast<void>(f.quantize({x, few.rows, few.cols}, w, {}));
      },
      [&] {
        if (traits.from_float_ref != nullptr) {
          traits.from_float_ref(x, w, static_cast<std::int64_t>(few.size()));
        }
      });
  if (traits.from_float_ref == nullptr) quantize.ggml = 0;
  double simd_gbps = 0;
  if (simd != nullptr) {
    simd_gbps = in_turns(
                    few.size(), [] {}, [&] { simd(x, w, static_cast<std::int64_t>(few.size())); })
                    .ggml;
  }

  static_cast<void>(f.quantize({x, a.rows, a.cols}, w, {}));
  pair dequantize{};
  const char* same = "-";
  if (traits.to_float != nullptr) {
    static examples::aligned_buffer<float> theirs;
    float* const y2 = theirs.resize(a.size());
    f.dequantize(w, {y, a.rows, a.cols});
    traits.to_float(w, y2, n);
    same = std::memcmp(y, y2, a.size() * sizeof(float)) == 0 ? "yes" : "NO";
    dequantize = in_turns(
        a.size(),
        [&] {
          f.dequantize(w, {y, a.rows, a.cols});
        },
        [&] { traits.to_float(w, y2, n); });
  }
  const auto figure = [](double value, int digits) {
    char text[32] = "-";
    if (value > 0) std::snprintf(text, sizeof text, "%.*f", digits, value);
    return std::string(text);
  };
  std::printf("%-12s%9s%9s%7s%7s%11s%9s%9s\n", f.name.data(), figure(dequantize.nibble, 2).c_str(),
              figure(dequantize.ggml, 2).c_str(),
              figure(dequantize.ggml > 0 ? dequantize.nibble / dequantize.ggml : 0, 1).c_str(),
              same, figure(quantize.nibble, 2).c_str(), figure(quantize.ggml, 3).c_str(),
              figure(simd_gbps, 2).c_str());
  std::fflush(stdout);
}

}  // namespace

// Usage: nibble_bench_ggml [path of ggml's CPU backend, for its vectorised quantizers]
int main(int argc, char** argv) {
  const cpu_traits* (*cpu_traits_of)(ggml_type) = nullptr;
  if (argc > 1) {
    void* const backend = dlopen(argv[1], RTLD_NOW);
    if (backend == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 3;
    if (void* const init = dlsym(backend, "ggml_cpu_init")) {
      reinterpret_cast<void (*)()>(init)();
    }
    cpu_traits_of = reinterpret_cast<const cpu_traits* (*)(ggml_type)>(
        dlsym(backend, "ggml_get_type_traits_cpu"));
  }
  std::printf("GB/s of float32, target %s, one thread; quantize: 512 KiB of floats\n",
              nibble::current_target());
  for (const bench::area& a : bench::areas) {
    std::printf("\n%-12s%9s%9s%7s%7s%11s%9s%9s\n%-12s%9s%9s%7s%7s%11s%9s%9s\n", a.name, "dequant.",
                "dequant.", "", "same", "quantize", "quantize", "ggml's", "", "nibble", "ggml",
                "ratio", "bits", "nibble", "ggml", "SIMD");
    for (const any_format& f : examples::catalogue()) {
      const ggml_type type = find_type(f);
      if (type == GGML_TYPE_COUNT) continue;
      compare(f, type, a, cpu_traits_of != nullptr ? cpu_traits_of(type)->quantize : nullptr);
    }
  }
  return 0;
}
