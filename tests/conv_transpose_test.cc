// Float32 transposed convolution at every instruction set against scattering in double precision.
#include "kernels/conv/conv_transpose.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "guarded.h"

namespace linnet {
namespace {

struct Case {
  int64_t batch, in_h, in_w, in_c, out_c, groups, kernel_h, kernel_w;
  int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t more_h = 0, more_w = 0;  // output_padding
};

void Check(CpuLevel level, const Case& t) {
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " input " << t.in_h << "x" << t.in_w << "x"
                                  << t.in_c << " kernel " << t.kernel_h << "x" << t.kernel_w << " stride "
                                  << t.stride_h << "x" << t.stride_w << " dilation " << t.dilation_h << "x"
                                  << t.dilation_w);
  const GemmF32Kernels& kernels = PickGemmF32(level);
  ConvTransposeF32 c;
  c.batch = t.batch, c.in_h = t.in_h, c.in_w = t.in_w, c.in_c = t.in_c, c.out_c = t.out_c,
  c.groups = t.groups;
  c.kernel_h = t.kernel_h, c.kernel_w = t.kernel_w, c.stride_h = t.stride_h, c.stride_w = t.stride_w;
  c.dilation_h = t.dilation_h, c.dilation_w = t.dilation_w, c.pad_top = t.pad_top, c.pad_left = t.pad_left;
  c.out_h =
      (t.in_h - 1) * t.stride_h + (t.kernel_h - 1) * t.dilation_h + 1 - t.pad_top - t.pad_bottom + t.more_h;
  c.out_w =
      (t.in_w - 1) * t.stride_w + (t.kernel_w - 1) * t.dilation_w + 1 - t.pad_left - t.pad_right + t.more_w;
  c.input_pixel_stride = t.in_c, c.output_pixel_stride = t.out_c;
  c.input_row_stride = t.in_w * t.in_c, c.input_batch_stride = t.in_h * c.input_row_stride;
  const int64_t group_in = t.in_c / t.groups, group_out = t.out_c / t.groups;
  Guarded<float> input(t.batch * c.input_batch_stride), weights(t.in_c * group_out * t.kernel_h * t.kernel_w);
  Guarded<float> bias(t.out_c), output(t.batch * c.out_h * c.out_w * t.out_c, NAN);
  Guarded<float> packed(PackedConvTransposeSizeF32(t.in_c, t.out_c, t.groups, t.kernel_h, t.kernel_w), NAN);
  Numbers numbers;
  numbers.Fill(input), numbers.Fill(weights), numbers.Fill(bias);
  PackConvTransposeF32(weights.data(), c, packed.data());
  c.input = input.data(), c.packed = packed.data(), c.output = output.data(), c.epilogue.bias = bias.data();
  c.epilogue.activation = Activation::kLeakyRelu, c.epilogue.alpha = 0.5f;
  Guarded<double> scratch((ConvTransposeScratchBytes(kernels, c) + 7) / 8, NAN);
  const int64_t rows = t.batch * c.out_h, panels = ConvTransposePanels(c);
  for (int64_t row = 0; row < rows; row += 3) {
    RunConvTransposeF32(kernels, c, row, std::min(rows, row + 3), 0, panels / 2, scratch.data(), [] { return false; });
    RunConvTransposeF32(kernels, c, row, std::min(rows, row + 3), panels / 2, panels, scratch.data(), [] { return false; });
  }
  std::vector<double> expected(output.size());
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = bias[static_cast<int64_t>(i) % t.out_c];
  for (int64_t n = 0; n < t.batch; ++n) {
    for (int64_t y = 0; y < t.in_h; ++y) {
      for (int64_t x = 0; x < t.in_w; ++x) {
        for (int64_t i = 0; i < t.kernel_h; ++i) {
          for (int64_t j = 0; j < t.kernel_w; ++j) {
            const int64_t oy = y * t.stride_h + i * t.dilation_h - t.pad_top;
            const int64_t ox = x * t.stride_w + j * t.dilation_w - t.pad_left;
            if (oy < 0 || oy >= c.out_h || ox < 0 || ox >= c.out_w) continue;
            for (int64_t k = 0; k < t.in_c; ++k) {
              for (int64_t o = 0; o < group_out; ++o) {
                expected[((n * c.out_h + oy) * c.out_w + ox) * t.out_c + k / group_in * group_out + o] +=
                    static_cast<double>(input[((n * t.in_h + y) * t.in_w + x) * t.in_c + k]) *
                    weights[((k * group_out + o) * t.kernel_h + i) * t.kernel_w + j];
              }
            }
          }
        }
      }
    }
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const double y = expected[i] < 0 ? 0.5 * expected[i] : expected[i];
    ASSERT_NEAR(output[static_cast<int64_t>(i)], y, 2e-5) << "at " << i;
  }
}

TEST(ConvTranspose, Shapes) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t kernel = 1; kernel <= 5; ++kernel) {
      for (int64_t stride = 1; stride <= 4; ++stride) {
        for (int64_t dilation = 1; dilation <= 3; ++dilation) {
          Check(level, {2, 4, 5, 3, 5, 1, kernel, kernel, stride, stride, dilation, dilation});
          Check(level, {1, 5, 4, 2, 4, 2, kernel, 2, stride, 2, dilation, 1, 0, 1, 0, 0, stride - 1, 1});
        }
      }
    }
    Check(level, {1, 9, 9, 70, 80, 1, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1});
    Check(level, {1, 6, 7, 8, 36, 2, 3, 3, 2, 3, 1, 1, 1, 2, 1, 0, 1, 2});
    Check(level, {1, 3, 3, 4, 4, 1, 3, 3, 1, 1, 1, 1, 2, 2, 2, 2});
    Check(level, {1, 1, 6, 4, 20, 1, 1, 4, 1, 2, 1, 1, 0, 1, 0, 1});
  }
}

}  // namespace
}  // namespace linnet
