// linnet:LookupTable: y = table[x] for each byte of x; int8 counts as the byte it is stored as.
//
// Inputs x (uint8 or int8) and table ([256], uint8 or int8: the output's type). What any function of one quantized tensor
// becomes once its results are quantized too (passes/fuse_integer_tables.cc).
#include "kernels/int8/qlinear.h"
#include "ops/op.h"

namespace linnet {
namespace {

struct LookupTable {
  static constexpr uint32_t kBytes = Mask(DType::kInt8) | Mask(DType::kUint8);
  static constexpr int64_t kChunk = 4096;

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kBytes));
    LINNET_TRY(c.CheckType(1, kBytes));
    if (c.shape(1).is_static() && c.shape(1) != Shape({256})) {
      return InvalidModel("the table has shape ", ToString(c.shape(1)), " where [256] is expected");
    }
    return c.SetOutput(0, c.dtype(1), c.shape(0));
  }

  LookUpBytesFn* look_up = nullptr;

  Status Prepare(PrepareContext& c) {
    look_up = PickLookUpBytes(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const int64_t n = c.input_shape(0).elements();
    const uint8_t *x = static_cast<const uint8_t*>(c.input(0)), *table = static_cast<const uint8_t*>(c.input(1));
    uint8_t* y = static_cast<uint8_t*>(c.output(0));
    return c.ParallelFor(DivUp(n, kChunk), 1, 0.15 * kChunk, [&](int64_t begin, int64_t end, int) {
      const int64_t first = begin * kChunk;
      look_up(table, x + first, std::min(n, end * kChunk) - first, y + first);
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(LookupTable, 1, LookupTable);

}  // namespace linnet
