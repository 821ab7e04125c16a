// Which nodes of a float graph become integer operators, and which values must be observed for that.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "quantize/format.h"
#include "quantize/scale.h"

namespace linnet::quantize {

/// kWeights: the weights alone are integers, of 8 bits; the node computes in float.
enum class Precision : uint8_t { kFloat, kWeights, kInt8, kInt16 };

/// How an operator takes part in a quantized graph.
enum class Role : uint8_t {
  kNone,        ///< computed in float
  kMatrix,      ///< a convolution or matrix product
  kPair,        ///< Add, Mul
  kConcat,
  kMove,        ///< its outputs hold its input's numbers: one range for all of them
  kActivation,  ///< Relu and Clip
  kTable,       ///< Gather of rows of a constant matrix, which become integers and real numbers behind it
  kRecurrent,   ///< LSTM, GRU and RNN, of which the weights become integers and nothing else
  kUnary,       ///< any other with one input, ranges of their own
};
/// The role of a node in `graph`, by its operator, attributes and types.
Role RoleOf(const Graph& graph, const Node& node);
/// Those whose activations are no integers.
inline bool ByWeights(Role role) { return role == Role::kTable || role == Role::kRecurrent; }

/// What is asked for one tensor or node by name, against the options for all. Of a node: type and range are its results', symmetric
/// and per_channel its weights'. Of an activation: type, range, symmetric; of a constant: type, symmetric, per_channel.
struct Override {
  std::optional<DType> type;      ///< 8 or 16 bits; of constants 8
  std::optional<Range> range;
  std::optional<bool> symmetric, per_channel;
  bool exclude = false;           ///< the node, or the one that makes the tensor, stays in float
};

struct StaticOptions {
  DType activations = DType::kUint8;
  DType weights = DType::kInt8;
  bool per_channel = true;
  bool symmetric_activations = false;
  bool symmetric_weights = true;
  bool reduced_weights = false;       ///< 7 of their 8 bits: sums of two products fit 16 bits, which other runtimes' kernels may saturate
  Format format = Format::kQdq;
  std::vector<std::string> include;   ///< names of nodes, operator types or names of outputs; empty: what pays
  std::vector<std::string> exclude;
  std::map<std::string, Override> overrides;
};

/// By node id: what precision it gets.
using NodePrecisions = std::vector<Precision>;
inline int64_t CountQuantized(const NodePrecisions& nodes) { return static_cast<int64_t>(nodes.size()) - std::count(nodes.begin(), nodes.end(), Precision::kFloat); }

/// Convolutions and matrix products with constant weights, products of two activations, and what lies between such
/// nodes, tables, and recurrent operators with constant weights; everything else before the first and behind the last stays in float. Fails when include, exclude or overrides name nothing, and
/// when there is nothing to quantize.
Result<NodePrecisions> ChooseNodes(const Graph& graph, const StaticOptions& options);

/// Inputs of `node` that hold activations: neither weights and biases nor shapes.
std::vector<ValueId> ActivationsOf(const Graph& graph, const Node& node);

/// Values whose ranges QuantizeStatic may ask for, whatever of `nodes` is quantized in the end. No constants.
std::vector<ValueId> ValuesToObserve(const Graph& graph, const NodePrecisions& nodes);

/// Ranges by value name.
using RangeTable = std::map<std::string, Range>;

/// Rewrites the prepared `model`: QuantizeLinear and DequantizeLinear around the nodes that are kInt8 or kInt16, weights (of kWeights too) as
/// integers, biases as int32. Activations behind a convolution or matrix product come before its result is rounded (see
/// region.h); a result that no quantized node reads is not rounded at all. Values keep their names; Relu and Clip go where
/// saturation does their work. With kQOperator products round their results at once, and the graph is then written in
/// operators on integers (qoperator.h). Raises the opset where 16 bits need it. Fails naming a value whose range is missing.
Status QuantizeStatic(OnnxModel* model, const NodePrecisions& nodes, const RangeTable& ranges, const StaticOptions& options);

}  // namespace linnet::quantize
