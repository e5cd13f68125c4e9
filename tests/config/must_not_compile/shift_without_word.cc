// SPDX-License-Identifier: Apache-2.0 OR MIT
// A block whose zero point is given as a plain format.
// expect-error: nibble: a block's fourth argument is zero<F>, offset<F>
#include "nibble/formats.h"

#ifdef CONTROL
using shift = nibble::zero<nibble::uint4>;
#else
using shift = nibble::uint4;
#endif

nibble::quantized_view<nibble::block<nibble::uint4, 32, nibble::scale<nibble::f16>, shift>> view;
