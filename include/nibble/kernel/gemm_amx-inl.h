// SPDX-License-Identifier: Apache-2.0 OR MIT
// The same products by AMX, on CPUs that have it. Decoded scratch lies as tiles want it: 16 quads
// of levels, or 16 pairs of bf16, times 16 rows of w are one B tile of 1 KiB.
//
//   C 16 x 16 += A 16 rows of x, 64 bytes of k each * B 64 bytes of k, 16 rows of w
//
//              B0    B1        tiles 6, 7
//   4, 5  A0   C0    C1        2 x 2: 4 loads for 4 products. A part of k in which 4 panels and 32
//         A1   C2    C3        rows of x fit the first cache (24 + 12 KiB) is done for all rows.
//
// A product takes 16 cycles, whatever its depth, so short segments waste it:
//
//   cycles per 32 x 32 x 32        products   after them, vectors          peak of 2048 op/cycle
//   int8, segments >= 512          32         -                            close
//   int8, segments of 128          32         32                           1/2 .. 1
//   int8, segments of 32           64         64 * (convert, 2 multiply,   1/5 .. 1/4
//                                             add) / 2 ports = 128
//   bf16                           64         -                            close to 1/2
//
// So for blocks of 32, bf16 is about twice as fast as int8 on Sapphire Rapids, which in turn has
// twice the speed of vpdpbusd. (Counted; the machine these kernels were written on has no AMX.)
// Sums of a segment are stored while the next one is multiplied, and then finished as everywhere.
//
// Instructions are written as assembly: no flags, no attributes, and the compiler knows that tile
// loads read memory (GCC moves stores past its own _tile_loadd).
#if defined(NIBBLE_KERNEL_GEMM_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_GEMM_AMX_INL_H_
#undef NIBBLE_KERNEL_GEMM_AMX_INL_H_
#else
#define NIBBLE_KERNEL_GEMM_AMX_INL_H_
#endif

#include <cstring>

#include "nibble/kernel/gemm_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr bool kHasAmx = HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86_64;

/// Rows of x from which a call with levels takes tiles, and those of its tasks do.
inline constexpr size_t kLeastAmxRows = 16;
inline constexpr size_t kLeastAmxTaskRows = 4;

/// Bytes of k in a tile of x, for segments of so many columns (and always 64 for bf16).
constexpr size_t TileDepth(size_t segment_cols) {
  return segment_cols % 64 == 0 || segment_cols > 128 ? 64 : segment_cols % 32 == 0 ? 32 : 16;
}

#if HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86_64

/// What LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

#ifdef NIBBLE_EMULATE_AMX
using Tiles = NIBBLE_EMULATE_AMX;  // a test's, for CPUs without
#else
/// Tile registers of this thread, by number.
struct Tiles {
  static HWY_INLINE void Configure(const TileConfig& config) {
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  static HWY_INLINE void Release() { __asm__ volatile("tilerelease"); }
  template <int kTile>
  static HWY_INLINE void Zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  template <int kTile>
  static HWY_INLINE void Load(const void* from, size_t stride_bytes) {
    __asm__ volatile("{tileloadd (%1,%2,1), %%tmm%c0|tileloadd tmm%c0, [%1+%2*1]}"
                     :
                     : "i"(kTile), "r"(from), "r"(stride_bytes)
                     : "memory");
  }
  template <int kTile>
  static HWY_INLINE void Store(void* to, size_t stride_bytes) {
    __asm__ volatile("{tilestored %%tmm%c0, (%1,%2,1)|tilestored [%1+%2*1], tmm%c0}"
                     :
                     : "i"(kTile), "r"(to), "r"(stride_bytes)
                     : "memory");
  }
  /// kC += kA * kB: int8 times uint8, int8 times int8, bf16 times bf16.
  template <int kC, int kA, int kB>
  static HWY_INLINE void DotUnsigned() {
    __asm__ volatile("{tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0|tdpbsud tmm%c0, tmm%c1, tmm%c2}"
                     :
                     : "i"(kC), "i"(kA), "i"(kB));
  }
  template <int kC, int kA, int kB>
  static HWY_INLINE void DotSigned() {
    __asm__ volatile("{tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0|tdpbssd tmm%c0, tmm%c1, tmm%c2}"
                     :
                     : "i"(kC), "i"(kA), "i"(kB));
  }
  template <int kC, int kA, int kB>
  static HWY_INLINE void DotHalves() {
    __asm__ volatile("{tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0|tdpbf16ps tmm%c0, tmm%c1, tmm%c2}"
                     :
                     : "i"(kC), "i"(kA), "i"(kB));
  }
};
#endif

/// Bytes of k that a part takes: 6 tiles of full depth.
inline constexpr size_t kPartBytes = 384;
inline constexpr size_t kTileBytes = 1024;
/// Bytes from row to row of copied x: an odd number of cache lines, with room to read on.
inline constexpr size_t kCopyStride = kPartBytes + 64;

/// Configures the tiles of this thread for its lifetime, if wanted.
class TileSession {
 public:
  HWY_INLINE TileSession(bool wanted, size_t depth) : wanted_(wanted) {
    if (!wanted) return;
    TileConfig config;
    for (size_t t = 0; t < 8; ++t) {
      const bool is_a = t == 4 || t == 5;
      const bool is_b = t >= 6;
      config.row_bytes[t] = static_cast<uint16_t>(is_a ? depth : 64);
      config.rows[t] = static_cast<uint8_t>(is_b ? depth / 4 : 16);
    }
    Tiles::Configure(config);
  }
  HWY_INLINE ~TileSession() {
    if (wanted_) Tiles::Release();
  }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;

 private:
  bool wanted_;
};

/// 16 rows of x as a tile is loaded from.
struct TileRows {
  const uint8_t* at;
  size_t stride;
};

/// Rows row .. row + n - 1 from byte `offset`: in place if there are 16 evenly spaced ones, else
/// copied, with rows of zeros.
HWY_INLINE TileRows PlaceRows(const void* const* x, size_t n, size_t offset, size_t bytes,
                              uint8_t* HWY_RESTRICT copy) {
  const auto at = [&](size_t m) { return static_cast<const uint8_t*>(x[m]) + offset; };
  const auto address = [&](size_t m) { return reinterpret_cast<uintptr_t>(x[m]); };
  if (n == 16) {
    const uintptr_t stride = address(1) - address(0);
    bool even = true;
    for (size_t m = 2; m < 16; ++m) even = even && address(m) - address(m - 1) == stride;
    if (even) return {at(0), stride};
  }
  for (size_t m = 0; m < 16; ++m) {
    if (m < n) {
      std::memcpy(copy + m * kCopyStride, at(m), bytes);
    } else {
      std::memset(copy + m * kCopyStride, 0, bytes);
    }
  }
  return {copy, kCopyStride};
}

/// Which products of a 2 x 2 block there are, and its place.
struct TileBlock {
  TileRows x[2];
  size_t row;
  size_t rows;  ///< valid ones, at most 32
  size_t column;
  size_t panels;  ///< 1 or 2
};

HWY_INLINE void ZeroSums(const TileBlock& b) {
  Tiles::Zero<0>();
  if (b.panels > 1) Tiles::Zero<1>();
  if (b.rows > 16) {
    Tiles::Zero<2>();
    if (b.panels > 1) Tiles::Zero<3>();
  }
}

/// From or to a matrix of 32-bit sums; its rows are 16 or 32, however few are valid.
HWY_INLINE void LoadSums(const TileBlock& b, const void* from, size_t stride) {
  const uint8_t* const p = static_cast<const uint8_t*>(from);
  Tiles::Load<0>(p, stride);
  if (b.panels > 1) Tiles::Load<1>(p + 64, stride);
  if (b.rows > 16) {
    Tiles::Load<2>(p + 16 * stride, stride);
    if (b.panels > 1) Tiles::Load<3>(p + 16 * stride + 64, stride);
  }
}
HWY_INLINE void StoreSums(const TileBlock& b, void* to, size_t stride) {
  uint8_t* const p = static_cast<uint8_t*>(to);
  Tiles::Store<0>(p, stride);
  if (b.panels > 1) Tiles::Store<1>(p + 64, stride);
  if (b.rows > 16) {
    Tiles::Store<2>(p + 16 * stride, stride);
    if (b.panels > 1) Tiles::Store<3>(p + 16 * stride + 64, stride);
  }
}

enum class TileDot { kUnsigned, kSigned, kHalves };
template <TileDot kDot, int kC, int kA, int kB>
HWY_INLINE void DotTiles() {
  if constexpr (kDot == TileDot::kUnsigned) Tiles::DotUnsigned<kC, kA, kB>();
  if constexpr (kDot == TileDot::kSigned) Tiles::DotSigned<kC, kA, kB>();
  if constexpr (kDot == TileDot::kHalves) Tiles::DotHalves<kC, kA, kB>();
}

/// One step of k: w0 and w1 at their tiles, x from byte `k`.
template <TileDot kDot>
HWY_INLINE void StepTiles(const TileBlock& b, const uint8_t* w0, const uint8_t* w1, size_t k) {
  Tiles::Load<6>(w0, 64);
  Tiles::Load<4>(b.x[0].at + k, b.x[0].stride);
  DotTiles<kDot, 0, 4, 6>();
  if (b.panels > 1) {
    Tiles::Load<7>(w1, 64);
    DotTiles<kDot, 1, 4, 7>();
  }
  if (b.rows > 16) {
    Tiles::Load<5>(b.x[1].at + k, b.x[1].stride);
    DotTiles<kDot, 2, 5, 6>();
    if (b.panels > 1) DotTiles<kDot, 3, 5, 7>();
  }
}

/// Calls fn(block) for all blocks; x from byte `offset`, `bytes` of it.
template <class Fn>
HWY_INLINE void ForEachBlock(const void* const* x, size_t offset, size_t bytes, size_t rows,
                             size_t columns, const Fn& fn) {
  HWY_ALIGN uint8_t copy[2][16 * kCopyStride];
  for (size_t row = 0; row < rows; row += 32) {
    TileBlock b{};
    b.row = row;
    b.rows = HWY_MIN(size_t{32}, rows - row);
    b.x[0] = PlaceRows(x + row, HWY_MIN(size_t{16}, b.rows), offset, bytes, copy[0]);
    if (b.rows > 16) b.x[1] = PlaceRows(x + row + 16, b.rows - 16, offset, bytes, copy[1]);
    for (b.column = 0; b.column < columns; b.column += 2 * panel_rows) {
      b.panels = HWY_MIN(size_t{2}, (columns - b.column) / panel_rows);
      fn(b);
    }
  }
}

/// Finishes segment s of a block. sums: [32][32].
template <bool kFloatShift>
HWY_NOINLINE void FinishBlock(const IntTileArgs& args, const TileBlock& block, size_t s,
                              const int32_t* HWY_RESTRICT sums) {
  const LaneTag df;
  const SumTag di;
  const IntTileArgs a = args;  // stores to c cannot change copies
  const TileBlock b = block;
  const bool has_zero = a.bias != 0 || a.shift == detail::shift_use::zero_int;
  for (size_t p = 0; p < b.panels; ++p) {
    const size_t factor = (b.column / panel_rows + p) * a.factor_stride + s * panel_rows;
    const auto scale = hn::LoadU(df, a.scales + factor);
    auto zero = hn::Set(di, a.bias);
    if (a.shift == detail::shift_use::zero_int) {
      zero = hn::Add(zero, hn::ConvertTo(di, hn::LoadU(df, a.shifts + factor)));
    }
    float* HWY_RESTRICT c = a.c + b.row * kGroupColumns + b.column + p * panel_rows;
    for (size_t m = 0; m < b.rows; ++m, c += kGroupColumns) {
      const int32_t x_sum = has_zero || kFloatShift ? a.x_sum[b.row + m][s] : 0;
      auto sum = hn::Load(di, sums + m * 32 + p * panel_rows);
      if (has_zero) sum = hn::Sub(sum, hn::Mul(zero, hn::Set(di, x_sum)));
      if (HWY_UNLIKELY(a.x_zero != nullptr)) {
        const auto levels = hn::LoadU(di, a.level_sums + factor);
        sum = hn::Sub(sum, hn::Mul(levels, hn::Set(di, a.x_zero[b.row + m])));
      }
      hn::StoreU(FinishSegment<kFloatShift>(sum, scale, a.shifts + factor, a.shift,
                                            a.x_scale[b.row + m][s], x_sum, hn::LoadU(df, c)),
                 df, c);
    }
  }
}

/// A part of a chunk: some whole segments, or some columns of one.
struct TilePart {
  size_t segment;
  size_t num_segments;
  size_t quad;  ///< of the segment
  size_t num_quads;
  bool first;  ///< begins its segment,
  bool last;   ///< ends it; else sums continue in `partial`
};

template <TileDot kDot>
HWY_NOINLINE void IntBlock(const IntTileArgs& a, const TilePart& part, size_t depth,
                           const TileBlock& b) {
  HWY_ALIGN int32_t sums[2][32 * 32];
  HWY_ALIGN uint8_t padded[2][kTileBytes];
  const auto finish =
      a.shift == detail::shift_use::zero_float || a.shift == detail::shift_use::offset
          ? &FinishBlock<true>
          : &FinishBlock<false>;
  int32_t* const partial = a.partial + b.row * kGroupColumns + b.column;
  const size_t step = depth / 4;
  const uint8_t* w =
      a.w + b.column / panel_rows * a.w_stride + (part.segment * a.segment_quads + part.quad) * 64;
  size_t k = 0;
  for (size_t s = 0; s < part.num_segments; ++s) {
    if (part.first) {
      ZeroSums(b);
    } else {
      LoadSums(b, partial, kGroupColumns * 4);
    }
    for (size_t q = 0; q < part.num_quads; q += step) {
      const uint8_t* w0 = w + q * 64;
      const uint8_t* w1 = w0 + (b.panels > 1 ? a.w_stride : 0);
      if (HWY_UNLIKELY(q + step > part.num_quads)) {  // x may have anything where w has zeros
        const size_t bytes = (part.num_quads - q) * 64;
        std::memset(padded, 0, sizeof padded);
        std::memcpy(padded[0], w0, bytes);
        std::memcpy(padded[1], w1, bytes);
        w0 = padded[0];
        w1 = padded[1];
      }
      StepTiles<kDot>(b, w0, w1, k + q * 4);
    }
    if (!part.last) {
      StoreSums(b, partial, kGroupColumns * 4);
      return;
    }
    StoreSums(b, sums[s % 2], 32 * 4);
    if (s != 0) finish(a, b, part.segment + s - 1, sums[(s - 1) % 2]);
    w += a.segment_quads * 64;
    k += a.segment_quads * 4;
  }
  const size_t end = part.num_segments - 1;
  finish(a, b, part.segment + end, sums[end % 2]);
}

/// level - bias as int8, in place: sums need no correction then.
template <class = void>
HWY_NOINLINE void SubtractBias(const IntTileArgs& a, uint8_t* levels, size_t columns) {
  const LevelTag d;
  const auto bias = hn::Set(d, static_cast<uint8_t>(a.bias));
  const size_t bytes = a.num_segments * a.segment_quads * 64;
  for (size_t p = 0; p < columns / panel_rows; ++p) {
    uint8_t* HWY_RESTRICT to = levels + p * a.w_stride;
    for (size_t i = 0; i < bytes; i += hn::Lanes(d)) {
      hn::StoreU(hn::Sub(hn::LoadU(d, to + i), bias), d, to + i);
    }
  }
}

/// All tiles of a chunk on the integer path. `levels`: a.w if it is scratch, else null. Rows of
/// `partial` up to a multiple of 16 are written.
template <class = void>
HWY_NOINLINE void AmxIntTiles(const IntTileArgs& args, uint8_t* levels, size_t depth, size_t rows,
                              size_t columns) {
  IntTileArgs a = args;
  // What is decoded to scratch has levels - bias in -128 .. 127: 7 bits, or a book's.
  const bool is_signed = levels != nullptr && a.bias > 0 && a.bias <= 128 && a.x_zero == nullptr;
  if (is_signed) {
    SubtractBias(a, levels, columns);
    a.bias = 0;
  }
  const auto run = [&](const TilePart& part) HWY_ATTR {
    const size_t quads = part.segment * a.segment_quads + part.quad;
    const size_t bytes = ((part.num_segments - 1) * a.segment_quads + part.num_quads) * 4;
    ForEachBlock(reinterpret_cast<const void* const*>(a.x), quads * 4, bytes, rows, columns,
                 [&](const TileBlock& b) HWY_ATTR {
                   is_signed ? IntBlock<TileDot::kSigned>(a, part, depth, b)
                             : IntBlock<TileDot::kUnsigned>(a, part, depth, b);
                 });
  };
  constexpr size_t kMost = kPartBytes / 4;
  if (a.segment_quads <= kMost) {
    const size_t at_once = kMost / a.segment_quads;
    for (size_t s = 0; s < a.num_segments; s += at_once) {
      run({s, HWY_MIN(at_once, a.num_segments - s), 0, a.segment_quads, a.first, a.last});
    }
  } else {
    const size_t parts = (a.segment_quads + kMost - 1) / kMost;
    const size_t quads = (a.segment_quads + parts * 16 - 1) / (parts * 16) * 16;
    for (size_t s = 0; s < a.num_segments; ++s) {
      for (size_t q = 0; q < a.segment_quads; q += quads) {
        const size_t end = HWY_MIN(q + quads, a.segment_quads);
        run({s, 1, q, end - q, a.first && q == 0, a.last && end == a.segment_quads});
      }
    }
  }
  const bool has_zero = a.kept && (a.bias != 0 || a.shift == detail::shift_use::zero_int);
  if (a.last || (a.x_zero == nullptr && !has_zero)) return;
  // Sums of levels are those of this chunk; sums of x those of the segment.
  const LaneTag df;
  const SumTag di;
  for (size_t column = 0; column < columns; column += panel_rows) {
    const size_t factor = column / panel_rows * a.factor_stride;
    auto zero = hn::Set(di, a.bias);
    if (a.shift == detail::shift_use::zero_int) {
      zero = hn::Add(zero, hn::ConvertTo(di, hn::LoadU(df, a.shifts + factor)));
    }
    for (size_t m = 0; m < rows; ++m) {
      int32_t* HWY_RESTRICT p = a.partial + m * kGroupColumns + column;
      auto sum = hn::LoadU(di, p);
      if (has_zero) sum = hn::Sub(sum, hn::Mul(zero, hn::Set(di, a.x_sum[m][0])));
      if (a.x_zero != nullptr) {
        const auto level_sum = hn::LoadU(di, a.level_sums + factor);
        sum = hn::Sub(sum, hn::Mul(level_sum, hn::Set(di, a.x_zero[m])));
      }
      hn::StoreU(sum, di, p);
    }
  }
}

/// All tiles of a chunk of bf16. Rows of c up to a multiple of 16 are written.
template <class = void>
HWY_NOINLINE void AmxHalfTiles(const FloatTileArgs& a, size_t rows, size_t columns) {
  constexpr size_t kMost = kPartBytes / 4;
  const size_t parts = (a.num_steps + kMost - 1) / kMost;
  const size_t pairs = parts == 0 ? 16 : (a.num_steps + parts * 16 - 1) / (parts * 16) * 16;
  for (size_t first = 0; first < a.num_steps; first += pairs) {
    const size_t end = HWY_MIN(first + pairs, a.num_steps);
    ForEachBlock(a.x, first * 4, (end - first) * 4, rows, columns,
                 [&](const TileBlock& b) HWY_ATTR {
                   float* const c = a.c + b.row * kGroupColumns + b.column;
                   const uint8_t* const w0 =
                       static_cast<const uint8_t*>(a.w) + b.column / panel_rows * a.w_stride;
                   const uint8_t* const w1 = w0 + (b.panels > 1 ? a.w_stride : 0);
                   LoadSums(b, c, kGroupColumns * 4);
                   for (size_t q = first; q < end; q += 16) {
                     StepTiles<TileDot::kHalves>(b, w0 + q * 64, w1 + q * 64, (q - first) * 4);
                   }
                   StoreSums(b, c, kGroupColumns * 4);
                 });
  }
}

#else  // no such CPU has this target

class TileSession {
 public:
  TileSession(bool /*wanted*/, size_t /*depth*/) {}
};
template <class = void>
void AmxIntTiles(const IntTileArgs&, uint8_t*, size_t, size_t, size_t) {}
template <class = void>
void AmxHalfTiles(const FloatTileArgs&, size_t, size_t) {}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
