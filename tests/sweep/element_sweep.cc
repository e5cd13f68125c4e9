// SPDX-License-Identifier: Apache-2.0 OR MIT
// All 2^32 floats through the encoders of every element of at most 8 bits.
//
//   element_sweep [--threads N] [--policies default|all] [--no-scalar] [element ...]
//
// Three answers must agree for every float: the definition (the slow one of tests/element, which
// is constant between thresholds, so runs of equal codes are filled at once), the scalar encoder
// and the vector codec on the best target. About 15 s per element and thread; NIBBLE_TEST_TARGET
// is not read, force a target with NIBBLE_SWEEP_TARGET=AVX2.
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "nibble/elements.h"
#include "nibble/target.h"

#include "element/erased.h"
#include "element/slow_definition.h"

namespace {

using namespace nibble_test;

// Where the code changes, for the floats of one sign in the order of their bits.
class runs {
 public:
  runs(const slow_encoder& slow, encode_policy policy, std::uint32_t sign) {
    // Between critical inputs nothing changes; a few ulps of margin find the exact place.
    std::vector<std::uint32_t> stops{0, 1, 0x7F800000, 0x7F800001, 0x7FFFFFFF};
    for (const float x : slow.critical_inputs(3)) {
      const std::uint32_t b = std::bit_cast<std::uint32_t>(x);
      if ((b & 0x80000000u) == sign) stops.push_back(b & 0x7FFFFFFFu);
    }
    std::sort(stops.begin(), stops.end());
    stops.erase(std::unique(stops.begin(), stops.end()), stops.end());
    for (std::size_t i = 0; i < stops.size(); ++i) {
      const auto code = slow.encode(std::bit_cast<float>(stops[i] | sign), policy);
      if (!starts_.empty() && codes_.back() == code) continue;
      // The stop before must lie right in front, or the change is somewhere we did not look.
      if (i > 0 && stops[i] != stops[i - 1] + 1) gap_ = true;
      starts_.push_back(stops[i]);
      codes_.push_back(static_cast<std::uint8_t>(code));
    }
  }
  [[nodiscard]] bool has_gap() const { return gap_; }

  // Codes of the floats first .. first + n of this sign.
  void fill(std::uint32_t first, std::size_t n, std::uint8_t* codes) const {
    auto i = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), first) -
                                      starts_.begin() - 1);
    for (std::size_t done = 0; done < n; ++i) {
      const std::uint64_t end = i + 1 < starts_.size() ? starts_[i + 1] : 0x80000000u;
      const std::size_t until = std::min<std::size_t>(n, static_cast<std::size_t>(end - first));
      std::memset(codes + done, codes_[i], until - done);
      done = until;
    }
  }

 private:
  std::vector<std::uint32_t> starts_;
  std::vector<std::uint8_t> codes_;
  bool gap_ = false;
};

struct sweep_case {
  erased_element element;
  void (*encode_all)(std::span<const float>, std::span<std::uint8_t>, encode_policy);
};

template <class... E>
std::vector<sweep_case> sweep_cases(nibble::element_list<E...> /*list*/) {
  std::vector<sweep_case> cases;
  const auto add = [&]<class One>(One /*element*/) {
    if constexpr (One::bits <= 8) {
      cases.push_back(
          {erase<One>(), [](std::span<const float> x, std::span<std::uint8_t> c, encode_policy p) {
             if (nibble::encode_values<One>(x, c, p) != nibble::errc::ok) std::abort();
           }});
    }
  };
  (add(E{}), ...);
  return cases;
}

struct result {
  std::uint64_t differences = 0;
  std::string first;
};

result sweep(const sweep_case& c, encode_policy policy, unsigned num_threads, bool scalar) {
  constexpr std::uint32_t chunk = 1u << 15;
  const bool defined = c.element.kind != family::other;
  std::vector<runs> definition;
  if (defined) {
    const slow_encoder slow(c.element);
    for (const std::uint32_t sign : {0u, 0x80000000u}) definition.emplace_back(slow, policy, sign);
    if (definition[0].has_gap() || definition[1].has_gap()) {
      return {1, "the definition changes where no boundary is"};
    }
  }
  std::atomic<std::uint32_t> next{0};
  std::mutex mutex;
  result total;
  const auto work = [&] {
    std::vector<float> x(chunk);
    std::vector<std::uint8_t> want(chunk), by_scalar(chunk), by_vector(chunk);
    for (;;) {
      const std::uint32_t i = next.fetch_add(1);
      if (i >= (1u << 17)) return;
      const std::uint32_t first = i * chunk;
      for (std::uint32_t j = 0; j < chunk; ++j) x[j] = std::bit_cast<float>(first + j);
      c.encode_all(x, by_vector, policy);
      if (scalar || !defined) {
        for (std::uint32_t j = 0; j < chunk; ++j) {
          by_scalar[j] = static_cast<std::uint8_t>(c.element.encode(x[j], policy));
        }
      }
      if (defined) {
        definition[first >> 31].fill(first & 0x7FFFFFFFu, chunk, want.data());
      } else {
        want = by_scalar;
      }
      if (by_vector == want && (!scalar || by_scalar == want)) continue;
      const std::lock_guard lock(mutex);
      for (std::uint32_t j = 0; j < chunk; ++j) {
        if (by_vector[j] == want[j] && (!scalar || by_scalar[j] == want[j])) continue;
        if (total.differences++ == 0) {
          char text[100];
          std::snprintf(text, sizeof text, "bits %08x: definition %d, scalar %d, vector %d",
                        first + j, want[j], by_scalar[j], by_vector[j]);
          total.first = text;
        }
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 1; t < num_threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& t : threads) t.join();
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned num_threads = std::max(1u, std::thread::hardware_concurrency());
  bool scalar = true;
  std::vector<encode_policy> policies{encode_policy{}};
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--threads" && i + 1 < argc) {
      num_threads = static_cast<unsigned>(std::max(1, std::atoi(argv[++i])));
    } else if (arg == "--policies" && i + 1 < argc) {
      if (std::string(argv[++i]) == "all") policies = all_policies();
    } else if (arg == "--no-scalar") {
      scalar = false;
    } else if (arg.empty() || arg[0] == '-') {
      std::fprintf(stderr,
                   "usage: element_sweep [--threads N] [--policies default|all] [--no-scalar] "
                   "[element ...]\n");
      return 2;
    } else {
      names.push_back(arg);
    }
  }
  if (const char* target = std::getenv("NIBBLE_SWEEP_TARGET")) {
    if (!nibble::force_target(target)) {
      std::fprintf(stderr, "element_sweep: no target %s here\n", target);
      return 2;
    }
  }
  std::vector<sweep_case> cases = sweep_cases(nibble::all_elements{});
  if (!names.empty()) {
    std::erase_if(cases, [&](const sweep_case& c) {
      return std::find(names.begin(), names.end(), c.element.name) == names.end();
    });
  }
  std::printf("2^32 floats, %zu elements, %zu policies, target %s, %u threads\n", cases.size(),
              policies.size(), nibble::current_target(), num_threads);
  int num_bad = 0;
  std::size_t done = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const sweep_case& c : cases) {
    for (const encode_policy policy : policies) {
      const result r = sweep(c, policy, num_threads, scalar);
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::printf("[%3zu/%zu %6.0f s] %-18s rounding %d overflow %d: %s\n", ++done,
                  cases.size() * policies.size(), seconds, c.element.name.c_str(),
                  static_cast<int>(policy.round), static_cast<int>(policy.over),
                  r.differences == 0 ? "equal" : r.first.c_str());
      std::fflush(stdout);
      num_bad += r.differences != 0;
    }
  }
  std::printf("%d of %zu sweeps with differences\n", num_bad, done);
  return num_bad == 0 ? 0 : 1;
}
