// TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble: every row walks every tree from its root to a leaf.
//
// The ordinary operator checks the trees when it prepares them, which does not happen here: links and lengths are checked
// while walking.
#include <math.h>

#include <algorithm>
#include <map>

#include "providers/reference/families.h"
#include "providers/reference/learning.h"

namespace linnet::reference {
namespace {

struct Branch {
  int64_t to = -1;
  bool leaf = false;
};
struct TreeNode {
  std::string mode;
  int64_t feature = 0;
  double threshold = 0;
  bool nan_is_true = false;
  std::vector<double> members;
  Branch yes, no;
};
struct Vote {
  int64_t leaf, target;
  double weight;
};
struct Forest {
  std::vector<TreeNode> nodes;
  std::vector<Branch> roots;
  std::vector<Vote> votes;
};

bool Answer(const TreeNode& node, double x) {
  if (isnan(x)) return node.nan_is_true;
  if (node.mode == "BRANCH_LEQ") return x <= node.threshold;
  if (node.mode == "BRANCH_LT") return x < node.threshold;
  if (node.mode == "BRANCH_GTE") return x >= node.threshold;
  if (node.mode == "BRANCH_GT") return x > node.threshold;
  if (node.mode == "BRANCH_EQ") return x == node.threshold;
  if (node.mode == "BRANCH_NEQ") return x != node.threshold;
  return std::count(node.members.begin(), node.members.end(), x) > 0;
}

/// The numbers of a list given as floats, or as a tensor.
std::vector<double> Numbers(const Call& c, const std::string& name) {
  const std::vector<float> floats = c.Floats(name);
  std::vector<double> out(floats.begin(), floats.end());
  for (const std::string& key : {name, name + "_as_tensor"}) {
    const Tensor tensor = c.TensorOf(key);
    for (int64_t i = 0; tensor.has_data() && i < tensor.elements(); ++i)
      out.push_back(Load<double>(tensor.dtype(), tensor.data(), i));
  }
  return out;
}

Status SameLength(std::initializer_list<size_t> lengths) {
  for (size_t length : lengths) {
    if (length != *lengths.begin()) return InvalidModel("the trees' attributes have different lengths");
  }
  return Status();
}

/// Nodes, leaves among them, and votes, named by (tree id, node id). A leaf's number is that of its node.
Result<Forest> ForestById(const Call& c, const std::string& votes) {
  const std::vector<int64_t> trees = c.Ints("nodes_treeids"), ids = c.Ints("nodes_nodeids"),
                             features = c.Ints("nodes_featureids"), yes = c.Ints("nodes_truenodeids"),
                             no = c.Ints("nodes_falsenodeids"), nan_true = c.Ints("nodes_missing_value_tracks_true");
  const std::vector<std::string> modes = c.Texts("nodes_modes");
  const std::vector<double> thresholds = Numbers(c, "nodes_values"), weights = Numbers(c, votes + "_weights");
  const std::vector<int64_t> vote_trees = c.Ints(votes + "_treeids"), vote_nodes = c.Ints(votes + "_nodeids"),
                             targets = c.Ints(votes + "_ids");
  LINNET_TRY(SameLength({trees.size(), ids.size(), features.size(), yes.size(), no.size(), modes.size(), thresholds.size()}));
  LINNET_TRY(SameLength({vote_trees.size(), vote_nodes.size(), targets.size(), weights.size()}));
  if (!nan_true.empty()) LINNET_TRY(SameLength({nan_true.size(), ids.size()}));
  std::map<std::pair<int64_t, int64_t>, int64_t> index;
  for (size_t i = 0; i < ids.size(); ++i) index[{trees[i], ids[i]}] = static_cast<int64_t>(i);
  Status missing;
  auto find = [&](int64_t tree, int64_t id) -> Branch {
    const auto at = index.find({tree, id});
    if (at != index.end()) return {at->second, modes[U(at->second)] == "LEAF"};
    missing = InvalidModel("node ", id, " of tree ", tree, " does not exist");
    return {};
  };
  Forest forest;
  std::map<int64_t, bool> seen;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!std::exchange(seen[trees[i]], true)) forest.roots.push_back(find(trees[i], ids[i]));   // a tree's first node is its root
    TreeNode node{modes[i], features[i], thresholds[i], !nan_true.empty() && nan_true[i] != 0, {}, {}, {}};
    if (modes[i] != "LEAF") node.yes = find(trees[i], yes[i]), node.no = find(trees[i], no[i]);
    forest.nodes.push_back(node);
  }
  for (size_t i = 0; i < weights.size(); ++i)
    forest.votes.push_back({find(vote_trees[i], vote_nodes[i]).to, targets[i], weights[i]});
  LINNET_TRY(std::move(missing));
  return forest;
}

/// Interior nodes and leaves apart, linked by position (version 5).
Result<Forest> ForestByPosition(const Call& c) {
  constexpr const char* kModes[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",   "BRANCH_GT",
                                    "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER"};
  const std::vector<int64_t> features = c.Ints("nodes_featureids"), yes = c.Ints("nodes_truenodeids"),
                             no = c.Ints("nodes_falsenodeids"), yes_leaf = c.Ints("nodes_trueleafs"),
                             no_leaf = c.Ints("nodes_falseleafs"), nan_true = c.Ints("nodes_missing_value_tracks_true"),
                             targets = c.Ints("leaf_targetids");
  const std::vector<double> modes = Numbers(c, "nodes_modes"), thresholds = Numbers(c, "nodes_splits"),
                            weights = Numbers(c, "leaf_weights"), members = Numbers(c, "membership_values");
  LINNET_TRY(
      SameLength({features.size(), yes.size(), no.size(), yes_leaf.size(), no_leaf.size(), modes.size(), thresholds.size()}));
  LINNET_TRY(SameLength({targets.size(), weights.size()}));
  if (!nan_true.empty()) LINNET_TRY(SameLength({nan_true.size(), features.size()}));
  Forest forest;
  size_t member = 0;
  for (size_t i = 0; i < features.size(); ++i) {
    if (!(modes[i] >= 0 && modes[i] <= 6)) return InvalidModel("attribute 'nodes_modes' has ", modes[i]);
    TreeNode node{kModes[static_cast<int>(modes[i])],
                  features[i],
                  thresholds[i],
                  !nan_true.empty() && nan_true[i] != 0,
                  {},
                  {yes[i], yes_leaf[i] != 0},
                  {no[i], no_leaf[i] != 0}};
    if (modes[i] == 6) {   // sets come in the order of their nodes, each ended by NaN
      for (; member < members.size() && !isnan(members[member]); ++member) node.members.push_back(members[member]);
      ++member;
    }
    forest.nodes.push_back(node);
  }
  for (int64_t root : c.Ints("tree_roots")) forest.roots.push_back({root, false});
  for (size_t i = 0; i < weights.size(); ++i) forest.votes.push_back({static_cast<int64_t>(i), targets[i], weights[i]});
  return forest;
}

/// [rows, targets]: the votes of the leaves each row reaches, summed, averaged, or their least or largest (0 without any).
Result<Reals> Scores(const Forest& forest, const Reals& x, int64_t targets, const std::string& aggregate) {
  std::multimap<int64_t, Vote> votes;
  for (const Vote& vote : forest.votes) {
    if (vote.target < 0 || vote.target >= targets) return InvalidModel("a vote is for target ", vote.target, " of ", targets);
    votes.emplace(vote.leaf, vote);
  }
  Reals scores(Shape{x.shape[0], targets});
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    std::vector<char> voted(U(targets), 0);
    for (Branch at : forest.roots) {
      for (size_t steps = 0; !at.leaf; ++steps) {
        if (at.to < 0 || U(at.to) >= forest.nodes.size() || steps > forest.nodes.size()) return InvalidModel("a tree has no end");
        const TreeNode& node = forest.nodes[U(at.to)];
        if (node.feature < 0 || node.feature >= x.shape[1])
          return InvalidArgument("input has ", x.shape[1], " features where feature ", node.feature, " is asked for");
        at = Answer(node, x[row * x.shape[1] + node.feature]) ? node.yes : node.no;
      }
      const auto [first, last] = votes.equal_range(at.to);
      for (auto it = first; it != last; ++it) {
        double& score = scores[row * targets + it->second.target];
        const double weight = it->second.weight;
        const bool fresh = !std::exchange(voted[U(it->second.target)], char{1});
        if (aggregate == "MIN") score = fresh ? weight : std::min(score, weight);
        else if (aggregate == "MAX") score = fresh ? weight : std::max(score, weight);
        else score += weight;
      }
    }
  }
  if (aggregate == "AVERAGE") {
    for (double& score : scores.data) score /= static_cast<double>(forest.roots.size());
  }
  return scores;
}

Status AddBase(const Call& c, Reals* scores) {
  const std::vector<double> base = Numbers(c, "base_values");
  if (base.empty()) return Status();
  LINNET_TRY(SameLength({base.size(), U(scores->shape[1])}));
  for (int64_t i = 0; i < scores->size(); ++i) (*scores)[i] += base[U(i % scores->shape[1])];
  return Status();
}

Status TreeEnsembleRegressor(Call& c) {
  LINNET_ASSIGN(const Forest forest, ForestById(c, "target"));
  LINNET_ASSIGN(Reals scores, Scores(forest, Features(c), c.Int("n_targets", 1), c.Text("aggregate_function", "SUM")));
  LINNET_TRY(AddBase(c, &scores));
  Transform(c.Text("post_transform", "NONE"), &scores);
  return c.Out(0, scores);
}

Status TreeEnsemble(Call& c) {
  constexpr const char *kTransforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"},
                       *kAggregates[] = {"AVERAGE", "SUM", "MIN", "MAX"};
  LINNET_ASSIGN(const Forest forest, ForestByPosition(c));
  LINNET_ASSIGN(Reals scores, Scores(forest, Features(c), c.out_shape()[1], kAggregates[c.Int("aggregate_function", 1)]));
  Transform(kTransforms[c.Int("post_transform", 0)], &scores);
  return c.Out(0, scores);
}

/// The class with the largest score wins. When all votes are for the first of two classes, their sum speaks for the second:
/// as a probability when no weight is negative and nothing is left to transform, otherwise as a margin.
Status TreeEnsembleClassifier(Call& c) {
  const int64_t classes = static_cast<int64_t>(c.Ints("classlabels_int64s").size() + c.Texts("classlabels_strings").size());
  const std::string post = c.Text("post_transform", "NONE");
  LINNET_ASSIGN(const Forest forest, ForestById(c, "class"));
  LINNET_ASSIGN(Reals scores, Scores(forest, Features(c), classes, "SUM"));
  const std::vector<double> base = Numbers(c, "base_values");
  bool votes[2] = {false, false}, positive = true;
  for (const Vote& vote : forest.votes) votes[vote.target == 0 ? 0 : 1] = true, positive = positive && vote.weight >= 0;
  const bool two = classes == 2 && votes[0] != votes[1] && base.size() != 2;
  const bool probability = two && positive && (post == "NONE" || post == "PROBIT");
  if (two && base.size() == 1) {
    for (int64_t row = 0; row < scores.shape[0]; ++row) scores[2 * row + (votes[0] ? 0 : 1)] += base[0];
  } else {
    LINNET_TRY(AddBase(c, &scores));
  }
  std::vector<int64_t> best;
  for (int64_t row = 0; row < scores.shape[0]; ++row) {
    double* s = scores.data.data() + row * classes;
    if (two && votes[0]) s[1] = s[0], s[0] = probability ? 1 - s[1] : -s[1];
    best.push_back(probability ? (s[1] > 0.5 ? 1 : 0) : std::max_element(s, s + classes) - s);
  }
  LINNET_TRY(PutLabels(c, best, "classlabels_int64s", "classlabels_strings"));
  Transform(post, &scores);
  return c.Out(1, scores);
}

constexpr Row kRows[] = {
    {"TreeEnsembleClassifier", TreeEnsembleClassifier, "ai.onnx.ml"},
    {"TreeEnsembleRegressor", TreeEnsembleRegressor, "ai.onnx.ml"}, {"TreeEnsemble", TreeEnsemble, "ai.onnx.ml"},
};

}  // namespace

std::span<const Row> TreeRows() { return kRows; }

}  // namespace linnet::reference
