// Each fused node is taken out, and what it stands for is put where it was; the last of that makes the same value.
#include "ort/unfuse.h"

#include <algorithm>

namespace linnet::ort {
namespace {

/// What is made means the same in every version of ai.onnx from this one on; Clip has taken its bounds as inputs since 11.
constexpr int kVersionMin = 7, kClipByInputs = 11;

class Unfuser {
 public:
  Unfuser(Graph& graph, Node node, int opset) : graph_(graph), node_(std::move(node)), opset_(std::max(opset, kVersionMin)) {}

  Status Run() {
    if (node_.op == "FusedConv" || node_.op == "NhwcFusedConv") return Conv(node_.op == "NhwcFusedConv");
    if (node_.op == "FusedGemm") return Gemm();
    if (node_.op == "NhwcMaxPool") return Windows("MaxPool");
    if (node_.op == "QLinearConv") return QLinearConv();
    return MatMul();
  }

 private:
  ValueId output() const { return node_.outputs[0]; }
  Type TypeOf(ValueId id) const { return id == kNoValue ? Type() : graph_.value(id).type; }

  /// A node of ai.onnx that makes `to`, or, without it, a value of `type`.
  Result<ValueId> Add(std::string_view op, std::vector<ValueId> inputs, std::vector<Attribute> attributes, const Type& type,
                      ValueId to = kNoValue) {
    Node node;
    node.op = op;
    node.version = opset_;
    node.name = node_.name;
    node.inputs = std::move(inputs);
    while (!node.inputs.empty() && node.inputs.back() == kNoValue) node.inputs.pop_back();
    node.attributes = std::move(attributes);
    if (to == kNoValue) to = graph_.AddValue(graph_.FreshName(graph_.value(output()).name), type);
    node.outputs = {to};
    LINNET_TRY(graph_.AddNode(std::move(node)).TakeStatus());
    return to;
  }

  Result<ValueId> Permute(ValueId from, std::vector<int64_t> order, ValueId to = kNoValue) {
    Type type = TypeOf(from);
    if (type.shape.rank() == static_cast<int>(order.size())) {
      const Shape shape = type.shape;
      for (size_t i = 0; i < order.size(); ++i) type.shape[static_cast<int>(i)] = shape[static_cast<int>(order[i])];
    } else {
      type.shape = Shape();
    }
    return Add("Transpose", {from}, {{"perm", std::move(order)}}, type, to);
  }

  static std::vector<int64_t> ToFirst(int rank) {
    std::vector<int64_t> order = {0, rank - 1};
    for (int i = 1; i + 1 < rank; ++i) order.push_back(i);
    return order;
  }
  static std::vector<int64_t> ToLast(int rank) {
    std::vector<int64_t> order = {0};
    for (int i = 2; i < rank; ++i) order.push_back(i);
    order.push_back(1);
    return order;
  }

  /// The rank of an image that nothing but this node may tell of.
  Result<int> ImageRank() const {
    int rank = TypeOf(node_.inputs.empty() ? kNoValue : node_.inputs[0]).shape.rank();
    LINNET_ASSIGN(std::vector<int64_t> kernel, node_.Ints("kernel_shape"));
    if (rank < 0 && !kernel.empty() && kernel.size() < static_cast<size_t>(kMaxRank) - 1) rank = static_cast<int>(kernel.size()) + 2;
    if (rank < 3) return Unsupported("an image of unknown rank, or of fewer than 3 dimensions, whose channels are last");
    return rank;
  }

  /// `op` of ai.onnx on channels first, where the channels of the first input and of the output are last.
  Status Windows(std::string_view op) {
    LINNET_ASSIGN(const int rank, ImageRank());
    std::vector<ValueId> inputs = node_.inputs;
    if (inputs.empty() || inputs[0] == kNoValue) return InvalidModel("it has no input");
    LINNET_ASSIGN(inputs[0], Permute(inputs[0], ToFirst(rank)));
    Type type = TypeOf(output());
    const Shape last = type.shape;
    type.shape = Shape();
    if (last.rank() == rank) {
      type.shape = last;
      for (int i = 1; i < rank; ++i) type.shape[i] = last[i == 1 ? rank - 1 : i - 1];
    }
    LINNET_ASSIGN(ValueId made, Add(op, std::move(inputs), node_.attributes, type));
    return Permute(made, ToLast(rank), output()).TakeStatus();
  }

  Status QLinearConv() {
    LINNET_ASSIGN(const int64_t last, node_.Int("channels_last", 0));
    node_.Unset("channels_last");
    if (last != 0) return Windows("QLinearConv");
    return Add("QLinearConv", node_.inputs, node_.attributes, Type(), output()).TakeStatus();
  }

  Status Conv(bool channels_last) {
    LINNET_ASSIGN(std::string activation, node_.String("activation", ""));
    LINNET_ASSIGN(std::vector<float> parameters, node_.Floats("activation_params"));
    node_.Unset("activation");
    node_.Unset("activation_params");
    std::vector<ValueId> inputs = node_.inputs;
    const ValueId added = inputs.size() > 3 ? inputs[3] : kNoValue;
    inputs.resize(std::min<size_t>(inputs.size(), 3));
    const ValueId result = output();
    const Type type = TypeOf(result);
    const bool plain = activation.empty() && added == kNoValue;
    ValueId made = plain ? result : graph_.AddValue(graph_.FreshName(graph_.value(result).name), type);
    if (channels_last) {
      node_.inputs = inputs;
      node_.outputs[0] = made;
      LINNET_TRY(Windows("Conv"));
      node_.outputs[0] = result;
    } else {
      LINNET_TRY(Add("Conv", inputs, node_.attributes, type, made).TakeStatus());
    }
    if (added != kNoValue) {
      LINNET_ASSIGN(made, Add("Add", {made, added}, {}, type, activation.empty() ? result : kNoValue));
    }
    if (activation.empty()) return Status();
    const size_t wanted = activation == "LeakyRelu" ? 1 : activation == "Clip" || activation == "HardSigmoid" ? 2 : 0;
    if (parameters.size() < wanted) {
      return InvalidModel("activation ", Quote(activation), " has ", parameters.size(), " parameters of ", wanted);
    }
    if (activation == "Clip" && opset_ >= kClipByInputs) {
      if (type.dtype != DType::kFloat && type.dtype != DType::kUndefined) {
        return Unsupported("activation 'Clip' of ", DTypeName(type.dtype));
      }
      std::vector<ValueId> clip = {made};
      for (float bound : {parameters[0], parameters[1]}) {
        clip.push_back(graph_.AddConstant(graph_.FreshName("bound"), Tensor::Scalar(bound)));
      }
      return Add("Clip", std::move(clip), {}, type, result).TakeStatus();
    }
    std::vector<Attribute> attributes;
    if (wanted > 0) attributes.push_back({activation == "Clip" ? "min" : "alpha", parameters[0]});
    if (wanted > 1) attributes.push_back({activation == "Clip" ? "max" : "beta", parameters[1]});
    return Activate(activation, made, std::move(attributes));
  }

  Status Gemm() {
    LINNET_ASSIGN(std::string activation, node_.String("activation", ""));
    node_.Unset("activation");
    // What the activation has is named after it: activation_alpha is its alpha.
    constexpr std::string_view kPrefix = "activation_";
    std::vector<Attribute> own, of_activation;
    for (Attribute& attribute : node_.attributes) {
      if (!attribute.name.starts_with(kPrefix)) {
        own.push_back(std::move(attribute));
      } else {
        of_activation.push_back({attribute.name.substr(kPrefix.size()), std::move(attribute.payload)});
      }
    }
    const Type type = TypeOf(output());
    LINNET_ASSIGN(ValueId made, Add("Gemm", node_.inputs, std::move(own), type, activation.empty() ? output() : kNoValue));
    return activation.empty() ? Status() : Activate(activation, made, std::move(of_activation));
  }

  Status Activate(std::string_view activation, ValueId from, std::vector<Attribute> attributes) {
    for (std::string_view known : {"Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Clip", "Elu", "Selu", "Softplus", "Softsign",
                                   "ThresholdedRelu"}) {
      if (activation == known) return Add(known, {from}, std::move(attributes), TypeOf(output()), output()).TakeStatus();
    }
    return Unsupported("activation ", Quote(activation));
  }

  /// Where batches are transposed, the first dimension of that operand, its rows or columns, goes behind them. Our FusedMatMul
  /// scales floats only.
  Status MatMul() {
    std::vector<ValueId> inputs = node_.inputs;
    const char* const kFlags[] = {"transBatchA", "transBatchB"};
    for (size_t i = 0; i < 2 && i < inputs.size(); ++i) {
      LINNET_ASSIGN(const int64_t flag, node_.Int(kFlags[i], 0));
      node_.Unset(kFlags[i]);
      if (flag == 0) continue;
      const int rank = TypeOf(inputs[i]).shape.rank();
      if (rank < 0) return Unsupported("attribute '", kFlags[i], "' on an operand of unknown rank");
      if (rank < 3) continue;
      std::vector<int64_t> order;
      for (int d = 1; d + 1 < rank; ++d) order.push_back(d);
      order.push_back(0);
      order.push_back(rank - 1);
      LINNET_ASSIGN(inputs[i], Permute(inputs[i], std::move(order)));
    }
    LINNET_ASSIGN(const float alpha, node_.Float("alpha", 1));
    const Type type = TypeOf(output());
    const ValueId result = output();
    const bool scaled = type.dtype == DType::kDouble && alpha != 1;
    Node node = node_;
    node.inputs = std::move(inputs);
    if (scaled) {
      node.Unset("alpha");
      node.outputs[0] = graph_.AddValue(graph_.FreshName(graph_.value(result).name), type);
    }
    const ValueId made = node.outputs[0];
    LINNET_TRY(graph_.AddNode(std::move(node)).TakeStatus());
    if (!scaled) return Status();
    const ValueId factor = graph_.AddConstant(graph_.FreshName("alpha"), Tensor::Scalar(static_cast<double>(alpha)));
    return Add("Mul", {made, factor}, {}, type, result).TakeStatus();
  }

  Graph& graph_;
  Node node_;
  const int opset_;
};

bool IsFused(const Node& node) {
  if (node.domain != "com.microsoft") return false;
  for (std::string_view op : {"FusedConv", "NhwcFusedConv", "FusedGemm", "NhwcMaxPool", "QLinearConv"}) {
    if (node.op == op) return true;
  }
  return node.op == "FusedMatMul";
}

/// A file has the defaults of a node's attributes as if they had been given; that of RNN's activations is for two directions.
Status DropSecondDirection(Node& node) {
  LINNET_ASSIGN(std::string direction, node.String("direction", "forward"));
  LINNET_ASSIGN(std::vector<std::string> activations, node.Strings("activations"));
  if (direction != "bidirectional" && activations == std::vector<std::string>{"Tanh", "Tanh"}) node.Unset("activations");
  return Status();
}

}  // namespace

Status Unfuse(Graph& graph, int opset) {
  const NodeId count = graph.node_count();
  for (NodeId id = 0; id < count; ++id) {
    for (Graph* inner : Graph::Subgraphs(graph.node(id))) LINNET_TRY(Unfuse(*inner, opset));
    const Node& node = graph.node(id);
    if (node.Is("RNN")) LINNET_TRY(DropSecondDirection(graph.mutable_node(id)).At(node.Label(graph)));
    if (node.domain == "com.microsoft.nchwc") {
      return Unsupported(node.Label(graph), ": weights and images are in the layout of one processor; make the file at optimization level "
                         "extended, or without the optimizer NchwcTransformer");
    }
    if (!IsFused(node)) continue;
    const std::string label = node.Label(graph);
    if (node.outputs.size() != 1 || node.outputs[0] == kNoValue) {
      return InvalidModel(label, " has ", node.outputs.size(), " outputs where one is expected");
    }
    Node copy = node;
    graph.RemoveNode(id);
    LINNET_TRY(Unfuser(graph, std::move(copy), opset).Run().At(label));
  }
  return Status();
}

}  // namespace linnet::ort
