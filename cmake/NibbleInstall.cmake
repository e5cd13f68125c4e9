# SPDX-License-Identifier: Apache-2.0 OR MIT
# install(): headers, libraries, the CMake package and the pkg-config files, all relocatable.
include(CMakePackageConfigHelpers)

set(nibble_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/nibble")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/nibble" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE LICENSE-APACHE LICENSE-MIT DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/nibble")

install(TARGETS nibble nibble_static_dispatch EXPORT nibbleHeaderTargets)
install(EXPORT nibbleHeaderTargets NAMESPACE nibble:: DESTINATION "${nibble_cmake_dir}")
if(NIBBLE_COMPILED_LIBRARY)
  install(TARGETS nibble_compiled EXPORT nibbleCompiledTargets)
  install(EXPORT nibbleCompiledTargets NAMESPACE nibble:: DESTINATION "${nibble_cmake_dir}")
endif()

configure_package_config_file(cmake/nibbleConfig.cmake.in nibbleConfig.cmake
  INSTALL_DESTINATION "${nibble_cmake_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(nibbleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/nibbleConfig.cmake"
              "${PROJECT_BINARY_DIR}/nibbleConfigVersion.cmake"
        DESTINATION "${nibble_cmake_dir}")

# pkg-config: nibble, nibble-static-dispatch and nibble-compiled, one per mode.
file(RELATIVE_PATH nibble_pc_prefix
     "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" nibble_pc_prefix "${nibble_pc_prefix}")
set(nibble_pc_define "")
if(NIBBLE_HARDENED)
  set(nibble_pc_define " -DNIBBLE_HARDENED=1")
endif()
# name, one sentence, Cflags, Libs, Requires, Requires.private (its Cflags count, its Libs do not)
function(nibble_pkg_config name description cflags libs requires requires_private)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/nibble.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()
nibble_pkg_config(nibble "Header-only, run-time dispatch" "" "" "libhwy >= 1.2" "")
nibble_pkg_config(nibble-static-dispatch "Header-only, one target, no library to link"
  " -DNIBBLE_STATIC_DISPATCH" "" "" "libhwy >= 1.2")
if(NIBBLE_COMPILED_LIBRARY)
  get_target_property(nibble_library_type nibble_compiled TYPE)
  if(nibble_library_type STREQUAL "STATIC_LIBRARY")
    nibble_pkg_config(nibble-compiled "Compiled library" " -DNIBBLE_COMPILED"
      "-L\${libdir} -lnibble" "libhwy >= 1.2" "")
  else()
    nibble_pkg_config(nibble-compiled "Compiled library" " -DNIBBLE_COMPILED"
      "-L\${libdir} -lnibble" "" "")
  endif()
endif()
