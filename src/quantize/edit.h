// Small edits that all rewritings share: nodes with names of their own, integers behind DequantizeLinear, selections.
#pragma once

#include <map>

#include "graph/graph.h"
#include "quantize/prepare.h"
#include "quantize/scale.h"

namespace linnet::quantize {

/// The version of ai.onnx a model imports; 0 when it does not say.
int OpsetOf(const OnnxModel& model);

/// The end of a long name: what is derived from it is written four times a value, and exporters' names can be long.
std::string ShortName(const std::string& name);

/// A Gather that picks rows from a constant matrix of floats that is large enough to be worth a node more.
bool IsTable(const Graph& graph, const Node& node);

/// Adds nodes of ai.onnx in one version to one graph.
class Edit {
 public:
  Edit(Graph& graph, int opset) : graph_(graph), opset_(opset) {}
  int opset() const { return opset_; }
  /// Whether DequantizeLinear can have a scale for each index of an axis.
  bool scales_by_axis() const { return opset_ >= kOpsetPerChannel; }

  /// As Graph::AddNode; the node is called as its output is, so that no two nodes share a name.
  Result<ValueId> Add(std::string_view op, std::vector<ValueId> inputs, std::vector<Attribute> attributes, const Type& type,
                      std::string_view hint);
  /// A node that makes `out`, which has lost its producer. Other domains than ai.onnx: of version 1.
  Status AddFor(std::string_view op, std::vector<ValueId> inputs, ValueId out, std::string name, std::vector<Attribute> attributes = {},
                std::string_view domain = "");
  /// The contents of a float constant with at least one element, or null; kNoValue gives null.
  const Tensor* FloatConstant(ValueId id) const;
  /// A constant of integers and the DequantizeLinear behind it, without a zero point where there are 32 bits. `name` is the float constant's.
  Result<ValueId> Dequantized(std::string name, QuantizedTensor tensor);
  /// A Gather of rows of a table (IsTable): rows are picked from integers, and dequantized behind it with a scale a column
  /// (`per_column`, where the opset has that) or one for all. False, and nothing is done, for other nodes.
  Result<bool> QuantizeTable(NodeId id, DType dtype, bool per_column, bool symmetric);

 private:
  /// Zero points that are all 0 are one constant for all weights with as many channels.
  ValueId ZeroPoint(std::string_view name, const Params& params);

  Graph& graph_;
  int opset_;
  std::map<std::pair<DType, int64_t>, ValueId> zeros_;
};

}  // namespace linnet::quantize
