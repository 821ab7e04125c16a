// Raising a model's opset: nodes keep their meaning and are written as a newer version has it.
//
// Most operators of version 7 on mean the same in later versions, which only added types or attributes with defaults. The
// others are listed in kRules with what must be done; from where on a rule counts is `until`: a node below that version
// which goes to it or above is rewritten.
#include <algorithm>

#include "passes/pass.h"
#include "passes/patterns.h"
#include "quantize/prepare.h"

namespace linnet::quantize {
namespace {

/// The oldest ai.onnx that can be raised: before it, broadcasting had another meaning.
constexpr int kOldest = 7;

class Raiser {
 public:
  Raiser(Graph& graph, int opset) : graph_(graph), opset_(opset) {}

  Status Run() {
    const int count = graph_.node_count();  // what a rule adds is in the new version already
    for (NodeId id = 0; id < count; ++id) {
      if (!graph_.node(id).alive || !graph_.node(id).domain.empty()) continue;
      LINNET_TRY(Raise(id).At(graph_.node(id).Label(graph_)));
    }
    return Status();
  }

 private:
  struct Rule {
    const char* op;
    int until;
    Status (Raiser::*rewrite)(NodeId id);
  };

  Status Raise(NodeId id) {
    static constexpr Rule kRules[] = {
        {"Slice", 10, &Raiser::SliceInputs},
        {"TopK", 10, &Raiser::TopKInput},
        {"Upsample", 10, &Raiser::UpsampleToResize},
        {"Resize", 11, &Raiser::ResizeByScales},
        {"Clip", 11, &Raiser::ClipInputs},
        {"Pad", 11, &Raiser::PadInputs},
        {"Scatter", 11, &Raiser::ScatterElements},
        {"OneHot", 11, &Raiser::Refuse},
        {"Scan", 9, &Raiser::Refuse},
        {"Dropout", 12, &Raiser::DropoutInference},
        {"BatchNormalization", 9, &Raiser::Refuse},
        {"Softmax", 13, &Raiser::SoftmaxAlongAxis},
        {"LogSoftmax", 13, &Raiser::SoftmaxAlongAxis},
        {"Hardmax", 13, &Raiser::SoftmaxAlongAxis},
        {"Split", 13, &Raiser::SplitInput},
        {"Squeeze", 13, &Raiser::AxesInput},
        {"Unsqueeze", 13, &Raiser::AxesInput},
        {"ReduceSum", 13, &Raiser::AxesInput},
        {"Resize", 13, &Raiser::ResizeModes},
        {"RoiAlign", 16, &Raiser::RoiAlignMode},
        {"Split", 18, &Raiser::SplitCount},
        {"ReduceMean", 18, &Raiser::AxesInput},
        {"ReduceMax", 18, &Raiser::AxesInput},
        {"ReduceMin", 18, &Raiser::AxesInput},
        {"ReduceProd", 18, &Raiser::AxesInput},
        {"ReduceL1", 18, &Raiser::AxesInput},
        {"ReduceL2", 18, &Raiser::AxesInput},
        {"ReduceLogSum", 18, &Raiser::AxesInput},
        {"ReduceLogSumExp", 18, &Raiser::AxesInput},
        {"ReduceSumSquare", 18, &Raiser::AxesInput},
        {"DFT", 20, &Raiser::Refuse},
        {"GridSample", 20, &Raiser::GridSampleModes},
        {"GroupNormalization", 21, &Raiser::Refuse},
    };
    const int version = graph_.node(id).version;
    if (version < kOldest) return Unsupported("operators of version ", version, " are not rewritten in version ", opset_);
    const std::string op = graph_.node(id).op;
    for (const Rule& rule : kRules) {
      if (op == rule.op && version < rule.until && opset_ >= rule.until) LINNET_TRY((this->*rule.rewrite)(id));
    }
    if (graph_.node(id).alive) graph_.mutable_node(id).version = opset_;
    return Status();
  }

  Status Refuse(NodeId id) {
    return Unsupported("its meaning in version ", graph_.node(id).version, " is not rewritten in version ", opset_);
  }

  ValueId Constant(std::string_view hint, Tensor contents) { return graph_.AddConstant(graph_.FreshName(hint), std::move(contents)); }
  /// Makes the node have input `index`, leaving those before it out.
  void PutInput(NodeId id, size_t index, ValueId value) {
    while (graph_.node(id).inputs.size() < index) graph_.AddNodeInput(id, kNoValue);
    if (graph_.node(id).inputs.size() == index) {
      graph_.AddNodeInput(id, value);
    } else {
      graph_.SetInput(id, static_cast<int>(index), value);
    }
  }
  /// An attribute of integers becomes an input.
  Status IntsToInput(NodeId id, std::string_view attribute, size_t index) {
    if (!graph_.node(id).Has(attribute)) return Status();
    LINNET_ASSIGN(std::vector<int64_t> values, graph_.node(id).Ints(attribute));
    graph_.mutable_node(id).Unset(attribute);
    PutInput(id, index, Constant(attribute, Tensor::Ints(values)));
    return Status();
  }

  Status AxesInput(NodeId id) { return IntsToInput(id, "axes", 1); }
  Status SplitInput(NodeId id) { return IntsToInput(id, "split", 1); }
  Status SplitCount(NodeId id) {
    if (graph_.node(id).inputs.size() < 2) graph_.mutable_node(id).Set("num_outputs", static_cast<int64_t>(graph_.node(id).outputs.size()));
    return Status();
  }
  Status SliceInputs(NodeId id) {
    LINNET_TRY(IntsToInput(id, "starts", 1));
    LINNET_TRY(IntsToInput(id, "ends", 2));
    return IntsToInput(id, "axes", 3);
  }
  Status TopKInput(NodeId id) {
    LINNET_ASSIGN(int64_t k, graph_.node(id).Int("k", 0));
    graph_.mutable_node(id).Unset("k");
    PutInput(id, 1, Constant("k", Tensor::Ints(std::vector<int64_t>{k})));
    return Status();
  }

  Result<bool> IsFloatNode(NodeId id) const {
    const Type& type = graph_.value(graph_.node(id).inputs[0]).type;
    if (type.dtype != DType::kFloat) return Unsupported("only for float is it rewritten in version ", opset_);
    return true;
  }
  Status ClipInputs(NodeId id) {
    LINNET_TRY(IsFloatNode(id).TakeStatus());
    const char* const names[] = {"min", "max"};
    for (size_t i = 0; i < 2; ++i) {
      if (!graph_.node(id).Has(names[i])) continue;
      LINNET_ASSIGN(float bound, graph_.node(id).Float(names[i], 0));
      graph_.mutable_node(id).Unset(names[i]);
      PutInput(id, i + 1, Constant(names[i], Tensor::Scalar(bound)));
    }
    return Status();
  }
  Status PadInputs(NodeId id) {
    LINNET_TRY(IsFloatNode(id).TakeStatus());
    LINNET_ASSIGN(float value, graph_.node(id).Float("value", 0));
    graph_.mutable_node(id).Unset("value");
    LINNET_TRY(IntsToInput(id, "pads", 1));
    if (value != 0) PutInput(id, 2, Constant("value", Tensor::Scalar(value)));
    return Status();
  }
  Status DropoutInference(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.outputs.size() > 1 && node.outputs[1] != kNoValue && !graph_.value(node.outputs[1]).uses.empty()) return Refuse(id);
    graph_.mutable_node(id).Unset("ratio");
    return Status();
  }
  Status ScatterElements(NodeId id) {
    graph_.mutable_node(id).op = "ScatterElements";
    return Status();
  }

  Status UpsampleToResize(NodeId id) {
    if (graph_.node(id).version < 9) {
      LINNET_ASSIGN(std::vector<float> scales, graph_.node(id).Floats("scales"));
      graph_.mutable_node(id).Unset("scales");
      PutInput(id, 1, Constant("scales", Tensor::Of<float>(Shape{static_cast<int64_t>(scales.size())}, scales)));
    }
    graph_.mutable_node(id).op = "Resize";
    return ByScales(id, "floor");
  }
  /// "nearest" of Resize-10 rounds down where it enlarges, up where it shrinks.
  Status ResizeByScales(NodeId id) {
    const Tensor* scales = ConstantOf(graph_, graph_.node(id).inputs[1]);
    bool enlarges = false, shrinks = false;
    for (int64_t i = 0; scales && i < scales->elements(); ++i) {
      enlarges = enlarges || scales->as<float>()[i] > 1;
      shrinks = shrinks || scales->as<float>()[i] < 1;
    }
    LINNET_ASSIGN(std::string mode, graph_.node(id).String("mode", "nearest"));
    if (mode == "nearest" && (!scales || (enlarges && shrinks))) return Refuse(id);
    return ByScales(id, shrinks ? "ceil" : "floor");
  }
  /// Before version 11 a position in the result divided by the scale is one in the image.
  Status ByScales(NodeId id, const char* nearest_mode) {
    const ValueId scales = graph_.node(id).inputs[1];
    graph_.SetInput(id, 1, kNoValue);
    PutInput(id, 2, scales);
    const Result<std::string> mode = graph_.node(id).String("mode", "nearest");
    if (!mode.ok()) return mode.status().Clone();
    const bool nearest = mode.value() == "nearest";
    Node& node = graph_.mutable_node(id);
    if (mode.value() == "bilinear") node.Set("mode", std::string("linear"));
    node.Set("coordinate_transformation_mode", std::string("asymmetric"));
    if (nearest) node.Set("nearest_mode", std::string(nearest_mode));
    return Status();
  }
  Status ResizeModes(NodeId id) {
    LINNET_ASSIGN(std::string mode, graph_.node(id).String("coordinate_transformation_mode", "half_pixel"));
    return mode == "tf_half_pixel_for_nn" ? Refuse(id) : Status();
  }
  Status RoiAlignMode(NodeId id) {
    graph_.mutable_node(id).Set("coordinate_transformation_mode", std::string("output_half_pixel"));
    return Status();
  }
  Status GridSampleModes(NodeId id) {
    Result<std::string> mode = graph_.node(id).String("mode", "bilinear");
    if (!mode.ok()) return mode.TakeStatus();
    if (*mode == "bilinear") graph_.mutable_node(id).Set("mode", std::string("linear"));
    if (*mode == "bicubic") graph_.mutable_node(id).Set("mode", std::string("cubic"));
    return Status();
  }

  /// Before version 13 everything from `axis` on was one distribution.
  Status SoftmaxAlongAxis(NodeId id) {
    LINNET_ASSIGN(int64_t axis, graph_.node(id).Int("axis", 1));
    const ValueId x = graph_.node(id).inputs[0], y = graph_.node(id).outputs[0];
    const Type type = graph_.value(x).type;
    const int rank = type.shape.rank();
    if (rank < 0) return Refuse(id);
    LINNET_ASSIGN(int from, NormalizeAxis(axis, rank));
    bool alone = true;
    for (int d = from + 1; d < rank; ++d) alone = alone && type.shape[d] == 1;
    if (alone) {
      graph_.mutable_node(id).Set("axis", static_cast<int64_t>(from));
      return Status();
    }
    const Type flat = Type::Tensor(type.dtype, Shape::OfRank(2));
    LINNET_ASSIGN(ValueId shape, graph_.AddNode("Shape", "", opset_, {x}, {}, Type::Tensor(DType::kInt64, {rank}), "shape"));
    LINNET_ASSIGN(ValueId rows, graph_.AddNode("Flatten", "", opset_, {x}, {{"axis", static_cast<int64_t>(from)}}, flat, "rows"));
    LINNET_ASSIGN(ValueId soft, graph_.AddNode(graph_.node(id).op, "", opset_, {rows}, {{"axis", int64_t{1}}}, flat, "softmax"));
    Node reshape;
    reshape.op = "Reshape";
    reshape.version = opset_;
    reshape.name = graph_.node(id).name;
    reshape.inputs = {soft, shape};
    reshape.outputs = {y};
    return ReplaceNode(graph_, id, std::move(reshape));
  }

  Graph& graph_;
  const int opset_;
};

}  // namespace

int64_t IrVersionOf(int opset) { return opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : 7; }

Status RaiseOpset(OnnxModel* model, int opset) {
  int64_t now = 0;
  for (const auto& [domain, version] : model->info.opsets) {
    if (domain.empty()) now = version;
  }
  opset = std::max(opset, static_cast<int>(now));
  LINNET_TRY(ForEachGraph(model->graph, [&](Graph& graph) { return Raiser(graph, opset).Run(); }));
  std::erase_if(model->info.opsets, [](const auto& entry) { return entry.first.empty(); });
  model->info.opsets.insert(model->info.opsets.begin(), {"", opset});
  model->info.ir_version = std::max(model->info.ir_version, IrVersionOf(opset));
  return Status();
}

}  // namespace linnet::quantize
