// Float32 convolution of many small groups, row by row.
//
// A group of 4 to 32 channels takes a part of a cache line or a few of each pixel: done one after the other, groups read the image as often
// as there are groups in a line, and copy its rows in small pieces. Here rows of all channels are copied into a ring, padded, once,
//
//     ring row  | 0 0 | pixel 0: group 0, group 1, ...; spare | pixel 1: ...        a segment of A for each tap: group_in floats
//
// and an output row is a product for each group. Pixels have spare floats behind them, as sizes that are powers of two would crowd one cache
// set with what a tile reads.
//
// Groups of 2, 4 or 8 channels that have as many outputs need no product where vectors have 16 lanes: several groups lie in a vector, and
// for each input of a group a permutation brings it to the lanes of its outputs (GroupedF32Kernels). Pixels are read in place then.
#pragma once

#include "kernels/conv/conv.h"

namespace linnet {

/// Whether groups are small, and the ring fits.
bool GroupsShareRows(const ConvF32& conv);

/// As ConvScratchBytes and RunConvF32, the latter for some groups, which have a panel each.
int64_t GroupsScratchBytes(const ConvF32& conv);
void RunGroups(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1, int64_t group0, int64_t group1, void* scratch);

/// As ConvGrainF32.
GemmGrain GroupsGrain(const ConvF32& conv, int threads);

}  // namespace linnet
