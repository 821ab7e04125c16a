// EyeLike and Trilu: ones on a diagonal, and one side of a diagonal.
//
// Diagonal k is where column - row == k.
#include "ops/movement.h"

namespace linnet {
namespace {

struct EyeLike {
  int64_t diagonal = 0;
  DType dtype = DType::kUndefined;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(diagonal, node.Int("k", 0));
    LINNET_ASSIGN(int64_t type, node.Int("dtype", 0));
    if (node.Has("dtype") && !IsKnown(type)) return InvalidModel("attribute 'dtype' is ", type);
    dtype = static_cast<DType>(type);
    if (node.Has("dtype") && !(Mask(dtype) & kFixedSize)) return InvalidModel("attribute 'dtype' is ", DTypeName(dtype));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kFixedSize));
    LINNET_TRY(c.CheckRank(0, 2));
    return c.SetOutput(0, dtype == DType::kUndefined ? c.dtype(0) : dtype, c.shape(0).has_rank() ? c.shape(0) : Shape::OfRank(2));
  }
  Status Run(RunContext& c) const {
    const int64_t rows = c.output_shape(0)[0], columns = c.output_shape(0)[1];
    const DType type = c.output_dtype(0);
    std::byte one[8];
    LINNET_TRY(StoreNumber(type, 1, one));
    const size_t width = DTypeBytes(type);
    memset(c.output(0), 0, static_cast<size_t>(rows * columns) * width);
    if (diagonal <= -rows || diagonal >= columns) return Status();
    int64_t begin = std::max<int64_t>(0, -diagonal), end = std::min(rows, columns - diagonal);
    for (int64_t row = begin; row < end; ++row) memcpy(ElementAt(type, c.output(0), row * columns + row + diagonal), one, width);
    return Status();
  }
};

struct Trilu {
  bool upper = true;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t flag, node.Int("upper", 1));
    upper = flag != 0;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    if (c.shape(0).has_rank() && c.shape(0).rank() < 2) {
      return InvalidArgument("input has shape ", ToString(c.shape(0)), " where a matrix is expected");
    }
    if (c.has_input(1) && c.shape(1).is_static() && c.shape(1).elements() != 1) {
      return InvalidArgument("k has shape ", ToString(c.shape(1)), " where a scalar is expected");
    }
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    c.InPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const Shape& shape = c.input_shape(0);
    const int64_t rows = shape[shape.rank() - 2], columns = shape[shape.rank() - 1];
    const int64_t all_rows = shape.Product(0, shape.rank() - 1);
    // Beyond the matrix every diagonal is the same: clamped so that sums stay in range.
    const int64_t k = std::clamp<int64_t>(c.has_input(1) ? *c.in<int64_t>(1) : 0, -rows - 1, columns + 1);
    if (rows == 0 || columns == 0) return Status();
    return ForWidth(c.input_dtype(0), [&]<class T>() {
      const T* in = c.in<T>(0);
      T* out = c.out<T>(0);
      return c.ParallelFor(all_rows, 1, 0.1 * sizeof(T) * static_cast<double>(columns), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          // Columns [from, to) are kept.
          int64_t edge = std::clamp<int64_t>(r % rows + k + (upper ? 0 : 1), 0, columns);
          int64_t from = upper ? edge : 0, to = upper ? columns : edge;
          std::fill_n(out + r * columns, from, T{});
          CopyRun(out + r * columns + from, in + r * columns + from, to - from);
          std::fill_n(out + r * columns + to, columns - to, T{});
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(EyeLike, 9, EyeLike);
LINNET_OP(Trilu, 14, Trilu);

}  // namespace linnet
