// Float32 transposed convolution: its phases, and their weights.
#include "kernels/conv/conv_transpose.h"

#include <algorithm>
#include <numeric>

#include "base/memory.h"
#include "base/unaligned.h"

namespace linnet {
namespace {

/// Pixels between two looks at whether to stop: some thousands, fewer where they lie far apart and each may be the first
/// touch of a page of memory.
int64_t StretchOf(int64_t pixel_stride) {
  return std::clamp<int64_t>((4 << 20) / std::max<int64_t>(1, pixel_stride), 16, 1 << 13);
}

// One dimension. Taps i, i + step, ... meet the same outputs, so there are min(step, kernel) phases with
// taps, each named by its first tap; outputs of the other remainders see no tap at all.
struct Axis {
  int64_t in, out, kernel, stride, dilation, pad;

  int64_t step() const { return stride / std::gcd(stride, dilation); }
  int64_t phases() const { return std::min(step(), kernel); }
  int64_t TapsOf(int64_t first) const { return (kernel - first + step() - 1) / step(); }
  int64_t TapsBefore(int64_t first) const {
    int64_t taps = 0;
    for (int64_t i = 0; i < first; ++i) taps += TapsOf(i);
    return taps;
  }
  // The first output that the taps first, first + step, ... meet.
  int64_t OutputOf(int64_t first) const { return ((first * dilation - pad) % stride + stride) % stride; }
  // The remainders that occur, named by their first output.
  int64_t remainders() const { return std::min(stride, out); }
};

// The outputs o, o + stride, ... of an axis as a convolution of stride 1.
struct Phase {
  Phase(const Axis& axis, int64_t o) {
    count = (axis.out - o + axis.stride - 1) / axis.stride;
    const int64_t from = o + axis.pad;
    for (int64_t i = 0; i < axis.phases(); ++i) {
      if ((from - i * axis.dilation) % axis.stride != 0) continue;
      first = i;
      taps = axis.TapsOf(i);
      dilation = axis.dilation / std::gcd(axis.stride, axis.dilation);
      // Tap t of the phase meets input (from - first * dilation) / stride - t * step for its first output.
      // The convolution has them in ascending order of input.
      pad = (taps - 1) * dilation - (from - i * axis.dilation) / axis.stride;
    }
  }
  int64_t count = 0, first = 0, taps = 0, dilation = 1, pad = 0;
};

Axis Vertical(const ConvTransposeF32& c) {
  return {c.in_h, c.out_h, c.kernel_h, c.stride_h, c.dilation_h, c.pad_top};
}
Axis Horizontal(const ConvTransposeF32& c) {
  return {c.in_w, c.out_w, c.kernel_w, c.stride_w, c.dilation_w, c.pad_left};
}

// Floats of packed weights for each tap.
int64_t TapFloats(const ConvTransposeF32& c) {
  return c.groups * PackedSizeF32(c.in_c / c.groups, c.out_c / c.groups);
}

// Without the input and output of an image.
ConvF32 PhaseConv(const ConvTransposeF32& c, const Phase& v, const Phase& h) {
  ConvF32 conv;
  conv.input_row_stride = c.input_row_stride;
  conv.input_pixel_stride = c.input_pixel_stride;
  conv.input_channel_stride = c.input_channel_stride;
  conv.in_h = c.in_h, conv.in_w = c.in_w, conv.in_c = c.in_c;
  conv.out_h = v.count, conv.out_w = h.count, conv.out_c = c.out_c;
  conv.groups = c.groups;
  conv.kernel_h = v.taps, conv.kernel_w = h.taps;
  conv.dilation_h = v.dilation, conv.dilation_w = h.dilation;
  conv.pad_top = v.pad, conv.pad_left = h.pad;
  conv.output_pixel_stride = c.stride_w * c.output_pixel_stride;
  conv.output_row_stride = c.stride_h * c.out_w * c.output_pixel_stride;
  conv.epilogue = c.epilogue;
  // Only sizes are wanted where there are no weights yet.
  if (c.packed) conv.packed = c.packed + TapFloats(c) * (Vertical(c).TapsBefore(v.first) * c.kernel_w +
                                           v.taps * Horizontal(c).TapsBefore(h.first));
  return conv;
}

// Outputs that no tap meets; false when it was asked to stop.
bool RunEmpty(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t row0, int64_t row1, int64_t panel0,
              int64_t panel1, FunctionRef<bool()> asked) {
  GemmF32 g;
  const int64_t group_out = conv.out_c / conv.groups, panels = PanelCount(group_out);
  g.m = conv.out_w, g.n = group_out, g.c_row_stride = conv.output_pixel_stride;
  for (int64_t panel = panel0; panel < panel1; ++panel) {
    const int64_t column = panel / panels * group_out;
    g.epilogue = conv.epilogue;
    if (conv.epilogue.bias) g.epilogue.bias += column;
    for (int64_t row = row0; row < row1; ++row) {
      g.c = conv.output + row * conv.output_row_stride + column;
      const int64_t stretch = StretchOf(g.c_row_stride);
      for (int64_t pixel = 0; pixel < g.m; pixel += stretch) {
        if (asked()) return false;
        kernels.run(g, pixel, std::min(g.m, pixel + stretch), panel % panels, panel % panels + 1);
      }
    }
  }
  return true;
}

}  // namespace

int64_t PackedConvTransposeSizeF32(int64_t in_c, int64_t out_c, int64_t groups, int64_t kernel_h,
                                   int64_t kernel_w) {
  return groups * PackedSizeF32(kernel_h * kernel_w * (in_c / groups), out_c / groups);
}

void PackConvTransposeF32(const float* weights, const ConvTransposeF32& conv, float* out) {
  const Axis v = Vertical(conv), h = Horizontal(conv);
  const int64_t group_in = conv.in_c / conv.groups, group_out = conv.out_c / conv.groups;
  const int64_t kernel = conv.kernel_h * conv.kernel_w;
  for (int64_t first_i = 0; first_i < v.phases(); ++first_i) {
    for (int64_t first_j = 0; first_j < h.phases(); ++first_j) {
      for (int64_t group = 0; group < conv.groups; ++group) {
        const float* from = weights + group * group_in * group_out * kernel;
        for (int64_t column = 0; column < group_out; column += kPanelColumns) {
          const int64_t columns = std::min(kPanelColumns, group_out - column);
          for (int64_t ti = v.TapsOf(first_i) - 1; ti >= 0; --ti) {
            for (int64_t tj = h.TapsOf(first_j) - 1; tj >= 0; --tj) {
              const int64_t tap = (first_i + ti * v.step()) * conv.kernel_w + first_j + tj * h.step();
              for (int64_t c = 0; c < group_in; ++c, out += kPanelColumns) {
                const float* row = from + (c * group_out + column) * kernel + tap;
                for (int64_t j = 0; j < columns; ++j) out[j] = FloatAt(row + j * kernel);
                for (int64_t j = columns; j < kPanelColumns; ++j) out[j] = 0;
              }
            }
          }
        }
      }
    }
  }
}

int64_t ConvTransposePanels(const ConvTransposeF32& conv) {
  return conv.groups * PanelCount(conv.out_c / conv.groups);
}

int64_t ConvTransposeScratchBytes(const GemmF32Kernels& kernels, const ConvTransposeF32& conv) {
  const Axis v = Vertical(conv), h = Horizontal(conv);
  int64_t bytes = 0;
  // By taps, not by remainders: a stride may be far larger than the kernel.
  for (int64_t i = 0; i < v.phases(); ++i) {
    for (int64_t j = 0; j < h.phases(); ++j) {
      const int64_t o = v.OutputOf(i), p = h.OutputOf(j);
      if (o >= v.out || p >= h.out) continue;
      bytes = std::max(bytes, ConvScratchBytes(kernels, PhaseConv(conv, Phase(v, o), Phase(h, p))));
    }
  }
  return bytes;
}

void RunConvTransposeF32(const GemmF32Kernels& kernels, const ConvTransposeF32& c, int64_t row0, int64_t row1,
                         int64_t panel0, int64_t panel1, void* scratch, FunctionRef<bool()> asked) {
  const Axis v = Vertical(c), h = Horizontal(c);
  const int64_t row_floats = c.out_w * c.output_pixel_stride;
  for (int64_t image = row0 / c.out_h; image * c.out_h < row1; ++image) {
    const int64_t begin = std::max<int64_t>(row0 - image * c.out_h, 0),
                  end = std::min(row1 - image * c.out_h, c.out_h);
    for (int64_t o = 0; o < v.remainders(); ++o) {
      // Rows o + stride * [first, last).
      const int64_t first = begin <= o ? 0 : DivUp(begin - o, v.stride),
                    last = end <= o ? 0 : DivUp(end - o, v.stride);
      if (first >= last) continue;
      const Phase vertical(v, o);
      if (vertical.taps == 0) {
        // Whole rows; with strides far above the kernel's size they are nearly all.
        ConvF32 conv = PhaseConv(c, vertical, Phase(h, 0));
        conv.out_w = c.out_w, conv.output_pixel_stride = c.output_pixel_stride;
        conv.output = c.output + (image * c.out_h + o) * row_floats;
        if (!RunEmpty(kernels, conv, first, last, panel0, panel1, asked)) return;
        continue;
      }
      for (int64_t p = 0; p < h.remainders(); ++p) {
        const Phase horizontal(h, p);
        ConvF32 conv = PhaseConv(c, vertical, horizontal);
        conv.input = c.input + image * c.input_batch_stride;
        conv.output = c.output + (image * c.out_h + o) * row_floats + p * c.output_pixel_stride;
        if (vertical.taps == 0 || horizontal.taps == 0) {
          if (!RunEmpty(kernels, conv, first, last, panel0, panel1, asked)) return;
        } else {
          const int64_t stretch = StretchOf(conv.output_pixel_stride);
          for (int64_t pixel = first * conv.out_w; pixel < last * conv.out_w; pixel += stretch) {
            if (asked()) return;
            RunConvF32(kernels, conv, pixel, std::min(last * conv.out_w, pixel + stretch), panel0, panel1, scratch);
          }
        }
      }
    }
  }
}

GemmGrain ConvTransposeGrainF32(const GemmF32Kernels& kernels, const ConvTransposeF32& conv, int threads) {
  const int64_t rows = conv.batch * conv.out_h;
  const int64_t k = conv.in_c / conv.groups *
                    std::max<int64_t>(1, conv.kernel_h * conv.kernel_w / (conv.stride_h * conv.stride_w));
  GemmGrain grain = GemmGrainF32(kernels, rows * conv.out_w, conv.out_c / conv.groups, k, threads, true);
  // Rows of every phase together, and some of each.
  const int64_t unit = std::min(rows, 4 * conv.stride_h);
  grain.rows = std::min(rows, (grain.rows / std::max<int64_t>(1, conv.out_w) + unit) / unit * unit);
  if (conv.groups > 1) grain.panels = PanelCount(conv.out_c / conv.groups);
  return grain;
}

}  // namespace linnet
