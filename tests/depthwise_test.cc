// Float32 depthwise convolution at every instruction set against direct sums in double precision.
#include "kernels/conv/depthwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "guarded.h"

namespace linnet {
namespace {

struct Case {
  int64_t batch, in_h, in_w, channels, kernel_h, kernel_w;
  int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t slice = 0;
  bool residual = false;
  Activation activation = Activation::kClip;
};

void Check(CpuLevel level, const Case& t) {
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " input " << t.batch << "x" << t.in_h << "x"
                                  << t.in_w << "x" << t.channels << " kernel " << t.kernel_h << "x"
                                  << t.kernel_w << " stride " << t.stride_h << "x" << t.stride_w);
  DepthwiseF32 c;
  c.batch = t.batch, c.in_h = t.in_h, c.in_w = t.in_w, c.channels = t.channels;
  c.kernel_h = t.kernel_h, c.kernel_w = t.kernel_w, c.stride_h = t.stride_h, c.stride_w = t.stride_w;
  c.dilation_h = t.dilation_h, c.dilation_w = t.dilation_w, c.pad_top = t.pad_top, c.pad_left = t.pad_left;
  c.out_h = (t.in_h + t.pad_top + t.pad_bottom - (t.kernel_h - 1) * t.dilation_h - 1) / t.stride_h + 1;
  c.out_w = (t.in_w + t.pad_left + t.pad_right - (t.kernel_w - 1) * t.dilation_w - 1) / t.stride_w + 1;
  c.input_pixel_stride = c.output_pixel_stride = t.channels + t.slice;
  c.input_row_stride = t.in_w * c.input_pixel_stride;
  c.input_batch_stride = t.in_h * c.input_row_stride;
  const int64_t pixels = c.batch * c.out_h * c.out_w;
  Guarded<float> input(t.batch * c.input_batch_stride - t.slice),
      weights(t.channels * t.kernel_h * t.kernel_w);
  Guarded<float> bias(t.channels), residual(pixels * t.channels);
  Guarded<float> packed(PackedDepthwiseSizeF32(t.channels, t.kernel_h, t.kernel_w));
  Guarded<float> output(pixels * c.output_pixel_stride - t.slice, 77.0f);
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(weights), numbers.Fill(bias), numbers.Fill(residual);
  PackDepthwiseF32(weights.data(), t.channels, t.kernel_h, t.kernel_w, packed.data());
  c.input = input.data(), c.packed = packed.data(), c.output = output.data();
  c.epilogue.bias = bias.data(), c.epilogue.activation = t.activation;
  c.epilogue.alpha = -1, c.epilogue.beta = 1;
  if (t.residual) c.epilogue.residual = residual.data(), c.epilogue.residual_row_stride = t.channels;
  const int64_t rows = c.batch * c.out_h, middle = std::min<int64_t>(16, t.channels);
  DepthwiseF32Fn* run = PickDepthwiseF32(level);
  run(c, 0, rows / 2, 0, middle), run(c, 0, rows / 2, middle, t.channels);
  run(c, rows / 2, rows, 0, t.channels);
  for (int64_t p = 0; p < pixels; ++p) {
    const int64_t n = p / c.out_w / c.out_h, h = p / c.out_w % c.out_h, w = p % c.out_w;
    for (int64_t k = 0; k < t.channels; ++k) {
      double sum = bias[k];
      for (int64_t i = 0; i < t.kernel_h; ++i) {
        for (int64_t j = 0; j < t.kernel_w; ++j) {
          const int64_t y = h * t.stride_h + i * t.dilation_h - t.pad_top;
          const int64_t x = w * t.stride_w + j * t.dilation_w - t.pad_left;
          if (y < 0 || y >= t.in_h || x < 0 || x >= t.in_w) continue;
          sum +=
              static_cast<double>(
                  input[n * c.input_batch_stride + y * c.input_row_stride + x * c.input_pixel_stride + k]) *
              weights[(k * t.kernel_h + i) * t.kernel_w + j];
        }
      }
      if (t.residual) sum += residual[p * t.channels + k];
      const double expected = t.activation == Activation::kClip        ? std::clamp(sum, -1.0, 1.0)
                              : t.activation == Activation::kHardSwish ? sum * std::clamp(sum / 6 + 0.5, 0.0, 1.0)
                                                                       : std::tanh(sum);
      ASSERT_NEAR(output[p * c.output_pixel_stride + k], expected, 1e-5) << "pixel " << p << " channel " << k;
    }
    for (int64_t k = t.channels; k < c.output_pixel_stride && p + 1 < pixels; ++k) {
      ASSERT_EQ(output[p * c.output_pixel_stride + k], 77.0f) << "wrote beside its channels";
    }
  }
}

TEST(Depthwise, ChannelTails) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t channels = 1; channels <= 36; ++channels) {
      Check(level, {1, 4, 13, channels, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, true});
    }
  }
}

TEST(Depthwise, Shapes) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t kernel : {1, 2, 3, 5, 7}) {
      for (int64_t stride : {1, 2, 3}) {
        const int64_t pad = kernel / 2;
        Check(level, {2, 9, 17, 20, kernel, kernel, stride, stride, 1, 1, pad, pad, pad, pad, 3});
        Check(level, {1, 12, 7, 5, kernel, 1, stride, 2, 1, 1, pad, 0, 0, 1});
        if (kernel <= 3) Check(level, {1, 14, 15, 16, kernel, kernel, stride, 1, 2, 3, 4, 0, 0, 5});
      }
    }
    // Fewer pixels a row than the biggest tile has.
    for (int64_t width = 2; width < 8; ++width) {
      Check(level, {1, 5, width, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, false, Activation::kTanh});
    }
    for (int64_t width = 1; width < 12; ++width) {
      for (int64_t kernel : {3, 4, 5, 7}) {
        const int64_t pad = kernel / 2;
        Check(level, {1, 4, width + 1, 28, kernel, kernel, 1, 1, 1, 1, pad, pad, pad, pad, 2, true});
        Check(level, {1, 9, 2 * width, 16, kernel, kernel, 2, 2, 1, 1, pad, pad, pad, pad, 0, true});
      }
    }
    for (int64_t width = 3; width < 9; ++width) {
      for (int64_t kernel : {3, 5}) {
        const int64_t pad = kernel / 2;
        Check(level, {2, 6, width, 24, kernel, kernel, 1, 1, 1, 1, pad, pad, pad, pad, 1});
        Check(level, {2, 7, 2 * width, 24, kernel, kernel, 2, 2, 1, 1, pad, pad, pad, pad, 1});
        Check(level, {1, 7, 2 * width + 1, 24, kernel, kernel, 2, 2, 1, 1, pad, pad, pad, pad, 0, false, Activation::kTanh});
      }
    }
    // Square kernels on images at least seven pixels wide, whole vectors of channels and part of one.
    for (int64_t kernel : {3, 5}) {
      for (int64_t dilation : {1, 2, 3, 4}) {
        for (int64_t channels : {16, 24, 40}) {
          for (int64_t pad : {int64_t{0}, dilation, kernel / 2 * dilation, kernel / 2 * dilation + 1}) {
            Check(level, {2, 19, 17 + 7 * dilation, channels, kernel, kernel, 1, 1, dilation, dilation, pad, pad, pad, pad, 5});
            for (Activation activation : {Activation::kTanh, Activation::kHardSwish}) {
              Check(level, {1, 21, 23, channels, kernel, kernel, 1, 1, dilation, dilation, pad, pad, 0, 0, 0, false, activation});
            }
          }
        }
      }
      for (int64_t width : {13, 14, 15, 29}) {
        for (int64_t left : {0, 1, 2}) Check(level, {2, 11, width, 40, kernel, kernel, 2, 2, 1, 1, left, left, 2, 2, 1});
      }
    }
    Check(level, {1, 1, 1, 6, 3, 3, 1, 1, 1, 1, 4, 4, 4, 4});  // some pixels see padding only
    Check(level, {1, 6, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, true, Activation::kTanh});
    Check(level, {1, 8, 9, 17, 3, 3, 1, 1, 1, 1, -1, -2, 0, 0});
  }
}

}  // namespace
}  // namespace linnet
