# SPDX-License-Identifier: Apache-2.0 OR MIT
# clang++ with MemorySanitizer. All code has to be compiled with it, C++'s own library too: libc++ is
# in build/deps/libcxx-msan (cmake/bootstrap.sh msan builds it). For AVX2 alone, which it follows lane
# by lane; many instructions of AVX-512 it takes for a use of all lanes.
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(libcxx "${CMAKE_CURRENT_LIST_DIR}/../../build/deps/libcxx-msan")
set(msan "-fsanitize=memory -march=haswell -DHWY_COMPILE_ONLY_STATIC")
set(CMAKE_C_FLAGS_INIT "${msan}")
# Not -isystem: CMake may name /usr/include first.
set(CMAKE_CXX_FLAGS_INIT "${msan} -nostdinc++ -I${libcxx}/include/c++/v1")
# Tests may replace operator new, which the sanitizer has in a library of its own: the first counts.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-nostdlib++ -Wl,--allow-multiple-definition")
set(CMAKE_CXX_STANDARD_LIBRARIES_INIT "-L${libcxx}/lib -lc++ -lc++abi")
