// Float32 convolutions of few outputs: lanes of a vector are pixels (narrow.h). Sums are in the order of K, begun with the bias.
#pragma once

#include "kernels/conv/conv.h"
#include "kernels/conv/narrow.h"

namespace linnet {

/// The functions of one instruction set.
struct NarrowF32Kernels {
  NarrowCosts costs;
  double other_ns;   ///< about how long other ways take for a summand of a pixel's outputs,
  int64_t columns;   ///< of which they do so many at once
  /// As RunConvF32, of all panels.
  void (*run)(const ConvF32& conv, int64_t pixel0, int64_t pixel1, void* scratch);
};
/// Null where there are none.
const NarrowF32Kernels* PickNarrowF32(CpuLevel level);

/// Whether a convolution is to have `narrow`, which follows from its sizes and strides: its cost compared with that of the other ways.
bool NarrowPaysF32(const NarrowF32Kernels* narrow, const ConvF32& conv);

/// As ConvScratchBytes and ConvGrainF32.
int64_t NarrowScratchBytesF32(const ConvF32& conv);
GemmGrain NarrowGrainF32(const ConvF32& conv, int threads);

}  // namespace linnet
