// IsNaN, IsInf: which elements are not a number, or infinite (of the signs that IsInf's attributes ask for).
#include <math.h>

#include "ops/convert.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

constexpr uint32_t kFloat8 = Mask(DType::kFloat8e4m3fn) | Mask(DType::kFloat8e4m3fnuz) | Mask(DType::kFloat8e5m2) |
                             Mask(DType::kFloat8e5m2fnuz);

template <bool infinite>
struct Is {
  bool negative = true, positive = true;

  Status Parse(const Node& node) {
    if (!infinite) return Status();
    LINNET_ASSIGN(int64_t detect_negative, node.Int("detect_negative", 1));
    LINNET_ASSIGN(int64_t detect_positive, node.Int("detect_positive", 1));
    negative = detect_negative != 0;
    positive = detect_positive != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat | kFloat8));
    return c.SetOutput(0, DType::kBool, c.shape(0));
  }

  Status Run(RunContext& c) const {
    const DType dtype = c.input_dtype(0);
    const int64_t elements = c.output_shape(0).elements();
    // Classes survive the way through double; floats that are finite stay so.
    LoadFn* load = FindLoad(dtype, Stage::kDouble);
    bool* out = c.out<bool>(0);
    return c.ParallelFor((elements + kConvertChunk - 1) / kConvertChunk, 16, 400, [&](int64_t begin, int64_t end, int) {
      double values[kConvertChunk];
      for (int64_t at = begin * kConvertChunk; at < end * kConvertChunk && at < elements; at += kConvertChunk) {
        const int64_t n = elements - at < kConvertChunk ? elements - at : kConvertChunk;
        load(c.input(0), at, n, values);
        for (int64_t i = 0; i < n; ++i) {
          if (infinite) {
            out[at + i] = (positive && values[i] == INFINITY) || (negative && values[i] == -INFINITY);
          } else {
            out[at + i] = values[i] != values[i];
          }
        }
      }
    });
  }
};

}  // namespace

LINNET_OP(IsNaN, 9, Is<false>);
LINNET_OP(IsInf, 10, Is<true>);

}  // namespace linnet
