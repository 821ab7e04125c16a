// Conv, ConvTranspose, ConvInteger, DeformConv, Col2Im, CausalConvWithState.
#include "providers/reference/convolution.h"

#include <math.h>

#include <algorithm>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

Status Conv(Call& c) {
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> y = Convolve(c.In<T>(0), c.In<T>(1), Window::Of(c, c.shape(0), &c.shape(1)), c.Int("group", 1));
    if (c.Has(2)) AddBias(&y, c.In<T>(2).data);
    return c.Out(0, y);
  });
}

Status ConvInteger(Call& c) {
  Integers x = c.In<int64_t>(0), w = c.In<int64_t>(1);
  for (int64_t& v : x.data) v -= c.First<int64_t>(2);
  if (c.Has(3)) {   // one zero point, or one for each output channel
    const Integers zero = c.In<int64_t>(3);
    ForEachIndex(w.shape, [&](const Index& index, int64_t at) { w[at] -= zero[zero.size() == 1 ? 0 : index[0]]; });
  }
  return c.Out(0, Convolve(x, w, Window::Of(c, c.shape(0), &c.shape(1)), c.Int("group", 1)));
}

/// Input i meets output i * stride + t * dilation - pad. The window is that of the convolution whose gradient this is, so
/// its `in` is the output and its `out` is the input.
Window TransposedWindow(const Call& c) {
  const Shape &x = c.shape(0), &w = c.shape(1);
  const std::vector<int64_t> strides = c.Ints("strides"), dilations = c.Ints("dilations"), pads = c.Ints("pads"),
                             more = c.Ints("output_padding"), wanted = c.Ints("output_shape");
  const std::string auto_pad = c.Text("auto_pad", "NOTSET");
  Window window;
  const size_t n = U(x.rank() - 2);
  for (size_t i = 0; i < n; ++i) {
    WindowAxis axis;
    axis.out = x[static_cast<int>(i) + 2];
    axis.kernel = w[static_cast<int>(i) + 2];
    if (!strides.empty()) axis.stride = strides[i];
    if (!dilations.empty()) axis.dilation = dilations[i];
    const int64_t full = axis.stride * (axis.out - 1) + (more.empty() ? 0 : more[i]) + (axis.kernel - 1) * axis.dilation + 1;
    const bool same = auto_pad.starts_with("SAME");
    if (!wanted.empty() || same) {
      // The length decides the padding, of which an odd one goes to the end only for SAME_UPPER.
      axis.in = wanted.empty() ? axis.out * axis.stride : wanted[wanted.size() - n + i];
      const int64_t total = std::max<int64_t>(0, full - axis.in);
      axis.pad = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else {
      const bool given = !pads.empty() && auto_pad != "VALID";
      axis.pad = given ? pads[i] : 0;
      axis.in = full - axis.pad - (given ? pads[i + n] : 0);
    }
    window.axes.push_back(axis);
  }
  return window;
}

/// Every input pixel adds its weighted kernel to the output.
Status ConvTranspose(Call& c) {
  const Window window = TransposedWindow(c);
  const int64_t groups = c.Int("group", 1), in_channels = c.shape(0)[1], per_group = c.shape(1)[1];
  return ForWide(c.dtype(0), [&]<class T>() {
    const Array<T> x = c.In<T>(0), w = c.In<T>(1);
    Shape shape{x.shape[0], per_group * groups};
    for (int64_t size : window.in()) shape.Append(size);
    Array<T> y(shape);
    const int64_t in_pixels = window.out().elements(), out_pixels = window.in().elements(), kernel = window.kernel().elements();
    ForEachIndex(window.out(), [&](const Index& i, int64_t pixel) {
      const std::vector<Window::Tap> taps = window.Taps(i);
      for (int64_t n = 0; n < x.shape[0]; ++n) {
        for (int64_t k = 0; k < in_channels; ++k) {
          const T value = x[(n * in_channels + k) * in_pixels + pixel];
          for (int64_t m = 0; m < per_group; ++m) {
            T* image = y.data.data() + (n * shape[1] + k / (in_channels / groups) * per_group + m) * out_pixels;
            for (const Window::Tap& tap : taps)
              image[tap.in] = Plus(image[tap.in], Times(value, w[(k * per_group + m) * kernel + tap.kernel]));
          }
        }
      }
    });
    if (c.Has(2)) AddBias(&y, c.In<T>(2).data);
    return c.Out(0, y);
  });
}

/// A convolution in two dimensions whose taps are moved by `offset` and weighted by `mask`, read bilinearly.
Status DeformConv(Call& c) {
  const Reals x = c.In(0), w = c.In(1), offset = c.In(2);
  const Window window = Window::Of(c, x.shape, &w.shape);
  const int64_t groups = c.Int("group", 1), offset_groups = c.Int("offset_group", 1), taps = window.kernel().elements();
  const int64_t channels = w.shape[1], pixels = window.out().elements(), height = x.shape[2], width = x.shape[3];
  const Reals bias = c.InOr(3, 0, Shape{w.shape[0]}),
              mask = c.InOr(4, 1, Shape{x.shape[0], offset_groups * taps, window.axes[0].out, window.axes[1].out});
  Reals y(window.Output(x.shape[0], w.shape[0]));
  auto pixel_at = [&](int64_t n, int64_t channel, int64_t i, int64_t j) {
    return i < 0 || j < 0 || i >= height || j >= width ? 0 : x[Index{n, channel, i, j}];
  };
  ForEachIndex(y.shape, [&](const Index& at, int64_t out) {
    double sum = bias[at[1]];
    for (int64_t k = 0; k < channels; ++k) {
      const int64_t channel = at[1] / (w.shape[0] / groups) * channels + k, group = channel / (x.shape[1] / offset_groups);
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t entry = group * taps + tap, pixel = at[2] * window.axes[1].out + at[3];
        const auto& [a, b] = std::tie(window.axes[0], window.axes[1]);
        const double* moved = offset.data.data() + (at[0] * offset_groups * taps + entry) * 2 * pixels + pixel;
        const double row = static_cast<double>(at[2] * a.stride - a.pad + tap / b.kernel * a.dilation) + moved[0];
        const double column = static_cast<double>(at[3] * b.stride - b.pad + tap % b.kernel * b.dilation) + moved[pixels];
        const int64_t i = static_cast<int64_t>(floor(row)), j = static_cast<int64_t>(floor(column));
        const double di = row - floor(row), dj = column - floor(column);
        const double value = (1 - di) * ((1 - dj) * pixel_at(at[0], channel, i, j) + dj * pixel_at(at[0], channel, i, j + 1)) +
                             di * ((1 - dj) * pixel_at(at[0], channel, i + 1, j) + dj * pixel_at(at[0], channel, i + 1, j + 1));
        sum += w[(at[1] * channels + k) * taps + tap] * mask[(at[0] * offset_groups * taps + entry) * pixels + pixel] * value;
      }
    }
    y[out] = sum;
  });
  return c.Out(0, y);
}

/// Columns of sliding blocks added back into an image: the transposed convolution with kernels that pick one element.
Status Col2Im(Call& c) {
  const std::vector<int64_t> image = c.List(1), block = c.List(2), strides = c.Ints("strides"),
                             dilations = c.Ints("dilations"), pads = c.Ints("pads");
  Window window;
  int64_t block_size = 1;
  for (size_t i = 0; i < image.size(); ++i) {
    WindowAxis axis;
    axis.in = image[i];
    axis.kernel = block[i];
    if (!strides.empty()) axis.stride = strides[i];
    if (!dilations.empty()) axis.dilation = dilations[i];
    if (!pads.empty()) axis.pad = pads[i], axis.pad_end = pads[i + image.size()];
    axis.out = (axis.in + axis.pad + axis.pad_end - (axis.kernel - 1) * axis.dilation - 1) / axis.stride + 1;
    block_size *= axis.kernel;
    window.axes.push_back(axis);
  }
  return ForWide(c.dtype(0), [&]<class T>() {
    const Array<T> x = c.In<T>(0);
    Shape shape{x.shape[0], x.shape[1] / block_size};
    for (int64_t size : image) shape.Append(size);
    Array<T> y(shape);
    const int64_t pixels = window.in().elements();
    ForEachIndex(window.out(), [&](const Index& o, int64_t column) {
      for (const Window::Tap& tap : window.Taps(o)) {
        for (int64_t i = 0; i < shape[0] * shape[1]; ++i) {
          T& sum = y[i * pixels + tap.in];
          sum = Plus(sum, x[(i * block_size + tap.kernel) * x.shape[2] + column]);
        }
      }
    });
    return c.Out(0, y);
  });
}

/// A depthwise convolution over the past and the input; the last inputs become the next call's past.
Status CausalConvWithState(Call& c) {
  const Reals x = c.In(0), w = c.In(1);
  const int64_t past_length = w.shape[2] - 1, channels = x.shape[1];
  const Reals bias = c.InOr(2, 0, Shape{channels}), past = c.InOr(3, 0, Shape{x.shape[0], channels, past_length});
  const std::string activation = c.Text("activation", "none");
  Reals padded(WithDim(x.shape, 2, past_length + x.shape[2])), y(x.shape), next(past.shape);
  ForEachIndex(padded.shape, [&](const Index& i, int64_t at) {
    padded[at] = i[2] < past_length ? past[i] : x[Index{i[0], i[1], i[2] - past_length}];
  });
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) {
    double sum = bias[i[1]];
    for (int64_t t = 0; t <= past_length; ++t) sum += w[Index{i[1], 0, t}] * padded[Index{i[0], i[1], i[2] + t}];
    y[at] = activation == "none" ? sum : sum / (1 + exp(-sum));
  });
  ForEachIndex(next.shape, [&](const Index& i, int64_t at) { next[at] = padded[Index{i[0], i[1], i[2] + x.shape[2]}]; });
  LINNET_TRY(c.Out(0, y));
  return c.Out(1, next);
}

constexpr Row kRows[] = {
    {"Conv", Conv}, {"ConvInteger", ConvInteger}, {"ConvTranspose", ConvTranspose}, {"DeformConv", DeformConv},
    {"Col2Im", Col2Im}, {"CausalConvWithState", CausalConvWithState},
};

}  // namespace

std::span<const Row> ConvolutionRows() { return kRows; }

}  // namespace linnet::reference
