// SPDX-License-Identifier: Apache-2.0 OR MIT
// Four units of one program: plain, other -m flags, own target passes, and this one.
#include "config/probe.h"

int unit_plain();
int unit_flags();
int unit_own_passes();

int main() { return probe("main") + unit_plain() + unit_flags() + unit_own_passes() == 0 ? 0 : 1; }
