// 8-bit depthwise convolution by that of floats: products of bytes, and sums of up to 258 of them, are below 2^24, which float32 holds.
//
// For 16 channels at a time, rows of the image become floats less their zero point, in a ring of rows; the kernel for floats
// (conv/depthwise.h), which reads an input once for all taps that it meets, makes rows of sums of them, and these become integers again
// for what follows the sums of any product:
//
//     rows of bytes -> ring of floats [row][pixel][16] -> sums [pixel][16] -> FinishInt8
#include <algorithm>

#include "base/memory.h"
#include "kernels/conv/depthwise.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_depthwise_ring.h"

#if !defined(LINNET_SMALL)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_depthwise_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Of this target. Defined in conv/depthwise.cc and int8_gemm_finish.cc.
DepthwiseF32Fn DepthwiseRows;
void Int8Finish(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                int64_t columns);

constexpr int64_t kSlice = DepthwiseFloatsLayout::kSlice, kVector = HWY_LANES(float);
using I32 = hn::RebindToSigned<F32>;

// 16 channels (those from `channels` on read as anything) of `pixels` pixels, less `zero`.
template <class T>
void FloatsLessZero(const T* from, int64_t step, int64_t channels, int64_t pixels, int32_t zero, float* to) {
  const F32 d;
  const hn::Rebind<T, F32> d8;
  const I32 di;
  const auto less = hn::Set(di, zero);
  auto pixel = [&](const T* bytes) HWY_ATTR {
    LINNET_UNROLL
    for (int64_t i = 0; i < kSlice; i += kVector) {
      hn::StoreU(hn::ConvertTo(d, hn::Sub(hn::PromoteTo(di, hn::LoadU(d8, bytes + i)), less)), d, to + i);
    }
    to += kSlice;
  };
  // A pixel of fewer channels is read with some of those behind it, but for the last.
  const int64_t ahead = channels < kSlice ? DivUp(kSlice - channels, step) : 0;
  int64_t x = 0;
  for (; x + ahead < pixels; ++x) pixel(from + x * step);
  for (; x < pixels; ++x) {
    T bytes[kSlice] = {};
    std::copy_n(from + x * step, channels, bytes);
    pixel(bytes);
  }
}

class FloatRows {
 public:
  FloatRows(const DepthwiseInt8& c, const void* prepared, void* scratch)
      : c_(c), layout_(c), weights_(static_cast<const float*>(prepared)), ring_(static_cast<float*>(scratch)),
        sums_(ring_ + layout_.rows * c.in_w * kSlice), finish_(c.finish) {
    finish_.column_zero = nullptr;
    rows_.input = ring_, rows_.input_row_stride = c.in_w * kSlice, rows_.input_pixel_stride = kSlice, rows_.input_ring_rows = layout_.rows;
    rows_.in_h = c.in_h, rows_.in_w = c.in_w, rows_.out_w = c.out_w, rows_.channels = kSlice;
    rows_.kernel_h = c.kernel_h, rows_.kernel_w = c.kernel_w, rows_.stride_h = c.stride_h, rows_.stride_w = c.stride_w;
    rows_.dilation_h = c.dilation_h, rows_.dilation_w = c.dilation_w, rows_.pad_left = c.pad_left;
    rows_.output = sums_, rows_.output_pixel_stride = kSlice;
  }

  // Rows [row0, row1) of the output, of one image.
  void Run(int64_t row0, int64_t row1) {
    const int64_t image = row0 / c_.out_h * c_.out_h;
    for (int64_t channel = 0; channel < c_.channels; channel += kSlice) {
      rows_.packed = weights_ + channel * c_.kernel_h * c_.kernel_w;
      int64_t kept = 0;   // rows of the image up to here are in the ring, or not needed any more
      for (int64_t row = row0; row < row1; row += layout_.together) {
        const int64_t count = std::min(layout_.together, row1 - row), top = (row - image) * c_.stride_h - c_.pad_top;
        const int64_t until = std::clamp<int64_t>(top + layout_.Reach(count), 0, c_.in_h);
        for (kept = std::max(kept, top); kept < until; ++kept) Fill(image / c_.out_h, kept, channel);
        rows_.out_h = count, rows_.pad_top = -top;
        DepthwiseRows(rows_, 0, count, 0, kSlice);
        Finish(row, count, channel);
      }
    }
  }

 private:
  void Fill(int64_t image, int64_t y, int64_t channel) {
    const uint8_t* const from = c_.input + (image * c_.in_h + y) * c_.in_w * c_.channels + channel;
    float* const to = ring_ + y % layout_.rows * c_.in_w * kSlice;
    const int64_t channels = std::min(kSlice, c_.channels - channel);
    c_.input_signed ? FloatsLessZero(reinterpret_cast<const int8_t*>(from), c_.channels, channels, c_.in_w, c_.input_zero, to)
                    : FloatsLessZero(from, c_.channels, channels, c_.in_w, c_.input_zero, to);
  }

  void Finish(int64_t row, int64_t count, int64_t channel) {
    constexpr int64_t kPixels = 32;   // that Int8Finish takes
    const F32 d;
    const I32 di;
    alignas(64) int32_t sums[kPixels * kSlice];
    const int64_t pixels = count * c_.out_w, channels = std::min(kSlice, c_.channels - channel);
    for (int64_t pixel = 0; pixel < pixels; pixel += kPixels) {
      const int64_t some = std::min(kPixels, pixels - pixel);
      for (int64_t i = 0; i < some * kSlice; i += kVector) {
        hn::Store(hn::ConvertTo(di, hn::Load(d, sums_ + pixel * kSlice + i)), di, sums + i);
      }
      Int8Finish(finish_, sums, nullptr, row * c_.out_w + pixel, static_cast<int>(some), channel, channels);
    }
  }

  const DepthwiseInt8& c_;
  const DepthwiseFloatsLayout layout_;
  const float* const weights_;
  float* const ring_;
  float* const sums_;
  FinishInt8 finish_;
  DepthwiseF32 rows_;
};

void DepthwiseFloatRows(const DepthwiseInt8& c, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
  FloatRows rows(c, prepared, scratch);
  while (row0 < row1) {
    const int64_t end = std::min(row1, (row0 / c.out_h + 1) * c.out_h);
    rows.Run(row0, end);
    row0 = end;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

int64_t DepthwiseFloatRowsBytes(const DepthwiseInt8& c) {
  return c.kernel_h * c.kernel_w * RoundUp(c.channels, DepthwiseFloatsLayout::kSlice) * static_cast<int64_t>(sizeof(float));
}

void PrepareDepthwiseFloatRows(const DepthwiseInt8& c, void* prepared) {
  const int64_t taps = c.kernel_h * c.kernel_w, padded = RoundUp(c.channels, int64_t{8});
  float* to = static_cast<float*>(prepared);
  for (int64_t channel0 = 0; channel0 < c.channels; channel0 += DepthwiseFloatsLayout::kSlice) {
    for (int64_t t = 0; t < taps; ++t) {
      const int16_t* const from = c.packed + t / 2 * padded * 2 + t % 2;
      for (int64_t channel = channel0; channel < channel0 + DepthwiseFloatsLayout::kSlice; ++channel) *to++ = channel < padded ? from[channel * 2] : 0;
    }
  }
}

DepthwiseInt8Fn* PickDepthwiseFloatRows(CpuLevel level) { return LINNET_PICK(level, DepthwiseFloatRows); }

}  // namespace linnet
#endif

#endif  // LINNET_SMALL
