// Where: elements of X where the condition holds, of Y elsewhere; the three broadcast together. QLinearWhere (com.microsoft, version 1):
// the same of bytes, each with a scale and a zero point, which the pass `lower` makes of Where, DequantizeLinear and QuantizeLinear.
#include <string.h>

#include <algorithm>
#include <string>

#include "ops/elementwise.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

/// T is any type of the elements' size: values are only copied.
template <class T>
void Select(const void*, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const bool* condition = static_cast<const bool*>(in[0]);
  const T* x = static_cast<const T*>(in[1]);
  const T* y = static_cast<const T*>(in[2]);
  T* z = static_cast<T*>(out);
  if (scalars & 1) {
    const T* from = *condition ? x : y;
    if (scalars & (*condition ? 2 : 4)) {
      std::fill(z, z + n, *from);
    } else if (z != from) {
      std::copy(from, from + n, z);
    }
    return;
  }
  const int64_t x_step = (scalars & 2) ? 0 : 1, y_step = (scalars & 4) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) z[i] = condition[i] ? x[i * x_step] : y[i * y_step];
}

struct Where {
  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    LINNET_TRY(c.CheckType(0, Mask(DType::kBool)));
    LINNET_TRY(c.CheckType(1, kTypes));
    LINNET_TRY(c.CheckType(2, kTypes));
    const DType dtype = c.dtype(1) == DType::kUndefined ? c.dtype(2) : c.dtype(1);
    if (c.dtype(2) != dtype && c.dtype(2) != DType::kUndefined) {
      return InvalidModel("X is ", DTypeName(dtype), " and Y ", DTypeName(c.dtype(2)));
    }
    LINNET_ASSIGN(Shape shape, Broadcast(c.shape(1), c.shape(2)));
    LINNET_ASSIGN(shape, Broadcast(c.shape(0), shape));
    return c.SetOutput(0, dtype, shape);
  }

  Status Bind(BindContext& c) const {
    RunFn* run = Select<std::string>;
    if (c.dtype(1) != DType::kString) {
      switch (DTypeBytes(c.dtype(1))) {
        case 1: run = Select<uint8_t>; break;
        case 2: run = Select<uint16_t>; break;
        case 4: run = Select<uint32_t>; break;
        case 8: run = Select<uint64_t>; break;
        default: run = Select<Wide16>; break;
      }
      for (int k = 1; k < 3; ++k) {
        if (c.shape(k) == c.output_shape(0)) c.InPlace(0, k);
      }
    }
    *c.Params<ElementwiseParams>() = MakeElementwise(c, 3, run, c.dtype(1) == DType::kString ? 10.0f : 0.7f);
    return Status();
  }

  Status Run(RunContext& c) const { return RunElementwise(c, c.params<ElementwiseParams>(), nullptr); }

 private:
  static constexpr uint32_t kTypes =
      kFixedSize | Mask(DType::kString) | Mask(DType::kComplex64) | Mask(DType::kComplex128);
  struct Wide16 {
    uint64_t halves[2];
  };
};

struct QLinearWhere {
  Status Parse(const Node&) { return Status(); }

  /// condition, X, its scale and zero point, Y, its scale and zero point, the result's.
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(9, 9));
    LINNET_TRY(c.CheckType(0, Mask(DType::kBool)));
    for (int i : {1, 3, 4, 6, 8}) {
      LINNET_TRY(c.CheckType(i, Mask(DType::kUint8) | Mask(DType::kInt8)));
      if (c.dtype(i) != c.dtype(1) && c.dtype(i) != DType::kUndefined && c.dtype(1) != DType::kUndefined) {
        return InvalidModel("inputs 1 and ", i, " are ", DTypeName(c.dtype(1)), " and ", DTypeName(c.dtype(i)));
      }
    }
    for (int i : {2, 5, 7}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    for (int i : {2, 3, 5, 6, 7, 8}) {
      if (c.shape(i).is_static() && c.shape(i).elements() != 1) return InvalidModel("input ", i, " of shape ", ToString(c.shape(i)), " is not one number");
    }
    LINNET_ASSIGN(Shape shape, Broadcast(c.shape(1), c.shape(4)));
    LINNET_ASSIGN(shape, Broadcast(c.shape(0), shape));
    return c.SetOutput(0, c.dtype(1), shape);
  }
};

}  // namespace

LINNET_OP(Where, 9, Where);
LINNET_MS_OP(QLinearWhere, 1, QLinearWhere);

}  // namespace linnet
