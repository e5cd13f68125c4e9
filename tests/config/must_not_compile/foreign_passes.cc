// SPDX-License-Identifier: Apache-2.0 OR MIT
// Another header ran foreach_target.h for a file of its own: nibble's kernels saw one pass only.
// expect-error: this file is not re-included by foreach_target.h (another header ran the passes); link nibble::compiled
#ifndef CONTROL
#define HWY_TARGET_INCLUDE "config/must_not_compile/foreign_passes.inc"
#include "hwy/foreach_target.h"
#include "config/must_not_compile/foreign_passes.inc"
#endif
#include "nibble/elements.h"
