// SPDX-License-Identifier: Apache-2.0 OR MIT
// The same tests for systems without mmap.
#define NIBBLE_IO_NO_MMAP
#include "mapped_file_test.cc"  // NOLINT(bugprone-suspicious-include)
