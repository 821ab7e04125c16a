// RoiAlign: every region of interest of an image, sampled by bilinear interpolation into a fixed grid of bins.
//
// Versions 10 (no pixel shift, like "output_half_pixel"), 16 (coordinate_transformation_mode, default half_pixel), 22.
// sampling_ratio 0 takes ceil(region / bins) samples a bin. Mode max takes the largest of the four weighted corners, as
// the definition does, not of the interpolated samples. Samples more than a pixel outside count as 0.
#include <cmath>

#include "ops/scalar_helpers.h"
#include "ops/op.h"

namespace linnet {
namespace {

/// More samples in one bin than this are refused: a region far larger than its image.
constexpr double kSamplesMax = 1 << 22;

struct RoiAlign {
  bool half_pixel = false, max = false;
  int64_t out_h = 1, out_w = 1, sampling_ratio = 0;
  float spatial_scale = 1;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string mode, node.String("mode", "avg"));
    if (mode != "avg" && mode != "max") return InvalidModel("attribute mode is ", Quote(mode), "; known: avg, max");
    max = mode == "max";
    LINNET_ASSIGN(std::string shift, node.String("coordinate_transformation_mode",
                                                 node.version < 16 ? "output_half_pixel" : "half_pixel"));
    if (shift != "half_pixel" && shift != "output_half_pixel") {
      return InvalidModel("attribute coordinate_transformation_mode is ", Quote(shift));
    }
    half_pixel = shift == "half_pixel";
    LINNET_ASSIGN(out_h, node.Int("output_height", 1));
    LINNET_ASSIGN(out_w, node.Int("output_width", 1));
    LINNET_ASSIGN(sampling_ratio, node.Int("sampling_ratio", 0));
    LINNET_ASSIGN(spatial_scale, node.Float("spatial_scale", 1));
    if (out_h < 1 || out_w < 1 || out_h > kDimMax || out_w > kDimMax) {
      return InvalidModel("attributes output_height and output_width are ", out_h, " and ", out_w);
    }
    if (sampling_ratio < 0 || sampling_ratio > 2048) return InvalidModel("attribute sampling_ratio is ", sampling_ratio);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckType(1, kAnyFloat));
    LINNET_TRY(c.CheckType(2, Mask(DType::kInt64)));
    constexpr int kRanks[] = {4, 2, 1};
    for (int i = 0; i < 3; ++i) LINNET_TRY(c.CheckRank(i, kRanks[i]));
    const Shape &x = c.shape(0), &rois = c.shape(1), &batch = c.shape(2);
    if (rois.has_rank() && IsKnownDim(rois[1]) && rois[1] != 4) return InvalidModel("rois have shape ", ToString(rois));
    int64_t count = rois.has_rank() ? rois[0] : kUnknownDim;
    if (batch.has_rank()) {
      if (IsKnownDim(count) && IsKnownDim(batch[0]) && count != batch[0]) {
        return InvalidModel("there are ", count, " rois and ", batch[0], " batch_indices");
      }
      if (!IsKnownDim(count)) count = batch[0];
    }
    return c.SetOutput(0, c.dtype(0), Shape{count, x.has_rank() ? x[1] : kUnknownDim, out_h, out_w});
  }

  struct Region {
    double start_h, start_w, bin_h, bin_w;
    int64_t grid_h, grid_w;
  };

  template <class R>
  Status ReadRegion(const R* roi, int64_t index, Region* region) const {
    const double offset = half_pixel ? 0.5 : 0.0, scale = static_cast<double>(spatial_scale);
    double edge[4];
    for (int i = 0; i < 4; ++i) edge[i] = static_cast<double>(Widen(roi[i])) * scale - offset;
    double width = edge[2] - edge[0], height = edge[3] - edge[1];
    if (!half_pixel) {   // malformed regions count as one pixel
      width = std::max(width, 1.0);
      height = std::max(height, 1.0);
    }
    region->start_w = edge[0], region->start_h = edge[1];
    region->bin_h = height / static_cast<double>(out_h);
    region->bin_w = width / static_cast<double>(out_w);
    const double ratio = static_cast<double>(sampling_ratio);
    const double grid_h = sampling_ratio > 0 ? ratio : std::max(0.0, std::ceil(region->bin_h));
    const double grid_w = sampling_ratio > 0 ? ratio : std::max(0.0, std::ceil(region->bin_w));
    if (!(grid_h * grid_w <= kSamplesMax) || !std::isfinite(width) || !std::isfinite(height)) {
      return InvalidArgument("roi ", index, " is ", width, " by ", height, " pixels: too many samples");
    }
    region->grid_h = static_cast<int64_t>(grid_h);
    region->grid_w = static_cast<int64_t>(grid_w);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Shape x = c.input_shape(0);
    const int64_t count = c.output_shape(0)[0];
    for (int64_t i = 0; i < count; ++i) {
      int64_t image = c.in<int64_t>(2)[i];
      if (image < 0 || image >= x[0]) {
        return InvalidArgument("batch_indices[", i, "] is ", image, "; the batch has ", x[0], " images");
      }
    }
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      return ForType<kAnyFloat>(c.input_dtype(1), [&]<class R>() -> Status {
        for (int64_t i = 0; i < count; ++i) {
          Region region;
          LINNET_TRY(ReadRegion(c.in<R>(1) + i * 4, i, &region));
        }
        return c.ParallelFor(count * x[1], 1, 50.0 * static_cast<double>(out_h * out_w),
                             [&](int64_t begin, int64_t end, int) {
          for (int64_t k = begin; k < end; ++k) {
            Region region;
            if (!ReadRegion(c.in<R>(1) + k / x[1] * 4, 0, &region).ok()) return;   // checked above
            const T* channel = c.in<T>(0) + (c.in<int64_t>(2)[k / x[1]] * x[1] + k % x[1]) * x[2] * x[3];
            Channel(region, channel, x[2], x[3], c.out<T>(0) + k * out_h * out_w);
          }
        });
      });
    });
  }

  template <class T>
  void Channel(const Region& r, const T* x, int64_t height, int64_t width, T* y) const {
    const double count = static_cast<double>(std::max<int64_t>(r.grid_h * r.grid_w, 1));
    for (int64_t ph = 0; ph < out_h; ++ph) {
      for (int64_t pw = 0; pw < out_w; ++pw) {
        double sum = 0, most = 0;
        bool first = true;
        for (int64_t iy = 0; iy < r.grid_h; ++iy) {
          double at_y = r.start_h + r.bin_h * (static_cast<double>(ph) + (static_cast<double>(iy) + 0.5) / static_cast<double>(r.grid_h));
          for (int64_t ix = 0; ix < r.grid_w; ++ix) {
            double at_x = r.start_w + r.bin_w * (static_cast<double>(pw) + (static_cast<double>(ix) + 0.5) / static_cast<double>(r.grid_w));
            double corner[4];
            Corners(x, height, width, at_y, at_x, corner);
            sum += (corner[0] + corner[1]) + (corner[2] + corner[3]);
            double largest = std::max(std::max(corner[0], corner[1]), std::max(corner[2], corner[3]));
            if (first || largest > most) most = largest;
            first = false;
          }
        }
        *y++ = Narrow<T>(max ? most : sum / count);
      }
    }
  }

  /// The four neighbours of a position, weighted.
  template <class T>
  static void Corners(const T* x, int64_t height, int64_t width, double at_y, double at_x, double* corner) {
    for (int i = 0; i < 4; ++i) corner[i] = 0;
    const double h = static_cast<double>(height), w = static_cast<double>(width);
    if (height == 0 || width == 0 || !(at_y >= -1 && at_y <= h && at_x >= -1 && at_x <= w)) return;
    at_y = std::max(at_y, 0.0);
    at_x = std::max(at_x, 0.0);
    int64_t y0 = std::min(static_cast<int64_t>(at_y), height - 1), x0 = std::min(static_cast<int64_t>(at_x), width - 1);
    int64_t y1 = std::min(y0 + 1, height - 1), x1 = std::min(x0 + 1, width - 1);
    double ly = y0 == height - 1 ? 0 : at_y - static_cast<double>(y0), lx = x0 == width - 1 ? 0 : at_x - static_cast<double>(x0);
    auto value = [&](int64_t row, int64_t column) { return static_cast<double>(Widen(x[row * width + column])); };
    corner[0] = (1 - ly) * (1 - lx) * value(y0, x0);
    corner[1] = (1 - ly) * lx * value(y0, x1);
    corner[2] = ly * (1 - lx) * value(y1, x0);
    corner[3] = ly * lx * value(y1, x1);
  }
};

}  // namespace

LINNET_OP(RoiAlign, 10, RoiAlign);

}  // namespace linnet
