// Scale and zero point of an 8-bit tensor, as the operators of com.microsoft take them: two inputs of one number each.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/int8/qlinear.h"
#include "ops/op.h"

namespace linnet {

/// Fails unless inputs `scale` and `scale + 1` are one float and one number of the type of input `like`.
Status CheckByteScale(const InferContext& c, int scale, int like);
/// Reads inputs `scale` and `scale + 1` (0 when left out) of a tensor of bytes; fails unless the scale is finite and above 0.
Result<ByteScale> ReadByteScale(const RunContext& c, int scale, DType dtype);

inline float RealOf(const ByteScale& s, int32_t q) { return s.scale * static_cast<float>(q - s.zero); }
/// saturate(round(real / scale) + zero); NaN becomes the least number.
template <class T>
T StoredAs(const ByteScale& s, float real) {
  const float low = static_cast<float>(std::numeric_limits<T>::min() - s.zero), high = static_cast<float>(std::numeric_limits<T>::max() - s.zero);
  float v = real / s.scale;
  v = v > low ? v : low;
  v = v < high ? v : high;
  constexpr float kHalfUlp = 0x1.8p23f;   // adding it rounds to integers, halves to even, in the default mode
  return static_cast<T>(static_cast<int32_t>((v + kHalfUlp) - kHalfUlp) + s.zero);
}

/// Columns that AddRows and ByteMeans take at a time, at most.
inline constexpr int64_t kSummedColumns = 256;
/// sums[k] += all of `rows` rows, k < n: rows by `few`, which holds what 32 bits do.
inline void AddRows(SumRowsFn* few, const void* x, int64_t rows, int64_t row_stride, int64_t n, int64_t* sums) {
  constexpr int64_t kRows = 1 << 16;
  for (int64_t done = 0; done < rows; done += kRows) {
    int32_t part[kSummedColumns] = {};
    few(static_cast<const uint8_t*>(x) + done * row_stride, std::min(kRows, rows - done), row_stride, n, part);
    for (int64_t k = 0; k < n; ++k) sums[k] += part[k];
  }
}

/// Means of rows of bytes, column by column, as bytes of another scale.
struct ByteMeans {
  SumRowsFn* sum_rows[2] = {};   ///< unsigned, signed
  QMeanFn* means[2] = {};
  SumTapsFn* sum_taps = nullptr;
  static constexpr int64_t kFewRows = (1 << 24) / 256;   ///< whose sums a float holds

  void Prepare(CpuLevel level) {
    sum_taps = PickSumTaps(level);
    for (bool is_signed : {false, true}) sum_rows[is_signed] = PickSumRows(is_signed, level), means[is_signed] = PickQMean(is_signed, level);
  }

  /// y[k], k < n <= kSummedColumns: in.scale times the sum over `rows` rows, less in.zero each, divided by `count`; or, zero_last, the mean of
  /// the bytes less in.zero. `each(add)` calls add(x, rows, row_stride) for all rows.
  template <class T, class Each>
  void Store(const ByteScale& in, const ByteScale& out, bool zero_last, int64_t rows, int64_t count, int64_t n, T* y, Each each) const {
    constexpr bool kSigned = std::is_signed_v<T>;
    const int64_t shift = zero_last ? 0 : rows * in.zero;
    const float less = zero_last ? static_cast<float>(in.zero) : 0;
    if (rows <= kFewRows) {
      int32_t sums[kSummedColumns] = {};
      each([&](const T* x, int64_t some, int64_t row_stride) { sum_rows[kSigned](x, some, row_stride, n, sums); });
      return means[kSigned]({in.scale, static_cast<float>(count), less, static_cast<int32_t>(shift), out}, sums, n, y);
    }
    int64_t sums[kSummedColumns] = {};
    each([&](const T* x, int64_t some, int64_t row_stride) {
      AddRows(sum_rows[kSigned], x, some, row_stride, n, sums);
    });
    for (int64_t k = 0; k < n; ++k) {
      const double mean = static_cast<double>(sums[k] - shift) / static_cast<double>(count);
      y[k] = StoredAs<T>(out, in.scale * (static_cast<float>(mean) - less));
    }
  }
};

/// A function of one byte as a table by its bits.
template <class F>
void FillByteTable(DType dtype, const ByteScale& in, const ByteScale& out, uint8_t* table, F&& f) {
  for (int i = 0; i < 256; ++i) {
    const bool is_signed = dtype == DType::kInt8;
    const float y = f(RealOf(in, is_signed ? static_cast<int8_t>(i) : i));
    table[i] = is_signed ? static_cast<uint8_t>(StoredAs<int8_t>(out, y)) : StoredAs<uint8_t>(out, y);
  }
}

}  // namespace linnet
