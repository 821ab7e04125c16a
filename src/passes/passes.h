// The built-in passes, one file each.
#pragma once

#include "passes/pass.h"

namespace linnet {

Status Lower(Graph& graph, const PassContext& context);
Status RemoveDeadCode(Graph& graph, const PassContext& context);
Status FoldConstants(Graph& graph, const PassContext& context);
Status FollowShapes(Graph& graph, const PassContext& context);
Status Simplify(Graph& graph, const PassContext& context);
Status MergeCommonSubexpressions(Graph& graph, const PassContext& context);
Status MoveQuantization(Graph& graph, const PassContext& context);
Status FuseIntegerTables(Graph& graph, const PassContext& context);
Status FoldPads(Graph& graph, const PassContext& context);
Status TurnTransposed(Graph& graph, const PassContext& context);
Status FuseIntegerProducts(Graph& graph, const PassContext& context);
Status FuseInteger(Graph& graph, const PassContext& context);
Status FuseBlockWeights(Graph& graph, const PassContext& context);
Status FuseRecurrentWeights(Graph& graph, const PassContext& context);
Status FoldDequantized(Graph& graph, const PassContext& context);
Status FoldBatchNorm(Graph& graph, const PassContext& context);
Status FoldIntegerBatchNorm(Graph& graph, const PassContext& context);
Status RecognizeActivations(Graph& graph, const PassContext& context);
Status RecognizeShuffles(Graph& graph, const PassContext& context);
Status RecognizeNormalization(Graph& graph, const PassContext& context);
/// The same, of operators that `opset` has: true when there were some.
Result<bool> FindNormalizations(Graph& graph, const PassContext& context, int opset);
Status FuseAttention(Graph& graph, const PassContext& context);
Status FuseIntegerMatMul(Graph& graph, const PassContext& context);
Status Resolve(Graph& graph, const PassContext& context);
Status MoveLayouts(Graph& graph, const PassContext& context);
Status FuseEpilogues(Graph& graph, const PassContext& context);
Status FuseActivationTables(Graph& graph, const PassContext& context);
Status FuseLogSoftmax(Graph& graph, const PassContext& context);
Status FuseConvBlocks(Graph& graph, const PassContext& context);
Status FuseConvPools(Graph& graph, const PassContext& context);
Status FuseConcats(Graph& graph, const PassContext& context);
Status FuseChannelScales(Graph& graph, const PassContext& context);
Status FusePointwise(Graph& graph, const PassContext& context);
Status MoveLayoutEdges(Graph& graph, const PassContext& context);
Status ReducePrecision(Graph& graph, const PassContext& context);

}  // namespace linnet
