// Reductions along axes, running sums, Softmax and its kin: everything that maps lanes of elements to lanes or numbers.
//
// Sums of integers wrap; results that are real by nature (means, logarithms, norms) are cut to integers at the end. Of
// nothing, the sum is 0, the product 1, the maximum the least value of the type.
#include <math.h>

#include <algorithm>
#include <numeric>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

template <class T>
T SumOf(const std::vector<T>& lane) { return std::accumulate(lane.begin(), lane.end(), T{0}, Plus<T>); }
template <class T>
double RealSum(const std::vector<T>& lane) {
  double sum = 0;
  for (T v : lane) sum += static_cast<double>(v);
  return sum;
}
template <class T>
T Square(T v) { return Times(v, v); }
template <class T>
T Magnitude(T v) { return v < 0 ? Times(T(-1), v) : v; }
/// {f(v) of every v of the lane}
template <class T, class F>
std::vector<T> Each(std::vector<T> lane, F f) {
  for (T& v : lane) v = f(v);
  return lane;
}
std::vector<double> AsReal(const auto& lane) { return std::vector<double>(lane.begin(), lane.end()); }

/// The axes to reduce, as flags. Attribute or input 1; none: all, or with noop_with_empty_axes none.
std::array<bool, kMaxRank> ReducedAxes(const Call& c) {
  std::array<bool, kMaxRank> reduced{};
  const std::vector<int64_t> axes = c.List(1, "axes");
  if (axes.empty()) reduced.fill(!c.Flag("noop_with_empty_axes"));
  for (int64_t axis : axes) reduced[static_cast<size_t>(AxisOf(axis, c.rank()))] = true;
  return reduced;
}

/// Output = f(the elements that share their position on the axes that stay).
template <class F>
Status Reduce(Call& c, F f) {
  return ForWide(c.dtype(0), [&]<class T>() {
    const Array<T> x = c.In<T>(0);
    const std::array<bool, kMaxRank> reduced = ReducedAxes(c);
    Shape kept = x.shape, y = Shape::OfRank(0);
    for (int d = 0; d < x.shape.rank(); ++d) {
      if (reduced[U(d)]) kept[d] = 1;
      if (!reduced[U(d)] || c.Flag("keepdims", true)) y.Append(kept[d]);
    }
    std::vector<std::vector<T>> lanes(U(kept.elements()));
    ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
      lanes[static_cast<size_t>(BroadcastOffsetOf(kept, index, x.shape.rank()))].push_back(x[at]);
    });
    Array<decltype(f(lanes[0]))> out(y);
    for (int64_t i = 0; i < out.size(); ++i) out[i] = f(lanes[U(i)]);
    return c.Out(0, out);
  });
}

Status ReduceSum(Call& c) { return Reduce(c, [](const auto& lane) { return SumOf(lane); }); }
Status ReduceProd(Call& c) {
  return Reduce(c, []<class T>(const std::vector<T>& lane) { return std::accumulate(lane.begin(), lane.end(), T{1}, Times<T>); });
}
Status ReduceSumSquare(Call& c) {
  return Reduce(c, []<class T>(const std::vector<T>& lane) { return SumOf(Each(lane, Square<T>)); });
}
Status ReduceL1(Call& c) {
  return Reduce(c, []<class T>(const std::vector<T>& lane) { return SumOf(Each(lane, Magnitude<T>)); });
}
Status ReduceL2(Call& c) { return Reduce(c, [](const auto& lane) { return sqrt(RealSum(Each(AsReal(lane), Square<double>))); }); }
Status ReduceMean(Call& c) {
  return Reduce(c, [](const auto& lane) { return RealSum(lane) / static_cast<double>(lane.size()); });
}
Status ReduceLogSum(Call& c) { return Reduce(c, [](const auto& lane) { return log(RealSum(lane)); }); }
Status ReduceLogSumExp(Call& c) {
  return Reduce(c, [](const auto& lane) {
    double most = -INFINITY;
    for (auto v : lane) most = std::max(most, static_cast<double>(v));
    if (isinf(most)) return most;
    return most + log(RealSum(Each(AsReal(lane), [=](double v) { return exp(v - most); })));
  });
}
template <bool most>
Status ReduceExtreme(Call& c) {
  return Reduce(c, [&]<class T>(const std::vector<T>& lane) {
    return std::accumulate(lane.begin(), lane.end(), most ? Lowest<T>(c.dtype(0)) : Highest<T>(c.dtype(0)), [](T a, T b) {
      return IsNaN(a) || (most ? a > b : a < b) ? a : b;
    });
  });
}

/// Where the extreme of a lane stands: the first of equals, or the last. NaN counts as the extreme.
template <bool most>
Status ArgExtreme(Call& c) {
  const int axis = c.Axis(0);
  const bool last = c.Flag("select_last_index"), keep = c.Flag("keepdims", true);
  return ForWide(c.dtype(0), [&]<class T>() {
    const Array<T> x = c.In<T>(0);
    Shape shape = Shape::OfRank(0);
    for (int d = 0; d < x.shape.rank(); ++d) {
      if (d != axis || keep) shape.Append(d == axis ? 1 : x.shape[d]);
    }
    Integers y(shape);
    int64_t at = 0;
    ForEachLane(x.shape, axis, [&](const Lane& lane) {
      int64_t best = 0;
      for (int64_t i = 1; i < lane.n; ++i) {
        const T a = x[lane[i]], b = x[lane[best]];
        const bool better = IsNaN(a) ? !IsNaN(b) : most ? a > b : a < b, equal = a == b || (IsNaN(a) && IsNaN(b));
        if (better || (last && equal)) best = i;
      }
      y[at++] = best;
    });
    return c.Out(0, y);
  });
}

/// y[i] = x[0] op ... op x[i] along the axis that input 1 names; `exclusive` without x[i], `reverse` from the end.
template <bool product>
Status Cumulate(Call& c) {
  const int axis = AxisOf(c.First<int64_t>(1), c.rank());
  if (axis < 0 || axis >= c.rank()) return InvalidArgument("axis ", axis, " is outside rank ", c.rank());
  const bool exclusive = c.Flag("exclusive"), reverse = c.Flag("reverse");
  return ForWide(c.dtype(0), [&]<class T>() {
    const Array<T> x = c.In<T>(0);
    Array<T> y(x.shape);
    ForEachLane(x.shape, axis, [&](const Lane& lane) {
      T total = product ? 1 : 0;
      for (int64_t k = 0; k < lane.n; ++k) {
        const int64_t at = lane[reverse ? lane.n - 1 - k : k];
        const T next = product ? Times(total, x[at]) : Plus(total, x[at]);
        y[at] = exclusive ? total : next;
        total = next;
      }
    });
    return c.Out(0, y);
  });
}

/// f(lane) in place along `axis`; before version 13 over everything from `axis` on.
template <class F>
Status Lanes(Call& c, F f) {
  const bool flat = c.version() < 13;
  Reals y = c.In(0);
  const int axis = c.Axis(flat ? 1 : -1);
  const Shape shape = y.shape;
  if (flat) y.shape = Shape{shape.Product(0, axis), shape.Product(axis, shape.rank())};
  ForEachLane(y.shape, flat ? 1 : axis, [&](const Lane& lane) {
    std::vector<double> values;
    for (int64_t i = 0; i < lane.n; ++i) values.push_back(y[lane[i]]);
    f(values);
    for (int64_t i = 0; i < lane.n; ++i) y[lane[i]] = values[U(i)];
  });
  y.shape = shape;
  return c.Out(0, y);
}
Status Softmax(Call& c) {
  return Lanes(c, [](std::vector<double>& lane) {
    if (lane.empty()) return;
    const double most = *std::max_element(lane.begin(), lane.end());
    lane = Each(lane, [=](double v) { return exp(v - most); });
    const double sum = RealSum(lane);
    lane = Each(lane, [=](double v) { return v / sum; });
  });
}
Status LogSoftmax(Call& c) {
  return Lanes(c, [](std::vector<double>& lane) {
    if (lane.empty()) return;
    const double most = *std::max_element(lane.begin(), lane.end());
    const double sum = log(RealSum(Each(lane, [=](double v) { return exp(v - most); })));
    lane = Each(lane, [=](double v) { return v - most - sum; });
  });
}
Status Hardmax(Call& c) {
  return Lanes(c, [](std::vector<double>& lane) {
    const auto best = std::max_element(lane.begin(), lane.end()) - lane.begin();
    for (size_t i = 0; i < lane.size(); ++i) lane[i] = static_cast<std::ptrdiff_t>(i) == best;
  });
}

constexpr Row kRows[] = {
    {"ReduceSum", ReduceSum}, {"ReduceProd", ReduceProd}, {"ReduceSumSquare", ReduceSumSquare}, {"ReduceL1", ReduceL1},
    {"ReduceL2", ReduceL2}, {"ReduceMean", ReduceMean}, {"ReduceLogSum", ReduceLogSum},
    {"ReduceLogSumExp", ReduceLogSumExp}, {"ReduceMax", ReduceExtreme<true>}, {"ReduceMin", ReduceExtreme<false>},
    {"ArgMax", ArgExtreme<true>}, {"ArgMin", ArgExtreme<false>}, {"CumSum", Cumulate<false>}, {"CumProd", Cumulate<true>},
    {"Softmax", Softmax}, {"LogSoftmax", LogSoftmax}, {"Hardmax", Hardmax},
};

}  // namespace

std::span<const Row> ReductionRows() { return kRows; }

}  // namespace linnet::reference
