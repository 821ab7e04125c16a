// Float32 convolutions at every instruction set against direct sums in double precision.
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_narrow.h"
#include "kernels/conv/depthwise.h"

#include <gtest/gtest.h>

#include <string.h>

#include <cmath>
#include <vector>

#include "guarded.h"

namespace linnet {
namespace {

struct Case {
  int64_t batch, in_h, in_w, in_c, out_c, groups;
  int64_t kernel_h, kernel_w, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t slice = 0;    // channels before and after, in input and output
  bool planes = false;  // NCHW input
  bool residual = false;
};

/// `narrow`: vectors of pixels, whatever they cost.
void CheckKind(CpuLevel level, const Case& t, bool narrow) {
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " input " << t.batch << "x" << t.in_h << "x"
                                  << t.in_w << "x" << t.in_c << " out_c " << t.out_c << " groups " << t.groups
                                  << " kernel " << t.kernel_h << "x" << t.kernel_w << " stride " << t.stride_h
                                  << "x" << t.stride_w << " slice " << t.slice << " planes " << t.planes << " narrow " << narrow);
  const GemmF32Kernels& kernels = PickGemmF32(level);
  ConvF32 c;
  c.batch = t.batch, c.in_h = t.in_h, c.in_w = t.in_w, c.in_c = t.in_c, c.out_c = t.out_c,
  c.groups = t.groups;
  c.grouped = &PickGroupedF32(level);
  if (narrow) c.narrow = PickNarrowF32(level);
  c.kernel_h = t.kernel_h, c.kernel_w = t.kernel_w, c.stride_h = t.stride_h, c.stride_w = t.stride_w;
  c.dilation_h = t.dilation_h, c.dilation_w = t.dilation_w, c.pad_top = t.pad_top, c.pad_left = t.pad_left;
  c.out_h = (t.in_h + t.pad_top + t.pad_bottom - (t.kernel_h - 1) * t.dilation_h - 1) / t.stride_h + 1;
  c.out_w = (t.in_w + t.pad_left + t.pad_right - (t.kernel_w - 1) * t.dilation_w - 1) / t.stride_w + 1;
  c.input_pixel_stride = t.in_c + t.slice;
  c.input_row_stride = t.in_w * c.input_pixel_stride;
  c.input_batch_stride = t.in_h * c.input_row_stride;
  if (t.planes) {
    c.input_pixel_stride = 1, c.input_row_stride = t.in_w, c.input_channel_stride = t.in_h * t.in_w;
    c.input_batch_stride = t.in_c * c.input_channel_stride;
    if (t.kernel_h != 3) c.transpose = PickTranspose(4, level);  // both ways must do
  }
  c.output_pixel_stride = t.out_c + t.slice;
  const int64_t pixels = c.batch * c.out_h * c.out_w, group_in = t.in_c / t.groups,
                group_out = t.out_c / t.groups;
  Guarded<float> input(t.batch * t.in_h * t.in_w * (t.planes ? t.in_c : c.input_pixel_stride) -
                       (t.planes ? 0 : t.slice));
  Guarded<float> weights(t.out_c * group_in * t.kernel_h * t.kernel_w), bias(t.out_c),
      residual(pixels * t.out_c);
  Guarded<float> packed(PackedConvSizeF32(t.out_c, t.in_c, t.groups, t.kernel_h, t.kernel_w));
  Guarded<float> output(pixels * c.output_pixel_stride - t.slice, 77.0f);
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(weights), numbers.Fill(bias), numbers.Fill(residual);
  PackConvF32(weights.data(), t.out_c, t.in_c, t.groups, t.kernel_h, t.kernel_w, packed.data());
  c.input = input.data(), c.packed = packed.data(), c.output = output.data();
  c.epilogue.bias = bias.data();
  c.epilogue.activation = Activation::kRelu;
  Guarded<double> scratch((ConvScratchBytes(kernels, c) + 7) / 8, NAN);   // by sizes and strides, as a session asks for it
  if (t.residual) c.epilogue.residual = residual.data(), c.epilogue.residual_row_stride = t.out_c;
  // In uneven parts, as threads would.
  for (int64_t p = 0; p < pixels; p += 7 + c.out_w) {
    const int64_t q = std::min(pixels, p + 7 + c.out_w), half = ConvPanels(c) / 2;
    RunConvF32(kernels, c, p, q, 0, half, scratch.data());
    RunConvF32(kernels, c, p, q, half, ConvPanels(c), scratch.data());
  }
  // Whole but for its ends: any split gives the same bits.
  Guarded<float> again(output.size(), 77.0f);
  ConvF32 split = c;
  split.output = again.data();
  const int64_t inner = std::min<int64_t>(1, pixels), last = std::max(inner, pixels - 1);
  RunConvF32(kernels, split, 0, inner, 0, ConvPanels(c), scratch.data());
  RunConvF32(kernels, split, inner, last, 0, ConvPanels(c), scratch.data());
  RunConvF32(kernels, split, last, pixels, 0, ConvPanels(c), scratch.data());
  ASSERT_EQ(0, memcmp(again.data(), output.data(), static_cast<size_t>(output.size()) * sizeof(float)));
  for (int64_t p = 0; p < pixels; ++p) {
    const int64_t n = p / c.out_w / c.out_h, h = p / c.out_w % c.out_h, w = p % c.out_w;
    for (int64_t o = 0; o < t.out_c; ++o) {
      double sum = bias[o], size = 1;
      for (int64_t i = 0; i < t.kernel_h; ++i) {
        for (int64_t j = 0; j < t.kernel_w; ++j) {
          const int64_t y = h * t.stride_h + i * t.dilation_h - t.pad_top;
          const int64_t x = w * t.stride_w + j * t.dilation_w - t.pad_left;
          if (y < 0 || y >= t.in_h || x < 0 || x >= t.in_w) continue;
          for (int64_t k = 0; k < group_in; ++k) {
            const double a =
                input[n * c.input_batch_stride + y * c.input_row_stride + x * c.input_pixel_stride +
                      (o / group_out * group_in + k) * c.input_channel_stride];
            const double b = weights[((o * group_in + k) * t.kernel_h + i) * t.kernel_w + j];
            sum += a * b, size += std::fabs(a * b);
          }
        }
      }
      if (t.residual) sum += residual[p * t.out_c + o];
      ASSERT_NEAR(output[p * c.output_pixel_stride + o], std::max(sum, 0.0), size * 1e-6)
          << "pixel " << p << " " << o;
    }
    for (int64_t o = t.out_c; o < c.output_pixel_stride && p + 1 < pixels; ++o) {
      ASSERT_EQ(output[p * c.output_pixel_stride + o], 77.0f) << "wrote beside its channels";
    }
  }
}

void Check(CpuLevel level, const Case& t) {
  CheckKind(level, t, false);
  if (kNarrow && t.groups == 1 && t.out_c <= kNarrowOutputs && (!t.planes || t.in_c == 1)) CheckKind(level, t, true);
}

TEST(Conv, FewOutputs) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t out_c : {1, 2, 3, 4, 5, 8, 11, 16}) {
      for (int64_t in_c : {1, 2, 3, 4, 7, 9}) {
        Check(level, {2, 5, 37, in_c, out_c, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, in_c == 1, true});
        Check(level, {1, 7, 150, in_c, out_c, 1, 3, 5, 2, 2, 1, 1, 1, 2, 1, 2, in_c == 2 ? 3 : 0});
        Check(level, {1, 9, 20, in_c, out_c, 1, 2, 3, 1, 3, 3, 2, 2, 4, 0, 1});
      }
      Check(level, {2, 5, 33, 6, out_c, 1, 1, 1});
      Check(level, {1, 1, 700, 1, out_c, 1, 1, 61, 1, 2});   // some pieces
    }
  }
}

TEST(Conv, Pointwise) {
  for (CpuLevel level : FloatLevels()) {
    Check(level, {2, 3, 5, 7, 19, 1, 1, 1});
    Check(level, {1, 4, 4, 6, 40, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 3, false, true});
    Check(level, {1, 9, 9, 8, 70, 1, 1, 1, 2, 2});
    Check(level, {1, 5, 5, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  }
}

TEST(Conv, Rows) {
  for (CpuLevel level : FloatLevels()) {
    Check(level, {2, 6, 33, 3, 8, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
    Check(level, {1, 11, 35, 4, 20, 1, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1, 5, false, true});
    Check(level, {2, 13, 31, 3, 32, 1, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 0, true});
    Check(level, {1, 9, 40, 6, 9, 3, 3, 2, 1, 1, 2, 3, 2, 1, 0, 4});
    Check(level, {1, 1, 50, 5, 17, 1, 1, 5, 1, 3, 1, 1, 0, 4, 0, 2});
    Check(level, {1, 4, 4, 2, 3, 1, 3, 3, 1, 1, 1, 1, 5, 5, 5, 5});
    Check(level, {2, 20, 3, 2, 3, 1, 2, 1, 5, 1});
  }
}

TEST(Conv, Gather) {
  for (CpuLevel level : FloatLevels()) {
    Check(level, {2, 7, 5, 16, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
    Check(level, {1, 9, 9, 10, 80, 1, 3, 3, 2, 2, 1, 1, 0, 1, 1, 0, 4, false, true});
    Check(level, {1, 7, 7, 8, 130, 2, 5, 3, 1, 1, 1, 2, 2, 2, 2, 2});
    Check(level, {1, 7, 7, 3, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, true});
    Check(level, {3, 10, 10, 200, 64, 1, 3, 3});
    // Short kernel rows.
    Check(level, {1, 20, 10, 1, 64, 1, 10, 4, 2, 2, 1, 1, 5, 2, 5, 2});
    Check(level, {2, 9, 8, 3, 70, 1, 3, 5, 1, 1, 3, 1, 4, 2, 3, 2});
    Check(level, {1, 4, 4, 2, 64, 1, 3, 3, 1, 1, 1, 1, 5, 5, 5, 5});
    Check(level, {1, 9, 9, 2, 64, 1, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 0, true});
  }
}

/// Small groups, which share rows; one with more channels, and one with channels first, which do not.
TEST(Conv, Groups) {
  for (CpuLevel level : FloatLevels()) {
    Check(level, {2, 9, 15, 24, 24, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5, false, true});
    Check(level, {1, 14, 13, 64, 128, 8, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1});
    Check(level, {3, 7, 7, 32, 32, 8, 5, 3, 1, 2, 2, 1, 3, 1, 2, 1, 0, false, true});
    Check(level, {1, 1, 60, 20, 35, 5, 1, 7, 1, 3, 1, 2, 0, 5, 0, 6, 3});
    Check(level, {1, 8, 8, 12, 6, 2, 1, 1, 2, 1});
    Check(level, {1, 6, 10, 16, 32, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, true});
    Check(level, {1, 6, 10, 80, 48, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, false, true});
    Check(level, {1, 5, 6, 16, 16, 4, 3, 3, 1, 1, 1, 1, -1, -1, 0, 2});
    Check(level, {1, 9, 40, 16, 16, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, false, true});
    // As many outputs as inputs, 2, 4 and 8 of them: several groups in a vector.
    for (int64_t groups : {1, 2, 5, 9, 16}) {
      for (int64_t size : {2, 4, 8}) {
        const int64_t channels = groups * size;
        Check(level, {2, 9, 15, channels, channels, groups, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5});
        Check(level, {1, 14, 13, channels, channels, groups, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1});
        Check(level, {1, 6, 4, channels, channels, groups, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
        Check(level, {1, 12, 22, channels, channels, groups, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 3});
      }
    }
  }
}

/// Dilated so widely that most taps lie outside of the image; some inside for no pixel, one for all.
TEST(Conv, Taps) {
  for (CpuLevel level : FloatLevels()) {
    Check(level, {2, 14, 14, 64, 70, 1, 3, 3, 1, 1, 12, 12, 12, 12, 12, 12, 3});
    Check(level, {1, 14, 9, 66, 64, 1, 3, 3, 1, 1, 24, 24, 24, 24, 24, 24, 0, false, true});
    Check(level, {1, 13, 20, 64, 64, 1, 3, 3, 1, 1, 6, 18, 6, 18, 6, 18, 5, false, true});
    Check(level, {3, 17, 15, 64, 64, 1, 3, 3, 2, 2, 9, 9, 9, 9, 9, 9});
    Check(level, {1, 1, 40, 130, 65, 1, 1, 5, 1, 1, 1, 15, 0, 30, 0, 30});
    Check(level, {1, 12, 12, 128, 160, 2, 3, 3, 1, 1, 10, 11, 10, 11, 10, 11, 0, false, true});
    Check(level, {1, 10, 10, 64, 64, 1, 2, 3, 1, 1, 9, 9, 9, 9, 0, 9});
  }
}

TEST(Conv, TapsAddToWhatTheOutputHolds) {
  for (CpuLevel level : FloatLevels()) {
    const GemmF32Kernels& kernels = PickGemmF32(level);
    ConvF32 c;
    c.in_h = c.in_w = c.out_h = c.out_w = 11, c.in_c = c.out_c = 64, c.kernel_h = c.kernel_w = 3;
    c.dilation_h = c.dilation_w = c.pad_top = c.pad_left = 9;
    c.input_pixel_stride = c.output_pixel_stride = 64, c.input_row_stride = 11 * 64;
    Guarded<float> input(121 * 64), weights(64 * 64 * 9), bias(64), residual(121 * 64), packed(PackedConvSizeF32(64, 64, 1, 3, 3));
    Guarded<float> apart(121 * 64), within(121 * 64);
    Numbers numbers;
    numbers.Fill(input), numbers.Fill(weights), numbers.Fill(bias), numbers.Fill(residual);
    PackConvF32(weights.data(), 64, 64, 1, 3, 3, packed.data());
    memcpy(within.data(), residual.data(), static_cast<size_t>(residual.size()) * 4);
    c.input = input.data(), c.packed = packed.data();
    c.epilogue = {bias.data(), residual.data(), 64, Activation::kSilu, 1};
    Guarded<double> scratch((ConvScratchBytes(kernels, c) + 7) / 8, NAN);
    c.output = apart.data();
    RunConvF32(kernels, c, 0, 121, 0, ConvPanels(c), scratch.data());
    c.output = within.data(), c.epilogue.residual = within.data();
    RunConvF32(kernels, c, 0, 121, 0, ConvPanels(c), scratch.data());
    EXPECT_EQ(memcmp(apart.data(), within.data(), 121 * 64 * 4), 0) << CpuLevelName(level);
  }
}

/// Tasks are whole rows of the output or all of it, and groups of panels; a line is cut too where threads want parts.
TEST(Conv, GrainCutsLines) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t lines : {1, 2, 5, 64}) {
      ConvF32 c;
      c.in_h = c.out_h = lines, c.in_w = 1023, c.out_w = 1019, c.in_c = 64, c.out_c = 256, c.kernel_w = 5;
      c.input_pixel_stride = 64, c.input_row_stride = 1023 * 64, c.output_pixel_stride = 256;
      for (int threads : {1, 2, 4}) {
        SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " " << lines << " lines, " << threads << " threads");
        const GemmGrain grain = ConvGrainF32(PickGemmF32(level), c, threads);
        ASSERT_TRUE(grain.rows > 0 && grain.rows % c.out_w == 0 && grain.panels > 0 && grain.panels <= ConvPanels(c));
        const int64_t tasks = (c.out_h * c.out_w + grain.rows - 1) / grain.rows * ((ConvPanels(c) + grain.panels - 1) / grain.panels);
        EXPECT_GE(tasks, threads);
      }
    }
  }
}

/// One to four columns, which are dot products.
TEST(Conv, FewOutputChannels) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t out_c : {1, 2, 3, 4, 5}) {
      Check(level, {1, 9, 23, 32, out_c, 1, 1, 1});
      Check(level, {2, 9, 37, 19, out_c, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3});
      Check(level, {1, 1, 300, 1, out_c, 1, 1, 64, 1, 2});
      Check(level, {1, 7, 9, 64, out_c, 1, 5, 3, 2, 1, 1, 1, 2, 1, 2, 1, 0, false, true});
      Check(level, {1, 6, 21, 40, 2 * out_c, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
    }
  }
}

}  // namespace
}  // namespace linnet
