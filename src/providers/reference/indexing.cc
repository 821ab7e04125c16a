// Operators that read or write where indices say: Gather, Scatter and their kin.
//
// Indices count from the end when negative; one outside its axis is an error. Updates are applied in order.
#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

/// An integer input whose elements index an axis of `n` elements, made non-negative.
Result<Integers> Indices(const Call& c, int input, int64_t n) {
  Integers indices = c.In<int64_t>(input);
  for (int64_t& i : indices.data) {
    if (i < -n || i >= n) return InvalidArgument("index ", i, " is outside an axis of ", n);
    if (i < 0) i += n;
  }
  return indices;
}

Status Gather(Call& c) {
  const int axis = c.Axis(0), k = c.rank(1);
  const Shape& x = c.shape(0);
  LINNET_ASSIGN(const Integers indices, Indices(c, 1, x[axis]));
  Shape y = Shape::OfRank(x.rank() - 1 + k);
  for (int d = 0; d < y.rank(); ++d) y[d] = d < axis ? x[d] : d < axis + k ? indices.shape[d - axis] : x[d - k + 1];
  return c.Move(0, 0, y, [&](const Index& index) {
    Index from{}, which{};
    for (int d = 0; d < y.rank(); ++d) {
      if (d < axis) from[U(d)] = index[U(d)];
      else if (d < axis + k) which[U(d - axis)] = index[U(d)];
      else from[U(d - k + 1)] = index[U(d)];
    }
    from[U(axis)] = indices[which];
    return OffsetOf(x, from);
  });
}

Status GatherElements(Call& c) {
  const int axis = c.Axis(0);
  LINNET_ASSIGN(const Integers indices, Indices(c, 1, c.shape(0)[axis]));
  return c.Move(0, 0, indices.shape, [&](Index index) {
    index[U(axis)] = indices[index];
    return OffsetOf(c.shape(0), index);
  });
}

/// The tuple of `width` indices at `row` of the last dimension, put into `to` from position `first` on.
Status ReadTuple(const Integers& indices, int64_t row, int64_t width, const Shape& x, int first, Index* to) {
  for (int64_t i = 0; i < width; ++i) {
    int64_t index = indices[row * width + i];
    const int64_t n = x[first + static_cast<int>(i)];
    if (index < -n || index >= n) return InvalidArgument("index ", index, " is outside an axis of ", n);
    (*to)[U(first + i)] = index < 0 ? index + n : index;
  }
  return Status();
}

Status GatherNd(Call& c) {
  const int batch = static_cast<int>(c.Int("batch_dims", 0));
  const Integers indices = c.In<int64_t>(1);
  const Shape& x = c.shape(0);
  const int tuples = indices.shape.rank() - 1;
  const int64_t width = indices.shape[tuples];
  Shape y = Shape(indices.shape.dims().first(U(tuples)));
  for (int d = batch + static_cast<int>(width); d < x.rank(); ++d) y.Append(x[d]);
  Status status;
  LINNET_TRY(c.Move(0, 0, y, [&](const Index& index) -> int64_t {
    Index from{};
    int64_t row = 0;
    for (int d = 0; d < tuples; ++d) row = row * indices.shape[d] + index[U(d)];
    for (int d = 0; d < batch; ++d) from[U(d)] = index[U(d)];
    if (Status found = ReadTuple(indices, row, width, x, batch, &from); !found.ok()) status = std::move(found);
    for (int d = tuples; d < y.rank(); ++d) from[U(batch + width + d - tuples)] = index[U(d)];
    return status.ok() ? OffsetOf(x, from) : -1;
  }));
  return status;
}

/// Copies input 0 to the output; then visit(put) calls put(offset, update) for each element of input 2.
template <class Visit>
Status Scatter(Call& c, Visit visit) {
  const std::string reduction = c.Text("reduction", "none");
  const Cells updates = c.Raw(2);
  LINNET_ASSIGN(Cells y, c.Make(0, c.shape(0)));
  for (int64_t i = 0; i < y.shape.elements(); ++i) y.Copy(i, c.Raw(0), i);
  return visit([&](int64_t offset, int64_t update) {
    if (reduction == "none") return y.Copy(offset, updates, update);
    ForWide(y.dtype, [&]<class T>() {
      const T a = Load<T>(y.dtype, y.data, offset), b = Load<T>(y.dtype, updates.data, update);
      Store(y.dtype, y.data, offset, reduction == "add"   ? Plus(a, b)
                                     : reduction == "mul" ? Times(a, b)
                                     : IsNaN(a) || IsNaN(b) ? (IsNaN(a) ? a : b)
                                     : (reduction == "max") == (a > b) ? a : b);
    });
  });
}

Status ScatterElements(Call& c) {
  const int axis = c.Axis(0);
  LINNET_ASSIGN(const Integers indices, Indices(c, 1, c.shape(0)[axis]));
  return Scatter(c, [&](auto put) {
    ForEachIndex(indices.shape, [&](Index index, int64_t at) {
      index[U(axis)] = indices[at];
      put(OffsetOf(c.shape(0), index), at);
    });
    return Status();
  });
}

Status ScatterNd(Call& c) {
  const Integers indices = c.In<int64_t>(1);
  const Shape& x = c.shape(0);
  const int64_t width = indices.shape[indices.shape.rank() - 1];
  const int64_t slice = x.Product(static_cast<int>(width), x.rank());
  const int64_t rows = indices.shape.Product(0, indices.shape.rank() - 1);
  return Scatter(c, [&](auto put) -> Status {
    for (int64_t row = 0; row < rows; ++row) {
      Index to{};
      LINNET_TRY(ReadTuple(indices, row, width, x, 0, &to));
      for (int64_t i = 0; i < slice; ++i) put(OffsetOf(x, to) + i, row * slice + i);
    }
    return Status();
  });
}

/// Writes the update into the cache from write_indices[batch] on, along `axis`; circular mode wraps.
Status TensorScatter(Call& c) {
  const Shape &x = c.shape(0), &update = c.shape(1);
  const int axis = c.Axis(-2);
  const bool circular = c.Text("mode", "linear") == "circular";
  const Integers begin = c.Has(2) ? c.In<int64_t>(2) : Integers(Shape{x[0]});
  LINNET_ASSIGN(Cells y, c.Make(0, x));
  for (int64_t i = 0; i < x.elements(); ++i) y.Copy(i, c.Raw(0), i);
  Status status;
  ForEachIndex(update, [&](Index index, int64_t at) {
    int64_t& position = index[U(axis)];
    position += begin[index[0]];
    if (circular) position %= x[axis];
    if (position < 0 || position >= x[axis]) {
      status = InvalidArgument("position ", position, " is outside a cache of ", x[axis]);
    } else {
      y.Copy(OffsetOf(x, index), c.Raw(1), at);
    }
  });
  return status;
}

Status OneHot(Call& c) {
  const int64_t depth = c.First<int64_t>(1);
  const int rank = c.rank() + 1, axis = AxisOf(c.Int("axis", -1), rank);
  const Integers indices = c.In<int64_t>(0);
  Shape y = Shape::OfRank(rank);
  for (int d = 0; d < rank; ++d) y[d] = d == axis ? depth : indices.shape[d < axis ? d : d - 1];
  // values = (off, on); an index outside [-depth, depth) is on nowhere.
  return c.Move(2, 0, y, [&](const Index& index) {
    Index which{};
    for (int d = 0; d < rank - 1; ++d) which[U(d)] = index[U(d < axis ? d : d + 1)];
    const int64_t i = indices[which];
    return int64_t{(i < 0 ? i + depth : i) == index[U(axis)]};
  });
}

/// Columns of the last axis, by index (ai.onnx.ml).
Status ArrayFeatureExtractor(Call& c) {
  const Shape& x = c.shape(0);
  LINNET_ASSIGN(const Integers indices, Indices(c, 1, x[x.rank() - 1]));
  return c.Move(0, 0, c.out_shape(), [&](const Index& index) {
    const int64_t at = OffsetOf(c.out_shape(), index), columns = indices.size();
    return at / columns * x[x.rank() - 1] + indices[at % columns];
  });
}

constexpr Row kRows[] = {
    {"Gather", Gather}, {"GatherElements", GatherElements}, {"GatherND", GatherNd}, {"Scatter", ScatterElements},
    {"ScatterElements", ScatterElements}, {"ScatterND", ScatterNd}, {"TensorScatter", TensorScatter}, {"OneHot", OneHot},
    {"ArrayFeatureExtractor", ArrayFeatureExtractor, "ai.onnx.ml"},
};

}  // namespace

std::span<const Row> IndexingRows() { return kRows; }

}  // namespace linnet::reference
