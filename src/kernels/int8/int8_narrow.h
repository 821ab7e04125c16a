// 8-bit convolutions of few outputs: lanes of a vector are pixels (conv/narrow.h). Words are four bytes where an instruction multiplies them,
// and two 16-bit numbers elsewhere.
#pragma once

#include "kernels/conv/narrow.h"
#include "kernels/int8/int8_conv.h"

namespace linnet {

/// The functions of one instruction set.
struct NarrowInt8Kernels {
  int64_t unit;      ///< elements of a word
  NarrowCosts costs;
  double pixel_ns;   ///< about how long other ways take for a pixel,
  int64_t columns;   ///< of whose outputs they do so many at once
  /// As RunConvInt8, of all panels.
  void (*run)(const Int8Kernels& kernels, const ConvInt8& conv, int64_t pixel0, int64_t pixel1, void* scratch);
};
/// Null where there are none. `wide`: for weights that a signed byte does not hold (ConvInt8::line).
const NarrowInt8Kernels* PickNarrowInt8(CpuLevel level, bool wide = false);

/// Whether a convolution is to have `narrow`, which follows from its sizes: its cost compared with that of the other ways. `line`: it is to
/// have ConvInt8::line.
bool NarrowPaysInt8(const Int8Kernels& kernels, const NarrowInt8Kernels* narrow, const ConvInt8& conv, bool line = false);

/// As ConvScratchBytes.
int64_t NarrowScratchBytesInt8(const ConvInt8& conv);
/// As ConvGrainInt8.
GemmGrain NarrowGrainInt8(const ConvInt8& conv, int threads);

}  // namespace linnet
