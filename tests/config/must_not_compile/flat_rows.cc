// SPDX-License-Identifier: Apache-2.0 OR MIT
// A flat extent at the top.
// expect-error: nibble: flat() extents are for scales of scales only
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::block<nibble::nf4, 64, nibble::scale<nibble::f32>>;
#else
using wanted = nibble::block<nibble::nf4, nibble::flat(64), nibble::scale<nibble::f32>>;
#endif

nibble::quantized_view<wanted> view;
