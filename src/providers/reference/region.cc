// Reading images at computed positions: GridSample, AffineGrid, RoiAlign, MaxRoiPool.
#include <math.h>

#include <algorithm>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

/// Mirrors x at low and high until it lies between them.
double Reflect(double x, double low, double high) {
  if (high <= low) return low;
  const double period = 2 * (high - low), phase = fmod(fmod(x - low, period) + period, period);
  return low + (phase <= high - low ? phase : period - phase);
}

/// One axis of GridSample: which elements a position reads (-1 reads zero), with which weights.
struct Sampler {
  std::string mode, padding;
  bool align = false;

  std::vector<std::pair<int64_t, double>> At(double normalized, int64_t n) const {
    const double size = static_cast<double>(n), low = align ? 0 : -0.5, high = align ? size - 1 : size - 0.5;
    double x = align ? (normalized + 1) / 2 * (size - 1) : ((normalized + 1) * size - 1) / 2;
    x = isnan(x) ? -1e9 : std::clamp(x, -1e9, 1e9);
    const bool cubic = mode == "cubic" || mode == "bicubic", nearest = mode == "nearest";
    if (nearest) x = nearbyint(x);
    if (padding == "border" && !cubic) x = std::clamp(x, 0.0, size - 1);
    if (padding == "reflection" && (x < low || x > high)) x = Reflect(x, low, high);
    auto place = [&](double i) -> int64_t {
      if (i >= 0 && i < size) return static_cast<int64_t>(i);
      if (padding == "zeros") return -1;
      if (padding == "reflection") i = trunc(Reflect(i, low, high));
      return static_cast<int64_t>(std::clamp(i, 0.0, size - 1));
    };
    if (nearest) return {{place(trunc(x)), 1.0}};
    const double f = floor(x), r = x - f;
    if (!cubic) return {{place(f), 1 - r}, {place(f + 1), r}};
    auto weight = [](double d) {
      const double a = -0.75;
      d = fabs(d);
      return d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1 : a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a;
    };
    std::vector<std::pair<int64_t, double>> taps;
    for (int k = -1; k < 3; ++k) taps.emplace_back(place(f + k), weight(r - k));
    return taps;
  }
};

Status GridSample(Call& c) {
  const Reals x = c.In(0), grid = c.In(1);
  const Sampler sampler{c.Text("mode", "linear"), c.Text("padding_mode", "zeros"), c.Flag("align_corners")};
  const int n = x.shape.rank() - 2;
  Shape shape{x.shape[0], x.shape[1]};
  for (int d = 0; d < n; ++d) shape.Append(grid.shape[d + 1]);
  Reals y(shape);
  if (x.size() == 0 && y.size() > 0)
    return InvalidArgument("the image of shape ", ToString(x.shape), " has no elements to sample");
  const int64_t points = shape.Product(2, shape.rank()), pixels = x.shape.Product(2, x.shape.rank());
  for (int64_t point = 0; point < shape[0] * points && y.size() > 0; ++point) {
    std::vector<std::pair<int64_t, double>> terms = {{0, 1.0}};   // offset within a channel so far, weight so far
    for (int d = 0; d < n; ++d) {
      std::vector<std::pair<int64_t, double>> longer;
      for (auto [offset, weight] : terms) {
        for (auto [i, w] : sampler.At(grid[point * n + n - 1 - d], x.shape[2 + d])) {   // the last axis comes first
          if (i >= 0) longer.emplace_back(offset * x.shape[2 + d] + i, weight * w);
        }
      }
      terms = std::move(longer);
    }
    for (int64_t k = 0; k < shape[1]; ++k) {
      const int64_t plane = point / points * shape[1] + k;
      double sum = 0;
      for (auto [offset, weight] : terms) sum += weight * x[plane * pixels + offset];
      y[plane * points + point % points] = sum;
    }
  }
  return c.Out(0, y);
}

/// Positions from -1 to 1 over the corners' centres or outer edges, moved by theta; x first.
Status AffineGrid(Call& c) {
  const Reals theta = c.In(0);
  const std::vector<int64_t> size = c.List(1);
  const bool align = c.Flag("align_corners");
  const int n = static_cast<int>(size.size()) - 2;
  Shape shape{size[0]};
  for (int d = 0; d < n; ++d) shape.Append(size[U(d + 2)]);
  shape.Append(n);
  Reals y(shape);
  ForEachIndex(shape, [&](const Index& index, int64_t at) {
    auto position = [&](int k) {   // of axis x, y, (z), then 1
      if (k == n) return 1.0;
      const double length = static_cast<double>(shape[n - k]), i = static_cast<double>(index[U(n - k)]);
      return align ? (length == 1 ? 0.0 : 2 * i / (length - 1) - 1) : (2 * i + 1) / length - 1;
    };
    for (int k = 0; k <= n; ++k) y[at] += theta[Index{index[0], index[U(n + 1)], k}] * position(k);
  });
  return c.Out(0, y);
}

/// Regions cut into bins, each the mean of bilinear samples (or the largest weighted corner of any sample).
Status RoiAlign(Call& c) {
  const Reals x = c.In(0), rois = c.In(1);
  const Integers images = c.In<int64_t>(2);
  const int64_t height = c.Int("output_height", 1), width = c.Int("output_width", 1), ratio = c.Int("sampling_ratio", 0);
  const bool shifted =
      c.Text("coordinate_transformation_mode", c.version() < 16 ? "output_half_pixel" : "half_pixel") == "half_pixel";
  const bool most = c.Text("mode", "avg") == "max";
  const double scale = c.Float("spatial_scale", 1), h = static_cast<double>(x.shape[2]), w = static_cast<double>(x.shape[3]);
  Reals y(Shape{rois.shape[0], x.shape[1], height, width});
  for (int64_t i = 0; i < rois.shape[0]; ++i) {
    if (images[i] < 0 || images[i] >= x.shape[0])
      return InvalidArgument("batch_indices[", i, "] is ", images[i], "; the batch has ", x.shape[0], " images");
    double edge[4];
    for (int k = 0; k < 4; ++k) edge[k] = rois[i * 4 + k] * scale - (shifted ? 0.5 : 0);
    double roi_w = edge[2] - edge[0], roi_h = edge[3] - edge[1];
    if (!shifted) roi_w = std::max(roi_w, 1.0), roi_h = std::max(roi_h, 1.0);
    const double bin_h = roi_h / static_cast<double>(height), bin_w = roi_w / static_cast<double>(width);
    const double grid_h = ratio > 0 ? static_cast<double>(ratio) : std::max(0.0, ceil(bin_h)),
                 grid_w = ratio > 0 ? static_cast<double>(ratio) : std::max(0.0, ceil(bin_w));
    if (!(grid_h * grid_w < 1e7)) return InvalidArgument("roi ", i, " is ", roi_w, " by ", roi_h, " pixels: too many samples");
    ForEachIndex(Shape{x.shape[1], height, width}, [&](const Index& o, int64_t) {
      double sum = 0, largest = 0;
      bool first = true;
      for (double sy = 0; sy < grid_h; ++sy) {
        for (double sx = 0; sx < grid_w; ++sx) {
          double row = edge[1] + bin_h * (static_cast<double>(o[1]) + (sy + 0.5) / grid_h),
                 column = edge[0] + bin_w * (static_cast<double>(o[2]) + (sx + 0.5) / grid_w);
          double corners[4] = {0, 0, 0, 0};
          // More than a pixel outside counts as 0.
          if (row >= -1 && row <= h && column >= -1 && column <= w && h > 0 && w > 0) {
            row = std::clamp(row, 0.0, h - 1);
            column = std::clamp(column, 0.0, w - 1);
            const double r0 = floor(row), c0 = floor(column), dr = row - r0, dc = column - c0;
            auto value = [&](double r, double k) {
              return x[Index{images[i], o[0], static_cast<int64_t>(std::min(r, h - 1)),
                             static_cast<int64_t>(std::min(k, w - 1))}];
            };
            corners[0] = (1 - dr) * (1 - dc) * value(r0, c0);
            corners[1] = (1 - dr) * dc * value(r0, c0 + 1);
            corners[2] = dr * (1 - dc) * value(r0 + 1, c0);
            corners[3] = dr * dc * value(r0 + 1, c0 + 1);
          }
          for (double corner : corners) {
            sum += corner;
            largest = first ? corner : std::max(largest, corner);
            first = false;
          }
        }
      }
      y[Index{i, o[0], o[1], o[2]}] = most ? largest : sum / std::max(1.0, grid_h * grid_w);
    });
  }
  return c.Out(0, y);
}

/// Rounded regions [image, x1, y1, x2, y2] cut into bins of whole pixels, each its largest element; 0 of none.
Status MaxRoiPool(Call& c) {
  const Reals x = c.In(0), rois = c.In(1);
  const std::vector<int64_t> pooled = c.Ints("pooled_shape");
  const double scale = c.Float("spatial_scale", 1);
  Reals y(Shape{rois.shape[0], x.shape[1], pooled[0], pooled[1]});
  Status status;
  ForEachIndex(y.shape, [&](const Index& o, int64_t at) {
    const double* roi = &rois.data[U(o[0] * 5)];
    if (!(roi[0] >= 0 && roi[0] < static_cast<double>(x.shape[0]))) {
      status = InvalidArgument("roi ", o[0], " is in image ", roi[0], "; the batch has ", x.shape[0]);
      return;
    }
    auto bin = [&](int axis, int64_t i, int64_t* begin, int64_t* end) {   // axis 0: rows
      const double from = round(roi[axis ? 1 : 2] * scale), to = round(roi[axis ? 3 : 4] * scale);
      const double step = std::max(to - from + 1, 1.0) / static_cast<double>(pooled[U(axis)]),
                   n = static_cast<double>(x.shape[2 + axis]);
      *begin = static_cast<int64_t>(std::clamp(from + floor(static_cast<double>(i) * step), 0.0, n));
      *end = static_cast<int64_t>(std::clamp(from + ceil(static_cast<double>(i + 1) * step), 0.0, n));
    };
    int64_t r0, r1, c0, c1;
    bin(0, o[2], &r0, &r1);
    bin(1, o[3], &c0, &c1);
    double most = r0 < r1 && c0 < c1 ? -INFINITY : 0;
    for (int64_t r = r0; r < r1; ++r) {
      for (int64_t k = c0; k < c1; ++k) {
        const double v = x[Index{static_cast<int64_t>(roi[0]), o[1], r, k}];
        most = IsNaN(most) || most > v ? most : v;
      }
    }
    y[at] = most;
  });
  LINNET_TRY(std::move(status));
  return c.Out(0, y);
}

constexpr Row kRows[] = {
    {"GridSample", GridSample}, {"AffineGrid", AffineGrid}, {"RoiAlign", RoiAlign}, {"MaxRoiPool", MaxRoiPool},
};

}  // namespace

std::span<const Row> RegionRows() { return kRows; }

}  // namespace linnet::reference
