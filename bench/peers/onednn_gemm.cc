// SPDX-License-Identifier: Apache-2.0 OR MIT
// oneDNN as a peer: f32 and bf16; int8 per channel on activations quantized per call, with one
// scale for all rows; and 4-bit weights in groups, which it decompresses itself ("weights only").
//
// Its packed layouts depend on m: weights are reordered again for each m.
#include <dnnl.h>
#include <omp.h>

#include <cmath>

#include "peers/integer_weights.h"
#include "peers/peer.h"

namespace bench {

namespace {

// Handles of the C interface, which needs no exceptions.
template <class Handle, dnnl_status_t (*Destroy)(Handle)>
class handle {
 public:
  handle() = default;
  handle(handle&& other) noexcept : value_(other.value_) { other.value_ = nullptr; }
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;
  ~handle() { reset(); }
  void reset() {
    if (value_ != nullptr) static_cast<void>(Destroy(value_));
    value_ = nullptr;
  }
  [[nodiscard]] Handle get() const { return value_; }
  Handle* put() {
    reset();
    return &value_;
  }

 private:
  Handle value_ = nullptr;
};

using memory_desc = handle<dnnl_memory_desc_t, dnnl_memory_desc_destroy>;
using memory = handle<dnnl_memory_t, dnnl_memory_destroy>;
using primitive = handle<dnnl_primitive_t, dnnl_primitive_destroy>;
using primitive_desc = handle<dnnl_primitive_desc_t, dnnl_primitive_desc_destroy>;
using attributes = handle<dnnl_primitive_attr_t, dnnl_primitive_attr_destroy>;

bool ok(dnnl_status_t status) { return status == dnnl_success; }

class onednn_peer : public peer {
 public:
  onednn_peer() {
    static_cast<void>(dnnl_engine_create(&engine_, dnnl_cpu, 0));
    static_cast<void>(dnnl_stream_create(&stream_, engine_, dnnl_stream_default_flags));
  }
  ~onednn_peer() override {
    release();
    static_cast<void>(dnnl_stream_destroy(stream_));
    static_cast<void>(dnnl_engine_destroy(engine_));
  }

  [[nodiscard]] std::string_view name() const override { return "oneDNN"; }

  bool prepare(std::string_view format, std::size_t n, std::size_t k, const float* w,
               std::size_t num_copies) override {
    release();
    n_ = n;
    k_ = k;
    num_copies_ = num_copies;
    if (format == "f32") {
      kind_ = kind::f32;
      plain_.assign(w, w + n * k);
    } else if (format == "bf16") {
      kind_ = kind::bf16;
      bf16_.resize(n * k);
      std::transform(w, w + n * k, bf16_.begin(), to_bf16);
    } else if (format == "int8_channel") {
      kind_ = kind::int8;
      if (!q_.quantize(format, n, k, w)) return false;
    } else if (format.starts_with("int4_g")) {
      kind_ = kind::int4;
      if (n % 2 != 0 || !q_.quantize(format, n, k, w)) return false;
      // Codes and scales are wanted with n as the inner dimension.
      const std::size_t groups = k / q_.group;
      nibbles_.resize(n * k / 2);
      for (std::size_t j = 0; j < k; ++j) {
        for (std::size_t row = 0; row < n; row += 2) {
          const int low = q_.codes[row * k + j];
          const int high = q_.codes[(row + 1) * k + j];
          nibbles_[(j * n + row) / 2] = static_cast<std::uint8_t>((low & 15) | ((high & 15) << 4));
        }
      }
      scales_.resize(q_.scales.size());
      for (std::size_t row = 0; row < n; ++row) {
        for (std::size_t g = 0; g < groups; ++g) scales_[g * n + row] = q_.scales[row * groups + g];
      }
    } else {
      return false;
    }
    return true;
  }

  void weights(float* w) const override {
    switch (kind_) {
      case kind::f32: std::copy(plain_.begin(), plain_.end(), w); break;
      case kind::bf16: std::transform(bf16_.begin(), bf16_.end(), w, from_bf16); break;
      default: q_.dequantize(w);
    }
  }

  [[nodiscard]] std::size_t weight_bytes() const override {
    switch (kind_) {
      case kind::f32: return 4 * n_ * k_;
      case kind::bf16: return 2 * n_ * k_;
      default: return n_ * k_ * static_cast<std::size_t>(q_.bits) / 8 + 4 * q_.scales.size();
    }
  }

  bool run(const float* x, std::size_t m, float* y, int threads) override {
    omp_set_num_threads(threads);
    if (m != m_ || threads != threads_) {
      m_ = 0;
      if (!make(m)) return false;
      m_ = m;
      threads_ = threads;
    }
    const void* from = x;
    if (kind_ == kind::int8) {
      quantize_x(x, m);
      from = x_codes_.data();
    } else if (kind_ == kind::bf16 || kind_ == kind::int4) {
      const std::size_t count = m * k_;
#pragma omp parallel for simd if (m > 8)
      for (std::size_t i = 0; i < count; ++i) x_bf16_[i] = to_bf16(x[i]);
      from = x_bf16_.data();
    }
    next_ = (next_ + 1) % w_.size();
    static_cast<void>(dnnl_memory_set_data_handle(x_.get(), const_cast<void*>(from)));
    static_cast<void>(dnnl_memory_set_data_handle(y_.get(), y));
    dnnl_exec_arg_t args[5] = {
        {DNNL_ARG_SRC, x_.get()}, {DNNL_ARG_WEIGHTS, w_[next_].get()}, {DNNL_ARG_DST, y_.get()}};
    int num_args = 3;
    if (w_scales_.get() != nullptr) {
      args[num_args++] = {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, w_scales_.get()};
    }
    if (x_scales_.get() != nullptr) {
      args[num_args++] = {DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC, x_scales_.get()};
    }
    return ok(dnnl_primitive_execute(product_.get(), stream_, num_args, args)) &&
           ok(dnnl_stream_wait(stream_));
  }

  void release() override {
    drop_primitives();
    q_ = {};
    plain_ = {};
    bf16_ = {};
    nibbles_ = {};
    scales_ = {};
    m_ = 0;
  }

 private:
  enum class kind { f32, bf16, int8, int4 };

  void drop_primitives() {
    product_.reset();
    w_.clear();
    x_.reset();
    y_.reset();
    w_scales_.reset();
    x_scales_.reset();
  }

  // x to int8 with one scale: those of rows are refused on CPUs, as scales and as a fused product
  // with a column vector alike.
  void quantize_x(const float* x, std::size_t m) {
    const std::size_t count = m * k_;
    float largest = 0;
#pragma omp parallel for simd reduction(max : largest) if (m > 8)
    for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(x[i]));
    x_scale_ = largest / 127;
    const float inverse = largest > 0 ? 127 / largest : 0;
#pragma omp parallel for simd if (m > 8)
    for (std::size_t i = 0; i < count; ++i) {
      x_codes_[i] = static_cast<std::int8_t>(
          static_cast<std::int32_t>(x[i] * inverse + std::copysign(0.5f, x[i])));
    }
  }

  // Primitive and packed weights for this m.
  bool make(std::size_t m) {
    drop_primitives();
    const auto rows = static_cast<dnnl_dim_t>(m);
    const auto n = static_cast<dnnl_dim_t>(n_);
    const auto k = static_cast<dnnl_dim_t>(k_);
    const dnnl_dims_t x_dims = {rows, k};
    const dnnl_dims_t w_dims = {k, n};
    const dnnl_dims_t y_dims = {rows, n};
    dnnl_data_type_t x_type = dnnl_f32;
    dnnl_data_type_t w_type = dnnl_f32;
    void* w_plain = plain_.data();
    attributes attr;
    if (!ok(dnnl_primitive_attr_create(attr.put()))) return false;
    switch (kind_) {
      case kind::f32: break;
      case kind::bf16:
        x_type = w_type = dnnl_bf16;
        w_plain = bf16_.data();
        x_bf16_.resize(m * k_);
        break;
      case kind::int8:
        x_type = w_type = dnnl_s8;
        w_plain = q_.codes.data();
        x_codes_.resize(m * k_);
        if (!ok(dnnl_primitive_attr_set_scales(attr.get(), DNNL_ARG_WEIGHTS, 1 << 1, 0, nullptr,
                                               dnnl_f32)) ||
            !ok(dnnl_primitive_attr_set_scales(attr.get(), DNNL_ARG_SRC, 0, 0, nullptr,
                                               dnnl_f32))) {
          return false;
        }
        break;
      case kind::int4: {
        x_type = dnnl_bf16;
        w_type = dnnl_s4;
        x_bf16_.resize(m * k_);
        w_plain = nibbles_.data();
        const dnnl_dims_t groups = {static_cast<dnnl_dim_t>(q_.group), 1};
        if (!ok(dnnl_primitive_attr_set_scales(attr.get(), DNNL_ARG_WEIGHTS, 3, 2, groups,
                                               dnnl_f32)) ||
            !ok(dnnl_primitive_attr_set_fpmath_mode_v2(attr.get(), dnnl_fpmath_mode_bf16, 1))) {
          return false;
        }
        break;
      }
    }
    memory_desc x_desc, w_any, w_desc, y_desc;
    primitive_desc desc;
    if (!ok(dnnl_memory_desc_create_with_tag(x_desc.put(), 2, x_dims, x_type, dnnl_ab)) ||
        !ok(dnnl_memory_desc_create_with_tag(w_any.put(), 2, w_dims, w_type,
                                             dnnl_format_tag_any)) ||
        !ok(dnnl_memory_desc_create_with_tag(w_desc.put(), 2, w_dims, w_type,
                                             kind_ == kind::int4 ? dnnl_ab : dnnl_ba)) ||
        !ok(dnnl_memory_desc_create_with_tag(y_desc.put(), 2, y_dims, dnnl_f32, dnnl_ab)) ||
        !ok(dnnl_matmul_primitive_desc_create(desc.put(), engine_, x_desc.get(), w_any.get(),
                                              nullptr, y_desc.get(), attr.get())) ||
        !ok(dnnl_primitive_create(product_.put(), desc.get()))) {
      return false;
    }
    memory w_source;
    if (!ok(dnnl_memory_create(w_source.put(), w_desc.get(), engine_, w_plain)) ||
        !ok(dnnl_memory_create(x_.put(), x_desc.get(), engine_, DNNL_MEMORY_NONE)) ||
        !ok(dnnl_memory_create(y_.put(), y_desc.get(), engine_, DNNL_MEMORY_NONE))) {
      return false;
    }
    const_dnnl_memory_desc_t packed =
        dnnl_primitive_desc_query_md(desc.get(), dnnl_query_weights_md, 0);
    const bool same = dnnl_memory_desc_equal(w_desc.get(), packed) != 0;
    primitive_desc reorder_desc;
    primitive reorder;
    if (!same && (!ok(dnnl_reorder_primitive_desc_create(reorder_desc.put(), w_desc.get(), engine_,
                                                         packed, engine_, nullptr)) ||
                  !ok(dnnl_primitive_create(reorder.put(), reorder_desc.get())))) {
      return false;
    }
    for (std::size_t i = 0; i < num_copies_; ++i) {
      memory copy;
      if (!ok(dnnl_memory_create(copy.put(), packed, engine_, DNNL_MEMORY_ALLOCATE))) return false;
      const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, w_source.get()}, {DNNL_ARG_TO, copy.get()}};
      void* to = nullptr;
      if (same) {
        if (!ok(dnnl_memory_get_data_handle(copy.get(), &to))) return false;
        std::memcpy(to, w_plain, dnnl_memory_desc_get_size(packed));
      } else if (!ok(dnnl_primitive_execute(reorder.get(), stream_, 2, args))) {
        return false;
      }
      w_.push_back(std::move(copy));
    }
    return ok(dnnl_stream_wait(stream_)) && make_scales();
  }

  bool make_scales() {
    if (kind_ != kind::int8 && kind_ != kind::int4) return true;
    memory_desc desc;
    if (kind_ == kind::int4) {
      const dnnl_dims_t dims = {static_cast<dnnl_dim_t>(k_ / q_.group),
                                static_cast<dnnl_dim_t>(n_)};
      return ok(dnnl_memory_desc_create_with_tag(desc.put(), 2, dims, dnnl_f32, dnnl_ab)) &&
             ok(dnnl_memory_create(w_scales_.put(), desc.get(), engine_, scales_.data()));
    }
    const dnnl_dims_t w_dims = {static_cast<dnnl_dim_t>(n_)};
    const dnnl_dims_t x_dims = {1};
    memory_desc x_desc;
    return ok(dnnl_memory_desc_create_with_tag(desc.put(), 1, w_dims, dnnl_f32, dnnl_a)) &&
           ok(dnnl_memory_create(w_scales_.put(), desc.get(), engine_, q_.scales.data())) &&
           ok(dnnl_memory_desc_create_with_tag(x_desc.put(), 1, x_dims, dnnl_f32, dnnl_a)) &&
           ok(dnnl_memory_create(x_scales_.put(), x_desc.get(), engine_, &x_scale_));
  }

  dnnl_engine_t engine_ = nullptr;
  dnnl_stream_t stream_ = nullptr;
  kind kind_ = kind::f32;
  std::size_t n_ = 0;
  std::size_t k_ = 0;
  std::size_t m_ = 0;
  int threads_ = 0;
  std::size_t num_copies_ = 1;
  std::size_t next_ = 0;
  integer_weights q_;
  std::vector<float> plain_, scales_;
  float x_scale_ = 1;
  std::vector<std::uint16_t> bf16_, x_bf16_;
  std::vector<std::uint8_t> nibbles_;
  std::vector<std::int8_t> x_codes_;
  primitive product_;
  std::vector<memory> w_;
  memory x_, y_, w_scales_, x_scales_;
};

}  // namespace

void add_onednn(peer_list& peers) { peers.push_back(std::make_unique<onednn_peer>()); }

}  // namespace bench
