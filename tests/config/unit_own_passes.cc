// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client with a foreach_target.h of its own: nibble's kernels join its passes.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "config/unit_own_passes.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#if HWY_ONCE
static constexpr std::int64_t targets_before = HWY_TARGETS;
static constexpr std::int64_t static_before = HWY_STATIC_TARGET;
#endif

#include "nibble/elements.h"

#if HWY_ONCE
static_assert(targets_before == HWY_TARGETS && static_before == HWY_STATIC_TARGET,
              "nibble changed the targets of a client that has chosen them");
#endif
#if defined(HWY_WANT_AVX3_DL) || defined(HWY_DISABLE_PCLMUL_AES)
#error "nibble defined macros of Highway's in a client's own passes"
#endif

#include "config/probe.h"

HWY_BEFORE_NAMESPACE();
namespace client::HWY_NAMESPACE {
static std::int64_t target() { return HWY_TARGET; }
}  // namespace client::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace client {
HWY_EXPORT(target);
}

int unit_own_passes();
int unit_own_passes() {
  int failures = 0;
  for (const std::int64_t t : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(t);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    failures += probe(hwy::TargetName(t));
    if (HWY_DYNAMIC_DISPATCH(client::target)() != t) {
      std::printf("the client's own dispatch chose another target\n");
      ++failures;
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return failures + probe("own passes");
}
#endif
