# SPDX-License-Identifier: Apache-2.0 OR MIT
# Sourced by bootstrap.sh: what the preset msan needs (docs/robustness.md).
# Needs say, die, unpack_debian, deps, log, jobs, offline.

# need_libcxx: libc++ with MemorySanitizer, static, in build/deps/libcxx-msan. Its sources are those
# of clang-19's package, or a checkout of LLVM in NIBBLE_LLVM_SOURCE.
need_libcxx() {
  [ ! -f "$deps/libcxx-msan/lib/libc++.a" ] || return 0
  source=${NIBBLE_LLVM_SOURCE:-$deps/llvm-source}
  [ -d "$source/libcxx" ] || [ "$offline" = 1 ] ||
    unpack_debian "$source" bookworm native source llvm-toolchain-19 || true
  [ -d "$source/libcxx" ] || die "no sources of libc++: set NIBBLE_LLVM_SOURCE to LLVM 19's"
  say "building libc++ with MemorySanitizer"
  build=$deps/libcxx-build
  {
    cmake -S "$source/runtimes" -B "$build" -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
      -DLLVM_ENABLE_RUNTIMES='libcxx;libcxxabi' -DLLVM_USE_SANITIZER=Memory \
      -DLLVM_INCLUDE_TESTS=OFF -DLIBCXX_INCLUDE_TESTS=OFF -DLIBCXX_INCLUDE_BENCHMARKS=OFF \
      -DLIBCXXABI_INCLUDE_TESTS=OFF -DLIBCXXABI_USE_LLVM_UNWINDER=OFF \
      -DLIBCXX_ENABLE_SHARED=OFF -DLIBCXXABI_ENABLE_SHARED=OFF \
      -DCMAKE_INSTALL_PREFIX="$deps/libcxx-msan" &&
      cmake --build "$build" --parallel "$jobs" --target install-cxx install-cxxabi
  } >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "libc++ could not be built (all of it: $log)"; }
  rm -rf "$build" "$deps/llvm-source"
}
