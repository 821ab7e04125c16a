// What the parts of the .onnx reader share while one file is read: its bytes, limits, memory budget, external files.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/file.h"
#include "graph/graph.h"
#include "onnx/fields.h"
#include "onnx/wire.h"

namespace linnet::onnx {

/// Bytes that tensors may point into.
struct Source {
  std::string_view bytes;
  std::shared_ptr<const void> owner;   ///< null: contents must be copied out
  const MappedFile* mapped = nullptr;  ///< when its pages can be given back after copying
};

struct Context {
  Source source;
  GraphLimits limits;
  FileAccess access = FileAccess::kMap;
  bool initializers_anywhere = false;  ///< ReadOptions::any_address
  bool any_address = false;            ///< for large float32 tensors that are read now
  std::string external_folder;  ///< empty: external data is refused

  Cursor cursor;
  /// Everything made of the file: tensors that are copied or expanded, values, nodes. Many small things can be made
  /// of few bytes (a name captured through many levels, a sparse tensor), so the limit grows with the file's size.
  MemoryBudget budget;
  MemoryBudget* callers_budget = nullptr;
  std::unordered_map<std::string, MappedFile::Ref> external_files;
  /// Tensors read inside functions, which are expanded many times, by where their message starts.
  std::unordered_map<const char*, Tensor> shared_tensors;

  Context(Source file, const GraphLimits& graph_limits) : source(std::move(file)), limits(graph_limits) {
    cursor.begin = cursor.at = source.bytes.data();
    cursor.depth_max = limits.message_depth;
    budget.set_limit_bytes(kBudgetBase + kBudgetPerByte * static_cast<int64_t>(source.bytes.size()));
  }

  Status Charge(int64_t bytes) { return budget.Take(bytes).At("reading the model"); }
  Status CheckName(std::string_view name) const {
    if (static_cast<int64_t>(name.size()) <= limits.name_bytes) return Status();
    return LimitReached("the name ", Quote(name), " is longer than the limit of ", limits.name_bytes, " bytes");
  }

 private:
  static constexpr int64_t kBudgetBase = int64_t{256} << 20;
  static constexpr int64_t kBudgetPerByte = 32;
};

}  // namespace linnet::onnx
