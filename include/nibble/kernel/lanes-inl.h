// SPDX-License-Identifier: Apache-2.0 OR MIT
// Blocks side by side in lanes: from rows of floats to one block per lane, and codes back.
#if defined(NIBBLE_KERNEL_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_LANES_INL_H_
#undef NIBBLE_KERNEL_LANES_INL_H_
#else
#define NIBBLE_KERNEL_LANES_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "nibble/config.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// out[i * N + lane] = rows[lane][i] for n values, a multiple of 4.
template <class DF>
HWY_INLINE void LanesFromRows(DF df, const float* const* rows, size_t n, float* HWY_RESTRICT out) {
  const size_t N = hn::Lanes(df);
#if HWY_TARGET == HWY_SCALAR
  for (size_t i = 0; i < n * N; ++i) out[i] = rows[i % N][i / N];
#else
  static_assert(hn::MaxLanes(DF()) >= 4);
  const hn::FixedTag<float, 4> d4;
  const hn::Repartition<uint64_t, decltype(d4)> d2;
  for (size_t lane = 0; lane < N; lane += 4) {
    for (size_t i = 0; i < n; i += 4) {
      const auto r0 = hn::LoadU(d4, rows[lane] + i);
      const auto r1 = hn::LoadU(d4, rows[lane + 1] + i);
      const auto r2 = hn::LoadU(d4, rows[lane + 2] + i);
      const auto r3 = hn::LoadU(d4, rows[lane + 3] + i);
      const auto a = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));  // 00 10 01 11
      const auto b = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));  // 20 30 21 31
      const auto c = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
      const auto d = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
      float* HWY_RESTRICT to = out + i * N + lane;
      hn::Store(hn::BitCast(d4, hn::InterleaveLower(d2, a, b)), d4, to);
      hn::Store(hn::BitCast(d4, hn::InterleaveUpper(d2, a, b)), d4, to + N);
      hn::Store(hn::BitCast(d4, hn::InterleaveLower(d2, c, d)), d4, to + 2 * N);
      hn::Store(hn::BitCast(d4, hn::InterleaveUpper(d2, c, d)), d4, to + 3 * N);
    }
  }
#endif
}

/// Packs n codes per lane, four to a 32-bit word: words[i / 4 * N + lane]. code(i) are floats.
/// Lanes in `keep` stay as they are.
template <class DF, class Code>
HWY_INLINE void PackCodes(DF df, size_t n, hn::Mask<DF> keep, const Code& code,
                          uint32_t* HWY_RESTRICT words) {
  const size_t N = hn::Lanes(df);
  const hn::RebindToSigned<DF> di;
  const hn::RebindToUnsigned<DF> du;
  const auto byte = [&](size_t i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    return hn::And(hn::BitCast(du, hn::ConvertTo(di, code(i))), hn::Set(du, 0xFFu));
  };
  for (size_t i = 0; i < n; i += 4) {
    const auto low = hn::Or(byte(i), hn::ShiftLeft<8>(byte(i + 1)));
    const auto high = hn::Or(byte(i + 2), hn::ShiftLeft<8>(byte(i + 3)));
    uint32_t* HWY_RESTRICT to = words + i / 4 * N;
    const auto word = hn::Or(low, hn::ShiftLeft<16>(high));
    hn::Store(hn::IfThenElse(hn::RebindMask(du, keep), hn::Load(du, to), word), du, to);
  }
}

/// n codes of one lane from PackCodes' words.
HWY_INLINE void UnpackLane(const uint32_t* HWY_RESTRICT words, size_t num_lanes, size_t lane,
                           size_t n, uint8_t* HWY_RESTRICT codes) {
  for (size_t i = 0; i < n; i += 4) {
    std::memcpy(codes + i, words + i / 4 * num_lanes + lane, 4);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
