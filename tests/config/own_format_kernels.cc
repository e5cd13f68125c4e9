// SPDX-License-Identifier: Apache-2.0 OR MIT
// The one source file of a compiled-mode client that makes kernels for a format of its own.
#include "nibble/impl.h"

#include "format/user_formats.h"

NIBBLE_INSTANTIATE_FORMAT(user_5bit);
