// SPDX-License-Identifier: Apache-2.0 OR MIT
// Codes of 16 bits in a block.
// expect-error: nibble: a block's codes have at most 8 bits
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::block<nibble::fp8_e5m2, 32, nibble::scale<nibble::f32>>;
#else
using wanted = nibble::block<nibble::f16, 32, nibble::scale<nibble::f32>>;
#endif

nibble::quantized_view<wanted> view;
