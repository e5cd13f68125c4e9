// SPDX-License-Identifier: Apache-2.0 OR MIT
// OpenBLAS as a peer: sgemm, and sgemv for one row. It picks its kernels for this CPU only if
// OPENBLAS_CORETYPE is not set; peers.sh sees to that.
#include <cblas.h>

#include <algorithm>

#include "peers/peer.h"

namespace bench {

namespace {

class openblas_peer : public peer {
 public:
  [[nodiscard]] std::string_view name() const override { return "OpenBLAS"; }

  bool prepare(std::string_view format, std::size_t n, std::size_t k, const float* w,
               std::size_t num_copies) override {
    if (format != "f32") return false;
    n_ = n;
    k_ = k;
    num_copies_ = num_copies;
    w_.clear();
    for (std::size_t i = 0; i < num_copies; ++i) w_.insert(w_.end(), w, w + n * k);
    return true;
  }

  void weights(float* w) const override { std::copy_n(w_.data(), n_ * k_, w); }
  [[nodiscard]] std::size_t weight_bytes() const override { return 4 * n_ * k_; }

  bool run(const float* x, std::size_t m, float* y, int threads) override {
    if (threads != threads_) openblas_set_num_threads(threads);
    threads_ = threads;
    next_ = (next_ + 1) % num_copies_;
    const float* const w = w_.data() + next_ * n_ * k_;
    const auto rows = static_cast<blasint>(m);
    const auto n = static_cast<blasint>(n_);
    const auto k = static_cast<blasint>(k_);
    if (m == 1) {
      cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1.0f, w, k, x, 1, 0.0f, y, 1);
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, n, k, 1.0f, x, k, w, k, 0.0f, y,
                  n);
    }
    return true;
  }

  void release() override { w_ = {}; }

 private:
  std::size_t n_ = 0;
  std::size_t k_ = 0;
  std::size_t num_copies_ = 1;
  std::size_t next_ = 0;
  int threads_ = 0;
  std::vector<float> w_;
};

}  // namespace

void add_openblas(peer_list& peers) { peers.push_back(std::make_unique<openblas_peer>()); }

}  // namespace bench
