// How rows of A are found for the matrix product of a convolution. No vector code.
#include "kernels/half/half_conv.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/tiles/strip.h"

namespace linnet {
namespace {

constexpr int64_t kGatherBytes = 256 << 10;
constexpr int64_t kUnit = 32;

/// What follows from the sizes alone.
struct Shape {
  explicit Shape(const HalfKernels& k, const ConvF32& c)
      : kernels(k), c(c), pixels(c.pixels()), depth(c.kernel_h * c.kernel_w * c.in_c), strip(c, kStepHalf, 2, k.block_bytes) {
    const bool dense = c.input_row_stride == c.in_w * c.input_pixel_stride &&
                       (c.batch == 1 || c.input_batch_stride == c.in_h * c.input_row_stride);
    pointwise = c.pointwise() && dense;
    gather_stride = BlockStrideHalf(kernels, depth);
    const int64_t fit = kGatherBytes / (gather_stride * kernels.block_bytes);
    gather_rows = std::min(pixels, std::max(fit / kUnit * kUnit, kUnit));
  }

  int64_t strip_bytes() const { return strip.table_bytes() + RoundUp(strip.elements() * kernels.block_bytes, int64_t{64}); }
  int64_t gather_bytes() const { return RoundUp(gather_rows * gather_stride * kernels.block_bytes, int64_t{64}); }

  const HalfKernels& kernels;
  const ConvF32& c;
  int64_t pixels, depth;
  Strip strip;
  bool pointwise = false;
  int64_t gather_stride = 0, gather_rows = 0;
};

/// What is used for convolutions of so many output pixels.
const HalfKernels& For(const HalfKernels& kernels, const ConvF32& c) {
  return c.batch * c.out_h * c.out_w == 1 ? *kernels.one_row : kernels;
}

class Convolution {
 public:
  Convolution(const Shape& shape, void* scratch) : k_(shape.kernels), c_(shape.c), s_(shape), scratch_(static_cast<char*>(scratch)) {
    product_.n = c_.out_c;
    product_.panels = c_.packed;
    product_.panel_bytes = PanelBytesHalf(s_.depth);
    product_.c = c_.output;
    product_.c_row_stride = c_.output_pixel_stride;
    product_.epilogue = c_.epilogue;
  }

  void RunStrips(int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1) {
    const Strip& strip = s_.strip;
    int64_t* offsets = reinterpret_cast<int64_t*>(scratch_);
    char* planes = scratch_ + strip.table_bytes();
    strip.Offsets(offsets);
    RowsHalf view;
    view.a = planes;
    view.row_stride = c_.in_c;
    view.steps = strip.steps(), view.step = strip.step, view.offsets = offsets;
    view.pitch = strip.pitch, view.valid = c_.out_w;
    strip.ForStrips(pixel0, pixel1, [&](int64_t image, int64_t y, int64_t count, int64_t c_row, int64_t row0, int64_t row1) {
      const float* input = c_.input + image * c_.input_batch_stride;
      auto at = [&](int64_t element) { return planes + element * k_.block_bytes; };
      strip.ForLines(
          y, count,
          [&](int64_t to, int64_t in_y, int64_t x) { Pixels(input + in_y * c_.input_row_stride, x, strip.pitch, c_.stride_w, at(to)); },
          [&](int64_t to) { Zero(at(to), strip.pitch * c_.in_c); });
      view.c_row = c_row;
      k_.multiply(product_, view, row0, row1, panel0, panel1);
    });
  }

  void RunGather(int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1) {
    RowsHalf view;
    view.a = scratch_;
    view.row_stride = s_.gather_stride;
    view.steps = PackedKHalf(s_.depth) / kStepHalf;
    const int64_t row_bytes = s_.gather_stride * k_.block_bytes;
    for (int64_t pixel = pixel0; pixel < pixel1; pixel += s_.gather_rows) {
      const int64_t count = std::min(s_.gather_rows, pixel1 - pixel);
      for (int64_t i = 0; i < count; ++i) Gather(pixel + i, scratch_ + i * row_bytes);
      view.c_row = pixel;
      k_.multiply(product_, view, 0, count, panel0, panel1);
    }
  }

 private:
  void Zero(char* out, int64_t elements) const { memset(out, 0, static_cast<size_t>(elements * k_.block_bytes)); }

  /// `count` pixels of a row of the image, every `every`-th from `from` on, which may lie outside.
  void Pixels(const float* row, int64_t from, int64_t count, int64_t every, char* out) const {
    const auto [begin, end] = PixelsInside(from, every, count, c_.in_w);
    Zero(out, begin * c_.in_c);
    char* to = out + begin * c_.in_c * k_.block_bytes;
    if (every == 1 && c_.input_pixel_stride == c_.in_c) {
      if (end > begin) k_.load(row + (from + begin) * c_.in_c, (end - begin) * c_.in_c, to);
    } else if (end > begin && c_.in_c % kStepHalf == 0) {
      // Whole vectors: pixels as rows of a matrix.
      k_.load_rows(row + (from + begin * every) * c_.input_pixel_stride, every * c_.input_pixel_stride, end - begin, c_.in_c, to,
                   c_.in_c * k_.block_bytes);
    } else {
      for (int64_t x = begin; x < end; ++x, to += c_.in_c * k_.block_bytes) {
        k_.load(row + (from + x * every) * c_.input_pixel_stride, c_.in_c, to);
      }
    }
    Zero(out + end * c_.in_c * k_.block_bytes, (count - end) * c_.in_c);
  }

  void Gather(int64_t pixel, char* out) const {
    const int64_t x = pixel % c_.out_w * c_.stride_w - c_.pad_left, row = pixel / c_.out_w;
    const int64_t top = row % c_.out_h * c_.stride_h - c_.pad_top, tap_row = c_.kernel_w * c_.in_c;
    const float* image = c_.input + row / c_.out_h * c_.input_batch_stride;
    for (int64_t i = 0; i < c_.kernel_h; ++i, out += tap_row * k_.block_bytes) {
      const int64_t y = top + i * c_.dilation_h;
      if (y < 0 || y >= c_.in_h) {
        Zero(out, tap_row);
      } else {
        Pixels(image + y * c_.input_row_stride, x, c_.kernel_w, c_.dilation_w, out);
      }
    }
    Zero(out, PackedKHalf(s_.depth) - s_.depth);
  }

  const HalfKernels& k_;
  const ConvF32& c_;
  const Shape& s_;
  char* scratch_;
  ProductHalf product_;
};

GemmHalf PointwiseProduct(const ConvF32& c, const Shape& s) {
  GemmHalf gemm;
  gemm.a = c.input, gemm.a_row_stride = c.input_pixel_stride;
  gemm.m = s.pixels, gemm.n = c.out_c, gemm.k = s.depth, gemm.packed = c.packed;
  gemm.c = c.output, gemm.c_row_stride = c.output_pixel_stride;
  gemm.epilogue = c.epilogue;
  return gemm;
}

}  // namespace

void PackConvHalf(HalfFormat format, const float* weights, int64_t out_c, int64_t in_c, int64_t taps, float* temporary, void* out) {
  const int64_t k = in_c * taps;
  const float* matrix = weights;
  if (taps > 1) {
    for (int64_t o = 0; o < out_c; ++o) {
      for (int64_t c = 0; c < in_c; ++c) {
        for (int64_t t = 0; t < taps; ++t) temporary[(o * taps + t) * in_c + c] = weights[(o * in_c + c) * taps + t];
      }
    }
    matrix = temporary;
  }
  PackHalf(format, matrix, k, out_c, 1, k, out);
}

int64_t ConvHalfScratchBytes(const HalfKernels& kernels, const ConvF32& conv) {
  const Shape s(For(kernels, conv), conv);
  if (s.pointwise) return GemmHalfScratchBytes(kernels, s.pixels, conv.out_c, s.depth);
  return s.strip.usable ? s.strip_bytes() : s.gather_bytes();
}

void RunConvHalf(const HalfKernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1,
                 void* scratch) {
  const Shape s(For(kernels, conv), conv);
  if (s.pointwise) return RunGemmHalf(kernels, PointwiseProduct(conv, s), pixel0, pixel1, panel0, panel1, scratch);
  Convolution run(s, scratch);
  s.strip.usable ? run.RunStrips(pixel0, pixel1, panel0, panel1) : run.RunGather(pixel0, pixel1, panel0, panel1);
}

GemmGrain ConvGrainHalf(const HalfKernels& kernels, const ConvF32& conv, int threads) {
  const Shape s(For(kernels, conv), conv);
  GemmGrain grain = GemmGrainHalf(s.kernels, s.pixels, conv.out_c, s.depth, threads);
  if (s.pointwise) return grain;
  if (s.strip.usable) {
    // Whole rows of the image, and enough of them that those above and below, which a neighbour rounds too, do not matter.
    const int64_t rows = std::max(DivUp(grain.rows, conv.out_w), 2 * conv.kernel_h);
    grain.rows = std::min(s.pixels, rows * conv.out_w);
  } else {
    grain.rows = std::min(grain.rows, s.pixels);
  }
  return grain;
}

}  // namespace linnet
