# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DSOURCE_DIR=... [-DCLANG_FORMAT=...] -P check_style.cmake: what a formatter and a first
# glance can find. Licence line first, no tabs, no trailing blanks; clang-format has nothing to say.
cmake_policy(VERSION 3.25)

set(sources "")
foreach(folder include src tests examples bench)
  file(GLOB_RECURSE found "${SOURCE_DIR}/${folder}/*.h" "${SOURCE_DIR}/${folder}/*.cc"
       "${SOURCE_DIR}/${folder}/*.cc.in")
  list(APPEND sources ${found})
endforeach()
file(GLOB_RECURSE scripts "${SOURCE_DIR}/cmake/*.cmake" "${SOURCE_DIR}/cmake/*.sh"
     "${SOURCE_DIR}/*CMakeLists.txt")
list(FILTER scripts EXCLUDE REGEX "^${SOURCE_DIR}/build/")

foreach(file IN LISTS sources scripts)
  file(RELATIVE_PATH name "${SOURCE_DIR}" "${file}")
  file(READ "${file}" text LIMIT 200)
  if(NOT text MATCHES "^(#![^\n]*\n)?(//|#) SPDX-License-Identifier: Apache-2.0 OR MIT\n(//|#) ")
    message(SEND_ERROR "${name}: starts with the SPDX line, then a comment that says what it is for")
  endif()
  file(STRINGS "${file}" blemishes REGEX "\t|[ ]$")
  if(blemishes)
    list(GET blemishes 0 first)
    message(SEND_ERROR "${name}: a tab or a trailing blank: ${first}")
  endif()
endforeach()

# A client's compiler shows what the headers assert: each says whose it is, and what to do. Kernels may
# have some without words, of what clients cannot change.
file(GLOB_RECURSE headers "${SOURCE_DIR}/include/*.h")
foreach(file IN LISTS headers)
  file(RELATIVE_PATH name "${SOURCE_DIR}" "${file}")
  file(READ "${file}" text)
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REPLACE "static_assert(true)" "" text "${text}")  # takes a macro's semicolon
  string(REPLACE ";" "@" text "${text}")
  string(REPLACE "[" "(" text "${text}")
  string(REPLACE "]" ")" text "${text}")
  string(REGEX MATCHALL "static_assert\\([^@]*@" asserts "${text}")
  foreach(assert IN LISTS asserts)
    if(NOT assert MATCHES "^[^\"]*\"nibble: " AND (assert MATCHES "\"" OR NOT name MATCHES "-inl\\.h$"))
      message(SEND_ERROR "${name}: give it a text that begins with 'nibble: ': ${assert}")
    endif()
  endforeach()
endforeach()

list(LENGTH sources count)
message(STATUS "${count} sources checked")

if(CLANG_FORMAT)
  list(FILTER sources EXCLUDE REGEX "\\.in$")
  execute_process(COMMAND "${CLANG_FORMAT}" --dry-run -Werror ${sources}
    RESULT_VARIABLE result ERROR_VARIABLE complaints)
  if(result)
    message(SEND_ERROR "clang-format -i the files named here:\n${complaints}")
  endif()
else()
  message(STATUS "no clang-format here: layout not checked")
endif()
