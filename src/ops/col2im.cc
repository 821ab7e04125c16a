// Col2Im: adds the columns of sliding blocks back into an image (version 18).
//
// Input [N, C * product(block), L] with L the number of block positions; output [N, C, image...]. Every image element
// gathers the columns that cover it.
#include "ops/conv_helpers.h"

namespace linnet {
namespace {

struct Col2Im {
  WindowAttributes window;

  Status Parse(const Node& node) { return window.Parse(node); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    LINNET_TRY(c.CheckType(0, kAnyNumber));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckType(2, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckRank(0, 3));
    LINNET_TRY(c.CheckRank(1, 1));
    LINNET_TRY(c.CheckRank(2, 1));
    const Shape& x = c.shape(0);
    int64_t length = window.rank();
    for (int i = 1; i <= 2 && length < 0; ++i) {
      if (c.shape(i).has_rank() && IsKnownDim(c.shape(i)[0])) length = c.shape(i)[0];
    }
    if (length < 0) return c.SetOutput(0, c.dtype(0), Shape());
    if (length < 1 || length > kSpatialMax) return Unsupported("images of ", length, " dimensions");
    Shape y = Shape::OfRank(static_cast<int>(length) + 2);
    if (x.has_rank()) y[0] = x[0];
    if (!c.KnowsInts(1) || !c.KnowsInts(2)) return c.SetOutput(0, c.dtype(0), y);
    Window fitted;
    LINNET_TRY(Fit(c, static_cast<int>(length), &fitted));
    for (int i = 0; i < fitted.rank; ++i) y[2 + i] = fitted.axes[i].in;
    if (x.has_rank() && IsKnownDim(x[1])) {
      double taps = 1, positions = 1;
      for (int i = 0; i < fitted.rank; ++i) {
        taps *= static_cast<double>(fitted.axes[i].kernel);
        positions *= static_cast<double>(fitted.axes[i].out);
      }
      if (taps > 1e12 || x[1] % static_cast<int64_t>(taps) != 0) {
        return InvalidModel("input of shape ", ToString(x), " does not divide into blocks of ", taps);
      }
      y[1] = x[1] / static_cast<int64_t>(taps);
      if (IsKnownDim(x[2]) && static_cast<double>(x[2]) != positions) {
        return InvalidModel("input has ", x[2], " columns where the image has ", positions, " block positions");
      }
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  /// A window over the output image: `in` its sizes, `out` the positions of blocks.
  Status Fit(const InferContext& c, int rank, Window* fitted) const {
    LINNET_ASSIGN(InferContext::SmallInts image, c.ReadInts(1));
    LINNET_ASSIGN(InferContext::SmallInts block, c.ReadInts(2));
    if (image.count != rank || block.count != rank) {
      return InvalidModel("image_shape and block_shape have ", image.count, " and ", block.count, " numbers, attributes ", rank);
    }
    for (int i = 0; i < rank; ++i) {
      if (image[i] < 1 || image[i] > kDimMax || block[i] < 1 || block[i] >= kWindowMax) {
        return InvalidModel("image_shape and block_shape have ", image[i], " and ", block[i]);
      }
    }
    Shape x = ImageShape(Layout::kChannelsFirst, 1, 1, image.span());
    return window.Fit(x, Layout::kChannelsFirst, block.values, rank, fitted);
  }

  Status Bind(BindContext& c) const {
    return Fit(c, c.output_shape(0).rank() - 2, c.Params<Window>());
  }

  Status Run(RunContext& c) const {
    const Window& w = c.params<Window>();
    const Shape& y = c.output_shape(0);
    if (y.elements() == 0) return Status();
    const int64_t pixels = w.in_pixels(), columns = w.out_pixels(), taps = w.taps();
    return ForType<kAnyNumber>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(y[0] * y[1] * pixels, 64, 5.0 * static_cast<double>(taps), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          c.out<T>(0)[i] = Gather(w, c.in<T>(0) + i / pixels * taps * columns, i % pixels, columns);
        }
      });
    });
  }

  template <class T>
  static T Gather(const Window& w, const T* x, int64_t pixel, int64_t columns) {
    using Sum = std::conditional_t<std::is_integral_v<T>, uint64_t, Wide<T>>;   // integers wrap
    BoxCounter box;
    box.rank = w.rank;
    int64_t at[kSpatialMax];
    for (int i = w.rank - 1; i >= 0; --i) {
      at[i] = pixel % w.axes[i].in + w.axes[i].pad;
      pixel /= w.axes[i].in;
      box.begin[i] = 0;
      box.end[i] = std::min(w.axes[i].kernel, at[i] / w.axes[i].dilation + 1);
    }
    Sum sum = 0;
    for (bool more = box.Start(); more; more = box.Next()) {
      int64_t tap = 0, column = 0;
      bool hit = true;
      for (int i = 0; i < w.rank; ++i) {
        const WindowAxis& axis = w.axes[i];
        const int64_t from = at[i] - box.at[i] * axis.dilation;
        hit = hit && from % axis.stride == 0 && from / axis.stride < axis.out;
        tap = tap * axis.kernel + box.at[i];
        column = column * axis.out + from / axis.stride;
      }
      if (!hit) continue;
      if constexpr (std::is_integral_v<T>) {
        sum += static_cast<uint64_t>(x[tap * columns + column]);
      } else {
        sum += Widen(x[tap * columns + column]);
      }
    }
    return Narrow<T>(sum);
  }
};

}  // namespace

LINNET_OP(Col2Im, 18, Col2Im);

}  // namespace linnet
