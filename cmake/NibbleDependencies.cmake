# SPDX-License-Identifier: Apache-2.0 OR MIT
# Where other people's code comes from: find_package first, then (NIBBLE_FETCH_DEPENDENCIES) an
# archive pinned by its SHA-256. FETCHCONTENT_SOURCE_DIR_<NAME> points either at a local copy.
include(FetchContent)

# nibble_dependency(<package> TARGETS <target>... FIND <find_package arguments>
#                   URL <url> SHA256 <hash> [SET <variable>=<value>...])
# Afterwards one of <targets> exists, or configuring has stopped with what to do.
macro(nibble_dependency package)
  cmake_parse_arguments(dep "" "URL;SHA256" "TARGETS;FIND;SET" ${ARGN})
  set(dep_target "")
  foreach(t IN LISTS dep_TARGETS)
    if(TARGET ${t})
      set(dep_target ${t})
      break()
    endif()
  endforeach()
  string(TOUPPER ${package} dep_upper)
  if(NOT dep_target AND NOT FETCHCONTENT_SOURCE_DIR_${dep_upper})
    find_package(${package} ${dep_FIND} QUIET)
  endif()
  if(NOT dep_target AND NOT ${package}_FOUND)
    if(NOT NIBBLE_FETCH_DEPENDENCIES AND NOT FETCHCONTENT_SOURCE_DIR_${dep_upper})
      message(FATAL_ERROR
        "nibble: package '${package}' (${dep_FIND}) was not found. Install it, add its prefix to "
        "CMAKE_PREFIX_PATH, run 'sh cmake/bootstrap.sh deps', or set NIBBLE_FETCH_DEPENDENCIES=ON.")
    endif()
    if(FETCHCONTENT_SOURCE_DIR_${dep_upper})
      message(STATUS "nibble: ${package} is built from ${FETCHCONTENT_SOURCE_DIR_${dep_upper}}")
    else()
      message(STATUS "nibble: ${package} not found; fetching ${dep_URL}")
    endif()
    foreach(pair IN LISTS dep_SET)
      string(REGEX MATCH "^([^=]+)=(.*)$" _ "${pair}")
      set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2} CACHE BOOL "set by nibble" FORCE)
    endforeach()
    set(dep_source URL ${dep_URL} URL_HASH SHA256=${dep_SHA256} DOWNLOAD_EXTRACT_TIMESTAMP OFF)
    if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.28)
      FetchContent_Declare(${package} ${dep_source} SYSTEM EXCLUDE_FROM_ALL)
      FetchContent_MakeAvailable(${package})
    else()  # no EXCLUDE_FROM_ALL, and 3.25.1 takes SYSTEM for a part of URL_HASH
      FetchContent_Declare(${package} ${dep_source})
      string(TOLOWER ${package} dep_lower)
      FetchContent_GetProperties(${package})
      if(NOT ${dep_lower}_POPULATED)
        FetchContent_Populate(${package})
        add_subdirectory(${${dep_lower}_SOURCE_DIR} ${${dep_lower}_BINARY_DIR} EXCLUDE_FROM_ALL SYSTEM)
      endif()
    endif()
  endif()
endmacro()

# Each hash is that of the archive's copy in Debian (highway_1.2.0.orig.tar.gz and so on, computed
# here) and is stated for the same URL in public build recipes, for example Homebrew's and Spack's.
macro(nibble_need_highway)
  nibble_dependency(hwy
    TARGETS hwy::hwy hwy
    FIND 1.2 CONFIG GLOBAL
    URL https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz
    SHA256 7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343
    SET HWY_ENABLE_CONTRIB=OFF HWY_ENABLE_EXAMPLES=OFF HWY_ENABLE_TESTS=OFF HWY_ENABLE_INSTALL=OFF)
  if(NOT TARGET hwy::hwy)
    add_library(hwy::hwy ALIAS hwy)
  endif()
endmacro()

# Catch2 2 (one header) and 3 (a library) both do: tests/support/catch.h hides the difference. An
# installed library is one for the machine that compiles, and without MemorySanitizer.
macro(nibble_need_catch2)
  set(nibble_catch2_version "")
  if(CMAKE_CROSSCOMPILING OR NIBBLE_SANITIZE MATCHES "memory")
    set(nibble_catch2_version 2)
  endif()
  nibble_dependency(Catch2
    TARGETS Catch2::Catch2
    FIND ${nibble_catch2_version} CONFIG
    URL https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz
    SHA256 c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c)
endmacro()

macro(nibble_need_benchmark)
  nibble_dependency(benchmark
    TARGETS benchmark::benchmark
    FIND CONFIG
    URL https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz
    SHA256 32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981
    SET BENCHMARK_ENABLE_TESTING=OFF BENCHMARK_ENABLE_INSTALL=OFF BENCHMARK_ENABLE_WERROR=OFF)
endmacro()

# Libraries of the tools; the library itself needs none of them. The hashes agree with public build
# recipes of the same archives:
#   CLI11 2.3.2           conan-center-index (recipes/cli11/all/conandata.yml)
#   nlohmann_json 3.11.2  public Bazel workspaces (http_archive of json.tar.xz)
#   fmt 9.1.0             Seastar, rules_ros2 (http_archive of 9.1.0.tar.gz)
macro(nibble_need_cli11)
  nibble_dependency(CLI11
    TARGETS CLI11::CLI11
    FIND 2.1 CONFIG
    URL https://github.com/CLIUtils/CLI11/archive/v2.3.2.tar.gz
    SHA256 aac0ab42108131ac5d3344a9db0fdf25c4db652296641955720a4fbe52334e22
    SET CLI11_BUILD_DOCS=OFF CLI11_BUILD_TESTS=OFF CLI11_BUILD_EXAMPLES=OFF)
endmacro()

macro(nibble_need_json)
  nibble_dependency(nlohmann_json
    TARGETS nlohmann_json::nlohmann_json
    FIND 3.10 CONFIG
    URL https://github.com/nlohmann/json/releases/download/v3.11.2/json.tar.xz
    SHA256 8c4b26bf4b422252e13f332bc5e388ec0ab5c3443d24399acb675e68278d341f
    SET JSON_BuildTests=OFF JSON_Install=OFF)
endmacro()

macro(nibble_need_fmt)
  nibble_dependency(fmt
    TARGETS fmt::fmt
    FIND CONFIG
    URL https://github.com/fmtlib/fmt/archive/9.1.0.tar.gz
    SHA256 5dea48d1fcddc3ec571ce2058e13910a0d4a6bab4cc09a809d8b1dd1c88ae6f2
    SET FMT_TEST=OFF FMT_DOC=OFF FMT_INSTALL=OFF)
endmacro()

nibble_need_highway()
