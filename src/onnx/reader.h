// Reading .onnx files: ModelProto to OnnxModel.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "graph/graph.h"

namespace linnet {

struct ReadOptions {
  GraphLimits limits;
  /// Where external data lies; nothing outside is opened. Empty: the model's own folder for files, none for bytes.
  std::string external_data_folder;
  /// The file may be hostile or change while it is open: it is read instead of mapped, under GraphLimits::Hostile().
  bool untrusted = false;
  /// Of the model's file and those beside it.
  FileAccess access = FileAccess::kMap;
  /// Counts contents that are copied or expanded, and files that are read; null, or outlives the model.
  MemoryBudget* budget = nullptr;
  /// Large float32 initializers may lie anywhere in the file's memory, aligned for their type or not; whoever asks for that makes
  /// aligned copies where they are needed (ops/any_address.h).
  bool any_address = false;
  /// Set to whether contents came from other files; may be null.
  bool* external_data = nullptr;
};

/// The model in a file. Every opset import of ai.onnx from 1 to 28, all operator domains; nodes are not checked against
/// operators, but the graph passes Verify:
/// * Constant nodes become constants, sparse tensors dense ones, calls of model-local functions the nodes of their bodies.
/// * An initializer that is listed as an input too is an input with a default from IR version 4 on, before that a
///   constant.
/// * A subgraph's outer values become captures, but plain constants are constants inside.
/// * Inputs that are omitted at the end of a node's list are dropped.
/// Tensor contents point into the mapped file where they are aligned for their type. Fails with the offset, or the node,
/// value or tensor.
Result<OnnxModel> ReadOnnxFile(const std::string& path, const ReadOptions& options = {});

/// The same of a file that is open already; `path` says where it lies.
Result<OnnxModel> ReadOnnxFile(MappedFile::Ref file, const std::string& path, const ReadOptions& options);

/// Opens a model file as ReadOnnxFile does: with the access and within the limits that `options` say.
Result<MappedFile::Ref> OpenModelBytes(const std::string& path, const ReadOptions& options);

/// The same from memory. With an `owner` that keeps `bytes` alive tensors point into them, otherwise they are copied.
Result<OnnxModel> ReadOnnxBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr,
                                const ReadOptions& options = {});

}  // namespace linnet
