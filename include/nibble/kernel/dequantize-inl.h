// SPDX-License-Identifier: Apache-2.0 OR MIT
// Reading quantized rows: codes and scales to floats, for every format by the same loops.
//
// A row is read in runs of at most kRun blocks. The scales of a run are read first (by the same
// functions, one level down) into a buffer of floats; then 16 codes at a time become values:
//
//   load_codes -> DecodeChunk -> value = scale * level (+ shift) -> store
//
// Per 64 bytes of output on AVX-512: 1 load of 16 codes, 0-4 operations to part them, 2-4 to
// decode, 1-2 to scale, 1 store. Bound by the store for arrays in memory: those are written past
// the caches, which spares reading the lines first.
#if defined(NIBBLE_KERNEL_DEQUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_DEQUANTIZE_INL_H_
#undef NIBBLE_KERNEL_DEQUANTIZE_INL_H_
#else
#define NIBBLE_KERNEL_DEQUANTIZE_INL_H_
#endif

#include <utility>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "nibble/format/quantize_args.h"
#include "nibble/kernel/arith-inl.h"
#include "nibble/kernel/chunk-inl.h"
#include "nibble/kernel/element-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::CappedTag<float, chunk_size>;
using ConstSections = const basic_section<const uint8_t>*;

/// Blocks whose scales are buffered at a time.
inline constexpr size_t kRun = 64;

/// Where section codes are one per byte even if they are narrower (the unpacked scales of a wire
/// record), or packed as storage.h says.
enum class Packing { kPacked, kBytes };

/// Are the codes of a matrix in format F narrower than a byte?
template <class F>
constexpr bool SubByte() {
  if constexpr (element<F>) {
    return F::bits < 8;
  } else {
    return F::element::bits < 8;
  }
}
template <class F>
inline constexpr bool kSubByte = SubByte<F>();

template <class E, Packing kPacking>
HWY_INLINE const uint8_t* CodeAddress(ConstSections s, size_t r, size_t c) {
  const uint8_t* row = s->data + r * s->stride;
  if constexpr (E::bits >= 8 || kPacking == Packing::kBytes) {
    return row + c * sizeof(typename E::code);
  } else {
    HWY_DASSERT(c % chunk_size == 0);
    return row + c / chunk_size * planar_layout<E::bits>::block_bytes;
  }
}

/// `count` codes at p, at most 16.
template <class E, Packing kPacking>
HWY_INLINE Chunk LoadChunk(const uint8_t* HWY_RESTRICT p, size_t count) {
  if constexpr (E::bits == 8 || kPacking == Packing::kBytes) {
    return count == chunk_size ? hn::LoadU(ChunkTag(), p) : hn::LoadN(ChunkTag(), p, count);
  } else {
    return LoadPlanar<E::bits>(p);
  }
}

/// The value of a code: detail::value_of for vectors.
template <shift_kind kShift, class V>
HWY_INLINE V ValueOf(V level, V scale, V shift) {
  if constexpr (kShift == shift_kind::none) {
    return hn::Mul(scale, level);
  } else if constexpr (kShift == shift_kind::zero) {
    return hn::Mul(hn::Sub(level, shift), scale);
  } else if constexpr (kShift == shift_kind::minimum) {
    return MulThenSub(scale, level, shift);
  } else {
    return MulThenAdd(scale, level, shift);
  }
}

/// Stores a part of a chunk of which `count` values are wanted, part_first of them before this
/// part.
template <class DF>
HWY_INLINE void StorePart(DF df, hn::Vec<DF> v, size_t part_first, size_t count, float* y,
                          bool stream) {
  if (HWY_LIKELY(count == chunk_size)) {
    if (stream) {
      hn::Stream(v, df, y + part_first);
    } else {
      hn::StoreU(v, df, y + part_first);
    }
  } else if (part_first < count) {
    hn::StoreN(v, df, y + part_first, count - part_first);
  }
}

/// n codes at `codes` as values. Value i has scale and shift number (first + i) / length.
template <class E, shift_kind kShift, Packing kPacking>
HWY_NOINLINE void ExpandRow(const uint8_t* HWY_RESTRICT codes, const float* HWY_RESTRICT scales,
                            const float* HWY_RESTRICT shifts, size_t length, size_t first, size_t n,
                            float* HWY_RESTRICT y, bool stream) {
  const FloatTag df;
  constexpr size_t kChunkBytes =
      E::bits == 8 || kPacking == Packing::kBytes ? chunk_size : 2 * static_cast<size_t>(E::bits);
  const bool whole_chunks = first % chunk_size == 0 && length % chunk_size == 0;
  if (HWY_LIKELY(whole_chunks || first + n <= length)) {
    size_t left = length - first;  // in this block
    for (size_t i = 0; i < n;) {
      const auto scale = hn::Set(df, *scales++);
      const auto shift = kShift == shift_kind::none ? hn::Zero(df) : hn::Set(df, *shifts++);
      const size_t end = left < n - i ? i + left : n;
      for (; i < end; i += chunk_size, codes += kChunkBytes) {
        const size_t count = HWY_MIN(n - i, chunk_size);
        DecodeChunk<E>(df, LoadChunk<E, kPacking>(codes, count),
                       [&](size_t p, auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
                         StorePart(df, ValueOf<kShift>(v, scale, shift), p, count, y + i, stream);
                       });
      }
      left = length;
    }
  } else {
    // Blocks end inside chunks: every lane has a scale of its own.
    HWY_ALIGN float lane_scale[chunk_size] = {};
    HWY_ALIGN float lane_shift[chunk_size] = {};
    for (size_t i = 0; i < n; i += chunk_size, codes += kChunkBytes) {
      const size_t count = HWY_MIN(n - i, chunk_size);
      for (size_t j = 0; j < count; ++j) {
        const size_t b = (first + i + j) / length;
        lane_scale[j] = scales[b];
        if (kShift != shift_kind::none) lane_shift[j] = shifts[b];
      }
      DecodeChunk<E>(df, LoadChunk<E, kPacking>(codes, count),
                     [&](size_t p, auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
                       const auto value = ValueOf<kShift>(v, hn::Load(df, lane_scale + p),
                                                          hn::Load(df, lane_shift + p));
                       StorePart(df, value, p, count, y + i, stream);
                     });
    }
  }
}

/// n codes of a plain element as values.
template <class E, Packing kPacking>
HWY_NOINLINE void ReadElements(const uint8_t* HWY_RESTRICT codes, size_t n, float* HWY_RESTRICT y,
                               bool stream) {
  const FloatTag df;
  if constexpr (sizeof(typename E::code) == 1) {
    constexpr size_t kChunkBytes =
        E::bits == 8 || kPacking == Packing::kBytes ? chunk_size : 2 * static_cast<size_t>(E::bits);
    for (size_t i = 0; i < n; i += chunk_size, codes += kChunkBytes) {
      const size_t count = HWY_MIN(n - i, chunk_size);
      DecodeChunk<E>(df, LoadChunk<E, kPacking>(codes, count),
                     [&](size_t p, auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
                       StorePart(df, v, p, count, y + i, stream);
                     });
    }
  } else {
    using Code = typename E::code;
    const hn::Rebind<Code, FloatTag> dc;
    const size_t N = hn::Lanes(df);
    const hn::Repartition<uint8_t, decltype(dc)> du8;
    size_t i = 0;
#if HWY_ARCH_ARM
    // A loop costs more than its 3 instructions per vector: scales of products are read here.
    for (; !stream && i + 4 * N <= n; i += 4 * N) {
      for (size_t j = 0; j < 4; ++j, codes += N * sizeof(Code)) {
        const auto c = hn::BitCast(dc, hn::LoadU(du8, codes));
        hn::StoreU(DecodeWideVector<E>(df, c), df, y + i + j * N);
      }
    }
#endif
    for (; i + N <= n; i += N, codes += N * sizeof(Code)) {
      const auto c = hn::BitCast(dc, hn::LoadU(du8, codes));
      const auto v = DecodeWideVector<E>(df, c);
      if (stream) {
        hn::Stream(v, df, y + i);
      } else {
        hn::StoreU(v, df, y + i);
      }
    }
    if (i < n) {
      const auto c = hn::BitCast(dc, hn::LoadN(du8, codes, (n - i) * sizeof(Code)));
      hn::StoreN(DecodeWideVector<E>(df, c), df, y + i, n - i);
    }
  }
}

/// Values (r, c0 .. c0 + n) of a matrix with `cols` columns in format F. Where codes are packed, c0
/// is a multiple of 16.
template <class F, Packing kPacking>
HWY_INLINE void ReadRow(ConstSections s, size_t cols, size_t r, size_t c0, size_t n,
                        float* HWY_RESTRICT y, bool stream) {
  if constexpr (element<F>) {
    ReadElements<F, kPacking>(CodeAddress<F, kPacking>(s, r, c0), n, y, stream);
  } else {
    using E = typename F::element;
    using S = typename F::scale_format;
    using Z = typename F::shift_format;
    if (F::shape.flat) {
      c0 += r * cols;
      r = 0;
    }
    // Grid of scales: how wide it is matters only below a flat level, where it has one row.
    const size_t grid_cols = F::shape.flat ? 0 : extent::ceil_div(cols, F::shape.cols);
    const size_t grid_row = F::shape.rows == all ? 0 : r / F::shape.rows;
    constexpr size_t kLength = F::shape.cols;
    HWY_ALIGN float scales[kRun + chunk_size];
    HWY_ALIGN float shifts[kRun + chunk_size];
    for (size_t done = 0; done < n;) {
      const size_t at = c0 + done;
      const size_t block = kLength == all ? 0 : at / kLength;
      const size_t end = kLength == all ? c0 + n : HWY_MIN(c0 + n, (block + kRun) * kLength);
      const size_t count = end - at;
      const size_t num_blocks = kLength == all ? 1 : (end - 1) / kLength + 1 - block;
      // A chunk of packed scale codes starts at a multiple of 16 blocks.
      constexpr bool kAlign = kPacking == Packing::kPacked && kSubByte<S>;
      const size_t skip = kAlign ? block % chunk_size : 0;
      const size_t want = num_blocks + skip;
      ReadRow<S, kPacking>(s + 1, grid_cols, grid_row, block - skip, want, scales, false);
      if constexpr (F::has_shift) {
        ConstSections z = s + 1 + num_sections<S>;
        if constexpr (F::shift_shape == F::shape) {
          constexpr bool kAlignZ = kPacking == Packing::kPacked && kSubByte<Z>;
          const size_t skip_z = kAlignZ ? block % chunk_size : 0;
          ReadRow<Z, kPacking>(z, grid_cols, grid_row, block - skip_z, num_blocks + skip_z, shifts,
                               false);
          if (skip_z != 0) {
            for (size_t i = 0; i < num_blocks; ++i) shifts[i] = shifts[i + skip_z];
          }
        } else {
          static_assert(F::shift_shape == whole_tensor,
                        "nibble: a shift of its own extent is per tensor");
          float center;
          ReadRow<Z, kPacking>(z, 1, 0, 0, 1, &center, false);
          for (size_t i = 0; i < num_blocks; ++i) shifts[i] = center;
        }
      }
      ExpandRow<E, F::shift_type::kind, kPacking>(
          CodeAddress<E, kPacking>(s, r, at), scales + skip, F::has_shift ? shifts : nullptr,
          kLength, kLength == all ? 0 : at % kLength, count, y + done, stream);
      done += count;
    }
  }
}

// --- wire records ----------------------------------------------------------

/// Codes of the sections behind section 0, one array per section, one code per byte or wider.
template <class F>
struct WireScales {
  using M = typename F::meaning;
  static constexpr size_t kSections = num_sections<M>;
  static constexpr size_t kBlocks = F::block_values / M::shape.cols;  // per record
  /// Records whose scales are buffered at a time.
  static constexpr size_t kRecords = kBlocks >= kRun ? 1 : kRun / kBlocks;
  /// Bytes for one section: kRecords * kBlocks codes at most, 4 bytes each at most, and slack.
  static constexpr size_t kBytes = kRecords * kBlocks * 4 + chunk_size;
};

template <class F, class Element, size_t kSection, size_t kCount, size_t kFirst = 0>
HWY_INLINE void UnpackSection(const uint8_t* HWY_RESTRICT record, uint8_t* HWY_RESTRICT out) {
  if constexpr (kCount == 1) {
    // Whole bytes in a row: copied.
    constexpr bit_field f = F::layout::locate(kSection, 0);
    static_assert(f == byte_field(f.pieces[0].byte, sizeof(typename Element::code)),
                  "nibble: a single scale of a record must be whole bytes");
    std::memcpy(out, record + f.pieces[0].byte, sizeof(typename Element::code));
  } else if constexpr (kFirst < kCount) {
    static_assert(sizeof(typename Element::code) == 1);
    constexpr size_t kNow = kCount - kFirst < chunk_size ? kCount - kFirst : chunk_size;
    hn::StoreU(LoadCodes<typename F::layout, kSection, kFirst, kNow>(record), ChunkTag(),
               out + kFirst);
    UnpackSection<F, Element, kSection, kCount, kFirst + chunk_size>(record, out);
  }
}

/// Calls fn.operator()<E, section, count>() for the sections of format S over a row of kCols
/// scales.
template <class S, size_t kSection, size_t kCols, class Fn>
HWY_INLINE void ForEachScalePart(Fn&& fn) {
  if constexpr (!std::is_void_v<S>) {
    if constexpr (element<S>) {
      fn.template operator()<S, kSection, kCols>();
    } else {
      fn.template operator()<typename S::element, kSection, kCols>();
      constexpr size_t kGrid = extent::ceil_div(kCols, S::shape.cols);
      ForEachScalePart<typename S::scale_format, kSection + 1, kGrid>(fn);
      static_assert(!S::has_shift, "nibble: scales of a wire record have no shift");
    }
  }
}

/// Values of one record, `count` of them wanted.
template <class F, size_t... kChunk>
HWY_INLINE void ExpandRecord(const uint8_t* HWY_RESTRICT record, const float* HWY_RESTRICT scales,
                             const float* HWY_RESTRICT shifts, size_t count, float* HWY_RESTRICT y,
                             bool stream, std::index_sequence<kChunk...>) {
  using M = typename F::meaning;
  constexpr shift_kind kShift = M::shift_type::kind;
  constexpr size_t kLength = M::shape.cols;
  static_assert(kLength % chunk_size == 0, "nibble: blocks of a wire record are multiples of 16");
  const FloatTag df;
  const auto put = [&](size_t c, Chunk codes) HWY_ATTR NIBBLE_INLINE_LAMBDA {
    const size_t first = c * chunk_size;
    if (first >= count) return;
    const size_t wanted = HWY_MIN(count - first, chunk_size);
    const auto scale = hn::Set(df, scales[first / kLength]);
    const auto shift =
        kShift == shift_kind::none ? hn::Zero(df) : hn::Set(df, shifts[first / kLength]);
    DecodeChunk<typename M::element>(
        df, codes, [&](size_t p, auto v) HWY_ATTR NIBBLE_INLINE_LAMBDA {
          StorePart(df, ValueOf<kShift>(v, scale, shift), p, wanted, y + first, stream);
        });
  };
  (put(kChunk, LoadCodes<typename F::layout, 0, kChunk * chunk_size>(record)), ...);
}

/// n values from the start of a row of records.
template <class F>
HWY_NOINLINE void ReadWireRow(const uint8_t* HWY_RESTRICT row, size_t n, float* HWY_RESTRICT y,
                              bool stream) {
  using M = typename F::meaning;
  using S = typename M::scale_format;
  using Z = typename M::shift_format;
  using W = WireScales<F>;
  HWY_ALIGN uint8_t unpacked[W::kSections][W::kBytes];
  basic_section<const uint8_t> parts[W::kSections];
  for (size_t s = 0; s < W::kSections; ++s) parts[s] = {unpacked[s], 0};
  HWY_ALIGN float scales[W::kRecords * W::kBlocks + chunk_size];
  HWY_ALIGN float shifts[W::kRecords * W::kBlocks + chunk_size];

  const size_t num_records = extent::ceil_div(n, F::block_values);
  for (size_t first = 0; first < num_records; first += W::kRecords) {
    const size_t records = HWY_MIN(num_records - first, W::kRecords);
    const size_t blocks = records * W::kBlocks;
    const uint8_t* HWY_RESTRICT record = row + first * F::block_bytes;
    for (size_t i = 0; i < records; ++i) {
      const auto unpack = [&]<class E, size_t kSection, size_t kCount>()
                              HWY_ATTR NIBBLE_INLINE_LAMBDA {
                                UnpackSection<F, E, kSection, kCount>(
                                    record + i * F::block_bytes,
                                    unpacked[kSection] + i * kCount * sizeof(typename E::code));
                              };
      ForEachScalePart<S, 1, W::kBlocks>(unpack);
      ForEachScalePart<Z, 1 + num_sections<S>, W::kBlocks>(unpack);
    }
    ReadRow<S, Packing::kBytes>(parts + 1, blocks, 0, 0, blocks, scales, false);
    if constexpr (M::has_shift) {
      ReadRow<Z, Packing::kBytes>(parts + 1 + num_sections<S>, blocks, 0, 0, blocks, shifts, false);
    }
    for (size_t i = 0; i < records; ++i) {
      const size_t at = (first + i) * F::block_values;
      // The same record of the next batch: reading its scales is then no burst of misses between
      // bursts of stores. q8_0 in memory: 0.71 of a streaming write without, 0.95 with.
      for (size_t line = 0; line < F::block_bytes; line += 64) {
        hwy::Prefetch(record + (i + W::kRecords) * F::block_bytes + line);
      }
      ExpandRecord<F>(record + i * F::block_bytes, scales + i * W::kBlocks, shifts + i * W::kBlocks,
                      HWY_MIN(n - at, F::block_values), y + at, stream,
                      std::make_index_sequence<F::block_values / chunk_size>());
    }
  }
}

/// Outputs of at least this many bytes are written past the caches.
inline constexpr size_t kStreamBytes = size_t{8} << 20;

template <class F>
HWY_NOINLINE void DequantizeKernel(const detail::dequantize_args& a) {
  const size_t vector_bytes = hn::Lanes(FloatTag()) * sizeof(float);
  const bool big = a.rows * a.cols >= kStreamBytes / sizeof(float);
  for (size_t r = 0; r < a.rows && a.cols != 0; ++r) {
    float* HWY_RESTRICT y = a.y + r * a.stride;
    const bool stream = big && reinterpret_cast<uintptr_t>(y) % vector_bytes == 0;
    const size_t row = a.ids == nullptr ? a.first + r : size_t{a.ids[r]};
    if constexpr (wire_format<F>) {
      ReadWireRow<F>(a.sections[0].data + row * a.sections[0].stride, a.cols, y, stream);
    } else {
      ReadRow<F, Packing::kPacked>(a.sections, a.cols, row, 0, a.cols, y, stream);
    }
  }
  if (big) hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
