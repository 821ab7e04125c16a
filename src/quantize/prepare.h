// Making a float model ready for quantization: simplified, BatchNorm folded, and written in operators new enough.
#pragma once

#include "graph/graph.h"

namespace linnet::quantize {

/// The oldest opset that has quantized operators; those that first have DynamicQuantizeLinear, Clip of bytes, a scale for each
/// channel, and 16- and 4-bit integers and blocks.
inline constexpr int kOpsetLeast = 10;
inline constexpr int kOpsetDynamic = 11;
inline constexpr int kOpsetByteClip = 12;
inline constexpr int kOpsetPerChannel = 13;
inline constexpr int kOpsetSmallAndWide = 21;
/// The opset that first has bfloat16 convolutions and pools.
inline constexpr int kOpsetBfloat16 = 22;

/// Runs the passes that stay within ONNX's operators and then raises the model to `opset` where it is older, or (`exactly`) lowers it
/// where it is newer. Inputs with a default become constants. Types are inferred. Fails when the model has quantized parts already,
/// and when what an operator means cannot be said in that version.
Status Prepare(OnnxModel* model, int opset, bool exactly = false);

/// For static quantization: what is left of a BatchNormalization below convolutions, a Mul and an Add by a constant each channel, becomes
/// a convolution of each channel by itself, whose result is rounded once, and which has a scale for each.
Status MakeConvolutions(Graph* graph);

/// True when the graph has operators that quantize or compute with quantized numbers.
bool IsQuantized(const Graph& graph);

/// The IR version that came with an opset from 10 on, or a little later: readers refuse a model whose IR is older than its operators, or
/// newer than they know.
int64_t IrVersionOf(int opset);

/// Rewrites every node of ai.onnx in the version `opset`, subgraphs too. Part of Prepare.
Status RaiseOpset(OnnxModel* model, int opset);
/// The same for nodes that are newer; `opset` is 10 or above.
Status LowerOpset(OnnxModel* model, int opset);

}  // namespace linnet::quantize
