// Collecting functions; their expanded size by a depth-first walk of the call graph, callees first.
#include "onnx/functions.h"

#include <algorithm>

namespace linnet::onnx {
namespace {

/// Longest chain of nested calls; expansion recurses once a call.
constexpr int kCallDepthMax = 64;

std::string Key(std::string_view domain, std::string_view name, std::string_view overload) {
  std::string key;
  key.reserve(domain.size() + name.size() + overload.size() + 2);
  return key.append(domain).append(1, '\0').append(name).append(1, '\0').append(overload);
}

/// Sums and products of counts stop here, far above every limit.
constexpr int64_t kMany = int64_t{1} << 60;

int64_t AddCounts(int64_t a, int64_t b) { return std::min(kMany, a + b); }
int64_t MulCounts(int64_t a, int64_t b) {
  int64_t product;
  return CheckedMul(a, b, &product) ? std::min(kMany, product) : kMany;
}

}  // namespace

Status FunctionTable::Add(std::string_view bytes) {
  Function function;
  {
    Message message(bytes, context_.cursor);
    while (message.Next()) {
      switch (message.field()) {
        case function::kName: function.name = message.Bytes(); break;
        case function::kInput: function.inputs.push_back(message.Bytes()); break;
        case function::kOutput: function.outputs.push_back(message.Bytes()); break;
        case function::kNode: function.nodes.push_back(message.Bytes()); break;
        case function::kOpsetImport: LINNET_TRY(function.opsets.Add(message.Bytes(), context_)); break;
        case function::kDomain: function.domain = CanonicalDomain(message.Bytes()); break;
        case function::kAttributeProto: function.defaults.push_back(message.Bytes()); break;
        case function::kOverload: function.overload = message.Bytes(); break;
        default: message.Skip();
      }
    }
  }
  for (std::string_view text : {function.name, function.domain, function.overload}) LINNET_TRY(context_.CheckName(text));
  if (function.name.empty()) return InvalidModel("a function has no name");
  for (const auto* list : {&function.inputs, &function.outputs}) {
    for (std::string_view text : *list) {
      LINNET_TRY(context_.CheckName(text).At(Cat("function ", Quote(function.name))));
      if (text.empty()) return InvalidModel("function ", Quote(function.name), " has an input or output without a name");
    }
  }
  if (static_cast<int64_t>(functions_.size()) >= context_.limits.functions) {
    return LimitReached("the model has more functions than the limit of ", context_.limits.functions);
  }
  auto [place, is_new] =
      index_.emplace(Key(function.domain, function.name, function.overload), static_cast<int>(functions_.size()));
  if (!is_new) return InvalidModel("function ", Quote(function.name), " is defined twice");
  functions_.push_back(std::move(function));
  return Status();
}

const Function* FunctionTable::Find(const NodeView& node) const {
  if (functions_.empty()) return nullptr;
  auto found = index_.find(Key(node.domain, node.op, node.overload));
  return found == index_.end() ? nullptr : &functions_[static_cast<size_t>(found->second)];
}

Status FunctionTable::CountNode(std::string_view bytes, int64_t depth, Contents& contents) {
  NodeView node;
  LINNET_TRY(node.Read(bytes, context_));
  auto found = index_.find(Key(node.domain, node.op, node.overload));
  if (found == index_.end()) {
    ++contents.nodes;
  } else {
    ++contents.calls[found->second];
  }
  for (std::string_view attribute : node.attributes) {
    Message message(attribute, context_.cursor);
    while (message.Next()) {
      if (message.field() == attribute::kGraph || message.field() == attribute::kGraphs) {
        LINNET_TRY(CountGraph(message.Bytes(), depth + 1, contents));
      } else {
        message.Skip();
      }
    }
  }
  return Status();
}

Status FunctionTable::CountGraph(std::string_view bytes, int64_t depth, Contents& contents) {
  if (depth > context_.limits.graph_depth) {
    return LimitReached("graphs are nested deeper than the limit of ", context_.limits.graph_depth);
  }
  Message message(bytes, context_.cursor);
  while (message.Next()) {
    if (message.field() == graph::kNode) {
      LINNET_TRY(CountNode(message.Bytes(), depth, contents));
    } else {
      message.Skip();
    }
  }
  return Status();
}

int64_t FunctionTable::Expanded(const Contents& contents) const {
  int64_t total = contents.nodes;
  for (auto [callee, count] : contents.calls) {
    total = AddCounts(total, MulCounts(count, functions_[static_cast<size_t>(callee)].nodes_expanded));
  }
  return total;
}

Status FunctionTable::Check(std::string_view graph) {
  if (functions_.empty()) return Status();
  std::vector<Contents> contents(functions_.size());
  for (size_t i = 0; i < functions_.size(); ++i) {
    for (std::string_view node : functions_[i].nodes) {
      LINNET_TRY(CountNode(node, 1, contents[i]).At(Cat("function ", Quote(functions_[i].name))));
    }
  }

  enum : uint8_t { kNew, kOpen, kDone };
  struct Visit {
    int function;
    std::unordered_map<int, int64_t>::const_iterator next;
  };
  std::vector<uint8_t> state(functions_.size(), kNew);
  std::vector<Visit> path;
  for (size_t root = 0; root < functions_.size(); ++root) {
    if (state[root] != kNew) continue;
    state[root] = kOpen;
    path.push_back({static_cast<int>(root), contents[root].calls.begin()});
    while (!path.empty()) {
      Visit& visit = path.back();
      size_t index = static_cast<size_t>(visit.function);
      Function& function = functions_[index];
      if (visit.next != contents[index].calls.end()) {
        size_t callee = static_cast<size_t>((visit.next++)->first);
        if (state[callee] == kOpen) {
          return InvalidModel("functions ", Quote(function.name), " and ", Quote(functions_[callee].name),
                              " call each other or themselves");
        }
        if (state[callee] == kNew) {
          state[callee] = kOpen;
          path.push_back({static_cast<int>(callee), contents[callee].calls.begin()});
        }
        continue;
      }
      int below = 0;
      for (auto [callee, count] : contents[index].calls) {
        below = std::max(below, functions_[static_cast<size_t>(callee)].depth);
      }
      function.depth = below + 1;
      function.nodes_expanded = AddCounts(1, Expanded(contents[index]));
      if (function.depth > kCallDepthMax) {
        return LimitReached("function ", Quote(function.name), " starts a chain of more than ", kCallDepthMax, " calls");
      }
      state[index] = kDone;
      path.pop_back();
    }
  }

  Contents all;
  LINNET_TRY(CountGraph(graph, 1, all));
  int64_t total = Expanded(all);
  if (total > context_.limits.nodes) {
    return LimitReached("functions would expand to ", total == kMany ? "2^60 or more" : Cat(total),
                        " nodes; the limit is ", context_.limits.nodes);
  }
  return Status();
}

}  // namespace linnet::onnx
