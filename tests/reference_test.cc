// Operators on matrices, sequences and elements against the reference provider.
#include "reference_test_util.h"

namespace linnet {
namespace {

using Attributes = RandomModel::Attributes;
using Strings = std::vector<std::string>;

constexpr Agreement kSum{1e-5, 0, 0.3};

TEST(Reference, MatMul) {
  CheckRandomModels(11, 120, 17, kSum, [](Choices& c, RandomModel& m) {
    const int64_t rows = c.Int(1, 40), depth = c.Int(1, 70), columns = c.Int(1, 50);
    const Shape batch = c.Dims(static_cast<int>(c.Int(0, 2)), 1, 3);
    auto matrix = [&](int64_t a, int64_t b) {
      Shape shape = c.Broadcastable(batch);
      if (a > 0) shape.Append(a);
      shape.Append(b);
      return shape;
    };
    const bool row = c.Int(0, 7) == 0, column = c.Int(0, 7) == 0;
    const DType dtype = c.Int(0, 4) ? AnyFloat(c) : c.Of({DType::kInt32, DType::kInt64, DType::kUint32, DType::kUint64});
    const Shape a = row ? Shape{depth} : matrix(rows, depth), b = column ? Shape{depth} : matrix(depth, columns);
    const double range = IsFloating(dtype) ? 1 : 9;
    ValueId y = m.AddOne("MatMul", {m.Input(m.Numbers(dtype, a, -range, range)), m.Input(m.Numbers(dtype, b, -range, range))});
    if (dtype != DType::kFloat) return y;
    if (!column && c.Coin()) y = m.AddOne("Add", {y, m.Input(m.Floats(c.Coin() ? Shape{columns} : Shape{1}))});
    return c.Coin() ? y : m.AddOne(c.Of<std::string>({"Relu", "Tanh", "Sigmoid", "HardSwish"}), {y});
  });
}

TEST(Reference, Gemm) {
  CheckRandomModels(12, 80, 17, kSum, [](Choices& c, RandomModel& m) {
    const int64_t rows = c.Int(1, 40), depth = c.Int(1, 70), columns = c.Int(1, 50);
    const bool ta = c.Int(0, 3) == 0, tb = c.Coin();
    const DType dtype = AnyFloat(c);
    std::vector<ValueId> inputs = {m.Input(m.Numbers(dtype, ta ? Shape{depth, rows} : Shape{rows, depth})),
                                   m.Input(m.Numbers(dtype, tb ? Shape{columns, depth} : Shape{depth, columns}))};
    if (c.Int(0, 3)) inputs.push_back(m.Input(m.Numbers(dtype, c.Broadcastable(Shape{rows, columns}))));
    Attributes attributes = {{"transA", int64_t{ta}}, {"transB", int64_t{tb}}};
    if (c.Coin()) attributes.push_back({"alpha", c.Of({0.5f, 1.0f, -2.0f, 0.0f})});
    if (c.Coin()) attributes.push_back({"beta", c.Of({0.5f, 1.0f, 0.0f})});
    const ValueId y = m.AddOne("Gemm", inputs, attributes);
    return c.Coin() ? y : m.AddOne("Relu", {y});
  });
}

TEST(Reference, Einsum) {
  CheckRandomModels(13, 40, 17, kSum, [](Choices& c, RandomModel& m) {
    const int64_t i = c.Int(1, 6), j = c.Int(1, 7), k = c.Int(1, 9), b = c.Int(1, 3);
    switch (c.Int(0, 5)) {
      case 0:
        return m.AddOne("Einsum", {m.Input(m.Floats(Shape{i, j})), m.Input(m.Floats(Shape{j, k}), true)},
                        {{"equation", std::string("ij,jk->ki")}});
      case 1:
        return m.AddOne("Einsum", {m.Input(m.Floats(Shape{b, i, j})), m.Input(m.Floats(Shape{b, k, j}), true)},
                        {{"equation", std::string("bij,bkj->bik")}});
      case 2: return m.AddOne("Einsum", {m.Input(m.Floats(Shape{i, i, j}), true)}, {{"equation", std::string("iij->j")}});
      case 3:
        return m.AddOne("Einsum", {m.Input(m.Floats(Shape{b, 2, i, j}), true), m.Input(m.Floats(Shape{2, j, k}))},
                        {{"equation", std::string("...ij,...jk")}});
      case 4:
        return m.AddOne("Einsum",
                        {m.Input(m.Floats(Shape{i, j}), true), m.Input(m.Floats(Shape{i})), m.Input(m.Floats(Shape{j, k}))},
                        {{"equation", std::string("ij,i,jk->k")}});
      default: return m.AddOne("Einsum", {m.Input(m.Floats(Shape{b, i, j}), true)}, {{"equation", std::string("bij->b")}});
    }
  });
}

/// LSTM, GRU or RNN; with `functions_too` also with other activations than the usual ones; with `big` of so many hidden units
/// that threads split them.
ValueId Recurrent(Choices& c, RandomModel& m, bool functions_too, bool big = false) {
  const std::string op = c.Of<std::string>({"LSTM", "LSTM", "GRU", "GRU", "RNN"});
  const int64_t gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1, functions = op == "LSTM" ? 3 : op == "GRU" ? 2 : 1;
  const std::string direction = c.Of<std::string>({"forward", "reverse", "bidirectional"});
  const int64_t d = direction == "bidirectional" ? 2 : 1, hidden = big ? 16 * c.Int(4, 7) : c.Int(1, 21), features = c.Int(1, 12),
                steps = c.Int(1, 6), batch = c.Int(1, 5);
  const DType dtype = AnyFloat(c);
  const bool batch_first = c.Int(0, 4) == 0;
  auto state = [&] { return batch_first ? Shape{batch, d, hidden} : Shape{d, batch, hidden}; };
  std::vector<ValueId> inputs = {
      m.Input(m.Numbers(dtype, batch_first ? Shape{batch, steps, features} : Shape{steps, batch, features}), true),
      m.Input(m.Numbers(dtype, Shape{d, gates * hidden, features})),
      m.Input(m.Numbers(dtype, Shape{d, gates * hidden, hidden}))};
  inputs.push_back(c.Coin() ? m.Input(m.Numbers(dtype, Shape{d, 2 * gates * hidden})) : kNoValue);
  inputs.push_back(c.Int(0, 3) == 0 ? m.Input(m.Numbers(DType::kInt32, Shape{batch}, 0, static_cast<double>(steps) + 0.9))
                                    : kNoValue);
  if (c.Coin()) {
    inputs.push_back(m.Input(m.Numbers(dtype, state())));
    if (op == "LSTM" && c.Coin()) {
      inputs.push_back(m.Input(m.Numbers(dtype, state())));
      if (c.Coin()) inputs.push_back(m.Input(m.Numbers(dtype, Shape{d, 3 * hidden})));
    }
  }
  Attributes attributes = {{"hidden_size", hidden}, {"direction", direction}, {"layout", int64_t{batch_first}}};
  if (op == "GRU") attributes.push_back({"linear_before_reset", c.Int(0, 1)});
  if (op == "LSTM" && c.Int(0, 4) == 0) attributes.push_back({"input_forget", int64_t{1}});
  if (c.Int(0, 4) == 0) attributes.push_back({"clip", 0.5f});
  if (functions_too) {
    Strings names;
    // Gates are bounded, so that states stay finite.
    for (int64_t i = 0; i < d * functions; ++i) {
      const bool gate = i % functions == 0;
      names.push_back(gate ? c.Of<std::string>({"Sigmoid", "Tanh", "HardSigmoid", "Softsign"})
                           : c.Of<std::string>({"Tanh", "Sigmoid", "Relu", "Softsign", "HardSigmoid", "LeakyRelu",
                                                "ScaledTanh", "Elu", "Softplus", "ThresholdedRelu"}));
    }
    attributes.push_back({"activations", names});
    attributes.push_back({"activation_alpha", std::vector<float>(6, 0.7f)});
    attributes.push_back({"activation_beta", std::vector<float>(6, 0.4f)});
  }
  const std::vector<ValueId> all = m.Add(op, inputs, attributes, op == "LSTM" ? 3 : 2);
  for (size_t i = 1; i < all.size(); ++i) m.Output(all[i]);
  return all[0];
}

TEST(Reference, Recurrent) {
  CheckRandomModels(14, 90, 17, {}, [](Choices& c, RandomModel& m) { return Recurrent(c, m, false); });
  // Unbounded functions make small differences grow from step to step.
  CheckRandomModels(21, 60, 17, {2e-4}, [](Choices& c, RandomModel& m) { return Recurrent(c, m, true); });
  // So do many units.
  CheckRandomModels(22, 60, 17, {2e-4}, [](Choices& c, RandomModel& m) { return Recurrent(c, m, c.Int(0, 3) == 0, true); });
}

TEST(Reference, Softmax) {
  for (int opset : {11, 17}) {
    CheckRandomModels(15, 40, opset, {}, [](Choices& c, RandomModel& m) {
      const int rank = static_cast<int>(c.Int(1, 4));
      const std::string op = c.Of<std::string>({"Softmax", "LogSoftmax", "Hardmax"});
      const DType dtype = AnyFloat(c);
      return m.AddOne(op, {m.Input(m.Numbers(dtype, c.Dims(rank, 1, 20), -8, 8), true)}, {{"axis", c.Int(-rank, rank - 1)}});
    });
  }
}

TEST(Reference, Normalizations) {
  // Where all elements of a group are nearly equal, any way to compute them in float loses digits: groups are not tiny.
  CheckRandomModels(16, 120, 23, {1e-4}, [](Choices& c, RandomModel& m) {
    const DType dtype = AnyFloat(c);
    const int rank = static_cast<int>(c.Int(3, 4));
    Shape shape = c.Dims(rank, 3, 9);
    shape[1] *= 2;
    auto floats = [&](const Shape& s, double low = -1) { return m.Input(m.Numbers(dtype, s, low, 2)); };
    const ValueId x = m.Input(m.Numbers(dtype, shape, -3, 5), true);
    const int64_t axis = c.Int(-rank, rank - 1);
    Shape row = Shape::OfRank(0);
    for (int d = static_cast<int>(axis < 0 ? axis + rank : axis); d < rank; ++d) row.Append(shape[d]);
    const Shape channels{shape[1]};
    switch (c.Int(0, 7)) {
      case 0:
        return m.AddOne("BatchNormalization",
                        {x, floats(channels), floats(channels), floats(channels), floats(channels, 0.2)});
      case 1: {
        const std::vector<ValueId> all = m.Add("LayerNormalization", {x, floats(row), c.Coin() ? floats(row) : kNoValue},
                                               {{"axis", axis}, {"epsilon", 1e-3f}}, 3);
        if (c.Coin()) m.Output(all[1]);
        return all[0];
      }
      case 2: return m.AddOne("RMSNormalization", {x, floats(row)}, {{"axis", axis}});
      case 3: return m.AddOne("GroupNormalization", {x, floats(channels), floats(channels)}, {{"num_groups", shape[1] / 2}});
      case 4: return m.AddOne("InstanceNormalization", {x, floats(channels), floats(channels)}, {{"epsilon", 1e-3f}});
      case 5: return m.AddOne("LpNormalization", {x}, {{"axis", axis}, {"p", c.Int(1, 2)}});
      case 6: return m.AddOne("LRN", {x}, {{"size", 2 * c.Int(0, 3) + 1}, {"alpha", 0.01f}});
      default: return m.AddOne("MeanVarianceNormalization", {x}, {{"axes", std::vector<int64_t>{rank - 2, rank - 1}}});
    }
  });
}

TEST(Reference, Reductions) {
  CheckRandomModels(17, 150, 18, kSum, [](Choices& c, RandomModel& m) {
    const int rank = static_cast<int>(c.Int(1, 4));
    const std::string op = c.Of<std::string>({"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                                              "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"});
    const bool whole =
        op != "ReduceLogSum" && op != "ReduceLogSumExp" && op != "ReduceL2" && op != "ReduceMean" && c.Int(0, 2) == 0;
    const DType dtype = whole ? c.Of({DType::kInt32, DType::kInt64, DType::kUint32, DType::kUint64}) : AnyFloat(c);
    Shape shape = c.Dims(rank, 1, 9);
    if (c.Coin()) shape[static_cast<int>(c.Int(0, rank - 1))] = c.Int(30, 130);
    std::vector<ValueId> inputs = {
        m.Input(whole ? m.Bits(dtype, shape) : m.Numbers(dtype, shape, op == "ReduceLogSum" ? 0.1 : -1.3, 1.3), true)};
    if (c.Int(0, 3)) {
      std::vector<int64_t> axes;
      for (int d = 0; d < rank; ++d) if (c.Coin()) axes.push_back(c.Coin() ? d : d - rank);
      inputs.push_back(m.Constant(axes));
    }
    return m.AddOne(op, inputs, {{"keepdims", c.Int(0, 1)}, {"noop_with_empty_axes", c.Int(0, 1)}});
  });
}

TEST(Reference, Attention) {
  CheckRandomModels(18, 120, 24, {}, [](Choices& c, RandomModel& m) {
    const int64_t batch = c.Int(1, 2), kv_heads = c.Int(1, 3), heads = kv_heads * c.Int(1, 2), queries = c.Int(1, 9),
                  keys = c.Coin() ? queries : c.Int(1, 17);
    const int64_t size = c.Int(1, 20), value_size = c.Coin() ? size : c.Int(1, 12), past = c.Int(0, 2) == 0 ? c.Int(1, 7) : 0;
    const DType dtype = AnyFloat(c);
    const bool flat = c.Int(0, 2) == 0;
    auto input = [&](int64_t h, int64_t s, int64_t n) {
      return m.Input(m.Numbers(dtype, flat ? Shape{batch, s, h * n} : Shape{batch, h, s, n}, -2, 2), true);
    };
    std::vector<ValueId> inputs = {input(heads, queries, size), input(kv_heads, keys, size),
                                   input(kv_heads, keys, value_size), kNoValue};
    if (c.Coin()) {
      const Shape mask = c.Broadcastable(Shape{batch, heads, queries});
      Shape with = mask;
      with.Append(past + keys);
      inputs[3] = m.Input(c.Coin() ? m.Numbers(dtype, with) : m.Numbers(DType::kBool, with, -0.4, 1));
    }
    if (past > 0) {
      inputs.push_back(m.Input(m.Numbers(dtype, Shape{batch, kv_heads, past, size})));
      inputs.push_back(m.Input(m.Numbers(dtype, Shape{batch, kv_heads, past, value_size})));
    }
    Attributes attributes = {{"is_causal", c.Int(0, 1)}};
    if (flat) attributes.insert(attributes.end(), {{"q_num_heads", heads}, {"kv_num_heads", kv_heads}});
    if (c.Int(0, 3) == 0) attributes.push_back({"scale", 0.3f});
    if (c.Int(0, 3) == 0) attributes.push_back({"softcap", 1.5f});
    attributes.push_back({"qk_matmul_output_mode", c.Int(0, 3)});
    const std::vector<ValueId> all = m.Add("Attention", inputs, attributes, 4);
    if (past > 0) m.Output(all[1]), m.Output(all[2]);
    if (c.Int(0, 3) == 0) m.Output(all[3]);
    return all[0];
  });
}

}  // namespace
}  // namespace linnet
