// SPDX-License-Identifier: Apache-2.0 OR MIT
// A plugin for QEMU's user mode that counts executed instructions, and prints their number on
// stderr when the program ends: for bench/arm_counts.sh. Build it as a shared library.
//
//   qemu-aarch64 -plugin count.so -d plugin program
//
// The interface is declared here, as few distributions package qemu-plugin.h: version 1, which
// QEMU 4.2 to 9 load (docs/devel/tcg-plugins.rst there).
#include <cinttypes>
#include <cstdint>
#include <cstdio>

extern "C" {

using qemu_plugin_id_t = std::uint64_t;
struct qemu_plugin_tb;
struct qemu_info_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*cb)(qemu_plugin_id_t, qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb* tb, qemu_plugin_op op, void* to,
                                              std::uint64_t add);
std::size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* tb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void*),
                                    void* data);

[[gnu::visibility("default")]] int qemu_plugin_version = 1;
[[gnu::visibility("default")]] int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int,
                                                       char**);
}

namespace {

std::uint64_t num_executed = 0;  // of one thread: programs counted here have no others

void when_translated(qemu_plugin_id_t, qemu_plugin_tb* tb) {
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &num_executed,
                                           qemu_plugin_tb_n_insns(tb));
}

void at_end(qemu_plugin_id_t, void*) {
  std::fprintf(stderr, "instructions %" PRIu64 "\n", num_executed);
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int, char**) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, when_translated);
  qemu_plugin_register_atexit_cb(id, at_end, nullptr);
  return 0;
}
