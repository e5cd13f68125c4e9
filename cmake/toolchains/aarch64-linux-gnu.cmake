# SPDX-License-Identifier: Apache-2.0 OR MIT
# 64-bit Arm Linux from another machine, by g++ or clang++ and Debian's cross libraries
# (g++-aarch64-linux-gnu); programs run under qemu-user. Its environment: QEMU_CPU (docs/arm.md).
#
#   NIBBLE_CROSS_CLANG   a clang++ instead of g++, for example clang++-19
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(triple aarch64-linux-gnu)

if(NIBBLE_CROSS_CLANG)
  set(CMAKE_CXX_COMPILER ${NIBBLE_CROSS_CLANG})
  set(CMAKE_CXX_COMPILER_TARGET ${triple})
else()
  set(CMAKE_CXX_COMPILER ${triple}-g++)
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES NIBBLE_CROSS_CLANG)

# The cross compiler does not say where multi-architecture packages lie, such as Highway's.
set(CMAKE_LIBRARY_ARCHITECTURE ${triple})
set(CMAKE_CXX_LIBRARY_ARCHITECTURE ${triple})

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/${triple})
