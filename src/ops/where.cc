// Where: elements of X where the condition holds, of Y elsewhere; the three broadcast together.
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

}  // namespace

LINNET_OP(Where, 9, Where);

}  // namespace linnet
