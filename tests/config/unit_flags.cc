// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client built with -m flags that other units of the program do not have, which also uses Highway
// directly, after nibble's header.
#include "config/probe.h"
#include "hwy/highway.h"
#ifdef __ARM_FEATURE_SVE
#include <sys/auxv.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace client::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
static float sum_of_ones() {
  const hn::ScalableTag<float> df;
  return hn::ReduceSum(df, hn::Set(df, 1.0f)) / static_cast<float>(hn::Lanes(df));
}
}  // namespace client::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

int unit_flags();
int unit_flags() {
#if defined(__AVX2__) && (defined(__GNUC__) || defined(__clang__))
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::printf("flags: this processor lacks them; not run\n");
    return 0;
  }
#elif defined(__ARM_FEATURE_SVE)
  if ((getauxval(AT_HWCAP) & HWCAP_SVE) == 0) {
    std::printf("flags: this processor lacks SVE; not run\n");
    return 0;
  }
#endif
  return probe("flags") + (client::HWY_NAMESPACE::sum_of_ones() == 1.0f ? 0 : 1);
}
