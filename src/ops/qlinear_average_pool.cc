// QLinearAveragePool (com.microsoft, version 1): AveragePool of an 8-bit image, in either layout.
//
// Inputs X, x_scale, x_zero_point?, y_scale, y_zero_point?; attributes as AveragePool's, and channels_last. Sums are exact; the
// mean is rounded to float, and then as QuantizeLinear does. A window of padding only is 0.
#include "ops/byte_scale.h"
#include "ops/conv_helpers.h"
#include "ops/for_type.h"
#include "ops/integer_product.h"

namespace linnet {
namespace {

struct QLinearAveragePool {
  WindowAttributes window;
  bool count_padding = false;
  Layout layout = Layout::kChannelsFirst;

  ByteMeans means;

  struct Bound {
    Window window;
    int64_t images = 0, channels = 0, outputs = 0;   ///< channels first: images of one channel
  };

  Status Parse(const Node& node) {
    LINNET_TRY(window.Parse(node));
    if (window.kernel_shape.empty()) return InvalidModel("attribute kernel_shape is missing");
    LINNET_ASSIGN(int64_t include, node.Int("count_include_pad", 0));
    LINNET_ASSIGN(int64_t last, node.Int("channels_last", 0));
    count_padding = include != 0;
    layout = last != 0 ? Layout::kChannelsLast : Layout::kChannelsFirst;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(4, 5));
    LINNET_TRY(c.CheckType(0, kByteTypes));
    LINNET_TRY(CheckByteScale(c, 1, 0));
    LINNET_TRY(CheckByteScale(c, 3, 0));
    const Shape& x = c.shape(0);
    LINNET_TRY(CheckImage(x));
    Shape y = Shape::OfRank(window.rank() + 2);
    if (x.has_rank()) {
      Window fitted;
      LINNET_TRY(window.Fit(x, layout, nullptr, 0, &fitted));
      int64_t spatial[kSpatialMax];
      for (int i = 0; i < fitted.rank; ++i) spatial[i] = fitted.axes[i].out;
      y = ImageShape(layout, x[0], x[ChannelAxis(layout, x.rank())], {spatial, static_cast<size_t>(fitted.rank)});
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  Status Prepare(PrepareContext& c) {
    means.Prepare(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& x = c.shape(0);
    LINNET_TRY(window.Fit(x, layout, nullptr, 0, &b.window));
    const int64_t channels = x[ChannelAxis(layout, x.rank())];
    b.images = layout == Layout::kChannelsFirst ? x[0] * channels : x[0];
    b.channels = layout == Layout::kChannelsFirst ? 1 : channels;
    b.outputs = c.output_shape(0).elements();
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.outputs == 0) return Status();
    LINNET_ASSIGN(const ByteScale in, ReadByteScale(c, 1, c.input_dtype(0)));
    LINNET_ASSIGN(const ByteScale out, ReadByteScale(c, 3, c.input_dtype(0)));
    const int64_t pixels = b.window.out_pixels(), columns = b.window.axes[b.window.rank - 1].out, rows = pixels / columns;
    double taps = 1;
    for (int i = 0; i < b.window.rank; ++i) taps *= static_cast<double>(std::min(b.window.axes[i].kernel, b.window.axes[i].in + 1));
    const double row_ns = static_cast<double>(columns) * (1 + taps * static_cast<double>(b.channels) / 16);
    return ForType<kByteTypes>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(b.images * rows, 1, row_ns, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const T* image = c.in<T>(0) + i / rows * b.window.in_pixels() * b.channels;
          Row(b, image, i % rows, in, out, c.out<T>(0) + i * columns * b.channels);
        }
      });
    });
  }

  /// A row of pixels. The rows of windows that lie inside with all their columns are summed along the line, and then their columns.
  template <class T>
  void Row(const Bound& b, const T* image, int64_t row, const ByteScale& in, const ByteScale& out, T* y) const {
    constexpr int64_t kLine = 2048;
    const int last = b.window.rank - 1;
    const WindowAxis& columns = b.window.axes[last];
    const WindowAxis line = last > 0 ? b.window.axes[0] : WindowAxis{1, 1};
    const int64_t reach = (columns.kernel - 1) * columns.dilation, room = columns.in - 1 - reach + columns.pad, n = b.channels;
    const int64_t most = kLine / n <= reach ? 0 : (kLine / n - reach - 1) / columns.stride + 1;   // pixels of a line
    const int64_t first = line.FirstTap(row), taps = line.EndTap(row) - first;
    int64_t begin = 0, end = 0;   // of the pixels inside
    if (last <= 1 && most > 0 && room >= 0 && taps > 0 && taps * columns.kernel <= ByteMeans::kFewRows) {
      begin = std::min(columns.out, DivUp(columns.pad, columns.stride));
      end = std::clamp(room / columns.stride + 1, begin, columns.out);
    }
    auto pixels = [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) Pixel(b, image, row * columns.out + i, in, out, y + i * n);
    };
    pixels(0, begin);
    const int64_t start = row * line.stride - line.pad, inside = taps * columns.kernel;
    const int64_t count = count_padding ? std::clamp<int64_t>(DivUp(line.in + line.pad_end - start, line.dilation), 0, line.kernel) * columns.kernel : inside;
    const T* x = image + ((start + first * line.dilation) * columns.in - columns.pad) * n;
    for (int64_t i = begin; i < end; i += most) {
      const int64_t some = std::min(most, end - i), length = ((some - 1) * columns.stride + reach + 1) * n;
      int32_t summed[kLine + kSumsSlack], sums[kLine + kSumsSlack];
      std::fill_n(summed, length, 0);
      means.sum_rows[std::is_signed_v<T>](x + i * columns.stride * n, taps, line.dilation * columns.in * n, length, summed);
      means.sum_taps(summed, some, columns.stride * n, columns.kernel, columns.dilation * n, n, sums);
      means.means[std::is_signed_v<T>]({in.scale, static_cast<float>(count), 0, static_cast<int32_t>(inside * in.zero), out}, sums, some * n, y + i * n);
    }
    pixels(end, columns.out);
  }

  template <class T>
  void Pixel(const Bound& b, const T* image, int64_t pixel, const ByteScale& in, const ByteScale& out, T* y) const {
    int64_t at[kSpatialMax];
    const BoxCounter box = TapsAt(b.window, b.window.rank, pixel, at);
    int64_t inside = 1, count = 1;
    for (int i = 0; i < b.window.rank; ++i) {
      const WindowAxis& axis = b.window.axes[i];
      inside *= std::max<int64_t>(0, box.end[i] - box.begin[i]);
      // What ceil_mode covers beyond the padding does not count.
      const int64_t start = at[i] * axis.stride - axis.pad, beyond = axis.in + axis.pad_end;
      count *= std::clamp<int64_t>(DivUp(beyond - start, axis.dilation), 0, axis.kernel);
    }
    if (!count_padding) count = inside;
    const int last = b.window.rank - 1;
    const int64_t row = box.end[last] - box.begin[last], step = b.window.axes[last].dilation * b.channels;
    for (int64_t first = 0; first < b.channels; first += kSummedColumns) {
      const int64_t channels = std::min(kSummedColumns, b.channels - first);
      means.Store(in, out, false, inside, std::max<int64_t>(count, 1), channels, y + first, [&](auto add) {
        BoxCounter tap = box;   // of the rows of taps
        tap.end[last] = std::min(tap.end[last], tap.begin[last] + 1);
        for (bool more = tap.Start(); more; more = tap.Next()) {
          int64_t from = 0;
          for (int i = 0; i < b.window.rank; ++i) {
            const WindowAxis& axis = b.window.axes[i];
            from = from * axis.in + at[i] * axis.stride - axis.pad + tap.at[i] * axis.dilation;
          }
          add(image + from * b.channels + first, row, step);
        }
      });
    }
  }
};

}  // namespace

LINNET_MS_OP(QLinearAveragePool, 1, QLinearAveragePool);

}  // namespace linnet
