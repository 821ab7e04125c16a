// Scores of rows from a forest: the votes at the leaves reached, aggregated by target.
//
// Many rows: blocks of rows go down one tree after the other, so that a tree's nodes stay in the cache. Few rows: the
// trees of one row are walked side by side. Votes are added in the order of the trees either way, in the type of the
// thresholds, so the result does not depend on the batch or on threads.
#pragma once

#include "ops/ml_helpers.h"
#include "ops/tree_forest.h"

namespace linnet {

enum class TreeAggregate : uint8_t { kAverage, kSum, kMin, kMax };

/// What a leaf gives to targets. Leaves are numbered from 0; `begin` has one entry more than there are leaves.
struct TreeVotes {
  std::vector<int64_t> begin{0};
  std::vector<int32_t> target;
  std::vector<double> weight;
};

template <class V>
class TreeScores {
 public:
  Status Build(const RawForest& raw, const TreeVotes& votes, int64_t targets, TreeAggregate aggregate, std::vector<double> base) {
    LINNET_TRY(forest_.Build(raw));
    targets_ = targets;
    aggregate_ = aggregate;
    begin_ = votes.begin;
    target_ = votes.target;
    weight_.assign(votes.weight.begin(), votes.weight.end());
    base_.assign(base.begin(), base.end());
    // Leaves that vote for every target in order need no list.
    dense_ = true;
    for (size_t i = 0; i < target_.size(); ++i) dense_ = dense_ && target_[i] == static_cast<int64_t>(i) % targets_;
    for (size_t leaf = 0; leaf + 1 < begin_.size(); ++leaf) dense_ = dense_ && begin_[leaf + 1] - begin_[leaf] == targets_;
    return Status();
  }
  int64_t features() const { return forest_.features(); }
  int64_t targets() const { return targets_; }

  void Bind(BindContext& c) const {
    const int64_t columns = ColumnsOf(c.shape(0));
    c.Scratch(Bytes(BlockRows(columns), columns), c.threads());
  }

  /// Calls finish(row, scores) for every row of input 0: `targets` scores that finish may change. Rows come in any order,
  /// from several threads.
  template <class F>
  Status ForEachRow(RunContext& c, F&& finish) const {
    const int64_t rows = RowsOf(c.input_shape(0)), columns = ColumnsOf(c.input_shape(0));
    if (rows < Forest<V>::kLanes) return FewRows(c, rows, columns, finish);
    const int64_t block = BlockRows(columns);
    const double ns = 10.0 * static_cast<double>(block * std::max<int64_t>(1, forest_.trees()));
    return c.ParallelFor(DivUp(rows, block), 1, ns, [&](int64_t begin, int64_t end, int worker) {
      Scratch s(c.scratch(worker), block, columns, targets_);
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * block, count = std::min(block, rows - first);
        const V* x = Load(c, first, count, columns, s.rows);
        Reset(s, count);
        for (int64_t tree = 0; tree < forest_.trees(); ++tree) {
          forest_.WalkRows(tree, x, columns, count, s.leaves);
          for (int64_t r = 0; r < count; ++r) Add(s.scores + r * targets_, s.leaves[r]);
        }
        for (int64_t r = 0; r < count; ++r) {
          Close(s.scores + r * targets_);
          finish(first + r, s.scores + r * targets_);
        }
      }
    });
  }

 private:
  struct Scratch {
    Scratch(std::byte* memory, int64_t block, int64_t columns, int64_t targets) {
      rows = reinterpret_cast<V*>(memory);
      scores = rows + block * columns;
      leaves = reinterpret_cast<int32_t*>(scores + block * targets);
    }
    V *rows, *scores;
    int32_t* leaves;
  };
  int64_t BlockRows(int64_t columns) const {
    return std::clamp<int64_t>((1 << 16) / static_cast<int64_t>(sizeof(V)) / std::max<int64_t>(1, columns + targets_), Forest<V>::kLanes, 64);
  }
  int64_t Bytes(int64_t block, int64_t columns) const {
    const int64_t lists = std::max(block, forest_.trees()) * static_cast<int64_t>(sizeof(int32_t));
    return block * (columns + targets_) * static_cast<int64_t>(sizeof(V)) + lists;
  }

  const V* Load(RunContext& c, int64_t first, int64_t count, int64_t columns, V* to) const {
    if (c.input_dtype(0) == kDTypeOf<V>) return c.in<V>(0) + first * columns;
    LoadNumbers(c.input_dtype(0), c.input(0), first * columns, count * columns, to);
    return to;
  }
  void Reset(Scratch& s, int64_t count) const {
    const V start = aggregate_ == TreeAggregate::kMin ? V(INFINITY) : aggregate_ == TreeAggregate::kMax ? V(-INFINITY) : V(0);
    std::fill_n(s.scores, count * targets_, start);
  }
  void Add(V* scores, int32_t leaf) const {
    if (dense_ && (aggregate_ == TreeAggregate::kSum || aggregate_ == TreeAggregate::kAverage)) {
      const V* weight = weight_.data() + leaf * targets_;
      for (int64_t t = 0; t < targets_; ++t) scores[t] += weight[t];
      return;
    }
    for (int64_t i = begin_[static_cast<size_t>(leaf)]; i < begin_[static_cast<size_t>(leaf) + 1]; ++i) {
      const int32_t t = target_[static_cast<size_t>(i)];
      const V weight = weight_[static_cast<size_t>(i)];
      switch (aggregate_) {
        case TreeAggregate::kMin: scores[t] = std::min(scores[t], weight); break;
        case TreeAggregate::kMax: scores[t] = std::max(scores[t], weight); break;
        default: scores[t] += weight; break;
      }
    }
  }
  void Close(V* scores) const {
    for (int64_t t = 0; t < targets_; ++t) {
      if (aggregate_ == TreeAggregate::kAverage) scores[t] /= static_cast<V>(std::max<int64_t>(1, forest_.trees()));
      if (aggregate_ >= TreeAggregate::kMin && isinf(scores[t])) scores[t] = 0;   // nobody voted
      if (!base_.empty()) scores[t] += base_[static_cast<size_t>(t)];
    }
  }

  template <class F>
  Status FewRows(RunContext& c, int64_t rows, int64_t columns, F&& finish) const {
    const int64_t trees = forest_.trees();
    Scratch s(c.scratch(0), 1, columns, targets_);
    for (int64_t row = 0; row < rows; ++row) {
      const V* x = Load(c, row, 1, columns, s.rows);
      LINNET_TRY(c.ParallelFor(trees, 64, 10, [&](int64_t begin, int64_t end, int) {
        forest_.WalkTrees(begin, end, x, s.leaves);
      }));
      Reset(s, 1);
      for (int64_t tree = 0; tree < trees; ++tree) Add(s.scores, s.leaves[tree]);
      Close(s.scores);
      finish(row, s.scores);
    }
    return Status();
  }

  Forest<V> forest_;
  int64_t targets_ = 1;
  TreeAggregate aggregate_ = TreeAggregate::kSum;
  bool dense_ = false;
  std::vector<int64_t> begin_;
  std::vector<int32_t> target_;
  std::vector<V> weight_, base_;
};

/// A TreeScores in float, or in double when the input or the model's numbers are doubles.
class AnyTreeScores {
 public:
  Status Build(bool in_double, const RawForest& raw, const TreeVotes& votes, int64_t targets, TreeAggregate aggregate,
               const std::vector<double>& base) {
    in_double_ = in_double;
    if (in_double) return double_.Build(raw, votes, targets, aggregate, base);
    return float_.Build(raw, votes, targets, aggregate, base);
  }
  int64_t features() const { return in_double_ ? double_.features() : float_.features(); }
  Status Bind(BindContext& c) const {
    const int64_t columns = ColumnsOf(c.shape(0));
    if (columns < features() && RowsOf(c.shape(0)) > 0) {
      return InvalidArgument("input has ", columns, " features where the trees ask for ", features());
    }
    if (in_double_) {
      double_.Bind(c);
    } else {
      float_.Bind(c);
    }
    return Status();
  }
  /// Calls finish(row, scores), scores being floats or doubles.
  template <class F>
  Status ForEachRow(RunContext& c, F&& finish) const {
    return in_double_ ? double_.ForEachRow(c, finish) : float_.ForEachRow(c, finish);
  }

 private:
  bool in_double_ = false;
  TreeScores<float> float_;
  TreeScores<double> double_;
};

}  // namespace linnet
