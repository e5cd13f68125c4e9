#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Measures nibble beside other libraries, in turns on the same data:
#
#   sh cmake/peers.sh [option...]   packed products beside ggml, ONNX Runtime, oneDNN, XNNPACK and
#                                   OpenBLAS: nibble_roofline (--help, --quick, --json FILE, ...)
#   sh cmake/peers.sh quantize      quantize and dequantize beside ggml, same bytes: nibble_bench_ggml
#
# The libraries and the C library that they need are unpacked (not installed) from Debian's unstable
# suite into build/peers; programs are built against them and run by their own dynamic loader.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
peers=$root/build/peers
packages='libggml-dev libonnxruntime-dev libdnnl-dev libxnnpack-dev libpthreadpool-dev
  libopenblas-pthread-dev'
say() { printf 'peers: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[ "$(uname -m)" = x86_64 ] || die "only for x86-64"
for tool in apt-get dpkg cmake; do
  command -v $tool >/dev/null 2>&1 || die "needs $tool"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f $keyring ] || keyring=/usr/share/keyrings/debian-archive-keyring.pgp

# An empty list of installed packages makes apt-get fetch everything that is depended on, the C
# library included: about 40 MB.
unpack() { # from the repository $1
  rm -rf "$peers"
  mkdir -p "$peers/apt/etc" "$peers/apt/lists/partial" "$peers/apt/cache/archives/partial"
  : >"$peers/apt/status"
  printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "$1" "$keyring" \
    >"$peers/apt/etc/sid.sources"
  set -- -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$peers/apt/etc" \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o "Dir::State::lists=$peers/apt/lists" -o "Dir::State::status=$peers/apt/status" \
    -o "Dir::Cache=$peers/apt/cache" -o APT::Sandbox::User=root -o APT::Default-Release= \
    -o Acquire::Languages=none
  # shellcheck disable=SC2086  # a list
  apt-get "$@" update &&
    apt-get "$@" --download-only -y --no-install-recommends install $packages || return 1
  for deb in "$peers"/apt/cache/archives/*.deb; do
    dpkg -x "$deb" "$peers" || return 1
  done
  rm -rf "$peers/apt"
}

if [ ! -f "$peers/usr/include/xnnpack.h" ]; then
  # shellcheck disable=SC2016  # apt's variables, not the shell's
  for uri in $(apt-get indextargets --format '$(SITE) $(ORIGIN)' | sed -n 's/ Debian$//p' |
               grep -v security | sort -u); do
    say "unpacking libraries from $uri"
    unpack "$uri" && break
  done
  [ -f "$peers/usr/include/xnnpack.h" ] || die "could not unpack them (apt-get update first?)"
fi

libraries=$peers/usr/lib/x86_64-linux-gnu
if [ "${1:-}" = quantize ]; then
  target=nibble_bench_ggml
  backend=$libraries/ggml/backends0/libggml-cpu-haswell.so
  grep -q avx512_bf16 /proc/cpuinfo && backend=$libraries/ggml/backends0/libggml-cpu-zen4.so
  set -- "$backend"
else
  target=nibble_roofline
fi

cd "$root"
cmake --preset bench -DNIBBLE_PEERS_ROOT="$peers" >/dev/null
cmake --build --preset bench --target $target

program=$root/build/bench/bench/$target
# What else the program was linked to, from where it was found.
others=$(ldd "$program" 2>/dev/null | sed -n 's|.* => \(/.*\)/[^/]* (.*|\1|p' | sort -u | paste -sd:)
unset OPENBLAS_CORETYPE BLIS_ARCH_TYPE  # they would keep OpenBLAS from this CPU's kernels
exec "$libraries/ld-linux-x86-64.so.2" \
  --library-path "$libraries:$libraries/openblas-pthread:$others" "$program" "$@"
