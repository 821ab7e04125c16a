// Range: start, start + delta, start + 2 delta, ... below (or above) limit.
//
// Each element is computed on its own, integers exactly, float and double in double, float16 and bfloat16 in float (or
// in double, when stash_type says so).
#include <math.h>

#include "base/float_types.h"
#include "ops/movement.h"

namespace linnet {
namespace {

constexpr uint32_t kRangeTypes = kAnyFloat | Mask(DType::kInt16) | Mask(DType::kInt32) | Mask(DType::kInt64);

template <class T>
double AsDouble(T value) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
    return static_cast<double>(ToFloat(value));
  } else {
    return static_cast<double>(value);
  }
}

template <class T>
Result<int64_t> Count(T start, T limit, T delta) {
  if constexpr (std::is_integral_v<T>) {
    if (delta == 0) return InvalidArgument("delta is 0");
    // Distances of 64-bit integers need 64 bits without a sign.
    const bool up = delta > 0;
    if (up ? limit <= start : limit >= start) return 0;
    const uint64_t from = static_cast<uint64_t>(start), to = static_cast<uint64_t>(limit), step = static_cast<uint64_t>(delta);
    const uint64_t count = up ? (to - from - 1) / step : (from - to - 1) / (0 - step);
    return count >= static_cast<uint64_t>(kDimMax) ? kDimMax + 1 : static_cast<int64_t>(count) + 1;
  } else {
    const double step = AsDouble(delta), count = ceil((AsDouble(limit) - AsDouble(start)) / step);
    if (step == 0) return InvalidArgument("delta is 0");
    if (count != count) return InvalidArgument("start, limit and delta give no length");
    return static_cast<int64_t>(std::clamp<double>(count, 0, static_cast<double>(kDimMax + 1)));
  }
}

struct Range {
  bool in_double = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t stash, node.Int("stash_type", 1));
    if (stash != static_cast<int64_t>(DType::kFloat) && stash != static_cast<int64_t>(DType::kDouble)) {
      return InvalidModel("attribute 'stash_type' is ", stash, "; known: 1 (float), 11 (double)");
    }
    in_double = stash == static_cast<int64_t>(DType::kDouble);
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    DType dtype = DType::kUndefined;
    bool known = true;
    for (int i = 0; i < 3; ++i) {
      LINNET_TRY(c.CheckType(i, dtype == DType::kUndefined ? kRangeTypes : Mask(dtype)));
      if (dtype == DType::kUndefined) dtype = c.dtype(i);
      bool here = c.data(i) && c.shape(i).is_static();
      if (here && c.shape(i).elements() != 1) return InvalidArgument("input ", i, " has shape ", ToString(c.shape(i)), " where a scalar is expected");
      known = known && here;
    }
    if (!known) return c.SetOutput(0, dtype, Shape::OfRank(1));
    return ForType<kRangeTypes>(dtype, [&]<class T>() -> Status {
      LINNET_ASSIGN(int64_t count, Count(*c.data<T>(0), *c.data<T>(1), *c.data<T>(2)));
      return c.SetOutput(0, dtype, {count});
    });
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.output_shape(0).elements();
    return ForType<kRangeTypes>(c.output_dtype(0), [&]<class T>() {
      const T start = *c.in<T>(0), delta = *c.in<T>(2);
      T* out = c.out<T>(0);
      for (int64_t i = 0; i < count; ++i) {
        if constexpr (std::is_integral_v<T>) {
          out[i] = static_cast<T>(static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(delta));
        } else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
          out[i] = static_cast<T>(AsDouble(start) + static_cast<double>(i) * AsDouble(delta));
        } else {
          float value = in_double ? RoundToOdd(AsDouble(start) + static_cast<double>(i) * AsDouble(delta))
                                  : ToFloat(start) + static_cast<float>(i) * ToFloat(delta);
          if constexpr (std::is_same_v<T, Float16>) {
            out[i] = ToFloat16(value);
          } else {
            out[i] = ToBfloat16(value);
          }
        }
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(Range, 11, Range);

}  // namespace linnet
