// SPDX-License-Identifier: Apache-2.0 OR MIT
// The formats that nibble_roofline multiplies by: f32, and all of the catalogue or those that
// NIBBLE_ROOFLINE_FORMATS names, for a build in seconds.
#include "nibble/gemm.h"
#include "nibble/quantize.h"
#include "roofline/our_weights.h"

namespace bench {

namespace {

template <nibble::format F>
class our_weights_in : public our_weights {
 public:
  bool prepare(nibble::matrix_view<const float> w, nibble::matrix_view<float> back,
               std::size_t cache_bytes) override {
    const auto q = nibble::quantize<F>(w);
    if (!q) return false;
    if (nibble::dequantize<F>(*q, back) != nibble::errc::ok) return false;
    bytes_ = nibble::storage_bytes<F>(w.rows, w.cols);
    const std::size_t count = cache_bytes / bytes_ + 1;
    nibble::context with;
    for (std::size_t i = 0; i < count; ++i) {
      auto packed = nibble::pack<F>(q.value().view(), with);
      if (!packed) return false;
      copies_.push_back(std::move(packed).value());
    }
    return true;
  }
  [[nodiscard]] std::size_t weight_bytes() const override { return bytes_; }
  [[nodiscard]] std::size_t num_copies() const override { return copies_.size(); }
  [[nodiscard]] std::size_t scale_cols() const override {
    return copies_[0].data().shape.segment_cols;
  }
  [[nodiscard]] bool supports(nibble::compute_path path) const override {
    return nibble::supports<F>(path);
  }
  [[nodiscard]] nibble::call_plan explain(nibble::matrix_view<const float> x,
                                          const nibble::context& with,
                                          const nibble::gemm_options& options) const override {
    return nibble::explain<F>(copies_[0], x, with, options);
  }
  bool run(nibble::matrix_view<const float> x, nibble::matrix_view<float> y, nibble::context& with,
           const nibble::gemm_options& options) override {
    next_ = (next_ + 1) % copies_.size();
    return nibble::gemm<F>(copies_[next_], x, y, with, {}, options) == nibble::errc::ok;
  }

 private:
  std::vector<nibble::packed_matrix<F>> copies_;
  std::size_t bytes_ = 0;
  std::size_t next_ = 0;
};

#ifdef NIBBLE_ROOFLINE_FORMATS
using namespace nibble;
using formats = nibble::type_list<NIBBLE_ROOFLINE_FORMATS>;
#else
using formats = nibble::all_formats;
#endif

template <class... F>
std::vector<our_format> list(nibble::type_list<F...>) {
  constexpr std::size_t side = 4096;
  return {
      {F::name, 8.0 * static_cast<double>(nibble::storage_bytes<F>(side, side)) / (side * side),
       []() -> std::unique_ptr<our_weights> { return std::make_unique<our_weights_in<F>>(); }}...};
}

}  // namespace

std::vector<our_format> our_formats() {
  std::vector<our_format> all = list(nibble::type_list<nibble::f32>{});
  for (our_format& f : list(formats{})) {
    if (f.name != nibble::f32::name) all.push_back(f);
  }
  return all;
}

}  // namespace bench
