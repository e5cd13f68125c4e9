// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels of a format that libnibble does not have: f32, what all others are compared with.
#include "nibble/impl.h"

NIBBLE_INSTANTIATE_FORMAT(nibble::f32);
