// SPDX-License-Identifier: Apache-2.0 OR MIT
// A block of 9 values.
// expect-error: nibble: a block must be a multiple of 8 values long
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::block<nibble::int4, 16, nibble::scale<nibble::f16>>;
#else
using wanted = nibble::block<nibble::int4, 9, nibble::scale<nibble::f16>>;
#endif

nibble::quantized_view<wanted> view;
