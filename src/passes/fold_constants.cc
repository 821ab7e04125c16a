// fold_constants: computes nodes whose inputs are constants, bounded so that a small file cannot become a huge model.
//
// Quantized weights stay as they are until passes on integers have taken what they can use (fold_dequantized).
#include <algorithm>

#include "ops/any_address.h"
#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

/// A result may be this large, or as large as its inputs were (a transposed weight), whichever is more ...
constexpr int64_t kResultBytesMax = 1 << 20;
/// ... and all results that exceed their inputs together this large.
constexpr int64_t kGrowthBytesMax = 64 << 20;

class Folder {
 public:
  Folder(Graph& graph, const PassContext& context, bool dequantize, int64_t* growth)
      : graph_(graph), context_(context), dequantize_(dequantize), growth_(growth) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) LINNET_TRY(TryFold(id));
    return Status();
  }

 private:
  Status TryFold(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.Is("DequantizeLinear") && !dequantize_) return Status();
    if (!node.captures.empty() || !Graph::Subgraphs(node).empty() || node.outputs.empty()) return Status();
    LINNET_ASSIGN(const OpDef* def, context_.table->Find(node.domain, node.op, node.version));
    if (!def->run || def->random) return Status();
    std::vector<Datum> inputs;
    int64_t input_bytes = 0;
    for (ValueId input : node.inputs) {
      inputs.emplace_back();
      if (input == kNoValue) continue;
      const Value& value = graph_.value(input);
      if (value.is_constant && !graph_.is_input(input)) {
        inputs.back() = Datum::Of(value.constant);
        input_bytes += value.constant.bytes();
      } else if (def->shape_only && value.type.is_tensor() && value.type.shape.is_static()) {
        inputs.back().type = value.type;
        inputs.back().tensor = Tensor::View(value.type.dtype, value.type.shape, nullptr);
      } else {
        return Status();
      }
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      Tensor& tensor = inputs[i].tensor;
      if (!tensor.has_data() || IsAligned(tensor) || AddressUseOf(node, static_cast<int>(i)) == AddressUse::kAny) continue;
      LINNET_ASSIGN(tensor, AlignedCopy(tensor, context_.budget));
    }
    int64_t limit = node.Is("DequantizeLinear") ? kGrowthBytesMax : std::max(kResultBytesMax, input_bytes);
    Result<std::vector<Datum>> outputs = Evaluate(*context_.table, node, inputs, context_.budget, limit);
    // What cannot be computed now is left where a run reports it with its place in the model.
    if (!outputs.ok()) return Status();
    int64_t output_bytes = 0;
    for (const Datum& output : *outputs) {
      if (output.type.kind != Kind::kUnknown && !output.type.is_tensor()) return Status();
      output_bytes += output.tensor.bytes();
    }
    int64_t growth = std::max<int64_t>(output_bytes - input_bytes, 0);
    if (*growth_ + growth > kGrowthBytesMax) return Status();
    *growth_ += growth;
    std::vector<ValueId> results = node.outputs;
    std::vector<ValueId> sources = node.inputs;
    graph_.RemoveNode(id);
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i] != kNoValue) graph_.SetConstant(results[i], (*outputs)[i].tensor);
    }
    for (ValueId source : sources) {
      if (source == kNoValue || !graph_.value(source).uses.empty() || !graph_.is_constant(source)) continue;
      graph_.value(source).constant.LetPagesGo();
      graph_.ClearConstant(source);
    }
    return Status();
  }

  Graph& graph_;
  const PassContext& context_;
  bool dequantize_;
  int64_t* growth_;
};

Status Fold(Graph& graph, const PassContext& context, bool dequantize) {
  int64_t growth = 0;
  return ForEachGraph(graph, [&](Graph& g) {
    return dequantize && !HasQuantization(g) ? Status() : Folder(g, context, dequantize, &growth).Run();
  });
}

}  // namespace

Status FoldConstants(Graph& graph, const PassContext& context) { return Fold(graph, context, false); }

Status FoldDequantized(Graph& graph, const PassContext& context) { return Fold(graph, context, true); }

}  // namespace linnet
