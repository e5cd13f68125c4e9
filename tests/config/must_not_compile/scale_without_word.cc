// SPDX-License-Identifier: Apache-2.0 OR MIT
// A block whose scale is given as a plain format.
// expect-error: nibble: a block's third argument is scale<F>
#include "nibble/formats.h"

#ifdef CONTROL
using wanted = nibble::block<nibble::int4, 32, nibble::scale<nibble::f16>>;
#else
using wanted = nibble::block<nibble::int4, 32, nibble::f16>;
#endif

nibble::quantized_view<wanted> view;
