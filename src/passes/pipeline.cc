// The recipe: which passes run, in which order.
#include "graph/verify.h"
#include "passes/passes.h"

namespace linnet {
namespace {

/// A number that changes when a graph or one of its subgraphs is edited.
uint64_t EditsOf(const Graph& graph) {
  uint64_t edits = graph.edits();
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    for (const Graph* inner : Graph::Subgraphs(graph.node(id))) edits = edits * 1000003 + EditsOf(*inner);
  }
  return edits;
}

bool HasSubgraphs(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).attributes.empty() && !Graph::Subgraphs(graph.node(id)).empty()) return true;
  }
  return false;
}

/// True when a node has been removed, here or in a subgraph.
bool HasTombstones(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) return true;
    for (const Graph* inner : Graph::Subgraphs(node)) {
      if (HasTombstones(*inner)) return true;
    }
  }
  return false;
}

}  // namespace

const std::vector<Pass>& BuiltInPasses() {
  static const std::vector<Pass> passes = {
      {"lower", "makes ONNX's operators of com.microsoft's fused ones", Lower, kOptimizeNothing, false},
      {"dead_code", "removes nodes whose outputs nobody reads", RemoveDeadCode, kOptimizeBasic},
      {"fold_constants", "computes nodes whose inputs are constants", FoldConstants, kOptimizeBasic},
      {"shape_arithmetic", "writes down the targets of Reshapes that are computed from dimensions", FollowShapes, kOptimizeBasic},
      {"simplify", "removes nodes that change nothing and merges neighbours that move data twice", Simplify, kOptimizeBasic},
      {"common_subexpressions", "makes nodes that compute the same thing one", MergeCommonSubexpressions, kOptimizeBasic},
      {"move_quantization", "brings QuantizeLinear and DequantizeLinear next to what computes", MoveQuantization, kOptimizeAll, false},
      {"fold_integer_batch_norm", "folds BatchNormalization and per-channel Mul and Add into weights of bytes", FoldIntegerBatchNorm, kOptimizeAll, false},
      {"turn_transposed", "makes convolutions of transposed ones of bytes", TurnTransposed, kOptimizeAll, false},
      {"fuse_integer", "makes integer operators of what lies between DequantizeLinear and QuantizeLinear", FuseInteger, kOptimizeAll, false},
      {"fuse_integer_tables", "makes tables of functions between DequantizeLinear and QuantizeLinear", FuseIntegerTables, kOptimizeAll, false},
      {"fuse_integer_products", "makes integer products of those whose operands are dequantized and whose results stay real", FuseIntegerProducts, kOptimizeAll, false},
      {"fold_pads", "makes pads of convolutions and averages of the Pads before them", FoldPads, kOptimizeAll},
      {"fuse_block_weights", "makes one node of a product and the dequantization of its weights in blocks", FuseBlockWeights, kOptimizeAll, false},
      {"fuse_recurrent_weights", "lets LSTM, GRU and RNN read weights as the bytes that they are dequantized from", FuseRecurrentWeights, kOptimizeAll, false},
      {"fold_dequantized", "computes weights that are still to be dequantized", FoldDequantized, kOptimizeBasic, false},
      {"fold_batch_norm", "folds BatchNormalization and per-channel Mul and Add into convolutions", FoldBatchNorm, kOptimizeAll},
      {"recognize_activations", "finds Swish, HardSwish, Gelu and Mish in their formulas", RecognizeActivations, kOptimizeAll, false},
      {"recognize_normalization", "finds LayerNormalization and RMSNormalization in their formulas", RecognizeNormalization, kOptimizeAll, false},
      {"recognize_shuffles", "finds shuffles of channels in their Reshapes and Transposes", RecognizeShuffles, kOptimizeAll, false},
      {"fuse_attention", "makes one node of attention's products, scale, mask and Softmax", FuseAttention, kOptimizeAll, false},
      {"fuse_integer_matmul", "makes one node of an 8-bit matrix product, its conversion to float and its scales", FuseIntegerMatMul, kOptimizeAll, false},
      {"resolve", "lowers ONNX's image operators to channels-last operators", Resolve, kOptimizeNothing, false},
      {"layout", "moves and cancels the transposes around channels-last operators", MoveLayouts, kOptimizeAll, false},
      {"fuse_epilogues", "fuses bias, residual and activation into convolutions and matrix products", FuseEpilogues, kOptimizeAll, false},
      {"fuse_activation_tables", "makes one node of an 8-bit product, its activation and the rounding to bytes", FuseActivationTables, kOptimizeAll, false},
      {"fuse_log_softmax", "makes LogSoftmax part of the 8-bit product before it", FuseLogSoftmax, kOptimizeAll, false},
      {"fuse_conv_blocks", "makes one node of expand, depthwise and project convolutions where their images are big", FuseConvBlocks, kOptimizeAll, false},
      {"fuse_conv_pools", "makes one node of a first convolution and the MaxPool behind it where the image between them is big", FuseConvPools, kOptimizeAll, false},
      {"fuse_concats", "lets convolutions write into the tensor that a Concat would make of their outputs", FuseConcats, kOptimizeAll, false},
      {"fuse_channel_scales", "multiplies the weights of a 1x1 convolution instead of its image's channels", FuseChannelScales, kOptimizeAll, false},
      {"layout_edges", "lets first convolutions read channels first and last resizes write them", MoveLayoutEdges, kOptimizeAll, false},
      {"fuse_pointwise", "makes one node of elementwise operators that feed each other", FusePointwise, kOptimizeAll, false},
      {"reduce_precision", "marks products that run on operands of 16 bits, where such a precision is asked for", ReducePrecision, kOptimizeNothing, false},
      {"final_dead_code", "removes what the passes before left unread", RemoveDeadCode, kOptimizeBasic},
  };
  return passes;
}

Status RunPipeline(Graph& graph, const PassContext& context, const PipelineOptions& options) {
  auto known = [&](const std::string& name) {
    for (const Pass& pass : BuiltInPasses()) {
      if (name == pass.name) return true;
    }
    for (const CustomPass& pass : options.custom) {
      if (name == pass.name) return true;
    }
    return name.empty();
  };
  for (const std::string& name : options.disabled) {
    if (!known(name)) return InvalidArgument("there is no pass ", Quote(name));
  }
  if (!known(options.stop_after)) return InvalidArgument("there is no pass ", Quote(options.stop_after));

  auto disabled = [&](std::string_view name) {
    for (const std::string& other : options.disabled) {
      if (name == other) return true;
    }
    return false;
  };
  // Looking for subgraphs takes a walk over all nodes; the built-in passes make none.
  bool nested = HasSubgraphs(graph);
  auto edits_now = [&] { return nested ? EditsOf(graph) : graph.edits(); };
  auto run = [&](const Pass& pass) -> Status {
    if (pass.level > options.level) return Status();
    if (options.plain_onnx && !pass.plain) return Status();
    if (pass.level > kOptimizeNothing && disabled(pass.name)) return Status();
    const uint64_t edits = edits_now();
    Status status = pass.run(graph, context);
    if (status.ok() && edits_now() != edits) status = ListMissing(InferTypes(graph, context), graph, *context.table);
    if (status.ok() && options.watch) options.watch(options.watch_user, graph);
    return std::move(status).At(Cat("pass ", pass.name));
  };
  auto run_custom = [&](const CustomPass& pass) -> Status {
    if (disabled(pass.name)) return Status();
    Status status = pass.run(pass.user, graph, context);
    if (status.ok()) status = Verify(graph);
    if (status.ok()) status = InferTypes(graph, context);
    nested = HasSubgraphs(graph);
    return std::move(status).At(Cat("pass ", Quote(pass.name)));
  };

  LINNET_TRY(ListMissing(InferTypes(graph, context), graph, *context.table));
  if (options.watch) options.watch(options.watch_user, graph);
  for (const Pass& pass : BuiltInPasses()) {
    // Behind the last simplification the graph is as small as it gets and still in ONNX's operators.
    if (pass.run == MoveQuantization) {
      for (const CustomPass& custom : options.custom) {
        LINNET_TRY(run_custom(custom));
        if (options.stop_after == custom.name) return Status();
      }
    }
    LINNET_TRY(run(pass));
    if (options.stop_after == pass.name) break;
  }
  if (HasTombstones(graph)) {
    LINNET_ASSIGN(graph, graph.Compacted());
  }
  return Status();
}

}  // namespace linnet
