// Reading .ort files: ONNX Runtime's prepared format, to the OnnxModel that its .onnx file would give.
#pragma once

#include <string_view>

#include "onnx/reader.h"

namespace linnet {

/// True when `bytes` begin like a .ort file.
inline bool IsOrtFile(std::string_view bytes) { return bytes.size() > 8 && bytes.substr(4, 4) == "ORTM"; }

/// The model in a .ort file of format version 5 or 6. The flatbuffer is verified as a whole before anything is read, and
/// everything it says before it is used; the graph passes Verify. As ReadOnnxBytes', but:
/// * A node says since which version its definition holds; where the file imports a later one, that is the node's, and means
///   the same.
/// * The operators that ONNX Runtime makes by fusing become ONNX's again (ort/unfuse.h).
/// `bytes` must be at most 2 GB and lie at a multiple of 8 bytes; with an `owner` contents point into them where they are
/// aligned for their type.
Result<OnnxModel> ReadOrtBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr,
                               const ReadOptions& options = {});

/// The model in a .onnx or .ort file, told apart by the first bytes.
Result<OnnxModel> ReadModelFile(const std::string& path, const ReadOptions& options = {});

/// The same from memory.
Result<OnnxModel> ReadModelBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr,
                                 const ReadOptions& options = {});

}  // namespace linnet
