// GridSample: reads an image at the positions a grid gives, by nearest, linear or cubic interpolation.
//
// Versions 16 (2-D; bilinear, bicubic), 20 (any rank; linear, cubic) and 22. X is [N, C, D...], the grid [N, D'..., rank]
// with positions from -1 to 1, last spatial dimension first. Nearest rounds half to even. Positions are moved inside for
// padding_mode border (but not for cubic) and reflection before interpolation, and single taps again after it. NaN counts
// as far outside.
#include <cmath>

#include "ops/conv_helpers.h"

namespace linnet {
namespace {

struct GridSample {
  enum class Mode : uint8_t { kNearest, kLinear, kCubic } mode = Mode::kLinear;
  enum class Padding : uint8_t { kZeros, kBorder, kReflection } padding = Padding::kZeros;
  bool align_corners = false;

  static constexpr int kTapsMax = 4;
  /// What one output point reads: offsets into a channel and weights; an offset below 0 reads zero.
  template <class W>
  struct Tap {
    int64_t offset;
    W weight;
  };
  struct Sizes {
    int64_t batch = 0, channels = 0, in_pixels = 1, points = 1;
    int rank = 0;
    int64_t worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string name, node.String("mode", node.version < 20 ? "bilinear" : "linear"));
    if (name == "nearest") {
      mode = Mode::kNearest;
    } else if (name == "linear" || name == "bilinear") {
      mode = Mode::kLinear;
    } else if (name == "cubic" || name == "bicubic") {
      mode = Mode::kCubic;
    } else {
      return InvalidModel("attribute mode is ", Quote(name), "; known: linear, nearest, cubic");
    }
    LINNET_ASSIGN(std::string pad, node.String("padding_mode", "zeros"));
    if (pad == "zeros") {
      padding = Padding::kZeros;
    } else if (pad == "border") {
      padding = Padding::kBorder;
    } else if (pad == "reflection") {
      padding = Padding::kReflection;
    } else {
      return InvalidModel("attribute padding_mode is ", Quote(pad), "; known: zeros, border, reflection");
    }
    LINNET_ASSIGN(int64_t align, node.Int("align_corners", 0));
    align_corners = align != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckType(1, kAnyFloat));
    const Shape &x = c.shape(0), &grid = c.shape(1);
    LINNET_TRY(CheckImage(x));
    if (x.has_rank() && grid.has_rank() && x.rank() != grid.rank()) {
      return InvalidModel("input and grid have shapes ", ToString(x), " and ", ToString(grid));
    }
    const int rank = x.has_rank() ? x.rank() : grid.rank();
    if (rank < 3) return rank < 0 ? c.SetOutput(0, c.dtype(0), Shape()) : InvalidModel("grid has shape ", ToString(grid));
    Shape y = Shape::OfRank(rank);
    if (x.has_rank()) y[0] = x[0], y[1] = x[1];
    if (grid.has_rank()) {
      for (int i = 2; i < rank; ++i) y[i] = grid[i - 1];
      if (IsKnownDim(grid[rank - 1]) && grid[rank - 1] != rank - 2) {
        return InvalidModel("grid has shape ", ToString(grid), " where the last dimension should be ", rank - 2);
      }
      if (IsKnownDim(grid[0]) && IsKnownDim(y[0]) && grid[0] != y[0]) {
        return InvalidModel("input and grid have batches of ", y[0], " and ", grid[0]);
      }
      if (!IsKnownDim(y[0])) y[0] = grid[0];
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  int TapsPerAxis() const { return mode == Mode::kNearest ? 1 : mode == Mode::kLinear ? 2 : 4; }

  Status Bind(BindContext& c) const {
    Sizes& s = *c.Params<Sizes>();
    const Shape &x = c.shape(0), &y = c.output_shape(0);
    if (y.elements() == 0) return Status();
    s.batch = x[0], s.channels = x[1], s.rank = x.rank() - 2;
    s.points = y.Product(2, y.rank());
    for (int i = 0; i < s.rank; ++i) {
      if (x[2 + i] == 0) return InvalidArgument("the image of shape ", ToString(x), " has no elements to sample");
      s.in_pixels *= x[2 + i];
    }
    int64_t taps = 1;
    for (int i = 0; i < s.rank; ++i) taps *= TapsPerAxis();
    s.worker_bytes = RoundUp(taps * static_cast<int64_t>(sizeof(Tap<double>)), kAlignment);
    c.Scratch(s.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    const Sizes& s = c.params<Sizes>();
    if (c.output_shape(0).elements() == 0) return Status();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      return ForType<kAnyFloat>(c.input_dtype(1), [&]<class G>() -> Status { return RunAs<T, G>(c, s); });
    });
  }

  template <class T, class G>
  Status RunAs(RunContext& c, const Sizes& s) const {
    using W = std::conditional_t<std::is_same_v<G, double> || std::is_same_v<T, double>, double, float>;
    const T* x = c.in<T>(0);
    const G* grid = c.in<G>(1);
    T* y = c.out<T>(0);
    const int64_t* dims = c.input_shape(0).begin() + 2;
    return c.ParallelFor(s.batch * s.points, 1, 20 + 4.0 * static_cast<double>(s.channels),
                         [&](int64_t begin, int64_t end, int worker) {
      Tap<W>* taps = reinterpret_cast<Tap<W>*>(c.scratch() + worker * s.worker_bytes);
      for (int64_t i = begin; i < end; ++i) {
        int64_t image = i / s.points, point = i % s.points;
        int count = Taps(grid + i * s.rank, dims, s.rank, taps);
        for (int64_t k = 0; k < s.channels; ++k) {
          const T* channel = x + (image * s.channels + k) * s.in_pixels;
          W sum = 0;
          for (int t = 0; t < count; ++t) {
            if (taps[t].offset >= 0) sum += taps[t].weight * static_cast<W>(Widen(channel[taps[t].offset]));
          }
          y[(image * s.channels + k) * s.points + point] = Narrow<T>(sum);
        }
      }
    });
  }

  /// Fills `taps` for one point and returns how many there are: the product of the taps of its axes.
  template <class W, class G>
  int Taps(const G* position, const int64_t* dims, int rank, Tap<W>* taps) const {
    int count = 1;
    taps[0] = {0, W(1)};
    for (int d = 0; d < rank; ++d) {
      int64_t index[kTapsMax];
      W weight[kTapsMax];
      const int n = AxisTaps(static_cast<W>(Widen(position[rank - 1 - d])), dims[d], index, weight);
      // Every tap so far meets every tap of this axis, last to first so that none is overwritten too early.
      for (int t = count - 1; t >= 0; --t) {
        const Tap<W> before = taps[t];
        for (int k = n - 1; k >= 0; --k) {
          const bool inside = before.offset >= 0 && index[k] >= 0;
          taps[t * n + k] = {inside ? before.offset * dims[d] + index[k] : -1, before.weight * weight[k]};
        }
      }
      count *= n;
    }
    return count;
  }

  template <class W>
  int AxisTaps(W normalized, int64_t size, int64_t* index, W* weight) const {
    const W n = static_cast<W>(size), low = align_corners ? W(0) : W(-0.5), high = align_corners ? n - 1 : n - W(0.5);
    W x = align_corners ? (normalized + 1) / 2 * (n - 1) : ((normalized + 1) * n - 1) / 2;
    if (!(x > W(-1e9))) x = W(-1e9);   // NaN too; bounds what is converted to an integer
    if (x > W(1e9)) x = W(1e9);
    if (mode == Mode::kNearest) x = std::nearbyint(x);
    if (x < low || x > high) {
      if (padding == Padding::kBorder && mode != Mode::kCubic) x = std::min(std::max(x, W(0)), n - 1);
      if (padding == Padding::kReflection) x = Reflect(x, low, high);
    }
    if (mode == Mode::kNearest) {
      index[0] = Place(static_cast<int64_t>(x), size, low, high);
      weight[0] = 1;
      return 1;
    }
    const W floor = std::floor(x), r = x - floor;
    const int64_t first = static_cast<int64_t>(floor);
    if (mode == Mode::kLinear) {
      weight[0] = 1 - r;
      weight[1] = r;
      for (int k = 0; k < 2; ++k) index[k] = Place(first + k, size, low, high);
      return 2;
    }
    constexpr W a = W(-0.75);
    auto far = [&](W d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    auto near = [&](W d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    weight[0] = far(r + 1);
    weight[1] = near(r);
    weight[2] = near(1 - r);
    weight[3] = far(2 - r);
    for (int k = 0; k < 4; ++k) index[k] = Place(first + k - 1, size, low, high);
    return 4;
  }

  /// Where a tap is read: -1 for zero.
  template <class W>
  int64_t Place(int64_t i, int64_t size, W low, W high) const {
    if (i >= 0 && i < size) return i;
    if (padding == Padding::kZeros) return -1;
    if (padding == Padding::kReflection) i = static_cast<int64_t>(Reflect(static_cast<W>(i), low, high));
    return std::min(std::max<int64_t>(i, 0), size - 1);
  }

  template <class W>
  static W Reflect(W x, W low, W high) {
    const W range = high - low;
    if (!(range > 0)) return low;
    const W over = x < low ? low - x : x > high ? x - high : W(0);
    if (over == 0) return x;
    const W turns = std::trunc(over / range), rest = over - turns * range;
    const bool back = std::fmod(turns, W(2)) == 0;
    return (x < low) == back ? low + rest : high - rest;
  }
};

}  // namespace

LINNET_OP(GridSample, 16, GridSample);

}  // namespace linnet
