// MaxRoiPool: the largest element of every bin of every region of interest (versions 1 and 22).
//
// A region is [batch, x1, y1, x2, y2], rounded to whole pixels after scaling, both ends included and at least one pixel.
// Bins overlap where they do not divide the region; a bin outside of the image is 0.
#include <cmath>

#include "ops/scalar_helpers.h"
#include "ops/op.h"

namespace linnet {
namespace {

struct MaxRoiPool {
  int64_t out_h = 1, out_w = 1;
  float spatial_scale = 1;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::vector<int64_t> shape, node.Ints("pooled_shape"));
    if (shape.size() != 2) return InvalidModel("attribute pooled_shape has ", shape.size(), " numbers where 2 are expected");
    out_h = shape[0], out_w = shape[1];
    if (out_h < 1 || out_w < 1 || out_h > kDimMax || out_w > kDimMax) {
      return InvalidModel("attribute pooled_shape is ", out_h, ", ", out_w);
    }
    LINNET_ASSIGN(spatial_scale, node.Float("spatial_scale", 1));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckType(1, kAnyFloat));
    LINNET_TRY(c.CheckRank(0, 4));
    LINNET_TRY(c.CheckRank(1, 2));
    const Shape &x = c.shape(0), &rois = c.shape(1);
    if (rois.has_rank() && IsKnownDim(rois[1]) && rois[1] != 5) return InvalidModel("rois have shape ", ToString(rois));
    return c.SetOutput(0, c.dtype(0), Shape{rois.has_rank() ? rois[0] : kUnknownDim, x.has_rank() ? x[1] : kUnknownDim, out_h, out_w});
  }

  struct Region {
    int64_t image, y, x, h, w;
  };
  template <class R>
  Status ReadRegion(const R* roi, int64_t index, int64_t batch, Region* region) const {
    double edge[5];
    for (int i = 0; i < 5; ++i) {
      edge[i] = static_cast<double>(Widen(roi[i]));
      if (i > 0) edge[i] = std::round(edge[i] * static_cast<double>(spatial_scale));
      if (!(std::abs(edge[i]) < 1e9)) return InvalidArgument("roi ", index, " has ", edge[i]);
    }
    region->image = static_cast<int64_t>(edge[0]);
    if (region->image < 0 || region->image >= batch) {
      return InvalidArgument("roi ", index, " is in image ", region->image, "; the batch has ", batch);
    }
    region->x = static_cast<int64_t>(edge[1]), region->y = static_cast<int64_t>(edge[2]);
    region->w = std::max<int64_t>(static_cast<int64_t>(edge[3]) - region->x + 1, 1);
    region->h = std::max<int64_t>(static_cast<int64_t>(edge[4]) - region->y + 1, 1);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Shape x = c.input_shape(0);
    const int64_t count = c.output_shape(0)[0];
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      return ForType<kAnyFloat>(c.input_dtype(1), [&]<class R>() -> Status {
        for (int64_t i = 0; i < count; ++i) {
          Region region;
          LINNET_TRY(ReadRegion(c.in<R>(1) + i * 5, i, x[0], &region));
        }
        return c.ParallelFor(count * x[1], 1, 20.0 * static_cast<double>(out_h * out_w), [&](int64_t begin, int64_t end, int) {
          for (int64_t k = begin; k < end; ++k) {
            Region region;
            if (!ReadRegion(c.in<R>(1) + k / x[1] * 5, 0, x[0], &region).ok()) return;   // checked above
            const T* channel = c.in<T>(0) + (region.image * x[1] + k % x[1]) * x[2] * x[3];
            Channel(region, channel, x[2], x[3], c.out<T>(0) + k * out_h * out_w);
          }
        });
      });
    });
  }

  /// Bin `i` of `bins` over `length` pixels from `start`, cut to [0, size).
  static void Bin(int64_t i, int64_t bins, int64_t start, int64_t length, int64_t size, int64_t* begin, int64_t* end) {
    const double bin = static_cast<double>(length) / static_cast<double>(bins);
    *begin = std::clamp<int64_t>(start + static_cast<int64_t>(std::floor(static_cast<double>(i) * bin)), 0, size);
    *end = std::clamp<int64_t>(start + static_cast<int64_t>(std::ceil(static_cast<double>(i + 1) * bin)), 0, size);
  }

  template <class T>
  void Channel(const Region& r, const T* x, int64_t height, int64_t width, T* y) const {
    for (int64_t ph = 0; ph < out_h; ++ph) {
      int64_t y0, y1;
      Bin(ph, out_h, r.y, r.h, height, &y0, &y1);
      for (int64_t pw = 0; pw < out_w; ++pw) {
        int64_t x0, x1;
        Bin(pw, out_w, r.x, r.w, width, &x0, &x1);
        Wide<T> most = 0;
        bool first = true;
        for (int64_t i = y0; i < y1; ++i) {
          for (int64_t j = x0; j < x1; ++j) {
            Wide<T> v = Widen(x[i * width + j]);
            if (first || v > most || v != v) most = v;
            first = false;
          }
        }
        *y++ = Narrow<T>(most);
      }
    }
  }
};

}  // namespace

LINNET_OP(MaxRoiPool, 1, MaxRoiPool);

}  // namespace linnet
