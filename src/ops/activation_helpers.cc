// Names of fused activations.
#include "ops/activation_helpers.h"

#include "ops/packed_weights.h"

#if !defined(LINNET_ACTIVATIONS)
#define LINNET_ACTIVATIONS 0xFFFFFFFFu   // a bit for each Activation
#endif

namespace linnet {
namespace {

struct Row {
  char name[12];
  Activation kind;
};
constexpr Row kRows[] = {
    {"", Activation::kNone},
    {"Relu", Activation::kRelu},
    {"Clip", Activation::kClip},
    {"LeakyRelu", Activation::kLeakyRelu},
    {"HardSigmoid", Activation::kHardSigmoid},
    {"HardSwish", Activation::kHardSwish},
    {"Elu", Activation::kElu},
    {"Selu", Activation::kSelu},
    {"Sigmoid", Activation::kSigmoid},
    {"Tanh", Activation::kTanh},
    {"Silu", Activation::kSilu},
    {"Gelu", Activation::kGelu},
    {"GeluTanh", Activation::kGeluTanh},
    {"Softplus", Activation::kSoftplus},
    {"Mish", Activation::kMish},
    {"Steps", Activation::kSteps},
};

}  // namespace

Result<Activation> ActivationFromName(std::string_view name) {
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    if (LINNET_ACTIVATIONS >> static_cast<int>(row.kind) & 1) return row.kind;
    return LeftOut(Cat("the fused activation ", name, " is"));
  }
  return InvalidModel("activation ", Quote(name), " is unknown");
}

Status FusedActivation::Parse(const Node& node) {
  LINNET_ASSIGN(std::string name, node.String("activation", ""));
  LINNET_ASSIGN(kind, ActivationFromName(name));
  LINNET_ASSIGN(alpha, node.Float("alpha", kind == Activation::kSilu ? 1.0f : 0.0f));
  LINNET_ASSIGN(beta, node.Float("beta", 0.0f));
  return Status();
}

}  // namespace linnet
