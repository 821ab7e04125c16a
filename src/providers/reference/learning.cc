// Scaler, Normalizer, Binarizer, Imputer, linear models (ai.onnx.ml).
#include "providers/reference/learning.h"

#include <math.h>

#include <algorithm>
#include <numbers>

#include "providers/reference/families.h"
#include "providers/reference/matrix.h"

namespace linnet::reference {
namespace {

/// The inverse of the normal distribution function by Winitzki's approximation, which these models are defined with.
double Probit(double p) {
  const double x = 2 * p - 1, l = log((1 - x) * (1 + x)), a = 0.147;
  if ((1 - x) * (1 + x) == 0) return 0;
  const double half = 2 / (std::numbers::pi * a) + 0.5 * l;
  return 1.41421356 * copysign(sqrt(sqrt(half * half - l / a) - half), x);
}

}  // namespace

Reals Features(const Call& c) {
  Reals x = c.In(0);
  if (x.shape.rank() != 2) x.shape = Shape{1, x.size()};
  return x;
}

void Transform(const std::string& name, Reals* scores) {
  if (name == "LOGISTIC") {
    for (double& v : scores->data) v = 1 / (1 + exp(-v));
  } else if (name == "PROBIT") {
    for (double& v : scores->data) v = Probit(v);
  } else if (name.starts_with("SOFTMAX") && scores->size() > 0) {
    ForEachLane(scores->shape, 1, [&](const Lane& lane) {
      double most = -INFINITY, sum = 0;
      for (int64_t i = 0; i < lane.n; ++i) most = std::max(most, (*scores)[lane[i]]);
      for (int64_t i = 0; i < lane.n; ++i) {
        double& v = (*scores)[lane[i]];
        v = name == "SOFTMAX_ZERO" && fabs(v) <= 1e-7 ? v * exp(-most) : exp(v - most);   // zeros stay
        sum += v;
      }
      for (int64_t i = 0; i < lane.n; ++i) (*scores)[lane[i]] = sum == 0 ? 0.5 : (*scores)[lane[i]] / sum;
    });
  }
}

Status PutLabels(const Call& c, const std::vector<int64_t>& index, std::string_view ints, std::string_view strings) {
  if (!c.Wants(0)) return Status();
  const std::vector<int64_t> numbers = c.Ints(ints);
  const std::vector<std::string> names = c.Texts(strings);
  LINNET_ASSIGN(Cells y, c.Make(0, Shape{static_cast<int64_t>(index.size())}));
  for (size_t i = 0; i < index.size(); ++i) {
    const bool known = index[i] >= 0;
    if (y.dtype == DType::kString) {
      static_cast<std::string*>(y.data)[i] = known ? names[U(index[i])] : "";
    } else {
      Store(y.dtype, y.data, static_cast<int64_t>(i),
            !known            ? 0
            : numbers.empty() ? index[i]
                              : numbers[U(index[i])]);
    }
  }
  return Status();
}

namespace {

/// The entry of a list for a feature: lists of one serve all.
double Each(const std::vector<float>& list, int64_t feature) {
  return static_cast<double>(list[list.size() == 1 ? 0 : U(feature)]);
}
int64_t LastOf(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[shape.rank() - 1]; }

Status Scaler(Call& c) {
  const std::vector<float> offset = c.Floats("offset"), scale = c.Floats("scale");
  Reals x = c.In(0);
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t feature = i % LastOf(x.shape);
    x[i] = (x[i] - Each(offset, feature)) * Each(scale, feature);
  }
  return c.Out(0, x);
}

/// Rows divided by their largest element, sum of magnitudes or length; rows of zeros stay.
Status Normalizer(Call& c) {
  const std::string norm = c.Text("norm", "MAX");
  Reals x = c.In(0);
  if (x.shape.rank() == 0) x.shape = Shape{1};
  ForEachLane(x.shape, x.shape.rank() - 1, [&](const Lane& lane) {
    double size = norm == "MAX" ? -INFINITY : 0;
    for (int64_t i = 0; i < lane.n; ++i) {
      const double v = x[lane[i]];
      size = norm == "MAX" ? std::max(size, v) : size + (norm == "L1" ? fabs(v) : v * v);
    }
    if (norm == "L2") size = sqrt(size);
    for (int64_t i = 0; i < lane.n && size != 0; ++i) x[lane[i]] /= size;
  });
  x.shape = c.shape(0);
  return c.Out(0, x);
}

Status Binarizer(Call& c) {
  const double threshold = c.Float("threshold", 0);
  Reals x = c.In(0);
  for (double& v : x.data) v = v > threshold;
  return c.Out(0, x);
}

/// One value (NaN is one) replaced, everywhere by the same or in each feature by its own.
Status Imputer(Call& c) {
  const bool real = c.HasAttribute("imputed_value_floats");
  const double replaced = real ? c.Float("replaced_value_float", 0) : static_cast<double>(c.Int("replaced_value_int64", 0));
  const std::vector<float> floats = c.Floats("imputed_value_floats");
  const std::vector<int64_t> ints = c.Ints("imputed_value_int64s");
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> x = c.In<T>(0);
    for (int64_t i = 0; i < x.size(); ++i) {
      if (!(x[i] == static_cast<T>(replaced) || (IsNaN(x[i]) && isnan(replaced)))) continue;
      const int64_t feature = i % LastOf(x.shape);
      x[i] = real ? static_cast<T>(Each(floats, feature))
                  : static_cast<T>(ints[ints.size() == 1 ? 0 : U(feature)]);
    }
    return c.Out(0, x);
  });
}

/// X W' + intercepts.
Reals LinearScores(const Call& c, int64_t targets) {
  const std::vector<float> coefficients = c.Floats("coefficients"), intercepts = c.Floats("intercepts");
  Reals w(Shape{targets, static_cast<int64_t>(coefficients.size()) / targets});
  w.data.assign(coefficients.begin(), coefficients.end());
  Reals scores = Product(Features(c), Transposed(w));
  for (int64_t i = 0; i < scores.size() && !intercepts.empty(); ++i)
    scores[i] += static_cast<double>(intercepts[U(i % targets)]);
  return scores;
}

Status LinearRegressor(Call& c) {
  Reals scores = LinearScores(c, c.Int("targets", 1));
  Transform(c.Text("post_transform", "NONE"), &scores);
  return c.Out(0, scores);
}

/// The largest score wins. One row of weights for two classes is a margin, whose sign decides.
Status LinearClassifier(Call& c) {
  const int64_t labels = static_cast<int64_t>(c.Ints("classlabels_ints").size() + c.Texts("classlabels_strings").size());
  const int64_t given = static_cast<int64_t>(c.Floats("intercepts").size()),
                targets = given > 0 ? given : std::max<int64_t>(labels, 1);
  Reals scores = LinearScores(c, targets);
  std::vector<int64_t> best;
  for (int64_t row = 0; row < scores.shape[0]; ++row) {
    const double* from = scores.data.data() + row * targets;
    const int64_t winner = targets == 1 ? (from[0] > 0 ? 1 : 0) : std::max_element(from, from + targets) - from;
    best.push_back(targets == 1 && labels < 2 && labels > 0 ? winner - 1 : winner);   // one label names the positive class
  }
  LINNET_TRY(PutLabels(c, best, "classlabels_ints", "classlabels_strings"));
  if (targets == 1 && labels == 2) {
    Reals both(Shape{scores.shape[0], 2});
    for (int64_t i = 0; i < scores.size(); ++i) both[2 * i] = -scores[i], both[2 * i + 1] = scores[i];
    scores = both;
  }
  Transform(c.Text("post_transform", "NONE"), &scores);
  return c.Out(1, scores);
}

constexpr Row kRows[] = {
    {"Scaler", Scaler, "ai.onnx.ml"}, {"Normalizer", Normalizer, "ai.onnx.ml"}, {"Binarizer", Binarizer, "ai.onnx.ml"},
    {"Imputer", Imputer, "ai.onnx.ml"}, {"LinearRegressor", LinearRegressor, "ai.onnx.ml"},
    {"LinearClassifier", LinearClassifier, "ai.onnx.ml"},
};

}  // namespace

std::span<const Row> LearningRows() { return kRows; }

}  // namespace linnet::reference
