// SPDX-License-Identifier: Apache-2.0 OR MIT
// Other libraries' matrix products behind one interface, so that one loop can check and time them
// all. Each adaptor is built where CMake finds its library.
#ifndef NIBBLE_BENCH_PEERS_PEER_H_
#define NIBBLE_BENCH_PEERS_PEER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// One library, in one of its variants, with one weight matrix.
class peer {
 public:
  peer() = default;
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  virtual ~peer() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;

  /// Quantizes and packs w [n x k], num_copies times: calls of run() use the copies in turn, so
  /// that weights come from memory if the copies together are larger than the caches. Replaces what
  /// was prepared before. False: this library has no such format.
  ///
  /// @param format  a GGML type ("q4_0", "q4_K", "mxfp4"), or "f32", "f16", "bf16", "int8_channel",
  ///                "int4_channel", "int4_g32", "int4_g64", "int4_g128", "nf4_g64". Integer formats
  ///                are symmetric; their scales have the type that the library is fastest with.
  virtual bool prepare(std::string_view format, std::size_t n, std::size_t k, const float* w,
                       std::size_t num_copies) = 0;

  /// The weights [n x k] that run() multiplies by, quantized and back.
  virtual void weights(float* w) const = 0;

  /// Bytes of one copy as this library stores it, scales included.
  [[nodiscard]] virtual std::size_t weight_bytes() const = 0;

  /// y [m x n] = x [m x k] w^T. The first call with another x, m, y or number of threads may take
  /// longer. False: the library refused.
  virtual bool run(const float* x, std::size_t m, float* y, int threads) = 0;

  /// Products that one run() makes: 1, unless the library would have to start threads for each.
  [[nodiscard]] virtual std::size_t products_per_run(std::size_t /*m*/) const { return 1; }

  /// Frees what prepare() made.
  virtual void release() = 0;
};

using peer_list = std::vector<std::unique_ptr<peer>>;

// Each adds the library's variants that this CPU can run; in a file of its own.
void add_ggml(peer_list& peers);
void add_onednn(peer_list& peers);
void add_xnnpack(peer_list& peers);
void add_onnxruntime(peer_list& peers);
void add_openblas(peer_list& peers);

/// All that were built in.
inline peer_list all_peers() {
  peer_list peers;
#ifdef NIBBLE_PEER_GGML
  add_ggml(peers);
#endif
#ifdef NIBBLE_PEER_ONNXRUNTIME
  add_onnxruntime(peers);
#endif
#ifdef NIBBLE_PEER_ONEDNN
  add_onednn(peers);
#endif
#ifdef NIBBLE_PEER_XNNPACK
  add_xnnpack(peers);
#endif
#ifdef NIBBLE_PEER_OPENBLAS
  add_openblas(peers);
#endif
  return peers;
}

}  // namespace bench

#endif  // NIBBLE_BENCH_PEERS_PEER_H_
