#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Measures nibble beside libggml, in turns on the same bytes: sh cmake/peers.sh
#
# libggml and the C library that it needs are unpacked (not installed) from Debian's unstable suite
# into build/peers; the program is built against them and run by their own dynamic loader.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
peers=$root/build/peers
say() { printf 'peers: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[ "$(uname -m)" = x86_64 ] || die "only for x86-64"
for tool in apt-get dpkg cmake; do
  command -v $tool >/dev/null 2>&1 || die "needs $tool"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f $keyring ] || keyring=/usr/share/keyrings/debian-archive-keyring.pgp

unpack() { # from the repository $1
  rm -rf "$peers"
  mkdir -p "$peers/apt/etc" "$peers/apt/lists/partial" "$peers/apt/cache/archives/partial" "$peers/debs"
  : >"$peers/apt/status"
  printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "$1" "$keyring" \
    >"$peers/apt/etc/sid.sources"
  set -- -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$peers/apt/etc" \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o "Dir::State::lists=$peers/apt/lists" -o "Dir::State::status=$peers/apt/status" \
    -o "Dir::Cache=$peers/apt/cache" -o APT::Sandbox::User=root -o APT::Default-Release= \
    -o Acquire::Languages=none
  (cd "$peers/debs" && apt-get "$@" update &&
    apt-get "$@" download libggml0 libggml-dev libc6 libstdc++6 libgcc-s1 libgomp1) || return 1
  for deb in "$peers"/debs/*.deb; do
    dpkg -x "$deb" "$peers" || return 1
  done
  rm -rf "$peers/apt" "$peers/debs"
}

if [ ! -f "$peers/usr/include/ggml.h" ]; then
  # shellcheck disable=SC2016  # apt's variables, not the shell's
  for uri in $(apt-get indextargets --format '$(SITE) $(ORIGIN)' | sed -n 's/ Debian$//p' |
               grep -v security | sort -u); do
    say "unpacking libggml from $uri"
    unpack "$uri" && break
  done
  [ -f "$peers/usr/include/ggml.h" ] || die "could not unpack libggml (apt-get update first?)"
fi

cd "$root"
cmake --preset bench -DNIBBLE_PEERS_ROOT="$peers" >/dev/null
cmake --build --preset bench --target nibble_bench_ggml

libraries=$peers/usr/lib/x86_64-linux-gnu
backend=$libraries/ggml/backends0/libggml-cpu-haswell.so
grep -q avx512_bf16 /proc/cpuinfo && backend=$libraries/ggml/backends0/libggml-cpu-zen4.so
program=$root/build/bench/bench/nibble_bench_ggml
# What else the program was linked to, from where it was found.
others=$(ldd "$program" 2>/dev/null | sed -n 's|.* => \(/.*\)/[^/]* (.*|\1|p' | sort -u | paste -sd:)
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$others" "$program" "$backend"
