# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DNM=nm -DA=plain.o -DB=flags.o -P check_merged.cmake
#
# Two units of one program, built with different flags: of symbols that both define weakly the linker
# keeps one. The other unit would run code for CPUs that it must not ask for, without checks that it
# asked for, or through a dispatch table of other targets. So no function of nibble may be shared.
cmake_policy(VERSION 3.25)

function(weak_symbols object out)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[VWuw] _Z[^\n]*" symbols "${symbols}")
  list(FILTER symbols INCLUDE REGEX "N[A-Z]*6nibble")
  set(${out} "${symbols}" PARENT_SCOPE)
endfunction()

weak_symbols("${A}" a)
weak_symbols("${B}" b)
set(shared "")
foreach(symbol IN LISTS a)
  if(symbol IN_LIST b)
    list(APPEND shared "${symbol}")
  endif()
endforeach()
list(LENGTH a count_a)
list(LENGTH b count_b)
message(STATUS "weak functions of nibble: ${count_a} and ${count_b}")
if(count_a EQUAL 0 OR count_b EQUAL 0)
  message(FATAL_ERROR "no function of nibble found: have their names changed?")
elseif(shared)
  list(JOIN shared "\n  " shared)
  message(FATAL_ERROR "both units define:\n  ${shared}")
endif()
