// SPDX-License-Identifier: Apache-2.0 OR MIT
// libggml as a peer: its CPU backends are loaded as the shared objects they are, the best for this
// CPU and the one for AVX2, each with plain weights and with every buffer type that repacks them.
#include <dlfcn.h>
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include "peers/peer.h"

namespace bench {

namespace {

// The type of this name, or GGML_TYPE_COUNT.
ggml_type find_type(std::string_view name) {
  for (int t = 0; t < GGML_TYPE_COUNT; ++t) {
    const char* const other = ggml_get_type_traits(static_cast<ggml_type>(t))->type_name;
    if (other == nullptr) continue;
    const std::string_view text(other);
    if (std::equal(text.begin(), text.end(), name.begin(), name.end(), [](char a, char b) {
          return std::tolower(static_cast<unsigned char>(a)) ==
                 std::tolower(static_cast<unsigned char>(b));
        })) {
      return static_cast<ggml_type>(t);
    }
  }
  return GGML_TYPE_COUNT;
}

struct free_context {
  void operator()(ggml_context* c) const { ggml_free(c); }
};
struct free_buffer {
  void operator()(ggml_backend_buffer* b) const { ggml_backend_buffer_free(b); }
};
using context_ptr = std::unique_ptr<ggml_context, free_context>;
using buffer_ptr = std::unique_ptr<ggml_backend_buffer, free_buffer>;

// A context for the descriptions of this many tensors and graphs; data lie in buffers.
context_ptr make_context(std::size_t tensors, std::size_t graphs) {
  ggml_init_params params{};
  params.mem_size =
      tensors * ggml_tensor_overhead() + graphs * ggml_graph_overhead_custom(4, false);
  params.no_alloc = true;
  return context_ptr(ggml_init(params));
}

class ggml_peer : public peer {
 public:
  // repack: one of the backend's extra buffer types, or null for plain weights.
  ggml_peer(const std::string& cpu, ggml_backend_reg_t reg, ggml_backend_buffer_type_t repack)
      : device_(ggml_backend_reg_dev_get(reg, 0)),
        backend_(ggml_backend_dev_init(device_, nullptr)),
        repack_(repack),
        name_("ggml " + cpu) {
    if (repack_ != nullptr) {
      std::string kind = ggml_backend_buft_name(repack_);
      if (kind.starts_with("CPU_")) kind.erase(0, 4);
      std::transform(kind.begin(), kind.end(), kind.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      name_ += " " + kind;
    }
    set_threads_ = reinterpret_cast<ggml_backend_set_n_threads_t>(
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"));
  }
  ~ggml_peer() override {
    release();
    ggml_backend_free(backend_);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }

  bool prepare(std::string_view format, std::size_t n, std::size_t k, const float* w,
               std::size_t num_copies) override {
    release();
    type_ = find_type(format);
    if (type_ == GGML_TYPE_COUNT || ggml_quantize_requires_imatrix(type_)) return false;
    const auto blck = static_cast<std::size_t>(ggml_blck_size(type_));
    if (blck == 0 || k % blck != 0) return false;
    n_ = n;
    k_ = k;
    weight_context_ = make_context(num_copies, 0);
    for (std::size_t i = 0; i < num_copies; ++i) {
      w_.push_back(ggml_new_tensor_2d(weight_context_.get(), type_, static_cast<std::int64_t>(k),
                                      static_cast<std::int64_t>(n)));
    }
    const ggml_backend_buffer_type_t type =
        repack_ != nullptr ? repack_ : ggml_backend_dev_buffer_type(device_);
    weight_buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(weight_context_.get(), type));
    if (weight_buffer_ == nullptr || !supported()) {
      release();
      return false;
    }
    ggml_backend_buffer_set_usage(weight_buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    plain_.resize(ggml_nbytes(w_[0]));
    if (type_ == GGML_TYPE_F32) {
      std::copy_n(reinterpret_cast<const std::uint8_t*>(w), plain_.size(), plain_.begin());
    } else {
      ggml_quantize_chunk(type_, w, plain_.data(), 0, static_cast<std::int64_t>(n),
                          static_cast<std::int64_t>(k), nullptr);
    }
    for (ggml_tensor* t : w_) ggml_backend_tensor_set(t, plain_.data(), 0, plain_.size());
    return true;
  }

  void weights(float* w) const override {
    if (type_ == GGML_TYPE_F32) {
      std::copy_n(plain_.data(), plain_.size(), reinterpret_cast<std::uint8_t*>(w));
    } else {
      ggml_get_type_traits(type_)->to_float(plain_.data(), w, static_cast<std::int64_t>(n_ * k_));
    }
  }

  [[nodiscard]] std::size_t weight_bytes() const override { return plain_.size(); }

  bool run(const float* x, std::size_t m, float* y, int threads) override {
    if (m != m_) make_graphs(m);
    if (x != x_ || y != y_) {
      for (ggml_cgraph* g : graphs_) {
        ggml_tensor* const product = ggml_graph_node(g, 0);
        product->data = y;
        product->src[1]->data = const_cast<float*>(x);
      }
      x_ = x;
      y_ = y;
    }
    if (threads != threads_) {
      set_threads_(backend_, threads);
      threads_ = threads;
    }
    next_ = (next_ + 1) % graphs_.size();
    return ggml_backend_graph_compute(backend_, graphs_[next_]) == GGML_STATUS_SUCCESS;
  }

  void release() override {
    graphs_.clear();
    w_.clear();
    graph_buffer_.reset();
    graph_context_.reset();
    weight_buffer_.reset();
    weight_context_.reset();
    plain_ = {};
    m_ = 0;
    x_ = nullptr;
    y_ = nullptr;
  }

 private:
  // Whether the backend multiplies by weights that lie in this kind of buffer.
  bool supported() {
    const context_ptr context = make_context(2, 0);
    ggml_tensor* const x =
        ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, static_cast<std::int64_t>(k_), 1);
    return ggml_backend_dev_supports_op(device_, ggml_mul_mat(context.get(), w_[0], x));
  }

  // One graph per copy of the weights, with room for x and y that run() replaces by the caller's.
  void make_graphs(std::size_t m) {
    graphs_.clear();
    graph_buffer_.reset();
    graph_context_ = make_context(2 * w_.size(), w_.size());
    ggml_context* const c = graph_context_.get();
    for (ggml_tensor* w : w_) {
      ggml_tensor* const x = ggml_new_tensor_2d(c, GGML_TYPE_F32, static_cast<std::int64_t>(k_),
                                                static_cast<std::int64_t>(m));
      ggml_cgraph* const g = ggml_new_graph_custom(c, 4, false);
      ggml_build_forward_expand(g, ggml_mul_mat(c, w, x));
      graphs_.push_back(g);
    }
    graph_buffer_.reset(
        ggml_backend_alloc_ctx_tensors_from_buft(c, ggml_backend_dev_buffer_type(device_)));
    m_ = m;
    x_ = nullptr;
  }

  ggml_backend_dev_t device_;
  ggml_backend_t backend_;
  ggml_backend_buffer_type_t repack_;
  ggml_backend_set_n_threads_t set_threads_;
  std::string name_;
  ggml_type type_ = GGML_TYPE_COUNT;
  std::size_t n_ = 0;
  std::size_t k_ = 0;
  std::size_t m_ = 0;
  const float* x_ = nullptr;
  const float* y_ = nullptr;
  int threads_ = 0;
  std::size_t next_ = 0;
  std::vector<std::uint8_t> plain_;  // as ggml_quantize_chunk() made them
  context_ptr weight_context_;
  context_ptr graph_context_;
  buffer_ptr weight_buffer_;
  buffer_ptr graph_buffer_;
  std::vector<ggml_tensor*> w_;
  std::vector<ggml_cgraph*> graphs_;
};

// The backend's own opinion on how well it fits this CPU; 0: not at all.
int score_of(const std::filesystem::path& file) {
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return 0;
  const auto score = reinterpret_cast<int (*)()>(dlsym(library, "ggml_backend_score"));
  const int result = score != nullptr ? score() : 0;
  dlclose(library);
  return result;
}

void add_backend(const std::filesystem::path& file, peer_list& peers) {
  const ggml_backend_reg_t reg = ggml_backend_load(file.c_str());
  if (reg == nullptr) return;
  std::string cpu = file.stem().string();
  cpu.erase(0, cpu.rfind('-') + 1);
  peers.push_back(std::make_unique<ggml_peer>(cpu, reg, nullptr));
  const auto extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts"));
  if (extra == nullptr) return;
  ggml_backend_buffer_type_t* types = extra(ggml_backend_reg_dev_get(reg, 0));
  for (; types != nullptr && *types != nullptr; ++types) {
    peers.push_back(std::make_unique<ggml_peer>(cpu, reg, *types));
  }
}

}  // namespace

void add_ggml(peer_list& peers) {
  // Messages about every loaded backend are of no interest.
  ggml_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  std::filesystem::path best;
  std::filesystem::path avx2;
  int best_score = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(NIBBLE_PEER_GGML, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("libggml-cpu-") || entry.path().extension() != ".so") continue;
    const int score = score_of(entry.path());
    if (name == "libggml-cpu-haswell.so" && score > 0) avx2 = entry.path();
    if (score > best_score) {
      best_score = score;
      best = entry.path();
    }
  }
  if (!best.empty()) add_backend(best, peers);
  if (!avx2.empty() && avx2 != best) add_backend(avx2, peers);
}

}  // namespace bench
