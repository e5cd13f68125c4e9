// SPDX-License-Identifier: Apache-2.0 OR MIT
// A plain client: one include, nothing else to know.
#include "config/probe.h"

int unit_plain();
int unit_plain() { return probe("plain"); }
