// How rows of A are found for the matrix product of a convolution. No vector code.
#include "kernels/bf16/bf16_conv.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"

namespace linnet {
namespace {

constexpr int64_t kStripBytes = 384 << 10;    // leaves a second-level cache room for weights
constexpr int64_t kGatherBytes = 256 << 10;
constexpr int64_t kTapsMax = 1024;
constexpr int64_t kUnit = 32;

/// What follows from the sizes alone.
struct Shape {
  explicit Shape(const Bf16Kernels& k, const ConvF32& c) : kernels(k), c(c) {
    pixels = c.batch * c.out_h * c.out_w;
    depth = c.kernel_h * c.kernel_w * c.in_c;
    const bool one = c.kernel_h == 1 && c.kernel_w == 1 && c.stride_h == 1 && c.stride_w == 1;
    const bool dense = c.input_row_stride == c.in_w * c.input_pixel_stride &&
                       (c.batch == 1 || c.input_batch_stride == c.in_h * c.input_row_stride);
    pointwise = one && dense && c.pad_top == 0 && c.pad_left == 0 && c.out_h == c.in_h && c.out_w == c.in_w;
    if (pointwise) return;
    PlanStrips();
    gather_stride = BlockStrideBf16(kernels, depth);
    const int64_t fit = kGatherBytes / (gather_stride * kernels.block_bytes);
    gather_rows = std::min(pixels, std::max(fit / kUnit * kUnit, kUnit));
  }

  void PlanStrips() {
    if (c.in_c % 2 != 0 || c.kernel_h * c.kernel_w > kTapsMax) return;
    more_rows = (c.kernel_h - 1) * c.dilation_h / c.stride_h;
    pitch = c.out_w + (c.kernel_w - 1) * c.dilation_w / c.stride_w;
    row_phases = std::min(c.stride_h, (c.kernel_h - 1) * c.dilation_h + 1);
    column_phases = std::min(c.stride_w, (c.kernel_w - 1) * c.dilation_w + 1);
    // Where taps of a kernel row are neighbours, they are one run.
    const int64_t run = c.stride_w == 1 && c.dilation_w == 1 ? c.kernel_w * c.in_c : c.in_c;
    runs = depth / run;
    run_steps = DivUp(run, kStepBf16);
    while (run / 2 % run_steps != 0 && run_steps <= run / 16) ++run_steps;
    step = run / run_steps;
    if (run / 2 % run_steps != 0 || 2 * step < std::min(run, kStepBf16)) return;   // tiles would be mostly empty
    const double row_bytes = static_cast<double>(pitch) * static_cast<double>(row_phases * column_phases) *
                             static_cast<double>(c.in_c * kernels.block_bytes);
    if (row_bytes * static_cast<double>(more_rows + 1) > 4.0 * kStripBytes) return;
    rows = std::clamp<int64_t>(kStripBytes / static_cast<int64_t>(row_bytes) - more_rows, 1, c.out_h);
    rows = DivUp(c.out_h, DivUp(c.out_h, rows));   // strips of about the same height
    plane = (rows + more_rows) * pitch * c.in_c;
    strips = true;
  }

  int64_t table_bytes() const { return RoundUp(runs * run_steps * 8, int64_t{64}); }
  int64_t strip_bytes() const { return table_bytes() + RoundUp(plane * row_phases * column_phases * kernels.block_bytes, int64_t{64}); }
  int64_t gather_bytes() const { return RoundUp(gather_rows * gather_stride * kernels.block_bytes, int64_t{64}); }

  const Bf16Kernels& kernels;
  const ConvF32& c;
  int64_t pixels, depth;
  bool pointwise = false, strips = false;
  // Strips. Lengths are in elements.
  int64_t pitch = 0, more_rows = 0, row_phases = 1, column_phases = 1, runs = 1, run_steps = 1, step = 2, rows = 1, plane = 0;
  int64_t gather_stride = 0, gather_rows = 0;
};

/// What is used for convolutions of so many output pixels.
const Bf16Kernels& For(const Bf16Kernels& kernels, const ConvF32& c) {
  return c.batch * c.out_h * c.out_w == 1 ? *kernels.one_row : kernels;
}

class Convolution {
 public:
  Convolution(const Shape& shape, void* scratch) : k_(shape.kernels), c_(shape.c), s_(shape), scratch_(static_cast<char*>(scratch)) {
    product_.n = c_.out_c;
    product_.panels = c_.packed;
    product_.panel_bytes = PanelBytesBf16(s_.depth);
    product_.c = c_.output;
    product_.c_row_stride = c_.output_pixel_stride;
    product_.epilogue = c_.epilogue;
  }

  void RunStrips(int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1) {
    int64_t* offsets = reinterpret_cast<int64_t*>(scratch_);
    char* planes = scratch_ + s_.table_bytes();
    Offsets(offsets);
    RowsBf16 view;
    view.a = planes;
    view.row_stride = c_.in_c;
    view.steps = s_.runs * s_.run_steps, view.step = s_.step, view.offsets = offsets;
    view.pitch = s_.pitch, view.valid = c_.out_w;
    const int64_t image_pixels = c_.out_h * c_.out_w;
    while (pixel0 < pixel1) {
      const int64_t image = pixel0 / image_pixels, y = pixel0 % image_pixels / c_.out_w, x = pixel0 % c_.out_w;
      const int64_t first = image * image_pixels + y * c_.out_w;   // pixel of the strip
      const int64_t end = std::min(pixel1, first + std::min(s_.rows, c_.out_h - y) * c_.out_w), last = end - 1 - first;
      Fill(c_.input + image * c_.input_batch_stride, y, last / c_.out_w + 1, planes);
      view.c_row = first;
      k_.multiply(product_, view, x, last / c_.out_w * s_.pitch + last % c_.out_w + 1, panel0, panel1);
      pixel0 = end;
    }
  }

  void RunGather(int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1) {
    RowsBf16 view;
    view.a = scratch_;
    view.row_stride = s_.gather_stride;
    view.steps = PackedKBf16(s_.depth) / kStepBf16;
    const int64_t row_bytes = s_.gather_stride * k_.block_bytes;
    for (int64_t pixel = pixel0; pixel < pixel1; pixel += s_.gather_rows) {
      const int64_t count = std::min(s_.gather_rows, pixel1 - pixel);
      for (int64_t i = 0; i < count; ++i) Gather(pixel + i, scratch_ + i * row_bytes);
      view.c_row = pixel;
      k_.multiply(product_, view, 0, count, panel0, panel1);
    }
  }

 private:
  /// Where the steps of a row of A are.
  void Offsets(int64_t* out) const {
    const bool joined = s_.runs == c_.kernel_h;
    for (int64_t i = 0; i < c_.kernel_h; ++i) {
      for (int64_t j = 0; j < (joined ? 1 : c_.kernel_w); ++j) {
        const int64_t y = i * c_.dilation_h, x = j * c_.dilation_w;
        const int64_t plane = y % c_.stride_h * s_.column_phases + x % c_.stride_w;
        const int64_t from = plane * s_.plane + (y / c_.stride_h * s_.pitch + x / c_.stride_w) * c_.in_c;
        for (int64_t s = 0; s < s_.run_steps; ++s) *out++ = from + s * s_.step;
      }
    }
  }

  void Zero(char* out, int64_t elements) const { memset(out, 0, static_cast<size_t>(elements * k_.block_bytes)); }

  /// The planes that output rows [y, y + count) of an image read.
  void Fill(const float* image, int64_t y, int64_t count, char* out) const {
    const int64_t line = s_.pitch * c_.in_c;
    for (int64_t p = 0; p < s_.row_phases; ++p) {
      for (int64_t q = 0; q < s_.column_phases; ++q, out += s_.plane * k_.block_bytes) {
        for (int64_t r = 0; r < count + s_.more_rows; ++r) {
          const int64_t in_y = (y + r) * c_.stride_h + p - c_.pad_top;
          char* to = out + r * line * k_.block_bytes;
          if (in_y < 0 || in_y >= c_.in_h) {
            Zero(to, line);
          } else {
            Pixels(image + in_y * c_.input_row_stride, q - c_.pad_left, s_.pitch, c_.stride_w, to);
          }
        }
      }
    }
  }

  /// `count` pixels of a row of the image, every `every`-th from `from` on, which may lie outside.
  void Pixels(const float* row, int64_t from, int64_t count, int64_t every, char* out) const {
    const int64_t begin = std::clamp<int64_t>(DivUp(std::max<int64_t>(-from, 0), every), 0, count);
    const int64_t end = std::clamp<int64_t>(from >= c_.in_w ? 0 : DivUp(c_.in_w - from, every), begin, count);
    Zero(out, begin * c_.in_c);
    char* to = out + begin * c_.in_c * k_.block_bytes;
    if (every == 1 && c_.input_pixel_stride == c_.in_c) {
      if (end > begin) k_.load(row + (from + begin) * c_.in_c, (end - begin) * c_.in_c, to);
    } else if (end > begin && c_.in_c % kStepBf16 == 0) {
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
    Zero(out, PackedKBf16(s_.depth) - s_.depth);
  }

  const Bf16Kernels& k_;
  const ConvF32& c_;
  const Shape& s_;
  char* scratch_;
  ProductBf16 product_;
};

GemmBf16 PointwiseProduct(const ConvF32& c, const Shape& s) {
  GemmBf16 gemm;
  gemm.a = c.input, gemm.a_row_stride = c.input_pixel_stride;
  gemm.m = s.pixels, gemm.n = c.out_c, gemm.k = s.depth, gemm.packed = c.packed;
  gemm.c = c.output, gemm.c_row_stride = c.output_pixel_stride;
  gemm.epilogue = c.epilogue;
  return gemm;
}

}  // namespace

void PackConvBf16(const float* weights, int64_t out_c, int64_t in_c, int64_t taps, float* temporary, void* out) {
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
  PackBf16(matrix, k, out_c, 1, k, out);
}

int64_t ConvBf16ScratchBytes(const Bf16Kernels& kernels, const ConvF32& conv) {
  const Shape s(For(kernels, conv), conv);
  if (s.pointwise) return GemmBf16ScratchBytes(kernels, s.pixels, conv.out_c, s.depth);
  return s.strips ? s.strip_bytes() : s.gather_bytes();
}

void RunConvBf16(const Bf16Kernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1,
                 void* scratch) {
  const Shape s(For(kernels, conv), conv);
  if (s.pointwise) return RunGemmBf16(kernels, PointwiseProduct(conv, s), pixel0, pixel1, panel0, panel1, scratch);
  Convolution run(s, scratch);
  s.strips ? run.RunStrips(pixel0, pixel1, panel0, panel1) : run.RunGather(pixel0, pixel1, panel0, panel1);
}

GemmGrain ConvGrainBf16(const Bf16Kernels& kernels, const ConvF32& conv, int threads) {
  const Shape s(For(kernels, conv), conv);
  GemmGrain grain = GemmGrainBf16(s.kernels, s.pixels, conv.out_c, s.depth, threads);
  if (s.pointwise) return grain;
  if (s.strips) {
    // Whole rows of the image, and enough of them that those above and below, which a neighbour rounds too, do not matter.
    const int64_t rows = std::max(DivUp(grain.rows, conv.out_w), 2 * conv.kernel_h);
    grain.rows = std::min(s.pixels, rows * conv.out_w);
  } else {
    grain.rows = std::min(grain.rows, s.pixels);
  }
  return grain;
}

}  // namespace linnet
