# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DMODE=static -DCOMPILER=g++ -DSOURCE=main.cc "-DFLAGS=-I..." "-DLIBRARIES=..." "-DSOME=-O0;..."
#       -DWORK_DIR=... -P check_links.cmake
#
# Compiles, links and runs one client of one mode as a client would: by the compiler alone, with what
# README says that the mode links, and with flags that nibble's own build does not choose. SOME are
# the flags of an ordinary run, an element each; with NIBBLE_TEST_HEAVY=1 it takes every optimization,
# with checks and without, with every sanitizer.
cmake_policy(VERSION 3.25)

separate_arguments(FLAGS)
separate_arguments(LIBRARIES)
if("$ENV{NIBBLE_TEST_HEAVY}")
  set(SOME "")
  foreach(sanitizer "" " -fsanitize=address" " -fsanitize=undefined" " -fsanitize=thread")
    foreach(optimization -O0 -O1 -O2 -O3)
      list(APPEND SOME "${optimization}${sanitizer}" "${optimization} -DNDEBUG${sanitizer}")
    endforeach()
  endforeach()
endif()
list(LENGTH SOME number)
if(number EQUAL 0)
  message(FATAL_ERROR "no flags to try")
endif()

file(MAKE_DIRECTORY "${WORK_DIR}")
set(failed "")
foreach(some IN LISTS SOME)
  separate_arguments(flags UNIX_COMMAND "${some}")
  execute_process(COMMAND ${COMPILER} ${FLAGS} ${flags} ${SOURCE} ${LIBRARIES}
                          -o "${WORK_DIR}/links_${MODE}"
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(step "does not link")
  if(result EQUAL 0)
    execute_process(COMMAND "${WORK_DIR}/links_${MODE}"
      RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    set(step "does not run")
    if(output MATCHES "FATAL: ThreadSanitizer: unexpected memory mapping")
      set(result 0)  # g++ 12's run time and a kernel with more random bits of addresses
    endif()
  endif()
  if(NOT result EQUAL 0)
    message(NOTICE "${MODE}, ${some}: ${step}:\n${output}")
    list(APPEND failed "${some}")
  else()
    message(STATUS "${MODE}, ${some}: ok")
  endif()
endforeach()
if(failed)
  list(JOIN failed "\n  " failed)
  message(FATAL_ERROR "a client of the mode ${MODE} fails with:\n  ${failed}")
endif()
