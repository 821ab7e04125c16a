// Convolution tap by tap: which pixels a tap serves, and the products. No vector code here.
#include "kernels/conv/conv_taps.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"

namespace linnet {
namespace {

constexpr int64_t kGatherBytes = 512 << 10;

ConvAxis Vertical(const ConvSizes& c) { return {c.in_h, c.out_h, c.kernel_h, c.stride_h, c.dilation_h, c.pad_top}; }
ConvAxis Horizontal(const ConvSizes& c) { return {c.in_w, c.out_w, c.kernel_w, c.stride_w, c.dilation_w, c.pad_left}; }

int64_t GatherStride(const ConvF32& c) { return c.in_c / c.groups + kPanelColumns; }

int64_t GatherRows(const GemmF32Kernels& kernels, const ConvF32& c) {
  const int64_t tile = kernels.rows;
  return std::min(c.pixels(), std::max(tile, kGatherBytes / 4 / GatherStride(c) / tile * tile));
}

class Group {
 public:
  Group(const GemmF32Kernels& kernels, const ConvF32& c, int64_t group, int64_t panel0, int64_t panel1, void* scratch)
      : kernels_(kernels), c_(c), v_(Vertical(c)), h_(Horizontal(c)), group_in_(c.in_c / c.groups), panel0_(panel0), panel1_(panel1) {
    const int64_t group_out = c.out_c / c.groups, k = c.kernel_h * c.kernel_w * group_in_, first = group * group_out + panel0 * kPanelColumns;
    columns_ = std::min(panel1 * kPanelColumns, group_out) - panel0 * kPanelColumns;
    gather_rows_ = GatherRows(kernels, c), gather_stride_ = GatherStride(c);
    gathered_ = static_cast<float*>(scratch);
    sums_ = gathered_ + gather_rows_ * gather_stride_;
    places_ = reinterpret_cast<float**>(sums_ + gather_rows_ * RoundUp(group_out, kPanelColumns));
    input_ = c.input + group * group_in_;
    output_ = c.output + first;
    bias_ = c.epilogue.bias ? c.epilogue.bias + first : nullptr;
    residual_ = c.epilogue.residual ? c.epilogue.residual + first : nullptr;
    packed_ = c.packed + group * PackedSizeF32(k, group_out) + panel0 * kPanelColumns * k;
    product_.n = columns_, product_.k = group_in_;
    product_.b_panel_stride = kPanelColumns * k;
  }

  void Run(int64_t pixel0, int64_t pixel1) {
    Begin(pixel0, pixel1);
    const int64_t last_i = v_.whole_tap(), last_j = h_.whole_tap();
    for (int64_t i = 0; i < c_.kernel_h; ++i) {
      for (int64_t j = 0; j < c_.kernel_w; ++j) {
        if (i != last_i || j != last_j) RunTap(i, j, pixel0, pixel1);
      }
    }
    product_.epilogue = c_.epilogue;
    product_.epilogue.bias = nullptr;
    RunTap(last_i, last_j, pixel0, pixel1);
  }

 private:
  // Sums begin with the bias and the residual, which may be the output itself.
  void Begin(int64_t pixel0, int64_t pixel1) const {
    for (int64_t pixel = pixel0; pixel < pixel1; ++pixel) {
      float* to = output_ + pixel * c_.output_pixel_stride;
      const float* more = residual_ ? residual_ + pixel * c_.epilogue.residual_row_stride : nullptr;
      for (int64_t i = 0; i < columns_; ++i) to[i] = (bias_ ? bias_[i] : 0.0f) + (more ? more[i] : 0.0f);
    }
  }

  void RunTap(int64_t i, int64_t j, int64_t pixel0, int64_t pixel1) {
    product_.b = packed_ + (i * c_.kernel_w + j) * group_in_ * kPanelColumns;
    const int64_t top = v_.begin(i), bottom = v_.end(i), left = h_.begin(j), right = h_.end(j);
    if (top >= bottom || left >= right) return;
    // Rows that lie one behind the other in the input and in the output.
    const bool whole = left == 0 && right == c_.out_w && c_.stride_w == 1 && c_.stride_h == 1 && c_.in_w == c_.out_w &&
                       c_.input_row_stride == c_.in_w * c_.input_pixel_stride;
    for (int64_t pixel = pixel0; pixel < pixel1;) {
      const int64_t row = pixel / c_.out_w, image = row / c_.out_h, first = image * c_.out_h, x = pixel % c_.out_w;
      const int64_t begin = std::max(row, first + top), end = first + bottom;
      if (begin >= end) {
        pixel = (first + c_.out_h) * c_.out_w;
        continue;
      }
      const int64_t rows = whole ? end - begin : 1;
      const int64_t p0 = begin * c_.out_w + (begin == row ? std::max(left, x) : left);
      const int64_t p1 = std::min(pixel1, (begin + rows - 1) * c_.out_w + right);
      pixel = (begin + rows) * c_.out_w;
      if (p0 >= p1) continue;
      const float* from = input_ + image * c_.input_batch_stride + ((begin - first) * c_.stride_h + i * c_.dilation_h - c_.pad_top) * c_.input_row_stride +
                          (p0 % c_.out_w * c_.stride_w + j * c_.dilation_w - c_.pad_left) * c_.input_pixel_stride;
      whole ? Multiply(from, c_.input_pixel_stride, output_ + p0 * c_.output_pixel_stride, c_.output_pixel_stride, p1 - p0)
            : Gather(from, p0, p1);
    }
    Flush();
  }

  // Adds products of rows of A to rows of C.
  void Multiply(const float* a, int64_t a_stride, float* c, int64_t c_stride, int64_t count) {
    product_.m = count;
    product_.a = a, product_.a_row_stride = a_stride;
    product_.c = c, product_.c_row_stride = c_stride;
    product_.epilogue.residual = c, product_.epilogue.residual_row_stride = c_stride;
    kernels_.run(product_, 0, count, 0, panel1_ - panel0_);
  }

  void Gather(const float* from, int64_t pixel, int64_t end) {
    const size_t bytes = static_cast<size_t>(group_in_) * 4, sum_bytes = static_cast<size_t>(columns_) * 4;
    for (; pixel < end; ++pixel, from += c_.stride_w * c_.input_pixel_stride) {
      float* place = output_ + pixel * c_.output_pixel_stride;
      CopyLong(gathered_ + count_ * gather_stride_, from, bytes);
      CopyLong(sums_ + count_ * columns_, place, sum_bytes);
      places_[count_] = place;
      if (++count_ == gather_rows_) Flush();
    }
  }

  void Flush() {
    if (count_ == 0) return;
    Multiply(gathered_, gather_stride_, sums_, columns_, count_);
    for (int64_t i = 0; i < count_; ++i) CopyLong(places_[i], sums_ + i * columns_, static_cast<size_t>(columns_) * 4);
    count_ = 0;
  }

  const GemmF32Kernels& kernels_;
  const ConvF32& c_;
  ConvAxis v_, h_;
  int64_t group_in_, panel0_, panel1_, columns_, gather_rows_, gather_stride_, count_ = 0;
  float *gathered_, *sums_;
  float** places_;   ///< of gathered pixels in the output
  const float* input_;
  float* output_;
  const float *bias_, *residual_, *packed_;
  GemmF32 product_;
};

}  // namespace

bool TapsPay(const ConvF32& c) {
  // What is outside must pay for adding to the output with every tap.
  constexpr double kMostInside = 0.75;
  constexpr int64_t kFewChannels = 64;
  const ConvAxis v = Vertical(c), h = Horizontal(c);
  if (c.in_c / c.groups < kFewChannels || c.out_c / c.groups < kFewChannels || c.input_channel_stride != 1 || c.output_row_stride != 0) return false;
  if (v.mean_taps() * h.mean_taps() > kMostInside * static_cast<double>(c.kernel_h * c.kernel_w)) return false;
  return v.whole_tap() >= 0 && h.whole_tap() >= 0;
}

int64_t TapsScratchBytes(const GemmF32Kernels& kernels, const ConvF32& c) {
  return GatherRows(kernels, c) * ((GatherStride(c) + RoundUp(c.out_c / c.groups, kPanelColumns)) * 4 + static_cast<int64_t>(sizeof(float*)));
}

void RunTaps(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t group, int64_t pixel0, int64_t pixel1, int64_t panel0,
             int64_t panel1, void* scratch) {
  Group(kernels, conv, group, panel0, panel1, scratch).Run(pixel0, pixel1);
}

GemmGrain TapsGrain(const ConvF32& c, int threads) {
  // Every part reads all of its panels' weights; parts of panels gather the same pixels each.
  constexpr int64_t kRows = 512;
  const int64_t panels = PanelCount(c.out_c / c.groups), pixels = c.pixels();
  const int64_t blocks = DivUp(pixels, kRows), wanted = threads == 1 ? 1 : DivUp(int64_t{2} * threads, blocks * c.groups);
  return {DivUp(pixels, blocks), std::max<int64_t>(1, DivUp(panels, wanted))};
}

}  // namespace linnet
