# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DSOURCE_DIR=... -P check_faults.cmake: the text of every fault of the mutation check is in its
# header, once. A change of a header has to take its faults along (docs/robustness.md).
cmake_policy(VERSION 3.25)

set(count 0)
function(fault id area file old)
  file(READ "${SOURCE_DIR}/include/nibble/${file}" text)
  string(FIND "${text}" "${old}" first)
  string(FIND "${text}" "${old}" last REVERSE)
  if(first EQUAL -1)
    message(SEND_ERROR "fault ${id}: ${file} has no\n  ${old}")
  elseif(NOT first EQUAL last)
    message(SEND_ERROR "fault ${id}: ${file} has more than one\n  ${old}")
  endif()
  math(EXPR count "${count} + 1")
  set(count ${count} PARENT_SCOPE)
endfunction()

include("${SOURCE_DIR}/tests/mutation/faults.cmake")
if(count LESS 200)
  message(SEND_ERROR "only ${count} faults in tests/mutation/faults.cmake")
endif()
message(STATUS "${count} faults")
