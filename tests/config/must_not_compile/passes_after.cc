// SPDX-License-Identifier: Apache-2.0 OR MIT
// foreach_target.h of the client's own after a nibble header: it would do nothing, and his kernels
// would exist for one target. That must never compile in silence.
// expect-error: N_
#ifndef CONTROL
#include "nibble/elements.h"
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "config/must_not_compile/passes_after.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace client::HWY_NAMESPACE {
[[maybe_unused]] static std::int64_t target() { return HWY_TARGET; }
}  // namespace client::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace client {
HWY_EXPORT(target);
std::int64_t best() { return HWY_DYNAMIC_DISPATCH(target)(); }
}  // namespace client
#endif
