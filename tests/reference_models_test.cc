// Trees, linear models, signal processing, losses and the rarer image operators against the reference provider.
#include "reference_test_util.h"

namespace linnet {
namespace {

using Attributes = RandomModel::Attributes;
using List = std::vector<int64_t>;
using Reals = std::vector<float>;
using Strings = std::vector<std::string>;

Reals RandomReals(Choices& c, int64_t count, double low = -1, double high = 1) {
  Reals out;
  for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<float>(c.Real(low, high)));
  return out;
}

/// Random binary trees as the lists that versions 1 and 3 have.
struct RandomTrees {
  List trees, nodes, features, yes, no, missing, vote_trees, vote_nodes, vote_targets;
  Strings modes;
  Reals values, weights;

  RandomTrees(Choices& c, int64_t count, int64_t columns, int64_t targets, bool positive) {
    const bool one_mode = c.Coin();
    for (int64_t tree = 0; tree < count; ++tree) {
      const size_t first = nodes.size();
      Node(tree, 0, c, columns, one_mode);
      for (size_t i = first; i < nodes.size(); ++i) {
        if (modes[i] != "LEAF") continue;
        for (int64_t votes = c.Int(1, 2); votes > 0; --votes) {
          vote_trees.push_back(tree);
          vote_nodes.push_back(nodes[i]);
          vote_targets.push_back(c.Int(0, targets - 1));
          weights.push_back(static_cast<float>(c.Real(positive ? 0 : -1, 1)));
        }
      }
    }
  }
  /// A node and what is below it; returns its id, the number of nodes before it in its tree.
  int64_t Node(int64_t tree, int depth, Choices& c, int64_t columns, bool one_mode) {
    const size_t at = nodes.size();
    const int64_t id = trees.empty() || trees.back() != tree ? 0 : nodes.back() + 1;
    trees.push_back(tree);
    nodes.push_back(id);
    features.push_back(c.Int(0, columns - 1));
    values.push_back(static_cast<float>(c.Int(-4, 4)) / 4);
    missing.push_back(c.Int(0, 1));
    yes.push_back(0);
    no.push_back(0);
    const bool leaf = depth == 5 || (depth > 0 && c.Int(0, 3) == 0);
    modes.push_back(
        leaf       ? "LEAF"
        : one_mode ? "BRANCH_LEQ"
                   : c.Of<std::string>({"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}));
    if (leaf) return id;
    const int64_t left = Node(tree, depth + 1, c, columns, one_mode), right = Node(tree, depth + 1, c, columns, one_mode);
    yes[at] = left;
    no[at] = right;
    return id;
  }
  Attributes Lists(const std::string& votes) const {
    return {{"nodes_treeids", trees},         {"nodes_nodeids", nodes},       {"nodes_featureids", features},
            {"nodes_truenodeids", yes},       {"nodes_falsenodeids", no},     {"nodes_missing_value_tracks_true", missing},
            {"nodes_modes", modes},           {"nodes_values", values},       {votes + "_treeids", vote_trees},
            {votes + "_nodeids", vote_nodes}, {votes + "_ids", vote_targets}, {votes + "_weights", weights}};
  }
};

/// Rows of features on and beside the thresholds, some missing.
Tensor Rows(Choices& c, RandomModel& m, int64_t rows, int64_t columns) {
  Tensor x = m.Floats(Shape{rows, columns});
  for (int64_t i = 0; i < x.elements(); ++i) {
    if (c.Coin()) x.mutable_as<float>()[i] = static_cast<float>(c.Int(-4, 4)) / 4;
    if (c.Int(0, 14) == 0) x.mutable_as<float>()[i] = NAN;
  }
  return x;
}

TEST(Reference, Trees) {
  CheckRandomModels(41, 80, 17, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) {
    const int64_t columns = c.Int(1, 6), targets = c.Int(1, 4);
    const bool classify = c.Coin();
    const RandomTrees trees(c, c.Int(1, 12), columns, classify && targets == 2 && c.Coin() ? 1 : targets, c.Coin());
    Attributes attributes = trees.Lists(classify ? "class" : "target");
    attributes.push_back({"post_transform", c.Of<std::string>({"NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"})});
    const ValueId x = m.Input(Rows(c, m, c.Int(1, 25), columns), true);
    if (!classify) {
      attributes.push_back({"n_targets", targets});
      attributes.push_back({"aggregate_function", c.Of<std::string>({"SUM", "AVERAGE", "MIN", "MAX"})});
      if (c.Coin()) attributes.push_back({"base_values", RandomReals(c, targets)});
      return m.Add("TreeEnsembleRegressor", {x}, attributes, 1, "ai.onnx.ml")[0];
    }
    List labels;
    for (int64_t i = 0; i < targets; ++i) labels.push_back(10 * i + 3);
    attributes.push_back({"classlabels_int64s", labels});
    const std::vector<ValueId> both = m.Add("TreeEnsembleClassifier", {x}, attributes, 2, "ai.onnx.ml");
    m.Output(both[1]);
    return both[0];
  });
}

TEST(Reference, LinearModels) {
  CheckRandomModels(42, 50, 17, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) {
    const int64_t columns = c.Int(1, 30), targets = c.Int(1, 5), rows = c.Int(1, 20);
    const ValueId x = m.Input(m.Floats(Shape{rows, columns}), true);
    Attributes attributes = {{"coefficients", RandomReals(c, targets * columns)},
                             {"post_transform", c.Of<std::string>({"NONE", "SOFTMAX", "LOGISTIC"})}};
    switch (c.Int(0, 3)) {
      case 0:
        attributes.push_back({"targets", targets});
        if (c.Coin()) attributes.push_back({"intercepts", RandomReals(c, targets)});
        return m.Add("LinearRegressor", {x}, attributes, 1, "ai.onnx.ml")[0];
      case 1: {
        List labels;
        for (int64_t i = 0; i < (targets == 1 ? 2 : targets); ++i) labels.push_back(i * i);
        attributes.push_back({"intercepts", RandomReals(c, targets)});
        attributes.push_back({"classlabels_ints", labels});
        const std::vector<ValueId> both = m.Add("LinearClassifier", {x}, attributes, 2, "ai.onnx.ml");
        m.Output(both[1]);
        return both[0];
      }
      case 2:
        return m.Add("Scaler", {x}, {{"offset", RandomReals(c, columns)}, {"scale", RandomReals(c, columns)}}, 1,
                     "ai.onnx.ml")[0];
      default: return m.Add("Normalizer", {x}, {{"norm", c.Of<std::string>({"MAX", "L1", "L2"})}}, 1, "ai.onnx.ml")[0];
    }
  });
}

TEST(Reference, Signals) {
  CheckRandomModels(43, 60, 20, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) -> ValueId {
    const DType dtype = c.Of({DType::kFloat, DType::kDouble, DType::kFloat16});
    const int64_t n = c.Int(2, 40), parts = c.Int(1, 2);
    switch (c.Int(0, 3)) {
      case 0: {
        const bool inverse = c.Coin();
        const ValueId length = c.Coin() ? kNoValue : m.Constant(c.Int(2, 50));
        const bool onesided = inverse ? false : parts == 1 && c.Coin();
        return m.AddOne(
            "DFT", {m.Input(m.Numbers(dtype, Shape{2, n, 3, parts}), true), length, m.Constant(c.Of<int64_t>({1, 2, -3}))},
            {{"inverse", int64_t{inverse}}, {"onesided", int64_t{onesided}}});
      }
      case 1: {   // frames of a real signal
        const int64_t frame = c.Int(2, n);
        return m.AddOne("STFT",
                        {m.Input(m.Floats(Shape{2, n, 1}), true), m.Constant(c.Int(1, 5)), m.Input(m.Floats(Shape{frame})),
                         m.Constant(frame)},
                        {{"onesided", c.Int(0, 1)}});
      }
      case 2:
        return m.AddOne(c.Of<std::string>({"HannWindow", "HammingWindow", "BlackmanWindow"}),
                        {m.Input(Tensor::Scalar<int64_t>(c.Int(1, 40)), true)}, {{"periodic", c.Int(0, 1)}});
      default:
        return m.AddOne("MelWeightMatrix", {m.Constant(c.Int(1, 9)), m.Constant(c.Int(16, 60)), m.Constant(c.Int(6000, 9000)),
                                            m.Constant(c.Of({0.0f, 80.0f})), m.Constant(3000.0f)});
    }
  });
}

TEST(Reference, Losses) {
  CheckRandomModels(44, 40, 17, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) {
    const bool softmax = c.Coin();
    Shape x{c.Int(1, 4), c.Int(2, 6)};
    if (c.Coin()) x.Append(c.Int(1, 5));
    Shape labels{x[0]};
    if (x.rank() == 3) labels.Append(x[2]);
    std::vector<ValueId> inputs = {m.Input(m.Floats(x), true),
                                   m.Input(m.Numbers(DType::kInt64, labels, 0, static_cast<double>(x[1]) - 0.01))};
    if (c.Coin()) inputs.push_back(m.Input(m.Floats(Shape{x[1]}, 0.1, 1)));
    Attributes attributes = {{"reduction", c.Of<std::string>({"none", "sum", "mean"})}};
    if (c.Coin()) attributes.push_back({"ignore_index", c.Int(0, 1)});
    return m.AddOne(softmax ? "SoftmaxCrossEntropyLoss" : "NegativeLogLikelihoodLoss", inputs, attributes);
  });
}

TEST(Reference, RarerImageOperators) {
  CheckRandomModels(45, 60, 24, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) -> ValueId {
    const int64_t k = c.Int(1, 3), h = c.Int(4, 9), w = c.Int(4, 9), batch = c.Int(1, 2);
    switch (c.Int(0, 4)) {
      case 0: {
        const int64_t groups = c.Int(1, 2), offset_groups = c.Int(1, 2), in = 2 * c.Int(1, 3), out = groups * c.Int(1, 3),
                      oh = h - k + 1, ow = w - k + 1;
        return m.AddOne("DeformConv",
                        {m.Input(m.Floats(Shape{batch, in, h, w}), true), m.Input(m.Floats(Shape{out, in / groups, k, k})),
                         m.Input(m.Floats(Shape{batch, offset_groups * 2 * k * k, oh, ow}, -2, 2), true),
                         c.Coin() ? kNoValue : m.Input(m.Floats(Shape{out})),
                         c.Coin() ? kNoValue : m.Input(m.Floats(Shape{batch, offset_groups * k * k, oh, ow}, 0, 1))},
                        {{"group", groups}, {"offset_group", offset_groups}, {"kernel_shape", List{k, k}}});
      }
      case 1: {
        const List strides = c.Ints(2, 1, 2), pads = c.Ints(4, 0, 1), dilations = c.Ints(2, 1, 2);
        int64_t blocks = 1;
        for (size_t d = 0; d < 2; ++d)
          blocks *= ((d ? w : h) + pads[d] + pads[d + 2] - (k - 1) * dilations[d] - 1) / strides[d] + 1;
        return m.AddOne(
            "Col2Im",
            {m.Input(m.Floats(Shape{batch, 3 * k * k, blocks}), true), m.Constant(List{h, w}), m.Constant(List{k, k})},
            {{"strides", strides}, {"pads", pads}, {"dilations", dilations}});
      }
      case 2: {
        const std::vector<ValueId> pooled = m.Add("MaxPool", {m.Input(m.Floats(Shape{batch, 3, h, w}), true)},
                                                  {{"kernel_shape", List{2, 2}}, {"strides", List{2, 2}}}, 2);
        return m.AddOne("MaxUnpool", pooled, {{"kernel_shape", List{2, 2}}, {"strides", List{2, 2}}});
      }
      case 3:
        return m.AddOne("AffineGrid", {m.Input(m.Floats(Shape{batch, 2, 3}), true), m.Constant(List{batch, 3, h, w})},
                        {{"align_corners", c.Int(0, 1)}});
      default: {
        const int64_t heads = c.Int(1, 3), half = c.Int(1, 5), steps = c.Int(1, 6);
        const bool flat = c.Coin(), ids = c.Coin();
        Attributes attributes = {{"interleaved", c.Int(0, 1)}};
        if (flat) attributes.push_back({"num_heads", heads});
        const Shape cache = ids ? Shape{10, half} : Shape{batch, steps, half};
        std::vector<ValueId> inputs = {
            m.Input(m.Floats(flat ? Shape{batch, steps, heads * 2 * half} : Shape{batch, heads, steps, 2 * half}), true),
            m.Input(m.Floats(cache)), m.Input(m.Floats(cache))};
        if (ids) inputs.push_back(m.Input(m.Numbers(DType::kInt64, Shape{batch, steps}, 0, 9.9)));
        return m.AddOne("RotaryEmbedding", inputs, attributes);
      }
    }
  });
}

TEST(Reference, RarerMovement) {
  CheckRandomModels(46, 80, 18, {0}, [](Choices& c, RandomModel& m) -> ValueId {
    const DType dtype = c.Of({DType::kFloat, DType::kInt8, DType::kInt64, DType::kFloat16});
    const int64_t rows = c.Int(1, 7), columns = c.Int(1, 8);
    const ValueId x = m.Input(m.Numbers(dtype, Shape{2, rows, columns}, -9, 9), true);
    switch (c.Int(0, 5)) {
      case 0:
        return m.AddOne("Trilu", {x, m.Constant(c.Int(-9, 9))}, {{"upper", c.Int(0, 1)}});
      case 1:
        return m.AddOne("CenterCropPad", {x, m.Constant(List{c.Int(1, 9), c.Int(1, 9)})}, {{"axes", List{1, 2}}});
      case 2:
        return m.AddOne("ReverseSequence",
                        {x, m.Input(m.Numbers(DType::kInt64, Shape{2}, 1, static_cast<double>(rows) + 0.9))},
                        {{"batch_axis", int64_t{0}}, {"time_axis", int64_t{1}}});
      case 3:
        return m.AddOne(
            "OneHot",
            {m.Input(m.Numbers(c.Of({DType::kInt32, DType::kInt64, DType::kFloat}), Shape{rows, columns}, -12, 12), true),
             m.Constant(c.Int(1, 9)), m.Input(m.Numbers(dtype, Shape{2}, -5, 5))},
            {{"axis", c.Int(-3, 2)}});
      case 4:
        return m.AddOne("EyeLike", {m.Input(m.Numbers(dtype, Shape{rows, columns}), true)},
                        {{"k", c.Int(-4, 4)}, {"dtype", static_cast<int64_t>(c.Of({DType::kFloat, DType::kInt32}))}});
      default: {
        const DType type = c.Of({DType::kInt32, DType::kInt64, DType::kInt16});
        const Shape scalar = Shape::OfRank(0);
        Tensor delta = m.Numbers(type, scalar, 1, 6);
        return m.AddOne("Range", {m.Input(m.Numbers(type, scalar, -20, 5)), m.Input(m.Numbers(type, scalar, -5, 40)),
                                  m.Input(delta, true)});
      }
    }
  });
}

/// What later versions have as inputs, earlier ones have as attributes, and they broadcast only when told to.
TEST(Reference, OlderVersions) {
  CheckRandomModels(47, 80, 6, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) -> ValueId {
    const Shape shape{c.Int(1, 3), c.Int(2, 5), c.Int(1, 6), c.Int(1, 6)};
    const ValueId x = m.Input(m.Floats(shape, 0.1, 2), true);
    switch (c.Int(0, 6)) {
      case 0:
      case 1: {  // the second operand lies at `axis` of the first
        const int64_t axis = c.Int(0, 3), length = c.Int(1, 4 - axis);
        Shape b = Shape::OfRank(0);
        for (int64_t d = axis; d < axis + length; ++d) b.Append(shape[static_cast<int>(d)]);
        return m.AddOne(c.Of<std::string>({"Add", "Sub", "Mul", "Div", "Pow", "Less", "Greater"}),
                        {x, m.Input(m.Floats(b, 0.1, 2))}, {{"broadcast", int64_t{1}}, {"axis", c.Coin() ? axis : axis - 4}});
      }
      case 2:
        return m.AddOne("PRelu", {m.AddOne("Neg", {x}), m.Input(m.Floats(c.Coin() ? Shape{shape[1]} : Shape{1}))});
      case 3:
        return m.AddOne("Upsample", {x},
                        {{"mode", c.Of<std::string>({"nearest", "bilinear"})},
                         {"height_scale", c.Of({1.0f, 2.0f, 3.0f})},
                         {"width_scale", c.Of({2.0f, 1.5f})}});
      case 4:
        return m.AddOne("Clip", {x}, {{"min", 0.4f}, {"max", 1.2f}});
      case 5: {
        const Shape channels{shape[1]};
        return m.AddOne("BatchNormalization",
                        {x, m.Input(m.Floats(channels)), m.Input(m.Floats(channels)), m.Input(m.Floats(channels)),
                         m.Input(m.Floats(channels, 0.5, 2))},
                        {{"is_test", int64_t{1}}});
      }
      default: {
        const int64_t rows = c.Int(1, 9), depth = c.Int(1, 9), columns = c.Int(1, 9);
        return m.AddOne("Gemm",
                        {m.Input(m.Floats(Shape{rows, depth}), true), m.Input(m.Floats(Shape{depth, columns})),
                         m.Input(m.Floats(Shape{columns}))},
                        {{"broadcast", int64_t{1}}, {"alpha", 0.5f}});
      }
    }
  });
  CheckRandomModels(48, 100, 9, {1e-5, 0, 0.3}, [](Choices& c, RandomModel& m) -> ValueId {
    const Shape shape{c.Int(1, 3), c.Int(2, 5), c.Int(1, 6), c.Int(1, 6)};
    const ValueId x = m.Input(m.Floats(shape), true);
    const int64_t axis = c.Int(0, 3);
    switch (c.Int(0, 8)) {
      case 0:
        return m.AddOne("Slice", {x}, {{"axes", List{1, 2}}, {"starts", c.Ints(2, -4, 3)}, {"ends", c.Ints(2, -2, 9)}});
      case 1:
        return m.AddOne("Pad", {x}, {{"pads", c.Ints(8, 0, 2)}, {"value", 1.5f}});
      case 2:
        return m.AddOne(c.Of<std::string>({"ReduceSum", "ReduceMax", "ReduceMean", "ReduceL2"}), {x},
                        {{"axes", List{axis}}, {"keepdims", c.Int(0, 1)}});
      case 3:
        return m.Add("TopK", {x}, {{"k", c.Int(1, shape[static_cast<int>(axis)])}, {"axis", axis}}, 2)[0];
      case 4: {
        const int64_t first = c.Int(0, shape[static_cast<int>(axis)]);
        return m.Add("Split", {x}, {{"axis", axis}, {"split", List{first, shape[static_cast<int>(axis)] - first}}},
                     2)[c.Coin()];
      }
      case 5:
        return m.AddOne("Squeeze", {m.AddOne("Unsqueeze", {x}, {{"axes", List{0, 3}}})}, {{"axes", List{3}}});
      case 6:
        return m.AddOne("Upsample",
                        {x, m.Constant(Tensor::Of<float>(Shape{4}, std::vector<float>{1, 1, 2, c.Of({1.0f, 3.0f})}))},
                        {{"mode", c.Of<std::string>({"nearest", "linear"})}});
      case 7:
        return m.AddOne(c.Of<std::string>({"Softmax", "LogSoftmax", "Hardmax"}), {x}, {{"axis", axis}});
      default:
        return m.AddOne("Flatten", {x}, {{"axis", axis}});
    }
  });
}

}  // namespace
}  // namespace linnet
