// Adagrad, Adam, Momentum (ai.onnx.preview.training): one step of an optimizer on any number of tensors.
//
// Inputs: learning rate R, update count T, then all X, all gradients G, and all of each kind of state (Adagrad: H; Adam:
// V, H; Momentum: V). Outputs: all new X, then all new state.
//
//     G' = norm_coefficient X + G
//     Adagrad   H += G'^2;  X -= R / (1 + T decay_factor) G' / (sqrt(H) + epsilon)
//     Adam      V = alpha V + (1 - alpha) G';  H = beta H + (1 - beta) G'^2
//               X = (1 - norm_coefficient_post) (X - R' V / (sqrt(H) + epsilon)),  R' = R sqrt(1 - beta^T) / (1 - alpha^T)
//     Momentum  V = alpha V + (T > 0 ? beta : 1) G';  X -= R V, nesterov: X -= R (G' + alpha V)
#include <math.h>

#include "ops/convert.h"
#include "ops/arithmetic.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

enum class Method { kAdagrad, kAdam, kMomentum };

template <Method method>
struct Optimizer {
  static constexpr int kStates = method == Method::kAdam ? 2 : 1;
  static constexpr uint32_t kTypes = Mask(DType::kFloat) | Mask(DType::kDouble);
  float alpha = 0.9f, beta = 0.999f, epsilon = 0, norm = 0, norm_post = 0, decay = 0;
  bool nesterov = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(norm, node.Float("norm_coefficient", 0));
    LINNET_ASSIGN(norm_post, node.Float("norm_coefficient_post", 0));
    LINNET_ASSIGN(alpha, node.Float("alpha", 0.9f));
    LINNET_ASSIGN(beta, node.Float("beta", 0.999f));
    LINNET_ASSIGN(decay, node.Float("decay_factor", 0));
    LINNET_ASSIGN(epsilon, node.Float("epsilon", 0));
    if (method != Method::kMomentum) return Status();
    LINNET_ASSIGN(std::string mode, node.String("mode", ""));
    nesterov = mode == "nesterov";
    if (!nesterov && mode != "standard") {
      return InvalidModel("attribute 'mode' is ", Quote(mode), "; known are 'nesterov' and 'standard'");
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    const int inputs = c.input_count() - 2;
    if (inputs <= 0 || inputs % (2 + kStates) != 0) {
      return InvalidModel("has ", c.input_count(), " inputs; R, T and groups of ", 2 + kStates, " are expected");
    }
    LINNET_TRY(c.CheckInputs(c.input_count(), c.input_count()));
    LINNET_TRY(c.CheckType(0, kTypes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    for (int i = 0; i < 2; ++i) {
      if (c.shape(i).is_static() && c.shape(i).elements() != 1) {
        return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where a scalar is expected");
      }
    }
    const int tensors = inputs / (2 + kStates);
    for (int i = 0; i < inputs; ++i) {
      LINNET_TRY(c.CheckType(2 + i, kTypes));
      const Type &x = c.type(2 + i % tensors), &own = c.type(2 + i);
      if (own.shape.is_static() && x.shape.is_static() && (!(own.shape == x.shape) || own.dtype != x.dtype)) {
        return InvalidModel("input ", 2 + i, " is ", ToString(own), " where ", ToString(x), " is expected");
      }
    }
    for (int i = 0; i < tensors * (1 + kStates); ++i) LINNET_TRY(c.SetOutput(i, c.type(2 + i % tensors)));
    return Status();
  }

  Status Run(RunContext& c) const {
    double rate;
    FindLoad(c.input_dtype(0), Stage::kDouble)(c.input(0), 0, 1, &rate);
    const int64_t updates = *c.in<int64_t>(1);
    const int tensors = (c.input_count() - 2) / (2 + kStates);
    for (int i = 0; i < tensors; ++i) {
      LINNET_TRY(ForType<kTypes>(c.input_dtype(2 + i), [&]<class T>() {
        Update<T>(c, i, tensors, rate, updates);
        return Status();
      }));
    }
    return Status();
  }

 private:
  template <class T>
  void Update(const RunContext& c, int which, int tensors, double rate, int64_t updates) const {
    auto in = [&](int kind) { return c.in<T>(2 + kind * tensors + which); };
    auto out = [&](int kind) { return c.has_output(kind * tensors + which) ? c.out<T>(kind * tensors + which) : nullptr; };
    const T *x = in(0), *g = in(1), *first = in(2), *second = kStates > 1 ? in(3) : nullptr;
    T *new_x = out(0), *new_first = out(1), *new_second = kStates > 1 ? out(2) : nullptr;
    const double count = static_cast<double>(updates), a = alpha, b = beta;
    double r = rate;
    if (method == Method::kAdagrad) r = rate / (1 + count * static_cast<double>(decay));
    if (method == Method::kAdam && updates > 0) r = rate * sqrt(1 - pow(b, count)) / (1 - pow(a, count));
    const int64_t n = c.input_shape(2 + which).elements();
    for (int64_t i = 0; i < n; ++i) {
      const double gradient = static_cast<double>(norm) * x[i] + g[i];
      double next_x, next_first, next_second = 0;
      if (method == Method::kAdagrad) {
        next_first = first[i] + gradient * gradient;
        next_x = x[i] - r * gradient / (sqrt(next_first) + static_cast<double>(epsilon));
      } else if (method == Method::kAdam) {
        next_first = a * first[i] + (1 - a) * gradient;
        next_second = b * second[i] + (1 - b) * gradient * gradient;
        next_x = x[i] - r * next_first / (sqrt(next_second) + static_cast<double>(epsilon));
        next_x *= 1 - static_cast<double>(norm_post);
      } else {
        next_first = a * first[i] + (updates > 0 ? b : 1) * gradient;
        next_x = x[i] - r * (nesterov ? gradient + a * next_first : next_first);
      }
      if (new_x) new_x[i] = static_cast<T>(next_x);
      if (new_first) new_first[i] = static_cast<T>(next_first);
      if (new_second) new_second[i] = static_cast<T>(next_second);
    }
  }
};

}  // namespace

LINNET_TRAINING_OP(Adagrad, 1, Optimizer<Method::kAdagrad>);
LINNET_TRAINING_OP(Adam, 1, Optimizer<Method::kAdam>);
LINNET_TRAINING_OP(Momentum, 1, Optimizer<Method::kMomentum>);

}  // namespace linnet
