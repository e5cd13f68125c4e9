// SPDX-License-Identifier: Apache-2.0 OR MIT
// From packed strips to what micro-kernels multiply, a chunk of k at a time into scratch:
//
//   DecodeLevels   bytes of the integer path, [k / 4][16 rows][4]
//   DecodeFloats   dequantized values, [k][16 rows]
//   DecodeHalves   the same as bf16, [k / 2][16 rows][2]
//   ReadFactor     scales or shifts of whole blocks as floats, [block][16 rows]
//
// These are the only packed kernels that know a format. A part of a panel is `rows` lanes wide: as
// many as fit a vector, at most 16. Per 64 bytes of levels: 4 bits 1 load, 3 operations, 2 stores
// per two quads; 2 bits 2 per quad. Per 16 floats: 2 to part, 1-2 to decode, 1-2 to scale, 1 store.
#if defined(NIBBLE_KERNEL_PACKED_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_PACKED_DECODE_INL_H_
#undef NIBBLE_KERNEL_PACKED_DECODE_INL_H_
#else
#define NIBBLE_KERNEL_PACKED_DECODE_INL_H_
#endif

#include <utility>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "nibble/format/codec.h"
#include "nibble/format/packed.h"
#include "nibble/kernel/dequantize-inl.h"
#include "nibble/kernel/lookup-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using LaneTag = FloatTag;  // one row per lane
using LevelTag = hn::Repartition<uint8_t, LaneTag>;
using LevelVec = hn::Vec<LevelTag>;

/// How far ahead of a strip its panel is fetched.
inline constexpr size_t kPrefetchBytes = 2048;

/// Fetches what lies kPrefetchBytes behind a strip of kBytes.
template <size_t kBytes>
HWY_INLINE void PrefetchStrip(const uint8_t* strip) {
  for (size_t line = 0; line < kBytes; line += 64) hwy::Prefetch(strip + kPrefetchBytes + line);
}

/// Calls fn(std::integral_constant<size_t, i>) for i = 0 .. kCount - 1, unrolled.
template <size_t kCount, class Fn>
HWY_INLINE void Unroll(Fn&& fn) {
  [&]<size_t... i>(std::index_sequence<i...>) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    (fn(std::integral_constant<size_t, i>()), ...);
  }
  (std::make_index_sequence<kCount>());
}

/// Codes of quad q (0 .. 7) of a strip, for the rows that start at byte `part` of a vector.
template <int kBits, size_t kQuad>
HWY_INLINE LevelVec QuadCodes(const uint8_t* HWY_RESTRICT strip, size_t part) {
  const LevelTag d;
  if constexpr (kBits == 8) {
    return hn::LoadU(d, strip + kQuad * 64 + part);
  } else {
    constexpr std::array<int, 3> kPlanes = detail::planes_of(kBits);
    auto codes = hn::Zero(d);
    Unroll<3>([&](auto p) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      constexpr int kWidth = kPlanes[p];
      if constexpr (kWidth != 0) {
        constexpr int kTo = (p > 0 ? kPlanes[0] : 0) + (p > 1 ? kPlanes[1] : 0);
        constexpr size_t kPerVector = 8 / static_cast<size_t>(kWidth);
        constexpr size_t kByte = detail::strip_bytes(kTo) + kQuad / kPerVector * 64;
        constexpr int kShift = static_cast<int>(kQuad % kPerVector) * kWidth - kTo;
#if HWY_ARCH_ARM
        const hn::Repartition<uint8_t, LevelTag> shifted;  // what a mask need not clear
#else
        const hn::Repartition<uint16_t, LevelTag> shifted;  // x86 has no shift of bytes
#endif
        auto v = hn::BitCast(shifted, hn::LoadU(d, strip + kByte + part));
        if constexpr (kShift > 0) v = hn::ShiftRight<kShift>(v);
        if constexpr (kShift < 0) v = hn::ShiftLeft<-kShift>(v);
        if constexpr (HWY_ARCH_ARM && p == 0 && kShift + kWidth == 8) {
          codes = hn::BitCast(d, v);  // the top bits of a byte: nothing beside them
          return;
        }
        const auto mask = hn::Set(d, static_cast<uint8_t>(((1u << kWidth) - 1) << kTo));
        codes =
            p == 0 ? hn::And(hn::BitCast(d, v), mask) : hn::OrAnd(codes, hn::BitCast(d, v), mask);
      }
    });
    return codes;
  }
}

/// The level of each code.
template <class Codec>
HWY_INLINE LevelVec LevelsOf(LevelVec codes, const uint8_t* HWY_RESTRICT levels) {
  const LevelTag d;
  if constexpr (requires { typename Codec::element; }) {
    // 64 levels: four tables of 16, chosen by bits 4 and 5.
    const auto low = hn::And(codes, hn::Set(d, uint8_t{15}));
    const auto at = [&](size_t i) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      return hn::TableLookupBytes(hn::LoadDup128(d, levels + 16 * i), low);
    };
    const auto is_odd = hn::TestBit(codes, hn::Set(d, uint8_t{16}));
    const auto is_high = hn::TestBit(codes, hn::Set(d, uint8_t{32}));
    return hn::IfThenElse(is_high, hn::IfThenElse(is_odd, at(3), at(2)),
                          hn::IfThenElse(is_odd, at(1), at(0)));
  } else if constexpr (requires { Codec::is_book; }) {
    return hn::TableLookupBytes(hn::LoadDup128(d, levels), codes);
  } else {
    return codes;
  }
}

/// Levels of `num_strips` strips at `strip` into out, 512 bytes per strip.
template <class Codec>
HWY_NOINLINE void DecodeLevels(const uint8_t* HWY_RESTRICT strip, size_t num_strips,
                               const detail::codec_info& info, uint8_t* HWY_RESTRICT out) {
  const LevelTag d;
  constexpr size_t kStrip = detail::strip_bytes(Codec::bits);
  for (size_t s = 0; s < num_strips; ++s, strip += kStrip, out += 512) {
    PrefetchStrip<kStrip>(strip);
    for (size_t part = 0; part < 64; part += hn::Lanes(d)) {
      Unroll<8>([&](auto q) HWY_ATTR NIBBLE_INLINE_LAMBDA {
        hn::StoreU(LevelsOf<Codec>(QuadCodes<Codec::bits, q>(strip, part), info.levels), d,
                   out + q * 64 + part);
      });
    }
  }
}

/// The values of codes in 32-bit lanes, before scaling.
template <class Codec, class VU32>
HWY_INLINE hn::Vec<LaneTag> ValuesOf(VU32 codes, const detail::codec_info& info) {
  const LaneTag df;
  const hn::RebindToSigned<LaneTag> di;
  if constexpr (requires { Codec::has_unit; }) {
    const auto whole = hn::Sub(hn::BitCast(di, codes), hn::Set(di, info.bias));
    const auto v = hn::ConvertTo(df, whole);
    return Codec::has_unit ? hn::Mul(v, hn::Set(df, info.unit)) : v;
  } else if constexpr (requires { Codec::is_book; }) {
    return LookupFloats<16>(df, info.values, hn::BitCast(di, codes));
  } else {
    using E = typename Codec::element;
    if constexpr (MinifloatElement<E>) {
      return MinifloatFromU32<E>(df, codes);
    } else if constexpr (E::bits == 32) {
      return hn::BitCast(df, codes);
    } else {
      return LookupFloats<size_t{1} << E::bits>(df, kValues<E>.data(), hn::BitCast(di, codes));
    }
  }
}

/// How codes become values, for explain().
template <class Codec>
HWY_INLINE const char* DecodeName() {
  if constexpr (requires { Codec::has_unit; }) {
    return "shift and mask";
  } else if constexpr (requires { Codec::is_book; }) {
    return "table of 16";
  } else if constexpr (MinifloatElement<typename Codec::element> || Codec::bits == 32) {
    return "float arithmetic";
  } else {
    constexpr bool kHasGather = HWY_TARGET <= HWY_AVX2 || HWY_TARGET_IS_SVE;
    return kHasGather ? "table of 256" : "table of 256, one lane at a time";
  }
}

/// Codes of columns 4 kQuad .. + 4 of a strip, in 32-bit lanes: fn(k, codes of column k, codes of
/// column k + 1), k from the start of the strip.
template <int kBits, size_t kQuad, class Fn>
HWY_INLINE void ColumnCodes(const uint8_t* HWY_RESTRICT strip, size_t part, const Fn& fn) {
  const hn::RebindToUnsigned<LaneTag> du;
  constexpr size_t k = 4 * kQuad;
  const auto load = [&](size_t vector) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    return hn::BitCast(du, hn::LoadU(LevelTag(), strip + vector * 64 + part));
  };
  if constexpr (kBits <= 8) {
    const auto v = hn::BitCast(du, QuadCodes<kBits, kQuad>(strip, part));
    const auto byte = hn::Set(du, 255u);
    fn(k, hn::And(v, byte), hn::And(hn::ShiftRight<8>(v), byte));
    fn(k + 2, hn::And(hn::ShiftRight<16>(v), byte), hn::ShiftRight<24>(v));
  } else if constexpr (kBits == 16) {
    const auto low = hn::Set(du, 0xFFFFu);
    const auto v0 = load(2 * kQuad);
    const auto v1 = load(2 * kQuad + 1);
    fn(k, hn::And(v0, low), hn::ShiftRight<16>(v0));
    fn(k + 2, hn::And(v1, low), hn::ShiftRight<16>(v1));
  } else {
    fn(k, load(k), load(k + 1));
    fn(k + 2, load(k + 2), load(k + 3));
  }
}

// Byte kPlane of the values of codes 0 .. 127.
template <class E, int kPlane>
inline constexpr auto kLowHalfPlane = [] {
  std::array<uint8_t, 128> bytes{};
  for (size_t c = 0; c < 128; ++c) {
    const float v = E::decode(static_cast<typename E::code>(c % (size_t{1} << E::bits)));
    bytes[c] = static_cast<uint8_t>(detail::bits_of(v) >> (8 * kPlane));
  }
  return bytes;
}();

/// Are the values of 8-bit codes bf16, and those of codes from 128 the same with the other sign?
template <class Codec>
constexpr bool HasBytePlanes() {
  if constexpr (requires { typename Codec::element; }) {
    using E = typename Codec::element;
    if constexpr (E::bits == 8) {
      for (unsigned c = 0; c < 128; ++c) {
        const uint32_t v = detail::bits_of(E::decode(static_cast<uint8_t>(c)));
        const uint32_t minus = detail::bits_of(E::decode(static_cast<uint8_t>(c + 128)));
        if ((v & 0xFFFF) != 0 || minus != (v | detail::f32_sign)) return false;
      }
      return true;
    }
  }
  return false;
}

/// Values of columns 4 kQuad .. + 4 of a strip, before scaling: fn(k, values of column k, values of
/// column k + 1).
template <class Codec, size_t kQuad, class Fn>
HWY_INLINE void ColumnValues(const uint8_t* HWY_RESTRICT strip, size_t part,
                             const detail::codec_info& info, const Fn& fn) {
#if HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86
  if constexpr (HasBytePlanes<Codec>()) {
    // The two upper bytes of 64 values by one permute each of 128 table bytes, then to their place
    // in 32-bit lanes: 17 operations for 64 values, where arithmetic takes 16 for 16.
    using E = typename Codec::element;
    const LaneTag df;
    const LevelTag d;
    const auto codes = QuadCodes<8, kQuad>(strip, part);
    const auto top = hn::Set(d, uint8_t{128});
    const auto index = hn::IndicesFromVec(d, hn::AndNot(top, codes));
    const auto plane = [&](const std::array<uint8_t, 128>& table) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      return hn::TwoTablesLookupLanes(d, hn::LoadU(d, table.data()),
                                      hn::LoadU(d, table.data() + 64), index);
    };
    const auto upper = hn::OrAnd(plane(kLowHalfPlane<E, 3>), codes, top);
    const auto lower = plane(kLowHalfPlane<E, 2>);
    const auto value = [&](auto j) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      // Bytes 2 and 3 of each lane are byte j of lower and upper; 0x80 makes a zero.
      const hn::Repartition<uint32_t, LevelTag> d32;
      const auto step = hn::BitCast(d32, hn::And(hn::Iota(d, 0), hn::Set(d, uint8_t{0x0C})));
      const auto at3 = hn::BitCast(
          d, hn::Or(hn::ShiftLeft<24>(step), hn::Set(d32, 0x00808080u | uint32_t{j} << 24)));
      const auto at2 = hn::BitCast(d, hn::Or(hn::ShiftLeft<16>(hn::And(step, hn::Set(d32, 0xFFu))),
                                             hn::Set(d32, 0x80008080u | uint32_t{j} << 16)));
      return hn::BitCast(
          df, hn::Or(hn::TableLookupBytesOr0(upper, at3), hn::TableLookupBytesOr0(lower, at2)));
    };
    constexpr size_t k = 4 * kQuad;
    fn(k, value(std::integral_constant<uint32_t, 0>()),
       value(std::integral_constant<uint32_t, 1>()));
    fn(k + 2, value(std::integral_constant<uint32_t, 2>()),
       value(std::integral_constant<uint32_t, 3>()));
    return;
  }
#endif
  ColumnCodes<Codec::bits, kQuad>(strip, part,
                                  [&](size_t k, auto a, auto b) HWY_ATTR NIBBLE_INLINE_LAMBDA {
                                    fn(k, ValuesOf<Codec>(a, info), ValuesOf<Codec>(b, info));
                                  });
}

/// What dequantize() makes of values before scaling.
template <detail::shift_use kShift, class V>
HWY_INLINE V Scaled(V value, V scale, V shift) {
  constexpr shift_kind kKind = kShift == detail::shift_use::none     ? shift_kind::none
                               : kShift == detail::shift_use::offset ? shift_kind::offset
                                                                     : shift_kind::zero;
  return ValueOf<kKind>(value, scale, shift);
}

/// f32 rounded to the nearest bf16, in the upper half of each lane; NaN stays NaN.
template <class V>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<LaneTag>> RoundToBf16(V v) {
  const hn::RebindToUnsigned<LaneTag> du;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto up = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFFu)));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x00400000u));  // a payload of low bits is lost
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, up);
}

using FloatDecoder = void (*)(const uint8_t*, size_t, const detail::codec_info&, const float*,
                              const float*, size_t, size_t, float*);

/// Values of `num_strips` strips. Scales and shifts: [segment][16], from the chunk's first segment;
/// segment_cols is 16 or a multiple of 32, and the chunk begins `skip` columns into a segment.
template <class Codec, detail::shift_use kShift>
HWY_NOINLINE void DecodeFloats(const uint8_t* HWY_RESTRICT strip, size_t num_strips,
                               const detail::codec_info& info, const float* HWY_RESTRICT scales,
                               const float* HWY_RESTRICT shifts, size_t segment_cols, size_t skip,
                               float* HWY_RESTRICT out) {
  const LaneTag df;
  const size_t N = hn::Lanes(df);
  constexpr size_t kStrip = detail::strip_bytes(Codec::bits);
  size_t left = segment_cols - skip;
  for (size_t s = 0; s < num_strips; ++s, strip += kStrip) {
    PrefetchStrip<kStrip>(strip);
    Unroll<2>([&](auto half) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      for (size_t lane = 0; lane < panel_rows; lane += N) {
        const auto scale = hn::LoadU(df, scales + lane);
        const auto shift =
            kShift == detail::shift_use::none ? hn::Zero(df) : hn::LoadU(df, shifts + lane);
        const auto value = [&](auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          return Scaled<kShift>(v, scale, shift);
        };
        const auto put = [&](size_t k, auto a, auto b) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          float* HWY_RESTRICT y = out + (s * strip_cols + k) * panel_rows;
          hn::StoreU(value(a), df, y + lane);
          hn::StoreU(value(b), df, y + panel_rows + lane);
        };
        Unroll<4>([&](auto q) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          ColumnValues<Codec, 4 * half + q>(strip, 4 * lane, info, put);
        });
      }
      left -= 16;
      if (left == 0) {
        left = segment_cols;
        scales += panel_rows;
        shifts += panel_rows;
      }
    });
  }
}

/// 64 bytes of codes of quad `quad` of a strip. Not inlined: it differs between widths only.
template <int kBits>
HWY_NOINLINE void CopyQuad(const uint8_t* HWY_RESTRICT strip, size_t quad,
                           uint8_t* HWY_RESTRICT out) {
  for (size_t part = 0; part < 64; part += hn::Lanes(LevelTag())) {
    Unroll<8>([&](auto q) HWY_ATTR NIBBLE_INLINE_LAMBDA {
      if (quad == q) hn::StoreU(QuadCodes<kBits, q>(strip, part), LevelTag(), out + part);
    });
  }
}

/// Values of column k of a strip: what DecodeFloats makes of it, alone.
template <class Codec, detail::shift_use kShift>
HWY_NOINLINE void DecodeColumn(const uint8_t* HWY_RESTRICT strip, size_t k,
                               const detail::codec_info& info, const float* HWY_RESTRICT scales,
                               const float* HWY_RESTRICT shifts, float* HWY_RESTRICT out) {
  const LaneTag df;
  const hn::RebindToUnsigned<LaneTag> du;
  constexpr size_t kPerLane = Codec::bits <= 8 ? 4 : 32 / static_cast<size_t>(Codec::bits);
  constexpr int kWidth = 32 / static_cast<int>(kPerLane);
  HWY_ALIGN uint8_t quad[64];
  const uint8_t* from = strip + k / kPerLane * 64;
  if constexpr (Codec::bits <= 8) {
    CopyQuad<Codec::bits>(strip, k / 4, quad);
    from = quad;
  }
  const int shift_bits = static_cast<int>(k % kPerLane) * kWidth;
  const auto mask = hn::Set(du, static_cast<uint32_t>((uint64_t{1} << kWidth) - 1));
  for (size_t lane = 0; lane < panel_rows; lane += hn::Lanes(df)) {
    const auto four = hn::BitCast(du, hn::LoadU(LevelTag(), from + 4 * lane));
    const auto codes = hn::And(hn::ShiftRightSame(four, shift_bits), mask);
    const auto shift =
        kShift == detail::shift_use::none ? hn::Zero(df) : hn::LoadU(df, shifts + lane);
    hn::StoreU(Scaled<kShift>(ValuesOf<Codec>(codes, info), hn::LoadU(df, scales + lane), shift),
               df, out + lane);
  }
}

/// 2 * num_pairs rows of 16 floats as pairs of bf16. kExtension: by AVX512_BF16, where subnormals
/// become zero; 2 operations, not 17.
template <bool kExtension>
HWY_NOINLINE void RoundPairs(const float* HWY_RESTRICT from, size_t num_pairs,
                             uint32_t* HWY_RESTRICT out) {
  const LaneTag df;
  const hn::RebindToUnsigned<LaneTag> du;
#if HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86_64
  if constexpr (kExtension) {
    static_assert(hn::MaxLanes(LaneTag()) == panel_rows);
    const hn::Repartition<uint16_t, LaneTag> du16;
    const auto i = hn::Iota(du, 0);  // word i of the first half, then of the second
    const auto in_turn = hn::Add(hn::Or(i, hn::ShiftLeft<16>(i)), hn::Set(du, 16u << 16));
    const auto order = hn::IndicesFromVec(du16, hn::BitCast(du16, in_turn));
    for (size_t pair = 0; pair < num_pairs; ++pair, from += 2 * panel_rows, out += panel_rows) {
      auto both = hn::LoadU(df, from + panel_rows);
      __asm__("vcvtne2ps2bf16 {%1, %0, %0|%0, %0, %1}"
              : "+v"(both.raw)
              : "v"(hn::LoadU(df, from).raw));
      hn::StoreU(hn::BitCast(du, hn::TableLookupLanes(hn::BitCast(du16, both), order)), du, out);
    }
    return;
  }
#endif
  for (size_t pair = 0; pair < num_pairs; ++pair, from += 2 * panel_rows, out += panel_rows) {
    for (size_t lane = 0; lane < panel_rows; lane += hn::Lanes(df)) {
      const auto low = RoundToBf16(hn::LoadU(df, from + lane));
      const auto high = RoundToBf16(hn::LoadU(df, from + panel_rows + lane));
      const auto mask = hn::Set(du, 0xFFFF0000u);
      hn::StoreU(hn::Or(hn::ShiftRight<16>(low), hn::And(high, mask)), du, out + lane);
    }
  }
}

/// As DecodeFloats, [k / 2][16][2] as bf16: four strips at a time by way of floats, so that there
/// need not be two kernels for each kind.
template <class = void>
HWY_NOINLINE void DecodeHalves(FloatDecoder floats, size_t strip_bytes, bool extension,
                               const uint8_t* HWY_RESTRICT strip, size_t num_strips,
                               const detail::codec_info& info, const float* HWY_RESTRICT scales,
                               const float* HWY_RESTRICT shifts, size_t segment_cols, size_t skip,
                               uint32_t* HWY_RESTRICT out) {
  constexpr size_t kAtOnce = 4;
  constexpr bool kMore = HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86_64;
  HWY_ALIGN float values[kAtOnce * strip_cols * panel_rows];
  const auto round = extension ? &RoundPairs<kMore> : &RoundPairs<false>;
  for (size_t s = 0; s < num_strips; s += kAtOnce) {
    const size_t n = HWY_MIN(kAtOnce, num_strips - s);
    const size_t col = skip + s * strip_cols;
    const size_t factor = col / segment_cols * panel_rows;
    floats(strip + s * strip_bytes, n, info, scales + factor, shifts + factor, segment_cols,
           col % segment_cols, values);
    round(values, n * strip_cols / 2, out + s * strip_cols / 2 * panel_rows);
  }
}

/// Blocks first .. first + count of one panel: the floats that scale codes mean.
/// kNegative: with the other sign, as minima are added.
template <class Factor, bool kNegative = false>
HWY_NOINLINE void ReadFactor(const packed_data& w, size_t part, size_t panel, size_t first,
                             size_t count, float* HWY_RESTRICT out) {
  if constexpr (!Factor::stored) {
    for (size_t i = 0; i < count * panel_rows; ++i) out[i] = kNegative ? -1.0f : 1.0f;
  } else {
    using E = typename Factor::code;
    const uint8_t* codes = w.parts[part] + ((panel * w.shape.num_blocks + first) * panel_rows) *
                                               sizeof(typename E::code);
    for (size_t line = 0; line < count * panel_rows * sizeof(typename E::code); line += 64) {
      hwy::Prefetch(codes + count * panel_rows * sizeof(typename E::code) + line);
    }
    ReadElements<E, Packing::kBytes>(codes, count * panel_rows, out, false);
    if constexpr (!Factor::two_level) {
      for (size_t i = 0; kNegative && i < count * panel_rows; ++i) out[i] = -out[i];
    } else {
      const LaneTag df;
      using U = typename Factor::super;
      const size_t every = w.super_every[part / 2];
      const size_t per_row = (w.shape.num_blocks + every - 1) / every;
      const float sign = kNegative ? -1.0f : 1.0f;
      const auto center = hn::Set(df, sign * w.center[part / 2]);
      HWY_ALIGN float super[panel_rows];
      for (size_t b = 0; b < count;) {
        const size_t u = (first + b) / every;
        const size_t end = HWY_MIN(count, (u + 1) * every - first);
        ReadElements<U, Packing::kBytes>(
            w.parts[part + 1] + (panel * per_row + u) * panel_rows * sizeof(typename U::code),
            panel_rows, super, false);
        for (size_t i = 0; kNegative && i < panel_rows; ++i) super[i] = -super[i];
        for (; b < end; ++b) {
          for (size_t lane = 0; lane < panel_rows; lane += hn::Lanes(df)) {
            float* HWY_RESTRICT y = out + b * panel_rows + lane;
            const auto s = hn::Load(df, super + lane);
            const auto level = hn::LoadU(df, y);
            hn::StoreU(Factor::has_center ? MulThenAdd(s, level, center) : hn::Mul(s, level), df,
                       y);
          }
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
