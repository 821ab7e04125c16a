// Tensor contents in files beside the model.
#pragma once

#include <string_view>

#include "onnx/context.h"

namespace linnet::onnx {

/// The `external_data` entries of a TensorProto as they are added, then the bytes they name.
class ExternalData {
 public:
  /// One StringStringEntryProto; unknown keys are ignored.
  Status Add(std::string_view entry, Cursor& cursor);
  bool empty() const { return !given_; }
  /// The `bytes_needed` bytes, opened beneath the context's folder.
  Result<Source> Find(int64_t bytes_needed, Context& context) const;

 private:
  bool given_ = false;
  std::string_view location_;
  int64_t offset_ = 0;
  int64_t length_ = -1;  ///< -1: not given
};

/// Key and value of a StringStringEntryProto.
std::pair<std::string_view, std::string_view> ReadEntry(std::string_view entry, Cursor& cursor);

}  // namespace linnet::onnx
