// Constants used where they lie in a .onnx file, at whatever address that is.
//
// A file's tensors are aligned by chance. Large float32 weights that operators pack, or only copy rows of, stay in the mapping
// all the same: a copy of them costs more than packing them. Everybody else may rely on aligned contents.
#pragma once

#include "graph/graph.h"

namespace linnet {

enum class AddressUse : uint8_t {
  kAligned,   ///< reads typed elements
  kPacks,     ///< packs them from any address, where it packs them
  kAny,       ///< always reads them from any address
};

/// How a node reads input `index`.
AddressUse AddressUseOf(const Node& node, int index);

/// The least use of a constant by the nodes and outputs of its graph.
AddressUse AddressUseOf(const Graph& graph, ValueId constant);

bool IsAligned(const Tensor& tensor);

/// The same contents at an aligned address; the original's pages are given back. `budget` may be null.
Result<Tensor> AlignedCopy(const Tensor& tensor, MemoryBudget* budget);

/// Copies the constants of a graph and its subgraphs that are not aligned and whose readers need them so.
Status AlignConstants(Graph& graph, MemoryBudget* budget);

}  // namespace linnet
