# SPDX-License-Identifier: Apache-2.0 OR MIT
# For checks of a tool, -DTOOL=..., as its users call it: exit codes and messages included.
get_filename_component(TOOL "${TOOL}" ABSOLUTE)
get_filename_component(TOOL_NAME "${TOOL}" NAME_WE)

# expect(<exit code> <regular expression for all it prints> <argument>...)
function(expect code text)
  execute_process(COMMAND "${TOOL}" ${ARGN} WORKING_DIRECTORY "${WORK}"
    RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result STREQUAL code)
    message(SEND_ERROR "${TOOL_NAME} ${ARGN}: exit code ${result}, not ${code}\n${out}${err}")
  elseif(NOT "${out}${err}" MATCHES "${text}")
    message(SEND_ERROR "${TOOL_NAME} ${ARGN}: '${text}' is not in:\n${out}${err}")
  endif()
endfunction()
