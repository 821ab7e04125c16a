// Elementwise operators and operators that move elements, of every type, against the reference provider.
#include "reference_test_util.h"

namespace linnet {
namespace {

using Attributes = RandomModel::Attributes;
using List = std::vector<int64_t>;

constexpr DType kIntegers[] = {DType::kInt8,  DType::kUint8,  DType::kInt16, DType::kUint16,
                               DType::kInt32, DType::kUint32, DType::kInt64, DType::kUint64};

DType AnyInteger(Choices& c) { return kIntegers[c.Int(0, 7)]; }
/// A type of any width.
DType AnyType(Choices& c) {
  return c.Coin() ? AnyInteger(c) : c.Of({DType::kFloat, DType::kDouble, DType::kFloat16, DType::kBool});
}

Tensor Random(Choices&, RandomModel& m, DType dtype, const Shape& shape) {
  return IsFloating(dtype) ? m.Numbers(dtype, shape, -3, 3) : m.Bits(dtype, shape);
}

/// Mostly finite numbers, with the special ones among them.
Tensor Special(Choices& c, RandomModel& m, const Shape& shape, double range) {
  Tensor tensor = m.Floats(shape, -range, range);
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1.0f, -1.0f, 3.4e38f, 1.2e-38f, 0.5f, 2.5f};
  for (int64_t i = 0; i < shape.elements(); ++i) {
    if (c.Int(0, 9) == 0) tensor.mutable_as<float>()[i] = special[c.Int(0, 10)];
  }
  return tensor;
}

TEST(Reference, Unary) {
  // Finite numbers first, then special ones; where both are, the largest magnitude would hide small errors.
  for (bool special : {false, true}) {
    CheckRandomModels(31, 120, 24, {2e-6}, [special](Choices& c, RandomModel& m) {
      const std::string op = c.Of<std::string>({"Abs",
                                                "Neg",
                                                "Sign",
                                                "Sqrt",
                                                "Exp",
                                                "Log",
                                                "Erf",
                                                "Sigmoid",
                                                "Tanh",
                                                "Relu",
                                                "LeakyRelu",
                                                "Elu",
                                                "Selu",
                                                "Celu",
                                                "HardSigmoid",
                                                "HardSwish",
                                                "Softplus",
                                                "Softsign",
                                                "ThresholdedRelu",
                                                "Gelu",
                                                "Swish",
                                                "Mish",
                                                "Shrink",
                                                "Reciprocal",
                                                "Floor",
                                                "Ceil",
                                                "Round",
                                                "Sin",
                                                "Cos",
                                                "Tan",
                                                "Asin",
                                                "Acos",
                                                "Atan",
                                                "Sinh",
                                                "Cosh",
                                                "Asinh",
                                                "Acosh",
                                                "Atanh",
                                                "IsNaN",
                                                "IsInf"});
      const Shape shape{c.Int(30, 70)};
      if (special) return m.AddOne(op, {m.Input(Special(c, m, shape, 2), true)});
      const DType dtype = op == "IsInf" ? DType::kFloat : AnyFloat(c);
      return m.AddOne(op, {m.Input(m.Numbers(dtype, shape, -4, 4), true)});
    });
  }
}

TEST(Reference, UnaryOnIntegers) {
  CheckRandomModels(32, 60, 18, {}, [](Choices& c, RandomModel& m) {
    const std::string op = c.Of<std::string>({"Abs", "Neg", "Sign", "Relu", "BitwiseNot", "Clip"});
    const DType dtype =
        op == "Neg" || op == "Relu" ? c.Of({DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64}) : AnyInteger(c);
    const ValueId x = m.Input(m.Bits(dtype, c.Dims(2, 1, 40)), true);
    const Shape scalar = Shape::OfRank(0);
    return op == "Clip" ? m.AddOne(op, {x, m.Input(m.Bits(dtype, scalar)), m.Input(m.Bits(dtype, scalar))}) : m.AddOne(op, {x});
  });
}

TEST(Reference, Binary) {
  CheckRandomModels(33, 200, 18, {2e-6}, [](Choices& c, RandomModel& m) {
    const Shape shape = c.Dims(static_cast<int>(c.Int(1, 4)), 1, 12), a = c.Coin() ? shape : c.Broadcastable(shape),
                b = c.Coin() ? shape : c.Broadcastable(shape);
    if (c.Coin()) {
      const std::string op =
          c.Of<std::string>({"Add", "Sub", "Mul", "Div", "Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Less",
                             "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "Max", "Min", "Pow", "BitShift"});
      const DType dtype =
          op == "BitShift" ? c.Of({DType::kUint8, DType::kUint16, DType::kUint32, DType::kUint64}) : AnyInteger(c);
      Tensor y = m.Bits(dtype, b);
      const bool small = op == "Pow" || op == "BitShift";
      auto* bytes = y.mutable_as<uint8_t>();
      const int64_t width = static_cast<int64_t>(DTypeBytes(dtype));
      for (int64_t i = 0; i < y.bytes(); ++i) {
        if (small) bytes[i] = i % width ? 0 : bytes[i] % 11;
        if (op == "Div" || op == "Mod") bytes[i] = bytes[i] ? bytes[i] : 1;   // not zero
      }
      Attributes attributes;
      if (op == "BitShift") attributes = {{"direction", c.Of<std::string>({"LEFT", "RIGHT"})}};
      if (op == "Mod") attributes = {{"fmod", c.Int(0, 1)}};
      return m.AddOne(op, {m.Input(m.Bits(dtype, a)), m.Input(y, true)}, attributes);
    }
    const std::string op = c.Of<std::string>(
        {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "Less", "Greater", "Sum", "Mean", "PRelu"});
    if (op == "PRelu") return m.AddOne(op, {m.Input(m.Floats(shape), true), m.Input(m.Floats(b))});
    const bool hard = op == "Mod" || op == "Less" || op == "Greater" || op == "Max" || op == "Min";
    // Longer sums may round more than once, which narrow types show.
    const DType dtype = op == "Sum" || op == "Mean" ? c.Of({DType::kFloat, DType::kDouble}) : AnyFloat(c);
    const ValueId x =
        m.Input(hard && dtype == DType::kFloat ? Special(c, m, a, 4) : m.Numbers(dtype, a, op == "Pow" ? 0.1 : -4, 4));
    const ValueId y = m.Input(m.Numbers(dtype, b, op == "Div" || op == "Mod" ? 0.3 : -3, 3), true);
    Attributes attributes;
    if (op == "Mod") attributes = {{"fmod", int64_t{1}}};
    if (op == "Sum" || op == "Mean") return m.AddOne(op, {x, y, m.Input(m.Numbers(dtype, c.Broadcastable(shape)))});
    return m.AddOne(op, {x, y}, attributes);
  });
}

TEST(Reference, ChainsOfElementwiseSteps) {
  CheckRandomModels(34, 80, 18, {1e-5}, [](Choices& c, RandomModel& m) {
    const Shape shape = c.Dims(static_cast<int>(c.Int(1, 4)), 1, 11);
    std::vector<ValueId> values = {m.Input(m.Floats(shape), true), m.Input(m.Floats(c.Broadcastable(shape)))};
    for (int64_t i = c.Int(2, 8); i > 0; --i) {
      auto any = [&] { return values[static_cast<size_t>(c.Int(0, static_cast<int64_t>(values.size()) - 1))]; };
      const std::string op = c.Of<std::string>({"Add", "Mul", "Sub", "Max", "Sigmoid", "Tanh", "Relu", "Abs", "Neg", "Exp"});
      const bool two = op.size() == 3 && op != "Abs" && op != "Neg" && op != "Exp";
      ValueId y = two ? m.AddOne(op, {values.back(), any()}) : m.AddOne(op, {values.back()});
      if (op == "Exp" || op == "Mul") y = m.AddOne("Tanh", {y});   // keeps the numbers small
      values.push_back(y);
    }
    return m.AddOne("Add", {values.back(), values[0]});
  });
}

TEST(Reference, Casts) {
  CheckRandomModels(35, 150, 19, {0}, [](Choices& c, RandomModel& m) {
    const DType from = AnyType(c), to = AnyType(c);
    const Shape shape{c.Int(1, 70)};
    // Real numbers stay where every integer type holds them: what lies outside is not defined.
    const Tensor x =
        IsFloating(from) ? m.Numbers(from, shape, IsSigned(to) || IsFloating(to) ? -100 : 0, 100) : m.Bits(from, shape);
    return m.AddOne("Cast", {m.Input(x, true)}, {{"to", static_cast<int64_t>(to)}});
  });
}

TEST(Reference, Movement) {
  CheckRandomModels(36, 250, 18, {0}, [](Choices& c, RandomModel& m) -> ValueId {
    const DType dtype = AnyType(c);
    const int rank = static_cast<int>(c.Int(1, 4));
    const Shape shape = c.Dims(rank, 1, 9);
    const ValueId x = m.Input(Random(c, m, dtype, shape), true);
    const int64_t axis = c.Int(-rank, rank - 1);
    const int at = static_cast<int>(axis < 0 ? axis + rank : axis);
    switch (c.Int(0, 11)) {
      case 0: {
        List perm;
        for (int d = 0; d < rank; ++d) perm.insert(perm.begin() + c.Int(0, d), d);
        return m.AddOne("Transpose", {x}, {{"perm", perm}});
      }
      case 1: {
        Shape other = shape;
        other[at] = c.Int(0, 5);
        return m.AddOne("Concat", {x, m.Input(Random(c, m, dtype, other)), x}, {{"axis", axis}});
      }
      case 2: {
        List starts, ends, axes, steps;
        for (int d = 0; d < rank; ++d) {
          if (c.Coin()) continue;
          axes.push_back(d);
          starts.push_back(c.Int(-12, 12));
          ends.push_back(c.Int(0, 5) ? c.Int(-12, 12) : c.Coin() ? INT64_MAX : INT64_MIN);
          steps.push_back(c.Of<int64_t>({1, 1, 2, 3, -1, -2}));
        }
        return m.AddOne("Slice", {x, m.Constant(starts), m.Constant(ends), m.Constant(axes), m.Constant(steps)});
      }
      case 3: {
        if (dtype == DType::kBool) return m.AddOne("Not", {x});
        const std::string mode = c.Of<std::string>({"constant", "edge", "reflect"});
        List pads;
        for (int i = 0; i < 2 * rank; ++i) pads.push_back(c.Int(mode == "constant" ? -1 : 0, shape[i % rank] - 1));
        return m.AddOne(
            "Pad",
            {x, m.Constant(pads), mode == "constant" && c.Coin() ? m.Input(Random(c, m, dtype, Shape::OfRank(0))) : kNoValue},
            {{"mode", mode}});
      }
      case 4: {
        const Shape picked = c.Dims(static_cast<int>(c.Int(0, 2)), 1, 5);
        return m.AddOne("Gather",
                        {x, m.Input(m.Numbers(c.Of({DType::kInt32, DType::kInt64}), picked, static_cast<double>(-shape[at]),
                                              static_cast<double>(shape[at]) - 0.01))},
                        {{"axis", axis}});
      }
      case 5: {
        Shape picked = shape;
        picked[at] = c.Int(1, 6);
        return m.AddOne("GatherElements",
                        {x, m.Input(m.Numbers(DType::kInt64, picked, static_cast<double>(-shape[at]),
                                              static_cast<double>(shape[at]) - 0.01))},
                        {{"axis", axis}});
      }
      case 6: {
        Shape picked = shape;
        picked[at] = c.Int(1, shape[at]);
        Attributes attributes = {{"axis", axis}};
        if (dtype != DType::kBool && !(IsFloating(dtype)) && c.Coin())
          attributes.push_back({"reduction", c.Of<std::string>({"add", "mul", "min", "max"})});
        return m.AddOne("ScatterElements",
                        {x, m.Input(m.Numbers(DType::kInt64, picked, 0, static_cast<double>(shape[at]) - 0.01)),
                         m.Input(Random(c, m, dtype, picked))},
                        attributes);
      }
      case 7: {
        const int64_t width = c.Int(1, rank), rows = c.Int(1, 5);
        Tensor indices = m.Numbers(DType::kInt64, Shape{rows, width}, 0, 0);
        for (int64_t i = 0; i < rows * width; ++i)
          indices.mutable_as<int64_t>()[i] =
              c.Int(-shape[static_cast<int>(i % width)], shape[static_cast<int>(i % width)] - 1);
        const ValueId where = m.Input(indices);
        if (c.Coin()) return m.AddOne("GatherND", {x, where});
        Shape updates{rows};
        for (int d = static_cast<int>(width); d < rank; ++d) updates.Append(shape[d]);
        return m.AddOne("ScatterND", {x, where, m.Input(Random(c, m, dtype, updates))});
      }
      case 8: {
        Shape to = c.Dims(rank, 1, 3);
        if (c.Coin()) return m.AddOne("Tile", {x, m.Constant(List(to.begin(), to.end()))});
        for (int d = 0; d < rank; ++d) to[d] = shape[d] == 1 ? c.Int(1, 5) : c.Coin() ? 1 : shape[d];
        return m.AddOne("Expand", {x, m.Constant(List(to.begin(), to.end()))});
      }
      case 9: {
        const List sizes = {c.Int(0, shape[at])};
        const std::vector<ValueId> parts =
            m.Add("Split", {x, m.Constant(List{sizes[0], shape[at] - sizes[0]})}, {{"axis", axis}}, 2);
        m.Output(parts[1]);
        return parts[0];
      }
      case 10:
        return m.AddOne("Where", {m.Input(m.Bits(DType::kBool, c.Broadcastable(shape))), x,
                                  m.Input(Random(c, m, dtype, c.Broadcastable(shape)))});
      default: {
        const int64_t b = c.Int(1, 3);
        const ValueId image =
            m.Input(Random(c, m, dtype, Shape{c.Int(1, 2), b * b * c.Int(1, 4), b * c.Int(1, 4), b * c.Int(1, 5)}), true);
        if (c.Coin()) return m.AddOne("SpaceToDepth", {image}, {{"blocksize", b}});
        return m.AddOne("DepthToSpace", {image}, {{"blocksize", b}, {"mode", c.Of<std::string>({"DCR", "CRD"})}});
      }
    }
  });
}

TEST(Reference, AlongAnAxis) {
  CheckRandomModels(37, 100, 18, {1e-6}, [](Choices& c, RandomModel& m) -> ValueId {
    const int rank = static_cast<int>(c.Int(1, 4));
    Shape shape = c.Dims(rank, 1, 12);
    const int64_t axis = c.Int(-rank, rank - 1);
    const int at = static_cast<int>(axis < 0 ? axis + rank : axis);
    const bool ties = c.Coin();
    const DType dtype = c.Coin() ? DType::kFloat : c.Of({DType::kInt32, DType::kInt64});
    const ValueId x = m.Input(dtype == DType::kFloat && !ties ? Special(c, m, shape, 5) : m.Numbers(dtype, shape, -4, 4), true);
    switch (c.Int(0, 2)) {
      case 0:
        return m.AddOne(c.Of<std::string>({"ArgMax", "ArgMin"}), {x},
                        {{"axis", axis}, {"keepdims", c.Int(0, 1)}, {"select_last_index", c.Int(0, 1)}});
      case 1: {
        const std::vector<ValueId> both =
            m.Add("TopK", {x, m.Constant(List{c.Int(0, shape[at])})}, {{"axis", axis}, {"largest", c.Int(0, 1)}}, 2);
        m.Output(both[1]);
        return both[0];
      }
      default:
        return m.AddOne("CumSum", {m.Input(m.Numbers(dtype, shape, -4, 4), true), m.Constant(axis)},
                        {{"exclusive", c.Int(0, 1)}, {"reverse", c.Int(0, 1)}});
    }
  });
}

TEST(Reference, SizesThatDependOnContents) {
  CheckRandomModels(38, 60, 18, {1e-6}, [](Choices& c, RandomModel& m) -> ValueId {
    const Shape shape = c.Dims(2, 1, 9);
    const ValueId x = m.Input(m.Numbers(DType::kFloat, shape, -2, 2), true);
    switch (c.Int(0, 3)) {
      case 0: return m.AddOne("NonZero", {m.AddOne("Relu", {x})});
      case 1: return m.AddOne("Compress", {x, m.Input(m.Bits(DType::kBool, Shape{shape[0]}))}, {{"axis", int64_t{0}}});
      case 2: {
        const std::vector<ValueId> all = m.Add("Unique", {m.AddOne("Round", {x})}, {{"sorted", c.Int(0, 1)}}, 4);
        for (size_t i = 1; i < all.size(); ++i) m.Output(all[i]);
        return all[0];
      }
      default: {
        const int64_t boxes = c.Int(1, 30);
        return m.AddOne("NonMaxSuppression",
                        {m.Input(m.Floats(Shape{2, boxes, 4}, 0, 1), true), m.Input(m.Floats(Shape{2, 3, boxes}, 0, 1), true),
                         m.Constant(c.Int(0, 9)), m.Constant(0.4f), m.Constant(0.1f)},
                        {{"center_point_box", c.Int(0, 1)}});
      }
    }
  });
}

}  // namespace
}  // namespace linnet
