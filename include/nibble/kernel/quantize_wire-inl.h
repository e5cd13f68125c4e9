// SPDX-License-Identifier: Apache-2.0 OR MIT
// Quantizing to wire records: as their meaning and packed, or by the search of the original.
#if defined(NIBBLE_KERNEL_QUANTIZE_WIRE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NIBBLE_KERNEL_QUANTIZE_WIRE_INL_H_
#undef NIBBLE_KERNEL_QUANTIZE_WIRE_INL_H_
#else
#define NIBBLE_KERNEL_QUANTIZE_WIRE_INL_H_
#endif

#include "hwy/highway.h"
#include "nibble/kernel/gguf_search-inl.h"
#include "nibble/kernel/quantize_region-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nibble {
inline namespace NIBBLE_ABI {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// --- wire records ----------------------------------------------------------

/// Packs one section of a record from an array that holds one code per byte, or a wider one.
template <class F, size_t kSection, size_t kCount, class Element>
HWY_INLINE void PackSection(const uint8_t* HWY_RESTRICT codes, uint8_t* HWY_RESTRICT record) {
  if constexpr (kCount == 1) {
    std::memcpy(record + F::layout::locate(kSection, 0).pieces[0].byte, codes,
                sizeof(typename Element::code));
  } else {
    StoreSection<typename F::layout, kSection, kCount>(codes, record);
  }
}

/// Buffers for the sections of the records that are quantized at a time.
template <class F>
struct WireBuffers {
  static constexpr size_t kRecords =
      HWY_MAX(size_t{1}, HWY_MIN(WireScales<F>::kRecords, 1024 / F::block_values));
  HWY_ALIGN uint8_t codes[kRecords * F::block_values + chunk_size];
  HWY_ALIGN uint8_t scales[WireScales<F>::kSections][WireScales<F>::kBytes];
  basic_section<uint8_t> parts[WireScales<F>::kSections];
  HWY_ALIGN float scratch[detail::region_floats<typename F::meaning>(1, kRecords* F::block_values)];

  HWY_INLINE WireBuffers() {
    for (size_t s = 0; s < WireScales<F>::kSections; ++s) parts[s] = {scales[s], 0};
    parts[0].data = codes;
  }
};

/// Writes `count` records from the buffers.
template <class F>
HWY_INLINE void PackRecords(const WireBuffers<F>& b, size_t count, const float* computed,
                            uint8_t* HWY_RESTRICT record) {
  using M = typename F::meaning;
  using W = WireScales<F>;
  for (size_t i = 0; i < count; ++i, record += F::block_bytes) {
    const uint8_t* codes = b.codes + i * F::block_values;
    std::memset(record, 0, F::block_bytes);
    PackSection<F, 0, F::block_values, typename M::element>(codes, record);
    const auto pack = [&]<class E, size_t kSection, size_t kCount>() HWY_ATTR NIBBLE_INLINE_LAMBDA {
      PackSection<F, kSection, kCount, E>(
          b.scales[kSection] + i * kCount * sizeof(typename E::code), record);
    };
    ForEachScalePart<typename M::scale_format, 1, W::kBlocks>(pack);
    ForEachScalePart<typename M::shift_format, 1 + num_sections<typename M::scale_format>,
                     W::kBlocks>(pack);
    if constexpr (requires { F::layout::finish(record, codes, computed); }) {
      F::layout::finish(record, codes, computed + i * W::kBlocks);
    }
  }
}

/// Where a searched block holds the codes of a section of its record: detail::search_field in
/// bytes.
template <class F, size_t kSection, class Block>
HWY_INLINE const uint8_t* SearchedSection(const Block& b) {
  constexpr bool kTwoLevels = block_format<typename F::meaning::scale_format>;
  if constexpr (kSection == 0) {
    return b.codes;
  } else if constexpr (kTwoLevels && kSection == 1) {
    return b.scales;
  } else if constexpr (kTwoLevels && kSection == 3) {
    return b.mins;
  } else if constexpr (kSection == (kTwoLevels ? 2 : 1)) {
    return reinterpret_cast<const uint8_t*>(&b.d);
  } else {
    return reinterpret_cast<const uint8_t*>(&b.dmin);
  }
}

/// Quantizes a matrix by the search of the format's original, as many records at a time as fill all
/// lanes: from any rows, or from one row where its importance counts.
template <class F, class Search>
HWY_NOINLINE void QuantizeBySearch(const detail::quantize_args& a, const float* importance) {
  using M = typename F::meaning;
  using W = WireScales<F>;
  constexpr size_t kBatch = kSearchBatch<Search>;
  constexpr size_t kValues = F::block_values;
  HWY_ALIGN float x[kBatch * kValues];
  HWY_ALIGN float weights[kBatch * kValues];
  typename Search::block blocks[kBatch];
  uint8_t* records[kBatch];
  size_t filled = 0;
  for (size_t r = 0; r < a.rows; ++r) {
    const float* HWY_RESTRICT row = a.x + r * a.stride;
    const float mean_square = importance != nullptr ? detail::row_mean_square(row, a.cols) : 0.0f;
    for (size_t c = 0; c < a.cols; c += kValues) {
      const size_t count = HWY_MIN(a.cols - c, kValues);
      float* HWY_RESTRICT to = x + filled * kValues;
      std::memcpy(to, row + c, count * sizeof(float));
      std::memset(to + count, 0, (kValues - count) * sizeof(float));
      if (HWY_UNLIKELY(LargestBits({to, kValues, 1, kValues, nullptr}) >= detail::f32_inf)) {
        if (a.report != nullptr) ++a.report->non_finite;
        for (size_t i = 0; i < kValues; ++i) to[i] = detail::is_finite(to[i]) ? to[i] : 0.0f;
      }
      if (importance != nullptr) {
        float* HWY_RESTRICT w = weights + filled * kValues;
        std::memcpy(w, importance + c, count * sizeof(float));
        std::memset(w + count, 0, (kValues - count) * sizeof(float));
      }
      records[filled++] = a.sections->data + r * a.sections->stride + c / kValues * F::block_bytes;

      const bool row_ends = c + kValues >= a.cols;
      const bool last = row_ends && (importance != nullptr || r + 1 == a.rows);
      if (filled < kBatch && !last) continue;
      FitBlocks<Search>(x, filled, filled, importance != nullptr ? weights : nullptr, &mean_square,
                        blocks, a.report);
      for (size_t i = 0; i < filled; ++i) {
        std::memset(records[i], 0, F::block_bytes);
        const auto pack = [&]<class E, size_t kSection, size_t kCount>() HWY_ATTR {
          PackSection<F, kSection, kCount, E>(SearchedSection<F, kSection>(blocks[i]), records[i]);
        };
        pack.template operator()<typename M::element, 0, kValues>();
        ForEachScalePart<typename M::scale_format, 1, W::kBlocks>(pack);
        ForEachScalePart<typename M::shift_format, 1 + num_sections<typename M::scale_format>,
                         W::kBlocks>(pack);
      }
      filled = 0;
    }
  }
}

/// Quantizes a row of records as their meaning, some at a time, and packs them.
template <class F, class Rule>
HWY_NOINLINE void QuantizeWireRow(const float* HWY_RESTRICT x, size_t n, const float* importance,
                                  const quantize_options& o, quantize_report* report,
                                  uint8_t* HWY_RESTRICT row) {
  using M = typename F::meaning;
  WireBuffers<F> b;
  constexpr size_t kValues = F::block_values;
  HWY_ALIGN float rest[kValues];
  HWY_ALIGN float rest_importance[kValues];
  for (size_t i = 0; i < n;) {
    // Whole records, then a padded rest.
    size_t records = HWY_MIN((n - i) / kValues, WireBuffers<F>::kRecords);
    const float* from = x + i;
    const float* weights = importance != nullptr ? importance + i : nullptr;
    if (records == 0) {
      records = 1;
      for (size_t j = 0; j < kValues; ++j) {
        rest[j] = i + j < n ? x[i + j] : 0.0f;
        rest_importance[j] = importance != nullptr && i + j < n ? importance[i + j] : 0.0f;
      }
      from = rest;
      if (importance != nullptr) weights = rest_importance;
    }
    const size_t count = records * kValues;
    const float* computed = QuantizeRegion<M, Rule, Packing::kBytes>(
        {from, count, 1, count, weights}, b.parts, o, RegionScratch{b.scratch}, report);
    PackRecords<F>(b, records, computed, row);
    row += records * F::block_bytes;
    i += HWY_MIN(count, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace NIBBLE_ABI
}  // namespace nibble
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
