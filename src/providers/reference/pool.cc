// Pools: one number for every window of an image, channel by channel; for the whole image; and MaxUnpool.
//
// Padding takes part in no maximum and no norm, and in a mean only with count_include_pad; what a window of ceil_mode covers
// beyond the padding never does. A mean of nothing is 0, a maximum of nothing the lowest value with index -1.
#include <math.h>

#include <algorithm>

#include "providers/reference/families.h"
#include "providers/reference/window.h"

namespace linnet::reference {
namespace {

/// f(taps' values, o, taps) for every window of every channel.
template <class T, class F>
Array<T> Pool(const Array<T>& x, const Window& window, F f) {
  Array<T> y(window.Output(x.shape[0], x.shape[1]));
  const int64_t in_pixels = window.in().elements(), out_pixels = window.out().elements();
  ForEachIndex(window.out(), [&](const Index& o, int64_t pixel) {
    const std::vector<Window::Tap> taps = window.Taps(o);
    for (int64_t plane = 0; plane < x.shape[0] * x.shape[1]; ++plane) {
      std::vector<T> values;
      for (const Window::Tap& tap : taps) values.push_back(x[plane * in_pixels + tap.in]);
      y[plane * out_pixels + pixel] = f(values, o);
    }
  });
  return y;
}

/// Which of the values is the first largest, NaN above all; -1 of none.
template <class T>
int64_t Largest(const std::vector<T>& values) {
  int64_t best = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    const T b = best < 0 ? T{} : values[U(best)];
    if (best < 0 || values[i] > b || (IsNaN(values[i]) && !IsNaN(b))) best = static_cast<int64_t>(i);
  }
  return best;
}

double Norm(const std::vector<double>& values, double p) {
  double sum = 0;
  for (double v : values) sum += pow(fabs(v), p);
  return pow(sum, 1 / p);
}
double MeanOf(const std::vector<double>& values, double count) {
  double sum = 0;
  for (double v : values) sum += v;
  return count > 0 ? sum / count : 0;
}
/// LpPool-1 has a float p.
double PowerOf(const Call& c) {
  const Attribute* p = c.node().Find("p");
  return p && std::holds_alternative<float>(p->payload) ? c.Float("p", 2) : static_cast<double>(c.Int("p", 2));
}

/// Position `in` of a plane counted with the first spatial axis fastest.
int64_t ColumnMajor(const Shape& plane, int64_t in) {
  int64_t out = 0, stride = plane.elements();
  for (int d = plane.rank() - 1; d >= 0; --d) {
    stride /= plane[d];
    out += in % plane[d] * stride;
    in /= plane[d];
  }
  return out;
}

Status MaxPool(Call& c) {
  const Window window = Window::Of(c, c.shape(0), nullptr);
  const bool columns = c.Int("storage_order", 0) == 1;
  return ForWide(c.dtype(0), [&]<class T>() -> Status {
    const Array<T> x = c.In<T>(0);
    LINNET_TRY(c.Out(0, Pool(x, window, [&](const std::vector<T>& values, const Index&) {
      const int64_t best = Largest(values);
      return best < 0 ? Lowest<T>(c.dtype(0)) : values[U(best)];
    })));
    if (!c.Wants(1)) return Status();
    Integers places(window.Output(x.shape[0], x.shape[1]));
    const int64_t pixels = window.in().elements();
    ForEachIndex(places.shape, [&](const Index& index, int64_t at) {
      Index o{};
      std::copy(index.begin() + 2, index.end(), o.begin());
      const int64_t plane = index[0] * x.shape[1] + index[1];
      const std::vector<Window::Tap> taps = window.Taps(o);
      std::vector<T> values;
      for (const Window::Tap& tap : taps) values.push_back(x[plane * pixels + tap.in]);
      const int64_t best = Largest(values), in = best < 0 ? 0 : taps[U(best)].in;
      places[at] = best < 0 ? -1 : plane * pixels + (columns ? ColumnMajor(window.in(), in) : in);
    });
    return c.Out(1, places);
  });
}

Status AveragePool(Call& c) {
  const Window window = Window::Of(c, c.shape(0), nullptr);
  const bool padding = c.Flag("count_include_pad");
  return c.Out(0, Pool(c.In(0), window, [&](const std::vector<double>& values, const Index& o) {
    double count = padding ? 1 : static_cast<double>(values.size());
    for (size_t d = 0; padding && d < window.axes.size(); ++d) {
      const WindowAxis& axis = window.axes[d];
      int64_t inside = 0;
      for (int64_t t = 0; t < axis.kernel; ++t)
        inside += o[d] * axis.stride - axis.pad + t * axis.dilation < axis.in + axis.pad_end;
      count *= static_cast<double>(inside);
    }
    return MeanOf(values, count);
  }));
}

Status LpPool(Call& c) {
  const double p = PowerOf(c);
  return c.Out(0, Pool(c.In(0), Window::Of(c, c.shape(0), nullptr),
                       [=](const std::vector<double>& values, const Index&) { return Norm(values, p); }));
}

/// f(all elements of a channel) for each channel.
template <class T, class F>
Status Global(Call& c, F f) {
  const Array<T> x = c.In<T>(0);
  Shape shape = x.shape;
  for (int d = 2; d < shape.rank(); ++d) shape[d] = 1;
  Array<T> y(shape);
  const int64_t pixels = x.shape.Product(2, x.shape.rank());
  for (int64_t i = 0; i < y.size(); ++i) y[i] = f(std::vector<T>(x.data.begin() + i * pixels, x.data.begin() + (i + 1) * pixels));
  return c.Out(0, y);
}
Status GlobalAveragePool(Call& c) {
  return Global<double>(c, [](const std::vector<double>& values) { return MeanOf(values, static_cast<double>(values.size())); });
}
Status GlobalMaxPool(Call& c) {
  return Global<double>(c, [](const std::vector<double>& values) {
    const int64_t best = Largest(values);
    return best < 0 ? -INFINITY : values[U(best)];
  });
}
Status GlobalLpPool(Call& c) {
  const double p = PowerOf(c);
  return Global<double>(c, [=](const std::vector<double>& values) { return Norm(values, p); });
}

/// Puts maxima back where they came from. Indices refer to the smallest tensor that the attributes imply; a larger
/// output_shape keeps their rows and columns.
Status MaxUnpool(Call& c) {
  const std::vector<int64_t> kernel = c.Ints("kernel_shape"), strides = c.Ints("strides"), pads = c.Ints("pads"),
                             wanted = c.List(2);
  const Shape& x = c.shape(0);
  Shape implied = x, y = x;
  const size_t n = kernel.size();
  for (size_t i = 0; i < n; ++i) {
    implied[static_cast<int>(i) + 2] = (x[static_cast<int>(i) + 2] - 1) * (strides.empty() ? 1 : strides[i]) + kernel[i] -
                                       (pads.empty() ? 0 : pads[i] + pads[i + n]);
  }
  y = implied;
  for (size_t i = 0; i < wanted.size(); ++i) y[static_cast<int>(i)] = wanted[i];
  const Integers indices = c.In<int64_t>(1);
  return ForWide(c.dtype(0), [&]<class T>() -> Status {
    const Array<T> values = c.In<T>(0);
    Array<T> out(y);
    for (int64_t i = 0; i < values.size(); ++i) {
      int64_t place = indices[i];
      if (place < 0 || place >= implied.elements())
        return InvalidArgument("index ", place, " is outside ", implied.elements(), " elements");
      Index at{};
      for (int d = y.rank() - 1; d >= 0; --d) {
        at[U(d)] = place % implied[d];
        place /= implied[d];
      }
      out[at] = values[i];
    }
    return c.Out(0, out);
  });
}

constexpr Row kRows[] = {
    {"MaxPool", MaxPool}, {"AveragePool", AveragePool}, {"LpPool", LpPool}, {"GlobalAveragePool", GlobalAveragePool},
    {"GlobalMaxPool", GlobalMaxPool}, {"GlobalLpPool", GlobalLpPool}, {"MaxUnpool", MaxUnpool},
};

}  // namespace

std::span<const Row> PoolRows() { return kRows; }

}  // namespace linnet::reference
