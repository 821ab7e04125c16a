// Resize's attributes, output sizes and the weights of its interpolations.
#include "ops/resize_helpers.h"

#include <algorithm>
#include <cmath>

#include "base/float_types.h"

namespace linnet {
namespace {

using Attributes = ResizeAttributes;

template <class E>
struct Named {
  const char* name;
  E value;
};

template <class E, size_t n>
Status ReadEnum(const Node& node, const char* attribute, const char* fallback, const Named<E> (&rows)[n], E* out) {
  LINNET_ASSIGN(std::string name, node.String(attribute, fallback));
  for (const Named<E>& row : rows) {
    if (name == row.name) {
      *out = row.value;
      return Status();
    }
  }
  std::string known;
  for (const Named<E>& row : rows) known += Cat(known.empty() ? "" : ", ", row.name);
  return InvalidModel("attribute ", attribute, " is ", Quote(name), "; known: ", known);
}

constexpr Named<Attributes::Mode> kModes[] = {
    {"nearest", Attributes::Mode::kNearest},
    {"linear", Attributes::Mode::kLinear},
    {"cubic", Attributes::Mode::kCubic},
    {"bilinear", Attributes::Mode::kLinear},   // Upsample 1
};
constexpr Named<Attributes::Coordinates> kCoordinates[] = {
    {"half_pixel", Attributes::Coordinates::kHalfPixel},
    {"half_pixel_symmetric", Attributes::Coordinates::kHalfPixelSymmetric},
    {"pytorch_half_pixel", Attributes::Coordinates::kPytorchHalfPixel},
    {"tf_half_pixel_for_nn", Attributes::Coordinates::kTfHalfPixelForNn},
    {"align_corners", Attributes::Coordinates::kAlignCorners},
    {"asymmetric", Attributes::Coordinates::kAsymmetric},
    {"tf_crop_and_resize", Attributes::Coordinates::kTfCropAndResize},
};
constexpr Named<Attributes::Rounding> kRoundings[] = {
    {"round_prefer_floor", Attributes::Rounding::kPreferFloor},
    {"round_prefer_ceil", Attributes::Rounding::kPreferCeil},
    {"floor", Attributes::Rounding::kFloor},
    {"ceil", Attributes::Rounding::kCeil},
};
constexpr Named<Attributes::Policy> kPolicies[] = {
    {"stretch", Attributes::Policy::kStretch},
    {"not_larger", Attributes::Policy::kNotLarger},
    {"not_smaller", Attributes::Policy::kNotSmaller},
};

Status CheckScale(float scale) {
  if (scale > 0 && std::isfinite(scale)) return Status();
  return InvalidModel("scale ", scale, " is not a positive number");
}

}  // namespace

Status ResizeAttributes::Parse(const Node& node) {
  LINNET_TRY(ReadEnum(node, "mode", "nearest", kModes, &mode));
  const bool upsample = node.op == "Upsample";
  if (upsample || node.version < 11) {
    coordinates = Coordinates::kAsymmetric;
    rounding = upsample ? Rounding::kFloor : Rounding::kSimple;
    roi_input = sizes_input = -1;
    scales_input = 1;
    if (!upsample || node.version >= 9) return Status();
    scales_input = -1;
    if (node.version >= 7) {
      LINNET_ASSIGN(scales, node.Floats("scales"));
    } else {
      LINNET_ASSIGN(float height, node.Float("height_scale", 0));
      LINNET_ASSIGN(float width, node.Float("width_scale", 0));
      scales = {1, 1, height, width};
    }
    for (float scale : scales) LINNET_TRY(CheckScale(scale));
    return Status();
  }
  LINNET_TRY(ReadEnum(node, "coordinate_transformation_mode", "half_pixel", kCoordinates, &coordinates));
  LINNET_TRY(ReadEnum(node, "nearest_mode", "round_prefer_floor", kRoundings, &rounding));
  LINNET_TRY(ReadEnum(node, "keep_aspect_ratio_policy", "stretch", kPolicies, &policy));
  LINNET_ASSIGN(cubic_a, node.Float("cubic_coeff_a", -0.75f));
  LINNET_ASSIGN(extrapolation, node.Float("extrapolation_value", 0));
  LINNET_ASSIGN(int64_t exclude, node.Int("exclude_outside", 0));
  LINNET_ASSIGN(int64_t anti, node.Int("antialias", 0));
  exclude_outside = exclude != 0;
  antialias = anti != 0;
  if (antialias && mode == Mode::kNearest) return InvalidModel("attribute antialias does not go with mode nearest");
  has_axes = node.Has("axes");
  LINNET_ASSIGN(axes, node.Ints("axes"));
  if (axes.size() > static_cast<size_t>(kMaxRank)) return InvalidModel("attribute axes has ", axes.size(), " numbers");
  return Status();
}

namespace {

/// Which axis of the stored tensor each listed number belongs to.
Status ListedAxes(const Attributes& a, int rank, bool reorder, int64_t length, const char* what, int* stored) {
  int64_t wanted = a.has_axes ? static_cast<int64_t>(a.axes.size()) : rank;
  if (length != wanted) return InvalidModel(what, " has ", length, " numbers where ", wanted, " are expected");
  uint32_t seen = 0;
  for (int64_t i = 0; i < length; ++i) {
    LINNET_ASSIGN(int axis, NormalizeAxis(a.has_axes ? a.axes[static_cast<size_t>(i)] : i, rank));
    if (seen & (1u << axis)) return InvalidModel("attribute axes repeats axis ", axis);
    seen |= 1u << axis;
    stored[i] = !reorder || axis == 0 ? axis : axis == 1 ? rank - 1 : axis - 1;
  }
  return Status();
}

bool IsGiven(const InferContext& c, int input) {
  if (input < 0 || !c.has_input(input)) return false;
  const Shape& shape = c.shape(input);
  return !(shape.rank() == 1 && shape[0] == 0);
}

Status FromScales(const Attributes& a, const Shape& x, bool reorder, std::span<const float> scales, ResizeDim* axes) {
  int stored[kMaxRank];
  LINNET_TRY(ListedAxes(a, x.rank(), reorder, static_cast<int64_t>(scales.size()), "scales", stored));
  for (size_t i = 0; i < scales.size(); ++i) {
    ResizeDim& axis = axes[stored[i]];
    LINNET_TRY(CheckScale(scales[i]));
    axis.scale = static_cast<double>(scales[i]);
    if (scales[i] == 1.0f) continue;   // symbols stay
    axis.out = kUnknownDim;
    if (!IsKnownDim(axis.in)) continue;
    float out = std::floor(static_cast<float>(axis.in) * scales[i]);
    if (!(out <= static_cast<float>(kDimMax))) return LimitReached("dimension ", axis.in, " times scale ", scales[i], " is too large");
    axis.out = static_cast<int64_t>(out);
  }
  return Status();
}

Status FromSizes(const Attributes& a, const Shape& x, bool reorder, std::span<const int64_t> sizes, ResizeDim* axes) {
  int stored[kMaxRank];
  LINNET_TRY(ListedAxes(a, x.rank(), reorder, static_cast<int64_t>(sizes.size()), "sizes", stored));
  double common = 0;
  bool known = true, first = true;
  for (size_t i = 0; i < sizes.size(); ++i) {
    ResizeDim& axis = axes[stored[i]];
    if (sizes[i] < 0 || sizes[i] > kDimMax) return InvalidModel("sizes has ", sizes[i]);
    axis.out = sizes[i];
    axis.exact = true;
    if (!IsKnownDim(axis.in)) {
      known = false;
      continue;
    }
    if (axis.in == 0 && axis.out > 0) return InvalidModel("an axis of size 0 cannot be resized to ", axis.out);
    axis.scale = axis.in == 0 ? 1.0 : static_cast<double>(axis.out) / static_cast<double>(axis.in);
    bool better = a.policy == Attributes::Policy::kNotLarger ? axis.scale < common : axis.scale > common;
    if (first || better) common = axis.scale;
    first = false;
  }
  if (a.policy == Attributes::Policy::kStretch) return Status();
  for (size_t i = 0; i < sizes.size(); ++i) {
    ResizeDim& axis = axes[stored[i]];
    axis.scale = common;
    axis.out = kUnknownDim;
    if (!known) continue;
    double out = std::floor(common * static_cast<double>(axis.in) + 0.5);
    if (!(out <= static_cast<double>(kDimMax))) return LimitReached("dimension ", axis.in, " times scale ", common, " is too large");
    axis.out = static_cast<int64_t>(out);
  }
  return Status();
}

/// The region of interest counts only for tf_crop_and_resize, and only once its contents are known.
Status ReadRoi(const Attributes& a, const InferContext& c, int rank, bool reorder, ResizeDim* axes) {
  if (a.coordinates != Attributes::Coordinates::kTfCropAndResize || !IsGiven(c, a.roi_input)) return Status();
  const void* data = c.data(a.roi_input);
  if (!data || !c.shape(a.roi_input).is_static()) return Status();
  int64_t count = c.shape(a.roi_input).elements();
  int stored[kMaxRank];
  if (count % 2 != 0) return InvalidModel("roi has ", count, " numbers");
  LINNET_TRY(ListedAxes(a, rank, reorder, count / 2, "half of roi", stored));
  for (int64_t i = 0; i < count; ++i) {
    double value = c.dtype(a.roi_input) == DType::kDouble ? static_cast<const double*>(data)[i]
                   : c.dtype(a.roi_input) == DType::kFloat
                       ? static_cast<double>(static_cast<const float*>(data)[i])
                       : static_cast<double>(ToFloat(static_cast<const Float16*>(data)[i]));
    ResizeDim& axis = axes[stored[i % (count / 2)]];
    (i < count / 2 ? axis.roi_begin : axis.roi_end) = value;
  }
  return Status();
}

}  // namespace

Status InferResize(const Attributes& a, const InferContext& c, bool reorder, ResizeDim* axes) {
  const Shape& x = c.shape(0);
  for (int i = 0; i < x.rank(); ++i) {
    axes[i] = ResizeDim();
    axes[i].in = axes[i].out = x[i];
  }
  auto forget = [&] {
    for (int i = 0; i < x.rank(); ++i) axes[i].out = kUnknownDim;
    if (!a.has_axes) return Status();
    // Axes that are not listed keep their size.
    int stored[kMaxRank];
    LINNET_TRY(ListedAxes(a, x.rank(), reorder, static_cast<int64_t>(a.axes.size()), "axes", stored));
    for (int i = 0; i < x.rank(); ++i) axes[i].out = axes[i].in;
    for (size_t i = 0; i < a.axes.size(); ++i) axes[stored[i]].out = kUnknownDim;
    return Status();
  };
  if (a.scales_input < 0) {
    LINNET_TRY(FromScales(a, x, reorder, a.scales, axes));
  } else if (IsGiven(c, a.sizes_input)) {
    if (IsGiven(c, a.scales_input) && c.shape(a.scales_input).is_static()) {
      return InvalidModel("both scales and sizes are given");
    }
    if (!c.KnowsInts(a.sizes_input)) return forget();
    LINNET_ASSIGN(InferContext::SmallInts sizes, c.ReadInts(a.sizes_input));
    LINNET_TRY(FromSizes(a, x, reorder, sizes.span(), axes));
  } else if (IsGiven(c, a.scales_input)) {
    const float* data = c.data<float>(a.scales_input);
    if (!data || !c.shape(a.scales_input).is_static()) return forget();
    LINNET_TRY(FromScales(a, x, reorder, {data, static_cast<size_t>(c.shape(a.scales_input).elements())}, axes));
  } else {
    return InvalidModel("neither scales nor sizes are given");
  }
  return ReadRoi(a, c, x.rank(), reorder, axes);
}

bool RoiIsMissing(const Attributes& a, const InferContext& c) {
  return a.coordinates == Attributes::Coordinates::kTfCropAndResize && IsGiven(c, a.roi_input) && !c.data(a.roi_input);
}

namespace {

/// The position in the input that output position `o` stands for. F is float where the model gave a float scale, so
/// that quotients which ought to be whole numbers are.
template <class F>
F Source(const Attributes& a, const ResizeDim& axis, int64_t o) {
  const F x = static_cast<F>(o), scale = static_cast<F>(axis.scale), in = static_cast<F>(axis.in), half = F(0.5);
  const F out = axis.exact && a.policy == Attributes::Policy::kStretch ? static_cast<F>(axis.out) : scale * in;
  switch (a.coordinates) {
    case Attributes::Coordinates::kHalfPixel: return (x + half) / scale - half;
    case Attributes::Coordinates::kPytorchHalfPixel: return axis.out > 1 ? (x + half) / scale - half : F(0);
    case Attributes::Coordinates::kTfHalfPixelForNn: return (x + half) / scale;
    case Attributes::Coordinates::kAsymmetric: return x / scale;
    case Attributes::Coordinates::kAlignCorners: return out == 1 ? F(0) : x * (in - 1) / (out - 1);
    case Attributes::Coordinates::kHalfPixelSymmetric:
      return in / 2 * (1 - static_cast<F>(axis.out) / out) + (x + half) / scale - half;
    case Attributes::Coordinates::kTfCropAndResize: {
      const F begin = static_cast<F>(axis.roi_begin), end = static_cast<F>(axis.roi_end);
      if (out == 1) return half * (begin + end) * (in - 1);
      return begin * (in - 1) + x * (end - begin) * (in - 1) / (out - 1);
    }
  }
  return x;
}

double SourceOf(const Attributes& a, const ResizeDim& axis, int64_t o) {
  return axis.exact ? Source<double>(a, axis, o) : static_cast<double>(Source<float>(a, axis, o));
}

double Nearest(const Attributes& a, const ResizeDim& axis, double x) {
  switch (a.rounding) {
    case Attributes::Rounding::kPreferFloor: return std::ceil(x - 0.5);
    case Attributes::Rounding::kPreferCeil: return std::floor(x + 0.5);
    case Attributes::Rounding::kFloor: return std::floor(x);
    case Attributes::Rounding::kCeil: return std::ceil(x);
    case Attributes::Rounding::kSimple: return axis.scale < 1 ? std::ceil(x) : std::floor(x);
  }
  return x;
}

/// The weight of an input at distance `d`, in units of the filter.
double Filter(const Attributes& a, double d) {
  d = std::abs(d);
  if (a.mode == Attributes::Mode::kLinear) return std::max(0.0, 1 - d);
  const double A = static_cast<double>(a.cubic_a);
  if (d <= 1) return ((A + 2) * d - (A + 3)) * d * d + 1;
  if (d < 2) return ((A * d - 5 * A) * d + 8 * A) * d - 4 * A;
  return 0;
}

/// Half the taps: 1 or 2, more where antialiasing stretches the filter.
int64_t Reach(const Attributes& a, const ResizeDim& axis) {
  const double half = a.mode == Attributes::Mode::kLinear ? 1 : 2;
  return a.antialias && axis.scale < 1 ? static_cast<int64_t>(std::ceil(half / axis.scale)) : static_cast<int64_t>(half);
}

}  // namespace

int64_t ResizeTaps(const Attributes& a, const ResizeDim& axis) {
  return a.mode == Attributes::Mode::kNearest ? 1 : 2 * Reach(a, axis);
}

bool IsIdentity(const Attributes& a, const ResizeDim& axis) {
  if (axis.in != axis.out || axis.scale != 1) return false;
  if (a.coordinates == Attributes::Coordinates::kTfCropAndResize) return axis.roi_begin == 0 && axis.roi_end == 1;
  return a.coordinates != Attributes::Coordinates::kTfHalfPixelForNn;
}

void FillResizeTable(const Attributes& a, const ResizeDim& axis, ResizeTable* table) {
  const int64_t reach = Reach(a, axis), last = axis.in - 1;
  const double stretch = a.antialias ? std::min(1.0, axis.scale) : 1.0;
  for (int64_t o = 0; o < axis.out; ++o) {
    double x = SourceOf(a, axis, o);
    bool outside = !(x >= 0 && x <= static_cast<double>(last));
    if (table->outside) table->outside[o] = outside;
    x = x >= -1e9 ? std::min(x, 4e9) : -1e9;   // NaN goes somewhere
    auto clamp = [last](double i) { return static_cast<int32_t>(std::clamp(i, 0.0, static_cast<double>(last))); };
    if (a.mode == Attributes::Mode::kNearest) {
      table->index[o] = clamp(Nearest(a, axis, x));
      continue;
    }
    int32_t* index = table->index + o * table->taps;
    double* weight = table->weight + o * table->taps;
    const double floor = std::floor(x);
    double sum = 0;
    for (int64_t t = 0; t < table->taps; ++t) {
      double i = floor + static_cast<double>(t - reach + 1);
      weight[t] = Filter(a, stretch * (i - x));
      sum += a.antialias ? weight[t] : 0;
      index[t] = clamp(i);
    }
    if (a.antialias && sum != 0) {
      for (int64_t t = 0; t < table->taps; ++t) weight[t] /= sum;
    }
    if (!a.exclude_outside) continue;
    sum = 0;
    for (int64_t t = 0; t < table->taps; ++t) {
      double i = floor + static_cast<double>(t - reach + 1);
      if (i < 0 || i > static_cast<double>(last)) weight[t] = 0;
      sum += weight[t];
    }
    for (int64_t t = 0; t < table->taps && sum != 0; ++t) weight[t] /= sum;
  }
}

}  // namespace linnet
