// SPDX-License-Identifier: Apache-2.0 OR MIT
// Vector codecs of the elements, for kernels that decode or encode in registers.
//
//   DecodeChunk<E>(df, codes, fn)     16 codes   -> fn(i, Vec<DF>) for i = 0, Lanes, ...
//   EncodeChunk<E>(df, policy, fn)    fn(i)      -> 16 codes
//   DecodeWide<E>(df, p)              f16, bf16, f32: one vector from memory; ...N for tails
//   EncodeWide<E>(df, policy, x, p)   ... to memory
//
// df is hn::CappedTag<float, 16>. The policy is an encode_policy, or static_policy<> in hot loops.
#if defined(NIBBLE_KERNEL_ELEMENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_ELEMENT_INL_H_
#undef NIBBLE_KERNEL_ELEMENT_INL_H_
#else
#define NIBBLE_KERNEL_ELEMENT_INL_H_
#endif

#include "nibble/kernel/element_decode-inl.h"
#include "nibble/kernel/element_encode-inl.h"

#endif  // per-target guard
