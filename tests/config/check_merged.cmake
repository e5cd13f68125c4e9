# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DNM=nm -DA=plain.o -DB=flags.o -P check_merged.cmake
#
# Two units of one program, built with different -m flags: of symbols that both define weakly the
# linker keeps one. A dispatch table kept from the other unit would name kernels for the other unit's
# targets, so no table may be shared. Kernels of one target may: both were compiled for that target.
cmake_policy(VERSION 3.25)

function(weak_tables object out)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[VWuw] _Z[^\n]*" symbols "${symbols}")
  list(FILTER symbols INCLUDE REGEX "6nibble.*HighwayDispatchTable")
  set(${out} "${symbols}" PARENT_SCOPE)
endfunction()

weak_tables("${A}" a)
weak_tables("${B}" b)
set(shared "")
foreach(symbol IN LISTS a)
  if(symbol IN_LIST b)
    list(APPEND shared "${symbol}")
  endif()
endforeach()
list(LENGTH a count_a)
list(LENGTH b count_b)
message(STATUS "dispatch tables: ${count_a} and ${count_b}")
if(count_a EQUAL 0 OR count_b EQUAL 0)
  message(FATAL_ERROR "no dispatch table found: have their names changed?")
elseif(shared)
  list(JOIN shared "\n  " shared)
  message(FATAL_ERROR "both units define:\n  ${shared}")
endif()
