// Convolutions with operands rounded to bfloat16 and float16, at every instruction set and on emulated tiles, against direct sums in
// double precision of operands rounded one by one.
#include "kernels/half/half_conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/float_types.h"
#include "half_test_util.h"
#include "guarded.h"

namespace linnet {
namespace {

struct Case {
  int64_t batch, in_h, in_w, in_c, out_c;
  int64_t kernel_h, kernel_w, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t slice = 0;    // channels before and after, in input and output
  bool residual = false;
};

void Check(const HalfKernels& kernels, const Case& t) {
  SCOPED_TRACE(testing::Message() << kernels.name << " input " << t.batch << "x" << t.in_h << "x" << t.in_w << "x" << t.in_c
                                  << " out_c " << t.out_c << " kernel " << t.kernel_h << "x" << t.kernel_w << " stride "
                                  << t.stride_h << "x" << t.stride_w << " dilation " << t.dilation_h << "x" << t.dilation_w
                                  << " slice " << t.slice);
  ConvF32 c;
  c.batch = t.batch, c.in_h = t.in_h, c.in_w = t.in_w, c.in_c = t.in_c, c.out_c = t.out_c;
  c.kernel_h = t.kernel_h, c.kernel_w = t.kernel_w, c.stride_h = t.stride_h, c.stride_w = t.stride_w;
  c.dilation_h = t.dilation_h, c.dilation_w = t.dilation_w, c.pad_top = t.pad_top, c.pad_left = t.pad_left;
  c.out_h = (t.in_h + t.pad_top + t.pad_bottom - (t.kernel_h - 1) * t.dilation_h - 1) / t.stride_h + 1;
  c.out_w = (t.in_w + t.pad_left + t.pad_right - (t.kernel_w - 1) * t.dilation_w - 1) / t.stride_w + 1;
  c.input_pixel_stride = t.in_c + t.slice;
  c.input_row_stride = t.in_w * c.input_pixel_stride;
  c.input_batch_stride = t.in_h * c.input_row_stride;
  c.output_pixel_stride = t.out_c + t.slice;
  const int64_t pixels = c.batch * c.out_h * c.out_w, taps = t.kernel_h * t.kernel_w;
  Guarded<float> input(t.batch * t.in_h * t.in_w * c.input_pixel_stride - t.slice), weights(t.out_c * t.in_c * taps), bias(t.out_c);
  Guarded<float> residual(pixels * t.out_c), output(pixels * c.output_pixel_stride - t.slice, 77.0f), temporary(weights.size());
  Guarded<char> packed(PackedConvSizeHalf(t.out_c, t.in_c, taps));
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(weights), numbers.Fill(bias), numbers.Fill(residual);
  PackConvHalf(kernels.format, weights.data(), t.out_c, t.in_c, taps, temporary.data(), packed.data());
  c.input = input.data(), c.packed = reinterpret_cast<const float*>(packed.data()), c.output = output.data();
  c.epilogue.bias = bias.data();
  c.epilogue.activation = Activation::kRelu;
  if (t.residual) c.epilogue.residual = residual.data(), c.epilogue.residual_row_stride = t.out_c;
  const int64_t panels = PanelCount(t.out_c);
  Guarded<char> scratch(ConvHalfScratchBytes(kernels, c), '\xFF');   // NaN
  RunConvHalf(kernels, c, 0, pixels, 0, panels, scratch.data());
  for (int64_t p = 0; p < pixels; ++p) {
    const int64_t n = p / c.out_w / c.out_h, h = p / c.out_w % c.out_h, w = p % c.out_w;
    for (int64_t o = 0; o < t.out_c; ++o) {
      double sum = static_cast<double>(bias[o]), size = 1;
      for (int64_t i = 0; i < t.kernel_h; ++i) {
        for (int64_t j = 0; j < t.kernel_w; ++j) {
          const int64_t y = h * t.stride_h + i * t.dilation_h - t.pad_top, x = w * t.stride_w + j * t.dilation_w - t.pad_left;
          if (y < 0 || y >= t.in_h || x < 0 || x >= t.in_w) continue;
          for (int64_t k = 0; k < t.in_c; ++k) {
            const double a = double{RoundedTo(kernels.format, input[n * c.input_batch_stride + y * c.input_row_stride + x * c.input_pixel_stride + k])};
            const double b = double{RoundedTo(kernels.format, weights[((o * t.in_c + k) * t.kernel_h + i) * t.kernel_w + j])};
            sum += a * b, size += std::fabs(a * b);
          }
        }
      }
      if (t.residual) sum += static_cast<double>(residual[p * t.out_c + o]);
      ASSERT_NEAR(static_cast<double>(output[p * c.output_pixel_stride + o]), std::max(sum, 0.0), size * SumTolerance(kernels, t.in_c * taps)) << "pixel " << p << " " << o;
    }
    for (int64_t o = t.out_c; o < c.output_pixel_stride && p + 1 < pixels; ++o) {
      ASSERT_EQ(output[p * c.output_pixel_stride + o], 77.0f) << "wrote beside its channels";
    }
  }
  // In uneven parts, as threads would.
  Guarded<float> parts(output.size(), 77.0f);
  c.output = parts.data();
  for (int64_t p = 0; p < pixels; p += 7 + c.out_w) {
    const int64_t q = std::min(pixels, p + 7 + c.out_w), half = panels / 2;
    RunConvHalf(kernels, c, p, q, 0, half, scratch.data());
    RunConvHalf(kernels, c, p, q, half, panels, scratch.data());
  }
  for (int64_t i = 0; i < output.size(); ++i) ASSERT_EQ(output[i], parts[i]) << "in parts, at " << i;
}

TEST(HalfConv, Pointwise) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    Check(*kernels, {2, 3, 5, 7, 19, 1, 1});
    Check(*kernels, {1, 1, 1, 40, 33, 1, 1});
    Check(*kernels, {1, 4, 4, 6, 40, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 3, true});
    Check(*kernels, {1, 9, 9, 8, 70, 1, 1, 2, 2});
    Check(*kernels, {1, 14, 14, 64, 40, 1, 1, 2, 2});
    Check(*kernels, {1, 5, 5, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  }
}

TEST(HalfConv, Strips) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    Check(*kernels, {2, 6, 33, 4, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
    Check(*kernels, {1, 14, 14, 32, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
    Check(*kernels, {2, 11, 13, 24, 20, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1, 6, true});
    Check(*kernels, {1, 14, 15, 64, 17, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1});
    Check(*kernels, {1, 9, 20, 6, 9, 3, 2, 1, 1, 2, 3, 2, 1, 0, 4});
    Check(*kernels, {1, 1, 50, 10, 17, 1, 5, 1, 3, 1, 1, 0, 4, 0, 2});
    Check(*kernels, {1, 4, 4, 2, 3, 3, 3, 1, 1, 1, 1, 5, 5, 5, 5});
    Check(*kernels, {2, 20, 3, 2, 3, 2, 1, 5, 1});
    Check(*kernels, {1, 40, 60, 96, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});   // several strips
  }
}

TEST(HalfConv, Gather) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    Check(*kernels, {2, 7, 5, 15, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
    Check(*kernels, {1, 9, 9, 11, 40, 3, 3, 2, 2, 1, 1, 0, 1, 1, 0, 4, true});
    Check(*kernels, {1, 7, 7, 3, 30, 5, 3, 1, 1, 1, 2, 2, 2, 2, 2});
    Check(*kernels, {1, 3, 3, 5, 30, 3, 3});
    Check(*kernels, {1, 5, 5, 202, 30, 1, 1, 2, 2});   // no even steps
    Check(*kernels, {3, 20, 20, 51, 20, 3, 3});
  }
}

}  // namespace
}  // namespace linnet
