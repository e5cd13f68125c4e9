// SPDX-License-Identifier: Apache-2.0 OR MIT
// A zero point stored in a plain C++ type.
// expect-error: nibble: zero<F>, offset<F>, minimum<F> and center<F> need an element
#include "nibble/formats.h"

#ifdef CONTROL
using stored = nibble::f32;
#else
using stored = float;
#endif

using wanted = nibble::block<nibble::uint4, 32, nibble::scale<nibble::f16>, nibble::zero<stored>>;
nibble::quantized_view<wanted> view;
