// A NodeProto, its names and attributes as views into the file; and opset imports.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "onnx/context.h"

namespace linnet::onnx {

/// "ai.onnx" is the long name of the domain "".
inline std::string_view CanonicalDomain(std::string_view domain) {
  return domain == "ai.onnx" ? std::string_view() : domain;
}

struct NodeView {
  std::string_view name, op, domain, overload;
  std::vector<std::string_view> inputs, outputs, attributes;

  /// Replaces the contents by those of `message`. Omitted inputs at the end are dropped.
  Status Read(std::string_view message, Context& context);
  /// As Node::Label.
  std::string Label() const;
};

/// Which version of each operator domain a model or function is written in.
class Opsets {
 public:
  /// One OperatorSetIdProto. Of two imports of a domain the newer counts.
  Status Add(std::string_view message, Context& context);
  bool empty() const { return versions_.empty(); }
  /// 0 when `domain` is not imported.
  int64_t Find(std::string_view domain) const {
    auto found = versions_.find(domain);
    return found == versions_.end() ? 0 : found->second;
  }
  void Set(std::string_view domain, int64_t version) { versions_[domain] = version; }
  const std::unordered_map<std::string_view, int64_t>& versions() const { return versions_; }

 private:
  std::unordered_map<std::string_view, int64_t> versions_;
};

}  // namespace linnet::onnx
