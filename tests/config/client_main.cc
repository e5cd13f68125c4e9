// SPDX-License-Identifier: Apache-2.0 OR MIT
// The whole of a client program, the same for every mode and every way of getting nibble.
#ifdef NIBBLE_STATIC_DISPATCH
#include "hwy/highway.h"  // in static mode any order will do
#endif

#include "config/probe.h"

#if defined(NIBBLE_COMPILED) && (defined(HWY_HIGHWAY_INCLUDED) || defined(HIGHWAY_HWY_BASE_H_))
#error "a client of the compiled library must not see Highway"
#endif

int main() { return probe("client"); }
