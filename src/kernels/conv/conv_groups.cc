// Convolution of small groups: the ring of rows and the products, or vectors of several groups. No vector code here.
#include "kernels/conv/conv_groups.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/conv/depthwise.h"
#include "kernels/copy.h"

namespace linnet {
namespace {

constexpr int64_t kSpareFloats = kPanelColumns;

int64_t RingRows(const ConvF32& c) { return (c.kernel_h - 1) * c.dilation_h + 1; }
int64_t RingPixels(const ConvF32& c) { return (c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1; }

class Rows {
 public:
  Rows(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t group0, int64_t group1, void* scratch)
      : kernels_(kernels), c_(conv), group0_(group0), group1_(group1), group_in_(conv.in_c / conv.groups), group_out_(conv.out_c / conv.groups) {
    channels_ = (group1 - group0) * group_in_, pixel_floats_ = channels_ + kSpareFloats;
    row_floats_ = RingPixels(c_) * pixel_floats_, ring_rows_ = RingRows(c_);
    segments_ = static_cast<SegmentF32*>(scratch);
    holds_ = reinterpret_cast<int64_t*>(segments_ + c_.kernel_h * c_.kernel_w);
    ring_ = reinterpret_cast<float*>(holds_ + ring_rows_);
  }

  void Run(int64_t pixel0, int64_t pixel1) {
    GemmF32 product;
    product.n = group_out_, product.k = c_.kernel_h * c_.kernel_w * group_in_;
    product.segments = segments_, product.segment_count = c_.kernel_h * c_.kernel_w;
    product.a_row_stride = c_.stride_w * pixel_floats_, product.c_row_stride = c_.output_pixel_stride;
    product.epilogue = c_.epilogue;
    const int64_t packed_floats = PackedSizeF32(product.k, group_out_);
    const int64_t line = c_.output_row_stride ? c_.output_row_stride : c_.out_w * c_.output_pixel_stride;
    int64_t image = -1;
    for (int64_t pixel = pixel0; pixel < pixel1; pixel += product.m) {
      const int64_t row = pixel / c_.out_w, x = pixel % c_.out_w, top = row % c_.out_h * c_.stride_h;   // of the kernel, in the padded image
      if (row / c_.out_h != image) {
        image = row / c_.out_h;
        std::fill(holds_, holds_ + ring_rows_, int64_t{-1});
      }
      for (int64_t i = 0; i < c_.kernel_h; ++i) Hold(image, top + i * c_.dilation_h);
      product.m = std::min(c_.out_w - x, pixel1 - pixel);
      float* out = c_.output + row * line + x * c_.output_pixel_stride;
      for (int64_t group = group0_; group < group1_; ++group) {
        PutSegments(top, x, (group - group0_) * group_in_);
        UsePackedB(&product, c_.packed + group * packed_floats);
        product.c = out + group * group_out_;
        if (c_.epilogue.bias) product.epilogue.bias = c_.epilogue.bias + group * group_out_;
        if (c_.epilogue.residual) product.epilogue.residual = c_.epilogue.residual + pixel * c_.epilogue.residual_row_stride + group * group_out_;
        kernels_.run(product, 0, product.m, 0, 1);
      }
    }
  }

 private:
  void PutSegments(int64_t top, int64_t x, int64_t channel) {
    SegmentF32* segment = segments_;
    for (int64_t i = 0; i < c_.kernel_h; ++i) {
      const float* at = ring_ + (top + i * c_.dilation_h) % ring_rows_ * row_floats_ + x * c_.stride_w * pixel_floats_ + channel;
      for (int64_t j = 0; j < c_.kernel_w; ++j, at += c_.dilation_w * pixel_floats_) *segment++ = {at, group_in_};
    }
  }

  // Row `y` of the padded image, in its slot of the ring.
  void Hold(int64_t image, int64_t y) {
    const int64_t slot = y % ring_rows_, row = y - c_.pad_top, pixels = RingPixels(c_);
    if (holds_[slot] == y) return;
    holds_[slot] = y;
    float* to = ring_ + slot * row_floats_;
    const bool inside = row >= 0 && row < c_.in_h;
    const int64_t begin = inside ? std::clamp<int64_t>(c_.pad_left, 0, pixels) : pixels;
    const int64_t end = inside ? std::clamp<int64_t>(c_.in_w + c_.pad_left, begin, pixels) : pixels;
    memset(to, 0, static_cast<size_t>(begin * pixel_floats_) * 4);
    const float* from = c_.input + image * c_.input_batch_stride + row * c_.input_row_stride + group0_ * group_in_;
    for (int64_t x = begin; x < end; ++x) {
      CopyShort(reinterpret_cast<char*>(to + x * pixel_floats_), reinterpret_cast<const char*>(from + (x - c_.pad_left) * c_.input_pixel_stride),
                static_cast<size_t>(channels_) * 4);
    }
    memset(to + end * pixel_floats_, 0, static_cast<size_t>((pixels - end) * pixel_floats_) * 4);
  }

  const GemmF32Kernels& kernels_;
  const ConvF32& c_;
  int64_t group0_, group1_, group_in_, group_out_, channels_, pixel_floats_, row_floats_, ring_rows_;
  SegmentF32* segments_;
  int64_t* holds_;
  float* ring_;
};

// Groups of few channels in vectors of several groups: weights are brought into the order of channels, and rows of the output are computed
// whole, those that are wanted in part beside the output.
class Together {
 public:
  /// For the groups [group0, group1).
  Together(const ConvF32& conv, int64_t group0, int64_t group1)
      : c_(conv), group0_(group0), size_(conv.in_c / conv.groups), d_(DepthwiseOf(conv)) {
    d_.channels = (group1 - group0) * size_, d_.group = size_;
    if (d_.epilogue.bias) d_.epilogue.bias += group0 * size_;
  }

  bool Serves() const { return c_.grouped && c_.out_c == c_.in_c && c_.output_row_stride == 0 && c_.grouped->serves(d_); }
  int64_t weight_floats() const { return c_.kernel_h * c_.kernel_w * size_ * WeightStride(); }
  int64_t bytes() const { return (weight_floats() + c_.out_w * d_.channels) * 4; }

  void Run(int64_t pixel0, int64_t pixel1, float* scratch) {
    d_.input += group0_ * size_, d_.output += group0_ * size_;
    d_.packed = scratch;
    PutWeights(scratch);
    float* const line = scratch + weight_floats();
    while (pixel0 < pixel1) {
      const int64_t row = pixel0 / c_.out_w, x = pixel0 % c_.out_w;
      int64_t rows = (pixel1 - pixel0) / c_.out_w;
      if (x == 0 && rows > 0) {
        c_.grouped->run(d_, row, row + rows, 0, d_.channels);
        pixel0 += rows * c_.out_w;
        continue;
      }
      const int64_t end = std::min(c_.out_w, x + pixel1 - pixel0);
      DepthwiseF32 part = d_;
      part.output = line - row * c_.out_w * d_.channels, part.output_pixel_stride = d_.channels;
      c_.grouped->run(part, row, row + 1, 0, d_.channels);
      for (int64_t i = x; i < end; ++i) {
        memcpy(d_.output + (row * c_.out_w + i) * d_.output_pixel_stride, line + i * d_.channels, static_cast<size_t>(d_.channels) * 4);
      }
      pixel0 += end - x;
    }
  }

 private:
  int64_t WeightStride() const { return PanelCount(d_.channels) * kPanelColumns; }

  // From a panel for each group, of as many rows as taps times inputs.
  void PutWeights(float* to) const {
    const int64_t k = c_.kernel_h * c_.kernel_w * size_, stride = WeightStride(), panel_floats = PackedSizeF32(k, size_);
    const float* panel = c_.packed + group0_ * panel_floats;
    for (int64_t channel = 0; channel < d_.channels; channel += size_, panel += panel_floats) {
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = 0; j < size_; ++j) to[i * stride + channel + j] = panel[i * kPanelColumns + j];
      }
    }
    for (int64_t i = 0; i < k; ++i) std::fill(to + i * stride + d_.channels, to + (i + 1) * stride, 0.0f);
  }

  const ConvF32& c_;
  const int64_t group0_, size_;
  DepthwiseF32 d_;
};

}  // namespace

bool GroupsShareRows(const ConvF32& c) {
  constexpr int64_t kSmallChannels = 32;
  constexpr double kRingBytes = 1 << 19;
  if (c.groups == 1 || c.in_c / c.groups > kSmallChannels || c.out_c / c.groups > kPanelColumns || c.input_channel_stride != 1) return false;
  return 4.0 * static_cast<double>(RingRows(c)) * static_cast<double>(RingPixels(c)) * static_cast<double>(c.in_c + kSpareFloats) <= kRingBytes;
}

int64_t GroupsScratchBytes(const ConvF32& c) {
  const int64_t rows = c.kernel_h * c.kernel_w * static_cast<int64_t>(sizeof(SegmentF32)) + RingRows(c) * 8 +
                       RingRows(c) * RingPixels(c) * (c.in_c + kSpareFloats) * 4;
  // A residual, of which sizes tell nothing, takes the other way.
  const Together together(c, 0, c.groups);
  return together.Serves() ? std::max(rows, together.bytes()) : rows;
}

void RunGroups(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1, int64_t group0, int64_t group1, void* scratch) {
  if (Together together(conv, group0, group1); together.Serves()) return together.Run(pixel0, pixel1, static_cast<float*>(scratch));
  Rows(kernels, conv, group0, group1, scratch).Run(pixel0, pixel1);
}

GemmGrain GroupsGrain(const ConvF32& c, int threads) {
  // Rows, and where these are few, groups.
  constexpr int64_t kLeastRows = 8;
  const int64_t lines = c.batch * c.out_h, wanted = threads == 1 ? 1 : int64_t{2} * threads;
  const int64_t parts = std::max<int64_t>(1, std::min(wanted, lines / std::max(kLeastRows, 2 * c.kernel_h)));
  return {DivUp(lines, parts) * c.out_w, std::max<int64_t>(1, DivUp(c.groups * parts, wanted))};
}

}  // namespace linnet
