# SPDX-License-Identifier: Apache-2.0 OR MIT
# The three library targets (modes of DESIGN: header-only, static, compiled) and the flags of our
# own sources, which no client ever sees.

# What every mode shares: the headers, C++20, the hardening choice.
function(nibble_interface target)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} INTERFACE cxx_std_20)
  if(NIBBLE_HARDENED)
    target_compile_definitions(${target} INTERFACE NIBBLE_HARDENED=1)
  endif()
endfunction()

# Header-only, kernels for every target, the best one chosen at run time.
add_library(nibble INTERFACE)
add_library(nibble::nibble ALIAS nibble)
nibble_interface(nibble)
# The installed package names Highway's target for find_package to provide. A fetched Highway is in no
# export set, which install(EXPORT) would refuse if it recognised the name; $<1:...> hides it.
get_target_property(nibble_hwy_imported hwy::hwy IMPORTED)
set(nibble_hwy_installed hwy::hwy)
if(NOT nibble_hwy_imported)
  set(nibble_hwy_installed hwy::$<1:hwy>)
endif()
set(nibble_hwy $<BUILD_INTERFACE:hwy::hwy> $<INSTALL_INTERFACE:${nibble_hwy_installed}>)
target_link_libraries(nibble INTERFACE ${nibble_hwy})

# Kernels for the one target that the compiler flags allow: Highway's headers, not its library.
add_library(nibble_static_dispatch INTERFACE)
add_library(nibble::static_dispatch ALIAS nibble_static_dispatch)
set_target_properties(nibble_static_dispatch PROPERTIES EXPORT_NAME static_dispatch)
nibble_interface(nibble_static_dispatch)
target_compile_definitions(nibble_static_dispatch INTERFACE NIBBLE_STATIC_DISPATCH)
target_include_directories(nibble_static_dispatch SYSTEM INTERFACE
  $<BUILD_INTERFACE:$<TARGET_PROPERTY:hwy::hwy,INTERFACE_INCLUDE_DIRECTORIES>>
  $<INSTALL_INTERFACE:$<TARGET_PROPERTY:${nibble_hwy_installed},INTERFACE_INCLUDE_DIRECTORIES>>)

# Flags of everything that we compile ourselves. Bytes must not depend on fused multiply-adds; the
# headers see to that on their own in clients' builds, the flag guards our tests against surprises.
add_library(nibble_own_flags INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(nibble_own_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -ffp-contract=off $<$<BOOL:${NIBBLE_WERROR}>:-Werror>)
endif()
if(NIBBLE_SANITIZE)
  if(NOT NIBBLE_SANITIZE MATCHES "^((address|undefined|thread|memory)(,|$))+$")
    message(FATAL_ERROR "NIBBLE_SANITIZE is '${NIBBLE_SANITIZE}'; it can be address,undefined, "
      "thread or memory (docs/robustness.md)")
  endif()
  target_compile_options(nibble_own_flags INTERFACE
    -fsanitize=${NIBBLE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(nibble_own_flags INTERFACE -fsanitize=${NIBBLE_SANITIZE})
endif()

# Kernels in a library, STATIC or SHARED as BUILD_SHARED_LIBS says; clients never see Highway.
if(NIBBLE_COMPILED_LIBRARY)
  add_library(nibble_compiled)
  add_library(nibble::compiled ALIAS nibble_compiled)
  target_sources(nibble_compiled PRIVATE
    "${PROJECT_SOURCE_DIR}/src/base.cc" "${PROJECT_SOURCE_DIR}/src/any.cc")
  nibble_add_format_sources(nibble_compiled)
  if(NOT PROJECT_IS_TOP_LEVEL AND NOT NIBBLE_INSTALL)
    # Built when something links it. FetchContent has no EXCLUDE_FROM_ALL before CMake 3.28.
    set_target_properties(nibble_compiled PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  set_target_properties(nibble_compiled PROPERTIES
    EXPORT_NAME compiled
    OUTPUT_NAME nibble
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    POSITION_INDEPENDENT_CODE ON
    WINDOWS_EXPORT_ALL_SYMBOLS ON)
  if(BUILD_SHARED_LIBS AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(exports "${PROJECT_SOURCE_DIR}/src/exports.map")
    target_link_options(nibble_compiled PRIVATE "LINKER:--version-script=${exports}")
    set_target_properties(nibble_compiled PROPERTIES LINK_DEPENDS "${exports}")
  endif()
  target_include_directories(nibble_compiled PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(nibble_compiled PUBLIC cxx_std_20)
  target_compile_definitions(nibble_compiled PUBLIC NIBBLE_COMPILED PRIVATE NIBBLE_BUILDING)
  if(NIBBLE_HARDENED)
    target_compile_definitions(nibble_compiled PUBLIC NIBBLE_HARDENED=1)
  endif()
  target_link_libraries(nibble_compiled PRIVATE ${nibble_hwy} $<BUILD_INTERFACE:nibble_own_flags>)
endif()
