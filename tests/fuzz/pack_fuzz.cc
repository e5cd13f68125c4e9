// SPDX-License-Identifier: Apache-2.0 OR MIT
// Fuzzes pack() and unpack(): any bytes as codes and scales, any shape, strides and alignment, and
// tasks in any order.
//
// Stops at a crash, a write outside of the rows, an order of tasks that changes a byte, or a value
// that does not come back. No kernels: unpacking is plain code.
#include "nibble/pack.h"

#include "shuffled.h"
#include "support/print.h"
#include "support/reference_line.h"
#include "watch.h"

namespace {

using fuzz::require;
using nibble_test::quantized_parts;

/// The fuzzer's bytes first, then random ones.
void fill(quantized_parts& q, fuzz::choices& in) {
  nibble_test::random_bits random(in.take<std::uint64_t>());
  for (std::size_t s = 0; s < q.count(); ++s) {
    for (std::size_t r = 0; r < q.size(s).rows; ++r) {
      for (std::size_t b = 0; b < q.size(s).row_bytes; ++b) {
        q.row(s, r)[b] = in.left() != 0 ? in.take<std::uint8_t>() : random.byte();
      }
    }
  }
}

template <class F>
std::vector<std::uint8_t> packed_bytes(nibble::packed_matrix<F>& p) {
  return {p.buffer(), p.buffer() + p.bytes()};
}

template <class F>
void run(fuzz::choices& in) {
  const nibble_test::erased_format f = nibble_test::make_reference_line<F>();
  const std::size_t rows = in.below(70);
  const std::size_t cols = in.below(600);
  quantized_parts from(f, rows, cols, in.below(4), in.below(5));
  fuzz::shuffled pool(in.take<std::uint32_t>(), 1 + in.below(4));
  const std::size_t gap = in.below(4);
  const std::size_t offset = in.below(5);
  fill(from, in);
  const auto source = nibble_test::detail::view_of<F>(from.readable(), rows, cols);
  auto packed = nibble::pack<F>(source);
  nibble::context with(pool.threads());
  auto shared = nibble::pack<F>(source, with);
  require(packed.has_value() && shared.has_value(), "small matrices can be packed");
  require(packed_bytes(*packed) == packed_bytes(*shared), "the order of tasks changes nothing");
  require(from.gaps_untouched(), "pack() only reads");
  if constexpr (nibble::detail::unpackable<F>) {
    quantized_parts to(f, rows, cols, gap, offset);
    const auto back = nibble_test::detail::view_of<F>(to.writable(), rows, cols);
    require(nibble::unpack<F>(*packed, back) == nibble::errc::ok, "what was packed is unpacked");
    require(to.gaps_untouched(), "unpack() keeps to its rows");
    auto again = nibble::pack<F>(nibble_test::detail::view_of<F>(to.readable(), rows, cols));
    require(again.has_value() && packed_bytes(*again) == packed_bytes(*packed),
            "codes and scales come back");
    std::vector<float> want(rows * cols);
    std::vector<float> got(rows * cols);
    f.reference_dequantize(from.readable(), {want.data(), rows, cols});
    f.reference_dequantize(to.readable(), {got.data(), rows, cols});
    require(nibble_test::difference(got, want).empty(), "values come back");
  }
}

using namespace nibble;
constexpr void (*runs[])(fuzz::choices&) = {run<int8_channel_f32>,
                                            run<uint4_g32_f16_z>,
                                            run<uint3_g32_f16_z>,
                                            run<uint5_g32_f16_z>,
                                            run<int6_g32_f16>,
                                            run<nf4_g64_dq>,
                                            run<nvfp4>,
                                            run<fp8_e4m3fn_t128_f32>,
                                            run<ternary_g64_f16>,
                                            run<binary_g128_f16>,
                                            run<uint4_channel_f32_zf>,
                                            run<f16>,
                                            run<gguf::q4_K>,
                                            run<gguf::q6_K>,
                                            run<gguf::q5_1>,
                                            run<gguf::tq1_0>};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::choices in(data, size);
  in.one_of(runs)(in);
  return 0;
}
