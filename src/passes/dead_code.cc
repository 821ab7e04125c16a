// dead_code: removes nodes whose outputs nobody reads, consumers before producers, and asks for no unread output.
#include "passes/passes.h"

namespace linnet {

Status RemoveDeadCode(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [](Graph& g) -> Status {
    LINNET_ASSIGN(std::vector<NodeId> order, g.Order());
    for (size_t i = order.size(); i-- > 0;) {
      bool read = false;
      for (ValueId out : g.node(order[i]).outputs) read = read || (out != kNoValue && !g.value(out).uses.empty());
      if (!read) g.RemoveNode(order[i]);
    }
    return Status();
  });
}

}  // namespace linnet
