// SPDX-License-Identifier: Apache-2.0 OR MIT
// XNNPACK as a peer: dynamic int8 activations per row ("qd8") on int8 and int4 weights, and f32.
#include <pthreadpool.h>
#include <xnnpack.h>

#include <limits>

#include "peers/integer_weights.h"
#include "peers/peer.h"

namespace bench {

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

class xnnpack_peer : public peer {
 public:
  ~xnnpack_peer() override {
    release();
    if (pool_ != nullptr) pthreadpool_destroy(pool_);
  }

  [[nodiscard]] std::string_view name() const override { return "XNNPACK"; }

  bool prepare(std::string_view format, std::size_t n, std::size_t k, const float* w,
               std::size_t num_copies) override {
    release();
    n_ = n;
    k_ = k;
    if (format == "f32") {
      kind_ = kind::f32;
      plain_.assign(w, w + n * k);
    } else if (format == "int8_channel" || format == "int4_channel") {
      if (!q_.quantize(format, n, k, w)) return false;
      kind_ = q_.bits == 8 ? kind::qc8 : kind::qc4;
    } else if (format.starts_with("int4_g")) {
      if (!q_.quantize(format, n, k, w, true)) return false;
      kind_ = kind::qb4;
    } else {
      return false;
    }
    std::vector<std::uint8_t> nibbles;
    if (kind_ == kind::qc4 || kind_ == kind::qb4) nibbles = q_.nibbles();
    std::vector<std::uint16_t> bf16_scales;
    if (kind_ == kind::qb4) {
      bf16_scales.resize(q_.scales.size());
      std::transform(q_.scales.begin(), q_.scales.end(), bf16_scales.begin(), to_bf16);
    }
    for (std::size_t i = 0; i < num_copies; ++i) {
      xnn_operator_t op = nullptr;
      xnn_status made = xnn_status_success;
      switch (kind_) {
        case kind::f32:
          made = xnn_create_fully_connected_nc_f32(k, n, k, n, plain_.data(), nullptr, -infinity,
                                                   infinity, 0, nullptr, nullptr, &op);
          break;
        case kind::qc8:
          made = xnn_create_fully_connected_nc_qd8_f32_qc8w(k, n, k, n, q_.scales.data(),
                                                            q_.codes.data(), nullptr, -infinity,
                                                            infinity, 0, nullptr, nullptr, &op);
          break;
        case kind::qc4:
          made = xnn_create_fully_connected_nc_qd8_f32_qc4w(k, n, k, n, 8, q_.scales.data(),
                                                            nibbles.data(), nullptr, -infinity,
                                                            infinity, 0, nullptr, nullptr, &op);
          break;
        case kind::qb4:
          made = xnn_create_fully_connected_nc_qd8_f32_qb4w(
              k, n, k, n, q_.group, 8, bf16_scales.data(), nibbles.data(), nullptr, -infinity,
              infinity, 0, nullptr, nullptr, &op);
          break;
      }
      if (made != xnn_status_success) {
        release();
        return false;
      }
      products_.push_back(op);
    }
    return kind_ == kind::f32 || xnn_create_convert_nc_f32_qd8(0, &quantize_) == xnn_status_success;
  }

  void weights(float* w) const override {
    if (kind_ == kind::f32) {
      std::copy(plain_.begin(), plain_.end(), w);
    } else {
      q_.dequantize(w);
    }
  }

  [[nodiscard]] std::size_t weight_bytes() const override {
    if (kind_ == kind::f32) return 4 * n_ * k_;
    return q_.codes.size() * static_cast<std::size_t>(q_.bits) / 8 +
           q_.scales.size() * (kind_ == kind::qb4 ? 2 : 4);
  }

  bool run(const float* x, std::size_t m, float* y, int threads) override {
    if (m != m_ || threads != threads_) {
      if (!reshape(m, threads)) return false;
    }
    next_ = (next_ + 1) % products_.size();
    const xnn_operator_t op = products_[next_];
    bool ok = true;
    if (kind_ != kind::f32) {
      ok = xnn_setup_convert_nc_f32_qd8(quantize_, x, x_codes_.data(), x_params_.data()) ==
               xnn_status_success &&
           xnn_run_operator(quantize_, pool_) == xnn_status_success;
    }
    switch (kind_) {
      case kind::f32: ok = ok && done(xnn_setup_fully_connected_nc_f32(op, x, y)); break;
      case kind::qc8:
        ok = ok && done(xnn_setup_fully_connected_nc_qd8_f32_qc8w(op, x_codes_.data(), y,
                                                                  x_params_.data()));
        break;
      case kind::qc4:
        ok = ok && done(xnn_setup_fully_connected_nc_qd8_f32_qc4w(op, x_codes_.data(), y,
                                                                  x_params_.data()));
        break;
      case kind::qb4:
        ok = ok && done(xnn_setup_fully_connected_nc_qd8_f32_qb4w(op, x_codes_.data(), y,
                                                                  x_params_.data()));
        break;
    }
    return ok && done(xnn_run_operator(op, pool_));
  }

  void release() override {
    for (const xnn_operator_t op : products_) xnn_delete_operator(op);
    products_.clear();
    if (quantize_ != nullptr) xnn_delete_operator(quantize_);
    quantize_ = nullptr;
    q_ = {};
    plain_ = {};
    m_ = 0;
  }

 private:
  enum class kind { f32, qc8, qc4, qb4 };

  static bool done(xnn_status status) { return status == xnn_status_success; }

  bool reshape(std::size_t m, int threads) {
    if (threads != threads_) {
      if (pool_ != nullptr) pthreadpool_destroy(pool_);
      pool_ = pthreadpool_create(static_cast<std::size_t>(threads));
      threads_ = threads;
    }
    m_ = m;
    x_codes_.resize(m * k_ + XNN_EXTRA_BYTES);
    x_params_.resize(m + XNN_EXTRA_QUANTIZATION_PARAMS);
    bool ok = true;
    if (kind_ != kind::f32)
      ok = done(xnn_reshape_convert_nc_f32_qd8(quantize_, m, k_, k_, k_, pool_));
    for (const xnn_operator_t op : products_) {
      switch (kind_) {
        case kind::f32: ok = ok && done(xnn_reshape_fully_connected_nc_f32(op, m, pool_)); break;
        case kind::qc8:
          ok = ok && done(xnn_reshape_fully_connected_nc_qd8_f32_qc8w(op, m, pool_));
          break;
        case kind::qc4:
          ok = ok && done(xnn_reshape_fully_connected_nc_qd8_f32_qc4w(op, m, pool_));
          break;
        case kind::qb4:
          ok = ok && done(xnn_reshape_fully_connected_nc_qd8_f32_qb4w(op, m, pool_));
          break;
      }
    }
    return ok;
  }

  kind kind_ = kind::f32;
  std::size_t n_ = 0;
  std::size_t k_ = 0;
  std::size_t m_ = 0;
  int threads_ = 0;
  std::size_t next_ = 0;
  integer_weights q_;
  std::vector<float> plain_;
  std::vector<std::int8_t> x_codes_;
  std::vector<xnn_quantization_params> x_params_;
  std::vector<xnn_operator_t> products_;
  xnn_operator_t quantize_ = nullptr;
  pthreadpool_t pool_ = nullptr;
};

}  // namespace

void add_xnnpack(peer_list& peers) {
  if (xnn_initialize(nullptr) == xnn_status_success) {
    peers.push_back(std::make_unique<xnnpack_peer>());
  }
}

}  // namespace bench
