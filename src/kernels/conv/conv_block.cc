// Float32 expand -> depthwise -> project by strips: which rows are made when, and where they lie. No vector
// code here.
#include "kernels/conv/conv_block.h"

#include <algorithm>

namespace linnet {
namespace {

constexpr int64_t kLine = 64;

int64_t Aligned(int64_t bytes) {
  return (bytes + kLine - 1) / kLine * kLine;
}

// What follows from the sizes alone: the scratch holds the ring, the depthwise rows of a strip, and what the
// expansion needs.
struct Parts {
  Parts(const GemmF32Kernels& kernels, const ConvBlockF32& b) {
    const DepthwiseF32& d = b.depthwise;
    strips_per_image = (d.out_h + b.strip_rows - 1) / b.strip_rows;
    const int64_t strip_rows = std::min(b.strip_rows, d.out_h);
    if (b.has_expand) {
      ring_rows = std::min(d.in_h, (strip_rows - 1) * d.stride_h + (d.kernel_h - 1) * d.dilation_h + 1);
      row_floats = d.in_w * d.channels;
      ring_bytes = Aligned(ring_rows * row_floats * 4);
      for (int64_t rows = 1; rows <= ring_rows; ++rows) {
        ConvF32 piece = b.expand;
        piece.batch = 1, piece.out_h = rows;
        if (IsPointwise(b.expand)) piece.in_h = rows;
        expand_bytes = std::max(expand_bytes, Aligned(ConvScratchBytes(kernels, piece)));
      }
    }
    if (b.project_packed) strip_bytes = Aligned(strip_rows * d.out_w * d.channels * 4);
  }

  static bool IsPointwise(const ConvF32& c) {
    return c.kernel_h == 1 && c.kernel_w == 1 && c.stride_h == 1 && c.stride_w == 1 && c.pad_top == 0 &&
           c.pad_left == 0;
  }

  int64_t strips_per_image, ring_rows = 0, row_floats = 0, ring_bytes = 0, strip_bytes = 0, expand_bytes = 0;
};

class Block {
 public:
  Block(const GemmF32Kernels& kernels, DepthwiseF32Fn* depthwise, const ConvBlockF32& block, void* scratch)
      : kernels_(kernels), run_depthwise_(depthwise), b_(block), d_(block.depthwise), parts_(kernels, block) {
    char* bytes = static_cast<char*>(scratch);
    ring_ = reinterpret_cast<float*>(bytes);
    strip_ = reinterpret_cast<float*>(bytes + parts_.ring_bytes);
    expand_scratch_ = bytes + parts_.ring_bytes + parts_.strip_bytes;
  }

  void Run(int64_t strip0, int64_t strip1) {
    int64_t image = -1, made = 0;  // expanded rows below `made` exist, as far as the ring holds them
    for (int64_t strip = strip0; strip < strip1; ++strip) {
      if (strip / parts_.strips_per_image != image) image = strip / parts_.strips_per_image, made = 0;
      const int64_t row0 = strip % parts_.strips_per_image * b_.strip_rows;
      const int64_t row1 = std::min(d_.out_h, row0 + b_.strip_rows);
      if (b_.has_expand) {
        const int64_t top = row0 * d_.stride_h - d_.pad_top;
        const int64_t bottom =
            (row1 - 1) * d_.stride_h - d_.pad_top + (d_.kernel_h - 1) * d_.dilation_h + 1;
        made = std::max({made, top, int64_t{0}});
        const int64_t end = std::min(bottom, d_.in_h);
        while (made < end) {
          const int64_t slot = made % parts_.ring_rows, rows = std::min(end - made, parts_.ring_rows - slot);
          Expand(image, made, rows, ring_ + slot * parts_.row_floats);
          made += rows;
        }
      }
      Depthwise(image, row0, row1);
      if (b_.project_packed) Project(image * d_.out_h + row0, row1 - row0);
    }
  }

 private:
  void Expand(int64_t image, int64_t y, int64_t rows, float* out) {
    ConvF32 c = b_.expand;
    c.batch = 1;
    c.input += image * c.input_batch_stride;
    c.out_h = rows;
    if (Parts::IsPointwise(c)) {
      c.input += y * c.input_row_stride;
      c.in_h = rows;
    } else {
      c.pad_top -= y * c.stride_h;
    }
    c.output = out;
    c.output_pixel_stride = d_.channels, c.output_row_stride = 0;
    RunConvF32(kernels_, c, 0, rows * c.out_w, 0, ConvPanels(c), expand_scratch_);
  }

  // Output rows [row0, row1) of an image as all rows of an image that begins there.
  void Depthwise(int64_t image, int64_t row0, int64_t row1) {
    DepthwiseF32 d = d_;
    d.batch = 1;
    d.out_h = row1 - row0;
    d.pad_top -= row0 * d.stride_h;
    if (b_.has_expand) {
      d.input = ring_;
      d.input_pixel_stride = d.channels, d.input_row_stride = parts_.row_floats;
      d.input_ring_rows = parts_.ring_rows;
    } else {
      d.input += image * d.input_batch_stride;
    }
    if (b_.project_packed) {
      d.output = strip_;
      d.output_pixel_stride = d.channels;
    } else {
      const int64_t pixel = (image * d_.out_h + row0) * d.out_w;
      d.output += pixel * d.output_pixel_stride;
      if (d.epilogue.residual) d.epilogue.residual += pixel * d.epilogue.residual_row_stride;
    }
    run_depthwise_(d, 0, d.out_h, 0, d.channels);
  }

  void Project(int64_t row, int64_t rows) {
    const int64_t pixel = row * d_.out_w;
    GemmF32 g;
    g.a = strip_;
    g.a_row_stride = d_.channels;
    g.m = rows * d_.out_w, g.n = b_.out_c, g.k = d_.channels;
    UsePackedB(&g, b_.project_packed);
    g.c = b_.output + pixel * b_.out_c;
    g.c_row_stride = b_.out_c;
    g.epilogue = b_.project;
    if (g.epilogue.residual) g.epilogue.residual += pixel * g.epilogue.residual_row_stride;
    kernels_.run(g, 0, g.m, 0, PanelCount(g.n));
  }

  const GemmF32Kernels& kernels_;
  DepthwiseF32Fn* run_depthwise_;
  const ConvBlockF32& b_;
  const DepthwiseF32& d_;
  const Parts parts_;
  float* ring_;
  float* strip_;
  void* expand_scratch_;
};

}  // namespace

int64_t ConvBlockStrips(const ConvBlockF32& block) {
  const DepthwiseF32& d = block.depthwise;
  return d.batch * ((d.out_h + block.strip_rows - 1) / block.strip_rows);
}

int64_t ConvBlockScratchBytes(const GemmF32Kernels& kernels, const ConvBlockF32& block) {
  const Parts parts(kernels, block);
  return parts.ring_bytes + parts.strip_bytes + parts.expand_bytes;
}

void RunConvBlockF32(const GemmF32Kernels& kernels, DepthwiseF32Fn* depthwise, const ConvBlockF32& block,
                     int64_t strip0, int64_t strip1, void* scratch) {
  Block(kernels, depthwise, block, scratch).Run(strip0, strip1);
}

}  // namespace linnet
