# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DSOURCE_DIR=... -P check_format_names.cmake: NIBBLE_FORMATS chooses by name and pattern, in
# any order, and refuses what names no format.
cmake_policy(VERSION 3.25)
set(PROJECT_SOURCE_DIR "${SOURCE_DIR}")

if(DEFINED FORMATS)  # in a process of its own, as errors end it
  set(NIBBLE_FORMATS "${FORMATS}")
  include("${SOURCE_DIR}/cmake/NibbleFormats.cmake")
  nibble_read_catalogue()
  nibble_choose_formats(chosen)
  message(STATUS "chosen:${chosen}.")
  return()
endif()

function(expect formats status text)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" "-DSOURCE_DIR=${SOURCE_DIR}" "-DFORMATS=${formats}" -P
            "${CMAKE_CURRENT_LIST_FILE}"
    RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  string(REGEX REPLACE "[ \n]+" " " out "${out}")
  set(found refused)
  if(result EQUAL 0)
    set(found taken)
  endif()
  if(NOT found STREQUAL status OR NOT out MATCHES "${text}")
    message(SEND_ERROR "NIBBLE_FORMATS='${formats}': ${found}, expected: ${status}, '${text}':\n${out}")
  endif()
endfunction()

expect("q4_K,int4_g32_f16" taken "chosen:int4_g32_f16;gguf::q4_K\\.")
expect("int4_g32_f16, q4_K" taken "chosen:int4_g32_f16;gguf::q4_K\\.")
expect("mxfp4_gguf" taken "chosen:gguf::mxfp4\\.")
expect("mxfp4" taken "chosen:mxfp4\\.")
expect("nf4_g64_??,nf4_g64_dq" taken "chosen:nf4_g64_dq\\.")
expect("q?_K" taken "chosen:gguf::q2_K;gguf::q3_K;gguf::q4_K;gguf::q5_K;gguf::q6_K;gguf::q8_K\\.")
expect("X" refused "'X', but no format")
expect("*" taken "int8_tensor_f32;.*gguf::iq4_xs")
expect("int4_x" refused "'int4_x', but no format is called so")
expect("q4_k" refused "'q4_k', but no format")
expect("int4_g32_f16,(" refused "no name of a format")
