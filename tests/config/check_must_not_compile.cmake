# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DSOURCE=case.cc -DCOMPILER=... -DFLAGS="..." -P check_must_not_compile.cmake
#
# A case says in comments what the compiler must answer:
#   // expect-error: text   the first line with "error" contains it: nothing else is in the way
#   // expect-text: text    it appears anywhere
# With -DCONTROL the same file must compile; else it fails for another reason than it claims.
cmake_policy(VERSION 3.25)

separate_arguments(FLAGS)
file(READ "${SOURCE}" text)
string(REPLACE ";" "," text "${text}")  # a list would fall apart at it
string(REGEX MATCHALL "// expect-error: [^\n]*" expect_error "${text}")
string(REGEX MATCHALL "// expect-text: [^\n]*" expect_text "${text}")
list(TRANSFORM expect_error REPLACE "^// expect-error: " "")
list(TRANSFORM expect_text REPLACE "^// expect-text: " "")
if("${expect_error}${expect_text}" STREQUAL "")
  message(FATAL_ERROR "${SOURCE}: neither '// expect-error: ' nor '// expect-text: '")
endif()

set(ENV{LC_ALL} C)
set(first_only "")
if(NOT expect_text)
  set(first_only -Wfatal-errors)  # saves parsing all kernels after it
endif()
execute_process(COMMAND ${COMPILER} ${FLAGS} ${first_only} -fsyntax-only ${SOURCE}
  RESULT_VARIABLE result ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiled")
endif()
string(REPLACE ";" "," output "${output}")
string(REGEX MATCH "[^\n]*error[^\n]*" first "${output}")
if(expect_error)
  string(FIND "${first}" "${expect_error}" where)
  if(where EQUAL -1)
    message(FATAL_ERROR "first error: ${first}\nexpected:    ${expect_error}\n${output}")
  endif()
endif()
foreach(text IN LISTS expect_text)
  string(FIND "${output}" "${text}" where)
  if(where EQUAL -1)
    message(FATAL_ERROR "nowhere: ${text}\n${output}")
  endif()
endforeach()

execute_process(COMMAND ${COMPILER} ${FLAGS} -DCONTROL -fsyntax-only ${SOURCE}
  RESULT_VARIABLE result ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} does not compile with -DCONTROL either:\n${output}")
endif()
message(STATUS "${first}")
