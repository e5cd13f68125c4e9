# SPDX-License-Identifier: Apache-2.0 OR MIT
# Sourced by bootstrap.sh: tests on CPUs that QEMU emulates (docs/arm.md). One table: a CPU, a target
# that it must have, and the tests to run there, in continuous integration or before a release.
# Needs say, die, jobs; 64-bit Arm's tests in build/arm64-few, x86's in build/dev.

# What a CPU has, and whether it computes the same bits: elements, quantized bytes, the hash of the
# integer path.
few_tests='targets elements_integer elements_minifloat quantize_mx_golden quantize_bnb_golden gemm_hash'
# And all that has kernels of its own.
kernel_tests="$few_tests elements_book elements_user quantize_gguf_golden pack gemm_paths gemm_inputs"

# max_of BITS: everything that QEMU has, with SVE vectors of that length
max_of() { printf 'max,sve%d=on,sve-default-vector-length=%d' "$1" $(($1 / 8)); }

# on_each_cpu ci|all: every target somewhere, SVE2 with vectors of every length
on_each_cpu() {
  if [ "$1" = ci ]; then
    on_arm "$(max_of 256)" SVE2 "$kernel_tests"
    on_arm "$(max_of 128)" SVE2 "$few_tests" alone
    on_arm "$(max_of 512)" SVE2 "$few_tests" alone
    on_arm neoverse-n1 NEON_WITHOUT_AES "$few_tests"
    on_arm cortex-a53 NEON_WITHOUT_AES "$few_tests"
  else
    on_arm "$(max_of 256)" SVE2 '.*'
    for bits in 128 512 2048; do on_arm "$(max_of $bits)" SVE2 '.*' alone; done
    on_arm a64fx SVE '.*' alone
    for cpu in neoverse-n1 cortex-a72 cortex-a53; do on_arm $cpu NEON_WITHOUT_AES '.*'; done
  fi
  on_x86 Nehalem SSE4 "$few_tests"
  on_x86 IvyBridge SSE4 "$few_tests" # AVX without AVX2
}

# on_arm CPU TARGET TESTS [alone]: on all targets that the CPU has, or on this one alone
on_arm() {
  say "64-bit Arm, $1"
  names=$(printf '%s' "$3" | tr ' ' '|')
  (
    export QEMU_CPU="$1" NIBBLE_TEST_TARGET="$2"
    ctest --preset arm64-few -R '^targets$' >"$log" ||
      { cat "$log" >&2; die "$1: target $2 is not there, or does not work"; }
    [ "${4:-}" = alone ] || unset NIBBLE_TEST_TARGET
    ctest --preset arm64-few --parallel "$jobs" -R "^($names)\$"
  ) || die "a test failed on $1"
}

# on_x86 CPU TARGET TESTS
on_x86() {
  say "x86-64, $1"
  QEMU_CPU=$1 NIBBLE_TEST_TARGET=$2 qemu-x86_64 build/dev/tests/targets_test ||
    die "$1: target $2 is not there, or does not work"
  for name in $3; do
    QEMU_CPU=$1 qemu-x86_64 "build/dev/tests/${name}_test" || die "$name failed on $1"
  done
}

# Programs of the tests named, of which some have no program: what to build in build/arm64-few.
programs_of() { for name in $1; do printf '%s_test ' "$name"; done; }
