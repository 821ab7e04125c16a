// .linnet ↔ a prepared model: graph after all passes plus packed weights.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "format/checksum.h"
#include "graph/graph.h"
#include "run/stored_plan.h"

namespace linnet {

/// Weights in a kernel's own layout, as some node's Prepare packed them.
struct PackedWeights {
  int64_t node = 0;
  std::string tag;
  const void* data = nullptr;
  int64_t bytes = 0;
};

/// Most plans of one file: as many as a session keeps.
inline constexpr uint32_t kPlansMax = 64;

struct PortType {
  std::string name;
  Type type;
};

/// Everything a .linnet file holds. Tensors and packed weights point into `owner`.
struct PreparedFile {
  Graph graph;
  ModelInfo info;
  std::vector<PortType> inputs, outputs;
  std::vector<PackedWeights> weights;
  std::vector<StoredPlan> plans;        ///< contents point into `owner`
  bool names = true;               ///< false: written without what only people read, but for names of inputs and outputs
  std::string precision = "f32";   ///< that the passes were asked for: "f32", "bf16" or "fp16"
  std::shared_ptr<const void> owner;
};

/// True when `bytes` begin like a .linnet file.
bool IsLinnetFile(std::string_view bytes);

/// Verifies the file (structure, offsets, counts, enumerations, sizes) before first use, and builds the graph. `bytes`
/// must be 64-byte aligned and stay alive through `owner`.
Result<PreparedFile> ReadLinnet(std::string_view bytes, std::shared_ptr<const void> owner, const GraphLimits& limits);

/// Appends a whole file to `sink`. Nothing of `file.owner` is read.
Status WriteLinnet(const PreparedFile& file, Sink& sink);

}  // namespace linnet
