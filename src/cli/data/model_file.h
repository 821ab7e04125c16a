// A model file opened to be looked at rather than run: .onnx as it was read, .linnet as it was prepared.
#pragma once

#include <string>

#include "api/session.h"

namespace linnet::cli {

struct ModelFile {
  OnnxModel model;
  bool prepared = false;           ///< a .linnet file: the graph has been through the passes
  int64_t file_bytes = 0;          ///< without external data
  int64_t packed_bytes = 0;        ///< weights in kernels' own layouts; .linnet only
  std::string precision;           ///< that it was prepared for; .linnet only
  std::vector<PortInfo> inputs, outputs;
  std::vector<StoredPlan> plans;   ///< .linnet only
};

/// Either format, told apart by the first bytes. Contents of constants stay valid as long as the result lives.
Result<ModelFile> OpenModelFile(const std::string& path, const SessionOptions& options);

}  // namespace linnet::cli
