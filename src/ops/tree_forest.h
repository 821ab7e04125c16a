// Decision trees flattened for fast walking.
//
// Every node asks one question: is x[feature] <= threshold? The children lie side by side, the one for "no" first, so a
// step is `at = node.left + (x[feature] <= threshold)`. A leaf is its own left child with a threshold of NaN: walking on
// from it stays there. Several walks (eight rows down one tree, or one row down eight trees) run in turn, so that the
// loads of one hide those of the others, until none moves.
//
//     x < t    is  x <= the number before t
//     x >= t   is  not x < t, x > t is not x <= t: children swapped, and NaN sent to the other side by a flag
//     x == t, x != t, membership in a set: flags too; only forests that have such nodes pay for them
#pragma once

#include <stdint.h>

#include <limits>
#include <vector>

#include "base/status.h"
#include "kernels/unroll.h"

namespace linnet {

enum class TreeMode : uint8_t { kLeq, kLt, kGte, kGt, kEq, kNeq, kMember };

/// A forest as models describe it.
struct RawForest {
  struct Branch {
    int64_t to = 0;          ///< index into `nodes`, or which leaf
    bool leaf = false;
  };
  struct Node {
    TreeMode mode = TreeMode::kLeq;
    bool nan_is_true = false;
    int64_t feature = 0;
    double threshold = 0;
    int64_t first_member = 0, member_end = 0;   ///< into `members`, for kMember
    Branch yes, no;
  };
  std::vector<Node> nodes;
  std::vector<Branch> roots;
  std::vector<double> members;
};

template <class V>
class Forest {
 public:
  static constexpr int kLanes = 8;

  /// Fails when a branch leads nowhere, a node is reached twice, or a feature is negative.
  Status Build(const RawForest& raw);
  int64_t trees() const { return static_cast<int64_t>(roots_.size()); }
  int64_t features() const { return features_; }   ///< the least number of columns an input needs

  /// Leaves reached by `count` rows (at most kLanes of them matter at a time) in tree `tree`.
  void WalkRows(int64_t tree, const V* rows, int64_t stride, int64_t count, int32_t* leaves) const;
  /// Leaves reached by one row in trees [begin, end).
  void WalkTrees(int64_t begin, int64_t end, const V* row, int32_t* leaves) const;

 private:
  struct Node {
    V threshold;
    int32_t feature;   ///< and flags
    int32_t left;
  };
  static constexpr int32_t kNanRight = 1 << 30, kEqual = 1 << 29, kMember = 1 << 28, kFeature = kMember - 1;
  enum class Walk : uint8_t { kPlain, kNan, kAny };

  Status Place(const RawForest& raw, RawForest::Branch root);
  template <Walk kind>
  bool Right(const Node& node, const V* row) const;
  template <Walk kind>
  void Descend(int32_t (&at)[kLanes], const V* const (&row)[kLanes]) const;
  void Descend(int32_t (&at)[kLanes], const V* const (&row)[kLanes]) const;
  bool IsMember(V x, int32_t set) const;

  std::vector<Node> nodes_;
  std::vector<int32_t> leaf_of_;        ///< per node: which leaf it is
  std::vector<int32_t> roots_;
  std::vector<V> members_;              ///< sorted within each set
  std::vector<int32_t> sets_;           ///< where each set starts in members_, and the end
  std::vector<char> seen_;              ///< while building
  int64_t features_ = 0;
  Walk walk_ = Walk::kPlain;
};

extern template class Forest<float>;
extern template class Forest<double>;

}  // namespace linnet
