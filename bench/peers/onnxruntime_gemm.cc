// SPDX-License-Identifier: Apache-2.0 OR MIT
// ONNX Runtime (MLAS) as a peer: models of one operator, made in memory. MatMulNBits with int8
// activations for 4 and 8 bits in groups, DynamicQuantizeMatMul for int8 per channel, MatMulBnb4
// for NF4, MatMul for f32.
#include <fcntl.h>
#include <onnxruntime_c_api.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "peers/integer_weights.h"
#include "peers/peer.h"

namespace bench {

namespace {

const OrtApi& ort() {
  static const OrtApi* const api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  return *api;
}

std::string& last_error() {
  static std::string text;
  return text;
}

// True if nothing went wrong.
bool ok(OrtStatus* status) {
  if (status == nullptr) return true;
  last_error() = ort().GetErrorMessage(status);
  ort().ReleaseStatus(status);
  return false;
}

// Nothing reaches stderr while one of these lives: Debian's package registers every operator twice
// with the first model and says so in thousands of lines.
class silence {
 public:
  silence() : err_(dup(STDERR_FILENO)) {
    const int nowhere = open("/dev/null", O_WRONLY);
    static_cast<void>(dup2(nowhere, STDERR_FILENO));
    close(nowhere);
  }
  silence(const silence&) = delete;
  silence& operator=(const silence&) = delete;
  ~silence() {
    static_cast<void>(dup2(err_, STDERR_FILENO));
    close(err_);
  }

 private:
  int err_;
};

constexpr std::array<float, 16> nf4_values = {-1.0f,
                                              -0.6961928009986877f,
                                              -0.5250730514526367f,
                                              -0.39491748809814453f,
                                              -0.28444138169288635f,
                                              -0.18477343022823334f,
                                              -0.09105003625154495f,
                                              0.0f,
                                              0.07958029955625534f,
                                              0.16093020141124725f,
                                              0.24611230194568634f,
                                              0.33791524171829224f,
                                              0.44070982933044434f,
                                              0.5626170039176941f,
                                              0.7229568362236023f,
                                              1.0f};

// A tensor that lies in our memory.
struct tensor {
  const char* name;
  std::vector<std::int64_t> shape;
  ONNXTensorElementDataType type;
  const void* data;
  std::size_t bytes;
};

struct attribute {
  const char* name;
  std::int64_t value;
};

std::string numbered(const char* name, std::size_t number) {
  std::string text = name;
  return text += std::to_string(number);
}

class onnxruntime_peer : public peer {
 public:
  onnxruntime_peer() {
    if (!ok(ort().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "nibble", &env_))) return;
    static_cast<void>(
        ok(ort().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory_)));
  }
  ~onnxruntime_peer() override {
    release();
    if (memory_ != nullptr) ort().ReleaseMemoryInfo(memory_);
    if (env_ != nullptr) ort().ReleaseEnv(env_);
  }

  [[nodiscard]] std::string_view name() const override { return "ONNX Runtime"; }

  bool prepare(std::string_view format, std::size_t n, std::size_t k, const float* w,
               std::size_t num_copies) override {
    release();
    n_ = static_cast<std::int64_t>(n);
    k_ = static_cast<std::int64_t>(k);
    num_copies_ = num_copies;
    attributes_.clear();
    inputs_.clear();
    if (format == "f32") {
      op_ = "MatMul";
      domain_ = "";
      transpose(w, scales_);
      add("w", {k_, n_}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, scales_);
    } else if (format == "int8_channel") {
      if (!q_.quantize(format, n, k, w)) return false;
      op_ = "DynamicQuantizeMatMul";
      domain_ = "com.microsoft";
      transpose(q_.codes.data(), codes_);
      scales_ = q_.scales;
      add("w", {k_, n_}, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, codes_);
      add("s", {n_}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, scales_);
    } else if (format == "nf4_g64") {
      op_ = "MatMulBnb4";
      domain_ = "com.microsoft";
      quantize_nf4(w, 64);
      attributes_ = {{"K", k_}, {"N", n_}, {"block_size", 64}, {"quant_type", 1}};
      add("w", {static_cast<std::int64_t>(bytes_.size())}, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
          bytes_);
      add("s", {static_cast<std::int64_t>(scales_.size())}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
          scales_);
    } else if (format.starts_with("int4_g") || format.starts_with("int8_g")) {
      if (!q_.quantize(format, n, k, w)) return false;
      op_ = "MatMulNBits";
      domain_ = "com.microsoft";
      if (q_.bits == 4) {
        bytes_ = q_.nibbles();
      } else {
        bytes_.resize(q_.codes.size());
        std::transform(q_.codes.begin(), q_.codes.end(), bytes_.begin(),
                       [](std::int8_t c) { return static_cast<std::uint8_t>(c + 128); });
      }
      scales_ = q_.scales;
      const auto group = static_cast<std::int64_t>(q_.group);
      attributes_ = {
          {"K", k_}, {"N", n_}, {"bits", q_.bits}, {"block_size", group}, {"accuracy_level", 4}};
      add("w", {n_, k_ / group, group * q_.bits / 8}, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, bytes_);
      add("s", {static_cast<std::int64_t>(scales_.size())}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
          scales_);
    } else {
      return false;
    }
    return true;
  }

  void weights(float* w) const override {
    const auto n = static_cast<std::size_t>(n_);
    const auto k = static_cast<std::size_t>(k_);
    if (op_ == "MatMul") {
      for (std::size_t i = 0; i < n * k; ++i) w[i] = scales_[i % k * n + i / k];
    } else if (op_ == "MatMulBnb4") {
      for (std::size_t i = 0; i < n * k; ++i) {
        const int code = i % 2 == 0 ? bytes_[i / 2] >> 4 : bytes_[i / 2] & 15;
        w[i] = scales_[i / 64] * nf4_values[static_cast<std::size_t>(code)];
      }
    } else {
      q_.dequantize(w);
    }
  }

  [[nodiscard]] std::size_t weight_bytes() const override {
    std::size_t bytes = 0;
    for (const tensor& t : inputs_) bytes += t.bytes;
    return bytes;
  }

  // One call of a session with all copies, where there is little to do per copy: the threads of a
  // session for each copy would have to be woken up for each product.
  [[nodiscard]] std::size_t products_per_run(std::size_t m) const override {
    return m <= 8 ? num_copies_ : 1;
  }

  bool run(const float* x, std::size_t m, float* y, int threads) override {
    const std::size_t products = products_per_run(m);
    session& s = sessions_[{threads, products}];
    if (s.value == nullptr && !make_session(threads, products, s)) {
      std::fprintf(stderr, "ONNX Runtime: %s\n", last_error().c_str());
      return false;
    }
    const std::int64_t x_shape[2] = {static_cast<std::int64_t>(m), k_};
    const std::int64_t y_shape[2] = {static_cast<std::int64_t>(m), n_};
    OrtValue* in = nullptr;
    std::vector<OrtValue*> out(products);
    const char* const in_name = "x";
    bool good = ok(ort().CreateTensorWithDataAsOrtValue(
        memory_, const_cast<float*>(x), 4 * m * static_cast<std::size_t>(k_), x_shape, 2,
        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in));
    std::vector<const char*> out_names;
    // All copies write to the same y.
    for (std::size_t i = 0; i < products; ++i) {
      out_names.push_back(s.outputs[i].c_str());
      good = good && ok(ort().CreateTensorWithDataAsOrtValue(
                         memory_, y, 4 * m * static_cast<std::size_t>(n_), y_shape, 2,
                         ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &out[i]));
    }
    good = good && ok(ort().Run(s.value, nullptr, &in_name, &in, 1, out_names.data(), products,
                                out.data()));
    if (in != nullptr) ort().ReleaseValue(in);
    for (OrtValue* value : out) {
      if (value != nullptr) ort().ReleaseValue(value);
    }
    return good;
  }

  void release() override {
    for (auto& [key, s] : sessions_) {
      if (s.value != nullptr) ort().ReleaseSession(s.value);
    }
    sessions_.clear();
    copies_.clear();
    q_ = {};
    codes_ = {};
    bytes_ = {};
    scales_ = {};
  }

 private:
  struct session {
    OrtSession* value = nullptr;
    std::vector<std::string> outputs;
  };

  template <class T>
  void add(const char* name, std::vector<std::int64_t> shape, ONNXTensorElementDataType type,
           const std::vector<T>& data) {
    inputs_.push_back({name, std::move(shape), type, data.data(), data.size() * sizeof(T)});
  }

  template <class T>
  void transpose(const T* from, std::vector<T>& to) const {
    const auto n = static_cast<std::size_t>(n_);
    const auto k = static_cast<std::size_t>(k_);
    to.resize(n * k);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < k; ++j) to[j * n + i] = from[i * k + j];
    }
  }

  // Blocks run on over the ends of rows; k is a multiple of them in all that is measured.
  void quantize_nf4(const float* w, std::size_t block) {
    const auto count = static_cast<std::size_t>(n_ * k_);
    bytes_.assign(count / 2, 0);
    scales_.resize(count / block);
    for (std::size_t i = 0; i < count; ++i) {
      if (i % block == 0) {
        float largest = 0;
        for (std::size_t j = 0; j < block; ++j) largest = std::max(largest, std::fabs(w[i + j]));
        scales_[i / block] = largest;
      }
      const float value = scales_[i / block] > 0 ? w[i] / scales_[i / block] : 0;
      int best = 0;
      for (int c = 1; c < 16; ++c) {
        if (std::fabs(nf4_values[static_cast<std::size_t>(c)] - value) <
            std::fabs(nf4_values[static_cast<std::size_t>(best)] - value)) {
          best = c;
        }
      }
      bytes_[i / 2] = static_cast<std::uint8_t>(bytes_[i / 2] | (i % 2 == 0 ? best << 4 : best));
    }
  }

  bool value_info(const char* name, std::int64_t cols, OrtValueInfo** info) {
    const auto& edit = *ort().GetModelEditorApi();
    OrtTensorTypeAndShapeInfo* shape = nullptr;
    OrtTypeInfo* type = nullptr;
    const std::int64_t dims[2] = {-1, cols};
    const bool good = ok(ort().CreateTensorTypeAndShapeInfo(&shape)) &&
                      ok(ort().SetTensorElementType(shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)) &&
                      ok(ort().SetDimensions(shape, dims, 2)) &&
                      ok(edit.CreateTensorTypeInfo(shape, &type)) &&
                      ok(edit.CreateValueInfo(name, type, info));
    if (type != nullptr) ort().ReleaseTypeInfo(type);
    if (shape != nullptr) ort().ReleaseTensorTypeAndShapeInfo(shape);
    return good;
  }

  // A graph of `products` nodes, all reading x, each with weights of its own.
  bool make_session(int threads, std::size_t products, session& s) {
    const silence quiet;
    const OrtModelEditorApi* const edit = ort().GetModelEditorApi();
    if (edit == nullptr) return false;
    OrtGraph* graph = nullptr;
    OrtModel* model = nullptr;
    OrtSessionOptions* options = nullptr;
    OrtValueInfo* x = nullptr;
    if (!ok(edit->CreateGraph(&graph)) || !value_info("x", k_, &x) ||
        !ok(edit->SetGraphInputs(graph, &x, 1))) {
      return false;
    }
    std::vector<OrtValueInfo*> outputs(products);
    for (std::size_t i = 0; i < products; ++i) {
      s.outputs.push_back(numbered("y", i));
      if (!value_info(s.outputs[i].c_str(), n_, &outputs[i]) || !add_node(graph, i)) {
        return false;
      }
    }
    const char* const domains[2] = {"", "com.microsoft"};
    const int versions[2] = {17, 1};
    const bool good =
        ok(edit->SetGraphOutputs(graph, outputs.data(), products)) &&
        ok(edit->CreateModel(domains, versions, 2, &model)) &&
        ok(edit->AddGraphToModel(model, graph)) && ok(ort().CreateSessionOptions(&options)) &&
        ok(ort().SetIntraOpNumThreads(options, threads)) &&
        ok(ort().AddSessionConfigEntry(options, "session.force_spinning_stop", "1")) &&
        ok(edit->CreateSessionFromModel(env_, model, options, &s.value));
    if (options != nullptr) ort().ReleaseSessionOptions(options);
    if (model != nullptr) ort().ReleaseModel(model);
    return good;
  }

  bool add_node(OrtGraph* graph, std::size_t number) {
    const OrtModelEditorApi& edit = *ort().GetModelEditorApi();
    std::vector<std::string> names = {"x"};
    for (const tensor& t : inputs_) {
      names.push_back(numbered(t.name, number));
      // Some operators pack weights into memory of their own, others read them where they are.
      copies_.emplace_back(
          static_cast<std::byte*>(std::aligned_alloc(64, (t.bytes + 63) / 64 * 64)));
      std::memcpy(copies_.back().get(), t.data, t.bytes);
      // Equal weights would be packed once and shared: one bit tells the copies apart.
      if (&t == inputs_.data()) copies_.back().get()[64 * number] ^= std::byte{1};
      OrtValue* value = nullptr;
      if (!ok(ort().CreateTensorWithDataAsOrtValue(memory_, copies_.back().get(), t.bytes,
                                                   t.shape.data(), t.shape.size(), t.type,
                                                   &value)) ||
          !ok(edit.AddInitializerToGraph(graph, names.back().c_str(), value, t.bytes >= 128))) {
        return false;
      }
    }
    std::vector<const char*> in;
    for (const std::string& name : names) in.push_back(name.c_str());
    const std::string out = numbered("y", number);
    const char* const out_name = out.c_str();
    std::vector<OrtOpAttr*> attributes;
    for (const attribute& a : attributes_) {
      attributes.emplace_back();
      if (!ok(ort().CreateOpAttr(a.name, &a.value, 1, ORT_OP_ATTR_INT, &attributes.back()))) {
        return false;
      }
    }
    OrtNode* node = nullptr;
    return ok(edit.CreateNode(op_.c_str(), domain_.c_str(), numbered("product", number).c_str(),
                              in.data(), in.size(), &out_name, 1, attributes.data(),
                              attributes.size(), &node)) &&
           ok(edit.AddNodeToGraph(graph, node));
  }

  OrtEnv* env_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
  std::int64_t n_ = 0;
  std::int64_t k_ = 0;
  std::size_t num_copies_ = 1;
  std::string op_;
  std::string domain_;
  std::vector<attribute> attributes_;
  std::vector<tensor> inputs_;
  std::map<std::pair<int, std::size_t>, session> sessions_;
  struct free_memory {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<std::byte, free_memory>> copies_;
  integer_weights q_;
  std::vector<std::int8_t> codes_;
  std::vector<std::uint8_t> bytes_;
  std::vector<float> scales_;
};

}  // namespace

void add_onnxruntime(peer_list& peers) { peers.push_back(std::make_unique<onnxruntime_peer>()); }

}  // namespace bench
