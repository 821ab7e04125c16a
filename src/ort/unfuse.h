// ONNX Runtime's fused operators back to ONNX's, which the passes fuse in their own way.
#pragma once

#include "graph/graph.h"

namespace linnet::ort {

/// In `graph` and its subgraphs, which import version `opset` of ai.onnx:
///   FusedConv, NhwcFusedConv   Conv, then Add of a fourth input, then the activation
///   FusedGemm                  Gemm, then the activation
///   NhwcMaxPool, QLinearConv   those of ai.onnx, between transpositions where channels are last
///   FusedMatMul                its transposed batches as transpositions, its alpha as Mul where it is of doubles
///   RNN                        without the default activations of a second direction it has not got
/// Fails for what is in the layout of one processor (domain com.microsoft.nchwc), and for attributes of these that mean something
/// else. Other operators stay; that one is unknown is for whoever looks it up to say.
Status Unfuse(Graph& graph, int opset);

}  // namespace linnet::ort
