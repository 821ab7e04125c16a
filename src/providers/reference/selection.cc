// Operators that choose elements by their contents: TopK, Unique, NonZero, Compress, NonMaxSuppression.
#include <algorithm>
#include <numeric>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

std::vector<int64_t> Counted(int64_t n) {
  std::vector<int64_t> out(U(n));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

/// The k largest (or smallest) of each lane, best first; of equals the lower index first; NaN counts as largest.
Status TopK(Call& c) {
  const int axis = c.Axis(-1);
  const bool largest = c.Flag("largest", true);
  const int64_t k = c.version() < 10 ? c.Int("k", 0) : c.First<int64_t>(1);
  return ForWide(c.dtype(0), [&]<class T>() -> Status {
    const Array<T> x = c.In<T>(0);
    if (k < 0 || k > x.shape[axis]) return InvalidArgument("k is ", k, " for an axis of ", x.shape[axis]);
    Array<T> values(WithDim(x.shape, axis, k));
    Integers places(values.shape);
    std::vector<std::vector<int64_t>> orders;
    ForEachLane(x.shape, axis, [&](const Lane& lane) {
      std::vector<int64_t>& order = orders.emplace_back(Counted(lane.n));
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        const T a = x[lane[largest ? i : j]], b = x[lane[largest ? j : i]];
        return IsNaN(a) ? !IsNaN(b) : a > b;
      });
    });
    size_t at = 0;
    const int64_t inner = x.shape.Product(axis + 1, x.shape.rank());
    ForEachLane(values.shape, axis, [&](const Lane& lane) {
      const int64_t l = static_cast<int64_t>(at), base = l / inner * x.shape[axis] * inner + l % inner;
      for (int64_t i = 0; i < k; ++i) {
        places[lane[i]] = orders[at][U(i)];
        values[lane[i]] = x[base + orders[at][U(i)] * inner];
      }
      ++at;
    });
    LINNET_TRY(c.Out(0, values));
    return c.Out(1, places);
  });
}

Status NonZero(Call& c) {
  const Reals x = c.In(0);
  std::vector<Index> found;
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    if (x[at] != 0) found.push_back(index);
  });
  Integers y(Shape{x.shape.rank(), static_cast<int64_t>(found.size())});
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) { y[at] = found[U(index[1])][U(index[0])]; });
  return c.Out(0, y);
}

/// The slices along an axis (elements of the flattened input without one) whose condition is true.
Status Compress(Call& c) {
  const bool flat = !c.HasAttribute("axis");
  const int axis = flat ? 0 : c.Axis(0);
  const Shape x = flat ? Shape{c.shape(0).elements()} : c.shape(0);
  std::vector<int64_t> chosen;
  const Integers condition = c.In<int64_t>(1);
  for (int64_t i = 0; i < condition.size(); ++i) {
    if (!condition[i]) continue;
    if (i >= x[axis]) return InvalidArgument("position ", i, " is chosen of an axis of ", x[axis]);
    chosen.push_back(i);
  }
  return c.Move(0, 0, WithDim(x, axis, static_cast<int64_t>(chosen.size())), [&](Index index) {
    index[U(axis)] = chosen[U(index[U(axis)])];
    return OffsetOf(x, index);
  });
}

/// The different elements, or slices along an axis; sorted, or in order of their first occurrence.
Status Unique(Call& c) {
  const bool flat = !c.HasAttribute("axis");
  const int axis = flat ? 0 : c.Axis(0);
  const Cells x = c.Raw(0);
  const Shape shape = flat ? Shape{x.shape.elements()} : x.shape;
  const int64_t n = shape[axis], inner = shape.Product(axis + 1, shape.rank()), outer = shape.Product(0, axis);
  /// -1, 0 or 1; NaN equals itself and comes last.
  auto compare_elements = [&](int64_t i, int64_t j) {
    if (x.dtype == DType::kString) {
      const std::string* text = static_cast<const std::string*>(x.data);
      return text[i].compare(text[j]);
    }
    return ForWide(x.dtype, [&]<class T>() {
      const T a = Load<T>(x.dtype, x.data, i), b = Load<T>(x.dtype, x.data, j);
      if (IsNaN(a) || IsNaN(b)) return int{IsNaN(a)} - int{IsNaN(b)};
      return a < b ? -1 : a > b ? 1 : 0;
    });
  };
  auto compare = [&](int64_t i, int64_t j) {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < inner; ++k) {
        if (int order = compare_elements((o * n + i) * inner + k, (o * n + j) * inner + k)) return order;
      }
    }
    return 0;
  };
  std::vector<int64_t> order = Counted(n);
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return compare(i, j) < 0; });
  std::vector<std::vector<int64_t>> groups;   // positions of equal slices, ascending
  for (int64_t i : order) {
    if (groups.empty() || compare(groups.back()[0], i) != 0) groups.emplace_back();
    groups.back().push_back(i);
  }
  if (!c.Flag("sorted", true)) std::sort(groups.begin(), groups.end());   // by first occurrence
  const int64_t count = static_cast<int64_t>(groups.size());
  Integers first(Shape{count}), inverse(Shape{n}), counts(Shape{count});
  for (int64_t g = 0; g < count; ++g) {
    first[g] = groups[U(g)][0];
    counts[g] = static_cast<int64_t>(groups[U(g)].size());
    for (int64_t i : groups[U(g)]) inverse[i] = g;
  }
  LINNET_TRY(c.Move(0, 0, WithDim(shape, axis, count), [&](Index index) {
    index[U(axis)] = first[index[U(axis)]];
    return OffsetOf(shape, index);
  }));
  LINNET_TRY(c.Out(1, first));
  LINNET_TRY(c.Out(2, inverse));
  return c.Out(3, counts);
}

struct Box {
  double top, left, bottom, right;
  double area() const { return (bottom - top) * (right - left); }
};

double Overlap(const Box& a, const Box& b) {
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0) return 0;
  return height * width / (a.area() + b.area() - height * width);
}

/// For each batch entry and class: boxes by falling score, each kept unless it overlaps a kept one too much.
Status NonMaxSuppression(Call& c) {
  const Reals boxes = c.In(0), scores = c.In(1);
  const int64_t limit = c.First<int64_t>(2, 0);
  const double overlap_most = c.First(3, 0.0), score_least = c.First(4, 0.0);
  const bool any_score = !c.Has(4) || c.shape(4).elements() == 0;
  const bool centered = c.Flag("center_point_box");
  auto box = [&](int64_t batch, int64_t i) {
    const double* b = &boxes.data[U((batch * boxes.shape[1] + i) * 4)];
    if (centered) return Box{b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
    return Box{std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
  };
  std::vector<int64_t> kept;   // triples batch, class, box
  for (int64_t batch = 0; batch < scores.shape[0]; ++batch) {
    for (int64_t k = 0; k < scores.shape[1]; ++k) {
      auto score = [&](int64_t i) { return scores[Index{batch, k, i}]; };
      std::vector<int64_t> order = Counted(scores.shape[2]), chosen;
      std::erase_if(order, [&](int64_t i) { return IsNaN(score(i)) || !(any_score || score(i) > score_least); });
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return score(i) > score(j); });
      for (int64_t i : order) {
        if (static_cast<int64_t>(chosen.size()) >= limit) break;
        const bool free = std::all_of(chosen.begin(), chosen.end(),
                                      [&](int64_t j) { return Overlap(box(batch, i), box(batch, j)) <= overlap_most; });
        if (free) chosen.push_back(i);
      }
      for (int64_t i : chosen) kept.insert(kept.end(), {batch, k, i});
    }
  }
  Integers y(Shape{static_cast<int64_t>(kept.size() / 3), 3});
  y.data = std::move(kept);
  return c.Out(0, y);
}

constexpr Row kRows[] = {
    {"TopK", TopK}, {"NonZero", NonZero}, {"Compress", Compress}, {"Unique", Unique},
    {"NonMaxSuppression", NonMaxSuppression},
};

}  // namespace

std::span<const Row> SelectionRows() { return kRows; }

}  // namespace linnet::reference
