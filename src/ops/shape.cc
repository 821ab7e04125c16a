// Shape and Size: the dimensions of a tensor, or their product, as int64.
//
// Since version 15 Shape takes a slice [start, end) of the dimensions; both count from the back when negative and are
// clamped to the rank, so that an empty slice is not an error.
#include "ops/movement.h"

namespace linnet {
namespace {

struct ShapeOf {
  static constexpr bool kShapeOnly = true;
  int64_t start = 0, end = INT64_MAX;

  struct Range {
    int begin, end;
  };
  Range Slice(int rank) const {
    auto clamp = [rank](int64_t at) { return static_cast<int>(std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank)); };
    int begin = clamp(start);
    return {begin, std::max(begin, clamp(end))};
  }

  Status Parse(const Node& node) {
    if (node.version < 15) return Status();
    LINNET_ASSIGN(start, node.Int("start", 0));
    LINNET_ASSIGN(end, node.Int("end", INT64_MAX));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyType));
    if (!c.shape(0).has_rank()) return c.SetOutput(0, DType::kInt64, Shape::OfRank(1));
    Range slice = Slice(c.shape(0).rank());
    return c.SetOutput(0, DType::kInt64, {slice.end - slice.begin});
  }
  Status Run(RunContext& c) const {
    Range slice = Slice(c.input_shape(0).rank());
    for (int i = slice.begin; i < slice.end; ++i) c.out<int64_t>(0)[i - slice.begin] = c.input_shape(0)[i];
    return Status();
  }
};
struct SizeOf {
  static constexpr bool kShapeOnly = true;
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyType));
    return c.SetOutput(0, DType::kInt64, Shape::OfRank(0));
  }
  Status Run(RunContext& c) const {
    *c.out<int64_t>(0) = c.input_shape(0).elements();
    return Status();
  }
};

}  // namespace

LINNET_OP(Shape, 1, ShapeOf);
LINNET_OP(Size, 1, SizeOf);

}  // namespace linnet
