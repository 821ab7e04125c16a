// 8-bit loops: sums and products of two quantized arrays, functions of one by table, sums over its rows and
// their means, softmax.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// The real number of byte q is scale * (q - zero).
struct ByteScale {
  float scale = 1;
  int32_t zero = 0;
};

enum class QBinary : uint8_t { kAdd, kMul };

/// Two operands, and the result: saturate(round(real / out.scale) + out.zero), halves to even, each step rounded to float.
/// Bytes are clamped to [low, high], which lie in the type's range.
struct QBinaryArgs {
  ByteScale x, y, out;
  int32_t low = 0, high = 255;
};
/// out[i] from x[i] and y[i], i < n; bit 0 (1) of `scalars`: x (y) is one byte for all. Touches nothing else; out may be x or y.
using QBinaryFn = void(const QBinaryArgs& args, const void* x, const void* y, void* out, int64_t n, uint32_t scalars);
QBinaryFn* PickQBinary(QBinary op, bool is_signed, CpuLevel level);

/// sums[i] += x[row * row_stride + i] over `rows`, i < n; at most 2^16 rows at a time keep 32 bits from overflowing.
using SumRowsFn = void(const void* x, int64_t rows, int64_t row_stride, int64_t n, int32_t* sums);
SumRowsFn* PickSumRows(bool is_signed, CpuLevel level);

/// sums[p n + i] = the sum of x[p step + t tap_step + i] over t < taps, for p < pixels, i < n. kSumsSlack numbers behind what x has may be
/// read, and behind what sums has be written.
inline constexpr int64_t kSumsSlack = 16;
using SumTapsFn = void(const int32_t* x, int64_t pixels, int64_t step, int64_t taps, int64_t tap_step, int64_t n, int32_t* sums);
SumTapsFn* PickSumTaps(CpuLevel level);

/// Means of bytes from their sums: saturate(round(scale ((sum - shift) / count - less) / out.scale) + out.zero), each step rounded to
/// float; count >= 1, sum - shift below 2^24 in magnitude.
struct QMeanArgs {
  float scale = 1, count = 1, less = 0;
  int32_t shift = 0;
  ByteScale out;
};
/// out[i] from sums[i], i < n.
using QMeanFn = void(const QMeanArgs& args, const int32_t* sums, int64_t n, void* out);
QMeanFn* PickQMean(bool is_signed, CpuLevel level);

/// Softmax of a row of bytes by what e^-d is, d being how far one is below the row's largest: as floats, and in 2^-24 as whole numbers,
/// which are summed. Results are saturate(round(real[d] scale) + zero), scale = 2^24 / (sum out.scale) rounded to float, FLT_MAX at most.
struct QSoftmaxArgs {
  float real[256];
  uint32_t whole[256];
  ByteScale out;

  float ScaleOf(uint64_t sum) const {
    const double scale = (1 << 24) / (static_cast<double>(sum) * static_cast<double>(out.scale));
    return scale < 0x1.fffffep127 ? static_cast<float>(scale) : 0x1.fffffep127f;
  }
};
/// y[i], i < n, n >= 1; y may be x.
using QSoftmaxFn = void(const QSoftmaxArgs& args, const void* x, int64_t n, void* y);
QSoftmaxFn* PickQSoftmax(bool is_signed, CpuLevel level);

/// out[i] = table[x[i]], i < n, bytes taken as unsigned, of a table of 256. out may be x.
using LookUpBytesFn = void(const uint8_t* table, const uint8_t* x, int64_t n, uint8_t* out);
LookUpBytesFn* PickLookUpBytes(CpuLevel level);

}  // namespace linnet
