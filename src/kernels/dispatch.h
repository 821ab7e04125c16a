// Picking one of the per-instruction-set copies that Highway's foreach_target compiles from one source.
//
// A kernel source is compiled once per target; each copy lives in its own namespace (N_SSE4, N_AVX2, N_AVX3, N_NEON,
// N_WASM; only 64-bit x86 has more than one). Behind HWY_ONCE it offers plain function pointers through LINNET_PICK, so
// that a caller picks once (when a model is prepared), pays no dispatch per call, and libhwy is not needed:
//
//     #undef HWY_TARGET_INCLUDE
//     #define HWY_TARGET_INCLUDE "kernels/softmax.cc"
//     #include "hwy/foreach_target.h"   // must come before highway.h
//     #include "hwy/highway.h"
//     HWY_BEFORE_NAMESPACE();
//     namespace linnet { namespace HWY_NAMESPACE { void SoftmaxRows(...) {...} } }
//     HWY_AFTER_NAMESPACE();
//     #if HWY_ONCE
//     namespace linnet {
//     SoftmaxFn* PickSoftmax(CpuLevel level) { return LINNET_PICK(level, SoftmaxRows); }
//     }
//     #endif
#pragma once

#include "base/cpu.h"

#if defined(__x86_64__)
#define LINNET_PICK(level, function)                                                             \
  (::linnet::Supports((level), ::linnet::CpuLevel::kAvx512) ? &N_AVX3::function                  \
   : ::linnet::Supports((level), ::linnet::CpuLevel::kAvx2) ? &N_AVX2::function                  \
                                                            : &N_SSE4::function)
#else
#define LINNET_PICK(level, function) (&HWY_STATIC_DISPATCH(function))
#endif
