// Dynamic quantization:
//
//     A ── DynamicQuantizeLinear ──┬── integers, zero point ── MatMulInteger ── Cast ── Mul ── Y      B as integers, once
//                                  └── scale ── Mul (B's scales) ───────────────────────┘
//
// or, as operators of com.microsoft, DynamicQuantizeMatMul and DynamicQuantizeLSTM, which do all of that.
#include "quantize/dynamic.h"

#include <algorithm>
#include <map>

#include "passes/pass.h"
#include "passes/patterns.h"
#include "quantize/edit.h"
#include "quantize/scale.h"

namespace linnet::quantize {
namespace {

class DynamicRewriter {
 public:
  DynamicRewriter(Graph& graph, int opset, const DynamicOptions& options) : edit_(graph, opset), graph_(graph), options_(options) {}

  Result<int> Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    int changed = 0;
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!node.domain.empty() || !options_.selection.Takes(graph_, node)) continue;
      Result<bool> done = node.op == "MatMul" || node.op == "Gemm" ? Product(id)
                          : node.op == "Gather"                    ? edit_.QuantizeTable(id, options_.weights, options_.per_channel, true)
                          : node.op == "LSTM" && options_.format == Format::kQOperator ? Lstm(id)
                          : node.op == "LSTM" || node.op == "GRU" || node.op == "RNN" ? Recurrent(id)
                                                                                     : Result<bool>(false);
      if (!done.ok()) return done.TakeStatus().At(graph_.node(id).Label(graph_));
      changed += *done;
    }
    return changed;
  }

 private:
  struct Activation {
    ValueId integers, scale, zero;
  };

  Result<Activation> Quantized(ValueId x) {
    auto found = activations_.find(x);
    if (found != activations_.end()) return found->second;
    const std::string name = graph_.value(x).name;
    Node node;
    node.op = "DynamicQuantizeLinear";
    node.version = edit_.opset();
    node.name = graph_.FreshName(name + "_quantize");
    node.inputs = {x};
    Activation made{graph_.AddValue(graph_.FreshName(name + "_quantized"), Type::Tensor(DType::kUint8, graph_.value(x).type.shape)),
                    graph_.AddValue(graph_.FreshName(name + "_scale"), Type::Tensor(DType::kFloat, Shape::OfRank(0))),
                    graph_.AddValue(graph_.FreshName(name + "_zero"), Type::Tensor(DType::kUint8, Shape::OfRank(0)))};
    node.outputs = {made.integers, made.scale, made.zero};
    LINNET_TRY(graph_.AddNode(std::move(node)).TakeStatus());
    activations_[x] = made;
    return made;
  }

  Result<bool> Product(NodeId id) {
    const std::vector<ValueId> inputs = graph_.node(id).inputs;
    const Tensor* b = edit_.FloatConstant(inputs.size() > 1 ? inputs[1] : kNoValue);
    if (!b || b->shape().rank() < 2 || graph_.value(inputs[0]).type.dtype != DType::kFloat || graph_.is_constant(inputs[0])) return false;
    const bool gemm = graph_.node(id).op == "Gemm";
    Tensor w = *b;
    ValueId bias = kNoValue;
    if (gemm) {
      LINNET_ASSIGN(int64_t transposed_a, graph_.node(id).Int("transA", 0));
      LINNET_ASSIGN(int64_t transposed_b, graph_.node(id).Int("transB", 0));
      LINNET_ASSIGN(float alpha, graph_.node(id).Float("alpha", 1));
      LINNET_ASSIGN(float beta, graph_.node(id).Float("beta", 1));
      bias = inputs.size() > 2 ? inputs[2] : kNoValue;
      const Tensor* c = edit_.FloatConstant(bias);
      if (transposed_a != 0 || (bias != kNoValue && !c)) return false;
      LINNET_ASSIGN(w, ScaledAndTransposed(w, alpha, transposed_b != 0));
      if (c && beta != 1) {
        LINNET_ASSIGN(Tensor scaled, ScaledAndTransposed(c->Reshaped(Shape{1, c->elements()}), beta, false));
        bias = graph_.AddConstant(graph_.FreshName(graph_.value(bias).name), scaled.Reshaped(c->shape()));
      }
    }
    const int axis = options_.per_channel && w.shape().rank() == 2 ? 1 : -1;
    LINNET_ASSIGN(QuantizedTensor whole, QuantizeWeights(w, axis, options_.weights, true, options_.reduced_weights));
    if (options_.format == Format::kQOperator) {
      const Tensor* row = edit_.FloatConstant(bias);
      if (bias == kNoValue || (row && row->elements() == w.shape()[w.shape().rank() - 1])) return Operator(id, std::move(whole), bias);
    }
    LINNET_ASSIGN(Activation a, Quantized(inputs[0]));
    const std::string name = graph_.value(inputs[1]).name;
    const ValueId out = graph_.node(id).outputs[0];
    const Type type = graph_.value(out).type;
    const std::string node_name = graph_.node(id).name;
    std::vector<ValueId> operands = {a.integers, graph_.AddConstant(graph_.FreshName(name + "_quantized"), std::move(whole.integers)), a.zero};
    // A zero point that is 0 is left out.
    if (!IsSigned(options_.weights)) operands.push_back(graph_.AddConstant(graph_.FreshName(name + "_zero"), whole.params.ZeroTensor()));
    LINNET_ASSIGN(ValueId sums, edit_.Add("MatMulInteger", std::move(operands), {}, Type::Tensor(DType::kInt32, type.shape), node_name + "_integer"));
    const ValueId b_scale = graph_.AddConstant(graph_.FreshName(name + "_scale"), whole.params.ScaleTensor());
    LINNET_ASSIGN(ValueId scale, edit_.Add("Mul", {a.scale, b_scale}, {}, Type::Tensor(DType::kFloat, whole.params.ScaleTensor().shape()),
                                           node_name + "_scale"));
    LINNET_ASSIGN(ValueId floats, edit_.Add("Cast", {sums}, {{"to", static_cast<int64_t>(DType::kFloat)}}, type, node_name + "_cast"));
    graph_.RemoveNode(id);
    if (bias == kNoValue) {
      LINNET_TRY(edit_.AddFor("Mul", {floats, scale}, out, node_name));
      return true;
    }
    LINNET_ASSIGN(ValueId product, edit_.Add("Mul", {floats, scale}, {}, type, node_name + "_product"));
    LINNET_TRY(edit_.AddFor("Add", {product, bias}, out, node_name));
    return true;
  }

  Result<bool> Operator(NodeId id, QuantizedTensor whole, ValueId bias) {
    const std::vector<ValueId> inputs = graph_.node(id).inputs;
    const std::string name = ShortName(graph_.value(inputs[1]).name), node_name = graph_.node(id).name;
    auto constant = [&](const char* what, Tensor tensor) { return graph_.AddConstant(graph_.FreshName(name + what), std::move(tensor)); };
    std::vector<ValueId> operands = {inputs[0], constant("_quantized", std::move(whole.integers)), constant("_scale", whole.params.ScaleTensor()),
                                     IsSigned(options_.weights) ? kNoValue : constant("_zero", whole.params.ZeroTensor())};
    if (bias != kNoValue) {
      const Tensor& row = graph_.value(bias).constant;
      operands.push_back(row.shape().rank() == 1 ? bias : constant("_bias", row.Reshaped(Shape{row.elements()})));
    }
    while (operands.back() == kNoValue) operands.pop_back();
    const ValueId out = graph_.node(id).outputs[0];
    graph_.RemoveNode(id);
    LINNET_TRY(edit_.AddFor("DynamicQuantizeMatMul", std::move(operands), out, node_name, {}, "com.microsoft"));
    return true;
  }

  /// W and R of the operator lie transposed, a scale for each row of LSTM's in each direction.
  Result<bool> Lstm(NodeId id) {
    const std::vector<ValueId> inputs = graph_.node(id).inputs;
    LINNET_ASSIGN(int64_t layout, graph_.node(id).Int("layout", 0));
    const Tensor *w = edit_.FloatConstant(inputs[1]), *r = edit_.FloatConstant(inputs[2]);
    if (layout != 0 || !w || !r || w->shape().rank() != 3 || r->shape().rank() != 3) return Recurrent(id);
    std::vector<ValueId> operands = inputs;
    operands.resize(8, kNoValue);
    const Tensor weights[2] = {*w, *r};   // their places in the graph move when it grows
    for (int i = 1; i <= 2; ++i) {
      const Tensor& from = weights[i - 1];
      const int64_t directions = from.shape()[0], rows = from.shape()[1], depth = from.shape()[2];
      const std::string name = ShortName(graph_.value(inputs[static_cast<size_t>(i)]).name);
      LINNET_ASSIGN(Tensor codes, Tensor::Allocate(options_.weights, Shape{directions, depth, rows}));
      LINNET_ASSIGN(Tensor scales, Tensor::Allocate(DType::kFloat, Shape{directions, rows}));
      LINNET_ASSIGN(Tensor zeros, Tensor::Allocate(options_.weights, Shape{directions, rows}));
      for (int64_t d = 0; d < directions; ++d) {
        const Tensor one = Tensor::View(DType::kFloat, Shape{rows, depth}, from.as<std::byte>() + d * rows * depth * 4, from.owner());
        LINNET_ASSIGN(QuantizedTensor whole, QuantizeWeights(one, options_.per_channel ? 0 : -1, options_.weights, true, options_.reduced_weights));
        for (int64_t row = 0; row < rows; ++row) {
          const size_t at = options_.per_channel ? static_cast<size_t>(row) : 0;
          scales.mutable_as<float>()[d * rows + row] = whole.params.scales[at];
          zeros.mutable_as<uint8_t>()[d * rows + row] = static_cast<uint8_t>(whole.params.zeros[at]);
          for (int64_t k = 0; k < depth; ++k) codes.mutable_as<uint8_t>()[(d * depth + k) * rows + row] = whole.integers.as<uint8_t>()[row * depth + k];
        }
      }
      operands[static_cast<size_t>(i)] = graph_.AddConstant(graph_.FreshName(name + "_quantized"), std::move(codes));
      operands.push_back(graph_.AddConstant(graph_.FreshName(name + "_scale"), std::move(scales)));
      operands.push_back(graph_.AddConstant(graph_.FreshName(name + "_zero"), std::move(zeros)));
    }
    Node made = graph_.node(id);
    std::erase_if(made.attributes, [](const Attribute& attribute) { return attribute.name == "layout"; });
    made.op = "DynamicQuantizeLSTM";
    made.domain = "com.microsoft";
    made.version = 1;
    made.inputs = std::move(operands);
    graph_.RemoveNode(id);
    LINNET_TRY(graph_.AddNode(std::move(made)).TakeStatus());
    return true;
  }

  static Result<Tensor> ScaledAndTransposed(const Tensor& x, float factor, bool transpose) {
    const int64_t rows = x.shape()[0], columns = x.shape()[1];
    LINNET_ASSIGN(Tensor out, Tensor::Allocate(DType::kFloat, transpose ? Shape{columns, rows} : x.shape()));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        out.mutable_as<float>()[transpose ? c * rows + r : r * columns + c] = x.as<float>()[r * columns + c] * factor;
      }
    }
    return out;
  }

  Result<bool> Recurrent(NodeId id) {
    bool any = false;
    for (int i = 1; i <= 2; ++i) {
      const std::vector<ValueId>& inputs = graph_.node(id).inputs;
      const Tensor* w = edit_.FloatConstant(static_cast<size_t>(i) < inputs.size() ? inputs[static_cast<size_t>(i)] : kNoValue);
      if (!w || w->shape().rank() != 3) continue;
      LINNET_ASSIGN(QuantizedTensor whole, QuantizeWeights(*w, options_.per_channel && edit_.scales_by_axis() ? 1 : -1, options_.weights, true));
      LINNET_ASSIGN(ValueId read, edit_.Dequantized(graph_.value(inputs[static_cast<size_t>(i)]).name, std::move(whole)));
      graph_.SetInput(id, i, read);
      any = true;
    }
    return any;
  }

  Edit edit_;
  Graph& graph_;
  const DynamicOptions& options_;
  std::map<ValueId, Activation> activations_;
};

}  // namespace

Result<int> QuantizeDynamic(OnnxModel* model, const DynamicOptions& options) {
  LINNET_TRY(options.selection.Check(model->graph));
  int changed = 0;
  LINNET_TRY(ForEachGraph(model->graph, [&](Graph& each) -> Status {
    LINNET_ASSIGN(int here, DynamicRewriter(each, OpsetOf(*model), options).Run());
    changed += here;
    return Status();
  }));
  if (changed == 0) return InvalidArgument("the model has no product with a constant matrix, no table and no recurrent operator");
  LINNET_ASSIGN(model->graph, model->graph.Compacted());
  return changed;
}

}  // namespace linnet::quantize
