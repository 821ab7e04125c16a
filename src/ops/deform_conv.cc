// DeformConv: 2-D convolution whose taps are moved by computed offsets and weighted by a mask (versions 19 and 22).
//
// offset is [N, offset_group * kh * kw * 2, oh, ow] with (y, x) innermost, mask [N, offset_group * kh * kw, oh, ow]. A tap
// between pixels is interpolated bilinearly; pixels outside are zero. For every output pixel the taps are collected as one
// row [group][tap][channel], which then meets the weights packed in the same order.
#include <cmath>

#include "ops/conv_helpers.h"

namespace linnet {
namespace {

struct DeformConv {
  ConvAttributes attributes;
  int64_t offset_groups = 1;

  struct Bound {
    Window window;
    int64_t in_c = 0, out_c = 0, packed_bytes = 0, row_bytes = 0, worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_TRY(attributes.Parse(node));
    LINNET_ASSIGN(offset_groups, node.Int("offset_group", 1));
    if (offset_groups < 1 || offset_groups >= kWindowMax) return InvalidModel("attribute offset_group is ", offset_groups);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 5));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {0, 1, 2, 3, 4}));
    for (int i : {0, 1, 2, 4}) {
      if (c.has_input(i) && c.shape(i).has_rank() && c.shape(i).rank() != 4) {
        return Unsupported("input ", i, " has shape ", ToString(c.shape(i)), "; only images of two dimensions are implemented");
      }
    }
    const Shape &x = c.shape(0), &w = c.shape(1);
    Window window;
    LINNET_ASSIGN(Shape y, attributes.Infer(x, w, Layout::kChannelsFirst, &window));
    LINNET_TRY(CheckVector(c, 3, "bias", w.has_rank() ? w[0] : kUnknownDim));
    if (x.has_rank() && IsKnownDim(x[1]) && x[1] % offset_groups != 0) {
      return InvalidModel(x[1], " channels do not divide into ", offset_groups, " offset groups");
    }
    if (y.has_rank() && w.has_rank()) {
      const int64_t taps = DimMul(DimMul(w[2], w[3]), offset_groups);
      const Shape wanted{y[0], DimMul(2, taps), y[2], y[3]}, wanted_mask{y[0], taps, y[2], y[3]};
      LINNET_TRY(CheckMap(c, 2, "offset", wanted));
      LINNET_TRY(CheckMap(c, 4, "mask", wanted_mask));
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  static Status CheckMap(const InferContext& c, int i, const char* what, const Shape& wanted) {
    if (!c.has_input(i) || !c.shape(i).has_rank()) return Status();
    for (int d = 0; d < 4; ++d) {
      if (IsKnownDim(c.shape(i)[d]) && IsKnownDim(wanted[d]) && c.shape(i)[d] != wanted[d]) {
        return InvalidModel(what, " has shape ", ToString(c.shape(i)), " where ", ToString(wanted), " is expected");
      }
    }
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape &x = c.shape(0), &w = c.shape(1);
    LINNET_TRY(attributes.Infer(x, w, Layout::kChannelsFirst, &b.window).TakeStatus());
    b.in_c = x[1], b.out_c = w[0];
    const int64_t size = c.dtype(0) == DType::kDouble ? 8 : 4;
    b.packed_bytes = RoundUp(w.elements() * size, kAlignment);
    b.row_bytes = RoundUp(b.in_c * b.window.taps() * size, kAlignment);
    b.worker_bytes = b.row_bytes + RoundUp(b.out_c * size, kAlignment);
    c.Scratch(b.packed_bytes + b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (c.output_shape(0).elements() == 0) return Status();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      using W = Wide<T>;
      const int64_t taps = b.window.taps(), group_in = b.in_c / attributes.groups, group_out = b.out_c / attributes.groups;
      W* packed = reinterpret_cast<W*>(c.scratch());
      ConvAny<T>::Pack(c.in<T>(1), b.out_c, group_in, attributes.groups, taps, packed);
      const int64_t pixels = b.window.out_pixels();
      double pixel_ns = static_cast<double>(b.in_c * taps) * (3 + 0.3 * static_cast<double>(group_out));
      return c.ParallelFor(c.input_shape(0)[0] * pixels, 1, pixel_ns, [&](int64_t begin, int64_t end, int worker) {
        std::byte* mine = c.scratch() + b.packed_bytes + worker * b.worker_bytes;
        W* row = reinterpret_cast<W*>(mine);
        W* sums = reinterpret_cast<W*>(mine + b.row_bytes);
        for (int64_t i = begin; i < end; ++i) {
          const int64_t image = i / pixels, pixel = i % pixels;
          Collect<T>(c, b, image, pixel, row);
          for (int64_t o = 0; o < b.out_c; ++o) sums[o] = c.has_input(3) ? Widen(c.in<T>(3)[o]) : W(0);
          const W* w = packed;
          const W* x = row;
          for (int64_t g = 0; g < attributes.groups; ++g) {
            W* sum = sums + g * group_out;
            for (int64_t k = 0; k < taps * group_in; ++k, w += group_out) {
              for (int64_t o = 0; o < group_out; ++o) sum[o] += *x * w[o];
              ++x;
            }
          }
          T* y = c.out<T>(0) + image * b.out_c * pixels + pixel;
          for (int64_t o = 0; o < b.out_c; ++o) y[o * pixels] = Narrow<T>(sums[o]);
        }
      });
    });
  }

  /// The moved taps of one output pixel as [group][tap][channel of the group].
  template <class T>
  void Collect(RunContext& c, const Bound& b, int64_t image, int64_t pixel, Wide<T>* row) const {
    using W = Wide<T>;
    const WindowAxis &h = b.window.axes[0], &v = b.window.axes[1];
    const int64_t taps = b.window.taps(), pixels = b.window.out_pixels(), in_pixels = h.in * v.in;
    const int64_t group_in = b.in_c / attributes.groups, per_offset = b.in_c / offset_groups;
    for (int64_t og = 0; og < offset_groups; ++og) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t map = (image * offset_groups + og) * taps + tap;
        const T* offset = c.in<T>(2) + map * 2 * pixels + pixel;
        const W mask = c.has_input(4) ? Widen(c.in<T>(4)[map * pixels + pixel]) : W(1);
        const W y = static_cast<W>(pixel / v.out * h.stride - h.pad + tap / v.kernel * h.dilation) + Widen(offset[0]);
        const W x = static_cast<W>(pixel % v.out * v.stride - v.pad + tap % v.kernel * v.dilation) + Widen(offset[pixels]);
        int64_t from[4];
        W weight[4];
        Corners(y, x, h.in, v.in, from, weight);
        for (int64_t k = og * per_offset; k < (og + 1) * per_offset; ++k) {
          const T* channel = c.in<T>(0) + (image * b.in_c + k) * in_pixels;
          W sum = 0;
          for (int i = 0; i < 4; ++i) {
            if (from[i] >= 0) sum += weight[i] * Widen(channel[from[i]]);
          }
          row[(k / group_in * taps + tap) * group_in + k % group_in] = sum * mask;
        }
      }
    }
  }

  template <class W>
  static void Corners(W y, W x, int64_t height, int64_t width, int64_t* from, W* weight) {
    const bool near = y > -1 && x > -1 && y < static_cast<W>(height) && x < static_cast<W>(width);   // false for NaN
    const W y0 = near ? std::floor(y) : W(0), x0 = near ? std::floor(x) : W(0);
    for (int i = 0; i < 4; ++i) {
      const int64_t row = static_cast<int64_t>(y0) + i / 2, column = static_cast<int64_t>(x0) + i % 2;
      const bool inside = near && row >= 0 && row < height && column >= 0 && column < width;
      from[i] = inside ? row * width + column : -1;
      weight[i] = (i / 2 ? y - y0 : 1 - (y - y0)) * (i % 2 ? x - x0 : 1 - (x - x0));
    }
  }
};

}  // namespace

LINNET_OP(DeformConv, 19, DeformConv);

}  // namespace linnet
