// fuse_pointwise: elementwise operators that feed each other become one walk over the data.
//
//     Mul(Sigmoid(Add(x, b)), y)     becomes   linnet:Pointwise(x, b, y) {program=["Add x0 x1", "Sigmoid v0", "Mul v1 x2"]}
//
// A group ends in one node; the others have its shape and are read inside of the group only. What is smaller and would be
// broadcast stays outside, where it is computed once. Numbers become part of the program. A single operator is rewritten too
// where its broadcasting would cut it into short runs.
#include <string.h>

#include <algorithm>

#include "ops/elementwise.h"
#include "ops/pointwise_function.h"
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr size_t kGroupMax = 24;
/// A run of fewer elements than this costs more to set up than to compute.
constexpr int64_t kShortRun = 128;

class PointwiseFuser {
 public:
  explicit PointwiseFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(order_, graph_.Order());
    functions_.resize(static_cast<size_t>(graph_.node_count()));
    position_.resize(functions_.size());
    for (size_t i = 0; i < order_.size(); ++i) {
      const size_t id = static_cast<size_t>(order_[i]);
      functions_[id] = FunctionOf(graph_.node(order_[i]));
      position_[id] = i;
    }
    for (size_t i = order_.size(); i-- > 0;) {
      if (functions_[static_cast<size_t>(order_[i])]) LINNET_TRY(Visit(order_[i]));
    }
    return Status();
  }

 private:
  static bool IsFloatTensor(const Type& type) { return type.is_tensor() && type.dtype == DType::kFloat && type.shape.has_rank(); }

  /// What a node computes, when it can be an instruction: of floats, with a shape that is known up to symbols.
  std::optional<PointwiseFunction> FunctionOf(const Node& node) const {
    if (node.outputs.size() != 1 || node.outputs[0] == kNoValue || node.inputs.empty()) return std::nullopt;
    const Type& type = graph_.value(node.outputs[0]).type;
    if (!IsFloatTensor(type) || type.shape.rank() > kPointwiseRankMax) return std::nullopt;
    for (int64_t dim : type.shape) {
      if (dim == kUnknownDim) return std::nullopt;
    }
    std::optional<PointwiseFunction> function;
    if (node.Is("Clip")) {
      const std::optional<ClipBounds> bounds = ClipBoundsOf(graph_, node);
      if (bounds) function = {Pointwise::kClip, bounds->low, bounds->high, 0.1f};
    } else if (node.inputs.size() == 1) {
      Result<std::optional<PointwiseFunction>> found = UnaryFunctionOf(node);
      if (found.ok()) function = *found;
    } else {
      function = BinaryFunctionOf(node);
    }
    if (!function) return std::nullopt;
    for (int k = 0; k < PointwiseArity(function->function); ++k) {
      const ValueId in = node.inputs[static_cast<size_t>(k)];
      if (in == kNoValue || !IsFloatTensor(graph_.value(in).type)) return std::nullopt;
    }
    return function;
  }

  const PointwiseFunction& function(NodeId id) const { return *functions_[static_cast<size_t>(id)]; }
  std::span<const ValueId> Operands(NodeId id) const {
    return {graph_.node(id).inputs.data(), static_cast<size_t>(PointwiseArity(function(id).function))};
  }

  /// A number that becomes part of the program. One with dimensions may give the result more of them, and stays an input.
  bool IsNumber(ValueId id, const Shape& out) const {
    return ScalarOf(graph_, id).has_value() && graph_.value(id).type.shape.rank() <= out.rank();
  }

  bool InGroup(NodeId id) const { return IndexOf(group_, id) >= 0; }

  /// What the group reads from outside.
  struct Reads {
    std::vector<ValueId> inputs;
    std::vector<float> numbers;
    bool fit() const { return inputs.size() <= kPointwiseInputsMax && numbers.size() <= kPointwiseConstantsMax; }
  };
  Reads ReadsOf(const Shape& out) const {
    Reads reads;
    for (NodeId id : group_) {
      for (ValueId in : Operands(id)) {
        const NodeId producer = graph_.value(in).producer;
        if (producer != kNoNode && InGroup(producer)) continue;
        if (IsNumber(in, out)) {
          if (IndexOf(reads.numbers, *ScalarOf(graph_, in)) < 0) reads.numbers.push_back(*ScalarOf(graph_, in));
        } else if (IndexOf(reads.inputs, in) < 0) {
          reads.inputs.push_back(in);
        }
      }
    }
    return reads;
  }

  /// Where the very bits of `item` are; -1: nowhere.
  template <class T>
  static int IndexOf(const std::vector<T>& list, T item) {
    for (size_t i = 0; i < list.size(); ++i) {
      if (memcmp(&list[i], &item, sizeof(T)) == 0) return static_cast<int>(i);
    }
    return -1;
  }

  bool OnlyReadInside(ValueId value) const {
    const std::vector<Use>& uses = graph_.value(value).uses;
    return uses.size() <= kGroupMax &&
           std::all_of(uses.begin(), uses.end(), [&](const Use& use) { return use.node != kNoNode && InGroup(use.node); });
  }

  Status Visit(NodeId root) {
    const Shape shape = graph_.value(graph_.node(root).outputs[0]).type.shape;
    group_ = {root};
    for (size_t grown = 0; grown < group_.size();) {
      grown = group_.size();
      for (size_t i = 0; i < group_.size() && group_.size() < kGroupMax; ++i) {
        for (ValueId in : Operands(group_[i])) {
          const NodeId producer = graph_.value(in).producer;
          if (producer == kNoNode || !functions_[static_cast<size_t>(producer)] || InGroup(producer)) continue;
          if (!(graph_.value(in).type.shape == shape) || !OnlyReadInside(in)) continue;
          group_.push_back(producer);
          if (!ReadsOf(shape).fit()) group_.pop_back();
        }
      }
    }
    if (group_.size() == 1 && !HasShortRuns(root)) return Status();
    return Replace(root, shape);
  }

  /// Whether broadcasting a two-operand node takes it apart.
  bool HasShortRuns(NodeId root) const {
    const std::span<const ValueId> operands = Operands(root);
    if (operands.size() != 2) return false;
    const Shape shapes[2] = {graph_.value(operands[0]).type.shape, graph_.value(operands[1]).type.shape};
    const Shape& out = graph_.value(graph_.node(root).outputs[0]).type.shape;
    if (!out.is_static() || !shapes[0].is_static() || !shapes[1].is_static()) return false;
    const BroadcastLoop loop = MakeBroadcastLoop(out, shapes);
    return loop.rank > 0 && loop.run < kShortRun;
  }

  Status Replace(NodeId root, const Shape& shape) {
    const Reads reads = ReadsOf(shape);
    if (reads.inputs.empty() || !reads.fit()) return Status();
    std::sort(group_.begin(), group_.end(), [&](NodeId a, NodeId b) { return position_[static_cast<size_t>(a)] < position_[static_cast<size_t>(b)]; });
    PointwiseProgram program;
    program.input_count = static_cast<int32_t>(reads.inputs.size());
    program.constant_count = static_cast<int32_t>(reads.numbers.size());
    std::copy(reads.numbers.begin(), reads.numbers.end(), program.constants);
    for (NodeId id : group_) {
      PointwiseInstruction& instruction = program.instructions[program.instruction_count++];
      instruction.function = function(id).function;
      instruction.alpha = function(id).alpha, instruction.beta = function(id).beta;
      for (size_t k = 0; k < Operands(id).size(); ++k) {
        const ValueId in = Operands(id)[k];
        const int inner = IndexOf(group_, graph_.value(in).producer);
        instruction.operands[k] = inner >= 0            ? PointwiseOperand::Value(inner)
                                  : IsNumber(in, shape) ? PointwiseOperand::Constant(IndexOf(reads.numbers, *ScalarOf(graph_, in)))
                                                        : PointwiseOperand::Input(IndexOf(reads.inputs, in));
      }
    }
    PointwiseKernel kernel;
    if (!PreparePointwise(program, CpuLevel(), &kernel).ok()) return Status();   // too many values at once
    std::vector<std::string> lines;
    for (int i = 0; i < program.instruction_count; ++i) lines.push_back(FormatInstruction(program, i));
    Node made;
    made.op = "Pointwise";
    made.domain = "linnet";
    made.version = 1;
    made.name = graph_.node(root).name;
    made.inputs = reads.inputs;
    made.outputs = graph_.node(root).outputs;
    made.Set("program", std::move(lines));
    for (auto id = group_.rbegin(); id != group_.rend(); ++id) {
      functions_[static_cast<size_t>(*id)].reset();
      graph_.RemoveNode(*id);
    }
    return graph_.AddNode(std::move(made)).TakeStatus();
  }

  Graph& graph_;
  std::vector<NodeId> order_;
  std::vector<std::optional<PointwiseFunction>> functions_;   ///< of nodes that are in no group yet
  std::vector<size_t> position_;                              ///< in the order
  std::vector<NodeId> group_;
};

}  // namespace

Status FusePointwise(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& each) { return PointwiseFuser(each).Run(); });
}

}  // namespace linnet
