// Half precision: nodes that can compute in 16 bits do, Casts stand where they meet the others.
#include <math.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/float_types.h"
#include "passes/pass.h"
#include "passes/patterns.h"
#include "quantize/dynamic.h"
#include "quantize/edit.h"

namespace linnet::quantize {
namespace {

/// Operators whose float inputs and outputs may all be float16, and from which version all may be bfloat16 (0: never).
struct HalfRow {
  const char* op;
  int bfloat16_since;
};
constexpr HalfRow kHalf[] = {
    {"Conv", 22},       {"ConvTranspose", 22}, {"Gemm", 13},        {"MatMul", 13},      {"Add", 13},           {"Sub", 13},
    {"Mul", 13},        {"Div", 13},           {"Relu", 13},        {"Clip", 13},        {"LeakyRelu", 16},     {"Sigmoid", 13},
    {"Tanh", 13},       {"HardSigmoid", 22},   {"HardSwish", 22},   {"Softmax", 13},     {"MaxPool", 22},       {"AveragePool", 22},
    {"Concat", 13},     {"Reshape", 13},       {"Transpose", 13},   {"Flatten", 13},     {"Squeeze", 13},       {"Unsqueeze", 13},
    {"Slice", 13},      {"Split", 13},         {"Gather", 13},      {"Expand", 13},      {"Tile", 13},          {"Identity", 13},
    {"Pad", 13},        {"Sqrt", 13},          {"Exp", 13},         {"Log", 13},         {"Erf", 13},           {"Neg", 13},
    {"Abs", 13},        {"ReduceMean", 13},    {"ReduceSum", 13},   {"ReduceMax", 13},   {"DepthToSpace", 13},  {"SpaceToDepth", 13},
    {"LSTM", 22},       {"GRU", 22},           {"RNN", 22},
    {"Where", 16},      {"Elu", 22},           {"PRelu", 16},       {"GlobalAveragePool", 22}, {"LayerNormalization", 17}, {"Pow", 13},
};

class HalfRewriter {
 public:
  HalfRewriter(Graph& graph, int opset, const HalfOptions& options) : edit_(graph, opset), graph_(graph), options_(options) {}

  /// By node: kFloat where it stays.
  NodePrecisions Choose() {
    Look();
    NodePrecisions out;
    for (NodeId id = 0; id < graph_.node_count(); ++id) out.push_back(Takes(graph_.node(id)) ? Precision::kInt8 : Precision::kFloat);
    return out;
  }

  /// `nodes`: null, or what stays in float besides.
  Result<int> Run(const NodePrecisions* nodes) {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    Look();
    int changed = 0;
    for (NodeId id : order) {
      if (!Takes(graph_.node(id)) || (nodes && (*nodes)[static_cast<size_t>(id)] == Precision::kFloat)) {
        LINNET_TRY(ReadFloats(id));
        continue;
      }
      LINNET_TRY(Narrow(id).At(graph_.node(id).Label(graph_)));
      ++changed;
    }
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      const ValueId out = graph_.outputs()[i];
      if (!narrow_.contains(out)) continue;
      LINNET_ASSIGN(ValueId wide, Wide(out));
      std::string name = graph_.value(out).name;
      graph_.SetOutput(static_cast<int>(i), wide);
      graph_.Rename(out, graph_.FreshName(name));
      graph_.Rename(wide, std::move(name));
    }
    return changed;
  }

 private:
  void Look() {
    for (ValueId id = 0; id < graph_.value_count(); ++id) original_.push_back(graph_.value(id).type);
    // A body reads outer values under their own names: those stay float.
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      if (graph_.node(id).alive) captured_.insert(graph_.node(id).captures.begin(), graph_.node(id).captures.end());
    }
  }
  bool IsFloat(ValueId id) const {
    return id != kNoValue && static_cast<size_t>(id) < original_.size() && original_[static_cast<size_t>(id)].is_tensor() &&
           original_[static_cast<size_t>(id)].dtype == DType::kFloat;
  }
  /// Beyond float16's range, or all of it so small that float16 has few bits left for it or none.
  bool Fits(const Tensor& tensor) const {
    if (options_.to != DType::kFloat16) return true;
    float most = 0;
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const float value = fabsf(tensor.as<float>()[i]);
      if (isfinite(value)) most = std::max(most, value);
    }
    return most == 0 || (most <= 65504.0f && most >= 0x1p-14f);
  }
  bool Takes(const Node& node) const {
    if (!node.domain.empty() || !node.captures.empty() || !options_.keep.Takes(graph_, node)) return false;
    const auto* row = std::find_if(std::begin(kHalf), std::end(kHalf), [&](const HalfRow& r) { return node.op == r.op; });
    if (row == std::end(kHalf)) return false;
    for (ValueId out : node.outputs) {
      if (captured_.contains(out)) return false;
    }
    if (options_.to == DType::kBfloat16 && edit_.opset() < row->bfloat16_since) return false;
    bool any = false;
    for (ValueId in : node.inputs) {
      any = any || IsFloat(in);
      if (const Tensor* constant = edit_.FloatConstant(in); constant && !Fits(*constant)) return false;
    }
    return any;
  }

  /// `id`, which is float, in 16 bits.
  Result<ValueId> NarrowRead(ValueId id) {
    if (narrow_.contains(id)) return id;
    auto [place, is_new] = narrowed_.try_emplace(id, kNoValue);
    if (!is_new) return place->second;
    if (const Tensor* constant = edit_.FloatConstant(id)) {
      LINNET_ASSIGN(Tensor out, Tensor::Allocate(options_.to, constant->shape()));
      for (int64_t i = 0; i < constant->elements(); ++i) {
        const float value = constant->as<float>()[i];
        if (options_.to == DType::kFloat16) {
          out.mutable_as<Float16>()[i] = ToFloat16(value);
        } else {
          out.mutable_as<Bfloat16>()[i] = ToBfloat16(value);
        }
      }
      return place->second = graph_.AddConstant(graph_.FreshName(graph_.value(id).name + "_half"), std::move(out));
    }
    LINNET_ASSIGN(place->second, edit_.Add("Cast", {id}, {{"to", static_cast<int64_t>(options_.to)}},
                                           Type::Tensor(options_.to, original_[static_cast<size_t>(id)].shape), graph_.value(id).name + "_half"));
    return place->second;
  }
  /// `id`, which has become 16 bits, as float again.
  Result<ValueId> Wide(ValueId id) {
    auto [place, is_new] = widened_.try_emplace(id, kNoValue);
    if (!is_new) return place->second;
    LINNET_ASSIGN(place->second, edit_.Add("Cast", {id}, {{"to", static_cast<int64_t>(DType::kFloat)}}, original_[static_cast<size_t>(id)],
                                           graph_.value(id).name + "_float"));
    return place->second;
  }

  Status ReadFloats(NodeId id) {
    for (size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
      const ValueId in = graph_.node(id).inputs[i];
      if (in == kNoValue || !narrow_.contains(in)) continue;
      LINNET_ASSIGN(ValueId wide, Wide(in));
      graph_.SetInput(id, static_cast<int>(i), wide);
    }
    return Status();
  }

  Status Narrow(NodeId id) {
    for (size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
      const ValueId in = graph_.node(id).inputs[i];
      if (!IsFloat(in) && !narrow_.contains(in)) continue;
      LINNET_ASSIGN(ValueId read, NarrowRead(in));
      if (read != in) graph_.SetInput(id, static_cast<int>(i), read);
    }
    for (ValueId out : graph_.node(id).outputs) {
      if (!IsFloat(out)) continue;
      narrow_.insert({out, true});
      graph_.SetType(out, Type::Tensor(options_.to, original_[static_cast<size_t>(out)].shape));
    }
    return Status();
  }

  Edit edit_;
  Graph& graph_;
  const HalfOptions& options_;
  std::vector<Type> original_;
  std::set<ValueId> captured_;
  std::map<ValueId, bool> narrow_;         ///< values that are 16 bits now
  std::map<ValueId, ValueId> narrowed_, widened_;
};

}  // namespace

NodePrecisions ChooseHalfNodes(OnnxModel* model, const HalfOptions& options) {
  return HalfRewriter(model->graph, OpsetOf(*model), options).Choose();
}

Result<int> ConvertToHalf(OnnxModel* model, const HalfOptions& options, const NodePrecisions* nodes) {
  LINNET_TRY(options.keep.Check(model->graph));
  int changed = 0;
  LINNET_TRY(ForEachGraph(model->graph, [&](Graph& each) -> Status {
    LINNET_ASSIGN(int here, HalfRewriter(each, OpsetOf(*model), options).Run(&each == &model->graph ? nodes : nullptr));
    changed += here;
    return Status();
  }));
  if (changed == 0 && !nodes) return InvalidArgument("the model has no operator that computes in ", DTypeName(options.to));
  LINNET_ASSIGN(model->graph, model->graph.Compacted());
  PassContext context;
  context.table = &OpTable::BuiltIn();
  LINNET_TRY(InferTypes(model->graph, context));
  return changed;
}

}  // namespace linnet::quantize
