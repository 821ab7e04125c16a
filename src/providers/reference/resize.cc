// Resize and Upsample: every output element is a weighted sum of input elements, with weights that are products over the
// axes.
//
// Where the model gives scales, which are floats, positions are computed in float, so that quotients which ought to be
// whole numbers are; where it gives sizes, in double.
#include <math.h>

#include <algorithm>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

/// What is asked of one axis.
struct Axis {
  int64_t in = 1, out = 1;
  double scale = 1, begin = 0, end = 1;   ///< begin, end: the region of interest
  bool exact = false;                     ///< the size was given, not the scale
  double length = 1;                      ///< the output's length in real numbers
};

/// One output position of an axis: which inputs it reads with which weights. `outside`: only the extrapolation value.
struct Taps {
  std::vector<std::pair<int64_t, double>> taps;
  bool outside = false;
};

class Resizer {
 public:
  explicit Resizer(const Call& c)
      : mode_(c.Text("mode", "nearest")), coordinates_(c.Text("coordinate_transformation_mode", "half_pixel")),
        nearest_(c.Text("nearest_mode", "round_prefer_floor")), cubic_(c.Float("cubic_coeff_a", -0.75f)),
        exclude_outside_(c.Flag("exclude_outside")), antialias_(c.Flag("antialias")) {
    if (mode_ == "bilinear") mode_ = "linear";
    if (c.node().op == "Upsample" || c.version() < 11) {
      coordinates_ = "asymmetric";
      nearest_ = c.node().op == "Upsample" ? "floor" : "simple";
    }
  }

  Taps At(const Axis& axis, int64_t o) const {
    Taps result;
    const double x = axis.exact ? Position<double>(axis, o) : static_cast<double>(Position<float>(axis, o));
    result.outside = coordinates_ == "tf_crop_and_resize" && !(x >= 0 && x <= static_cast<double>(axis.in - 1));
    if (result.outside) return result;
    auto add = [&](double i, double weight) {
      result.taps.emplace_back(static_cast<int64_t>(std::clamp(i, 0.0, static_cast<double>(axis.in - 1))), weight);
    };
    if (mode_ == "nearest") {
      add(Nearest(axis, x), 1);
      return result;
    }
    // Antialiasing stretches the filter by the factor the image shrinks.
    const double stretch = antialias_ ? std::min(1.0, axis.scale) : 1.0;
    const double reach = ceil((mode_ == "linear" ? 1 : 2) / stretch);
    double sum = 0;
    for (double i = floor(x) - reach + 1; i <= floor(x) + reach; ++i) {
      const bool inside = i >= 0 && i < static_cast<double>(axis.in);
      const double weight = exclude_outside_ && !inside ? 0 : Filter((i - x) * stretch);
      sum += weight;
      add(i, weight);
    }
    if ((exclude_outside_ || antialias_) && sum != 0) {   // where every tap lies outside there is nothing to share out
      for (auto& [i, weight] : result.taps) weight /= sum;
    }
    return result;
  }

 private:
  /// The position in the input that output position `o` stands for.
  template <class F>
  F Position(const Axis& axis, int64_t o) const {
    const F x = static_cast<F>(o), scale = static_cast<F>(axis.scale), in = static_cast<F>(axis.in), half = F(0.5);
    const F length = axis.exact ? static_cast<F>(axis.length) : scale * in;
    const F begin = static_cast<F>(axis.begin), end = static_cast<F>(axis.end);
    if (coordinates_ == "asymmetric") return x / scale;
    if (coordinates_ == "align_corners") return length == 1 ? F(0) : x * (in - 1) / (length - 1);
    if (coordinates_ == "pytorch_half_pixel" && axis.out <= 1) return F(0);
    if (coordinates_ == "tf_half_pixel_for_nn") return (x + half) / scale;
    if (coordinates_ == "tf_crop_and_resize") {
      return length == 1 ? half * (begin + end) * (in - 1) : begin * (in - 1) + x * (end - begin) * (in - 1) / (length - 1);
    }
    if (coordinates_ == "half_pixel_symmetric")
      return in / 2 * (1 - static_cast<F>(axis.out) / length) + (x + half) / scale - half;
    return (x + half) / scale - half;
  }

  double Nearest(const Axis& axis, double x) const {
    if (nearest_ == "floor" || (nearest_ == "simple" && axis.scale >= 1)) return floor(x);
    if (nearest_ == "ceil" || nearest_ == "simple") return ceil(x);
    return nearest_ == "round_prefer_ceil" ? floor(x + 0.5) : ceil(x - 0.5);
  }

  double Filter(double distance) const {
    const double d = fabs(distance), a = cubic_;
    if (mode_ == "linear") return std::max(0.0, 1 - d);
    if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
    return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
  }

  std::string mode_, coordinates_, nearest_;
  double cubic_;
  bool exclude_outside_, antialias_;
};

/// The axes from scales, sizes and the region of interest.
std::vector<Axis> AxesOf(const Call& c) {
  const Shape& x = c.shape(0);
  const bool upsample = c.node().op == "Upsample", early = c.version() < 11;
  const int scales_input = upsample || early ? 1 : 2;
  std::vector<int64_t> listed = c.Ints("axes");
  if (!c.HasAttribute("axes")) {
    for (int d = 0; d < x.rank(); ++d) listed.push_back(d);
  }
  std::vector<Axis> axes(U(x.rank()));
  for (size_t d = 0; d < axes.size(); ++d) axes[d].in = axes[d].out = x[static_cast<int>(d)];
  auto axis = [&](size_t i) -> Axis& { return axes[U(AxisOf(listed[i], x.rank()))]; };

  std::vector<double> scales;
  if (upsample && c.version() < 7) {
    scales = {1, 1, c.Float("height_scale", 1), c.Float("width_scale", 1)};
  } else if (upsample && c.version() < 9) {
    for (float scale : c.Floats("scales")) scales.push_back(static_cast<double>(scale));
  } else if (c.Has(scales_input)) {
    scales = c.In(scales_input).data;
  }
  for (size_t i = 0; i < scales.size(); ++i) {
    axis(i).scale = scales[i];
    axis(i).out = static_cast<int64_t>(floorf(static_cast<float>(axis(i).in) * static_cast<float>(scales[i])));
  }
  if (scales.empty()) {
    const std::vector<int64_t> sizes = c.List(3);
    const std::string policy = c.Text("keep_aspect_ratio_policy", "stretch");
    double common = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const double scale = static_cast<double>(sizes[i]) / static_cast<double>(axis(i).in);
      common = i == 0 ? scale : policy == "not_larger" ? std::min(common, scale) : std::max(common, scale);
      axis(i).scale = scale;
      axis(i).out = sizes[i];
      axis(i).length = static_cast<double>(sizes[i]);
      axis(i).exact = true;
    }
    for (size_t i = 0; i < sizes.size() && policy != "stretch"; ++i) {
      axis(i).scale = common;
      axis(i).length = common * static_cast<double>(axis(i).in);
      axis(i).out = static_cast<int64_t>(floor(axis(i).length + 0.5));
    }
  }
  if (scales_input == 2 && c.Has(1) && c.Text("coordinate_transformation_mode", "") == "tf_crop_and_resize") {
    const Reals roi = c.In(1);
    for (int64_t i = 0; i < roi.size() / 2; ++i) axis(U(i)).begin = roi[i], axis(U(i)).end = roi[i + roi.size() / 2];
  }
  return axes;
}

Status Resize(Call& c) {
  const std::vector<Axis> axes = AxesOf(c);
  const Resizer resizer(c);
  const std::string mode = c.Text("mode", "nearest");
  const double extrapolation = c.Float("extrapolation_value", 0);
  Shape shape = Shape::OfRank(0);
  std::vector<std::vector<Taps>> taps(axes.size());
  for (size_t d = 0; d < axes.size(); ++d) {
    shape.Append(axes[d].out);
    // An axis that stays as it is is not interpolated.
    const bool same = axes[d].in == axes[d].out && axes[d].scale == 1 && axes[d].begin == 0 && axes[d].end == 1 &&
                      c.Text("coordinate_transformation_mode", "") != "tf_half_pixel_for_nn";
    for (int64_t o = 0; o < axes[d].out; ++o) {
      taps[d].push_back(same ? Taps{{{o, 1.0}}, false} : resizer.At(axes[d], o));
    }
  }
  if (mode == "nearest" && c.Text("coordinate_transformation_mode", "") != "tf_crop_and_resize") {
    return c.Move(0, 0, shape, [&](const Index& index) {
      Index from{};
      for (size_t d = 0; d < axes.size(); ++d) from[d] = taps[d][U(index[d])].taps[0].first;
      return OffsetOf(c.shape(0), from);
    });
  }
  const Reals x = c.In(0);
  Reals y(shape);
  ForEachIndex(shape, [&](const Index& index, int64_t at) {
    std::vector<std::pair<int64_t, double>> terms = {{0, 1.0}};   // offset so far, weight so far
    for (size_t d = 0; d < axes.size(); ++d) {
      const Taps& own = taps[d][U(index[d])];
      std::vector<std::pair<int64_t, double>> longer;
      for (auto [offset, weight] : terms) {
        for (auto [i, w] : own.taps) longer.emplace_back(offset * axes[d].in + i, weight * w);
      }
      terms = std::move(longer);   // nothing is left where one axis lies outside
    }
    y[at] = terms.empty() ? extrapolation : 0;
    for (auto [offset, weight] : terms) y[at] += weight * x[offset];
    if (!IsFloating(c.out_dtype())) y[at] = nearbyint(y[at]);
  });
  return c.Out(0, y);
}

constexpr Row kRows[] = {{"Resize", Resize}, {"Upsample", Resize}};

}  // namespace

std::span<const Row> ResizeRows() { return kRows; }

}  // namespace linnet::reference
