// SPDX-License-Identifier: Apache-2.0 OR MIT
// Ways to compute a product, as command lines name them.
#ifndef NIBBLE_BENCH_SUPPORT_PATHS_H_
#define NIBBLE_BENCH_SUPPORT_PATHS_H_

#include <map>
#include <string>

#include "nibble/format/gemm_args.h"

namespace bench {

inline constexpr nibble::compute_path all_paths[] = {
    nibble::compute_path::automatic, nibble::compute_path::integer, nibble::compute_path::bf16,
    nibble::compute_path::exact};

/// By their names, for CLI::CheckedTransformer and look-ups.
inline std::map<std::string, nibble::compute_path> named_paths() {
  std::map<std::string, nibble::compute_path> paths;
  for (const nibble::compute_path p : all_paths) paths[nibble::name_of(p)] = p;
  return paths;
}

}  // namespace bench

#endif  // NIBBLE_BENCH_SUPPORT_PATHS_H_
