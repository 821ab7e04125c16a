// 8-bit convolution of few channels, as first layers have, from lines of the image: what a row of the kernel reads is one run of bytes there,
// whatever the channels are, so that pixels need no gathering.
//
//     line of a picture     r g b r g b r g b r g b ..      kernel 3x3 of 3 channels: 9 bytes of each of three lines, read as 12 of which
//                           ^ 9 bytes .  ^                   the last have zeros for weights; the next pixel begins `stride_w in_c` bytes on
//
// Weights are laid out anew for every call, each row of the kernel beginning with four k of its own. For instructions whose tiles end with lines
// (Int8Kernels::lines).
#pragma once

#include <stdint.h>

#include "kernels/int8/int8_conv.h"

namespace linnet {

#if defined(__x86_64__) && !defined(LINNET_SMALL)
inline constexpr bool kConvLines = true;
#else
inline constexpr bool kConvLines = false;
#endif

/// Whether that takes less than gathering pixels. Reads only sizes.
bool LinesPayInt8(const Int8Kernels& kernels, const ConvInt8& conv);
/// As ConvScratchBytes and RunConvInt8; weights have no zero points.
int64_t LinesScratchBytesInt8(const ConvInt8& conv);
void RunLinesInt8(const Int8Kernels& kernels, const ConvInt8& conv, int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1, void* scratch);

}  // namespace linnet
