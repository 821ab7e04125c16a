// Making names unique.
#include "graph/names.h"

namespace linnet {

std::string PlainOrQuoted(std::string_view op) {
  bool plain = op.size() <= 100;
  for (char c : op) plain = plain && c >= ' ' && c < 127;
  return plain ? std::string(op) : Quote(op);
}

std::vector<bool> LiveValues(const Graph& graph) {
  std::vector<bool> live(static_cast<size_t>(graph.value_count()), false);
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    live[static_cast<size_t>(id)] = value.producer != kNoNode || !value.uses.empty();
  }
  for (const auto* ids : {&graph.inputs, &graph.captures}) {
    for (ValueId id : *ids) live[static_cast<size_t>(id)] = true;
  }
  return live;
}

std::vector<std::string> UniqueNames(const Graph& graph, std::unordered_set<std::string>& taken) {
  std::vector<bool> live = LiveValues(graph);
  std::vector<std::string> names(live.size());
  int64_t next = 0;
  auto give = [&](ValueId id) {
    std::string& name = names[static_cast<size_t>(id)];
    if (!live[static_cast<size_t>(id)] || !name.empty()) return;
    const std::string& own = graph.value(id).name;
    std::string base = own.empty() ? Cat("v", id) : own;
    name = base;
    while (!taken.insert(name).second) name = Cat(base, "_", next++);
  };
  for (ValueId id : graph.inputs) give(id);
  for (ValueId id : graph.outputs()) give(id);
  for (ValueId id = 0; id < graph.value_count(); ++id) give(id);
  return names;
}

}  // namespace linnet
