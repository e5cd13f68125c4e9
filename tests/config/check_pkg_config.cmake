# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DPREFIX=installed -DLIBDIR=lib -DHWY_INCLUDE=... -DHWY_LIBRARY=... -DCOMPILER=... -DFLAGS=...
#       -DPROBE_DIR=... -DWORK_DIR=... -P check_pkg_config.cmake
# Moves nothing: the .pc files find their own prefix. libhwy.pc is written here, because a Highway
# that CMake found somewhere need not have a right one.
cmake_policy(VERSION 3.25)

file(REMOVE_RECURSE "${WORK_DIR}")
get_filename_component(hwy_dir "${HWY_LIBRARY}" DIRECTORY)
file(WRITE "${WORK_DIR}/libhwy.pc"
  "Name: libhwy\nDescription: Highway\nVersion: 1.2.0\n"
  "Cflags: -isystem ${HWY_INCLUDE}\nLibs: -L${hwy_dir} -Wl,-rpath,${hwy_dir} -lhwy\n")
set(ENV{PKG_CONFIG_PATH} "${PREFIX}/${LIBDIR}/pkgconfig:${WORK_DIR}")
separate_arguments(FLAGS)

foreach(name nibble nibble-static-dispatch nibble-compiled)
  if(NOT EXISTS "${PREFIX}/${LIBDIR}/pkgconfig/${name}.pc")
    continue()
  endif()
  execute_process(COMMAND pkg-config --cflags --libs ${name}
    OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  message(STATUS "${name}: ${answer}")
  if(name STREQUAL "nibble-static-dispatch" AND answer MATCHES "-lhwy")
    message(FATAL_ERROR "static dispatch needs no libhwy")
  endif()
  separate_arguments(answer)
  execute_process(COMMAND ${COMPILER} ${FLAGS} "-I${PROBE_DIR}" "${PROBE_DIR}/config/client_main.cc"
    -o "${WORK_DIR}/${name}" ${answer} COMMAND_ERROR_IS_FATAL ANY)
  set(ENV{LD_LIBRARY_PATH} "${PREFIX}/${LIBDIR}")
  execute_process(COMMAND "${WORK_DIR}/${name}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
