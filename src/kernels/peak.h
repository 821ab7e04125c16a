// What an instruction set can do at best: loops that do nothing but multiply and add, or nothing but read.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

struct PeakKernels {
  /// `turns` times twelve independent multiply-adds of whole registers; `sink` gets one number of the result.
  void (*multiply_add)(int64_t turns, float* sink);
  /// Reads n floats at x, 64-byte aligned, n a multiple of 128.
  void (*read)(const float* x, int64_t n, float* sink);
  int64_t flops_per_turn;   ///< multiplications and additions
};

const PeakKernels& PickPeak(CpuLevel level);

/// The same of the exact products of bytes that kernels/int8 has at a level.
struct Int8Peak {
  void (*multiply_add)(int64_t turns);
  int64_t ops_per_turn;     ///< multiplications and additions
};
Int8Peak PickInt8Peak(CpuLevel level);

}  // namespace linnet
