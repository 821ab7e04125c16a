// What the classical machine-learning operators (ai.onnx.ml) share: rows of numbers, class labels, score transforms.
#pragma once

#include <math.h>

#include "base/float_types.h"
#include "ops/movement.h"

namespace linnet {

/// Types these operators take as numbers.
inline constexpr uint32_t kMlNumbers = Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kInt64) | Mask(DType::kInt32);

/// An input seen as rows: [N, F], or [F] as one row.
inline int64_t RowsOf(const Shape& shape) { return shape.rank() == 2 ? shape[0] : 1; }
inline int64_t ColumnsOf(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[shape.rank() - 1]; }
/// Number of rows for Infer, possibly unknown; fails for ranks above 2.
inline Result<int64_t> InferRows(const Shape& shape) {
  if (!shape.has_rank()) return kUnknownDim;
  if (shape.rank() > 2) return InvalidArgument("input has shape ", ToString(shape), " where [N, F] is expected");
  return shape.rank() == 2 ? shape[0] : int64_t{1};
}

/// Elements [first, first + count) of a number tensor as V (float or double).
template <class V>
void LoadNumbers(DType dtype, const void* data, int64_t first, int64_t count, V* to) {
  auto load = [&]<class T>() {
    const T* from = static_cast<const T*>(data) + first;
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<T, Float16>) {
        to[i] = static_cast<V>(ToFloat(from[i]));
      } else {
        to[i] = static_cast<V>(from[i]);
      }
    }
  };
  switch (dtype) {
    case DType::kFloat: return load.template operator()<float>();
    case DType::kDouble: return load.template operator()<double>();
    case DType::kInt64: return load.template operator()<int64_t>();
    case DType::kInt32: return load.template operator()<int32_t>();
    case DType::kFloat16: return load.template operator()<Float16>();
    default: return;
  }
}

enum class PostTransform : uint8_t { kNone, kSoftmax, kLogistic, kSoftmaxZero, kProbit };

inline Result<PostTransform> ParsePostTransform(const Node& node) {
  LINNET_ASSIGN(std::string name, node.String("post_transform", "NONE"));
  if (name == "NONE") return PostTransform::kNone;
  if (name == "SOFTMAX") return PostTransform::kSoftmax;
  if (name == "LOGISTIC") return PostTransform::kLogistic;
  if (name == "SOFTMAX_ZERO") return PostTransform::kSoftmaxZero;
  if (name == "PROBIT") return PostTransform::kProbit;
  return InvalidModel("attribute 'post_transform' is ", Quote(name), "; known: NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT");
}

template <class V>
V Logistic(V x) {
  const V y = 1 / (1 + exp(-fabs(x)));
  return x < 0 ? 1 - y : y;
}

/// The inverse of the normal distribution function, through Winitzki's approximation of the inverse error function
/// (a = 0.147), which is what these models are scored with everywhere.
template <class V>
V Probit(V p) {
  const V x = 2 * p - 1, rest = (1 - x) * (1 + x);
  if (rest == 0) return 0;
  const V log_rest = log(rest);
  const V half = V(2 / (3.14159265358979323846 * 0.147)) + V(0.5) * log_rest;
  const V y = sqrt(-half + sqrt(half * half - log_rest / V(0.147)));
  return V(1.41421356) * (x < 0 ? -y : y);
}

/// Applies a transform to the scores of one row.
template <class V>
void ApplyPostTransform(PostTransform kind, V* scores, int64_t count) {
  if (kind == PostTransform::kNone || count == 0) return;
  if (kind == PostTransform::kLogistic || kind == PostTransform::kProbit) {
    for (int64_t i = 0; i < count; ++i) scores[i] = kind == PostTransform::kLogistic ? Logistic(scores[i]) : Probit(scores[i]);
    return;
  }
  V largest = scores[0], sum = 0;
  for (int64_t i = 1; i < count; ++i) largest = std::max(largest, scores[i]);
  for (int64_t i = 0; i < count; ++i) {
    // SOFTMAX_ZERO keeps zeros.
    const bool zero = kind == PostTransform::kSoftmaxZero && fabs(scores[i]) <= V(1e-7);
    scores[i] = zero ? scores[i] * exp(-largest) : exp(scores[i] - largest);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count; ++i) scores[i] = sum == 0 ? V(0.5) : scores[i] / sum;
}

/// The labels a classifier answers with: integers or strings.
struct ClassLabels {
  std::vector<int64_t> ints;
  std::vector<std::string> strings;

  Status Parse(const Node& node, const char* ints_name, const char* strings_name) {
    LINNET_ASSIGN(ints, node.Ints(ints_name));
    LINNET_ASSIGN(strings, node.Strings(strings_name));
    if (ints.empty() == strings.empty()) {
      return InvalidModel("exactly one of ", Quote(ints_name), " and ", Quote(strings_name), " must list labels");
    }
    return Status();
  }
  int64_t size() const { return static_cast<int64_t>(ints.size() + strings.size()); }
  DType dtype() const { return strings.empty() ? DType::kInt64 : DType::kString; }
  /// Writes label `index` as element `row` of output 0.
  void Put(const RunContext& c, int64_t row, int64_t index) const {
    if (!c.has_output(0)) return;
    if (strings.empty()) {
      c.out<int64_t>(0)[row] = ints[static_cast<size_t>(index)];
    } else {
      c.out<std::string>(0)[row] = strings[static_cast<size_t>(index)];
    }
  }
};

}  // namespace linnet
