// Provider: something that runs nodes in its own way. The CPU's operator table is the last provider and takes the rest.
#pragma once

#include <memory>

#include "graph/graph.h"
#include "run/context.h"

namespace linnet {

/// A node made ready by a provider. Shapes still come from the operator's Infer.
class ProviderKernel {
 public:
  virtual ~ProviderKernel() = default;
  virtual Status Run(RunContext& context) const = 0;
};

class Provider {
 public:
  virtual ~Provider() = default;
  virtual const char* name() const = 0;
  /// True when nodes must come as the model has them: no pass rewrites the graph, nothing is lowered or fused.
  virtual bool wants_plain_onnx() const { return false; }
  /// A kernel for `node`, or null when this provider leaves it to the next one.
  virtual Result<std::unique_ptr<ProviderKernel>> Claim(const Graph& graph, const Node& node) = 0;
};

}  // namespace linnet
