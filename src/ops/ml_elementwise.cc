// Scaler, Normalizer, Imputer, Binarizer: features changed one by one, or row by row.
#include "ops/ml_helpers.h"

namespace linnet {
namespace {

/// Types of ml numbers as a mask for ForType.
template <class F>
Status ForMlNumber(DType dtype, F&& f) { return ForType<kMlNumbers>(dtype, static_cast<F&&>(f)); }

/// (x - offset) * scale, with one pair of numbers or one for each feature (the last axis).
struct Scaler {
  std::vector<float> offset, scale;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(offset, node.Floats("offset"));
    LINNET_ASSIGN(scale, node.Floats("scale"));
    if (offset.size() != scale.size() || offset.empty()) {
      return InvalidModel("attributes 'offset' and 'scale' have ", offset.size(), " and ", scale.size(), " numbers");
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kMlNumbers));
    const Shape& in = c.shape(0);
    const int64_t features = in.has_rank() ? ColumnsOf(in) : kUnknownDim;
    if (offset.size() != 1 && IsKnownDim(features) && features != static_cast<int64_t>(offset.size())) {
      return InvalidArgument(offset.size(), " scales for ", features, " features");
    }
    return c.SetOutput(0, DType::kFloat, in);
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(0).elements(), features = std::max<int64_t>(1, ColumnsOf(c.input_shape(0)));
    const int64_t step = offset.size() == 1 ? 0 : 1;
    return ForMlNumber(c.input_dtype(0), [&]<class T>() {
      const T* in = c.in<T>(0);
      float* out = c.out<float>(0);
      return c.ParallelFor(count, 1024, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin, f = begin % features; i < end; ++i) {
          const size_t at = static_cast<size_t>(f * step);
          out[i] = (static_cast<float>(in[i]) - offset[at]) * scale[at];
          if (++f == features) f = 0;
        }
      });
    });
  }
};

/// Rows divided by their largest element (MAX), sum of magnitudes (L1) or length (L2). Rows of zeros stay.
struct Normalizer {
  enum { kMax, kL1, kL2 } norm = kMax;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string name, node.String("norm", "MAX"));
    if (name == "MAX") {
      norm = kMax;
    } else if (name == "L1") {
      norm = kL1;
    } else if (name == "L2") {
      norm = kL2;
    } else {
      return InvalidModel("attribute 'norm' is ", Quote(name), "; known: MAX, L1, L2");
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kMlNumbers));
    return c.SetOutput(0, DType::kFloat, c.shape(0));
  }
  Status Run(RunContext& c) const {
    const Shape& shape = c.input_shape(0);
    const int64_t features = ColumnsOf(shape), rows = features ? shape.elements() / features : 0;
    return ForMlNumber(c.input_dtype(0), [&]<class T>() {
      return c.ParallelFor(rows, 1, 2.0 * static_cast<double>(features), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          const T* in = c.in<T>(0) + r * features;
          float* out = c.out<float>(0) + r * features;
          double divisor = norm == kMax ? -INFINITY : 0;
          for (int64_t i = 0; i < features; ++i) {
            const double x = static_cast<double>(in[i]);
            divisor = norm == kMax ? std::max(divisor, x) : divisor + (norm == kL1 ? fabs(x) : x * x);
          }
          if (norm == kL2) divisor = sqrt(divisor);
          for (int64_t i = 0; i < features; ++i) {
            out[i] = static_cast<float>(divisor != 0 ? static_cast<double>(in[i]) / divisor : static_cast<double>(in[i]));
          }
        }
      });
    });
  }
};

/// One value (NaN too) replaced, everywhere by one other or in each feature by its own.
struct Imputer {
  std::vector<float> floats;
  std::vector<int64_t> ints;
  float replaced_float = 0;
  int64_t replaced_int = 0;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(floats, node.Floats("imputed_value_floats"));
    LINNET_ASSIGN(ints, node.Ints("imputed_value_int64s"));
    LINNET_ASSIGN(replaced_float, node.Float("replaced_value_float", 0));
    LINNET_ASSIGN(replaced_int, node.Int("replaced_value_int64", 0));
    if (floats.empty() == ints.empty()) return InvalidModel("exactly one of 'imputed_value_floats' and 'imputed_value_int64s' must be given");
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, floats.empty() ? Mask(DType::kInt64) | Mask(DType::kInt32) : Mask(DType::kFloat) | Mask(DType::kDouble)));
    const Shape& in = c.shape(0);
    const int64_t features = in.has_rank() ? ColumnsOf(in) : kUnknownDim, values = static_cast<int64_t>(floats.size() + ints.size());
    if (values != 1 && IsKnownDim(features) && features != values) return InvalidArgument(values, " imputed values for ", features, " features");
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    c.InPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(0).elements(), features = std::max<int64_t>(1, ColumnsOf(c.input_shape(0)));
    return ForMlNumber(c.input_dtype(0), [&]<class T>() {
      const T* in = c.in<T>(0);
      T* out = c.out<T>(0);
      const bool single = floats.size() + ints.size() == 1;
      auto value = [&](int64_t feature) {
        const size_t at = single ? 0 : static_cast<size_t>(feature);
        return floats.empty() ? static_cast<T>(ints[at]) : static_cast<T>(floats[at]);
      };
      const T replaced = floats.empty() ? static_cast<T>(replaced_int) : static_cast<T>(replaced_float);
      for (int64_t i = 0; i < count; ++i) {
        const bool hit = in[i] == replaced || (in[i] != in[i] && replaced != replaced);
        out[i] = hit ? value(i % features) : in[i];
      }
      return Status();
    });
  }
};

/// 1 above a threshold, 0 elsewhere.
struct Binarizer {
  float threshold = 0;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(threshold, node.Float("threshold", 0));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kMlNumbers));
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    c.InPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const int64_t count = c.input_shape(0).elements();
    return ForMlNumber(c.input_dtype(0), [&]<class T>() {
      const T* in = c.in<T>(0);
      for (int64_t i = 0; i < count; ++i) c.out<T>(0)[i] = static_cast<double>(in[i]) > static_cast<double>(threshold) ? T(1) : T(0);
      return Status();
    });
  }
};

}  // namespace

LINNET_ML_OP(Scaler, 1, Scaler);
LINNET_ML_OP(Normalizer, 1, Normalizer);
LINNET_ML_OP(Imputer, 1, Imputer);
LINNET_ML_OP(Binarizer, 1, Binarizer);

}  // namespace linnet
