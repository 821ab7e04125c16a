// Quantization without data: dynamic integers, integer weights alone, and half precision.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "quantize/block_rounding.h"
#include "quantize/format.h"
#include "quantize/plan.h"

namespace linnet::quantize {

/// Which nodes: as StaticOptions has them.
struct Selection {
  std::vector<std::string> include, exclude;
  /// Fails naming an entry that matches no node of `graph`.
  Status Check(const Graph& graph) const;
  bool Takes(const Graph& graph, const Node& node) const;
};

struct DynamicOptions {
  DType weights = DType::kInt8;   ///< int8 or uint8
  bool per_channel = true;
  bool reduced_weights = false;   ///< of what is multiplied as integers: as StaticOptions has it
  Format format = Format::kQdq;
  Selection selection;
};

/// Products with constant matrices become DynamicQuantizeLinear, MatMulInteger, Cast and Mul: the activations' ranges are
/// found when the model runs, in bodies of If, Loop and Scan too. Tables that Gather picks rows from become integers with a scale a column, dequantized behind it;
/// weights of LSTM, GRU and RNN integers behind DequantizeLinear. kQOperator: products become com.microsoft's
/// DynamicQuantizeMatMul and LSTMs DynamicQuantizeLSTM. Gives the number of nodes changed; fails when there is none.
Result<int> QuantizeDynamic(OnnxModel* model, const DynamicOptions& options);

struct WeightOptions {
  DType weights = DType::kInt4;   ///< int4, uint4, int8 or uint8
  int block_size = 32;            ///< rows of a matrix that share a scale: 4 bits, and the products of kQOperator
  BlockRounding rounding = BlockRounding::kSquares;   ///< of blocks
  bool per_channel = true, symmetric = true;          ///< of 8 bits that are not in blocks
  Format format = Format::kQdq;
  Selection selection;
};

/// Weights become integers, in bodies of If, Loop and Scan too; everything is computed in float. kQdq: behind DequantizeLinear, 8 bits for convolutions, products
/// and recurrent operators, with a scale a channel; 4 bits for products, with a scale a block (opset 21). kQOperator: products
/// become com.microsoft's MatMulNBits, 4 or 8 bits with a scale a block, unsigned weights with zero points, which half-quadratic
/// rounding makes real numbers where they have 4 bits; 8-bit weights of the other operators as before. Tables that Gather picks rows from as
/// QuantizeDynamic has them, with 8 bits always. Gives the number of nodes changed; fails when there is none.
Result<int> QuantizeWeightsOnly(OnnxModel* model, const WeightOptions& options);

struct HalfOptions {
  DType to = DType::kFloat16;     ///< or kBfloat16
  Selection keep;                 ///< `exclude` stays in float
};

/// Converts the model's inner floats to 16 bits, in bodies of If, Loop and Scan too; inputs and outputs keep their types behind Casts.
/// Operators that do not take such numbers, nodes with subgraphs and what makes values that these capture, and nodes with a constant beyond
/// 65504 or with none from 2^-14 on (float16) stay in float, and so do those that are kFloat in `nodes` (of the model's own graph). Gives the
/// number of nodes changed; fails when there is none and `nodes` is null.
Result<int> ConvertToHalf(OnnxModel* model, const HalfOptions& options, const NodePrecisions* nodes = nullptr);

/// By node of the model's own graph: kFloat for what ConvertToHalf leaves in float.
NodePrecisions ChooseHalfNodes(OnnxModel* model, const HalfOptions& options);

}  // namespace linnet::quantize
