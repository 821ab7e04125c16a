// Building and walking forests.
#include "ops/tree_forest.h"

#include <math.h>
#include <string.h>

#include <algorithm>

namespace linnet {

namespace {

/// The number before `t`, passing over denormal ones: where the processor takes those for zero, they are no numbers.
template <class V>
V Before(V t) {
  if (t == -INFINITY) return std::numeric_limits<V>::quiet_NaN();   // nothing is below
  const V smallest = std::numeric_limits<V>::min();
  if (t > smallest || t <= -smallest) return std::nextafter(t, V(-INFINITY));
  return t > 0 ? V(0) : -smallest;
}

}  // namespace

template <class V>
Status Forest<V>::Build(const RawForest& raw) {
  if (raw.nodes.size() > (size_t{1} << 29)) return LimitReached(raw.nodes.size(), " tree nodes are too many");
  seen_.assign(raw.nodes.size(), 0);
  nodes_.reserve(raw.nodes.size() * 2);
  sets_.push_back(0);
  for (const RawForest::Branch& root : raw.roots) {
    roots_.push_back(static_cast<int32_t>(nodes_.size()));
    LINNET_TRY(Place(raw, root));
  }
  seen_ = {};
  if (!roots_.empty()) features_ = std::max<int64_t>(features_, 1);   // leaves look at feature 0
  return Status();
}

template <class V>
Status Forest<V>::Place(const RawForest& raw, RawForest::Branch root) {
  struct Open {
    RawForest::Branch from;
    int32_t slot;
  };
  auto add = [this] {
    nodes_.emplace_back();
    leaf_of_.push_back(0);
    return static_cast<int32_t>(nodes_.size()) - 1;
  };
  std::vector<Open> open{{root, add()}};
  while (!open.empty()) {
    const Open next = open.back();
    open.pop_back();
    if (next.from.leaf) {
      nodes_[static_cast<size_t>(next.slot)] = {std::numeric_limits<V>::quiet_NaN(), 0, next.slot};
      leaf_of_[static_cast<size_t>(next.slot)] = static_cast<int32_t>(next.from.to);
      continue;
    }
    const int64_t id = next.from.to;
    if (id < 0 || id >= static_cast<int64_t>(raw.nodes.size())) return InvalidModel("tree node ", id, " does not exist");
    if (seen_[static_cast<size_t>(id)]) return InvalidModel("tree node ", id, " is reached twice");
    seen_[static_cast<size_t>(id)] = 1;
    const RawForest::Node& node = raw.nodes[static_cast<size_t>(id)];
    if (node.feature < 0 || node.feature > kFeature) return InvalidModel("tree node ", id, " asks for feature ", node.feature);
    features_ = std::max(features_, node.feature + 1);

    V threshold = static_cast<V>(node.threshold);
    int32_t feature = static_cast<int32_t>(node.feature);
    bool swapped = false, nan_right = node.nan_is_true;
    switch (node.mode) {
      case TreeMode::kGte:
      case TreeMode::kLt:
        threshold = Before(threshold);
        swapped = node.mode == TreeMode::kGte;
        break;
      case TreeMode::kGt: swapped = true; break;
      case TreeMode::kEq: feature |= kEqual; break;
      case TreeMode::kNeq:
        feature |= kEqual;
        swapped = true;
        break;
      case TreeMode::kMember: {
        feature |= kMember;
        const int32_t set = static_cast<int32_t>(sets_.size()) - 1;
        for (int64_t i = node.first_member; i < node.member_end; ++i) members_.push_back(static_cast<V>(raw.members[static_cast<size_t>(i)]));
        std::sort(members_.begin() + sets_.back(), members_.end());
        sets_.push_back(static_cast<int32_t>(members_.size()));
        memcpy(&threshold, &set, sizeof set);
        break;
      }
      case TreeMode::kLeq: break;
    }
    if (swapped) nan_right = !nan_right;
    if (nan_right) feature |= kNanRight;
    if (feature & (kEqual | kMember)) {
      walk_ = Walk::kAny;
    } else if (nan_right && walk_ == Walk::kPlain) {
      walk_ = Walk::kNan;
    }
    const int32_t left = add(), right = add();
    nodes_[static_cast<size_t>(next.slot)] = {threshold, feature, left};
    open.push_back({swapped ? node.yes : node.no, left});
    open.push_back({swapped ? node.no : node.yes, right});
  }
  return Status();
}

template <class V>
bool Forest<V>::IsMember(V x, int32_t set) const {
  auto begin = members_.begin() + sets_[static_cast<size_t>(set)], end = members_.begin() + sets_[static_cast<size_t>(set) + 1];
  return std::binary_search(begin, end, x);
}

template <class V>
template <typename Forest<V>::Walk kind>
inline bool Forest<V>::Right(const Node& node, const V* row) const {
  if constexpr (kind == Walk::kPlain) return row[node.feature] <= node.threshold;
  const V x = row[node.feature & kFeature];
  if (kind == Walk::kAny && (node.feature & (kEqual | kMember))) {
    if (x != x) return (node.feature & kNanRight) != 0;
    if (node.feature & kEqual) return x == node.threshold;
    int32_t set;
    memcpy(&set, &node.threshold, sizeof set);
    return IsMember(x, set);
  }
  return (x <= node.threshold) | ((x != x) & ((node.feature & kNanRight) != 0));
}

template <class V>
template <typename Forest<V>::Walk kind>
inline void Forest<V>::Descend(int32_t (&at)[kLanes], const V* const (&row)[kLanes]) const {
  const Node* nodes = nodes_.data();
  int32_t moved;
  do {
    moved = 0;
    LINNET_UNROLL
    for (int lane = 0; lane < kLanes; ++lane) {
      const Node& node = nodes[at[lane]];
      const int32_t next = node.left + Right<kind>(node, row[lane]);
      moved |= next ^ at[lane];
      at[lane] = next;
    }
  } while (moved != 0);
}

template <class V>
void Forest<V>::Descend(int32_t (&at)[kLanes], const V* const (&row)[kLanes]) const {
  switch (walk_) {
    case Walk::kPlain: return Descend<Walk::kPlain>(at, row);
    case Walk::kNan: return Descend<Walk::kNan>(at, row);
    case Walk::kAny: return Descend<Walk::kAny>(at, row);
  }
}

template <class V>
void Forest<V>::WalkRows(int64_t tree, const V* rows, int64_t stride, int64_t count, int32_t* leaves) const {
  for (int64_t first = 0; first < count; first += kLanes) {
    int32_t at[kLanes];
    const V* row[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      at[lane] = roots_[static_cast<size_t>(tree)];
      row[lane] = rows + std::min(first + lane, count - 1) * stride;
    }
    Descend(at, row);
    for (int lane = 0; lane < kLanes && first + lane < count; ++lane) leaves[first + lane] = leaf_of_[static_cast<size_t>(at[lane])];
  }
}

template <class V>
void Forest<V>::WalkTrees(int64_t begin, int64_t end, const V* row, int32_t* leaves) const {
  for (int64_t first = begin; first < end; first += kLanes) {
    int32_t at[kLanes];
    const V* same[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      at[lane] = roots_[static_cast<size_t>(std::min(first + lane, end - 1))];
      same[lane] = row;
    }
    Descend(at, same);
    for (int lane = 0; lane < kLanes && first + lane < end; ++lane) leaves[first + lane] = leaf_of_[static_cast<size_t>(at[lane])];
  }
}

template class Forest<float>;
template class Forest<double>;

}  // namespace linnet
