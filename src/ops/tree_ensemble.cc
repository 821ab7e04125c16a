// TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble: forests of decision trees.
//
// Versions 1 and 3 list nodes with a tree id and a node id, leaves among them, and votes by the ids of leaves; version 5's
// TreeEnsemble lists interior nodes and leaves apart and links them by position.
// A classifier whose votes are all for the first of two classes is a convention of exporters: the sum speaks for the
// second class. It is a probability p when all weights are positive and nothing is left to transform (scores 1 - p and p,
// above 1/2 wins), otherwise a margin (scores -p and p, above 0 wins).
#include <algorithm>

#include "ops/tree_scores.h"

namespace linnet {
namespace {

constexpr int64_t kTargetsMax = 1 << 24;

/// A list of numbers given as floats, or as a tensor under another name.
Status ParseNumbers(const Node& node, const std::string& name, std::vector<double>* values, bool* doubles) {
  LINNET_ASSIGN(std::vector<float> floats, node.Floats(name));
  values->assign(floats.begin(), floats.end());
  const std::string tensor_name = name + "_as_tensor";
  if (!node.Has(tensor_name)) return Status();
  LINNET_ASSIGN(Tensor tensor, node.TensorOf(tensor_name));
  if (!tensor.shape().is_static() || !(Mask(tensor.dtype()) & (Mask(DType::kFloat) | Mask(DType::kDouble)))) {
    return InvalidModel("attribute ", Quote(tensor_name), " is ", ToString(tensor.type()), " where floats or doubles are expected");
  }
  if (tensor.elements() == 0) return Status();
  values->resize(static_cast<size_t>(tensor.elements()));
  LoadNumbers(tensor.dtype(), tensor.data(), 0, tensor.elements(), values->data());
  *doubles = *doubles || tensor.dtype() == DType::kDouble;
  return Status();
}

Result<TreeMode> ParseMode(const std::string& name) {
  const char* const names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"};
  for (int i = 0; i < 6; ++i) {
    if (name == names[i]) return static_cast<TreeMode>(i);
  }
  return InvalidModel("attribute 'nodes_modes' has ", Quote(name));
}

Result<TreeAggregate> ParseAggregate(const std::string& name) {
  if (name == "SUM") return TreeAggregate::kSum;
  if (name == "AVERAGE") return TreeAggregate::kAverage;
  if (name == "MIN") return TreeAggregate::kMin;
  if (name == "MAX") return TreeAggregate::kMax;
  return InvalidModel("attribute 'aggregate_function' is ", Quote(name), "; known: SUM, AVERAGE, MIN, MAX");
}

/// What a model says, until Prepare has built the forest.
struct Description {
  RawForest forest;
  TreeVotes votes;
  std::vector<double> base;
  bool doubles = false;
};

/// Nodes by (tree id, node id).
class NodeIds {
 public:
  Status Set(const std::vector<int64_t>& trees, const std::vector<int64_t>& nodes) {
    for (size_t i = 0; i < trees.size(); ++i) ids_.push_back({trees[i], nodes[i], static_cast<int64_t>(i)});
    std::sort(ids_.begin(), ids_.end(), Less);
    for (size_t i = 1; i < ids_.size(); ++i) {
      if (!Less(ids_[i - 1], ids_[i])) return InvalidModel("node ", ids_[i].node, " of tree ", ids_[i].tree, " is listed twice");
    }
    return Status();
  }
  Result<int64_t> Find(int64_t tree, int64_t node) const {
    const Id wanted{tree, node, 0};
    auto it = std::lower_bound(ids_.begin(), ids_.end(), wanted, Less);
    if (it == ids_.end() || Less(wanted, *it)) return InvalidModel("node ", node, " of tree ", tree, " does not exist");
    return it->index;
  }

 private:
  struct Id {
    int64_t tree, node, index;
  };
  static bool Less(const Id& a, const Id& b) { return a.tree != b.tree ? a.tree < b.tree : a.node < b.node; }
  std::vector<Id> ids_;
};

/// Versions 1 and 3. `votes`: "class" or "target".
Status ParseById(const Node& node, const std::string& votes, int64_t targets, Description& d) {
  LINNET_ASSIGN(std::vector<int64_t> trees, node.Ints("nodes_treeids"));
  LINNET_ASSIGN(std::vector<int64_t> ids, node.Ints("nodes_nodeids"));
  LINNET_ASSIGN(std::vector<int64_t> features, node.Ints("nodes_featureids"));
  LINNET_ASSIGN(std::vector<int64_t> yes, node.Ints("nodes_truenodeids"));
  LINNET_ASSIGN(std::vector<int64_t> no, node.Ints("nodes_falsenodeids"));
  LINNET_ASSIGN(std::vector<int64_t> nan_true, node.Ints("nodes_missing_value_tracks_true"));
  LINNET_ASSIGN(std::vector<std::string> modes, node.Strings("nodes_modes"));
  std::vector<double> thresholds;
  LINNET_TRY(ParseNumbers(node, "nodes_values", &thresholds, &d.doubles));
  const size_t count = ids.size();
  if (trees.size() != count || features.size() != count || yes.size() != count || no.size() != count || modes.size() != count ||
      thresholds.size() != count || (!nan_true.empty() && nan_true.size() != count)) {
    return InvalidModel("the attributes 'nodes_*' have different lengths");
  }
  NodeIds by_id;
  LINNET_TRY(by_id.Set(trees, ids));

  // Leaves are numbered in the order of the nodes.
  std::vector<int64_t> leaf_of(count, -1);
  int64_t leaves = 0;
  for (size_t i = 0; i < count; ++i) {
    if (modes[i] == "LEAF") leaf_of[i] = leaves++;
  }
  auto branch = [&](size_t index) {
    return leaf_of[index] < 0 ? RawForest::Branch{static_cast<int64_t>(index), false} : RawForest::Branch{leaf_of[index], true};
  };
  d.forest.nodes.resize(count);
  std::vector<int64_t> known_trees;
  for (size_t i = 0; i < count; ++i) {
    // The first node of a tree is its root; trees mostly come one after the other.
    if (i == 0 || trees[i] != trees[i - 1]) {
      if (std::find(known_trees.begin(), known_trees.end(), trees[i]) == known_trees.end()) {
        known_trees.push_back(trees[i]);
        d.forest.roots.push_back(branch(i));
      }
    }
    if (leaf_of[i] >= 0) continue;
    RawForest::Node& raw = d.forest.nodes[i];
    LINNET_ASSIGN(raw.mode, ParseMode(modes[i]));
    raw.nan_is_true = !nan_true.empty() && nan_true[i] != 0;
    raw.feature = features[i];
    raw.threshold = thresholds[i];
    LINNET_ASSIGN(int64_t to, by_id.Find(trees[i], yes[i]));
    raw.yes = branch(static_cast<size_t>(to));
    LINNET_ASSIGN(to, by_id.Find(trees[i], no[i]));
    raw.no = branch(static_cast<size_t>(to));
  }

  LINNET_ASSIGN(std::vector<int64_t> vote_trees, node.Ints(votes + "_treeids"));
  LINNET_ASSIGN(std::vector<int64_t> vote_nodes, node.Ints(votes + "_nodeids"));
  LINNET_ASSIGN(std::vector<int64_t> vote_targets, node.Ints(votes + "_ids"));
  std::vector<double> weights;
  LINNET_TRY(ParseNumbers(node, votes + "_weights", &weights, &d.doubles));
  const size_t vote_count = vote_trees.size();
  if (vote_nodes.size() != vote_count || vote_targets.size() != vote_count || weights.size() != vote_count) {
    return InvalidModel("the attributes '", votes, "_*' have different lengths");
  }
  // Votes in the order of their leaves, otherwise as listed.
  std::vector<std::pair<int64_t, size_t>> order;
  for (size_t i = 0; i < vote_count; ++i) {
    if (vote_targets[i] < 0 || vote_targets[i] >= targets) return InvalidModel("a vote is for target ", vote_targets[i], " of ", targets);
    LINNET_ASSIGN(int64_t index, by_id.Find(vote_trees[i], vote_nodes[i]));
    if (leaf_of[static_cast<size_t>(index)] >= 0) order.emplace_back(leaf_of[static_cast<size_t>(index)], i);
  }
  std::sort(order.begin(), order.end());
  d.votes.begin.assign(static_cast<size_t>(leaves) + 1, 0);
  for (const auto& [leaf, i] : order) {
    ++d.votes.begin[static_cast<size_t>(leaf) + 1];
    d.votes.target.push_back(static_cast<int32_t>(vote_targets[i]));
    d.votes.weight.push_back(weights[i]);
  }
  for (size_t leaf = 0; leaf < static_cast<size_t>(leaves); ++leaf) d.votes.begin[leaf + 1] += d.votes.begin[leaf];
  return ParseNumbers(node, "base_values", &d.base, &d.doubles);
}

/// What the three operators share. Parse looks at the small attributes alone: a node is parsed whenever types are
/// inferred. Prepare reads the forest.
struct TreeBase {
  PostTransform post = PostTransform::kNone;
  int64_t targets = 1;
  TreeAggregate aggregate = TreeAggregate::kSum;
  const Node* node = nullptr;    ///< until Prepare
  AnyTreeScores scores;

  Status CheckTargets(int64_t count) {
    if (count < 1 || count > kTargetsMax) return InvalidModel(count, " targets");
    targets = count;
    return Status();
  }
  Status Build(PrepareContext& c, const Description& d) {
    // When the type of the input is not known doubles serve all.
    const bool in_double = d.doubles || c.dtype(0) == DType::kDouble || c.dtype(0) == DType::kUndefined;
    node = nullptr;
    return scores.Build(in_double, d.forest, d.votes, targets, aggregate, d.base);
  }
  Status Bind(BindContext& c) const { return scores.Bind(c); }
};

struct TreeRegressor : TreeBase {
  Status Parse(const Node& parsed) {
    node = &parsed;
    LINNET_ASSIGN(post, ParsePostTransform(parsed));
    LINNET_ASSIGN(int64_t count, parsed.Int("n_targets", 1));
    LINNET_TRY(CheckTargets(count));
    LINNET_ASSIGN(std::string function, parsed.String("aggregate_function", "SUM"));
    LINNET_ASSIGN(aggregate, ParseAggregate(function));
    return Status();
  }
  Status Prepare(PrepareContext& c) {
    Description d;
    LINNET_TRY(ParseById(*node, "target", targets, d));
    if (!d.base.empty() && d.base.size() != static_cast<size_t>(targets)) {
      return InvalidModel("attribute 'base_values' has ", d.base.size(), " values for ", targets, " targets");
    }
    return Build(c, d);
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kMlNumbers));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    return c.SetOutput(0, DType::kFloat, {rows, targets});
  }
  Status Run(RunContext& c) const {
    float* out = c.out<float>(0);
    return scores.ForEachRow(c, [&]<class V>(int64_t row, V* values) {
      ApplyPostTransform(post, values, targets);
      for (int64_t t = 0; t < targets; ++t) out[row * targets + t] = static_cast<float>(values[t]);
    });
  }
};

struct TreeClassifier : TreeBase {
  ClassLabels labels;
  bool margin_first = false;   ///< two classes, all votes for the first: see above
  bool probability = false;    ///< two classes, all votes for one: the sum is a probability
  std::vector<double> base;    ///< of margin_first

  Status Parse(const Node& parsed) {
    node = &parsed;
    LINNET_ASSIGN(post, ParsePostTransform(parsed));
    LINNET_TRY(labels.Parse(parsed, "classlabels_int64s", "classlabels_strings"));
    return CheckTargets(labels.size());
  }
  Status Prepare(PrepareContext& c) {
    Description d;
    LINNET_TRY(ParseById(*node, "class", targets, d));
    bool all_positive = true, votes[2] = {false, false};
    for (size_t i = 0; i < d.votes.target.size(); ++i) {
      votes[std::min(d.votes.target[i], 1)] = true;
      all_positive = all_positive && d.votes.weight[i] >= 0;
    }
    margin_first = targets == 2 && votes[0] && !votes[1] && d.base.size() != 2;
    probability = targets == 2 && votes[0] != votes[1] && all_positive && d.base.size() != 2 &&
                  (post == PostTransform::kNone || post == PostTransform::kProbit);
    if (margin_first) base.swap(d.base);
    // One base value for two classes belongs to the one that is voted for.
    if (targets == 2 && d.base.size() == 1 && !votes[0]) d.base.insert(d.base.begin(), 0);
    const size_t given = std::max(base.size(), d.base.size());
    if (given != 0 && given != static_cast<size_t>(margin_first ? 1 : targets)) {
      return InvalidModel("attribute 'base_values' has ", given, " values for ", targets, " classes");
    }
    return Build(c, d);
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kMlNumbers));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    LINNET_TRY(c.SetOutput(0, labels.dtype(), {rows}));
    return c.SetOutput(1, DType::kFloat, {rows, targets});
  }
  Status Run(RunContext& c) const {
    float* out = c.has_output(1) ? c.out<float>(1) : nullptr;
    return scores.ForEachRow(c, [&]<class V>(int64_t row, V* values) {
      if (margin_first) {
        values[1] = values[0] + (base.empty() ? V(0) : static_cast<V>(base[0]));
        values[0] = probability ? 1 - values[1] : -values[1];
      }
      int64_t best = 0;
      for (int64_t t = 1; t < targets; ++t) best = values[t] > values[best] ? t : best;
      if (probability) best = values[1] > V(0.5) ? 1 : 0;
      labels.Put(c, row, best);
      ApplyPostTransform(post, values, targets);
      for (int64_t t = 0; out && t < targets; ++t) out[row * targets + t] = static_cast<float>(values[t]);
    });
  }
};

/// Version 5.
struct TreeEnsemble : TreeBase {
  Status Parse(const Node& parsed) {
    node = &parsed;
    LINNET_ASSIGN(int64_t transform, parsed.Int("post_transform", 0));
    const PostTransform transforms[] = {PostTransform::kNone, PostTransform::kSoftmax, PostTransform::kLogistic,
                                        PostTransform::kSoftmaxZero, PostTransform::kProbit};
    if (transform < 0 || transform > 4) return InvalidModel("attribute 'post_transform' is ", transform, "; known: 0 to 4");
    post = transforms[transform];
    LINNET_ASSIGN(int64_t function, parsed.Int("aggregate_function", 1));
    if (function < 0 || function > 3) return InvalidModel("attribute 'aggregate_function' is ", function, "; known: 0 to 3");
    aggregate = static_cast<TreeAggregate>(function);

    int64_t most = 0;
    if (!parsed.Has("n_targets")) {
      LINNET_ASSIGN(std::vector<int64_t> leaf_targets, parsed.Ints("leaf_targetids"));
      for (int64_t target : leaf_targets) most = std::max(most, target);
    }
    LINNET_ASSIGN(int64_t count, parsed.Int("n_targets", std::min(most, kTargetsMax) + 1));
    return CheckTargets(count);
  }
  Status Prepare(PrepareContext& c) {
    Description d;
    LINNET_TRY(ParseLeaves(d));
    LINNET_TRY(ParseNodes(d));
    LINNET_TRY(ParseRoots(d));
    return Build(c, d);
  }

  Status ParseLeaves(Description& d) {
    LINNET_ASSIGN(std::vector<int64_t> leaf_targets, node->Ints("leaf_targetids"));
    std::vector<double> weights;
    LINNET_TRY(Numbers("leaf_weights", &weights, d));
    if (weights.size() != leaf_targets.size()) {
      return InvalidModel("attributes 'leaf_weights' and 'leaf_targetids' have ", weights.size(), " and ", leaf_targets.size(), " entries");
    }
    for (size_t i = 0; i < weights.size(); ++i) {
      if (leaf_targets[i] < 0 || leaf_targets[i] >= targets) return InvalidModel("a leaf votes for target ", leaf_targets[i], " of ", targets);
      d.votes.target.push_back(static_cast<int32_t>(leaf_targets[i]));
      d.votes.begin.push_back(static_cast<int64_t>(i) + 1);
    }
    d.votes.weight = std::move(weights);
    return Status();
  }

  Status ParseNodes(Description& d) {
    const int64_t leaves = static_cast<int64_t>(d.votes.target.size());
    LINNET_ASSIGN(std::vector<int64_t> features, node->Ints("nodes_featureids"));
    LINNET_ASSIGN(std::vector<int64_t> yes, node->Ints("nodes_truenodeids"));
    LINNET_ASSIGN(std::vector<int64_t> no, node->Ints("nodes_falsenodeids"));
    LINNET_ASSIGN(std::vector<int64_t> yes_leaf, node->Ints("nodes_trueleafs"));
    LINNET_ASSIGN(std::vector<int64_t> no_leaf, node->Ints("nodes_falseleafs"));
    LINNET_ASSIGN(std::vector<int64_t> nan_true, node->Ints("nodes_missing_value_tracks_true"));
    LINNET_ASSIGN(Tensor modes, node->TensorOf("nodes_modes"));
    std::vector<double> thresholds;
    LINNET_TRY(Numbers("nodes_splits", &thresholds, d));
    const size_t count = features.size();
    if (modes.dtype() != DType::kUint8 || modes.elements() != static_cast<int64_t>(count)) {
      return InvalidModel("attribute 'nodes_modes' is ", ToString(modes.type()), " where uint8[", count, "] is expected");
    }
    if (yes.size() != count || no.size() != count || yes_leaf.size() != count || no_leaf.size() != count ||
        thresholds.size() != count || (!nan_true.empty() && nan_true.size() != count)) {
      return InvalidModel("the attributes 'nodes_*' have different lengths");
    }
    if (node->Has("membership_values")) LINNET_TRY(Numbers("membership_values", &d.forest.members, d));
    const std::vector<double>& members = d.forest.members;
    size_t member = 0;
    for (size_t i = 0; i < count; ++i) {
      RawForest::Node raw;
      const uint8_t mode = modes.as<uint8_t>()[i];
      if (mode > 6) return InvalidModel("attribute 'nodes_modes' has ", mode, "; known: 0 to 6");
      raw.mode = static_cast<TreeMode>(mode);
      raw.nan_is_true = !nan_true.empty() && nan_true[i] != 0;
      raw.feature = features[i];
      raw.threshold = thresholds[i];
      raw.yes = {yes[i], yes_leaf[i] != 0};
      raw.no = {no[i], no_leaf[i] != 0};
      for (const RawForest::Branch& branch : {raw.yes, raw.no}) {
        if (branch.leaf && (branch.to < 0 || branch.to >= leaves)) return InvalidModel("leaf ", branch.to, " of ", leaves, " does not exist");
      }
      if (raw.mode == TreeMode::kMember) {
        // Sets come in the order of their nodes, each ended by NaN.
        if (member >= members.size()) return InvalidModel("attribute 'membership_values' has too few sets");
        raw.first_member = static_cast<int64_t>(member);
        while (member < members.size() && members[member] == members[member]) ++member;
        raw.member_end = static_cast<int64_t>(member++);
      }
      d.forest.nodes.push_back(raw);
    }
    return Status();
  }

  Status ParseRoots(Description& d) {
    LINNET_ASSIGN(std::vector<int64_t> roots, node->Ints("tree_roots"));
    for (int64_t root : roots) {
      if (root < 0 || root >= static_cast<int64_t>(d.forest.nodes.size())) return InvalidModel("tree root ", root, " does not exist");
      // A tree that is one leaf is written as a node whose branches are both that leaf.
      const RawForest::Node& raw = d.forest.nodes[static_cast<size_t>(root)];
      const bool is_leaf = raw.yes.leaf && raw.no.leaf && raw.yes.to == raw.no.to;
      d.forest.roots.push_back(is_leaf ? raw.yes : RawForest::Branch{root, false});
    }
    return Status();
  }

  Status Numbers(const char* name, std::vector<double>* values, Description& d) {
    LINNET_ASSIGN(Tensor tensor, node->TensorOf(name));
    const uint32_t known = Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kFloat16);
    if (!(Mask(tensor.dtype()) & known) || !tensor.shape().is_static()) {
      return InvalidModel("attribute ", Quote(name), " is ", ToString(tensor.type()), " where floating-point numbers are expected");
    }
    values->resize(static_cast<size_t>(tensor.elements()));
    LoadNumbers(tensor.dtype(), tensor.data(), 0, tensor.elements(), values->data());
    d.doubles = d.doubles || tensor.dtype() == DType::kDouble;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kFloat16)));
    LINNET_ASSIGN(int64_t rows, InferRows(c.shape(0)));
    return c.SetOutput(0, c.dtype(0), {rows, targets});
  }
  Status Run(RunContext& c) const {
    const DType dtype = c.output_dtype(0);
    return scores.ForEachRow(c, [&]<class V>(int64_t row, V* values) {
      ApplyPostTransform(post, values, targets);
      for (int64_t t = 0; t < targets; ++t) {
        const int64_t at = row * targets + t;
        if (dtype == DType::kFloat) {
          c.out<float>(0)[at] = static_cast<float>(values[t]);
        } else if (dtype == DType::kDouble) {
          c.out<double>(0)[at] = static_cast<double>(values[t]);
        } else {
          c.out<Float16>(0)[at] = ToFloat16(static_cast<float>(values[t]));
        }
      }
    });
  }
};

}  // namespace

LINNET_ML_OP(TreeEnsembleClassifier, 1, TreeClassifier);
LINNET_ML_OP(TreeEnsembleRegressor, 1, TreeRegressor);
LINNET_ML_OP(TreeEnsemble, 5, TreeEnsemble);

}  // namespace linnet
