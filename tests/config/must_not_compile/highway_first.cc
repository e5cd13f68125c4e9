// SPDX-License-Identifier: Apache-2.0 OR MIT
// highway.h before nibble, without foreach_target.h: nibble could run no target passes.
// expect-error: include nibble before hwy/highway.h, or after your own hwy/foreach_target.h, or link nibble::compiled
#ifndef CONTROL
#include "hwy/highway.h"
#endif
#include "nibble/elements.h"
