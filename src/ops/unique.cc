// Unique: the different elements (or slices along an axis), sorted or in order of first occurrence.
//
// Positions are sorted by content, so equal ones meet; the first of each group, its members and its size are the three
// optional outputs. NaN are one value and come last, as in numpy.
#include <algorithm>

#include "ops/movement.h"
#include "ops/sort_keys.h"

namespace linnet {
namespace {

constexpr uint32_t kUniqueTypes = kFixedSize | Mask(DType::kString);

struct Unique {
  int64_t axis = 0;
  bool flat = true, sorted = true;

  /// The input seen as [outer][count][inner]; position i of the axis is a slice.
  struct Layout {
    int64_t outer = 1, count = 0, inner = 1;
  };

  Status Parse(const Node& node) {
    flat = !node.Has("axis");
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    LINNET_ASSIGN(int64_t sort, node.Int("sorted", 1));
    sorted = sort != 0;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kUniqueTypes));
    Shape out = flat ? Shape::OfRank(1) : c.shape(0);
    int64_t positions = kUnknownDim;
    if (!flat && out.has_rank()) {
      LINNET_ASSIGN(int at, NormalizeAxis(axis, out.rank()));
      positions = out[at];
      out[at] = kUnknownDim;
    } else if (flat && c.shape(0).is_static()) {
      positions = c.shape(0).elements();
    }
    LINNET_TRY(c.SetOutput(0, c.dtype(0), out));
    LINNET_TRY(c.SetOutput(1, DType::kInt64, Shape::OfRank(1)));
    LINNET_TRY(c.SetOutput(2, DType::kInt64, {positions}));
    return c.SetOutput(3, DType::kInt64, Shape::OfRank(1));
  }
  Status Run(RunContext& c) const {
    return ForType<kUniqueTypes>(c.input_dtype(0), [&]<class T>() { return Find<T>(c); });
  }

  /// -1, 0 or 1 as slice a sorts before, with or after slice b.
  template <class T>
  static int Compare(const T* in, const Layout& layout, int64_t a, int64_t b) {
    for (int64_t o = 0; o < layout.outer; ++o) {
      const T *x = in + (o * layout.count + a) * layout.inner, *y = in + (o * layout.count + b) * layout.inner;
      for (int64_t i = 0; i < layout.inner; ++i) {
        if (Before(SortKey(x[i]), SortKey(y[i]))) return -1;
        if (Before(SortKey(y[i]), SortKey(x[i]))) return 1;
      }
    }
    return 0;
  }

  static Result<int64_t*> Output(RunContext& c, int i, int64_t count) {
    if (!c.has_output(i)) return static_cast<int64_t*>(nullptr);
    LINNET_ASSIGN(void* memory, c.AllocateOutput(i, DType::kInt64, {count}));
    return static_cast<int64_t*>(memory);
  }

  template <class T>
  Status Find(RunContext& c) const {
    const Shape& shape = c.input_shape(0);
    const int at = flat ? 0 : static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
    Layout layout;
    if (flat) {
      layout.count = shape.elements();
    } else {
      layout = {shape.Product(0, at), shape[at], shape.Product(at + 1, shape.rank())};
    }
    const T* in = c.in<T>(0);
    const int64_t count = layout.count;

    // order: positions by content, first occurrences first. group: of each position. first, size: of each group.
    LINNET_ASSIGN(Block memory, Block::Allocate(4 * count * static_cast<int64_t>(sizeof(int64_t)), c.budget()));
    auto* order = reinterpret_cast<int64_t*>(memory.data());
    int64_t *group = order + count, *first = group + count, *size = first + count;
    for (int64_t i = 0; i < count; ++i) order[i] = i;
    std::sort(order, order + count, [&](int64_t a, int64_t b) {
      int by_content = Compare(in, layout, a, b);
      return by_content != 0 ? by_content < 0 : a < b;
    });
    LINNET_TRY(c.CheckStop());
    int64_t groups = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (i == 0 || Compare(in, layout, order[i - 1], order[i]) != 0) {
        first[groups] = order[i];
        size[groups++] = 0;
      }
      group[order[i]] = groups - 1;
      ++size[groups - 1];
    }
    // Groups in the order of output: `order` becomes rank → group, and back in `rank`.
    for (int64_t g = 0; g < groups; ++g) order[g] = g;
    if (!sorted) std::sort(order, order + groups, [&](int64_t a, int64_t b) { return first[a] < first[b]; });

    LINNET_ASSIGN(int64_t* indices, Output(c, 1, groups));
    LINNET_ASSIGN(int64_t* inverse, Output(c, 2, count));
    LINNET_ASSIGN(int64_t* counts, Output(c, 3, groups));
    for (int64_t r = 0; r < groups; ++r) {
      if (indices) indices[r] = first[order[r]];
      if (counts) counts[r] = size[order[r]];
    }
    if (c.has_output(0)) {
      Shape out = flat ? Shape::OfRank(1) : shape;
      out[at] = groups;
      LINNET_ASSIGN(void* values, c.AllocateOutput(0, c.input_dtype(0), out));
      T* to = static_cast<T*>(values);
      for (int64_t o = 0; o < layout.outer; ++o) {
        for (int64_t r = 0; r < groups; ++r, to += layout.inner) {
          CopyRun(to, in + (o * count + first[order[r]]) * layout.inner, layout.inner);
        }
      }
    }
    if (inverse) {
      for (int64_t r = 0; r < groups; ++r) size[order[r]] = r;   // group → rank
      for (int64_t i = 0; i < count; ++i) inverse[i] = size[group[i]];
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(Unique, 11, Unique);

}  // namespace linnet
