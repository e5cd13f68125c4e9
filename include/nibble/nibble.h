// SPDX-License-Identifier: Apache-2.0 OR MIT
// Everything: the umbrella of the public headers. Without a guard of its own, because its parts are
// read once per target where a program runs its own target passes. Readers of files are in io/.
#include "nibble/any.h"
#include "nibble/context.h"
#include "nibble/elements.h"
#include "nibble/epilogue.h"
#include "nibble/explain.h"
#include "nibble/formats.h"
#include "nibble/gemm.h"
#include "nibble/gemm_bound.h"
#include "nibble/matrix.h"
#include "nibble/metrics.h"
#include "nibble/outliers.h"
#include "nibble/pack.h"
#include "nibble/quantize.h"
#include "nibble/rows.h"
#include "nibble/target.h"
