# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DTOOL=... -DDATA=... -DWORK=... -P check_tinylm.cmake: tinylm as its users call it, exit
# codes and messages included. The whole of eval.txt, in a release build: add -DWHOLE=ON.
cmake_policy(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/../support/expect.cmake")

# written(<variable> <argument>...): what it writes
function(written variable)
  execute_process(COMMAND "${TOOL}" generate ${ARGN} WORKING_DIRECTORY "${WORK}"
    OUTPUT_VARIABLE out ERROR_QUIET)
  set(${variable} "${out}" PARENT_SCOPE)
endfunction()

set(few --limit 1 --no-speed --formats)
if(WHOLE)
  expect(0 "bf16 +exact +16\\.00 +16\\.01 +9\\.71 +1\\.3341[45]" eval --no-speed --formats q8_0)
endif()

expect(0 "generate.*eval.*Exit codes" --help)
expect(0 "bf16 +exact +16\\.00.*q8_0 +automatic +8\\.50" eval ${few} q8_0)
expect(0 "\"tool\": \"tinylm eval\".*\"bits_per_byte\"" eval ${few} q8_0 --json -)
expect(0 "format,path,.*\nq8_0,exact,8\\.5000" eval ${few} q8_0 --paths exact --csv -)
expect(0 "left out: mxfp8_e4m3 has no integer path" eval ${few} mxfp8_e4m3 --paths integer)
expect(0 "int4_g32_f16 +automatic +4\\.[67]" eval ${few} int4_g32_f16 --outliers 0.005)
expect(0 "int4_g32_f16 +integer" eval ${few} int4_g32_f16 --paths integer --outlier-threshold 6)
expect(0 "prefill_tokens_per_second" eval --limit 1 --formats q8_0 --threads 1 --json -)

set(write --prompt "def " --tokens 40 --path integer)
written(one ${write} --threads 1)
written(two ${write} --threads 2)
string(LENGTH "${one}" length)
if(NOT one STREQUAL two OR NOT length EQUAL 40)
  message(SEND_ERROR "one thread wrote '${one}', two wrote '${two}'")
endif()
expect(0 "stopped after 253 of 300 bytes: the context of 256 bytes is full"
  generate --prompt "def " --tokens 300)

# From a packed file: the same text.
expect(0 "2\\.[89][0-9] MB, 4\\.6[0-9] bits" pack packed.nibble)
written(three ${write} --packed packed.nibble)
if(NOT three STREQUAL one)
  message(SEND_ERROR "'${one}' from the checkpoint, '${three}' from the packed file")
endif()
expect(0 "packed file +exact +4\\.50" eval --limit 1 --no-speed --packed packed.nibble --paths exact)
expect(2 "packed" generate --packed packed.nibble --format q8_0)
expect(3 "no_such_file: not found" generate --packed no_such_file)
expect(4 "model.safetensors: not a file of this kind" generate
  --packed "${DATA}/tinylm/model.safetensors")
execute_process(COMMAND head -c 100000 "${WORK}/packed.nibble" OUTPUT_FILE "${WORK}/short.nibble")
expect(4 "short.nibble: the file is truncated" generate --packed short.nibble)

string(REPEAT "x" 257 long)
expect(2 "the prompt has 257 bytes, but the context of this model only 256" generate --prompt ${long})
expect(2 "no format is called 'int4_g32'; near it: int4_g32_f16" generate --format int4_g32)
expect(2 "no format is called 'int4_g23_\\*'; near it: int4_g32" eval --formats "int4_g23_*")
expect(2 "no matrix is called 'head'" generate --format-for head=q8_0)
expect(2 "has no integer path" generate --format mxfp8_e4m3 --path integer)
expect(2 "" generate --path sideways)
expect(2 "" --no-such-option)
file(WRITE "${WORK}/empty.txt" "")
expect(2 "shorter than one window" eval --text empty.txt)
expect(3 "no_such_folder.*config.json" eval --model no_such_folder)
expect(3 "no_such.txt" eval --text no_such.txt)

# A folder with another config or with half of the weights.
set(other "${WORK}/other_model")
file(REMOVE_RECURSE "${other}")
file(MAKE_DIRECTORY "${other}")
file(READ "${DATA}/tinylm/config.json" config)
string(REPLACE "LlamaForCausalLM" "GPT2LMHeadModel" gpt2 "${config}")
file(WRITE "${other}/config.json" "${gpt2}")
expect(4 "GPT2LMHeadModel.*knows only" generate --model "${other}")
file(WRITE "${other}/config.json" "${config}")
expect(3 "model.safetensors: not found" generate --model "${other}")
execute_process(COMMAND head -c 100000 "${DATA}/tinylm/model.safetensors"
  OUTPUT_FILE "${other}/model.safetensors")
expect(4 "model.safetensors: the file is truncated" generate --model "${other}")
