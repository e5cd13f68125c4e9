// SPDX-License-Identifier: Apache-2.0 OR MIT
// A scale that is no format.
// expect-error: nibble: scale<F> needs an element or a block format
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::block<nibble::int4, 32, nibble::scale<nibble::f32>>;
#else
using wanted = nibble::block<nibble::int4, 32, nibble::scale<float>>;
#endif

nibble::quantized_view<wanted> view;
