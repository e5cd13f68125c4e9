#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Fuzzes everything: builds the targets of tests/fuzz with clang, ASan and UBSan, and runs each for
# its share of the time, from the corpus and from what earlier runs have found.
set -eu

usage() {
  cat <<'TEXT'
usage: sh cmake/fuzz.sh [MINUTES] [TARGET...]

  MINUTES  of all targets together, after building (default: 10; fractions are fine); NIBBLE_JOBS
           (default: 2) run at a time
  TARGET   io, packed_file, pack, gemm (default: all)

New inputs stay in build/fuzz/found/TARGET, crashes in build/fuzz/crash-*. Put an input that showed
a bug into tests/fuzz/corpus/TARGET: ctest runs it from then on.

Environment: CXX (default: the newest clang++ there is), CXXFLAGS (default: -march=native, whose
target the kernels are compiled for), NIBBLE_JOBS, NIBBLE_FUZZ_SANITIZERS (default:
address,undefined; or memory, for io and packed_file: in pack and gemm it reports libraries that
are not compiled for it, see bootstrap.sh msan)
TEXT
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
jobs=${NIBBLE_JOBS:-2}

# run_target TARGET SECONDS: what this script calls itself for, several at a time
run_target() {
  found=build/fuzz/found/$1
  mkdir -p "$found"
  build/fuzz/tests/fuzz/"$1_fuzz" -max_total_time="$2" -max_len=4096 -len_control=20 \
    -timeout=60 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=1 \
    -artifact_prefix=build/fuzz/crash-"$1"- "$found" tests/fuzz/corpus/"$1" \
    2>"build/fuzz/$1.log" ||
    { tail -n 40 "build/fuzz/$1.log" >&2; echo "fuzz: $1 found something" >&2; exit 1; }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$1.log")
  new=$(sed -n 's/^stat::new_units_added: *//p' "build/fuzz/$1.log")
  echo "fuzz: $1, $2 s: $runs inputs, $new of them new, nothing found" >&2
}
if [ "${1:-}" = --run ]; then
  run_target "$3" "$2"
  exit 0
fi

for cxx in ${CXX:-clang++-19 clang++ clang++-18 clang++-17 clang++-16 clang++-15 clang++-14}; do
  command -v "$cxx" >/dev/null 2>&1 && break
done
command -v "$cxx" >/dev/null 2>&1 || { echo "fuzz: no clang++; set CXX" >&2; exit 77; }
[ "${1:-}" != --compiler ] || exit 0 # for bootstrap.sh: there is one
minutes=${1:-10}
[ $# -eq 0 ] || shift
targets=${*:-io packed_file pack gemm}
case $minutes in *[!0-9.]* | '') echo "fuzz: not a number of minutes: $minutes" >&2; exit 2 ;; esac
# shellcheck disable=SC2086  # a list of words
seconds=$(set -- $targets; awk "BEGIN { print int($minutes * 60 / $#) }")

generator='Unix Makefiles'
if command -v ninja >/dev/null 2>&1; then generator=Ninja; fi
cmake -S . -B build/fuzz -G "$generator" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS="${CXXFLAGS:--march=native}" -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1' \
  -DCMAKE_PREFIX_PATH="$root/build/deps/usr" -DNIBBLE_FUZZ=ON -DNIBBLE_BUILD_EXAMPLES=OFF \
  -DNIBBLE_FUZZ_SANITIZERS="${NIBBLE_FUZZ_SANITIZERS:-address,undefined}" >/dev/null
# shellcheck disable=SC2086
set -- $targets
# shellcheck disable=SC2046  # a list
cmake --build build/fuzz --parallel "$jobs" --target $(printf '%s_fuzz ' "$@")
echo "fuzz: $* for $seconds s each, $jobs at a time" >&2
printf '%s\n' "$@" | xargs -P "$jobs" -n 1 sh cmake/fuzz.sh --run "$seconds"
