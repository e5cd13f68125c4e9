#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# From a bare machine to a built nibble: installs what is missing, then builds and runs.
#
# With apt: the distribution's own packages, never upgrading one that is installed. Debian 12 has no
# Highway >= 1.2, so that one library is unpacked (not installed) from Debian 13 into build/deps, from
# the mirror that this machine already uses. Without apt: what is installed is used, and CMake
# fetches the rest, pinned and hashed.
set -eu

usage() {
  cat <<'TEXT'
usage: sh cmake/bootstrap.sh <command>

  demo [ARGUMENT...]   build nibble_compare and run it (by default on the bundled model)
  tinylm [ARGUMENT...] build the language model, with the formats that the arguments name, and run it
                       (docs/tinylm.md)
  outliers [ARGUMENT...]
                       build nibble_outliers and run it (docs/outliers.md)
  test [PRESET]        build everything and run the tests (preset: dev)
  arm [PRESET]         the same for 64-bit Arm, run by QEMU (preset: arm64-gcc)
  cpus [ci]            tests on emulated CPUs, 64-bit Arm and old x86 (docs/arm.md): an hour; ci: those
                       of continuous integration
  msan                 tests under MemorySanitizer, libc++ too (docs/robustness.md)
  fuzz [MINUTES] [TARGET...]
                       fuzz with clang and sanitizers (docs/robustness.md): 10 minutes
  roofline [arm64]     build nibble_roofline as one file that needs nothing from the machine it is
                       copied to: of this architecture, or 64-bit Arm (bench/README.md)
  deps                 only install what building needs
  --help               this text

Environment:
  NIBBLE_JOBS=N            parallel jobs (default: the number of processors)
  NIBBLE_OFFLINE=1         install and download nothing; use what is there
  NIBBLE_ALLOW_UPGRADES=1  let apt upgrade installed packages where it has to
TEXT
}

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
deps=$root/build/deps
. "$root/cmake/private_apt.sh"
. "$root/cmake/cpus.sh"
. "$root/cmake/msan.sh"
highway_source=
set_formats=
jobs=${NIBBLE_JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
offline=${NIBBLE_OFFLINE:-0}

# --- what is missing ---------------------------------------------------------------------------

# have_package NAME VERSION [PREFIX]: a CMake package, where find_package looks, or only there.
# VERSION is an extended regular expression for the start of its version.
have_package() {
  prefixes=${3:-$(printf '%s' "${CMAKE_PREFIX_PATH:-}" | tr ':;' '  ') $deps/usr /usr /usr/local}
  for prefix in $prefixes; do
    for dir in "$prefix"/lib/cmake/"$1" "$prefix"/lib/*/cmake/"$1" "$prefix"/lib64/cmake/"$1" \
               "$prefix"/share/cmake/"$1"; do
      cat "$dir"/*[vV]ersion.cmake 2>/dev/null | grep -Eq "PACKAGE_VERSION \"$2" && return 0
    done
  done
  return 1
}

# Debian 12's Highway is 1.0.
have_highway() { have_package hwy '1\.([2-9]|[1-9][0-9])' "$@"; }

# A compiler whose library has C++20's <span> and <concepts>.
have_compiler() {
  for cxx in ${CXX:-} c++ g++ clang++; do
    have "$cxx" || continue
    printf '#include <span>\n#include <concepts>\nint main() {}\n' |
      "$cxx" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null && return 0
  done
  return 1
}

have_cmake() { # >= 3.25
  have cmake && cmake --version | grep -Eq 'version ([4-9]|3\.(2[5-9]|[3-9][0-9]))'
}

have_build_tool() { have ninja || have make; }

# What single commands need: as packages, and whether it is there.
command_packages() {
  if [ "$command" = fuzz ]; then
    sh cmake/fuzz.sh --compiler 2>/dev/null || printf ' clang-19 libclang-rt-19-dev'
    return 0
  fi
  if [ "$command" = msan ]; then
    have clang++-19 || printf ' clang-19 libclang-rt-19-dev'
    return 0
  fi
  case $preset in *arm64*) ;; *) return 0 ;; esac
  have aarch64-linux-gnu-g++ || printf ' g++-aarch64-linux-gnu'
  [ "$command" = roofline ] || have qemu-aarch64 || printf ' qemu-user'
  [ "$preset" != arm64-clang ] || have clang++-19 || printf ' clang-19'
}

missing_packages() {
  have_compiler || printf ' g++'
  have_cmake || printf ' cmake'
  have_build_tool || printf ' ninja-build'
  command_packages
  # Of the tools: command line, JSON, text.
  have_package CLI11 '[2-9]' || printf ' libcli11-dev'
  have_package nlohmann_json '3\.1' || printf ' nlohmann-json3-dev'
  have_package fmt '([7-9]|1[0-9])' || printf ' libfmt-dev'
  case $command in demo | tinylm | outliers) return 0 ;; esac
  have pkg-config || printf ' pkgconf'
  have_package Catch2 '[23]' || printf ' catch2'
  # Of the tests of nibble_report's pages, and of units for other CPUs: skipped where they are missing.
  [ "$command" = test ] || return 0
  have_package benchmark '1\.' || printf ' libbenchmark-dev'
  have gnuplot || printf ' gnuplot-nox'
  have chromium || have chromium-browser || have google-chrome || printf ' chromium'
  [ "$(uname -m)" != x86_64 ] || have qemu-x86_64 || have qemu-x86_64-static || printf ' qemu-user'
}

# --- installing --------------------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# What cannot be done without; libraries can still be fetched by CMake.
require_tools() {
  have_compiler || die "$1: no C++20 compiler (g++ >= 12 or clang++ >= 14)"
  have_cmake || die "$1: no CMake >= 3.25"
  have_build_tool || die "$1: neither ninja nor make"
  [ -z "$(command_packages)" ] || die "$1, for $command:$(command_packages)"
}

install_packages() {
  packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  if [ "$offline" = 1 ] || ! have apt-get; then
    require_tools "not installed, and not to be installed from here"
    say "not found:$packages; CMake fetches libraries, tests of missing tools are skipped"
    return 0
  fi
  [ "$(id -u)" -eq 0 ] || have sudo || die "not root, and there is no sudo. Have someone run:
  apt-get install --no-upgrade --no-install-recommends$packages"
  say "installing:$packages"
  # The lists of a fresh image are empty; old ones name files that the mirror has replaced.
  as_root apt-get -qq update >"$log" 2>&1 || say "apt-get update failed; using the lists at hand"
  set -- --no-upgrade --no-install-recommends
  # shellcheck disable=SC2086  # $packages is a list of words
  upgrades=$(apt-get -s "$@" install $packages 2>/dev/null | sed -n 's/^Inst \([^ ]*\) \[.*/\1/p' | tr '\n' ' ')
  if [ -n "$upgrades" ] && [ "${NIBBLE_ALLOW_UPGRADES:-0}" != 1 ]; then
    die "installing$packages would upgrade installed packages: $upgrades
Upgrade them yourself (apt-get install$packages), or set NIBBLE_ALLOW_UPGRADES=1."
  fi
  # shellcheck disable=SC2086
  as_root apt-get -qq -y "$@" install $packages >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "apt-get could not install$packages (all it said: $log)"; }
  require_tools "installed$packages, but"
}

# unpack_highway PREFIX ARCHITECTURE: Debian 13's, into PREFIX/usr
unpack_highway() {
  new=$1/new
  unpack_debian "$new" trixie "$2" alone libhwy-dev libhwy1t64 || return 1
  # pkg-config files name the prefix /usr; CMake's find their own place.
  for pc in "$new"/usr/lib/*/pkgconfig/*.pc; do
    sed "s|^prefix=/usr\$|prefix=$1/usr|" "$pc" >"$pc.new" && mv "$pc.new" "$pc" || return 1
  done
  rm -rf "${1:?}/usr" && mv "$new/usr" "$1/usr" && rm -rf "$new" "$new.log"
}

# need_highway PREFIX ARCHITECTURE [PLACE]: only PLACE counts, or wherever find_package looks
need_highway() {
  have_highway ${3:+"$3"} && return 0
  [ "$offline" = 1 ] || unpack_highway "$1" "$2" || true
  have_highway ${3:+"$3"} || say "no Highway >= 1.2 for $2 is installed; CMake will try to fetch it"
}

# A program in one file needs Highway as a static library, which Debian's package is not, and
# MemorySanitizer needs it compiled again: its sources, those of the archive that CMake would fetch.
need_highway_source() {
  highway_source=$deps/highway-source
  [ -f "$highway_source/CMakeLists.txt" ] || [ "$offline" = 1 ] ||
    unpack_debian "$highway_source" trixie native source highway || true
  [ -f "$highway_source/CMakeLists.txt" ] && return 0
  highway_source=
  say "no sources of Highway; CMake will try to fetch them"
}

install_deps() {
  mkdir -p "$deps"
  log=$deps/bootstrap.log
  install_packages
  case $command in
    roofline) need_highway_source ;;
    msan) need_highway_source && need_libcxx ;;
    arm | cpus) need_highway "$deps/arm64" arm64 "$deps/arm64/usr" ;;
    *) need_highway "$deps" native ;;
  esac
}

# --- building ----------------------------------------------------------------------------------

# configure_and_build PRESET [TARGET...]
configure_and_build() {
  preset=$1
  shift
  if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && have ccache; then
    CMAKE_CXX_COMPILER_LAUNCHER=ccache
    export CMAKE_CXX_COMPILER_LAUNCHER
  fi
  generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "build/$preset/CMakeCache.txt" 2>/dev/null || true)
  if [ -z "$generator" ]; then
    generator=Ninja
    have ninja || generator='Unix Makefiles'
  fi
  fetch=ON
  [ "$offline" = 1 ] && fetch=OFF
  say "configuring and building preset $preset in build/$preset ($jobs jobs)"
  cmake --preset "$preset" -G "$generator" -DNIBBLE_FETCH_DEPENDENCIES=$fetch \
    ${highway_source:+"-DFETCHCONTENT_SOURCE_DIR_HWY=$highway_source"} \
    ${set_formats:+"$set_formats"} >"$log" 2>&1 ||
    { cat "$log" >&2; die "configuring failed, see above (Highway >= 1.2 elsewhere: CMAKE_PREFIX_PATH)"; }
  if [ $# -gt 0 ]; then
    cmake --build "build/$preset" --parallel "$jobs" --target "$@"
  else
    cmake --build "build/$preset" --parallel "$jobs"
  fi
}

# formats_of_tinylm ARGUMENT...: the formats that these arguments of tinylm need, for NIBBLE_FORMATS;
# nothing: all. bf16 is the format of the shipped model, int4_g32_f16 the one that tinylm takes.
formats_of_tinylm() {
  [ "${1:-}" = eval ] && named= || named=int4_g32_f16
  option=
  for argument in "$@"; do
    case $option in
      --format | --formats | -f) named=$argument ;;
      --format-for) exceptions=$argument ;;
    esac
    option=
    case $argument in
      --format=* | --formats=*) named=${argument#*=} ;;
      --format-for=*) exceptions=${argument#*=} ;;
      --packed | --packed=*) return 0 ;; # whatever the file holds
      --*) option=$argument ;;
      -f) option=$argument ;;
      -f*) named=${argument#-f} ;;
    esac
  done
  [ -n "$named" ] || return 0
  printf 'bf16,%s' "$named"
  [ -z "${exceptions:-}" ] || printf ',%s' "$exceptions" | sed 's/,[^,=]*=/,/g'
}

# What an earlier build has stays: NIBBLE_FORMATS of build/tinylm and of the arguments.
add_formats() {
  cache=build/tinylm/CMakeCache.txt
  [ -n "$1" ] && [ -f "$cache" ] || { printf '%s' "$1"; return 0; }
  earlier=$(sed -n 's/^NIBBLE_FORMATS:STRING=//p' "$cache")
  [ -z "$earlier" ] || printf '%s,%s' "$earlier" "$1" | tr ',' '\n' | sort -u | paste -s -d , -
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
cd "$root"
preset=dev
case $command in
  arm) preset=arm64-gcc ;;
  msan) preset=msan ;;
  cpus) preset=arm64-few ;;
esac
case $command in
  test | arm) preset=${1:-$preset} ;;
  roofline)
    case ${1:-} in
      '') preset=roofline ;;
      arm64) preset=roofline-arm64 ;;
      *) die "roofline: not an architecture: $1 (arm64, or none for this one's)" ;;
    esac
    ;;
esac
case $command in
  deps)
    install_deps
    ;;
  demo)
    install_deps
    configure_and_build demo nibble_compare
    exec build/demo/examples/nibble_compare "$@"
    ;;
  tinylm)
    install_deps
    formats=$(add_formats "$(formats_of_tinylm "$@")")
    set_formats=-DNIBBLE_FORMATS=$formats
    configure_and_build tinylm tinylm
    exec build/tinylm/examples/tinylm/tinylm "$@"
    ;;
  outliers)
    install_deps
    configure_and_build demo nibble_outliers
    exec build/demo/examples/nibble_outliers "$@"
    ;;
  roofline)
    install_deps
    configure_and_build "$preset" nibble_roofline
    say "built build/$preset/bench/nibble_roofline"
    ;;
  test | arm | msan)
    install_deps
    configure_and_build "$preset"
    ctest --preset "$preset" --parallel "$jobs"
    ;;
  cpus)
    case ${1:-all} in
      ci) set -- ci "$kernel_tests" ;;
      all) set -- all ;;
      *) die "cpus: not a choice: $1 (ci, or none for all)" ;;
    esac
    install_deps
    # shellcheck disable=SC2046,SC2086  # lists
    configure_and_build arm64-few $([ $# -eq 1 ] || programs_of "$2")
    # shellcheck disable=SC2046
    (command=test preset=dev && install_deps && configure_and_build dev $(programs_of "$few_tests"))
    on_each_cpu "$1"
    ;;
  fuzz)
    install_deps
    exec sh cmake/fuzz.sh "$@"
    ;;
  -h | --help | help)
    usage
    ;;
  *)
    say "unknown command: $command"
    usage >&2
    exit 2
    ;;
esac
