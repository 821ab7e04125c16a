// .onnx → Graph.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "graph/graph.h"

namespace linnet {

struct ReadOptions {
  GraphLimits limits;
  bool untrusted = false;             ///< read instead of map
  std::string external_data_folder;   ///< for bytes; a file's own folder is used for files
};

Result<OnnxModel> ReadOnnxFile(const std::string& path, const ReadOptions& options);
Result<OnnxModel> ReadOnnxBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                const ReadOptions& options);

}  // namespace linnet
