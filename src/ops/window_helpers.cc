// Reading window attributes and the rules for output sizes.
#include "ops/window_helpers.h"

namespace linnet {
namespace {

Status CheckList(std::string_view name, const std::vector<int64_t>& list, int64_t least) {
  if (list.size() > 2 * static_cast<size_t>(kSpatialMax)) {
    return Unsupported("attribute ", name, " has ", list.size(), " numbers; images have at most ", kSpatialMax,
                       " spatial dimensions");
  }
  for (int64_t value : list) {
    if (value < least || value >= kWindowMax) {
      return InvalidModel("attribute ", name, " has ", value, "; allowed are ", least, " to ", kWindowMax - 1);
    }
  }
  return Status();
}

}  // namespace

Status CheckImage(const Shape& shape) {
  if (!shape.has_rank() || shape.rank() >= 3) return Status();
  return InvalidModel("input has shape ", ToString(shape), " where batch, channels and spatial dimensions are expected");
}

Shape ImageShape(Layout layout, int64_t batch, int64_t channels, std::span<const int64_t> spatial) {
  Shape shape = Shape::OfRank(static_cast<int>(spatial.size()) + 2);
  shape[0] = batch;
  shape[ChannelAxis(layout, shape.rank())] = channels;
  for (size_t i = 0; i < spatial.size(); ++i) shape[SpatialAxis(layout, static_cast<int>(i))] = spatial[i];
  return shape;
}

bool Window::is_known() const {
  for (int i = 0; i < rank; ++i) {
    if (!IsKnownDim(axes[i].in) || !IsKnownDim(axes[i].out)) return false;
  }
  return true;
}

int64_t Window::in_pixels() const {
  int64_t product = 1;
  for (int i = 0; i < rank; ++i) product *= axes[i].in;
  return product;
}

int64_t Window::out_pixels() const {
  int64_t product = 1;
  for (int i = 0; i < rank; ++i) product *= axes[i].out;
  return product;
}

int64_t Window::taps() const {
  int64_t product = 1;
  for (int i = 0; i < rank; ++i) product *= axes[i].kernel;
  return product;
}

Status WindowAttributes::Parse(const Node& node) {
  LINNET_ASSIGN(std::string pad_name, node.String("auto_pad", "NOTSET"));
  if (pad_name == "NOTSET" || pad_name.empty()) {
    auto_pad = AutoPad::kNotSet;
  } else if (pad_name == "SAME_UPPER") {
    auto_pad = AutoPad::kSameUpper;
  } else if (pad_name == "SAME_LOWER") {
    auto_pad = AutoPad::kSameLower;
  } else if (pad_name == "VALID") {
    auto_pad = AutoPad::kValid;
  } else {
    return InvalidModel("attribute auto_pad is ", Quote(pad_name), "; known: NOTSET, SAME_UPPER, SAME_LOWER, VALID");
  }
  LINNET_ASSIGN(int64_t ceil, node.Int("ceil_mode", 0));
  ceil_mode = ceil != 0;
  LINNET_ASSIGN(kernel_shape, node.Ints("kernel_shape"));
  LINNET_ASSIGN(strides, node.Ints("strides"));
  LINNET_ASSIGN(dilations, node.Ints("dilations"));
  LINNET_ASSIGN(pads, node.Ints("pads"));
  LINNET_TRY(CheckList("kernel_shape", kernel_shape, 1));
  LINNET_TRY(CheckList("strides", strides, 1));
  LINNET_TRY(CheckList("dilations", dilations, 1));
  LINNET_TRY(CheckList("pads", pads, 0));
  int r = rank();
  auto check_length = [r](std::string_view name, size_t length, size_t wanted) {
    if (length == 0 || length == wanted) return Status();
    return InvalidModel("attribute ", name, " has ", length, " numbers where ", r, " spatial dimensions need ", wanted);
  };
  size_t n = static_cast<size_t>(std::max(r, 0));
  LINNET_TRY(check_length("kernel_shape", kernel_shape.size(), n));
  LINNET_TRY(check_length("strides", strides.size(), n));
  LINNET_TRY(check_length("dilations", dilations.size(), n));
  return check_length("pads", pads.size(), 2 * n);
}

int WindowAttributes::rank() const {
  if (!kernel_shape.empty()) return static_cast<int>(kernel_shape.size());
  if (!strides.empty()) return static_cast<int>(strides.size());
  if (!dilations.empty()) return static_cast<int>(dilations.size());
  if (!pads.empty()) return static_cast<int>(pads.size() / 2);
  return -1;
}

Status WindowAttributes::Fit(const Shape& image, Layout layout, const int64_t* kernel, int kernel_rank,
                             Window* window) const {
  int n = image.rank() - 2;
  window->rank = n;
  if (rank() >= 0 && rank() != n) {
    return InvalidModel("attributes are for ", rank(), " spatial dimensions, the input has shape ", ToString(image));
  }
  if (kernel && kernel_rank != n) {
    return InvalidModel("weights have ", kernel_rank, " spatial dimensions, the input has shape ", ToString(image));
  }
  for (int i = 0; i < n; ++i) {
    size_t k = static_cast<size_t>(i);
    WindowAxis& axis = window->axes[i];
    axis = WindowAxis();
    axis.in = image[SpatialAxis(layout, i)];
    axis.kernel = kernel && IsKnownDim(kernel[i]) ? kernel[i] : kernel_shape.empty() ? kUnknownDim : kernel_shape[k];
    if (!kernel_shape.empty() && axis.kernel != kernel_shape[k]) {
      return InvalidModel("attribute kernel_shape has ", kernel_shape[k], " where the weights have ", axis.kernel);
    }
    if (axis.kernel == 0 || axis.kernel >= kWindowMax) return InvalidModel("kernel size ", axis.kernel, " is not allowed");
    if (!strides.empty()) axis.stride = strides[k];
    if (!dilations.empty()) axis.dilation = dilations[k];
    bool same = auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower;
    if (auto_pad == AutoPad::kNotSet && !pads.empty()) {
      axis.pad = pads[k];
      axis.pad_end = pads[k + static_cast<size_t>(n)];
    }
    if (same && axis.stride == 1) axis.out = axis.in;   // symbols pass through
    if (!IsKnownDim(axis.kernel)) continue;
    int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
    if (!IsKnownDim(axis.in)) {
      if (!same && axis.stride == 1 && axis.pad + axis.pad_end == extent - 1) axis.out = axis.in;
      continue;
    }
    if (same) {
      axis.out = DivUp(axis.in, axis.stride);
      int64_t total = std::max<int64_t>(0, (axis.out - 1) * axis.stride + extent - axis.in);
      axis.pad = auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
      axis.pad_end = total - axis.pad;
      continue;
    }
    int64_t room = axis.in + axis.pad + axis.pad_end - extent;
    const bool round_up = ceil_mode && auto_pad == AutoPad::kNotSet;
    if (room < 0 && !(round_up && axis.in > 0 && -room < axis.stride)) {
      if (axis.in == 0) {
        axis.out = 0;
        continue;
      }
      return InvalidModel("a window of ", axis.kernel, " with dilation ", axis.dilation, " does not fit ", axis.in,
                          " with padding ", axis.pad, " and ", axis.pad_end, " in spatial dimension ", i);
    }
    axis.out = room / axis.stride + 1;
    if (round_up) {
      axis.out = (room < 0 ? 0 : DivUp(room, axis.stride)) + 1;
      // A window that would start in the padding at the end does not count.
      if ((axis.out - 1) * axis.stride >= axis.in + axis.pad) --axis.out;
    }
  }
  return Status();
}

}  // namespace linnet
