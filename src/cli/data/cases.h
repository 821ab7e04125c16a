// Conformance cases on disk: ONNX backend-test folders and the `light` layout.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace linnet::cli {

/// One model with its data sets. In the `light` layout (X.onnx beside X_output_0.pb) there are no input files: input i is
/// arange(size)/size.
struct Case {
  std::string name;                      ///< path relative to the folder searched
  std::string model;
  bool light = false;
  std::vector<std::string> data_sets;    ///< folders; for light the one prefix "…/X_"
};

/// All cases beneath `path` (a folder or a model file), sorted by name.
Result<std::vector<Case>> FindCases(const std::string& path);

/// Files PREFIXinput_0.pb, PREFIXinput_1.pb ... as far as they exist.
std::vector<std::string> NumberedFiles(const std::string& prefix, const std::string& what);

}  // namespace linnet::cli
