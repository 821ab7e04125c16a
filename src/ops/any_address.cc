// Which operators take weights from any address, and copies for all others.
#include "ops/any_address.h"

#include <string.h>

#include <algorithm>
#include <unordered_map>

namespace linnet {

AddressUse AddressUseOf(const Node& node, int index) {
  struct Row {
    const char* op;
    const char* domain;
    int first, last;
    AddressUse use;
  };
  static constexpr Row kRows[] = {
      {"MatMul", "", 1, 1, AddressUse::kPacks},
      {"Gemm", "", 1, 1, AddressUse::kPacks},
      {"FusedMatMul", "com.microsoft", 1, 1, AddressUse::kPacks},
      {"Gemm", "linnet", 1, 1, AddressUse::kPacks},
      {"Conv", "", 1, 1, AddressUse::kPacks},
      {"Conv", "linnet", 1, 1, AddressUse::kPacks},
      {"ScaledConv", "linnet", 1, 1, AddressUse::kPacks},
      {"ConvBlock", "linnet", 1, 5, AddressUse::kPacks},
      {"ConvPool", "linnet", 1, 1, AddressUse::kPacks},
      {"ConvTranspose", "", 1, 1, AddressUse::kPacks},
      {"ConvTranspose", "linnet", 1, 1, AddressUse::kPacks},
      {"LSTM", "", 1, 2, AddressUse::kPacks},
      {"GRU", "", 1, 2, AddressUse::kPacks},
      {"RNN", "", 1, 2, AddressUse::kPacks},
      {"LSTM", "linnet", 1, 2, AddressUse::kPacks},
      {"GRU", "linnet", 1, 2, AddressUse::kPacks},
      {"RNN", "linnet", 1, 2, AddressUse::kPacks},
      {"Gather", "", 0, 0, AddressUse::kAny},
  };
  for (const Row& row : kRows) {
    if (index >= row.first && index <= row.last && node.Is(row.op, row.domain)) return row.use;
  }
  return AddressUse::kAligned;
}

AddressUse AddressUseOf(const Graph& graph, ValueId constant) {
  if (graph.is_input(constant)) return AddressUse::kAligned;
  AddressUse least = AddressUse::kAny;
  for (const Use& use : graph.value(constant).uses) {
    if (use.node == kNoNode) return AddressUse::kAligned;
    const Node& node = graph.node(use.node);
    // Captures are numbered behind the inputs.
    const bool input = use.index >= 0 && use.index < static_cast<int32_t>(node.inputs.size());
    least = std::min(least, input ? AddressUseOf(node, use.index) : AddressUse::kAligned);
  }
  return least;
}

bool IsAligned(const Tensor& tensor) {
  const size_t width = std::clamp<size_t>(DTypeBytes(tensor.dtype()), 1, alignof(double));
  return reinterpret_cast<uintptr_t>(tensor.data()) % width == 0;
}

Result<Tensor> AlignedCopy(const Tensor& tensor, MemoryBudget* budget) {
  LINNET_ASSIGN(Tensor copy, Tensor::Allocate(tensor.dtype(), tensor.shape(), budget));
  const int64_t bytes = tensor.bytes();
  const auto* from = static_cast<const std::byte*>(tensor.data());
  auto* to = static_cast<std::byte*>(copy.mutable_data());
  // In steps, so that copy and original are never resident together.
  constexpr int64_t kStep = 1 << 20;
  for (int64_t at = 0; at < bytes; at += kStep) {
    const int64_t step = std::min(kStep, bytes - at);
    CopyLong(to + at, from + at, static_cast<size_t>(step));
    tensor.LetPagesGo(at + step);
  }
  return copy;
}

namespace {

/// `copies`: graphs share constants.
Status AlignIn(Graph& graph, MemoryBudget* budget, std::unordered_map<const void*, Tensor>* copies) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).alive || graph.node(id).attributes.empty()) continue;
    for (Graph* inner : Graph::Subgraphs(graph.node(id))) LINNET_TRY(AlignIn(*inner, budget, copies));
  }
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Tensor& contents = graph.value(id).constant;
    if (!graph.is_constant(id) || IsAligned(contents) || AddressUseOf(graph, id) != AddressUse::kAligned) continue;
    Tensor& copy = (*copies)[contents.data()];
    if (!copy.has_data() || !(copy.shape() == contents.shape())) {
      LINNET_ASSIGN(copy, AlignedCopy(contents, budget));
    }
    const Type type = graph.value(id).type;
    graph.SetConstant(id, copy);
    graph.SetType(id, type);
  }
  return Status();
}

}  // namespace

Status AlignConstants(Graph& graph, MemoryBudget* budget) {
  std::unordered_map<const void*, Tensor> copies;
  return AlignIn(graph, budget, &copies);
}

}  // namespace linnet
