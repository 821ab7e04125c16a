// NonZero: the coordinates of all elements that are not zero, one column an element, in row-major order.
//
// A scalar has no coordinates: the result is [0, 0] or [0, 1]. NaN and text that is not empty count as not zero.
#include "ops/movement.h"

namespace linnet {
namespace {

/// Calls f(i) for each element that is not zero, in order.
template <class F>
void ForEachNonZero(DType dtype, const void* data, int64_t count, F&& f) {
  auto scan = [&]<class T>(auto is_zero) {
    const T* values = static_cast<const T*>(data);
    for (int64_t i = 0; i < count; ++i) {
      if (!is_zero(values[i])) f(i);
    }
  };
  switch (dtype) {
    case DType::kFloat: return scan.template operator()<float>([](float v) { return v == 0; });
    case DType::kDouble: return scan.template operator()<double>([](double v) { return v == 0; });
    case DType::kFloat16:
    case DType::kBfloat16: return scan.template operator()<uint16_t>([](uint16_t v) { return (v & 0x7fff) == 0; });
    case DType::kComplex64:
      return scan.template operator()<Unit<8>>([](const Unit<8>& v) {
        float parts[2];
        memcpy(parts, &v, sizeof parts);
        return parts[0] == 0 && parts[1] == 0;
      });
    case DType::kComplex128:
      return scan.template operator()<Unit<16>>([](const Unit<16>& v) {
        double parts[2];
        memcpy(parts, &v, sizeof parts);
        return parts[0] == 0 && parts[1] == 0;
      });
    case DType::kString: return scan.template operator()<std::string>([](const std::string& v) { return v.empty(); });
    default:
      ForWidth(dtype, [&]<class T>() {
        if constexpr (!std::is_same_v<T, std::string>) {
          scan.template operator()<T>([](const T& v) {
            uint8_t any = 0;
            for (uint8_t byte : v.bytes) any |= byte;
            return any == 0;
          });
        }
      });
  }
}

struct NonZero {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    const Shape& in = c.shape(0);
    int64_t count = kUnknownDim;
    if (c.data(0) && in.is_static()) {
      count = 0;
      ForEachNonZero(c.dtype(0), c.data(0), in.elements(), [&](int64_t) { ++count; });
    }
    return c.SetOutput(0, DType::kInt64, {in.has_rank() ? in.rank() : kUnknownDim, count});
  }
  Status Run(RunContext& c) const {
    const Shape& in = c.input_shape(0);
    const int64_t elements = in.elements();
    int64_t count = 0;
    ForEachNonZero(c.input_dtype(0), c.input(0), elements, [&](int64_t) { ++count; });
    LINNET_ASSIGN(void* memory, c.AllocateOutput(0, DType::kInt64, {in.rank(), count}));
    auto* out = static_cast<int64_t*>(memory);
    int64_t column = 0;
    ForEachNonZero(c.input_dtype(0), c.input(0), elements, [&](int64_t i) {
      for (int axis = in.rank() - 1; axis >= 0; --axis) {
        out[axis * count + column] = i % in[axis];
        i /= in[axis];
      }
      ++column;
    });
    return Status();
  }
};

}  // namespace

LINNET_OP(NonZero, 9, NonZero);

}  // namespace linnet
