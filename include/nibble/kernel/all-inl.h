// SPDX-License-Identifier: Apache-2.0 OR MIT
// Every kernel, once per target: what dispatch.h runs the target passes over.
#include "nibble/kernel/element-inl.h"
#include "nibble/kernel/element_values-inl.h"
#include "nibble/kernel/dequantize-inl.h"
#include "nibble/kernel/quantize-inl.h"
#include "nibble/kernel/epilogue-inl.h"
#include "nibble/kernel/gemm-inl.h"
#include "nibble/kernel/packed_rows-inl.h"
