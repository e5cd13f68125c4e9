#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# What including nibble costs: CPU seconds and peak memory of a unit that includes one public header,
# for each mode, as a Markdown table. Least of three runs; nothing else should be busy meanwhile.
#
#   sh cmake/compile_cost.sh [compiler [flags...]]      default: c++ -O2
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cxx=${1:-c++}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- -O2
hwy=${NIBBLE_HIGHWAY_INCLUDE:-$root/build/deps/usr/include}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a command three times; prints the least CPU seconds and MB of it and all its children.
cat >"$work/measure.cc" <<'CODE'
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
int main(int, char** argv) {
  double best = 1e9;
  for (int run = 0; run < 3; ++run) {
    rusage before{}, after{};
    getrusage(RUSAGE_CHILDREN, &before);
    int status = 1;
    if (const pid_t child = fork(); child == 0) {
      execvp(argv[1], argv + 1);
      _exit(127);
    } else if (waitpid(child, &status, 0) < 0 || status != 0) {
      std::puts("fails");
      return 0;
    }
    getrusage(RUSAGE_CHILDREN, &after);
    const auto seconds = [](const rusage& r) {
      return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
    };
    best = std::min(best, seconds(after) - seconds(before));
  }
  rusage all{};
  getrusage(RUSAGE_CHILDREN, &all);
  std::printf("%.2f s, %ld MB\n", best, all.ru_maxrss / 1024);
}
CODE
"$cxx" -std=c++20 -O1 -o "$work/measure" "$work/measure.cc"

# cost SOURCE FLAG...
cost() {
  source=$1
  shift
  "$work/measure" "$cxx" -std=c++20 "$@" -I"$root/include" -I"$root/tests" -isystem "$hwy" -c \
    "$source" -o "$work/out.o" 2>/dev/null
}

# row NAME SOURCE FLAG...
row() {
  name=$1
  source=$2
  shift 2
  printf '| %s | %s | %s | %s |\n' "$name" "$(cost "$source" "$@" -DNIBBLE_COMPILED)" \
    "$(cost "$source" "$@" -DNIBBLE_STATIC_DISPATCH)" "$(cost "$source" "$@")"
}

printf '%s, %s\n\n' "$("$cxx" --version | head -n 1)" "$*"
printf '| unit | compiled | static | header-only |\n|---|---|---|---|\n'
: >"$work/empty.cc"
row 'nothing' "$work/empty.cc" "$@"
for header in "$root"/include/nibble/*.h "$root"/include/nibble/io/*.h; do
  name=${header#"$root/include/"}
  case $name in nibble/dispatch.h) continue ;; esac
  printf '#include "%s"\n' "$name" >"$work/unit.cc"
  row "\`$name\`" "$work/unit.cc" "$@"
done
cat >"$work/unit.cc" <<'CODE'
#include "nibble/gemm.h"
nibble::errc multiply(nibble::packed_view<nibble::int4_g32_f16> w, nibble::activations x,
                      nibble::results y, nibble::context& with) {
  return nibble::gemm<nibble::int4_g32_f16>(w, x, y, with);
}
CODE
row '`gemm()` of one format' "$work/unit.cc" "$@"
row 'a client, tests/config/client_main.cc' "$root/tests/config/client_main.cc" "$@"
