// Writing .ort files, for tests and seeds only: what Linnet itself writes is .onnx and .linnet.
#pragma once

#include <string>

#include "graph/graph.h"
#include "ort_generated.h"

namespace linnet::fuzz {

/// The tables of a model, to be changed before they are packed. Outer values are known by their names inside subgraphs, so no two
/// graphs of the model may have a name in common but for that. Types that the format cannot say are left out.
ort::fbs::SessionT OrtTables(const OnnxModel& model);

/// The file of these tables.
std::string OrtFile(const ort::fbs::SessionT& tables);

}  // namespace linnet::fuzz
