// The sizes of windows as ONNX's Conv and pools define them.
#include "providers/reference/window.h"

#include <algorithm>

namespace linnet::reference {

Window Window::Of(const Call& c, const Shape& image, const Shape* kernel) {
  const std::vector<int64_t> sizes = c.Ints("kernel_shape"), strides = c.Ints("strides"), dilations = c.Ints("dilations"),
                             pads = c.Ints("pads");
  const std::string auto_pad = c.Text("auto_pad", "NOTSET");
  const bool same = auto_pad.starts_with("SAME"), given = auto_pad == "NOTSET" || auto_pad.empty();
  Window window;
  const size_t n = U(image.rank() - 2);
  for (size_t i = 0; i < n; ++i) {
    WindowAxis axis;
    axis.in = image[static_cast<int>(i) + 2];
    axis.kernel = kernel ? (*kernel)[static_cast<int>(i) + 2] : sizes[i];
    if (!strides.empty()) axis.stride = strides[i];
    if (!dilations.empty()) axis.dilation = dilations[i];
    const int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
    if (same) {
      axis.out = DivUp(axis.in, axis.stride);
      const int64_t total = std::max<int64_t>(0, (axis.out - 1) * axis.stride + extent - axis.in);
      axis.pad = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      axis.pad_end = total - axis.pad;
    } else {
      if (given && !pads.empty()) axis.pad = pads[i], axis.pad_end = pads[i + n];
      const int64_t room = axis.in + axis.pad + axis.pad_end - extent;
      const bool up = c.Flag("ceil_mode") && given;
      axis.out = axis.in == 0 ? 0 : (room < 0 ? 0 : up ? DivUp(room, axis.stride) : room / axis.stride) + 1;
      // A window that would begin in the padding at the end does not count.
      if (up && (axis.out - 1) * axis.stride >= axis.in + axis.pad) --axis.out;
    }
    window.axes.push_back(axis);
  }
  return window;
}

Shape Window::Sizes(int64_t WindowAxis::*member) const {
  Shape shape = Shape::OfRank(0);
  for (const WindowAxis& axis : axes) shape.Append(axis.*member);
  return shape;
}

Shape Window::Output(int64_t batch, int64_t channels) const {
  Shape shape{batch, channels};
  for (const WindowAxis& axis : axes) shape.Append(axis.out);
  return shape;
}

std::vector<Window::Tap> Window::Taps(const Index& o) const {
  std::vector<Tap> taps;
  ForEachIndex(kernel(), [&](const Index& k, int64_t at) {
    int64_t offset = 0;
    for (size_t d = 0; d < axes.size(); ++d) {
      const int64_t position = o[d] * axes[d].stride - axes[d].pad + k[d] * axes[d].dilation;
      if (position < 0 || position >= axes[d].in) return;
      offset = offset * axes[d].in + position;
    }
    taps.push_back({at, offset});
  });
  return taps;
}

}  // namespace linnet::reference
