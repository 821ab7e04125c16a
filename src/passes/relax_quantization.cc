// relax_quantization: between products, what QuantizeLinear makes 16 bits of and DequantizeLinear floats again stays floats.
//
//     Q → DQ, of 16 bits     becomes   Clip, to the range of the 16 bits
//
// Products of 16-bit integers would take longer than those of floats. What such a pair still does is to saturate; results move by half a
// step in 65,535, and 16 bits are chosen for being that fine. A graph's outputs keep their steps.
#include <algorithm>

#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

class Relaxer {
 public:
  Relaxer(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("QuantizeLinear")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  /// Replaces a QuantizeLinear to 16 bits and the DequantizeLinears behind it.
  Status Visit(NodeId id) {
    const Node quantize = graph_.node(id);
    const std::optional<ClipBounds> range = RangeOf16Bits(graph_, quantize);
    const std::vector<Use> readers = range ? graph_.value(quantize.outputs[0]).uses : std::vector<Use>();
    if (readers.empty() || !context_.table->Find("", "Clip", 13).ok()) return Status();
    const std::vector<ValueId>& outputs = graph_.outputs();
    for (const Use& use : readers) {
      if (std::find(outputs.begin(), outputs.end(), graph_.node(use.node).outputs[0]) != outputs.end()) return Status();   // the numbers were asked for
    }
    const ValueId out = graph_.node(readers[0].node).outputs[0];   // takes the place of all that the readers make
    ValueId from = quantize.inputs[0];
    const Node* maker = Producer(graph_, from);
    if (maker && maker->Is("Relu") && range->low >= 0) from = maker->inputs[0];   // the Clip does that, too
    std::vector<NodeId> gone;
    for (const Use& use : readers) {
      gone.push_back(use.node);
      const ValueId made = graph_.node(use.node).outputs[0];
      if (made != out) graph_.ReplaceUses(made, out);
    }
    for (NodeId reader : gone) graph_.RemoveNode(reader);
    graph_.RemoveNode(id);
    Node clip;
    clip.op = "Clip";
    clip.version = 13;
    clip.name = quantize.name;
    clip.inputs = {from};
    for (float bound : {range->low, range->high}) {
      clip.inputs.push_back(graph_.AddConstant(graph_.FreshName("bound"), Tensor::Of<float>(Shape(std::initializer_list<int64_t>{}), std::vector<float>{bound})));
    }
    clip.outputs = {out};
    return graph_.AddNode(std::move(clip)).TakeStatus();
  }

  Graph& graph_;
  const PassContext& context_;
};

}  // namespace

Status RelaxQuantization(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    if (!HasQuantization(each)) return Status();
    LINNET_TRY(Relaxer(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
