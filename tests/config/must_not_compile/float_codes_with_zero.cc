// SPDX-License-Identifier: Apache-2.0 OR MIT
// A zero point for floating-point codes.
// expect-error: nibble: zero, offset and minimum need an integer element
#include "nibble/formats.h"

#ifdef CONTROL
using wanted =
    nibble::block<nibble::uint8, 32, nibble::scale<nibble::f32>, nibble::zero<nibble::f16>>;
#else
using wanted =
    nibble::block<nibble::fp8_e4m3fn, 32, nibble::scale<nibble::f32>, nibble::zero<nibble::f16>>;
#endif

nibble::quantized_view<wanted> view;
