# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DTOOL=... -DDATA=... -DWORK=... -P check_compare.cmake: nibble_compare as its users call it,
# exit codes and messages included.
cmake_policy(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/support/expect.cmake")

set(model "${DATA}/tinylm/model.safetensors")
set(few --speed-mib 0 --formats)

expect(0 "Exit codes" --help)
expect(0 "int4_g32_f16 +4\\.5" --list)
expect(0 "int4_g32_f16.*q8_0" ${few} "int4_g32_f16,q8_0" --sort name)
expect(0 "\"format_version\": 1.*\"sqnr_db\"" ${few} q8_0 --json -)
expect(0 "q4_K +4\\.50" ${few} "q4_?" "${model}")

expect(2 "no format is called 'int4_g32'; near it: int4_g32_f16" ${few} int4_g32)
expect(2 "no target 'AVX9' here" --target AVX9)
expect(2 "" --no-such-option)
expect(2 "--importance" --rule weighted)
expect(3 "no_such_file" no_such_file.safetensors)
expect(3 "directory" "${WORK}")
expect(5 "no weights" --tensors "no such tensor")

file(WRITE "${WORK}/text.npy" "This is no array at all.\n")
expect(4 "text.npy" text.npy)
execute_process(COMMAND head -c 100000 "${model}" OUTPUT_FILE "${WORK}/short.safetensors")
expect(4 "short.safetensors: the file is truncated" short.safetensors)
file(WRITE "${WORK}/vector.npy" "")
expect(4 "too few" vector.npy)
