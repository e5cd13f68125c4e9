// SPDX-License-Identifier: Apache-2.0 OR MIT
// A program of units with different flags: all that this CPU can run, or with the argument `plain`
// those that every CPU can.
#include <cstring>

int unit_plain();
int unit_flags();
int unit_hardened();

int main(int argc, char** argv) {
  const bool plain_only = (argc > 1 && std::strcmp(argv[1], "plain") == 0) ||
                          !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma");
  return unit_plain() + unit_hardened() + (plain_only ? 0 : unit_flags());
}
