// Packed weights of a .linnet file, used where they lie.
#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "format/linnet_file.h"
#include "ops/op.h"

namespace linnet {

class FileWeights : public WeightStore {
 public:
  /// `owner` keeps the file's bytes: where every constant is packed, nothing else does.
  FileWeights(std::vector<PackedWeights> weights, std::shared_ptr<const void> owner)
      : weights_(std::move(weights)), owner_(std::move(owner)) {
    std::sort(weights_.begin(), weights_.end(), Before);
  }
  Result<const void*> Get(int64_t node, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)>) override {
    PackedWeights wanted;
    wanted.node = node;
    wanted.tag = tag;
    auto at = std::lower_bound(weights_.begin(), weights_.end(), wanted, Before);
    if (at == weights_.end() || at->node != node || at->tag != tag) {
      return InvalidModel("the .linnet file lacks the packed ", Quote(tag), " of this node; convert the model again");
    }
    if (at->bytes != bytes) {
      return InvalidModel("packed ", Quote(tag), " has ", at->bytes, " bytes where ", bytes, " are needed; convert the model again");
    }
    return at->data;
  }

 private:
  static bool Before(const PackedWeights& a, const PackedWeights& b) {
    return a.node != b.node ? a.node < b.node : a.tag < b.tag;
  }
  std::vector<PackedWeights> weights_;
  std::shared_ptr<const void> owner_;
};

}  // namespace linnet
