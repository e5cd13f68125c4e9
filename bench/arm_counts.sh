#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Counts the instructions that products execute on Arm, under QEMU, and prints a table: instructions
# per multiply-add, for docs/performance.md. Counts, not times: nothing here says how fast they run.
#
#   sh bench/arm_counts.sh [folder for the programs, default build/arm_counts]
#
# Needs aarch64-linux-gnu-g++, qemu-aarch64 with plugins, CLI11 and Highway's headers:
#
#   HIGHWAY   where hwy/highway.h is (default: build/deps/usr/include)
#   INCLUDE   nibble's headers (default: include), to count another version with the same program
#   CXX       the cross compiler; FLAGS: its options (default: -O3)
set -eu

to=${1:-build/arm_counts}
include=${INCLUDE:-include}
highway=${HIGHWAY:-build/deps/usr/include}
cxx=${CXX:-aarch64-linux-gnu-g++}
formats='gguf::q4_0,gguf::q8_0,int8_channel_f32,int4_g128_f16,gguf::q4_K'
names='q4_0 q8_0 int8_channel_f32 int4_g128_f16 q4_K'
n=512
k=2048

mkdir -p "$to/cli"
ln -sfn "${CLI11:-/usr/include/CLI}" "$to/cli/CLI"  # without the rest of the host's headers
c++ -std=c++20 -O2 -shared -fPIC bench/count_instructions.cc -o "$to/count.so"

# build <name> <option>...
build() {
  program=$1
  shift
  if [ -x "$to/$program" ]; then return; fi
  "$cxx" -std=c++20 ${FLAGS:--O3} "$@" -ffp-contract=off -static -DNIBBLE_STATIC_DISPATCH \
    "-DNIBBLE_ONE_PRODUCT_FORMATS=$formats" -I"$include" -isystem "$highway" -isystem "$to/cli" \
    bench/one_product.cc -o "$to/$program"
}
build neon -march=armv8-a
build sve2_128 -march=armv8.2-a+sve2 -msve-vector-bits=128
build sve_256 -march=armv8.2-a+sve -msve-vector-bits=256
build sve -march=armv8.2-a+sve

# executed <program> <cpu> <extensions> <format> <m> <repeat>
executed() {
  qemu-aarch64 -cpu "$2" -plugin "$to/count.so" -d plugin "$to/$1" --extensions "$3" \
    --format "$4" --m "$5" --n $n --k $k --path integer --repeat "$6" 2>&1 >"$to/log" |
    sed -n 's/^instructions //p'
}

# row <title> <program> <cpu> <extensions>
row() {
  printf '| %s |' "$1"
  for m in 1 16; do
    for format in $names; do
      once=$(executed "$2" "$3" "$4" "$format" $m 1)
      twice=$(executed "$2" "$3" "$4" "$format" $m 2)
      awk -v a="$once" -v b="$twice" -v all=$((m * n * k)) \
        'BEGIN { printf " %.3f |", (b - a) / all }'
    done
  done
  printf '\n'
}

printf '| instructions per multiply-add, m = 1 and m = 16 |'
for m in 1 16; do printf ' %s |' $names; done
printf '\n|---|'
for m in 1 16; do for format in $names; do printf -- '---|'; done; done
printf '\n'
row 'NEON alone' neon max none
row 'NEON, dotprod' neon max arm_dotprod
row 'NEON, i8mm' neon max arm_dotprod,arm_i8mm
# What dynamic dispatch takes for vectors of 128 bits (with SVE2) and 256, and for all others.
for of in sve2_128:128 sve_256:256 sve:512; do
  bits=${of#*:}
  cpu="max,sve$bits=on,sve-default-vector-length=$((bits / 8))"
  row "SVE of $bits bits" "${of%:*}" "$cpu" none
  row "SVE of $bits bits, i8mm" "${of%:*}" "$cpu" arm_i8mm
done
