// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which formats of the peers stand beside a format of ours: the same bits and groups, if not always
// the same bytes.
#ifndef NIBBLE_BENCH_ROOFLINE_PEER_FORMATS_H_
#define NIBBLE_BENCH_ROOFLINE_PEER_FORMATS_H_

#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// Names for peer::prepare(), to be tried in this order.
inline std::vector<std::string> peer_formats(std::string_view ours) {
  constexpr std::string_view gguf = "_gguf";
  const auto is = [ours](std::string_view prefix) { return ours.starts_with(prefix); };
  if (is("int8_channel")) return {"int8_channel"};
  if (is("int8_g32") || ours == "q8_0") return {"q8_0", "int8_g32"};
  if (is("int8_g128")) return {"int8_g128"};
  if (is("int4_g32") || ours == "q4_0") return {"q4_0", "int4_g32"};
  if (is("int4_g64")) return {"int4_g64"};
  if (is("int4_g128")) return {"int4_g128"};
  if (is("int4_channel")) return {"int4_channel"};
  if (is("uint4_g32")) return {"q4_1"};
  if (is("int5_g32")) return {"q5_0"};
  if (is("uint5_g32")) return {"q5_1"};
  if (is("nf4_g64")) return {"nf4_g64"};
  if (is("ternary")) return {"tq2_0"};
  if (ours.ends_with(gguf)) ours.remove_suffix(gguf.size());
  return {std::string(ours)};
}

}  // namespace bench

#endif  // NIBBLE_BENCH_ROOFLINE_PEER_FORMATS_H_
