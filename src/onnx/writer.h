// Writing OnnxModel as .onnx.
#pragma once

#include <string>

#include "base/file.h"
#include "graph/graph.h"

namespace linnet {

/// Appends the ModelProto of `model`: constants as initializers, captures by name, values renamed only where names are
/// doubled or a subgraph's would hide an outer one. What ReadOnnxBytes makes of it prints the same. Large contents go to
/// the sink straight from where they lie. Fails when Verify does, when nodes of a domain differ in version, and above
/// protobuf's 2^31 - 1 bytes.
Status WriteOnnx(const OnnxModel& model, Sink& sink);
Status WriteOnnx(const OnnxModel& model, std::string& out);

}  // namespace linnet
