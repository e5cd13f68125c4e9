// SPDX-License-Identifier: Apache-2.0 OR MIT
// Kernels of a format that libnibble does not have: f32, in which a checkpoint may come.
#include "nibble/impl.h"

NIBBLE_INSTANTIATE_FORMAT(nibble::f32);
