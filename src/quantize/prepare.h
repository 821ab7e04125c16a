// Making a float model ready for quantization: simplified, BatchNorm folded, and written in operators new enough.
#pragma once

#include "graph/graph.h"

namespace linnet::quantize {

/// The opset that first has a scale for each channel, and the one that first has 16- and 4-bit integers and blocks.
inline constexpr int kOpsetPerChannel = 13;
inline constexpr int kOpsetSmallAndWide = 21;
/// The opset that first has bfloat16 convolutions and pools.
inline constexpr int kOpsetBfloat16 = 22;

/// Runs the passes that stay within ONNX's operators and then raises the model to `opset` where it is older. Inputs with a
/// default become constants. Types are inferred. Fails when the model has quantized parts already, and when an operator's
/// older meaning cannot be said in the newer version.
Status Prepare(OnnxModel* model, int opset);

/// True when the graph has operators that quantize or compute with quantized numbers.
bool IsQuantized(const Graph& graph);

/// Rewrites every node of ai.onnx in the version `opset`, subgraphs too. Part of Prepare.
Status RaiseOpset(OnnxModel* model, int opset);

}  // namespace linnet::quantize
