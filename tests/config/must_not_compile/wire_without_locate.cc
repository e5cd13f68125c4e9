// SPDX-License-Identifier: Apache-2.0 OR MIT
// A wire layout that does not say where its codes are.
// expect-error: nibble: a wire layout has block_values, block_bytes and locate(section, i)
#include "nibble/formats.h"

struct layout {
  static constexpr std::size_t block_values = 32;
  static constexpr std::size_t block_bytes = 34;
#ifdef CONTROL
  static constexpr nibble::bit_field locate(std::size_t section, std::size_t i) {
    return section == 0 ? nibble::byte_field(2 + i, 1) : nibble::byte_field(0, 2);
  }
#endif
};

using wanted = nibble::wire<nibble::block<nibble::int8, 32, nibble::scale<nibble::f16>>, layout>;
static_assert(wanted::block_bytes > 0);
