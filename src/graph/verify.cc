// Structural checks on graphs.
#include "graph/verify.h"

#include "graph/names.h"

namespace linnet {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  Status Check() {
    LINNET_TRY(CheckIds());
    LINNET_TRY(CheckOrigins());
    LINNET_TRY(CheckProducers());
    LINNET_TRY(CheckUses());
    LINNET_TRY(CheckReads());
    return graph_.Order().TakeStatus();
  }

 private:
  static constexpr uint8_t kInput = 1, kCapture = 2;

  bool Exists(ValueId id) const { return id >= 0 && id < graph_.value_count(); }
  const std::string& Name(ValueId id) const { return graph_.value(id).name; }
  std::string Reader(NodeId node) const { return node == kNoNode ? "the graph's outputs" : graph_.node(node).Label(graph_); }

  Status CheckIds() const {
    auto all = [&](const std::vector<ValueId>& ids, bool optional, std::string_view what) -> Status {
      for (ValueId id : ids) {
        if (!(Exists(id) || (optional && id == kNoValue))) return InvalidModel(PlainOrQuoted(what), " has value id ", id, " of ", graph_.value_count());
      }
      return Status();
    };
    LINNET_TRY(all(graph_.inputs, false, "an input"));
    LINNET_TRY(all(graph_.captures, false, "a capture"));
    LINNET_TRY(all(graph_.outputs(), false, "an output"));
    for (NodeId i = 0; i < graph_.node_count(); ++i) {
      const Node& node = graph_.node(i);
      if (!node.alive) continue;
      LINNET_TRY(all(node.inputs, true, node.op));
      LINNET_TRY(all(node.outputs, true, node.op));
      LINNET_TRY(all(node.captures, false, node.op));
    }
    return Status();
  }

  Status CheckOrigins() {
    origin_.assign(static_cast<size_t>(graph_.value_count()), 0);
    for (ValueId id : graph_.inputs) {
      if (origin_[static_cast<size_t>(id)]++) return InvalidModel("value ", Quote(Name(id)), " is two inputs");
    }
    for (ValueId id : graph_.captures) {
      uint8_t& origin = origin_[static_cast<size_t>(id)];
      if (origin) return InvalidModel("value ", Quote(Name(id)), " is captured and also an input or captured again");
      origin = kCapture;
    }
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      const Value& value = graph_.value(id);
      if (value.producer != kNoNode && (origin_[static_cast<size_t>(id)] || value.is_constant)) {
        return InvalidModel("value ", Quote(value.name), " is produced by a node and is an input, a capture or a constant too");
      }
      if (!value.is_constant) continue;
      const Tensor& contents = value.constant;
      if (!value.type.is_tensor() || value.type.dtype != contents.dtype() || !contents.shape().is_static() ||
          (origin_[static_cast<size_t>(id)] != kInput && value.type.shape != contents.shape())) {
        return InvalidModel("constant ", Quote(value.name), " has type ", ToString(value.type, &graph_.symbols()),
                            " and contents of ", ToString(contents.type()));
      }
    }
    return Status();
  }

  Status CheckProducers() const {
    for (NodeId i = 0; i < graph_.node_count(); ++i) {
      const Node& node = graph_.node(i);
      if (!node.alive) continue;
      for (size_t k = 0; k < node.outputs.size(); ++k) {
        if (node.outputs[k] == kNoValue) continue;
        const Value& value = graph_.value(node.outputs[k]);
        if (value.producer != i || value.output_index != static_cast<int32_t>(k)) {
          return InvalidModel("value ", Quote(value.name), " is an output of ", node.Label(graph_), ", but its producer is ",
                              value.producer == kNoNode ? "none" : "another");
        }
      }
    }
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      const Value& value = graph_.value(id);
      if (value.producer == kNoNode) continue;
      bool known = value.producer >= 0 && value.producer < graph_.node_count() && graph_.node(value.producer).alive;
      const std::vector<ValueId>* outputs = known ? &graph_.node(value.producer).outputs : nullptr;
      size_t index = static_cast<size_t>(value.output_index);
      if (!known || index >= outputs->size() || (*outputs)[index] != id) {
        return InvalidModel("value ", Quote(value.name), " names a producer that does not produce it");
      }
    }
    return Status();
  }

  ValueId ReadAt(const Use& use) const {
    size_t index = static_cast<size_t>(use.index);
    if (use.node == kNoNode) return index < graph_.outputs().size() ? graph_.outputs()[index] : kNoValue;
    if (use.node < 0 || use.node >= graph_.node_count() || !graph_.node(use.node).alive) return kNoValue;
    const Node& node = graph_.node(use.node);
    if (index < node.inputs.size()) return node.inputs[index];
    index -= node.inputs.size();
    return index < node.captures.size() ? node.captures[index] : kNoValue;
  }

  /// Every use is a place that reads the value; no place is listed twice; and there are as many as places.
  Status CheckUses() const {
    std::vector<size_t> first_place(static_cast<size_t>(graph_.node_count()) + 1, 0);
    size_t places = graph_.outputs().size(), reads = places;
    for (NodeId i = 0; i < graph_.node_count(); ++i) {
      const Node& node = graph_.node(i);
      first_place[static_cast<size_t>(i)] = places;
      places += node.inputs.size() + node.captures.size();
      for (const auto* ids : {&node.inputs, &node.captures}) {
        for (ValueId id : *ids) reads += id != kNoValue;
      }
    }
    std::vector<bool> seen(places, false);
    size_t listed = 0;
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      for (const Use& use : graph_.value(id).uses) {
        if (ReadAt(use) != id) return InvalidModel("the uses of value ", Quote(Name(id)), " name a place that does not read it");
        size_t place = (use.node == kNoNode ? 0 : first_place[static_cast<size_t>(use.node)]) + static_cast<size_t>(use.index);
        if (seen[place]) return InvalidModel("the uses of value ", Quote(Name(id)), " list a place twice");
        seen[place] = true;
        ++listed;
      }
    }
    if (listed != reads) return InvalidModel("use lists have ", listed, " entries where values are read ", reads, " times");
    return Status();
  }

  Status CheckReads() const {
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      const Value& value = graph_.value(id);
      if (value.uses.empty() || value.producer != kNoNode || value.is_constant || origin_[static_cast<size_t>(id)]) continue;
      return InvalidModel("nothing defines value ", Quote(value.name), ", read by ", Reader(value.uses.front().node));
    }
    return Status();
  }

  const Graph& graph_;
  std::vector<uint8_t> origin_;
};

/// The captured values of `node` against the captures of its subgraphs.
Status CheckCaptures(const Graph& graph, const Node& node, const std::vector<Graph*>& subgraphs) {
  size_t count = 0;
  for (const Graph* inner : subgraphs) {
    if (!inner) return InvalidModel("a graph attribute has no graph");
    if (&inner->symbols() != &graph.symbols()) return InvalidModel("a subgraph has symbols of its own");
    for (ValueId id : inner->captures) {
      if (count == node.captures.size() || id < 0 || id >= inner->value_count()) {
        return InvalidModel("a subgraph captures value id ", id, " that the node does not give");
      }
      const Value& inside = inner->value(id);
      const Value& outside = graph.value(node.captures[count++]);
      if (inside.is_constant && !(outside.is_constant && inside.constant.data() == outside.constant.data())) {
        return InvalidModel("captured value ", Quote(inside.name), " is a constant that differs from ", Quote(outside.name));
      }
    }
  }
  if (count != node.captures.size()) {
    return InvalidModel("the node gives ", node.captures.size(), " captured values, its subgraphs take ", count);
  }
  return Status();
}

Status VerifyNested(const Graph& graph, int64_t depth, int64_t depth_max) {
  if (depth > depth_max) return LimitReached("graphs are nested deeper than the limit of ", depth_max);
  LINNET_TRY(Verifier(graph).Check());
  for (NodeId i = 0; i < graph.node_count(); ++i) {
    const Node& node = graph.node(i);
    if (!node.alive) continue;
    std::vector<Graph*> subgraphs = Graph::Subgraphs(node);
    Status status = CheckCaptures(graph, node, subgraphs);
    for (size_t k = 0; k < subgraphs.size() && status.ok(); ++k) status = VerifyNested(*subgraphs[k], depth + 1, depth_max);
    if (!status.ok()) return std::move(status).At(node.Label(graph));
  }
  return Status();
}

}  // namespace

Status Verify(const Graph& graph, const GraphLimits& limits) { return VerifyNested(graph, 1, limits.graph_depth); }

}  // namespace linnet
