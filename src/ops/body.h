// Subgraphs of control-flow operators: finding one, preparing it, running it.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "ops/movement.h"

namespace linnet {

/// One subgraph attribute of a node. What it captures is passed behind its declared inputs.
class Body {
 public:
  /// Attribute `name` of `node`, which must have it.
  Status Parse(const Node& node, std::string_view name);
  Status Prepare(PrepareContext& c) {
    LINNET_ASSIGN(plans_, c.Body(graph_));
    return Status();
  }

  int input_count() const { return static_cast<int>(graph_->inputs.size()); }
  int output_count() const { return static_cast<int>(graph_->outputs().size()); }
  const Type& input_type(int i) const { return graph_->value(graph_->inputs[static_cast<size_t>(i)]).type; }
  const Type& output_type(int i) const { return graph_->value(graph_->outputs()[static_cast<size_t>(i)]).type; }

  /// Room for the inputs of a run, captures already filled in.
  std::vector<Fact> Inputs(const RunContext& c) const;
  Status Run(const RunContext& c, const std::vector<Fact>& inputs, std::vector<RunOutput>& outputs) const {
    return c.RunBody(*plans_, inputs.data(), static_cast<int>(inputs.size()), outputs.data(),
                     static_cast<int>(outputs.size()));
  }

 private:
  std::shared_ptr<Graph> graph_;
  PlanSource* plans_ = nullptr;
  int first_capture_ = 0;   ///< among the node's captures
};

/// A value as a body takes it.
inline Fact FactOf(const Datum& datum) {
  if (datum.type.is_tensor()) return {datum.tensor.type(), datum.tensor.data()};
  return {datum.type, &datum};
}

/// Makes a body write straight into output i of the node when its shape is known; FinishOutput then checks or hands over.
void DirectOutput(const RunContext& c, int i, RunOutput& output);
Status FinishOutput(const RunContext& c, int i, RunOutput& output);

/// A tensor's type with only its rank.
inline Type RankOnly(Type type) {
  if (type.shape.has_rank()) type.shape = Shape::OfRank(type.shape.rank());
  return type;
}

/// What is certain of a value that is either `a` or `b`.
Type Either(const Type& a, const Type& b);

/// Tensors of one type collected turn by turn into one with a new first axis. The body writes each directly into its
/// place, once the first one has shown the shape.
class Collected {
 public:
  /// `turns`: how many there will be, when that is known; 0 otherwise.
  explicit Collected(int64_t turns) : turns_(turns) {}
  /// Before a turn: where the body puts element `index`, which is below `turns` when those are known, otherwise next.
  Status Before(const RunContext& c, int64_t index, RunOutput& output);
  /// After it.
  Status After(const RunContext& c, int64_t index, RunOutput& output);
  /// All of them; places nothing was put into hold zeros. When no turn ran, `declared` gives the element type (unknown
  /// dimensions become 0).
  Result<Tensor> Take(const RunContext& c, const Type& declared);

 private:
  Status Grow(const RunContext& c, int64_t room);
  Result<Shape> ShapeOf(int64_t count) const;
  std::byte* At(int64_t index) { return buffer_.mutable_as<std::byte>() + index * bytes_; }

  int64_t turns_, count_ = 0, room_ = 0;
  int64_t bytes_ = 0;       ///< of one element
  Type element_;
  Tensor buffer_;
};

}  // namespace linnet
