// Float32 convolution and maximum pool by strips: which rows are made when. No vector code here.
#include "kernels/conv/conv_pool.h"

#include <string.h>

#include <algorithm>

namespace linnet {
namespace {

/// Rows [begin, end) of the convolution's output that some pooled rows are made of.
struct Rows {
  Rows(const PoolArgs& p, int64_t row0, int64_t row1)
      : first(row0 * p.stride[1] - p.pad_begin[1]),
        begin(std::max<int64_t>(0, first)),
        end(std::min(p.in[1], (row1 - 1) * p.stride[1] - p.pad_begin[1] + (p.kernel[1] - 1) * p.dilation[1] + 1)) {}
  int64_t first, begin, end;
};

/// So many rows of an image, to where a strip holds them. How RunConvF32 computes a convolution whose output's rows are said to lie apart
/// does not follow from the rows, which differ from strip to strip, but that it may be a product in place.
ConvF32 PieceOf(const ConvF32& conv, int64_t rows) {
  ConvF32 piece = conv;
  piece.batch = 1, piece.out_h = rows;
  piece.output_pixel_stride = conv.out_c, piece.output_row_stride = conv.out_w * conv.out_c;
  return piece;
}

struct Parts {
  explicit Parts(const ConvPoolF32& a)
      : strips_per_image((a.pool.out_dims[1] + a.strip_rows - 1) / a.strip_rows), row_floats(a.conv.out_w * a.conv.out_c) {
    const PoolArgs& p = a.pool;
    rows = std::min(p.in[1], (std::min(a.strip_rows, p.out_dims[1]) - 1) * p.stride[1] + (p.kernel[1] - 1) * p.dilation[1] + 1);
    image_bytes = (rows * row_floats * 4 + 63) / 64 * 64;
  }
  int64_t strips_per_image, row_floats, rows, image_bytes;
};

}  // namespace

int64_t ConvPoolStrips(const ConvPoolF32& args) {
  return args.conv.batch * ((args.pool.out_dims[1] + args.strip_rows - 1) / args.strip_rows);
}

int64_t ConvPoolScratchBytes(const GemmF32Kernels& kernels, const ConvPoolF32& args) {
  const Parts parts(args);
  int64_t conv_bytes = 0;
  for (int64_t count = 1; count <= parts.rows; ++count) {
    ConvF32 piece = PieceOf(args.conv, count);
    piece.pad_top = 1;   // the pieces' are many: with none, one may be a product in place, which needs no scratch
    conv_bytes = std::max(conv_bytes, ConvScratchBytes(kernels, piece));
  }
  return parts.image_bytes + conv_bytes;
}

void RunConvPoolF32(const GemmF32Kernels& kernels, PoolFn* pool, const ConvPoolF32& args, int64_t strip0, int64_t strip1, void* scratch) {
  const Parts parts(args);
  float* image = static_cast<float*>(scratch);
  void* conv_scratch = static_cast<char*>(scratch) + parts.image_bytes;
  int64_t at = -1, held0 = 0, held1 = 0;   // the image and its rows that `image` holds
  for (int64_t strip = strip0; strip < strip1; ++strip) {
    const int64_t n = strip / parts.strips_per_image, row0 = strip % parts.strips_per_image * args.strip_rows;
    const int64_t row1 = std::min(args.pool.out_dims[1], row0 + args.strip_rows);
    const Rows rows(args.pool, row0, row1);
    if (n != at) at = n, held0 = held1 = 0;
    const int64_t kept = std::max<int64_t>(0, held1 - rows.begin);
    if (kept > 0) memmove(image, image + (rows.begin - held0) * parts.row_floats, static_cast<size_t>(kept * parts.row_floats) * 4);
    held0 = rows.begin, held1 = std::max(rows.end, held0 + kept);
    if (const int64_t made = rows.begin + kept; made < rows.end) {
      ConvF32 c = PieceOf(args.conv, rows.end - made);
      c.input += n * c.input_batch_stride;
      c.pad_top -= made * c.stride_h;
      c.output = image + kept * parts.row_floats;
      RunConvF32(kernels, c, 0, c.out_h * c.out_w, 0, ConvPanels(c), conv_scratch);
    }
    PoolArgs p = args.pool;
    p.x = image;
    p.out = static_cast<float*>(p.out) + (n * p.out_dims[1] + row0) * p.out_dims[2] * p.channels;
    p.in[1] = rows.end - rows.begin, p.out_dims[1] = row1 - row0, p.pad_begin[1] = rows.begin - rows.first;
    pool(p, 0, row1 - row0);
  }
}

}  // namespace linnet
