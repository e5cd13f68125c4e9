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
. "$root/cmake/private_apt.sh"

[ "$(uname -m)" = x86_64 ] || die "only for x86-64"
for tool in apt-get dpkg cmake; do
  command -v $tool >/dev/null 2>&1 || die "needs $tool"
done

# With everything that is depended on, the C library included: about 40 MB.
if [ ! -f "$peers/usr/include/xnnpack.h" ]; then
  # shellcheck disable=SC2086  # a list
  unpack_debian "$peers" sid amd64 with-dependencies $packages ||
    die "could not unpack them (apt-get update first?)"
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
