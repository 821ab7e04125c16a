// Float32 convolution tap by tap, where many taps of many pixels lie outside of the image.
//
// A kernel that is dilated widely (DeepLab's rates 12, 24 and 36 on maps of 14 to 33 pixels a side) reaches beyond the image
// with most of its taps: these add nothing. Each tap is a 1x1 convolution of the rectangle of output pixels for which it lies inside,
//
//     output         tap at (-d, -d)     tap at (0, 0)      tap at (0, d)
//     +-------+      . . . . . . .       # # # # # # #      # # . . . . .
//     |       |      . . . . . . .       # # # # # # #      # # . . . . .
//     |       |      . . . . . # #       # # # # # # #      # # . . . . .
//     +-------+      . . . . . # #       # # # # # # #      # # . . . . .
//
// that is added to the output; one that lies inside for all pixels comes last and brings the activation. Whole rows of a rectangle are
// multiplied in place, other pixels are gathered, so that weights fetched serve many.
#pragma once

#include "kernels/conv/conv.h"

namespace linnet {

/// Whether so much lies outside, and channels are so many, that this takes less time than sums over all taps.
bool TapsPay(const ConvF32& conv);

/// As ConvScratchBytes and RunConvF32, the latter for panels of one group.
int64_t TapsScratchBytes(const GemmF32Kernels& kernels, const ConvF32& conv);
void RunTaps(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t group, int64_t pixel0, int64_t pixel1, int64_t panel0,
             int64_t panel1, void* scratch);

/// As ConvGrainF32.
GemmGrain TapsGrain(const ConvF32& conv, int threads);

}  // namespace linnet
